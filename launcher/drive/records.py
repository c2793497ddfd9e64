"""One record for each file of the machine that is kept; the queue is those that are not on Drive as they are now."""

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.outside import is_below, printable
from launcher.drive.names import (
    EXTENSIONS,
    HUB_CACHE,
    NOT_KEPT_ENDINGS,
    Fingerprint,
    enters,
    fingerprint_of,
    is_image,
    is_made_here,
)
from launcher.source.git import PLACED_MARK, unchanged_files

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
        return self.tries >= MOST_TRIES


class Records:
    """Records by the files' paths. Copies that go on side by side may call `keep` at once."""

    def __init__(self, data: Path, say: Callable[[str], None]) -> None:
        self.data, self.say = data, say
        self.all: dict[str, Record] = {}
        self.queue: dict[str, Record] = {}
        self.images: dict[str, str] = {}  # an image of this machine that is on Drive -> the folder at the top there
        self.folders: set[str] = set()  # that were looked into: no links, and nothing that is not kept
        self._roots = {str(data): ""}  # folder -> its name on Drive; the data directory is the last
        self._inode: int | None = None  # of the data directory
        self._unreadable: list[str] = []
        self._indexes: dict[Path, int] = {}  # an extension's checkout -> when git's index there was changed last
        self._broken: set[Path] = set()  # checkouts that git cannot read

    def keep(self, path: str, fingerprint: Fingerprint, name: str) -> None:
        """The file is on Drive as it looked then."""
        record = self.all.setdefault(path, Record(fingerprint))
        record.kept, record.tries, record.due = fingerprint, 0, 0.0
        record.name = name if name != self.usual_name(path) else None
        if is_image(name):
            self.images[path] = name.partition("/")[0]
        if record.now == fingerprint:
            self.queue.pop(path, None)

    def forget(self, path: str) -> None:
        del self.all[path]
        self.queue.pop(path, None)
        self.images.pop(path, None)

    def _root_of(self, path: str) -> str:
        return next(root for root in self._roots if f"{path}/".startswith(f"{root}/"))

    def is_inside(self, path: str) -> bool:
        """True for a file in the data directory that is in none of the other folders."""
        return self._root_of(path) == str(self.data)

    def usual_name(self, path: str) -> str:
        """The name on Drive that a file should have, relative to the folder there."""
        root = self._root_of(path)
        return os.path.normpath(os.path.join(self._roots[root], os.path.relpath(path, root)))

    def name_of(self, path: str) -> str:
        """The name on Drive that a file has or should have."""
        return self.all[path].name or self.usual_name(path)

    def is_anothers(self, name: str, path: str) -> bool:
        """True if another file than this one is kept under its usual name, which is that: two folders may have one."""
        tops = self._roots.items()
        usual = (os.path.normpath(os.path.join(root, os.path.relpath(f"/{name}", f"/{top}"))) for root, top in tops)
        others = [self.all[one] for one in usual if one != path and one in self.all and self.name_of(one) == name]
        return any(one.kept for one in others)

    # ---- what is on the machine

    def traces(self) -> dict[str, int]:
        """When the folders, and the settings beside them, were changed last: what is new in a folder changes it."""
        found = dict[str, int]()
        with suppress(OSError):  # it may be gone
            beside = (entry for entry in os.scandir(self.data) if entry.is_file(follow_symlinks=False))
            found = {entry.path: entry.stat(follow_symlinks=False).st_mtime_ns for entry in beside}
        for folder in self.folders:
            with suppress(OSError):
                found[folder] = os.stat(folder).st_mtime_ns
        return found

    def inspect(self, outside: Mapping[Path, str]) -> None:
        """Look at all files. Folders `outside` the data directory, each with its name on Drive, stay known."""
        self._roots = {str(folder): name for folder, name in outside.items()} | self._roots
        self._forget_another_folder()
        found, folders, self._unreadable = set[str](), set[str](), []
        for root, name in self._roots.items():
            for path, now in self._files(root, name, folders):
                found.add(path)
                self._note(path, now)
        self.folders = folders
        for path, record in list(self.all.items()):
            if path in found or f"{path}/".startswith(tuple(self._unreadable)):
                continue
            record.missing += 1
            if record.kept:
                self.queue[path] = record
            else:
                self.forget(path)

    def _files(self, path: str, name: str, folders: set[str]) -> Iterator[tuple[str, Fingerprint]]:
        """The files to keep at a path and below; `folders` gets those that were looked into.

        Links lead to Drive, or nowhere, and are left out, but for those in the hub's cache. What cannot be read is
        said.
        """
        try:
            info = os.stat(path) if path in self._roots else os.lstat(path)
            hubs = stat.S_ISLNK(info.st_mode) and name.startswith(f"{HUB_CACHE}/")
            if hubs and os.path.isfile(path) and is_below(Path(path), self.data):
                info = os.stat(path)
            if stat.S_ISREG(info.st_mode):
                if not path.endswith(NOT_KEPT_ENDINGS) and (self.is_inside(path) or is_made_here(name)):
                    yield path, fingerprint_of(info)
            elif stat.S_ISDIR(info.st_mode) and enters(name.split("/")):
                inside = os.listdir(path)
                folders.add(path)
                for one in inside:
                    yield from self._files(f"{path}/{one}", f"{name}/{one}" if name else one, folders)
        except (FileNotFoundError, NotADirectoryError):  # deleted meanwhile
            return
        except OSError as error:
            self._unreadable.append(f"{path}/")
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

    def _forget_another_folder(self) -> None:
        """If the data directory was deleted and made anew: what was in it is forgotten, nothing deleted on Drive."""
        before, self._inode = self._inode, self.data.stat().st_ino
        if before not in (None, self._inode):
            for path in [path for path in self.all if self.is_inside(path)]:
                self.forget(path)

    def gone(self) -> Iterator[tuple[str, str | None]]:
        """The files that are gone: at once those that are here under a new path, with that, else at the second poll."""
        gone = {path: record for path, record in self.queue.items() if record.missing}
        moved = {record.now: path for path, record in self.queue.items() if not record.missing} if gone else {}
        swept = self._swept_away([path for path, record in gone.items() if record.missing > 1])
        for path, record in gone.items():
            new = moved.pop(record.kept, None) if record.kept else None
            if new is None and path in swept:
                self.forget(path)
            elif new is not None or record.missing > 1:
                yield path, new

    def _swept_away(self, gone: Collection[str]) -> set[str]:
        """Those whose whole folder at the top of the data directory went, or lost all.

        Nobody deletes that much in the web UI. It is the machine's disk that was cleared, and Drive keeps it.
        """
        swept = set[str]()
        for top in {self.usual_name(path).partition("/")[0] for path in gone if self.is_inside(path)}:
            folder = os.path.join(self.data, top, "")
            here = {path for path in gone if path.startswith(folder)}
            if not os.path.isdir(folder) or MANY <= len(here) == sum(path.startswith(folder) for path in self.all):
                swept |= here
        return swept

    # ---- extensions that are git checkouts: git keeps their history, the sync what differs

    def keep_checkouts(self) -> None:
        """Of each checkout that has changed, the files that are as git has them count as kept."""
        for index in self.data.glob(f"{EXTENSIONS}/*/.git/index"):
            checkout, changed = index.parent.parent, index.stat().st_mtime_ns
            if self._indexes.get(checkout) == changed:
                continue
            self._indexes[checkout] = changed
            try:
                names = unchanged_files(checkout)
                self._broken.discard(checkout)
            except Exception as error:  # whatever one extension's repository is, the others and all images are kept
                self._broken.add(checkout)
                self.say(
                    f"Changes in the extension {checkout.name} are not kept: "
                    f"its git repository cannot be read ({type(error).__name__})."
                )
                continue
            for name in names:
                with suppress(FileNotFoundError, NotADirectoryError):  # deleted meanwhile
                    now = fingerprint_of((checkout / name).lstat())
                    self.keep(str(checkout / name), now, f"{EXTENSIONS}/{checkout.name}/{name}")

    def is_left_alone(self, path: str, drive_dir: Path) -> bool:
        """True for a file of an extension whose repository is broken, or whose folder somebody took away on Drive."""
        below = f"{self.data / EXTENSIONS}/"
        name, _, inside = path.removeprefix(below).partition("/")
        if not path.startswith(below) or not inside:
            return False
        checkout = self.data / EXTENSIONS / name
        placed = (checkout / ".git" / PLACED_MARK).exists()
        return checkout in self._broken or (placed and not (drive_dir / EXTENSIONS / name).exists())
