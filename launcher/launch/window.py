"""A cell as a window: connect to the keeper, draw its board, pass buttons on, put its questions to the person. ■ closes
it.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final

from launcher.colab.dialogs import DIALOGS
from launcher.core.board import Snapshot
from launcher.core.process import PACKAGE, end_process, running_pid, start_part
from launcher.core.session import Session
from launcher.core.wire import (
    FINISH,
    LONGEST_LINE,
    Answer,
    Ask,
    Enter,
    Message,
    Over,
    Press,
    Request,
    Show,
    StopJob,
    Unanswered,
    address_of,
    decode,
    encode,
)
from launcher.ui.panel import TICK, Panel, new_panel, running_kernel

VERSION: Final = PACKAGE.name  # the hash that names the package's folder
CONNECT_PATIENCE: Final = 20.0  # seconds
FINISH_PATIENCE: Final = 60.0  # seconds in which an older keeper copies what is to be copied
PRESS_PATIENCE: Final = 5.0  # seconds in which it hears a button of a cell that has ended
LAST_BOARD: Final = 0.4  # seconds after ■ in which the board may still change


class Window:
    """One connection to the keeper, and the panel that shows what it says."""

    def __init__(
        self,
        session: Session,
        request: Request,
        title: str,
        form: Callable[[], dict[str, Any] | None] = lambda: None,
    ) -> None:
        """`form` asks the page for the first cell's values; that may take seconds, so the panel comes first."""
        self.session, self.request, self.form = session, request, form
        self.snapshot, self.link = Snapshot(title, started=time.time()), ""
        self.panel: Panel = new_panel(self.snapshot, self.press)
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._told: asyncio.Queue[Message | None] = asyncio.Queue()
        self._news = asyncio.Event()
        self._over = False

    async def show(self) -> None:
        """Until there is nothing left to show, or ■."""
        try:
            with ended_by_stop():
                self.request = replace(self.request, form=self.form())
            while not self._over:
                await self._show_one_keeper()
        except (KeyboardInterrupt, asyncio.CancelledError):
            await self._close()
        finally:
            if self._listening:
                self._listening.cancel()
            self.panel.close()

    async def _show_one_keeper(self) -> None:
        reader, self._writer = await connect(self.session)
        self._listening = asyncio.create_task(self._listen(reader))
        self._writer.write(encode(self.request))
        with pumped_kernel() as pump:
            while not self._over:
                await pump()
                self._news.clear()
                while not self._told.empty():
                    message = self._told.get_nowait()
                    if message is None:  # the keeper died: start another
                        return
                    self._hear(message)
                self.panel.draw(self.snapshot, self.link)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        await self._news.wait()
        self._writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._told.put_nowait(decode(line))
                self._news.set()
        except ConnectionError:
            pass  # the keeper died, as an empty line says too
        self._told.put_nowait(None)
        self._news.set()

    def _hear(self, message: Message) -> None:
        if isinstance(message, Show):
            self.snapshot = Snapshot.from_json(message.board)
        elif isinstance(message, Enter):
            self.link = message.link
        elif isinstance(message, Over):
            self._over = True
        elif isinstance(message, Ask):
            self.panel.draw(self.snapshot, self.link)  # what is waited for stands there before the dialog opens
            self._answer(message)

    def _answer(self, question: Ask) -> None:
        """Put a question."""
        try:
            with ended_by_stop():
                value = DIALOGS[question.kind](**question.about)
        except KeyboardInterrupt:
            self._send(Unanswered(question.number))
            raise
        self._send(Answer(question.number, value))
        if question.kind == "mount":
            self.panel.show_again()

    def press(self, button: str) -> None:
        """Pass a button on, also after the cell has ended."""
        if self._writer and not self._writer.is_closing():
            self._send(Press(button))
            return
        try:
            tell_keeper(self.session, encode(Request("press", {"button": button})), PRESS_PATIENCE)
        except OSError:
            print("Nothing is running any more. Press ▶ on the first cell.")

    def _send(self, message: Message) -> None:
        assert self._writer is not None
        self._writer.write(encode(message))

    async def _close(self) -> None:
        """■: tell the keeper, wait a moment for the last board, and leave the panel as it is."""
        if self._writer:
            self._send(StopJob())
            end = time.monotonic() + LAST_BOARD
            while time.monotonic() < end:
                await asyncio.sleep(0.05)
                while not self._told.empty():
                    message = self._told.get_nowait()
                    if isinstance(message, Show | Over | Enter):
                        self._hear(message)
            self._writer.close()
        self.panel.draw(self.snapshot, self.link, closed=True)


async def connect(session: Session) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the keeper of this version; starts one, which outlives us, if there is none."""
    if keeper_version(session) not in ("", VERSION):
        await asyncio.to_thread(retire, session)
    end, started = time.monotonic() + CONNECT_PATIENCE, False
    while True:
        try:
            with address_of(session.keeper_socket) as address:
                return await asyncio.open_unix_connection(address, limit=LONGEST_LINE)
        except (FileNotFoundError, ConnectionRefusedError):
            if not started or not running_pid(session.keeper.pid_file):
                start_keeper(session)
                started = True
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.01)


def keeper_version(session: Session) -> str:
    """The version of the keeper that runs, or ""."""
    return str(session.keeper.said.get("version", "")) if running_pid(session.keeper.pid_file) else ""


def start_keeper(session: Session) -> None:
    """Start a keeper. It runs this kernel's Python, finds its packages where the kernel does, and knows no token."""
    session.prepare()
    start_part(session.keeper, "launcher.launch.keeper", str(session.place))


def retire(session: Session) -> None:
    """Have another version's keeper copy what is to be copied and end. Where it does not, it is ended."""
    try:
        tell_keeper(session, FINISH, FINISH_PATIENCE)
    except OSError:
        pass  # it does not answer: it is ended below
    end_process(session.keeper.pid_file)


def tell_keeper(session: Session, line: bytes, patience: float) -> None:
    """Tell the keeper something without showing anything, and wait until it has done it. Raises `OSError`."""
    with socket.socket(socket.AF_UNIX) as connection, address_of(session.keeper_socket) as address:
        connection.settimeout(patience)
        connection.connect(address)
        connection.sendall(line)
        while connection.recv(65536):  # whoever closes at once may lose what they sent
            pass


@contextmanager
def ended_by_stop() -> Iterator[None]:
    """■ raises `KeyboardInterrupt` here at once: ipykernel's own handler would only end the cell after the dialog."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def pumped_kernel() -> Iterator[Callable[[], Any]]:
    """A function to await in a loop, which lets the kernel hear buttons while this cell runs.

    ipykernel 6 must be asked to look at its messages; 7.4 and later does so whenever the cell awaits. Without giving
    the parent back, the cell would never show as finished.
    """
    kernel = running_kernel()
    step = getattr(kernel, "do_one_iteration", None)
    if not step:

        async def nothing() -> None:
            pass

        yield nothing
        return
    parent, identity = kernel.get_parent("shell"), getattr(kernel, "_parent_ident", {}).get("shell")

    async def look() -> None:
        await step()
        kernel.set_parent(identity, parent, channel="shell")

    yield look
