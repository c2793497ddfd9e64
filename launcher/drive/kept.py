"""Which files of the machine are kept on Drive, and which come back from there."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from launcher.core.folder import PART

OUTPUTS: Final = ("outputs", "output", "log")  # what people make; A1111's Save button writes to log/images
EXTENSIONS: Final = "extensions"
NOT_ON_TOP: Final = frozenset({"models", "cache", "tmp"})  # models is a link to Drive; the others are made anew
NOT_IN_EXTENSIONS: Final = frozenset({*NOT_ON_TOP, "log"})
NEVER_KEPT: Final = frozenset({"__pycache__", ".locks", ".git"})
# The hub's cache keeps contents in blobs/, and their names in snapshots/ as links to them. Google Drive has no links: a
# name is kept as the file that it leads to, which is all that the hub's client asks for.
HUB_CACHE: Final = "huggingface"
NOT_IN_HUB_CACHE: Final = frozenset({"blobs", "xet"})  # xet: pieces of files that are whole elsewhere
NOT_KEPT_ENDINGS: Final = (PART, ".lock", ".tmp", ".incomplete")  # A1111 writes an image as NAME.tmp and renames it
IMAGES: Final = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".jxl", ".gif", ".bmp", ".tif", ".tiff")
COMES_BACK: Final = 50_000_000  # bytes; larger files stay on Drive, images are not brought back at all
SMALL_FOLDERS: Final = ("embeddings", HUB_CACHE, "config_states", "interrogate")


class Mark(NamedTuple):
    """How a file looked when it was kept."""

    size: int  # bytes
    changed: int  # nanoseconds
    inode: int  # the same for a file that was only renamed


def mark_of(info: os.stat_result) -> Mark:
    """A file's mark from what `stat` says."""
    return Mark(info.st_size, info.st_mtime_ns, info.st_ino)


def is_output(name: str) -> bool:
    """True for a name below the folders of what people make: nothing there may ever be overwritten by another file."""
    return name.partition("/")[0] in OUTPUTS


def is_image(name: str) -> bool:
    """True for a picture that somebody made; an extension's own pictures are none."""
    return is_output(name) and name.lower().endswith(IMAGES)


def enters(folders: Sequence[str]) -> bool:
    """True if files in this folder are kept. `folders` are the parts of its path relative to the data directory."""
    if not folders:
        return True
    barred = NEVER_KEPT | NOT_IN_EXTENSIONS if folders[0] == EXTENSIONS else NEVER_KEPT
    if folders[0] == HUB_CACHE and not NOT_IN_HUB_CACHE.isdisjoint(folders[:4]):  # huggingface/hub/models--x--y/blobs
        return False
    return folders[0] not in NOT_ON_TOP and barred.isdisjoint(folders)


def is_kept_link(folder: Sequence[str], path: str) -> bool:
    """True for a link in this folder (as in `enters`) that is kept as the file it leads to."""
    return folder[:1] == (HUB_CACHE,) and os.path.isfile(path)


def is_kept_name(name: str) -> bool:
    """True unless a file name says that the file is not whole or of no use elsewhere."""
    return not name.endswith(NOT_KEPT_ENDINGS)


def files_below(
    folder: str, folders: tuple[str, ...], on_fault: Callable[[str, OSError], None]
) -> Iterator[tuple[str, Mark]]:
    """The files below `folder` that are kept, with their marks. Links lead to Drive, or nowhere, and are left out, but
    for those in the hub's cache.

    `folders` are the parts of its path relative to the data directory. What cannot be read is told and left out.
    """
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except FileNotFoundError:  # deleted while we looked
        return
    except OSError as error:
        on_fault(folder, error)
        return
    for entry in found:
        try:
            if entry.is_symlink() and not is_kept_link(folders, entry.path):
                continue
            if entry.is_dir():
                if enters((*folders, entry.name)):
                    yield from files_below(entry.path, (*folders, entry.name), on_fault)
            elif entry.is_file() and is_kept_name(entry.name):
                yield entry.path, mark_of(entry.stat())
        except FileNotFoundError:
            continue
        except OSError as error:
            on_fault(entry.path, error)


def small_kept_files(kept: Path) -> Iterator[str]:
    """What a start brings back: the settings at the top, the Save button's list, and a few folders of small files.

    Whether such a file can be read is not known yet: on Drive it may be a shortcut that leads nowhere.
    """
    for pattern in ("config.json", "ui-config.json", "*.csv", "params.txt", "log/images/log.csv"):
        yield from (str(path.relative_to(kept)) for path in sorted(kept.glob(pattern)))
    for folder in SMALL_FOLDERS:
        for where, _, names in os.walk(kept / folder):
            yield from (os.path.relpath(os.path.join(where, name), kept) for name in names if is_kept_name(name))
