"""One record for each file of the machine that is kept; the queue is those that are not on Drive as they are now."""

import contextlib
import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.drive.names import NOT_ON_TOP, Fingerprint, files_below, is_copy_of, is_image, is_output, printable

MANY: Final = 10  # files of one folder that are gone at once


@dataclass(slots=True)
class Record:
    now: Fingerprint
    wanted: str  # the name on Drive that it should have, relative to the folder there
    outside: bool = False  # of the data directory
    kept: Fingerprint | None = None  # as it was copied last
    name: str | None = None  # under which it was
    missing: int = 0  # inspections in a row without it
    tries: int = 0  # that failed
    refused: bool = False  # Drive does not take it
    due: float = 0.0  # time.monotonic() from which it is tried again


class Records:
    """Records by the files' paths. Copies that go on side by side may call `keep` and `claim` at once."""

    def __init__(self, data: Path, say: Callable[[str], None]) -> None:
        self.data, self.say = str(data), say
        self.all: dict[str, Record] = {}
        self.queue: dict[str, Record] = {}
        self.images: Counter[str] = Counter()  # folder on Drive -> how many images of this machine it holds
        self._outside: dict[str, str] = {}  # folder outside of the data directory -> its name on Drive
        self._names: dict[str, str] = {}  # name on Drive -> the file it is used for
        self._inode: int | None = None  # of the data directory
        self._on_top: set[tuple[str, int]] = set()
        self._unreadable: set[str] = set()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> list[Record]:
        """What is on its way to Drive."""
        return [record for record in list(self.queue.values()) if not record.refused and not record.missing]

    @property
    def refused(self) -> list[str]:
        return [path for path, record in list(self.queue.items()) if record.refused]

    def summary(self) -> str:
        images, waiting, refused = self.images.total(), len(self.waiting), self.refused
        text = f"{images} images kept" if images != 1 else "1 image kept"
        if images:
            text += f" in {' and '.join(sorted(folder for folder, count in self.images.items() if count))}"
        if waiting:
            text += f", {waiting} {'files' if waiting != 1 else 'file'} not saved yet"
        if refused:
            text += f", {len(refused)} that Google Drive does not accept ({printable(os.path.basename(refused[0]))}"
            text += ", ...)" if len(refused) > 1 else ")"
        return text

    def claim(self, name: str, path: str) -> bool:
        """True if no other file uses this name on Drive; from now on this one does."""
        with self._lock:
            owner = self._names.get(name, path)
            if owner != path and owner in self.all:
                return False
            self._names[name] = path
            return True

    def keep(self, path: str, fingerprint: Fingerprint, name: str) -> None:
        """The file is on Drive as it looked then."""
        with self._lock:
            record = self.all.setdefault(path, Record(fingerprint, name))
            self._count(record, -1)
            record.kept, record.name, record.tries, record.refused, record.due = fingerprint, name, 0, False, 0.0
            self._count(record, 1)
            self._names[name] = path
            if record.now == fingerprint:
                self.queue.pop(path, None)

    def forget(self, path: str) -> None:
        """The file is not on the machine any more."""
        self._count(self.all.pop(path), -1)
        self.queue.pop(path, None)

    def _count(self, record: Record, by: int) -> None:
        if record.name is not None and is_image(record.name):
            self.images[record.name.partition("/")[0]] += by

    # ---- what is on the machine

    def folders(self) -> set[str]:
        """The folders to watch: no links, which lead to Drive, and nothing that is not kept."""
        if not os.path.isdir(self.data):
            return set()
        with os.scandir(self.data) as entries:
            top = {e.path for e in entries if not e.is_symlink() and e.is_dir() and e.name not in NOT_ON_TOP}
        return top | {folder for folder in self._outside if os.path.isdir(folder)}

    def changed_on_top(self) -> bool:
        """True if files beside those folders have changed since it was asked last: settings, for example."""
        before = self._on_top
        with contextlib.suppress(FileNotFoundError):  # one was deleted just now: the next time shows it
            self._on_top = {(path.name, path.lstat().st_mtime_ns) for path in Path(self.data).glob("*")}
        return self._on_top != before

    def inspect(self, outside: Mapping[Path, str]) -> None:
        """Look at all files. `outside` are folders beside the data directory, with their names on Drive.

        Such a folder stays known when the settings name another: what was written there is kept all the same.
        """
        self._outside |= {str(folder): name for folder, name in outside.items()}
        self._forget_another_folder()
        self._unreadable, found = set(), set[str]()
        for root, name in {**self._outside, self.data: ""}.items():
            for path, fingerprint in files_below(root, Path(name).parts, self._cannot_read):
                found.add(path)
                record = self.all.get(path)
                if record is None:
                    wanted = os.path.join(name, os.path.relpath(path, root))
                    record = self.all[path] = Record(fingerprint, wanted, outside=bool(name))
                elif record.now != fingerprint:
                    record.now, record.due = fingerprint, 0.0
                record.missing = 0
        for path, record in list(self.all.items()):
            if path in found or any(f"{path}/".startswith(f"{folder}/") for folder in self._unreadable):
                continue
            record.missing += 1
            if record.name is None:
                self.forget(path)
        self.queue = {path: record for path, record in self.all.items() if record.missing or record.now != record.kept}

    def _forget_another_folder(self) -> None:
        """If the data directory was deleted and made anew: what was in it is forgotten, nothing deleted on Drive."""
        before, self._inode = self._inode, os.stat(self.data).st_ino
        if before not in (None, self._inode):
            for path in [path for path, record in self.all.items() if not record.outside]:
                self.forget(path)

    def swept_away(self, gone: Collection[str]) -> set[str]:
        """Of the files that are gone: those whose whole folder at the top of the data directory went, or lost all.

        Nobody deletes that much in the web UI. It is the machine's disk that was cleared, and Drive keeps it.
        """
        swept = set[str]()
        for top in {self.all[path].wanted.partition("/")[0] for path in gone if not self.all[path].outside}:
            folder = os.path.join(self.data, top, "")
            here = {path for path in gone if path.startswith(folder)}
            if not os.path.isdir(folder) or MANY <= len(here) == sum(path.startswith(folder) for path in self.all):
                swept |= here
        return swept

    def _cannot_read(self, path: str, error: OSError) -> None:
        self._unreadable.add(path)
        self.say(f"{printable(path)} cannot be read ({os.strerror(error.errno or 0)}), so nothing in it is kept.")


def is_there(drive_dir: Path, record: Record, name: str) -> bool | None:
    """Is the file on Drive under this name? None: another one is, which must stay, as all that people make."""
    try:
        info = (drive_dir / name).lstat()
    except FileNotFoundError:
        return False
    if is_copy_of(record.now, info):
        return True
    is_mine = name == record.name and is_copy_of(record.kept, info)
    return False if stat.S_ISREG(info.st_mode) and (is_mine or not is_output(name)) else None
