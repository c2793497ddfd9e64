"""What the web UI writes on the machine is kept on Drive, and comes back at the next start."""

import errno
import itertools
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.folder import alternatives
from launcher.core.outside import printable
from launcher.drive import records
from launcher.drive.mount import FULL, TROUBLES, is_drives_fault
from launcher.drive.records import COPIES, MOST_TRIES, Record, Records, is_copy_of
from launcher.drive.restore import note_checksum_of_hub, restore_files

INTERVAL: Final = 2.0  # seconds between two polls at least
LONGEST_INTERVAL: Final = 6.0  # seconds; with the time that a file must be unchanged it stays below the ten promised
REST: Final = 50  # between two polls: times as long as the last one took, which is by how many files there are
EVERY: Final = 60.0  # seconds after which there is a poll though no folder was changed: a file in it may be another
SETTLED: Final = 1.0  # seconds a file must be unchanged before it is copied
HANGS_AFTER: Final = 120.0  # seconds without a sign of life, after which nobody waits for it
SLOWEST: Final = 10e6  # bytes a second that a copy may take beside
AT_ONCE: Final = 200  # files before the next are looked for: a new image does not wait for thousands of old ones
AGAIN_AFTER: Final = 60.0  # seconds until a file that Drive does not take is tried again
SENTENCES: Final = 5  # on single files; the panel's line counts the rest


