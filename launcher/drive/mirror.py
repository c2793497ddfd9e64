"""What the web UI writes on the machine is kept on Drive, and comes back at the next start."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Final

from launcher.drive.changes import Changes
from launcher.drive.checkouts import Checkouts
from launcher.drive.copies import AT_ONCE, Copies
from launcher.drive.copying import sweep_unfinished
from launcher.drive.ledger import Ledger
from launcher.drive.restore import restore
from launcher.drive.scan import Scan
from launcher.drive.troubles import FULL, TROUBLES, printable

INTERVAL: Final = 2.0  # seconds between two looks at least
BUSY_INTERVAL: Final = 0.3  # seconds while more waits than one look takes
LONGEST_INTERVAL: Final = (
    6.0  # seconds without the system's help; with what a look takes it stays below the ten promised
)
REST: Final = 50  # without the system's help: times as long as the last look took
NET: Final = 30.0  # seconds between two looks at everything while the system tells what changes
SHARE_OF_A_CORE: Final = 0.003  # what those may cost
SETTLED: Final = 1.0  # seconds a file must be unchanged before it is copied
NEW_FOLDER: Final = 5.0  # seconds in which what happens in a new folder may not be told


@dataclass
class Mirror:
    """Keeps `kept` on Drive equal to `data` on the machine while it runs; never the other way round.

    New and changed files are copied, renamed ones renamed, deleted ones deleted. What somebody deletes on Drive stays
    on the machine. `elsewhere` names folders outside of `data` that are kept too, each with its name on Drive; what
    is deleted there stays on Drive.
    """

    data: Path
    kept: Path
    tell: Callable[[str], None]  # one line that changes
    _: KW_ONLY
    say: Callable[[str], None] = lambda text: None  # a sentence that stays
    elsewhere: Callable[[], Mapping[Path, str]] = dict
    fault: str = ""  # what went wrong in the last look that nobody foresaw
    heartbeat: float = 0.0  # time.monotonic() of the last sign of life
    _new_folders: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._changes = Changes()
        self._scan = Scan(self.data, Ledger(), self.say)
        checkouts = Checkouts(self.data, self.kept, self.say)
        self._checkouts = checkouts
        self._copies = Copies(self.kept, self._scan, checkouts, self.say, self._sign_of_life)
        self._everything_due = 0.0  # time.monotonic() of the next look at everything
        self._pause = INTERVAL

    @property
    def running(self) -> bool:
        """True while it looks."""
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    @property
    def images(self) -> int:
        """How many images of this machine are on Drive."""
        return self._scan.ledger.images

    @property
    def waiting(self) -> int:
        """How many files are on their way. Those that Drive does not take are not among them."""
        return self._copies.waiting

    @property
    def unkept(self) -> int:
        """How many files are not on Drive: on their way, or not taken by it."""
        return self.waiting + len(self._scan.ledger.left_out)

    @property
    def waiting_bytes(self) -> int:
        """Their size."""
        return self._copies.waiting_bytes

    @property
    def trouble(self) -> int:
        """The errno of Drive's last failure, 0 while all is well."""
        return self._copies.trouble

    @property
    def full(self) -> bool:
        """True while Drive takes no more for want of room."""
        return self.trouble in FULL

    def restore(self) -> int:
        """Bring settings, styles, embeddings and the like from Drive; return how many files came."""
        with self._lock:
            return restore(self.kept, self.data, self._scan.ledger, self.say)

    def start(self) -> None:
        """Begin to look, in a thread, unless it does."""
        if self.running:
            return
        self._thread = threading.Thread(target=self._watch, name="mirror", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Copy what is left and end."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=60)
        for _ in range(3):  # what is gone is believed at the second look, what fails thrice is left out
            self._look_safely(None, 0)
            while self.waiting and not (self.trouble or self.fault) and self._look_safely(set(), 0):
                continue
        sweep_unfinished(self.kept)

    def look(self, settled: float = SETTLED) -> None:
        """Make Drive equal once. `settled` in seconds: younger files wait for the next look."""
        with self._lock:
            self._look(None, settled)
            while self.waiting and not self.trouble and self._look(set(), settled):
                continue

    def summary(self) -> str:
        """One line for the panel."""
        ledger = self._scan.ledger
        text = f"{self.images} images kept" if self.images != 1 else "1 image kept"
        if self.images:
            text += f" in {' and '.join(ledger.image_folders)}"
        if self.waiting:
            text += f", {self.waiting} {'files' if self.waiting != 1 else 'file'} not saved yet"
        refused = list(ledger.left_out)
        if refused:
            text += f", {len(refused)} that Google Drive does not accept ({printable(os.path.basename(refused[0]))}"
            text += ", ...)" if len(refused) > 1 else ")"
        if self.trouble:
            text += f" (Google Drive is not accepting files: {TROUBLES.get(self.trouble, os.strerror(self.trouble))})"
        return text + (f" (saving files failed and is being tried again: {self.fault})" if self.fault else "")

    # ---- one look

    def _look(self, changed: Collection[str] | None, settled: float) -> int:
        """Look at what changed, or with None at everything; returns how many files got to Drive."""
        self.heartbeat = time.monotonic()
        if not self.data.is_dir():
            return 0
        if self._scan.is_another_folder():
            changed = None
        places, copies, done = self.elsewhere(), self._copies, 0
        if changed is None:
            gone = self._scan.everything(places)
            self._everything_due = time.monotonic() + max(NET, self._scan.seconds / SHARE_OF_A_CORE)
            self._pause = min(LONGEST_INTERVAL, max(INTERVAL, REST * self._scan.seconds))
        else:
            gone = self._scan.some(places, changed, copies.gone)
        copies.trouble, self.fault = 0, ""
        try:
            self.kept.stat()  # while Drive is away nothing counts as deleted there
            for source, mark, name in self._checkouts.accept():
                self._scan.ledger.remember(source, mark, name)
            copies.follow_the_gone(gone)
            done = copies.keep_new(settled)
        except OSError as error:
            copies.note_trouble(error)
            copies.count()
        self._sign_of_life(True)
        return done

    def _sign_of_life(self, news: bool) -> None:
        self.heartbeat = time.monotonic()
        if news:
            self.tell(self.summary())

    # ---- the thread

    def _watch(self) -> None:
        """Look whenever something changes, and at everything now and then. Nothing that goes wrong ends this."""
        busy = False
        while not self._stop.is_set():
            try:
                changed = self._wait_for_changes(BUSY_INTERVAL if busy else INTERVAL)
            except Exception as error:
                self._note_fault(error)
                self._stop.wait(INTERVAL)
                changed = None
            if not self._stop.is_set():
                busy = self._look_safely(changed, SETTLED) >= AT_ONCE
        self._changes.close()

    def _wait_for_changes(self, seconds: float) -> set[str] | None:
        """Wait so long at most; returns the paths that changed, or None if it is time to look at everything."""
        new = self._changes.follow(self._scan.roots(self.elsewhere()))
        if not self._changes.works:
            self._stop.wait(max(self._pause, seconds) if seconds == INTERVAL else seconds)
            return None
        changed = new | self._changes.wait(seconds, self._stop)
        now = time.monotonic()
        if now >= self._everything_due:
            return None
        self._new_folders |= {path: now + NEW_FOLDER for path in changed if os.path.isdir(path)}
        self._new_folders = {path: until for path, until in self._new_folders.items() if until > now}
        return changed | set(self._new_folders)

    def _look_safely(self, changed: Collection[str] | None, settled: float) -> int:
        """Look; what nobody foresaw is said and ends nothing."""
        try:
            with self._lock:
                return self._look(changed, settled)
        except Exception as error:
            self._note_fault(error)
            return 0

    def _note_fault(self, error: Exception) -> None:
        traceback.print_exception(error)
        news, self.fault = not self.fault, f"{type(error).__name__}: {str(error)[:200]}"
        self.heartbeat = time.monotonic()
        try:
            if news:
                self.say(f"Saving your files failed ({type(error).__name__}); it is tried again every few seconds.")
            self.tell(self.summary())
        except Exception as second:
            traceback.print_exception(second)
