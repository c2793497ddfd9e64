"""The keeper: the one process of this machine that holds a launch. Cells of notebooks are its windows.

    python -m launcher.launch.keeper SESSION_FOLDER

It lives as long as there is something to keep: a web UI, work that a cell asked for, or a window. The lock beside its
socket makes it the only one; whoever comes second ends at once.
"""

import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from launcher.core.board import Board
from launcher.core.problem import Problem, unexpected
from launcher.core.process import end_left_behind, note_process
from launcher.core.session import Session, read_object
from launcher.core.wire import Finish, Press, Request, StopJob, Unanswered, address_of
from launcher.launch.windows import Window, Windows

IDLE: Final = 3.0  # seconds without anything to keep, after which it ends
VERSION: Final = Path(__file__).resolve().parents[2].name  # the hash that names the package's folder


class Keeper:
    """Holds the launch, and the jobs of the other cells."""

    def __init__(self, session: Session) -> None:
        self.session, self.windows = session, Windows()
        self.launch: Any = None  # a Launch; its module is loaded when it is needed: the first board is there sooner
        self._lock = threading.Lock()
        self._jobs: list[threading.Thread] = []
        self._finishing = threading.Event()

    # ---- windows

    def serve(self, connection: socket.socket) -> None:
        """One window, from its request to its end."""
        window = Window(connection)
        self.windows.add(window)
        try:
            request = window.receive()
            if isinstance(request, Finish):
                self.finish()
            elif isinstance(request, Request):
                self._do(window, request)
        finally:
            self.windows.remove(window)

    def _do(self, window: Window, request: Request) -> None:
        stop = threading.Event()
        if request.do == "press":  # by a cell that has ended
            self._press(**request.fields)
            return
        try:
            if request.do == "launch":
                self._launch(request.fields, window)
            else:
                self._begin_job(request, stop, window)
        except Problem as problem:
            self._refuse(window, "The form", problem)
        except Exception as error:
            self._log(error)
            self._refuse(window, "The launcher", unexpected(error, str(self.session.log)))
        while message := window.receive():
            self.windows.hear(message)
            match message:
                case Press(button):
                    self._press(button)
                case StopJob() | Unanswered():
                    stop.set()

    def _press(self, button: str) -> None:
        if self.launch:
            self.launch.running.press(button)

    def _refuse(self, window: Window, at_fault: str, problem: Problem) -> None:
        """Say why nothing was begun."""
        board = Board(at_fault, "")
        board.add("request", at_fault)
        board.fail("request", problem)
        window.show(board)
        window.finish()

    # ---- what they ask for

    def _launch(self, form: dict[str, Any], window: Window) -> None:
        """Show the launch with these values: the one that runs, or a new one. Raises `Problem` for a field that is
        wrong.

        The window shows its board before anything begins: a first question must find somebody to put it to.
        """
        from launcher.core.settings import Settings
        from launcher.models.catalog import CHECKPOINT_NAMES

        settings = Settings.from_form(form, CHECKPOINT_NAMES)
        with self._lock:
            before = self.launch
            goes_on = before is not None and before.alive and before.place.settings == settings
            launch = before if goes_on else self._new_launch(settings)
            window.finish_with(launch.place.finished)
            window.show(launch.board, launch.place.public_link.fresh_link)
            if goes_on:
                launch.running.somebody_looks()
            else:
                self.launch = launch
                launch.begin(before)

    def _new_launch(self, settings: Any) -> Any:
        from launcher.colab.machine import look_at_machine
        from launcher.launch.launch import Launch
        from launcher.launch.workplace import Workplace

        place = Workplace(settings, look_at_machine(), self.windows.ask)
        return Launch(place, lambda: self.windows.open_for(place.board))

    def _begin_job(self, request: Request, stop: threading.Event, window: Window) -> None:
        from launcher.launch.jobs import JOBS, Job

        title, done_title, work = JOBS[request.do]
        board = Board(title, done_title)
        job = Job(self._launch_for(request).running, board, stop)
        thread = threading.Thread(target=self._run_job, args=(partial(work, job, **request.fields), board, window))
        self._jobs.append(thread)
        window.show(board)
        thread.start()

    def _run_job(self, work: Callable[[], None], board: Board, window: Window) -> None:
        from launcher.launch.steps import Failed

        try:
            work()
        except Failed:
            pass  # its step has said so
        except Exception as error:
            self._log(error)
            board.notice(unexpected(error, str(self.session.log)).what)
        window.finish()

    def _launch_for(self, request: Request) -> Any:
        """The launch a cell means: the one that runs; else, not begun, one of the first cell's values, of the last
        launch, or the defaults.
        """
        from launcher.core.settings import Settings
        from launcher.models.catalog import CHECKPOINT_NAMES

        with self._lock:
            if self.launch:
                return self.launch
            settings = Settings.noted(read_object(self.session.launch_file).get("settings", {}))
            if settings is None or request.form:
                settings = Settings.from_form(request.form or {}, CHECKPOINT_NAMES)
            launch = self._new_launch(settings)
            if request.do == "stop":
                self.launch = launch
            elif launch.place.webui.running:  # an earlier keeper died: this one keeps its images from now on
                self.launch = launch
                launch.begin()
            return launch

    def finish(self) -> None:
        """Another version takes over: copy what is still to be copied. The web UI, the door and the link stay."""
        if self.launch:
            self.launch.let_go()
        self._finishing.set()

    # ---- the end

    @property
    def busy(self) -> bool:
        """True while there is something to keep."""
        self._jobs = [job for job in self._jobs if job.is_alive()]
        return bool(self._jobs or len(self.windows) or (self.launch and self.launch.busy))

    def live(self) -> None:
        """Wait until there is nothing to keep any more, or another version takes over."""
        last = time.monotonic()
        while not self._finishing.wait(0.5):
            if self.busy:
                last = time.monotonic()
            elif time.monotonic() - last > IDLE:
                return

    def _log(self, error: Exception) -> None:
        import traceback

        with self.session.log.open("a") as file:
            traceback.print_exception(error, file=file)


def main(session: Session) -> None:
    """Be the keeper, if nobody else is."""
    session.prepare()
    with session.keeper_lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.environ.pop("PYTHONPATH", None)  # ours is not for the Pythons that are started from here
        os.umask(0o077)
        end_left_behind(session.keeper.said_file)  # of a keeper that was killed, or ended by another version
        session.keeper.note(version=VERSION, pid=os.getpid(), created=time.time())
        session.keeper_socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as server:
            with address_of(session.keeper_socket) as address:
                server.bind(address)
            server.listen(16)
            note_process(session.keeper.pid_file, os.getpid())  # whoever was started beside us has noted its own
            keeper = Keeper(session)
            threading.Thread(target=accept, args=(server, keeper), name="accept", daemon=True).start()
            keeper.live()
            session.keeper_socket.unlink(missing_ok=True)
            session.keeper.forget()


def accept(server: socket.socket, keeper: Keeper) -> None:
    """Take in windows, each in a thread of its own."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # closed: the keeper ends
            return
        threading.Thread(target=keeper.serve, args=(connection,), name="window", daemon=True).start()


if __name__ == "__main__":
    main(Session(Path(sys.argv[1])))
