"""The keeper's end of the windows: each shows one board, passes buttons on, and puts questions to a person."""

import itertools
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from launcher.core.board import Board
from launcher.core.problem import Problem
from launcher.core.wire import (
    Answer,
    Ask,
    Enter,
    Message,
    Over,
    Show,
    Unanswered,
    decode,
    encode,
)

SHORTEST_PAUSE: Final = 0.15  # seconds between two boards on their way to one window
TOGETHER: Final = 0.01  # seconds in which what changes together is sent together
NEW_LINK_EVERY: Final = 300.0  # seconds: a link that opens logged in is worth something for a while only

# What is asked -> what it is called, when nobody answered it.
QUESTIONS: Final = {
    "mount": "Google's question about your Drive was not answered",
    "token": "The question about your token was not answered",
    "proxy": "Colab was not asked for its own link",
}


class NotAnswered(Problem):
    """A question got no answer: nobody had this notebook open, closed it, or pressed ■."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"{QUESTIONS[kind]}: {why}.", "Press ▶ to be asked again.", field=kind)


class Window:
    """One connection. Sending never makes anybody wait: each window has a thread for it, and only the newest board
    counts.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lines = connection, connection.makefile("rb")
        self.board: Board | None = None
        self.fresh_link: Callable[[], str] | None = None
        self.closed = threading.Event()
        self._questions: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._over = threading.Event()

    def receive(self) -> Message | None:
        """The next message; None once the window is closed, and for what is no message of ours."""
        try:
            line = self._lines.readline()
            return decode(line) if line else None
        except (OSError, ValueError):
            return None

    def show(self, board: Board, fresh_link: Callable[[], str] | None = None) -> None:
        """Show this board from now on; `fresh_link` makes a link that opens the web UI logged in."""
        self.board, self.fresh_link = board, fresh_link
        threading.Thread(target=self._send_all, name="window", daemon=True).start()

    def ask(self, question: Ask) -> None:
        """Put a question; its answer comes through `receive`."""
        self._questions.put(question)

    def finish_with(self, over: threading.Event) -> None:
        """Send the last board, then `Over`, once this is set."""
        self._over = over

    def finish(self) -> None:
        """Send the last board, then `Over`."""
        self._over.set()

    def close(self) -> None:
        """Nobody looks any more."""
        self.closed.set()
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # closed by the other end already
            pass

    def _send_all(self) -> None:
        assert self.board is not None
        told, asked_for_link = -1, 0.0
        try:
            while not self.closed.is_set():
                over, board = self._over.is_set(), self.board.snapshot()
                if self.fresh_link and board.login_box and time.monotonic() - asked_for_link > NEW_LINK_EVERY:
                    # before the login box: its button never leads to the login page
                    self._connection.sendall(encode(Enter(self.fresh_link())))
                    asked_for_link = time.monotonic()
                new = board.version != told
                if new:
                    self._connection.sendall(encode(Show(board.as_json())))
                    told = board.version
                if not board.login_box:
                    asked_for_link = 0.0
                while not self._questions.empty():
                    self._connection.sendall(encode(self._questions.get()))
                if over:
                    self._connection.sendall(encode(Over()))
                    return
                if new:
                    self.closed.wait(SHORTEST_PAUSE)
                elif self.board.wait_for_change(told, SHORTEST_PAUSE):
                    self.closed.wait(TOGETHER)
        except OSError:  # the kernel died, or ■ closed it
            self.close()


class Windows:
    """All windows that are open, in the order in which they were opened."""

    def __init__(self) -> None:
        self._open: list[Window] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[Window, queue.SimpleQueue[dict[str, Any] | str]]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, window: Window) -> None:
        """A window was opened."""
        with self._lock:
            self._open.append(window)

    def remove(self, window: Window) -> None:
        """It was closed: whoever waits for its answer hears so."""
        window.close()
        with self._lock:
            self._open.remove(window)
            waiting = [answer for asked, answer in self._asked.values() if asked is window]
        for answer in waiting:
            answer.put("the notebook was closed")

    def hear(self, message: Message) -> None:
        """An answer came, or ■ instead of one."""
        if isinstance(message, Answer | Unanswered) and message.number in self._asked:
            _, answer = self._asked[message.number]
            answer.put(message.value if isinstance(message, Answer) else "you stopped it")

    def ask(self, board: Board, kind: str, **about: Any) -> dict[str, Any]:
        """Have the window of that board, else the one opened last, put a question to a person; return the answer.

        Raises `NotAnswered` at once where no window is open, and as soon as it is closed or stopped.
        """
        with self._lock:
            fitting = [w for w in self._open if w.board is board] or [w for w in self._open if w.board]
            if not fitting:
                raise NotAnswered(kind, "this notebook is not open")
            number, answer = next(self._numbers), queue.SimpleQueue[dict[str, Any] | str]()
            self._asked[number] = (fitting[-1], answer)
        try:
            fitting[-1].ask(Ask(number, kind, about))
            told = answer.get()
        finally:
            del self._asked[number]
        if isinstance(told, str):
            raise NotAnswered(kind, told)
        return told

    def open_for(self, board: Board) -> bool:
        """True while a window shows that board."""
        return any(window.board is board for window in self._open)
