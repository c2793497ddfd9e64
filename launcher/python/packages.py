"""Which packages the web UI wants, and which of them are not in its environment."""

import hashlib
import json
import re
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, write_safely
from launcher.python.borrow import read_borrowed
from launcher.python.pins import CONTROLNET_PACKAGES, LOCKED_PACKAGES, LOCKED_REQUIREMENTS
from launcher.python.uv import installed_packages, plain_name

# A1111's launch.py installs these itself, from addresses that are gone or not locked.
BESIDE_TORCH: Final = ("torchvision", "clip-anytorch==2.6.0")
REPLACED: Final = "replaced.json"  # in the environment: lines of the lock whose version is gone from the index


def packages_for(requirements: bytes, controlnet: bool = False) -> list[str]:
    """The lock if requirements_versions.txt is the one it was made for, byte by byte; else what stands in it.

    With `controlnet` the packages of that extension too.
    """
    if hashlib.sha256(requirements).hexdigest() == LOCKED_REQUIREMENTS:
        return [*LOCKED_PACKAGES, *(CONTROLNET_PACKAGES if controlnet else ())]
    lines = [line.split("#")[0].strip() for line in requirements.decode().splitlines()]
    packages = [line for line in lines if line]
    if any(re.match(r"torch\b", package) for package in packages):
        packages += BESIDE_TORCH
    return packages


def is_lock(packages: list[str]) -> bool:
    """True for a list that begins with the lock: versions and checksums of all of it are known."""
    return packages[: len(LOCKED_PACKAGES)] == list(LOCKED_PACKAGES)


def absent(folder: Folder, wanted: list[str]) -> list[str]:
    """The packages of the list that are not in the environment at their version.

    A borrowed one may be newer, and one whose version is gone from the index older.
    """
    there, any_version = installed_packages(folder), set(read_borrowed(folder)) | replaced(folder)
    missing = []
    for line in wanted:
        found = re.fullmatch(r"([\w.-]+)(?:==([\w.+!-]+))?", line)
        if not found:  # a range, a marker, an address: uv has read it, we do not
            continue
        name = plain_name(found[1])
        exact = found[2] and name not in any_version
        if name not in there or (exact and not same_version(there[name], found[2])):
            missing.append(line)
    return missing


def same_version(one: str, other: str) -> bool:
    """True for 0.15 and 0.15.0, and for 2.8.0 and 2.8.0+cu128."""
    plain = [re.sub(r"(\.0)+$", "", version.partition("+")[0]) for version in (one, other)]
    return plain[0] == plain[1]


def replaced(folder: Folder) -> set[str]:
    """Names of packages of which another version than the lock's had to be taken."""
    path = folder.python / REPLACED
    return set(json.loads(path.read_text())) if path.exists() else set()


def note_replaced(folder: Folder, name: str) -> None:
    """The lock's version of that package cannot be had any more."""
    write_safely(Path(folder.python / REPLACED), json.dumps(sorted(replaced(folder) | {plain_name(name)})))
