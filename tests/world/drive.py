"""A stand-in for Google Drive's FUSE mount: a real FUSE file system over a folder, with Drive's manners.

    python tests/world/drive.py FOLDER MOUNTPOINT CONTROL

As on Colab's Drive: no symbolic or hard links (Errno 95), no exec bits, chmod and chown refused (Errno 1). CONTROL is
a JSON file that may change at any time; see `Manners`. "Drive drops" is this process killed: the mount then answers
with the real Errno 107 until it is unmounted, as Google's does (googlecolab/colabtools#5970).
"""

import errno
import json
import os
import random
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mfusepy
from mfusepy import FuseOSError


@dataclass(frozen=True)
class Manners:
    """How this Drive behaves just now."""

    latency: float = 0.0  # seconds an operation takes
    rate: float = 0.0  # bytes a second read or written, 0: no limit
    free: int = -1  # bytes that may still be written, -1: as much as the disk has
    big_folder: int = 0  # a folder with more entries answers with Errno 5, 0: none does
    appears_after: float = 0.0  # seconds until a file that was put there from elsewhere is seen
    read_only: str = (
        ""  # what is written below this path (as on the mount) answers with Errno 13, as a folder shared for reading
    )
    longest_name: int = 255  # bytes; a longer name answers with Errno 36
    refuses: str = ""  # a name that holds this cannot be written: Errno 22
    loses: int = -1  # bytes of a file beyond which what is written is lost without a word, -1: none are
    holds: str = ""  # a read in the middle of a file so named waits until this changes, then it fails: Errno 5
    errors: float = 0.0  # of so many of all writes (0.0 to 1.0) the answer is Errno 5
    keeps_back: str = (
        ""  # the contents of a file whose path holds this answer with Errno 5, as for a day after many reads
    )


