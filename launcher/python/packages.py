"""Which packages the web UI wants, which are in its environment, and with which it was finished."""

import csv
import hashlib
import json
import re
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from launcher.core.folder import Folder, write_safely
from launcher.core.session import read_object
from launcher.python.lock import CONTROLNET_PACKAGES, LOCKED_PACKAGES, LOCKED_REQUIREMENTS
from launcher.python.uv import site_packages

# A1111's launch.py installs these itself, from addresses that are gone or not locked.
BESIDE_TORCH: Final = ("torchvision", "clip-anytorch==2.6.0")
COMPLETE: Final = "complete.json"  # in the environment: `Finished`, written last


@dataclass(frozen=True)
class Finished:
    """With what an environment was finished. One without it is made anew: a killed installer may have left it half."""

    rules: str  # a hash of all that is the same for every list of packages
    wanted: list[str]
    packages: dict[str, str]  # name -> version, of all that was there
    linked: dict[str, dict[str, Any]]  # name -> path -> [the kernel's file, bytes, date in ns], None for a copy
    works: bool = False  # on this machine, as `environment.trouble_with` found


def read_finished(folder: Folder) -> Finished | None:
    """With what the environment was finished, None where it was not (or by a launcher that noted less)."""
    try:
        return Finished(**read_object(folder.python / COMPLETE))
    except TypeError:
        return None


def write_finished(folder: Folder, finished: Finished) -> None:
    write_safely(folder.python / COMPLETE, json.dumps(asdict(finished)))


def packages_for(requirements: bytes, controlnet: bool = False) -> list[str]:
    """The lock if requirements_versions.txt is the one it was made for, byte by byte; else what stands in it.

    With `controlnet` the packages of that extension too.
    """
    if hashlib.sha256(requirements).hexdigest() == LOCKED_REQUIREMENTS:
        return [*LOCKED_PACKAGES, *(CONTROLNET_PACKAGES if controlnet else ())]
    lines = [line.split("#")[0].strip() for line in requirements.decode().splitlines()]
    packages = [line for line in lines if line]
    return [*packages, *(BESIDE_TORCH if any(re.match(r"torch\b", package) for package in packages) else ())]


def distributions_of(folder: Folder) -> Iterator[tuple[str, str, Path]]:
    """Name (as packaging writes it), version and .dist-info of all that is in the environment."""
    for info in site_packages(folder).glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        yield canonicalize_name(name), version, info


def installed_packages(folder: Folder) -> dict[str, str]:
    """Name to version, of all that is in the environment."""
    return {name: version for name, version, _ in distributions_of(folder)}


def recorded_files(record: str) -> dict[str, str]:
    """Path to bytes ("" where none are noted) of a RECORD's files, less the bytecode, which Python makes anew."""
    rows = (row for row in csv.reader(record.splitlines()) if len(row) == 3)
    return {path: size for path, _, size in rows if "__pycache__" not in path}


def absent(folder: Folder, wanted: list[str], linked: Container[str]) -> list[str]:
    """The packages of the list that are not in the environment, or not at their version. A linked one may be newer."""
    there, missing = installed_packages(folder), []
    for line in wanted:
        try:
            wish = Requirement(line)
        except InvalidRequirement:  # an address: uv has read it, we do not
            continue
        name = canonicalize_name(wish.name)
        right = name in there and (name in linked or wish.specifier.contains(there[name], prereleases=True))
        if not right and not wish.marker:
            missing.append(line)
    return missing
