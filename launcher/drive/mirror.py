"""What the web UI writes on the machine is kept on Drive, and comes back at the next start."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from launcher.core.folder import PART, make_folder_below

INTERVAL: Final = 2.0  # seconds between two looks
LONGEST_INTERVAL: Final = 6.0  # seconds; with what a look takes it stays below the ten that are promised
REST: Final = 50  # times as long as the last look for files took: 20,000 of them take 0.13 s (docs/benchmarks.md)
SETTLED: Final = 1.0  # seconds a file must be unchanged before it is copied
SAME_TIME: Final = 2.0  # seconds; some disks store whole or even seconds only
SIDE_BY_SIDE: Final = 4  # copies at a time: an operation on Drive takes long, whatever its size
NOT_KEPT: Final = frozenset({"models", "cache", "tmp", "__pycache__", ".locks", ".git", "log"})
NOT_KEPT_ENDINGS: Final = (PART, ".lock", ".tmp", ".incomplete")
COMES_BACK: Final = 50_000_000  # bytes; larger files stay on Drive, images are not brought back at all
OUTPUTS: Final = ("outputs", "output")
UNFINISHED: Final = ".oneclick"  # the folder on Drive for copies that are not whole yet
TROUBLES: Final = {
    errno.ENOSPC: "it is full",
    errno.EDQUOT: "it is full",
    errno.ENOTCONN: "it was disconnected",
    errno.ENOENT: "it was disconnected",  # unmounted: its folder is not there at all
    errno.ECONNABORTED: "it was disconnected",
    errno.EIO: "it answers with errors",
}


class Mark(NamedTuple):
    """How a file looked when it was kept."""

    size: int  # bytes
    changed: int  # nanoseconds
    inode: int  # the same for a file that was only renamed


@dataclass
class Mirror:
    """Keeps `kept` on Drive equal to `data` on the machine while it runs; never the other way round.

    New and changed files are copied, renamed ones renamed, deleted ones deleted. What is deleted on Drive from elsewhere stays
    on the machine. `unchanged` tells which files of a git checkout are as git has them: those need not be kept again.
    """

    data: Path
    kept: Path
    tell: Callable[[str], None]
    unchanged: Callable[[Path], Iterable[str]] = lambda checkout: ()
    waiting: int = 0
    waiting_bytes: int = 0
    images: int = 0
    trouble: int = 0  # the errno of the last failure, 0 while all is well
    _seen: dict[str, Mark] = field(default_factory=dict)
    _missing: set[str] = field(default_factory=set)
    _checkouts: dict[str, int] = field(default_factory=dict)
    _pause: float = INTERVAL

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock, self._counting = threading.Lock(), threading.Lock()

    def restore(self) -> int:
        """Bring settings, styles, embeddings and the like from Drive; return how many files came.

        A file that is newer on the machine stays: it is on its way to Drive.
        """
        shutil.rmtree(self.kept / UNFINISHED, ignore_errors=True)  # copies that a kill cut off
        count = 0
        for name in small_kept_files(self.kept):
            source, target = self.kept / name, self.data / name
            info = source.stat()
            if target.exists() and target.stat().st_mtime >= info.st_mtime - 1:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_whole(source, target, target.with_name(f".{target.name}{PART}"))
            self._seen[name] = mark_of(target.stat())
            count += 1
        return count

    def start(self) -> None:
        """Begin to look every few seconds, in a thread."""
        self._thread = threading.Thread(target=self._watch, name="mirror", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Copy what is left and end."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=60)
        for _ in range(2):  # what is gone is believed at the second look
            self.look(settled=0)

    def look(self, settled: float = SETTLED) -> None:
        """Make Drive equal once. `settled` in seconds: younger files wait for the next look."""
        with self._lock:
            if not self.data.is_dir():
                return
            self.trouble = 0
            began = time.monotonic()
            there = dict(kept_files(self.data))
            self._pause = min(LONGEST_INTERVAL, max(INTERVAL, REST * (time.monotonic() - began)))
            try:
                self.kept.stat()  # while Drive is away nothing counts as deleted there
                self._accept_checkouts()
                todo = {name: mark for name, mark in there.items() if self._is_new(name, mark)}
                self._follow_the_missing(there, todo)
                self._keep_all(todo, settled)
            except OSError as error:
                self._note_trouble(error)
                self._count([mark for name, mark in there.items() if self._seen.get(name) != mark])
            self.tell(self.summary())

    def summary(self) -> str:
        """One line for the panel."""
        text = f"{self.images} images kept" if self.images != 1 else "1 image kept"
        if self.waiting:
            text += f", {self.waiting} {'files' if self.waiting != 1 else 'file'} on the way"
        return text + (
            f" (Google Drive takes none now: {TROUBLES.get(self.trouble, os.strerror(self.trouble))})"
            if self.trouble
            else ""
        )

    @property
    def full(self) -> bool:
        """True while Drive takes no more for want of room."""
        return self.trouble in (errno.ENOSPC, errno.EDQUOT)

    def _is_new(self, name: str, mark: Mark) -> bool:
        if name not in self._seen and is_same(mark, self.kept / name):
            self._seen[name] = mark  # kept by an earlier kernel
        return self._seen.get(name) != mark

    def _keep_all(self, todo: dict[str, Mark], settled: float) -> None:
        self._count(todo.values())
        old = time.time() - settled
        ready = [
            name
            for name, mark in todo.items()
            if not settled or mark.changed / 1e9 <= old or mark.changed / 1e9 > time.time()
        ]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(lambda name: self._keep(name, todo[name]), ready))

    def _keep(self, name: str, mark: Mark) -> None:
        """Copy one file, unless Drive is in trouble."""
        if self.trouble:
            return
        target = self.kept / name
        part = self.kept / UNFINISHED / f"{mark.inode}-{target.name}"
        try:
            for folder in (target.parent, part.parent):
                make_folder_below(self.kept, folder)
            copy_whole(self.data / name, target, part)
        except FileNotFoundError:
            if (self.data / name).exists():
                raise
            return  # it was deleted meanwhile
        except OSError as error:
            self._note_trouble(error)
            return
        with self._counting:
            self._seen[name] = mark
            self.waiting -= 1
            self.waiting_bytes -= mark.size
            self.images += name.startswith(OUTPUTS)
            text = self.summary()
        self.tell(text)

    def _follow_the_missing(self, there: dict[str, Mark], todo: dict[str, Mark]) -> None:
        """What was kept and is gone here: renamed on Drive if it is here under a new name, else deleted at the second look."""
        gone = [name for name in self._seen if name not in there]
        for name in gone:
            mark = self._seen[name]
            new = next((other for other, found in todo.items() if found == mark), "")
            if not new and name not in self._missing:
                self._missing.add(name)
                continue
            if is_same(mark, self.kept / name):  # our copy; a file that somebody changed on Drive stays
                if new:
                    make_folder_below(self.kept, (self.kept / new).parent)
                    os.replace(self.kept / name, self.kept / new)
                    self._seen[new] = todo.pop(new)
                else:
                    (self.kept / name).unlink()
            del self._seen[name]
        self._missing &= set(gone) & set(self._seen)

    def _accept_checkouts(self) -> None:
        """Take what git has as kept, whenever a checkout has changed."""
        for index in self.data.glob("extensions/*/.git/index"):
            checkout, changed = index.parent.parent, index.stat().st_mtime_ns
            name = str(checkout.relative_to(self.data))
            if self._checkouts.get(name) == changed:
                continue
            for inside in self.unchanged(checkout):
                path = checkout / inside
                if path.exists():
                    self._seen[f"{name}/{inside}"] = mark_of(path.lstat())
            self._checkouts[name] = changed

    def _count(self, new: Collection[Mark]) -> None:
        self.waiting, self.waiting_bytes = len(new), sum(mark.size for mark in new)

    def _note_trouble(self, error: OSError) -> None:
        self.trouble = error.errno or errno.EIO

    def _watch(self) -> None:
        while not self._stop.wait(self._pause):
            self.look()


def mark_of(info: os.stat_result) -> Mark:
    """A file's mark from what `stat` says."""
    return Mark(info.st_size, info.st_mtime_ns, info.st_ino)


