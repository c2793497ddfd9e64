"""What is looked after while the web UI runs: a Drive that drops or fills up, a link that dies, a machine that nobody uses."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.access.public_link import Entrance
from launcher.colab.dialogs import MainThread
from launcher.colab.machine import Machine, release_machine
from launcher.core.board import Board
from launcher.core.folder import GB, largest_files
from launcher.core.problem import Problem, unexpected
from launcher.core.reporter import Reporter
from launcher.drive.mirror import Mirror
from launcher.drive.mount import drive_is_mounted, mount_drive

WATCH_LINK_EVERY: Final = 60.0  # seconds
WATCH_DRIVE_EVERY: Final = 5.0  # seconds
ASK_AGAIN_AFTER: Final = 60.0  # seconds between two questions for a Drive that was disconnected
GIVE_BACK_WARNING: Final = 60.0  # seconds


@dataclass
class DriveCare:
    """Connects a Drive that was disconnected, and says when it is full. `look` never waits."""

    board: Board
    machine: Machine
    main: MainThread
    mirror: Mirror
    where: str  # the folder on Drive in words
    log: str
    _mounting: Future[None] | None = None
    _next: float = 0.0  # time.monotonic() of the next look
    _full_said: bool = False

    def look(self) -> None:
        """Look after it. Only the cell's own thread may ask Google for Drive: it is handed over, and the answer is seen at a later look."""
        if self._mounting is None:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + WATCH_DRIVE_EVERY
            if drive_is_mounted(self.machine):
                self._say_if_full()
                return
            self.board.start(
                "drive",
                "it was disconnected; what you make waits on this machine, and Google is asked to connect it again",
            )
            self._mounting = self.main.submit(lambda: mount_drive(self.machine))
        if not self._mounting.done():
            return
        error, self._mounting = self._mounting.exception(), None
        if error is None:
            self.board.finish("drive", f"{self.where}, connected again at {time.strftime('%H:%M')}")
        else:
            self._next = time.monotonic() + ASK_AGAIN_AFTER
            self.board.fail("drive", error if isinstance(error, Problem) else unexpected(error, self.log))

    def _say_if_full(self) -> None:
        """Say once, until everything is kept again, that Drive is full: the folder on Drive is walked for it."""
        if not self.mirror.waiting:
            self._full_said = False
        elif self.mirror.full and not self._full_said:
            self._full_said = True
            sizes = ", ".join(f"{name} ({size / GB:.1f} GB)" for name, size in largest_files(self.mirror.kept))
            self.board.notice(
                f"Google Drive is full: {self.mirror.waiting_bytes / GB:.2f} GB of new files wait on this machine and are lost if it is taken away. "
                f"Delete what you do not need and empty Drive's bin; they follow by themselves. The largest of your folder: {sizes}."
            )


class LinkCare:
    """Opens the link again when its tunnel ended, or when it does not answer."""

    def __init__(self, board: Board, entrance: Entrance, show_card: Callable[[], None]) -> None:
        self.board, self.entrance, self.show_card = board, entrance, show_card
        self._seen, self._tunneled = time.monotonic(), entrance.tunnel.running

    def look(self) -> None:
        """Look after it."""
        died = self._tunneled and not self.entrance.tunnel.running
        if died or time.monotonic() - self._seen > WATCH_LINK_EVERY:
            if not self.entrance.answers():
                self._open_again()
            self._seen, self._tunneled = time.monotonic(), self.entrance.tunnel.running

    def _open_again(self) -> None:
        self.board.start("link", "the link does not answer; opening it again")
        try:
            self.board.finish("link", self.entrance.open_again(Reporter(self.board, "link")))
        except Problem as problem:
            self.board.fail("link", problem)
            return
        self.show_card()


@dataclass(frozen=True)
class MachineCare:
    """Gives the machine back after so many `minutes` without any use (0: never), announced a minute before."""

    board: Board
    machine: Machine
    main: MainThread
    minutes: int
    last_use: Path  # the door touches it
    end: Callable[[], None]

    def look(self) -> bool:
        """Look after it; True once the machine is given back."""
        if not self.minutes:
            return False
        left = self.minutes * 60 - (time.time() - self.last_use.stat().st_mtime)
        if left > GIVE_BACK_WARNING:
            return False
        self.board.notice(
            f"Nobody used the web UI for a while: at {time.strftime('%H:%M', time.localtime(time.time() + left))} the machine is given back."
        )
        if left > 0:
            return False
        self.end()
        self.board.notice("The machine was given back, as the field give_back_after says. Press ▶ to start again.")
        self.main.call(lambda: release_machine(self.machine))
        return True
