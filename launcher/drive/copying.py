"""One file to Drive: under which name, and whole or not at all."""

import errno
import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from launcher.core.folder import PART, make_folder_below
from launcher.drive.kept import Mark

SAME_TIME: Final = 2.0  # seconds; some disks store whole or even seconds only
UNFINISHED: Final = ".oneclick"  # the folder on Drive for copies that are not whole yet
SHORT_NAME: Final = 96  # bytes of a name that is shortened; every file system takes as many
LONGEST_NAME: Final = 240  # bytes; more is not tried with a number behind it
# What a file system says of one name only, not of all files.
NAME_TROUBLE: Final = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EPERM, errno.EACCES})
IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ELOOP})
counter: Final = itertools.count()  # two files being copied never share a temporary name


def is_same(mark: Mark, info: os.stat_result) -> bool:
    """True if a kept file is the copy of the one with this mark, by size and time of change."""
    return (
        stat.S_ISREG(info.st_mode)
        and mark.size == info.st_size
        and abs(mark.changed - info.st_mtime_ns) < SAME_TIME * 1e9
    )


def is_copy(mark: Mark, kept: Path) -> bool:
    """The same for a path, which need not exist."""
    try:
        return is_same(mark, kept.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def numbered(name: str, number: int) -> str:
    """The name with a number, as Google Drive itself writes it: a/b.png → a/b (2).png."""
    folder, slash, last = name.rpartition("/")
    stem, ending = os.path.splitext(last)
    if len(os.fsencode(last)) > LONGEST_NAME:
        stem, ending = os.path.splitext(shortened(last))
    return f"{folder}{slash}{stem} ({number}){ending}"


def shortened(name: str) -> str:
    """A name that every file system takes, the same for the same name: its beginning in plain letters, and a number."""
    folder, slash, last = name.rpartition("/")
    stem, ending = os.path.splitext(last)
    plain = "".join(c for c in stem if c.isascii() and (c.isalnum() or c in "-_ "))[:SHORT_NAME].strip()
    ending = ending if ending.isascii() and ending[1:].isalnum() and len(ending) < 12 else ""
    return f"{folder}{slash}{plain}~{hashlib.sha256(os.fsencode(last)).hexdigest()[:10]}{ending}"


def around_files(kept: Path, name: str) -> str:
    """The name with another folder wherever something that is no folder has a folder's name on Drive."""
    parts = name.split("/")
    for at in range(len(parts) - 1):
        wanted = parts[at]
        for number in itertools.count(2):
            place = kept / "/".join(parts[: at + 1])
            if place.is_dir() or not os.path.lexists(place):
                break
            parts[at] = f"{wanted} ({number})"
    return "/".join(parts)


def name_on_drive(
    kept: Path,
    wanted: str,
    mark: Mark,
    *,
    may_replace: Callable[[str, os.stat_result], bool],
    may_use: Callable[[str], bool],
) -> tuple[str, bool]:
    """The name to keep a file under, and whether its copy is there already. Raises `OSError`.

    `may_use` says whether the name is not in use for another file just now, `may_replace` whether what is there may be
    replaced. Where neither holds the file gets a number.
    """
    name, tries = wanted, 0
    for number in itertools.count(2):
        try:
            info = (kept / name).lstat()
        except FileNotFoundError:
            if may_use(name):
                return name, False
        except OSError as error:
            tries += 1
            if tries > 2 or error.errno not in NAME_TROUBLE | IN_THE_WAY:
                raise
            wanted = around_files(kept, wanted) if error.errno in IN_THE_WAY else shortened(wanted)
            name = wanted
            continue
        else:
            if may_use(name) and stat.S_ISREG(info.st_mode):
                if is_same(mark, info):
                    return name, True
                if may_replace(name, info):
                    return name, False
        name = numbered(wanted, number)
    raise AssertionError  # the numbers have no end


def copy_to_drive(source: Path, kept: Path, name: str) -> None:
    """Copy one file to `name` below `kept`, making the folders it needs. Raises `OSError`."""
    target, part = kept / name, kept / UNFINISHED / f"{next(counter)}{PART}"
    try:
        copy_whole(source, target, part)
    except FileNotFoundError:
        for folder in (part.parent, target.parent):
            make_folder_below(kept, folder)
        copy_whole(source, target, part)


def copy_whole(source: Path, target: Path, part: Path) -> None:
    """Copy under the temporary name `part`, check the size, rename; the time of change is copied too."""
    try:
        with source.open("rb") as read, part.open("wb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
        info = source.stat()
        if part.stat().st_size != info.st_size:
            raise OSError(errno.EIO, "the copy is incomplete")
        os.utime(part, ns=(info.st_atime_ns, info.st_mtime_ns))
        os.replace(part, target)
    except OSError:
        try:
            part.unlink(missing_ok=True)
        except OSError:
            pass  # Drive is away; the next start sweeps it up
        raise


def sweep_unfinished(kept: Path) -> None:
    """Take away copies that were cut off; where Drive is away, the next start does."""
    shutil.rmtree(kept / UNFINISHED, ignore_errors=True)
