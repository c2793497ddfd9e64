"""What is looked after while the web UI runs: a Drive that drops or fills up, a link that dies, a machine that nobody
uses.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from launcher.access.link import PublicLink
from launcher.colab.machine import Machine
from launcher.core.folder import GB, free_bytes, largest_files
from launcher.core.problem import Problem
from launcher.core.snapshot import Button
from launcher.core.status import Status
from launcher.drive.mirror import Mirror
from launcher.drive.mount import connect_drive, drive_is_mounted
from launcher.launch.steps import Steps

WATCH_LINK_EVERY: Final = 60.0  # seconds
WATCH_DRIVE_EVERY: Final = 5.0  # seconds
WATCH_ROOM_EVERY: Final = 60.0  # seconds
STUCK_AFTER: Final = 120.0  # seconds without a sign of life of the sync
GIVE_BACK_WARNING: Final = 60.0  # seconds


@dataclass
class DriveWatch:
    """Has a Drive that was disconnected connected again, and says when it is full. `look` never waits.

    A face that looks is asked once, for Google's dialog holds up its notebook; afterwards there is a button for it.
    """

    steps: Steps
    machine: Machine
    ask: Callable[..., dict[str, Any]]  # puts a question to the person
    somebody: Callable[[], bool]  # is there a face that could be asked?
    sync: Mirror
    away: bool = False  # Drive is not there
    _connecting: threading.Thread | None = None
    _next: float = 0.0  # time.monotonic() of the next look
    _next_room: float = 0.0
    _full_said: bool = False

    def look(self) -> None:
        if time.monotonic() < self._next or self._busy:
            return
        self._next = time.monotonic() + WATCH_DRIVE_EVERY
        if drive_is_mounted(self.machine):
            if self.away:
                self._is_back()
            self._say_if_full()
            self._say_if_stuck()
            self._say_room()
        elif not self.away:
            self.away = True
            self.steps.of("drive").begin("Google Drive was disconnected; new files wait on this machine")
            self.steps.status.offer(Button.CONNECT, True)
            if self.somebody():
                self.connect()
            else:
                self._say_how()

    def connect(self) -> None:
        """Ask the person to connect it, in a thread of its own."""
        if not self._busy:
            self._connecting = threading.Thread(target=self._connect, name="connect drive", daemon=True)
            self._connecting.start()

    def connect_if_away(self) -> None:
        """Somebody looks: a Drive that was disconnected meanwhile can be asked for."""
        if self.away:
            self.connect()

    @property
    def _busy(self) -> bool:
        return self._connecting is not None and self._connecting.is_alive()

    def _connect(self) -> None:
        self.steps.of("drive").say("Google asks for your permission again, in the tab in which you pressed ▶")
        try:
            connect_drive(self.machine, self.ask)
        except Problem as problem:
            self.steps.status.notice(problem.what, about="drive")
            self._say_how()
            return
        self._is_back()

    def _say_how(self) -> None:
        self.steps.of("drive").say(
            "disconnected; new files wait on this machine until you press Connect Google Drive below"
        )

    def _is_back(self) -> None:
        self.away = False
        self.steps.status.offer(Button.CONNECT, False)
        self.steps.status.remove("drive")
        where = self.machine.in_words(self.sync.kept)
        self.steps.of("drive").done(f"{where}, connected again at {time.strftime('%H:%M')}")

    def _say_if_full(self) -> None:
        """Say once, until everything is kept again, that Drive is full: the folder on Drive is walked for it."""
        if not self.sync.waiting:
            self._full_said = False
            self.steps.status.remove("full")
        elif self.sync.full and not self._full_said:
            self._full_said = True
            sizes = ", ".join(f"{name} ({size / GB:.1f} GB)" for name, size in largest_files(self.sync.kept))
            self.steps.status.notice(
                f"Google Drive is full: {self.sync.waiting_bytes / GB:.2f} GB of new files wait on this machine, "
                "and are lost when it goes away. Delete what you do not need and empty Drive's trash; the files "
                f"are then saved by themselves. The largest files in your folder: {sizes}.",
                about="full",
            )

    def _say_room(self) -> None:
        """How much Drive still takes, once a minute."""
        if self.machine.mountpoint and time.monotonic() > self._next_room:
            self._next_room = time.monotonic() + WATCH_ROOM_EVERY
            self.steps.status.fact("Free on Google Drive", f"{free_bytes(self.sync.kept) / GB:.1f} GB")

    def _say_if_stuck(self) -> None:
        """Say when nothing was heard of the sync for long: it waits for an answer of Drive that does not come."""
        silent = time.monotonic() - self.sync.heartbeat
        if self.sync.heartbeat and silent > STUCK_AFTER:
            self.steps.status.notice(
                f"Google Drive has not answered for {silent / 60:.0f} minutes: new files wait on this machine. "
                "Download what you want to keep before you stop.",
                about="stuck",
            )
        else:
            self.steps.status.remove("stuck")


class LinkWatch:
    """Opens the link again when its tunnel ended, or when it does not answer."""

    def __init__(self, steps: Steps, public_link: PublicLink, show_login_box: Callable[[], None]) -> None:
        self.steps, self.public_link, self.show_login_box = steps, public_link, show_login_box
        self._seen, self._tunneled = time.monotonic(), public_link.tunnel.running
        self._busy: threading.Thread | None = None

    def look(self) -> None:
        if self._busy and self._busy.is_alive():
            return
        died = self._tunneled and not self.public_link.tunnel.running
        if died or time.monotonic() - self._seen > WATCH_LINK_EVERY:
            self._busy = threading.Thread(target=self._look, name="link", daemon=True)
            self._busy.start()

    def _look(self) -> None:
        with self.steps.beside("checking the link"):
            if not self.public_link.answers() and not self.steps.over.is_set():
                self._open_again()
            self._seen, self._tunneled = time.monotonic(), self.public_link.tunnel.running

    def _open_again(self) -> None:
        self.steps.of("link").begin("the link does not answer; opening it again")
        try:
            self.steps.of("link").done(self.public_link.open_again(self.steps.of("link")))
        except Problem as problem:
            self.steps.of("link").fail(problem)
            return
        self.show_login_box()


@dataclass
class UseWatch:
    """Says when nobody has used the web UI for so many `minutes` (0: never), and a minute before."""

    status: Status
    minutes: int
    used_at: float = field(default_factory=time.time)  # time.time(), as the door tells it

    def look(self) -> bool:
        left = self.minutes * 60 - (time.time() - self.used_at)
        if not self.minutes or left > GIVE_BACK_WARNING:
            self.status.remove("give back")
            return False
        when = time.strftime("%H:%M", time.localtime(time.time() + left))
        self.status.notice(
            f"Nobody has used the web UI for a while, so the machine will be given back at {when}.", about="give back"
        )
        return left <= 0