class Drive(mfusepy.Operations):  # type: ignore[misc]  # mfusepy has no types
    """The file system. Paths come as FUSE gives them: absolute, below the mount point."""

    use_ns = True

    def __init__(self, folder: Path, control: Path) -> None:
        self.folder, self.control = str(folder), control
        self._manners, self._read_at, self._written = Manners(), -1, 0
        self._line, self._line_free = threading.Lock(), 0.0
        self._held, self._failing_until = "", 0.0  # the file whose read was held; until when its reads fail
        self._ours: set[str] = set()  # written through this mount, so seen at once

    # ---- manners

    def _step(self, size: int = 0) -> Manners:
        """One operation that moves `size` bytes: it takes its time."""
        if self.control.exists() and (changed := self.control.stat().st_mtime_ns) != self._read_at:
            self._manners, self._read_at, self._written = Manners(**json.loads(self.control.read_text())), changed, 0
        manners = self._manners
        end = time.monotonic() + manners.latency
        if size and manners.rate:
            with self._line:  # all share one line
                self._line_free = max(self._line_free, time.monotonic()) + size / manners.rate
                end = max(end, self._line_free)
        time.sleep(max(0.0, end - time.monotonic()))
        return manners

    def _at(self, path: str) -> str:
        """Google's mount shows MyDrive, and as "My Drive" once more; `drive.mount` looks for that name."""
        first, *rest = path.lstrip("/").split("/")
        return self.folder + ("/".join(["/MyDrive", *rest]) if first == "My Drive" else path)

    def _writes(self, path: str, size: int = 0) -> Manners:
        """One operation that changes what is at `path`: it may be refused."""
        manners, name = self._step(size), os.path.basename(path)
        if manners.read_only and f"{path}/".startswith(manners.read_only):
            raise FuseOSError(errno.EACCES)
        if len(os.fsencode(name)) > manners.longest_name:
            raise FuseOSError(errno.ENAMETOOLONG)
        if manners.refuses and manners.refuses in name:
            raise FuseOSError(errno.EINVAL)
        if manners.errors and random.random() < manners.errors:
            raise FuseOSError(errno.EIO)
        return manners

    def _hidden(self, manners: Manners, path: str) -> bool:
        if not manners.appears_after or path in self._ours:
            return False
        found = os.lstat(self._at(path))
        return not os.path.isdir(self._at(path)) and time.time() - found.st_ctime < manners.appears_after

    # ---- looking

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        manners = self._step()
        found = os.lstat(self._at(path))
        if self._hidden(manners, path):
            raise FuseOSError(errno.ENOENT)
        keys = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")
        told = {key: getattr(found, key) for key in keys}
        told |= {"st_atime": found.st_atime_ns, "st_mtime": found.st_mtime_ns, "st_ctime": found.st_ctime_ns}
        told["st_mode"] = (found.st_mode & ~0o777) | (0o700 if os.path.isdir(self._at(path)) else 0o600)
        return told

    def readdir(self, path: str, fh: int) -> Any:
        manners = self._step()
        names = os.listdir(self._at(path))
        if manners.big_folder and len(names) > manners.big_folder:
            raise FuseOSError(errno.EIO)
        return [".", "..", *(n for n in names if not self._hidden(manners, f"{path.rstrip('/')}/{n}"))]

    def readlink(self, path: str) -> str:
        """A shortcut. None can be made through the mount; those there are lead elsewhere on Drive, or nowhere."""
        self._step()
        return os.readlink(self._at(path))

    def access(self, path: str, amode: int) -> int:
        self._step()
        os.lstat(self._at(path))
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        manners, disk = self._step(), os.statvfs(self._at(path))
        told = {
            key: getattr(disk, key)
            for key in ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_files", "f_ffree", "f_frsize", "f_namemax")
        }
        if manners.free >= 0:
            told["f_bavail"] = told["f_bfree"] = max(0, manners.free - self._written) // told["f_frsize"]
        return told

    # ---- reading and writing

    def open(self, path: str, flags: int) -> int:
        self._step()
        return os.open(self._at(path), flags & ~os.O_EXCL)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._writes(path)
        self._ours.add(path)
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT, 0o600)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        if self._manners.keeps_back and self._manners.keeps_back in path:
            raise FuseOSError(errno.EIO)
        content = os.pread(fh, size, offset)
        holds = self._manners.holds
        in_the_middle = os.fstat(fh).st_size / 4 < offset < os.fstat(fh).st_size * 3 / 4
        if holds and holds in path and in_the_middle:
            with self._line:
                first, self._held = not self._held, holds
            if first:  # the others go on: a mount has only so many threads
                Path(f"{self.control}.held").touch()
                while self._step().holds == holds:
                    time.sleep(0.02)
                self._failing_until = time.monotonic() + 1  # the system asks again before it believes it
        if self._held and self._held in path and in_the_middle and time.monotonic() < self._failing_until:
            raise FuseOSError(errno.EIO)
        self._step(len(content))
        return content

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        manners = self._writes(path, len(data))
        if 0 <= manners.free < self._written + len(data):
            raise FuseOSError(errno.ENOSPC)
        self._written += len(data)
        os.pwrite(fh, data[: max(0, manners.loses - offset)] if manners.loses >= 0 else data, offset)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        self._step()
        os.truncate(self._at(path), length)
        return 0

    def flush(self, path: str, fh: int) -> int:
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._step()
        return 0

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    # ---- names

    def mkdir(self, path: str, mode: int) -> int:
        self._writes(path)
        os.mkdir(self._at(path))
        return 0

    def rmdir(self, path: str) -> int:
        self._writes(path)
        os.rmdir(self._at(path))
        return 0

    def unlink(self, path: str) -> int:
        self._writes(path)
        os.unlink(self._at(path))
        return 0

    def rename(self, old: str, new: str) -> int:
        self._writes(new)
        os.rename(self._at(old), self._at(new))
        self._ours.add(new)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        self._step()
        if times is None:
            os.utime(self._at(path))
        else:
            os.utime(self._at(path), ns=times)
        return 0

    # ---- what Drive does not do

    def chmod(self, path: str, mode: int) -> int:
        raise FuseOSError(errno.EPERM)

    def chown(self, path: str, uid: int, gid: int) -> int:
        raise FuseOSError(errno.EPERM)

    def symlink(self, target: str, source: str) -> int:
        raise FuseOSError(errno.ENOTSUP)

    def link(self, target: str, source: str) -> int:
        raise FuseOSError(errno.ENOTSUP)


if __name__ == "__main__":
    folder, mountpoint, control = sys.argv[1:]
    Path(f"{control}.pid").write_text(str(os.getpid()))
    mfusepy.FUSE(
        Drive(Path(folder), Path(control)),
        mountpoint,
        foreground=True,
        fsname="drive",
        subtype="drive",
        big_writes=False,
    )
