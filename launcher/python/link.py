"""Packages that the kernel's Python already has, linked into the web UI's environment instead of fetched again.

NVIDIA's wheels are `py3-none`: the same files for every Python. Colab's image holds 2.9 of the 4.1 GB that the lock
needs. Large files become links, one a file (through a linked folder an uninstall would delete the kernel's own files);
small ones are copied, so that nothing that is written in place can reach the kernel's.
"""

import csv
import os
import re
import shutil
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Any, Final

from packaging.version import Version

from launcher.core.folder import Folder
from launcher.core.tools import Pin
from launcher.python.uv import distributions_of, site_packages

KIND: Final = "nvidia-"
# torch refuses an older cuDNN only, and NCCL keeps its interface within a major version; `probe` tries both.
NEWER_WILL_DO: Final = ("nvidia-cudnn-cu12", "nvidia-nccl-cu12")
LARGE: Final = 1_000_000  # bytes from which a file is linked
Linked = dict[str, dict[str, Any]]  # name -> path -> [the kernel's file, bytes, date in ns], None for a copy


def link_packages(folder: Folder, pins: Iterable[Pin]) -> Linked:
    """Link what the kernel's Python has of the pins, each distribution whole or not at all."""
    linked = {}
    for pin in pins:
        if pin.name.startswith(KIND):
            for distribution in distributions(name=pin.name):
                files = whole_files(distribution)
                if files and version_will_do(pin, distribution.version):
                    linked[pin.name] = {path: link(file, site_packages(folder) / path) for path, file in files.items()}
                    break
    return linked


def version_will_do(pin: Pin, version: str) -> bool:
    """True for the very version, or a newer one of the same major version where that is known to do."""
    theirs, ours = Version(version), Version(pin.version)
    newer = theirs > ours and theirs.major == ours.major and not theirs.is_prerelease
    return theirs == ours or (newer and pin.name in NEWER_WILL_DO)


def whole_files(distribution: Distribution) -> dict[str, Path]:
    """Path to the kernel's file, of a distribution for every Python 3; {} if one is missing or of another size."""
    tags = re.findall(r"^Tag: (.*)$", distribution.read_text("WHEEL") or "", re.MULTILINE)
    if not tags or not all(tag.startswith(("py3-none-", "py2.py3-none-")) for tag in tags):
        return {}
    found = {}
    # Not `distribution.files`: since Python 3.12 it leaves out files that are missing.
    for inside, size in recorded_files(distribution.read_text("RECORD") or "").items():
        path = Path(str(distribution.locate_file(inside)))
        if ".." in PurePosixPath(inside).parts or not path.is_file() or (size and path.stat().st_size != int(size)):
            return {}
        found[inside] = path.resolve()
    return found


def recorded_files(record: str) -> dict[str, str]:
    """Path to bytes ("" where none are noted) of a RECORD's files, less the bytecode, which Python makes anew."""
    rows = (row for row in csv.reader(record.splitlines()) if len(row) == 3)
    return {path: size for path, _, size in rows if "__pycache__" not in path}


def link(file: Path, place: Path) -> list[Any] | None:
    """Put a file of the kernel there: what a link is known by (`is_whole`), None for a copy."""
    status = file.stat()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    if status.st_size < LARGE:
        shutil.copyfile(file, place)
        return None
    place.symlink_to(file)
    return [str(file), status.st_size, status.st_mtime_ns]


def broken_links(folder: Folder, linked: Linked) -> list[str]:
    """Linked packages that are no longer whole: the kernel's own were moved, or an installer took ours away."""
    site = site_packages(folder)
    return [name for name, files in linked.items() if not all(is_whole(site / path, files[path]) for path in files)]


def is_whole(place: Path, known: list[Any] | None) -> bool:
    """True if what is there is a link to the very file it led to, or a copy."""
    if known is None:
        return place.is_file()
    try:
        status = place.stat()
        return [os.readlink(place), status.st_size, status.st_mtime_ns] == known
    except OSError:  # it leads nowhere, or is no link any more
        return False


def unlink_packages(folder: Folder, linked: Linked) -> None:
    """Take linked packages out of the environment: links and what says that they are there, never the kernel's files.

    Copies stay: an installer may have put files of its own in their place.
    """
    for path in (site_packages(folder) / inside for files in linked.values() for inside in files):
        if path.is_symlink():
            path.unlink()
    for name, _, info in list(distributions_of(folder)):
        if name in linked:
            shutil.rmtree(info)
