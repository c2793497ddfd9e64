"""A name that nobody has, and a copy that is whole or not there."""

import errno
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from launcher.core.folder import PART
from launcher.core.problem import Problem

LONGEST_FREE_NAME: Final = 240  # bytes; every file system takes as many, with a few more for a number
SHORT_NAME: Final = 96  # bytes of a name that is shortened


def alternatives(name: str) -> Iterator[str]:
    """The name, then the same with a number as Google Drive itself writes it: a/b.png, a/b (2).png and so on."""
    yield name
    folder, slash, last = name.rpartition("/")
    stem, ending = os.path.splitext(last if len(os.fsencode(last)) <= LONGEST_FREE_NAME else shortened(last))
    yield from (f"{folder}{slash}{stem} ({number}){ending}" for number in itertools.count(2))


def shortened(name: str) -> str:
    """A name that every file system takes, the same for the same name: its beginning in plain letters, and a number."""
    folder, slash, last = name.rpartition("/")
    stem, ending = os.path.splitext(last)
    plain = "".join(c for c in stem if c.isascii() and (c.isalnum() or c in "-_ "))[:SHORT_NAME].strip()
    ending = ending if ending.isascii() and ending[1:].isalnum() and len(ending) < 12 else ""
    return f"{folder}{slash}{plain}~{hashlib.sha256(os.fsencode(last)).hexdigest()[:10]}{ending}"


def free_path(path: Path, taken: Callable[[Path], object] = os.path.lexists) -> Path:
    return next(free for name in alternatives(path.name) if not taken(free := path.with_name(name)))


def copy_whole(
    source: Path, target: Path, part: Path | None = None, check: Callable[[Path], None] = lambda part: None
) -> None:
    """Copy a file with its time of change: as `part`, renamed once its size is right, and `check` raises nothing of it.
    Raises `OSError`.
    """
    part = part or target.with_name(f".{target.name[:60]}{PART}")
    try:
        shutil.copyfile(source, part)
        info = source.stat()
        if part.stat().st_size != info.st_size:
            raise OSError(errno.EIO, "the copy is incomplete")
        check(part)
        os.utime(part, ns=(info.st_atime_ns, info.st_mtime_ns))
        os.replace(part, target)
    except (OSError, Problem):
        with suppress(OSError):  # the disk is away, and with it the half copy; on Drive the next start sweeps it up
            part.unlink(missing_ok=True)
        raise


def can_be_written(folder: Path) -> bool:
    """True if one could make the folder and write there; nothing but the folder is left behind."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
