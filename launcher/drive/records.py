"""Which files of the machine are kept on Drive, how one is known again, a record for each, and how one gets there."""

import errno
import os
import re
import shutil
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from launcher.core.folder import PART, copy_whole, free_path, leads_nowhere, make_folder_below, shortened
from launcher.core.outside import is_below, make_way, printable
from launcher.source.git import PLACED_MARK, unchanged_files
from launcher.webui.outputs import OUTPUTS

EXTENSIONS: Final = "extensions"
# The hub's cache keeps contents in blobs/, and their names in snapshots/ as links to them. Google Drive has no links: a
# name is kept as the file that it leads to, which is all that the hub's client asks for.
HUB_CACHE: Final = "huggingface"
# Most are made anew; xet has pieces of files that are whole elsewhere.
NOT_KEPT_FOLDERS: Final = re.compile(
    r"(?s)(cache|tmp)|(.+/)?(__pycache__|\.locks|\.git)"
    rf"|{EXTENSIONS}/(.+/)?(cache|tmp|log|models)|{HUB_CACHE}/(.+/)?(blobs|xet)"
)
NOT_KEPT_ENDINGS: Final = (PART, ".lock", ".tmp", ".incomplete")  # A1111 writes an image as NAME.tmp and renames it
IMAGES: Final = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".jxl", ".gif", ".bmp", ".tif", ".tiff")
WRITTEN: Final = (*IMAGES, ".txt", ".csv", ".zip", ".mp4", ".webm")  # by A1111 and its extensions, beside images
UNFINISHED: Final = ".oneclick"  # the folder on Drive for copies that are not whole yet
SAME_TIME: Final = 2.0  # seconds; some disks store whole or even seconds only
# What a file system says of one name only, not of all files.
IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.EISDIR})
OF_ITS_NAME: Final = IN_THE_WAY | {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EPERM, errno.EACCES}
MOST_TRIES: Final = 3  # of a file whose copy failed for a reason that may pass
MANY: Final = 10  # files of one folder that are gone at once
COPIES: Final = 4  # side by side: an operation on Drive takes long, whatever its size


class Fingerprint(NamedTuple):
    """How a file looks without reading it."""

    size: int  # bytes
    changed: int  # nanoseconds
    inode: int  # the same for a file that was only renamed


def fingerprint_of(info: os.stat_result) -> Fingerprint:
    return Fingerprint(info.st_size, info.st_mtime_ns, info.st_ino)


def is_copy_of(fingerprint: Fingerprint | None, info: os.stat_result) -> bool:
    """True if a file on Drive is the copy of the one with this fingerprint, by size and time of change."""
    if fingerprint is None or not stat.S_ISREG(info.st_mode) or fingerprint.size != info.st_size:
        return False
    return abs(fingerprint.changed - info.st_mtime_ns) < SAME_TIME * 1e9


def is_output(name: str) -> bool:
    """True for a name below the folders of what people make: nothing there may ever be overwritten by another file."""
    return name.partition("/")[0] in OUTPUTS