def is_same(mark: Mark, kept: Path) -> bool:
    """True if the kept file is the copy of the one with this mark, by size and time of change."""
    try:
        other = kept.stat()
    except FileNotFoundError:
        return False
    return mark.size == other.st_size and abs(mark.changed - other.st_mtime_ns) < SAME_TIME * 1e9


def kept_files(root: Path, below: str = "") -> Iterator[tuple[str, Mark]]:
    """The files below `root` that are to be kept, as paths relative to it, with their marks. Links lead to Drive and are left out."""
    with os.scandir(root / below) as entries:
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            try:
                if entry.is_symlink():
                    continue
                if entry.is_dir():
                    if entry.name not in NOT_KEPT:
                        yield from kept_files(root, name)
                elif not entry.name.endswith(NOT_KEPT_ENDINGS):
                    yield name, mark_of(entry.stat())
            except FileNotFoundError:  # deleted while we looked
                continue


def small_kept_files(kept: Path) -> Iterator[str]:
    """What a start brings back: the files at the top that A1111 keeps there, and a few folders of small files."""
    for pattern in ("config.json", "ui-config.json", "*.csv", "params.txt"):
        for path in sorted(kept.glob(pattern)):
            yield path.name
    for folder in ("embeddings", "huggingface", "config_states"):
        for where, _, names in os.walk(kept / folder):
            for name in names:
                path = Path(where, name)
                if not name.endswith(NOT_KEPT_ENDINGS) and path.stat().st_size <= COMES_BACK:
                    yield str(path.relative_to(kept))


def copy_whole(source: Path, target: Path, part: Path) -> None:
    """Copy under the temporary name `part`, check the size, rename; the time of change is copied too."""
    with source.open("rb") as read, part.open("wb") as write:
        shutil.copyfileobj(read, write, 1 << 20)
    info = source.stat()
    if part.stat().st_size != info.st_size:
        part.unlink()
        raise OSError(errno.EIO, "the copy is not whole")
    os.utime(part, ns=(info.st_atime_ns, info.st_mtime_ns))
    os.replace(part, target)
