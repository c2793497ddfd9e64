"""Packages that the kernel's Python already has, linked into the web UI's environment instead of fetched again.

NVIDIA's wheels are `py3-none`: the same files for every Python. Colab's image holds 2.9 of the 4.1 GB that the lock
needs. Large files become links, one a file (through a linked folder an uninstall would delete the kernel's own files);
small ones are copied, so that nothing that is written in place can reach the kernel's.
"""

import csv
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Any, Final

from launcher.core.folder import Folder, write_safely
from launcher.core.tools import Pin
from launcher.python.uv import plain_name, site_packages

BORROWED: Final = (
    "borrowed.json"  # in the environment: {name: {"version": …, "files": {path: [target, bytes, mtime in ns]}}}
)
KIND: Final = "nvidia-"
# torch refuses an older cuDNN only, and NCCL keeps its interface within a major version; `probe` looks whether they
# work.
NEWER_WILL_DO: Final = ("nvidia-cudnn-cu12", "nvidia-nccl-cu12")
LARGE: Final = 1_000_000  # bytes from which a file is linked


@dataclass(frozen=True)
class Lent:
    """A distribution of the kernel's Python that will do."""

    name: str
    version: str
    files: dict[str, Path]  # path below site-packages -> the kernel's file


def lent_by_kernel(pins: Iterable[Pin], places: Sequence[str] | None = None) -> list[Lent]:
    """What the kernel's Python (its `sys.path`, or those places) has of the pins, whole."""
    wanted = {pin.name: pin for pin in pins if pin.name.startswith(KIND)}
    found: dict[str, Lent] = {}
    for one in distributions(path=list(sys.path if places is None else places)):
        name = plain_name(one.metadata.get("Name", ""))
        if name in wanted and name not in found and version_will_do(wanted[name], one.version):
            files = whole_files(one)
            if files:
                found[name] = Lent(name, one.version, files)
    return list(found.values())


def version_will_do(pin: Pin, version: str) -> bool:
    """True for the very version, or a newer one of the same major version where that is known to do."""
    if version == pin.version:
        return True
    theirs, ours = numbers(version), numbers(pin.version)
    return pin.name in NEWER_WILL_DO and bool(theirs) and theirs[0] == ours[0] and theirs > ours


def numbers(version: str) -> list[int]:
    """9.10.2.21 -> [9, 10, 2, 21]; [] for a version that is not only numbers."""
    parts = version.split(".")
    return [int(part) for part in parts] if all(part.isdigit() for part in parts) else []


def whole_files(distribution: Distribution) -> dict[str, Path]:
    """All files of a distribution for every Python 3, {} if one is missing, of another size, or outside
    site-packages.
    """
    tags = [
        line.split()[-1] for line in (distribution.read_text("WHEEL") or "").splitlines() if line.startswith("Tag:")
    ]
    if not tags or not all(tag.startswith(("py3-none-", "py2.py3-none-")) for tag in tags):
        return {}
    found = {}
    # Not `distribution.files`: since Python 3.12 it leaves out files that are missing.
    for inside, _, size in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        parts = PurePosixPath(inside).parts
        if "__pycache__" in parts:
            continue
        path = Path(str(distribution.locate_file(inside)))
        if ".." in parts or not path.is_file() or (size and path.stat().st_size != int(size)):
            return {}
        found[inside] = path.resolve()
    return found


def borrow(folder: Folder, lent: Iterable[Lent]) -> None:
    """Link those distributions into the environment. All of a distribution or nothing."""
    noted = read_borrowed(folder)
    for one in lent:
        site = site_packages(folder)
        files = {}
        for inside, target in one.files.items():
            status, link = target.stat(), site / inside
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            if inside.endswith(".dist-info/RECORD"):
                lines = target.read_text().splitlines(keepends=True)
                write_safely(link, "".join(line for line in lines if "__pycache__" not in line))
            elif status.st_size >= LARGE:
                link.symlink_to(target)
            else:
                shutil.copyfile(target, link)
            files[inside] = [str(target), status.st_size, status.st_mtime_ns]
        noted[one.name] = {"version": one.version, "files": files}
        write_safely(folder.python / BORROWED, json.dumps(noted))


def read_borrowed(folder: Folder) -> dict[str, dict[str, Any]]:
    """What was borrowed, by name."""
    try:
        noted: dict[str, dict[str, Any]] = json.loads((folder.python / BORROWED).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return noted


def lost(folder: Folder) -> list[str]:
    """Borrowed packages that are no longer whole: the kernel's own were moved, or an installer took ours away."""
    site = site_packages(folder)
    return [
        name
        for name, noted in read_borrowed(folder).items()
        if not all(is_as_noted(site / inside, *file) for inside, file in noted["files"].items())
    ]


def is_as_noted(link: Path, target: str, size: int, changed: int) -> bool:
    """True if a large file is still a link to the very file, or a small one is still there."""
    if size < LARGE:
        return link.is_file()
    try:
        status = Path(target).stat()
        return (
            link.is_symlink()
            and str(link.readlink()) == target
            and (status.st_size, status.st_mtime_ns) == (size, changed)
        )
    except OSError:
        return False


def give_up(folder: Folder, names: Iterable[str]) -> None:
    """Take borrowed packages out of the environment: the links and copies of ours, never what they lead to."""
    noted, site = read_borrowed(folder), site_packages(folder)
    for name in names:
        for inside, (_, size, _) in noted.pop(name)["files"].items():
            link = site / inside
            if link.is_symlink() or (size < LARGE and ".dist-info" in inside):
                link.unlink(missing_ok=True)
        for info in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(info)
    write_safely(folder.python / BORROWED, json.dumps(noted))