@dataclass(slots=True)  # there are as many as images: small
class Record:
    now: Fingerprint
    usual: str  # the name on Drive that it should have, relative to the folder there
    name: str  # that it has, or should have
    kept: Fingerprint | None = None  # as it was copied last
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
        self.queue: dict[str, Record] = {}  # those of files that are not on Drive as they are now
        self.images: dict[str, str] = {}  # an image of this machine that is on Drive -> the folder at the top there
        self._watched = {str(data)}  # the folders that were looked into, and the settings beside them
        self._roots = {str(data): ""}  # folder -> its name on Drive
        self._inode: int | None = None  # of the data directory
        self._unreadable: list[str] = []
        self._indexes: dict[Path, int] = {}  # an extension's checkout -> when git's index there was changed last
        self._broken: set[Path] = set()  # checkouts that git cannot read

    def keep(self, path: str, fingerprint: Fingerprint, name: str) -> None:
        """The file is on Drive as it looked then."""
        record = self.all.setdefault(path, Record(fingerprint, name, name))
        record.kept, record.name, record.tries, record.due = fingerprint, name, 0, 0.0
        if is_output(name) and name.lower().endswith(IMAGES):
            self.images[path] = name.partition("/")[0]
        if record.now == fingerprint:
            self.queue.pop(path, None)

    def forget(self, path: str) -> None:
        self.all.pop(path, None)
        self.queue.pop(path, None)
        self.images.pop(path, None)

    def is_ours(self, path: str) -> bool:
        """True for a file of the data directory that is in none of the other folders, which may come later than it."""
        others = tuple(f"{root}/" for root in self._roots if root != str(self.data))
        return path.startswith(f"{self.data}/") and not path.startswith(others)

    def is_anothers(self, name: str, path: str) -> bool:
        """True if another file than this one is kept under its usual name, which is that: two folders may have one."""
        places = {f"{root}/{name.removeprefix(top).lstrip('/')}" for root, top in self._roots.items()} - {path}
        return any(self.all[one].kept and self.all[one].name == name for one in places & self.all.keys())

    def is_there(self, path: str, record: Record, drive_dir: Path, name: str) -> bool | None:
        """Is the file on Drive under this name? None: another one is, which must stay, as all that people make; also
        what a shortcut leads to. A folder that has the name of a setting is not it.
        """
        try:
            info = (drive_dir / name).lstat()
        except FileNotFoundError:
            return False
        if is_copy_of(record.now, info):
            return None if self.is_anothers(name, path) else True
        is_mine = name == record.name and is_copy_of(record.kept, info)
        stays = stat.S_ISLNK(info.st_mode) or (is_output(name) and not is_mine)
        return None if stays and not leads_nowhere(drive_dir / name) else False

    # ---- what is on the machine

    def traces(self) -> dict[str, int]:
        """When the folders, and the settings beside them, were changed last: what is new in a folder changes it."""
        found = dict[str, int]()
        for path in self._watched:
            with suppress(OSError):  # it may be gone
                found[path] = os.stat(path).st_mtime_ns
        return found

    def inspect(self, outside: Mapping[Path, str]) -> None:
        """Look at all files. Folders `outside` the data directory, each with its name on Drive, stay known."""
        self._roots = {str(folder): name for folder, name in outside.items()} | self._roots
        before, self._inode = self._inode, self.data.stat().st_ino
        if before not in (None, self._inode):  # it was made anew: what was in it is forgotten, nothing deleted on Drive
            for path in list(filter(self.is_ours, self.all)):
                self.forget(path)
        found, watched, self._unreadable = set[str](), set[str](), []
        for root in self._roots:
            for path, name, now in self._files(root, root, watched):
                found.add(path)
                record = self.all.setdefault(path, Record(now, name, name))
                if record.now != now:
                    record.now, record.due = now, 0.0
                record.missing = 0
                if record.now != record.kept:
                    self.queue[path] = record
                else:
                    self.queue.pop(path, None)
        self._watched = watched
        for path, record in list(self.all.items()):
            if path in found or f"{path}/".startswith(tuple(self._unreadable)):
                continue
            record.missing += 1
            self.queue[path] = record
            if not record.kept:
                self.forget(path)

    def _files(self, root: str, path: str, watched: set[str]) -> Iterator[tuple[str, str, Fingerprint]]:
        """The files to keep at a path and below, each with its name on Drive; `watched` gets what a change shows in.

        Links lead to Drive, or nowhere, and are left out, but for those in the hub's cache. Of a folder that is not
        ours only what A1111 writes is kept, nothing hidden. What cannot be read is said.
        """
        name = f"{self._roots[root]}{path.removeprefix(root)}".lstrip("/")
        if path != root and path in self._roots:
            return  # it has a name of its own
        try:
            info = os.stat(path) if path == root else os.lstat(path)
            hubs = stat.S_ISLNK(info.st_mode) and name.startswith(f"{HUB_CACHE}/")
            if hubs and os.path.isfile(path) and is_below(Path(path), self.data):
                info = os.stat(path)
            if stat.S_ISREG(info.st_mode):
                if "/" not in name:
                    watched.add(path)
                made_here = name.lower().endswith(WRITTEN) and "/." not in f"/{name}"
                if not path.endswith(NOT_KEPT_ENDINGS) and (made_here or root == str(self.data)):
                    yield path, name, fingerprint_of(info)
            elif stat.S_ISDIR(info.st_mode) and not NOT_KEPT_FOLDERS.fullmatch(name):
                inside = os.listdir(path)
                watched.add(path)
                for one in inside:
                    yield from self._files(root, f"{path}/{one}", watched)
        except (FileNotFoundError, NotADirectoryError):  # deleted meanwhile
            return
        except OSError as error:
            self._unreadable.append(f"{path}/")
            self.say(f"{printable(path)} cannot be read ({os.strerror(error.errno or 0)}), so nothing in it is kept.")

    def gone(self) -> Iterator[tuple[str, Record, str | None]]:
        """The files that are gone: at once those that are here under a new path, with that, else at the second poll.

        Not those whose whole folder at the top of the data directory went, or lost all: nobody deletes that much in
        the web UI. It is the machine's disk that was cleared, and Drive keeps it.
        """

        def top(path: str) -> str:
            folder, below, _ = path.removeprefix(f"{self.data}/").partition("/")
            return folder if below else ""  # a file beside the folders

        gone = {path: record for path, record in self.queue.items() if record.missing}
        moved = {record.now: path for path, record in self.queue.items() if not record.missing} if gone else {}
        lost = Counter(top(path) for path, record in gone.items() if record.missing > 1)
        had = Counter(map(top, self.all)) if lost else lost
        lost.pop("", None)
        swept = {name for name, n in lost.items() if not (self.data / name).is_dir() or MANY <= n == had[name]}
        for path, record in gone.items():
            new = moved.pop(record.kept, None) if record.kept else None
            if new is None and record.missing > 1 and top(path) in swept:
                self.forget(path)
            elif new is not None or record.missing > 1:
                yield path, record, new

    # ---- extensions that are git checkouts: git keeps their history, the sync what differs

    def keep_checkouts(self) -> None:
        """Of each checkout that has changed, the files that are as git has them count as kept."""
        for index in self.data.glob(f"{EXTENSIONS}/*/.git/index"):
            checkout, changed = index.parents[1], index.stat().st_mtime_ns
            if self._indexes.get(checkout) == changed:
                continue
            self._indexes[checkout] = changed
            try:
                kept = unchanged_files(checkout)
                self._broken.discard(checkout)
            except Exception as error:  # whatever one extension's repository is, the others and all images are kept
                self._broken.add(checkout)
                why = f"its git repository cannot be read ({type(error).__name__})"
                self.say(f"Changes in the extension {checkout.name} are not kept: {why}.")
                continue
            for name in kept:
                with suppress(FileNotFoundError, NotADirectoryError):  # deleted meanwhile
                    now = fingerprint_of((checkout / name).lstat())
                    self.keep(str(checkout / name), now, f"{EXTENSIONS}/{checkout.name}/{name}")

    def is_left_alone(self, path: str, drive_dir: Path) -> bool:
        """True for a file of an extension whose repository is broken, or whose folder somebody took away on Drive."""
        name = path.removeprefix(f"{self.data / EXTENSIONS}/").partition("/")[0]  # "" of a file that is elsewhere
        here, there = self.data / EXTENSIONS / name, drive_dir / EXTENSIONS / name
        return here in self._broken or ((here / ".git" / PLACED_MARK).exists() and not there.exists())


