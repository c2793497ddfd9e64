"""One record for each file of the machine that is kept; the queue is those that are not on Drive as they are now."""

import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.folder import leads_nowhere
from launcher.core.outside import is_below, printable
from launcher.drive.names import (
    HUB_CACHE,
    IMAGES,
    NOT_KEPT_ENDINGS,
    Fingerprint,
    enters,
    fingerprint_of,
    is_copy_of,
    is_made_here,
    is_output,
)

MOST_TRIES: Final = 3  # of a file whose copy failed for a reason that may pass
MANY: Final = 10  # files of one folder that are gone at once


@dataclass(slots=True)  # there are as many as images: small
class Record:
    now: Fingerprint
    kept: Fingerprint | None = None  # as it was copied last
    name: str | None = None  # on Drive, where it is another than the usual one
    missing: int = 0  # inspections in a row without it
    tries: int = 0  # that failed
    due: float = 0.0  # time.monotonic() from which it is tried again

    @property
    def refused(self) -> bool:
        """Drive does not take it."""
        return self.tries >= MOST_TRIES


class Records:
    """Records by the files' paths. Copies that go on side by side may call `keep` and `claim` at once."""

    def __init__(self, data: Path, say: Callable[[str], None]) -> None:
        self.data, self.say = str(data), say
        self.all: dict[str, Record] = {}
        self.queue: dict[str, Record] = {}
        self.images: Counter[str] = Counter()  # folder on Drive -> how many images of this machine it holds
        self._outside: dict[str, str] = {}  # folder outside of the data directory -> its name on Drive
        self._folders: set[str] = set()  # that were looked into
        self._names: dict[str, str] = {}  # another name on Drive than a file of the data directory has -> the file
        self._inode: int | None = None  # of the data directory
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
        usual = os.path.join(self.data, name)
        with self._lock:
            owner = self._names.get(name, usual)
            if owner != path and owner in self.all:
                return False
            self._use(name, path)
            return True

    def _use(self, name: str, path: str) -> None:
        if path == os.path.join(self.data, name):
            self._names.pop(name, None)
        else:
            self._names[name] = path

    def keep(self, path: str, fingerprint: Fingerprint, name: str) -> None:
        """The file is on Drive as it looked then."""
        with self._lock:
            record = self.all.setdefault(path, Record(fingerprint))
            self._count(path, -1)
            record.kept, record.tries, record.due = fingerprint, 0, 0.0
            record.name = name if name != self.usual_name(path) else None
            self._count(path, 1)
            self._use(name, path)
            if record.now == fingerprint:
                self.queue.pop(path, None)

    def forget(self, path: str) -> None:
        """The file is not on the machine any more."""
        self._count(path, -1)
        del self.all[path]
        self.queue.pop(path, None)

    def _count(self, path: str, by: int) -> None:
        name = self.name_of(path)
        if self.all[path].kept and is_output(name) and name.lower().endswith(IMAGES):
            self.images[name.partition("/")[0]] += by

    def usual_name(self, path: str) -> str:
        """The name on Drive that a file should have, relative to the folder there."""
        root = self._outside_of(path)
        if root is None:
            return path[len(self.data) + 1 :]
        return os.path.normpath(os.path.join(self._outside[root], os.path.relpath(path, root)))

    def _outside_of(self, path: str) -> str | None:
        return next((root for root in self._outside if f"{path}/".startswith(f"{root}/")), None)

    def name_of(self, path: str) -> str:
        """The name on Drive that a file has or should have."""
        return self.all[path].name or self.usual_name(path)

    # ---- what is on the machine

    def folders(self) -> set[str]:
        """The folders to watch: those that were looked into, so no links, and nothing that is not kept."""
        return set(self._folders)

    def inspect(self, outside: Mapping[Path, str], changed: Collection[str] | None) -> None:
        """Look at all files, or at the paths that have `changed` and those that were missing.

        `outside` are folders beside the data directory, with their names on Drive. Such a folder stays known when the
        settings name another: what was written there is kept all the same.
        """
        self._outside |= {str(folder): name for folder, name in outside.items()}
        self._unreadable.clear()
        if self._is_another_folder() or changed is None:
            self._folders.clear()
            places, doubtful = {*self._outside, self.data}, list(self.all)
        else:
            missing = {path for path, record in self.queue.items() if record.missing}
            places = missing.union(*map(self._unknown, changed))
            below = tuple(f"{path}/" for path in self._folders.intersection(places))
            doubtful = [path for path in self.all if path in places or path.startswith(below)] if places else []
        for path in doubtful:
            self.all[path].missing += 1
        for path in places:
            self._look_at(path, self.usual_name(path))
        for path in doubtful:
            record = self.all[path]
            if record.missing and any(f"{path}/".startswith(f"{folder}/") for folder in self._unreadable):
                record.missing -= 1
            elif record.missing and not record.kept:
                self.forget(path)
            elif record.missing:
                self.queue[path] = record

    def _unknown(self, path: str) -> set[str]:
        """The first place on the way to a path that is not a folder known to be kept."""
        while (folder := os.path.dirname(path)) not in self._folders:
            if folder == path:
                return set()
            path = folder
        return {path}

    def _look_at(self, path: str, name: str) -> None:
        """Look at a path and below. Links lead to Drive, or nowhere, and are left out, but for those in the hub's
        cache; what cannot be read is said and left out.
        """
        try:
            info = os.stat(path) if path in self._outside else os.lstat(path)
            hubs = stat.S_ISLNK(info.st_mode) and name.startswith(f"{HUB_CACHE}/")
            if hubs and os.path.isfile(path) and is_below(Path(path), Path(self.data)):
                info = os.stat(path)
            if stat.S_ISREG(info.st_mode):
                if not path.endswith(NOT_KEPT_ENDINGS) and (self.is_inside(path) or is_made_here(name)):
                    self._note(path, fingerprint_of(info))
            elif stat.S_ISDIR(info.st_mode) and enters(name.split("/")):
                found = os.listdir(path)
                self._folders.add(path)
                for inside in found:
                    self._look_at(f"{path}/{inside}", f"{name}/{inside}" if name else inside)
        except (FileNotFoundError, NotADirectoryError):  # deleted meanwhile
            return
        except OSError as error:
            self._unreadable.add(path)
            self.say(f"{printable(path)} cannot be read ({os.strerror(error.errno or 0)}), so nothing in it is kept.")

    def _note(self, path: str, now: Fingerprint) -> None:
        record = self.all.setdefault(path, Record(now))
        if record.now != now:
            record.now, record.due = now, 0.0
        record.missing = 0
        if record.now != record.kept:
            self.queue[path] = record
        else:
            self.queue.pop(path, None)

    def _is_another_folder(self) -> bool:
        """If the data directory was deleted and made anew: what was in it is forgotten, nothing deleted on Drive."""
        before, self._inode = self._inode, os.stat(self.data).st_ino
        if before == self._inode:
            return False
        for path in [path for path in self.all if before is not None and self.is_inside(path)]:
            self.forget(path)
        return True

    def is_inside(self, path: str) -> bool:
        """True for a file in the data directory that is in none of the other folders."""
        return self._outside_of(path) is None

    def swept_away(self, gone: Collection[str]) -> set[str]:
        """Of the files that are gone: those whose whole folder at the top of the data directory went, or lost all.

        Nobody deletes that much in the web UI. It is the machine's disk that was cleared, and Drive keeps it.
        """
        swept = set[str]()
        for top in {self.usual_name(path).partition("/")[0] for path in gone if self.is_inside(path)}:
            folder = os.path.join(self.data, top, "")
            here = {path for path in gone if path.startswith(folder)}
            if not os.path.isdir(folder) or MANY <= len(here) == sum(path.startswith(folder) for path in self.all):
                swept |= here
        return swept

    def is_there(self, drive_dir: Path, path: str, name: str) -> bool | None:
        """Is the file on Drive under this name? None: another one is, which must stay, as all that people make; also
        what a shortcut leads to. A folder that has the name of a setting is not it.
        """
        record = self.all[path]
        try:
            info = (drive_dir / name).lstat()
        except FileNotFoundError:
            return False
        if is_copy_of(record.now, info):
            return True
        if leads_nowhere(drive_dir / name):
            return False
        is_mine = name == self.name_of(path) and is_copy_of(record.kept, info)
        stays = stat.S_ISLNK(info.st_mode) or (is_output(name) and not is_mine)
        return None if stays else False
