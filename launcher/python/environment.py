"""The web UI's own Python 3.11, installed by uv from a lock. Knows nothing of git."""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.folder import GB, Folder, require_room, write_safely
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.core.reporter import Reporter
from launcher.python.pins import (
    BUILD_CONSTRAINTS,
    CONSTRAINTS,
    CONTROLNET_PACKAGES,
    LOCKED_PACKAGES,
    LOCKED_REQUIREMENTS,
)
from launcher.python.uv import PYTHON_VERSION, UV_SILENCE, find_uv, installed_packages, uv_environment, uv_words, works

ROOM_NEEDED: Final = 9 * GB  # 7.3 GB installed (measured) and what uv needs on the way
COMPLETE: Final = "complete.json"  # in the environment: what it was finished with
# A1111's launch.py installs these itself, from addresses that are gone or not locked.
BESIDE_TORCH: Final = ("torchvision", "clip-anytorch==2.6.0")


@dataclass(frozen=True)
class PythonEnvironment:
    """A finished environment."""

    python: Path
    installed_now: bool


def prepare_python(folder: Folder, packages: list[str], reporter: Reporter) -> PythonEnvironment:
    """Make the environment with these `packages` (`packages_for` chooses them).

    It is complete or absent: a marker with all that went in is written last, and an
    environment without it is made anew. `progress` gets (packages ready, packages in all).
    """
    rules = hashlib.sha256(f"{PYTHON_VERSION}\n{CONSTRAINTS}".encode()).hexdigest()
    marker, python = folder.python / COMPLETE, folder.python / "bin" / "python"
    if is_complete(marker, rules, packages) and python.exists() and works(str(python)):
        return PythonEnvironment(python, False)
    require_room(
        folder.machine,
        ROOM_NEEDED if "torch" in "".join(packages) else GB,
        "the runtime's disk",
        "Installing the web UI's packages",
    )
    uv = find_uv(folder)
    marker.unlink(missing_ok=True)
    if not (python.exists() and works(str(python))):
        make_environment(uv, folder, reporter)
    write_safely(folder.python / "constraints.txt", CONSTRAINTS)
    write_safely(folder.python / "build-constraints.txt", BUILD_CONSTRAINTS)
    locked = packages[: len(LOCKED_PACKAGES)] == list(LOCKED_PACKAGES)
    install(uv, folder, packages, locked=locked, reporter=reporter)
    write_safely(marker, json.dumps({"rules": rules, "wanted": packages, "packages": installed_packages(folder)}))
    return PythonEnvironment(python, True)


def is_complete(marker: Path, rules: str, wanted: list[str]) -> bool:
    """True if the environment was finished with all these packages, under these rules."""
    try:
        finished = json.loads(marker.read_text())
        return bool(finished["rules"] == rules and set(wanted) <= set(finished["wanted"]))
    except (FileNotFoundError, ValueError, KeyError):
        return False


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


def make_environment(uv: str, folder: Folder, reporter: Reporter) -> None:
    """An empty environment with pip (`--seed`: extensions call `python -m pip`)."""
    reporter.say(f"making room for Python {PYTHON_VERSION}")
    shutil.rmtree(folder.python, ignore_errors=True)
    try:
        run(
            [uv, "venv", "--quiet", "--seed", "--python", PYTHON_VERSION, str(folder.python)],
            env=uv_environment(folder),
            timeout=UV_SILENCE,
        )
    except CommandError as error:
        raise Problem(
            f"The web UI's Python {PYTHON_VERSION} could not be set up: {uv_words(error.output)}",
            "Check that the runtime is connected to the internet, wait a few minutes, and press ▶ again.",
        ) from error


def install(
    uv: str,
    folder: Folder,
    packages: list[str],
    *,
    locked: bool,
    reporter: Reporter,
) -> None:
    """Install the packages with uv, telling how far it is by what uv says.

    A version of the lock that is gone from the index is replaced by the newest before it that the constraints allow.
    """
    wanted = folder.python / "requirements.txt"
    write_safely(wanted, "\n".join(packages) + "\n")
    total, sizes, ready = len(packages), {}, [0]

    def on_line(line: str) -> None:
        resolved = re.search(r"Resolved (\d+) packages", line)
        starts = re.match(r"\s*Downloading (\S+) \(([\d.]+\w+)\)", line)
        ends = re.match(r"\s*Downloaded (\S+)", line)
        prepared = re.search(r"Prepared (\d+) packages", line)
        if resolved:
            reporter.say(f"{resolved[1]} packages")
        elif starts:
            sizes[starts[1]] = starts[2]
            reporter.say("downloading " + ", ".join(f"{name} ({size})" for name, size in list(sizes.items())[-3:]))
        elif ends:
            sizes.pop(ends[1], None)
            ready[0] += 1
            reporter.progress(ready[0], total, "packages")
            if sizes:
                reporter.say("downloading " + ", ".join(f"{name} ({size})" for name, size in list(sizes.items())[-3:]))
        elif prepared:
            reporter.say("downloaded; putting the packages in place")
        elif re.match(r"\s*\+ \S+==", line):
            ready[0] += 1

    exact = [*(["--no-deps"] if locked else []), "--constraint", str(folder.python / "constraints.txt")]
    command = [uv, "pip", "install", "--python", str(folder.python / "bin" / "python"), *exact]
    command += ["--build-constraint", str(folder.python / "build-constraints.txt"), "--requirement", str(wanted)]
    try:
        run(command, env=uv_environment(folder), on_line=on_line, timeout=UV_SILENCE)
    except CommandError as error:
        gone = re.search(r"there is no version of (\S+)==(\S+)", re.sub(r"\s+", " ", error.output))
        if locked and gone and (pin := f"{gone[1]}=={gone[2].rstrip(',')}") in packages:
            reporter.say(f"{pin} is gone from the package index; another version is taken")
            loosened = [pin.replace("==", "<=") if package == pin else package for package in packages]
            install(uv, folder, loosened, locked=True, reporter=reporter)
            return
        raise Problem(
            f"The web UI's packages could not be installed: {uv_words(error.output)}",
            "Wait a minute and press ▶ again; what is downloaded already is kept. If it fails again, please report it.",
        ) from error