def around(error: OSError, drive_dir: Path, name: str) -> str:
    """The name that Drive takes in place of one it refused.

    What is in the way of an image stays there, for it may be a person's: the image gets another folder. Settings have
    no other name.
    """
    if error.errno not in IN_THE_WAY:
        return shortened(name)
    if not is_output(name):
        make_way(drive_dir, drive_dir / name)
        return name
    *folders, last = name.split("/")
    above = drive_dir
    for folder in folders:
        above = free_path(above / folder, lambda place: os.path.lexists(place) and not place.is_dir())
    return str((above / last).relative_to(drive_dir))


def copy_to_drive(source: Path, drive_dir: Path, name: str, before: Path | None = None) -> None:
    """Copy one file, or rename its copy of `before`, making the folders it needs. Raises `OSError`."""
    target, part = drive_dir / name, drive_dir / UNFINISHED / f"{threading.get_ident()}{PART}"
    put = partial(os.replace, before, target) if before else partial(copy_whole, source, target, part)
    try:
        put()
    except FileNotFoundError:
        for folder in (part.parent, target.parent):
            make_folder_below(drive_dir, folder)
        put()


def sweep_unfinished(drive_dir: Path) -> None:
    """Take away copies that were cut off, and what has the name of their folder."""
    unfinished = drive_dir / UNFINISHED
    with suppress(OSError):  # it is a folder, or not there
        unfinished.unlink()
    shutil.rmtree(unfinished, ignore_errors=True)
