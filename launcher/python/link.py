"""Packages that the kernel's Python already has, linked into the web UI's environment instead of fetched again.

NVIDIA's wheels are `py3-none`: the same files for every Python. Colab's image holds 2.9 of the 4.1 GB that the lock
needs. Large files become links, one a file (through a linked folder an uninstall would delete the kernel's own files);
small ones are copied, so that nothing that is written in place can reach the kernel's.
"""

import csv
import re
import shutil
from collections.abc import Container, Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.version import Version

from launcher.core.folder import Folder
from launcher.core.tools import Pin
from launcher.python.uv import distributions_of, site_packages

KIND: Final = "nvidia-"
# torch refuses an older cuDNN only, and NCCL keeps its interface within a major version; `probe` tries both.
NEWER_WILL_DO: Final = ("nvidia-cudnn-cu12", "nvidia-nccl-cu12")
LARGE: Final = 1_000_000  # bytes from which a file is linked


def link_packages(folder: Folder, pins: Iterable[Pin]) -> list[str]:
    """Link what the kernel's Python has of the pins, each distribution whole or not at all; return their names."""
    linked = []
    for pin in pins:
        for distribution in distributions(name=pin.name) if pin.name.startswith(KIND) else ():
            files = whole_files(distribution)
            if files and version_will_do(pin, distribution.version):
                for path, file in files.items():
                    put_file(file, site_packages(folder) / path)
                linked.append(pin.name)
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
        if ".." in PurePosixPath(inside).parts or not path.is_file() or size not in (0, path.stat().st_size):
            return {}
        found[inside] = path.resolve()
    return found


def put_file(file: Path, place: Path) -> None:
    """Put a file of the kernel there: a link to it if it is large."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    if file.stat().st_size < LARGE:
        shutil.copyfile(file, place)
    else:
        place.symlink_to(file)


def recorded_files(record: str) -> dict[str, int]:
    """Path to bytes (0 where no number is noted) of a RECORD's files, less the bytecode, which Python makes anew."""
    rows = (row for row in csv.reader(record.splitlines()) if len(row) == 3)
    return {path: int(size) if size.isdecimal() else 0 for path, _, size in rows if "__pycache__" not in path}


def recorded_in(info: Path) -> dict[str, int]:
    """The same of a package in the environment, by its .dist-info; {} where that is not whole."""
    record = info / "RECORD"
    return recorded_files(record.read_text()) if record.exists() else {}


def is_whole(info: Path, *, linked: bool) -> bool:
    """True if all files of a package are there; of a `linked` one, the large as links to files of the same size."""
    files = {info.parent / inside: size for inside, size in recorded_in(info).items()}
    large = [path for path, size in files.items() if size >= LARGE] if linked else []
    links = all(path.is_symlink() and path.exists() and path.stat().st_size == files[path] for path in large)
    return bool(files) and links and all(path.exists() for path in files)


def broken_links(folder: Folder, linked: Iterable[str]) -> list[str]:
    """Linked packages that are no longer whole: the kernel's own were moved, or an installer took ours away."""
    whole = [name for name, _, info in distributions_of(folder) if name in linked and is_whole(info, linked=True)]
    return [name for name in linked if name not in whole]


def unlink_packages(folder: Folder, names: Container[str]) -> None:
    """Take linked packages out of the environment: links and what says that they are there, never the kernel's files.
    Copies stay: an installer may have put files of its own in their place.
    """
    for info in [info for name, _, info in distributions_of(folder) if name in names]:
        for path in (info.parent / inside for inside in recorded_in(info)):
            if path.is_symlink():
                path.unlink()
        shutil.rmtree(info)
