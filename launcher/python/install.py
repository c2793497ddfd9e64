"""What uv does: an empty environment, and the packages in it, with checksums, how far it is, and why it failed."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from launcher.core.folder import Folder, write_safely
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.core.status import Step
from launcher.python.lock import ALL_PINS, ALSO_CALLED, BUILD_PINS, LOCKED_VERSION
from launcher.python.uv import (
    PYTHON_VERSION,
    UV_SILENCE,
    distributions_of,
    installed_packages,
    python_path,
    site_packages,
    uv_environment,
    uv_problem,
)

COMPLETE: Final = "complete.json"  # in a finished environment; one that an installer was ended in is made anew
UNPACKED: Final = 1.9  # bytes on the disk for each byte of a wheel (7.7 GB of 4.1 measured)
# uv's words where it has no interpreter: its archive cannot be had, or downloads are switched off.
CONFLICT: Final = re.compile(r"No solution found|unsatisfiable|incompatible|conflict")  # packages exclude each other
NO_PYTHON: Final = re.compile(r"cpython-\d|[Nn]o interpreter found|Python download")
# Package -> what it says it needs and does not get here. facexlib needs numba (64 MB with llvmlite) and filterpy for
# following a face through a video only, which nothing of A1111's does.
NOT_NEEDED: Final = {"torch": r"nvidia-|triton\b", "facexlib": r"numba\b|filterpy\b"}


class Arrivals:
    """How much has arrived, by uv's words and by the files it writes; tells the step."""

    def __init__(self, cache: Path, packages: list[str], step: Step) -> None:
        self.cache, self.step, self.whole, self.most = cache, step, 0, 0
        self.sizes = {pin.name: pin.size for package in packages if (pin := ALL_PINS.get(package))}

    def on_line(self, line: str) -> None:
        """uv has said something."""
        if starts := re.match(r"\s*Downloading (\S+) (\(\S+\))", line):
            self.step.say(f"downloading {starts[1]} {starts[2]}")
        elif ends := re.match(r"\s*Downloaded (\S+)", line):
            self.whole += self.sizes.get(canonicalize_name(ends[1]), 0)
        elif line.startswith("Prepared "):
            self.step.say("downloaded; installing the packages")

    def measure(self) -> int:
        """Bytes on the disk of what is on its way; a sign of life."""
        written = bytes_on_the_way([self.cache])
        if total := sum(self.sizes.values()):
            self.most = max(self.most, min(total, self.whole + int(written / UNPACKED)))
            self.step.progress(self.most, total)
        return written


def bytes_on_the_way(folders: list[Path]) -> int:
    """Bytes of all that uv unpacks in these folders: in temporary ones, which may change meanwhile."""
    total = 0
    for where, _, names in (one for folder in folders for part in folder.glob(".t*mp*") for one in os.walk(part)):
        for name in names:
            with suppress(OSError):  # it went away
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def make_environment(uv: str, folder: Folder, step: Step) -> None:
    """An empty environment with pip (`--seed`: extensions call `python -m pip`). Raises `Problem`.

    uv takes an interpreter that it finds on this machine, or fetches one from its releases on GitHub.
    """
    step.say(f"preparing Python {PYTHON_VERSION}")
    shutil.rmtree(folder.python, ignore_errors=True)
    env = uv_environment(folder)
    coming = [Path(env["UV_CACHE_DIR"]), Path(env["UV_PYTHON_INSTALL_DIR"])]  # to where uv unpacks what comes
    command = [uv, "venv", "--seed", "--python", PYTHON_VERSION, str(folder.python)]
    try:
        run(command, env=env, timeout=UV_SILENCE, signs_of_life=lambda: bytes_on_the_way(coming))
    except CommandError as error:
        # Once it has an interpreter it says that it makes the environment.
        place, what = "package index", "pip"
        if "Creating virtual environment" not in error.output and (error.silent or NO_PYTHON.search(error.output)):
            place, what = "place Python comes from (GitHub)", f"Python {PYTHON_VERSION}"
        raise uv_problem(folder, error, place, what) from error


def install(
    uv: str, folder: Folder, packages: list[str], step: Step, *, with_needs: bool = False, reinstall: bool = False
) -> None:
    """Install these packages, and what they need unless all of it is among them. Raises `Problem`.

    Where a package is one of the lock's, its checksum must be right.
    """
    (folder.python / COMPLETE).unlink(missing_ok=True)
    wanted, build = folder.python / "requirements.txt", folder.python / "build-requirements.txt"
    lines = [pin.line if (pin := ALL_PINS.get(package)) else package for package in packages]
    write_safely(wanted, "\n".join(lines) + "\n")
    write_safely(build, "".join(f"{pin.line}\n" for pin in BUILD_PINS.values()))
    env = uv_environment(folder)
    arrivals = Arrivals(Path(env["UV_CACHE_DIR"]), packages, step)
    command = [uv, "pip", "install", "--python", python_path(folder), "--requirement", str(wanted)]
    command += ["--constraint", str(folder.python / "constraints.txt"), "--build-constraint", str(build)]
    command += [*([] if with_needs else ["--no-deps"]), *(["--reinstall"] if reinstall else [])]
    try:
        run(command, env=env, on_line=arrivals.on_line, timeout=UV_SILENCE, signs_of_life=arrivals.measure)
    except CommandError as error:
        gone = re.search(r"there is no version of ([^\s,]+)", re.sub(r"\s+", " ", error.output))
        if gone and gone[1] in ALL_PINS:
            raise Problem(
                f"The package index does not have {gone[1]}, which the web UI needs.",
                "If this network has a mirror of its own, try without it. Otherwise please report it: the launcher "
                "needs a new list of packages.",
            ) from error
        problem = uv_problem(folder, error, "package index", "the web UI's packages")
        if with_needs and CONFLICT.search(error.output):  # A1111 up to v1.7.0 asks for numpy 1.23.5, for example
            raise Problem(
                "The launcher cannot install this version of AUTOMATIC1111: it asks for other packages than those the "
                f"launcher works with. {problem.what}",
                f"Write {LOCKED_VERSION} into **version** under **Choices**, press **Apply**, and then ▶.",
            ) from error
        raise problem from error


def correct_metadata(folder: Folder) -> None:
    """Correct what installers believe of the locked packages, so that an extension's does not undo what was chosen.

    pip and uv would replace a linked newer cuDNN by the one torch names, and fetch 1.2 GB, as soon as a package that
    needs torch (ultralytics, say) is installed. A new file takes the place of the old one, which uv's cache shares.
    Where one is there under another name (opencv-python as its headless build), an empty one of that name says so.
    """
    for name, _, info in list(distributions_of(folder)):
        if name in NOT_NEEDED:
            lines = (info / "METADATA").read_text().splitlines(keepends=True)
            needs = re.compile(f"Requires-Dist: ({NOT_NEEDED[name]})")
            write_safely(info / "METADATA", "".join(line for line in lines if not needs.match(line)))
    there = installed_packages(folder)
    for name, other in ALSO_CALLED.items():
        if name not in there or other in there:
            continue
        info = site_packages(folder) / f"{other.replace('-', '_')}-{there[name]}.dist-info"
        info.mkdir()
        note = f"Stands for {name}, which has the same modules. Made by the one-click launcher.\n"
        files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {other}\nVersion: {there[name]}\n\n{note}",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: oneclick\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "".join(f"{info.name}/{file},,\n" for file in ("METADATA", "WHEEL", "RECORD")),
        }
        for file, text in files.items():
            write_safely(info / file, text)
