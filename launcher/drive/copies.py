"""What is new goes to Drive, what is gone goes there too: each file by itself, so that none keeps the others back."""

import errno
import os
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from launcher.core.folder import make_folder_below
from launcher.drive.checkouts import Checkouts
from launcher.drive.copying import (
    IN_THE_WAY,
    NAME_TROUBLE,
    around_files,
    copy_to_drive,
    is_copy,
    is_same,
    name_on_drive,
    shortened,
)
from launcher.drive.kept import Mark, is_output, mark_of
from launcher.drive.scan import Scan
from launcher.drive.troubles import is_drives_fault, printable, reason_of

SIDE_BY_SIDE: Final = 4  # copies at a time: an operation on Drive takes long, whatever its size
AT_ONCE: Final = 200  # files between two looks: a new image does not wait for thousands of old ones
SENTENCES: Final = 5  # on single files; the panel's line counts the rest


class Copies:
    """Makes Drive equal to what the ledger says. `on_sign` is called for each file, with True if it was copied."""

    def __init__(
        self,
        kept: Path,
        scan: Scan,
        checkouts: Checkouts,
        say: Callable[[str], None],
        on_sign: Callable[[bool], None],
    ) -> None:
        self.kept, self.ledger, self.scan, self.checkouts = kept, scan.ledger, scan, checkouts
        self.trouble = 0  # the errno of Drive's last failure in this look, 0 while all is well
        self.waiting, self.waiting_bytes = 0, 0
        self._say, self._on_sign, self._sentences = say, on_sign, 0
        self._errors: list[tuple[str, Mark, Exception]] = []
        self._gone: set[str] = set()  # kept files that were not there at the last look
        self._lock = threading.Lock()

    @property
    def gone(self) -> frozenset[str]:
        """What was missing at the last look, and is believed to be gone if it is missing again."""
        return frozenset(self._gone)

    def keep_new(self, settled: float) -> int:
        """Copy what is new and unchanged for `settled` seconds; returns how many files were done."""
        now = time.time()
        ready = []
        for source, mark in list(self.ledger.new.items()):
            if self.checkouts.left_alone(source):
                del self.ledger.new[source]
            elif self.ledger.is_due(source, mark) and not now - settled < mark.changed / 1e9 <= now + settled:
                ready.append((source, mark))
        newest = sorted(ready, key=lambda one: one[1].changed, reverse=True)[:AT_ONCE]
        smallest = sorted(newest, key=lambda one: one[1].size)  # a large one that does not fit keeps no small one back
        self.count()
        before, self._errors = len(self.ledger.new), []
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(lambda one: self._keep(*one), smallest))
        done = before - len(self.ledger.new)
        self._judge(done)
        self.count()
        return done

    def count(self) -> None:
        """Count what is on its way."""
        marks = list(self.ledger.waiting())
        self.waiting, self.waiting_bytes = len(marks), sum(mark.size for mark in marks)

    def follow_the_gone(self, gone: Collection[str]) -> None:
        """What is gone here is renamed on Drive if it is here under a new name, else deleted at the second look."""
        new_names = {mark: source for source, mark in self.ledger.new.items()} if gone else {}
        waits, swept = set(), self.scan.swept_away([source for source in gone if source in self._gone])
        for source in gone:
            new = new_names.pop(self.ledger.seen[source].mark, "")
            if not new and source not in self._gone:
                waits.add(source)
                continue
            if source in swept and not new:
                self.ledger.forget(source)
                continue
            try:
                self._follow(source, new)
            except OSError as error:
                if is_drives_fault(error, self.kept):
                    raise
            self.ledger.forget(source)
        self._gone = waits

    def _follow(self, source: str, new: str) -> None:
        mark, name = self.ledger.seen[source]
        if self.scan.is_elsewhere(source) or not is_copy(mark, self.kept / name):
            return  # a file that somebody changed on Drive stays
        if not new:
            (self.kept / name).unlink()
            return
        try:
            place, there = self._name_for(new, mark)
            if not there:
                make_folder_below(self.kept, (self.kept / place).parent)
                os.replace(self.kept / name, self.kept / place)
            self.ledger.remember(new, mark, place)
        finally:
            self.ledger.release(new)

    def _keep(self, source: str, mark: Mark) -> None:
        """Copy one file, unless Drive is in trouble. What goes wrong with it concerns no other file."""
        if self.trouble:
            return
        self._on_sign(False)
        try:
            if mark_of(os.stat(source)) != mark:
                return  # it is still written; the next look knows more
            name, there = self._copy(source, mark)
            first = source not in self.ledger.seen
            self.ledger.remember(source, mark, name)
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(source):
                return  # it was deleted meanwhile
            if is_drives_fault(error, self.kept):
                self.note_trouble(error)
            else:
                with self._lock:
                    self._errors.append((source, mark, error))
            return
        finally:
            self.ledger.release(source)
        wanted = self.scan.name_of(source)
        if first and not there and name != wanted:
            self._sentence(f"{printable(wanted)} is kept on your Drive as {printable(name)}.")
        if not there:
            with self._lock:
                self.waiting -= 1
                self.waiting_bytes -= mark.size
            self._on_sign(True)

    def _copy(self, source: str, mark: Mark) -> tuple[str, bool]:
        """Copy one file under a name that Drive takes; returns it, and whether the copy was there already."""
        wanted = ""
        for last in (False, False, True):
            name, there = self._name_for(source, mark, wanted)
            try:
                if not there:
                    copy_to_drive(Path(source), self.kept, name)
                return name, there
            except OSError as error:
                if last or error.errno not in NAME_TROUBLE | IN_THE_WAY:
                    raise
                wanted = around_files(self.kept, name) if error.errno in IN_THE_WAY else shortened(name)
        raise AssertionError  # the last try returns or raises

    def _name_for(self, source: str, mark: Mark, wanted: str = "") -> tuple[str, bool]:
        """The name on Drive, and whether its copy is there. What people make never replaces another file."""
        mine = self.ledger.seen.get(source)
        return name_on_drive(
            self.kept,
            wanted or (mine.name if mine else self.scan.name_of(source)),
            mark,
            may_replace=lambda name, info: (
                not is_output(name) or (mine is not None and name == mine.name and is_same(mine.mark, info))
            ),
            may_use=lambda name: self.ledger.reserve(name, source),
        )

    def _judge(self, done: int) -> None:
        """If Drive answered nothing but errors it is in trouble; else single files are left out, and named."""
        if not done and len(self._errors) > 1 and all(getattr(e, "errno", 0) == errno.EIO for _, _, e in self._errors):
            self.trouble = errno.EIO
            return
        for source, mark, error in self._errors:
            for_good = not isinstance(error, OSError) or error.errno in NAME_TROUBLE | IN_THE_WAY
            if self.ledger.failed(source, mark, reason_of(error), for_good=for_good):
                name = printable(self.scan.name_of(source))
                self._sentence(f"Google Drive does not accept {name} ({reason_of(error)}). It stays on this machine.")

    def _sentence(self, text: str) -> None:
        with self._lock:
            self._sentences += 1
            if self._sentences > SENTENCES:
                return
        self._say(text)

    def note_trouble(self, error: Exception) -> None:
        """Drive is in trouble: nothing more is tried in this look."""
        self.trouble = getattr(error, "errno", 0) or errno.EIO