@dataclass
class Sync:
    """Keeps `drive_dir` equal to `data` on the machine while it runs; never the other way round.

    New and changed files are copied, renamed ones renamed, deleted ones deleted. What somebody deletes on Drive stays
    on the machine. `elsewhere` names folders outside of `data` that are kept too, each with its name on Drive; what
    is deleted there stays on Drive.
    """

    data: Path
    drive_dir: Path
    show: Callable[[str], None]  # one line that changes
    say: Callable[[str], None] = lambda text: None  # a sentence that stays
    elsewhere: Callable[[], Mapping[Path, str]] = dict
    until: str = ""  # how long it is kept, where that is no Drive
    trouble: int | None = None  # the errno of Drive's last failure in this poll
    fault: str | None = None  # what went wrong in the last poll that nobody foresaw
    heartbeat: float = 0.0  # time.monotonic() of the last sign of life

    def __post_init__(self) -> None:
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._last: threading.Thread | None = None  # copies what is left
        self._records = Records(self.data, self.say)
        self._claims: dict[str, str] = {}  # a name on Drive -> the file that is copied to it just now
        self._sentences = 0
        self._pause = INTERVAL

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    @property
    def images(self) -> int:
        return len(self._records.images)

    @property
    def _unkept(self) -> list[Record]:
        return [record for record in list(self._records.queue.values()) if not record.missing]

    @property
    def unkept(self) -> int:
        """How many files are not on Drive: on their way, or not taken by it."""
        return len(self._unkept)

    @property
    def waiting(self) -> int:
        """How many files are on their way. Those that Drive does not take are not among them."""
        return sum(not record.refused for record in self._unkept)

    @property
    def waiting_bytes(self) -> int:
        return sum(record.now.size for record in self._unkept if not record.refused)

    @property
    def silent(self) -> float:
        """Seconds since its last sign of life; 0.0 where it never ran."""
        return time.monotonic() - self.heartbeat if self.heartbeat else 0.0

    @property
    def hangs(self) -> bool:
        """True if nothing was heard of Drive for longer than a copy of the largest file takes."""
        largest = max((record.now.size for record in self._unkept), default=0)
        return self.silent > HANGS_AFTER + largest / SLOWEST

    @property
    def full(self) -> bool:
        return self.trouble in FULL

    def summary(self) -> str:
        """One line for the panel."""
        images, waiting = self.images, self.waiting
        text = "1 image kept" if images == 1 else f"{images} images kept"
        if images:
            text += f" in {' and '.join(sorted(set(self._records.images.values())))}{self.until}"
        if waiting:
            text += f", {waiting} {'file' if waiting == 1 else 'files'} not saved yet"
        if refused := [record.usual.rpartition("/")[2] for record in self._unkept if record.refused]:
            more = ", ..." if len(refused) > 1 else ""
            text += f", {len(refused)} that Google Drive does not accept ({printable(refused[0])}{more})"
        if self.trouble:
            reason = TROUBLES.get(self.trouble, os.strerror(self.trouble))
            text += f" (Google Drive is not accepting files: {reason})"
        return text + (f" (saving files failed and is being tried again: {self.fault})" if self.fault else "")

    def restore(self) -> int:
        """Bring settings, styles, embeddings and the like from Drive; return how many files came."""
        with self._lock:
            records.sweep_unfinished(self.drive_dir)
            return restore_files(self.drive_dir, self.data, self.say, self._records)

    def start(self) -> None:
        """Begin to poll, in a thread, unless it does; also again, once it was stopped."""
        self._stop.clear()
        if not self.running:
            self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Copy what is left and end."""
        self._stop.set()
        if not self._ends(self._thread):
            return
        if not (self._last and self._last.is_alive()):
            self.heartbeat = time.monotonic()
            self._last = threading.Thread(target=self._finish, name="last files", daemon=True)
            self._last.start()
        self._ends(self._last)

    def _ends(self, thread: threading.Thread | None) -> bool:
        """Wait for its end. False: Drive hangs, and with it the thread; what waits is counted, and stays here."""
        while thread and thread.is_alive():
            thread.join(1)
            if thread.is_alive() and self.hangs:
                self._records.inspect({})  # what came since Drive hangs is not saved either
                return False
        return True

    def _finish(self) -> None:
        for _ in range(MOST_TRIES):  # what is gone is believed at the second poll, what fails thrice is left out
            self.poll(settled=0)
        records.sweep_unfinished(self.drive_dir)

    def poll(self, settled: float = SETTLED) -> None:
        """Make Drive equal once. `settled` in seconds: younger files wait for the next poll."""
        more = True
        while more:
            with self._lock:
                try:
                    more = bool(self._poll(settled) and self.waiting and not self.trouble)
                except Exception as error:
                    traceback.print_exception(error)
                    kind, more = type(error).__name__, False
                    if not self.fault:
                        self.say(f"Saving your files failed ({kind}); it is tried again every few seconds.")
                    self.fault = f"{kind}: {str(error)[:200]}"
                self.heartbeat = time.monotonic()
                self.show(self.summary())

    def _run(self) -> None:
        """Poll when something changed, and now and then."""
        before, due = dict[str, int](), 0.0
        while not self._stop.is_set():
            self.heartbeat = now = time.monotonic()
            traces = self._records.traces()
            again = any(record.due <= now for record in list(self._records.queue.values()))
            if traces != before or again or now >= due:
                before = traces
                self._stop.wait(SETTLED)  # what was written just now can be copied then
                self.poll()
                due = 0.0 if self.fault else now + EVERY  # what it has not seen is looked for soon
            self._stop.wait(self._pause)

    def _poll(self, settled: float) -> int:
        """Look at all files, and bring what is new to Drive; returns how many got there."""
        self.heartbeat = began = time.monotonic()
        if not self.data.is_dir():
            return 0
        self._claims.clear()
        self._records.inspect(self.elsewhere())
        self._pause = min(LONGEST_INTERVAL, max(INTERVAL, REST * (time.monotonic() - began)))
        self.trouble, self.fault = None, None
        try:
            self.drive_dir.stat()  # while Drive is away nothing counts as deleted there
            self._records.keep_checkouts()
            self._follow_what_is_gone()
            return self._copy_what_is_due(settled)
        except OSError as error:
            self.trouble = error.errno or errno.EIO
            return 0

    def _follow_what_is_gone(self) -> None:
        """What is gone is renamed on Drive if it is here under a new name, else deleted."""
        for path, record, new in self._records.gone():
            self.heartbeat = time.monotonic()
            before = self.drive_dir / record.name
            try:
                if self._records.is_ours(path) and is_copy_of(
                    record.kept, before.lstat()
                ):  # nobody has changed it there
                    if new:
                        self._put(new, self._records.all[new], before)
                    else:
                        before.unlink()
            except OSError as error:
                if is_drives_fault(error, self.drive_dir):
                    raise
            self._records.forget(path)

    def _copy_what_is_due(self, settled: float) -> int:
        """Copy what has been unchanged for `settled` seconds; returns how many files were done."""
        queue, now, ready = self._records.queue, time.time(), list[str]()
        for path, record in list(queue.items()):
            young = now - settled < record.now.changed / 1e9 <= now + settled
            if record.missing or record.due > time.monotonic() or young:
                continue
            if self._records.is_left_alone(path, self.drive_dir):
                del queue[path]
            else:
                ready.append(path)
        newest = sorted(ready, key=lambda path: queue[path].now.changed, reverse=True)[:AT_ONCE]
        newest.sort(key=lambda path: queue[path].now.size)  # a large one that does not fit keeps no small one back
        with ThreadPoolExecutor(COPIES) as pool:
            errors = {path: error for path, error in zip(newest, pool.map(self._copy, newest), strict=True) if error}
        done = sum(path not in queue for path in newest)
        if not done and len(errors) > 1 and all(getattr(error, "errno", 0) == errno.EIO for error in errors.values()):
            self.trouble = errno.EIO  # Drive answers nothing but errors: no file's fault
            return 0
        for path, error in errors.items():  # a file that cannot be copied is left out, and named
            record, code = queue[path], getattr(error, "errno", None)
            is_news = not record.refused
            record.tries += MOST_TRIES if not code or code in records.OF_ITS_NAME else 1
            record.due = time.monotonic() + AGAIN_AFTER if record.refused else 0.0
            if record.refused and is_news:
                name, reason = printable(record.usual), os.strerror(code) if code else type(error).__name__
                self._sentence(f"Google Drive does not accept {name} ({reason}). It stays on this machine.")
        return done

    def _sentence(self, text: str) -> None:
        self._sentences += 1
        if self._sentences <= SENTENCES:
            self.say(text)

    def _copy(self, path: str) -> Exception | None:
        """Copy one file, unless Drive is in trouble; returns what is wrong with it, which concerns no other."""
        record, self.heartbeat = self._records.queue[path], time.monotonic()
        try:
            now = records.fingerprint_of(os.stat(path))
            if self.trouble or now != record.now:
                record.now = now  # Drive is away, or it is still written
            else:
                self._put(path, record)
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(path):
                return None  # it was deleted meanwhile
            if not is_drives_fault(error, self.drive_dir):
                return error
            self.trouble = getattr(error, "errno", errno.EIO)
        return None

    def _put(self, path: str, record: Record, before: Path | None = None) -> None:
        """Have one file on Drive, under the wanted name or another that Drive takes: a copy, or `before` renamed."""
        wanted = record.name
        for tries in itertools.count(1):
            try:
                looks = ((name, self._is_there(path, record, name)) for name in alternatives(wanted))
                name, there = next((name, there) for name, there in looks if there is not None)
                if not there:
                    records.copy_to_drive(Path(path), self.drive_dir, name, before)
                break
            except OSError as error:
                if tries == MOST_TRIES or error.errno not in records.OF_ITS_NAME:
                    raise
                wanted = records.around(error, self.drive_dir, wanted)
        if not record.kept and not there and name != record.usual:
            self._sentence(f"{printable(record.usual)} is kept on your Drive as {printable(name)}.")
        note_checksum_of_hub(self.drive_dir, Path(path), name)
        self._records.keep(path, record.now, name)

    def _is_there(self, path: str, record: Record, name: str) -> bool | None:
        """As `Records.is_there`; None also for what is copied to that name just now."""
        mine = self._claims.setdefault(name, path) == path
        return self._records.is_there(path, record, self.drive_dir, name) if mine else None
