"""What the web UI writes on the machine is kept on Drive, and comes back at the next start."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from launcher.folder import PART

INTERVAL: Final = 2.0  # seconds between two looks
SETTLED: Final = 1.0  # seconds a file must be unchanged before it is copied
SAME_TIME: Final = 2.0  # seconds; some disks store whole or even seconds only
NOT_KEPT: Final = frozenset({"models", "cache", "tmp", "__pycache__", ".locks", ".git", "log"})
NOT_KEPT_ENDINGS: Final = (PART, ".lock", ".tmp", ".incomplete")
COMES_BACK: Final = 50_000_000  # bytes; larger files stay on Drive, images are not brought back at all
OUTPUTS: Final = ("outputs", "output")


@dataclass
class Mirror:
    """Keeps `data` on the machine and `kept` on Drive equal, one way while it runs."""

    data: Path
    kept: Path
    tell: Callable[[str], None]
    waiting: int = 0
    images: int = 0
    trouble: str = ""
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def restore(self) -> int:
        """Bring settings, styles, embeddings and the like from Drive; return how many files came.

        A file that is newer on the machine stays: it is on its way to Drive.
        """
        count = 0
        for name in small_kept_files(self.kept):
            source, target = self.kept / name, self.data / name
            info = source.stat()
            if target.exists() and target.stat().st_mtime >= info.st_mtime - 1:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_whole(source, target)
            self._seen[name] = fingerprint(target)
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
        self.look(settled=0)

    def look(self, settled: float = SETTLED) -> None:
        """Copy every new or changed file once. `settled` in seconds: younger files wait for the next look."""
        with self._lock:
            todo = [name for name in kept_names(self.data) if self._changed(name)]
            self.waiting, self.trouble = len(todo), ""
            for name in todo:
                path = self.data / name
                try:
                    mark, age = fingerprint(path), time.time() - path.stat().st_mtime
                    if 0 <= age < settled:
                        continue
                    target = self.kept / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    copy_whole(path, target)
                except FileNotFoundError:
                    if path.exists():
                        raise
                    continue  # it was deleted meanwhile
                except OSError as error:
                    self.trouble = error.strerror or str(error)
                    break
                self._seen[name] = mark
                self.waiting -= 1
                if name.startswith(OUTPUTS):
                    self.images += 1
            self.tell(self.summary())

    def summary(self) -> str:
        """One line for the panel."""
        text = f"{self.images} images kept" if self.images != 1 else "1 image kept"
        if self.waiting:
            text += f", {self.waiting} {'files' if self.waiting != 1 else 'file'} on the way"
        return text + (f" (Google Drive takes none now: {self.trouble})" if self.trouble else "")

    def _changed(self, name: str) -> bool:
        try:
            mark = fingerprint(self.data / name)
        except FileNotFoundError:
            return False
        if name not in self._seen and is_same(self.data / name, self.kept / name):
            self._seen[name] = mark  # kept by an earlier kernel
        return self._seen.get(name) != mark

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.look()


def fingerprint(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds."""
    info = path.stat()
    return info.st_size, info.st_mtime_ns


def is_same(path: Path, kept: Path) -> bool:
    """True if the kept file is the copy of this one, by size and time of change."""
    if not kept.exists():
        return False
    mine, other = path.stat(), kept.stat()
    return mine.st_size == other.st_size and abs(mine.st_mtime - other.st_mtime) < SAME_TIME


def kept_names(root: Path) -> Iterator[str]:
    """The files below `root` that are to be kept, as paths relative to it. Links to folders are not followed."""
    for where, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in NOT_KEPT and not Path(where, f).is_symlink()]
        for name in names:
            if not name.endswith(NOT_KEPT_ENDINGS):
                yield os.path.relpath(Path(where, name), root)


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


def copy_whole(source: Path, target: Path) -> None:
    """Copy under a temporary name, check the size, rename; the time of change is copied too."""
    part = target.with_name(f".{target.name}{PART}")
    with source.open("rb") as read, part.open("wb") as write:
        shutil.copyfileobj(read, write, 1 << 20)
    info = source.stat()
    if part.stat().st_size != info.st_size:
        part.unlink()
        raise OSError(5, "the copy is not whole")
    os.utime(part, ns=(info.st_atime_ns, info.st_mtime_ns))
    os.replace(part, target)
