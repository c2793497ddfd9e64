"""Which files of the machine are kept on Drive, how one is known again, how it gets there, and what may go wrong."""

import errno
import os
import shutil
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from launcher.core.folder import PART, alternatives, copy_whole, make_folder_below, shortened
from launcher.core.outside import make_way
from launcher.webui.outputs import OUTPUTS

EXTENSIONS: Final = "extensions"
NOT_ON_TOP: Final = frozenset({"cache", "tmp"})  # they are made anew
NEVER_KEPT: Final = frozenset({"__pycache__", ".locks", ".git"})
# The hub's cache keeps contents in blobs/, and their names in snapshots/ as links to them. Google Drive has no links: a
# name is kept as the file that it leads to, which is all that the hub's client asks for.
HUB_CACHE: Final = "huggingface"
# A folder at the top -> which below it are not kept; xet has pieces of files that are whole elsewhere.
NOT_BELOW: Final = {EXTENSIONS: NOT_ON_TOP | {"log", "models"}, HUB_CACHE: frozenset({"blobs", "xet"})}
NOT_KEPT_ENDINGS: Final = (PART, ".lock", ".tmp", ".incomplete")  # A1111 writes an image as NAME.tmp and renames it
IMAGES: Final = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".jxl", ".gif", ".bmp", ".tif", ".tiff")
WRITTEN: Final = (*IMAGES, ".txt", ".csv", ".zip", ".mp4", ".webm")  # by A1111 and its extensions, beside images
UNFINISHED: Final = ".oneclick"  # the folder on Drive for copies that are not whole yet
SAME_TIME: Final = 2.0  # seconds; some disks store whole or even seconds only
# What a file system says of one name only, not of all files.
IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.EISDIR})
OF_ITS_NAME: Final = IN_THE_WAY | {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EPERM, errno.EACCES}
# What says something of all of Drive, not of one file -> how it ends "Google Drive is not accepting files: ...".
TROUBLES: Final = {
    errno.ENOSPC: "it is full",
    errno.EDQUOT: "it is full",
    errno.ENOTCONN: "it was disconnected",
    errno.ENOENT: "your folder cannot be found",  # renamed, moved or deleted; or Drive is unmounted
    errno.ENODEV: "it was disconnected",
    errno.ECONNABORTED: "it was disconnected",
    errno.EROFS: "it is read-only",
    errno.EIO: "it reports errors",
}
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class Fingerprint(NamedTuple):
    """How a file looks without reading it."""

    size: int  # bytes
    changed: int  # nanoseconds
    inode: int  # the same for a file that was only renamed


def fingerprint_of(info: os.stat_result) -> Fingerprint:
    return Fingerprint(info.st_size, info.st_mtime_ns, info.st_ino)


def is_copy_of(fingerprint: Fingerprint | None, info: os.stat_result) -> bool:
    """True if a file on Drive is the copy of the one with this fingerprint, by size and time of change."""
    return (
        fingerprint is not None
        and stat.S_ISREG(info.st_mode)
        and fingerprint.size == info.st_size
        and abs(fingerprint.changed - info.st_mtime_ns) < SAME_TIME * 1e9
    )


def is_output(name: str) -> bool:
    """True for a name below the folders of what people make: nothing there may ever be overwritten by another file."""
    return name.partition("/")[0] in OUTPUTS


def is_image(name: str) -> bool:
    return is_output(name) and name.lower().endswith(IMAGES)


def is_made_here(name: str) -> bool:
    """True for a file such as A1111 writes: of a folder that is not ours nothing else is kept, nothing hidden."""
    return name.lower().endswith(WRITTEN) and not any(part.startswith(".") for part in name.split("/"))


def enters(folders: Sequence[str]) -> bool:
    """True if files in this folder are kept. `folders` are the parts of its name on Drive."""
    barred = NEVER_KEPT | NOT_BELOW.get(folders[0], frozenset())
    return folders[0] not in NOT_ON_TOP and barred.isdisjoint(folders)


def is_drives_fault(error: Exception, drive_dir: Path) -> bool:
    """True if an error concerns all of Drive, not just one file. For some only a look at the folder on it can tell."""
    if not isinstance(error, OSError) or error.errno not in TROUBLES:
        return False
    if error.errno in (errno.EIO, errno.ENOENT):
        with suppress(OSError):
            drive_dir.stat()
            return False
    return True


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
        places = (above / one for one in alternatives(folder))
        above = next(place for place in places if place.is_dir() or not os.path.lexists(place))
    return str((above / last).relative_to(drive_dir))


def copy_to_drive(source: Path, drive_dir: Path, name: str) -> None:
    """Copy one file, making the folders it needs. Raises `OSError`."""
    target, part = drive_dir / name, drive_dir / UNFINISHED / f"{threading.get_ident()}{PART}"
    try:
        copy_whole(source, target, part)
    except FileNotFoundError:
        for folder in (part.parent, target.parent):
            make_folder_below(drive_dir, folder)
        copy_whole(source, target, part)


def rename_on_drive(before: Path, drive_dir: Path, name: str) -> None:
    make_folder_below(drive_dir, (drive_dir / name).parent)
    os.replace(before, drive_dir / name)


def sweep_unfinished(drive_dir: Path) -> None:
    """Take away copies that were cut off, and what has the name of their folder."""
    unfinished = drive_dir / UNFINISHED
    with suppress(OSError):  # it is a folder, or not there
        unfinished.unlink()
    shutil.rmtree(unfinished, ignore_errors=True)
