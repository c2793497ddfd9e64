"""The web UI's own Python 3.11, installed by uv from a lock. Knows nothing of git."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.folder import GB, Folder, require_room, write_safely
from launcher.lock import BUILD_CONSTRAINTS, CONSTRAINTS, CONTROLNET_PACKAGES, LOCKED_PACKAGES, LOCKED_REQUIREMENTS
from launcher.problem import Problem
from launcher.process import CommandError, run

PYTHON_VERSION: Final = "3.11"  # Pillow 9.5 and others have no wheels for 3.12 and later
ROOM_NEEDED: Final = 9 * GB  # 7.3 GB installed (measured) and what uv needs on the way
USED_LIST: Final = "oneclick-used.txt.gz"  # on Drive: the files worth compiling on a new machine
COMPLETE: Final = "complete.json"  # in the environment: what it was finished with
UV_SILENCE: Final = 300.0  # seconds uv may say nothing

# A1111's launch.py installs these itself, from addresses that are gone or not locked.
BESIDE_TORCH: Final = ("torchvision", "clip-anytorch==2.6.0")

# Variables of Colab's kernel that break a Python of its own (facts/colab.md §4).
NOT_FOR_CHILDREN: Final = re.compile(
    r"PYTHON(PATH|HOME|WARNINGS|STARTUP|DONTWRITEBYTECODE)|MPLBACKEND|JPY_.*|TF_.*|VIRTUAL_ENV|LD_PRELOAD"
    r"|PIP_(CONSTRAINT|BUILD_CONSTRAINT|TARGET|PREFIX|USER)|HF_TOKEN|HUGGING_FACE_HUB_TOKEN|CIVITAI_TOKEN|COMMANDLINE_ARGS"
    r"|UV_(?!CACHE_DIR|PYTHON_INSTALL_MIRROR|DEFAULT_INDEX|INDEX_URL|NATIVE_TLS).*"
)


@dataclass(frozen=True)
class PythonEnvironment:
    """A finished environment."""

    python: Path
    installed_now: bool


def child_environment(folder: Folder) -> dict[str, str]:
    """The environment for the web UI and whatever it starts: scrubbed, with the constraints always set.

    No token is in it. Both PIP_CONSTRAINT and PIP_BUILD_CONSTRAINT are needed: pip 23 reads the first for build
    environments, pip 26 only the second (measured, facts/a1111.md §1).
    """
    env = {name: value for name, value in os.environ.items() if not NOT_FOR_CHILDREN.fullmatch(name)}
    return env | {
        "PATH": f"{folder.python / 'bin'}{os.pathsep}{env.get('PATH', '')}",
        "VIRTUAL_ENV": str(folder.python),
        "MPLBACKEND": "Agg",  # the kernel's inline backend is not there: TheLastBen#3125
        "PYTHONUNBUFFERED": "1",
        "PIP_CONSTRAINT": str(folder.python / "constraints.txt"),
        "PIP_BUILD_CONSTRAINT": str(folder.python / "build-constraints.txt"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # Checkpoints of old carry pickled callbacks, which torch >= 2.6 refuses; A1111's own check of pickles stays.
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    }


def find_uv(folder: Folder) -> str:
    """The path of uv; installs it beside our things (never into the kernel's packages) if it is missing."""
    for place in (shutil.which("uv"), folder.tools / "uv" / "bin" / "uv"):
        if place and Path(place).exists() and works(str(place)):
            return str(place)
    try:
        run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder.tools / "uv"), "--upgrade", "uv"], timeout=UV_SILENCE)
    except CommandError as error:
        raise Problem(
            f"uv, the installer the launcher uses, could not be fetched: {error.output.strip()[-200:]}",
            "Check that the runtime is connected to the internet and press ▶ again.",
        ) from error
    return str(folder.tools / "uv" / "bin" / "uv")


def compile_what_was_used(folder: Folder) -> int:
    """Byte-compile, on all cores, what the web UI imported at an earlier start; return how many files that are.

    Without it A1111's own first import compiles them one after the other: 20 to 23 s instead of 6 + 8 (measured on
    2 cores, docs/benchmarks.md). Compiling every file of the environment would take longer than it saves.
    """
    try:
        files = gzip.decompress((folder.kept / USED_LIST).read_bytes()).decode().splitlines()
    except (FileNotFoundError, OSError):
        return 0
    code = "import compileall, sys\nfor line in sys.stdin: compileall.compile_file(line.rstrip(), quiet=2)"
    workers = os.cpu_count() or 1
    command = [str(folder.python / "bin" / "python"), "-c", code]
    there = [str(path) for name in files if (path := folder.python / name).exists()]
    running = [subprocess.Popen(command, cwd=folder.python, env=child_environment(folder), stdin=subprocess.PIPE, text=True) for _ in range(workers)]
    for number, process in enumerate(running):
        process.communicate("\n".join(there[number::workers]))
    return len(there)


def remember_what_was_used(folder: Folder) -> None:
    """Note on Drive which files of the environment were imported, by their byte code."""
    names = {path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in folder.python.rglob("__pycache__/*.pyc")}
    text = "\n".join(sorted(str(name.relative_to(folder.python)) for name in names))
    write_safely(folder.kept / USED_LIST, gzip.compress(text.encode(), mtime=0))


def works(program: str) -> bool:
    """True if the program starts: a pyenv shim, for one, exists without what it stands for."""
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


def prepare_python(folder: Folder, packages: list[str], say: Callable[[str], None], progress: Callable[[int, int], None]) -> PythonEnvironment:
    """Make the environment with these `packages` (`packages_for` chooses them).

    It is complete or absent: a marker with all that went in is written last, and an
    environment without it is made anew. `progress` gets (packages ready, packages in all).
    """
    rules = hashlib.sha256(f"{PYTHON_VERSION}\n{CONSTRAINTS}".encode()).hexdigest()
    marker, python = folder.python / COMPLETE, folder.python / "bin" / "python"
    if is_complete(marker, rules, packages) and python.exists() and works(str(python)):
        return PythonEnvironment(python, False)
    require_room(folder.machine, ROOM_NEEDED if "torch" in "".join(packages) else GB, "the runtime's disk", "Installing the web UI's packages")
    uv = find_uv(folder)
    marker.unlink(missing_ok=True)
    if not (python.exists() and works(str(python))):
        make_environment(uv, folder, say)
    write_safely(folder.python / "constraints.txt", CONSTRAINTS)
    write_safely(folder.python / "build-constraints.txt", BUILD_CONSTRAINTS)
    locked = packages[: len(LOCKED_PACKAGES)] == list(LOCKED_PACKAGES)
    install(uv, folder, packages, locked=locked, say=say, progress=progress)
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


def make_environment(uv: str, folder: Folder, say: Callable[[str], None]) -> None:
    """An empty environment with pip (`--seed`: extensions call `python -m pip`)."""
    say(f"making room for Python {PYTHON_VERSION}")
    shutil.rmtree(folder.python, ignore_errors=True)
    try:
        run([uv, "venv", "--quiet", "--seed", "--python", PYTHON_VERSION, str(folder.python)], env=uv_environment(folder), timeout=UV_SILENCE)
    except CommandError as error:
        raise Problem(
            f"The web UI's Python {PYTHON_VERSION} could not be set up: {uv_words(error.output)}",
            "Check that the runtime is connected to the internet, wait a few minutes, and press ▶ again.",
        ) from error


def install(uv: str, folder: Folder, packages: list[str], *, locked: bool, say: Callable[[str], None], progress: Callable[[int, int], None]) -> None:
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
            say(f"{resolved[1]} packages")
        elif starts:
            sizes[starts[1]] = starts[2]
            say("downloading " + ", ".join(f"{name} ({size})" for name, size in list(sizes.items())[-3:]))
        elif ends:
            sizes.pop(ends[1], None)
            ready[0] += 1
            progress(ready[0], total)
            if sizes:
                say("downloading " + ", ".join(f"{name} ({size})" for name, size in list(sizes.items())[-3:]))
        elif prepared:
            say("downloaded; putting the packages in place")
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
            say(f"{pin} is gone from the package index; another version is taken")
            loosened = [pin.replace("==", "<=") if package == pin else package for package in packages]
            install(uv, folder, loosened, locked=True, say=say, progress=progress)
            return
        raise Problem(
            f"The web UI's packages could not be installed: {uv_words(error.output)}",
            "Wait a minute and press ▶ again; what is downloaded already is kept. If it fails again, please report it.",
        ) from error


def installed_packages(folder: Folder) -> dict[str, str]:
    """Name (as packaging writes it) to version, of all that is in the environment."""
    found = {}
    for info in site_packages(folder).glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return found


def moved_packages(folder: Folder) -> dict[str, str]:
    """Packages of the finished environment that are not as they were: name to the version now, "" if gone or not whole."""
    try:
        finished: dict[str, str] = json.loads((folder.python / COMPLETE).read_text())["packages"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    now = installed_packages(folder)
    moved = {name: now.get(name, "") for name, version in finished.items() if now.get(name) != version}
    place = site_packages(folder)
    for info in place.glob("*.dist-info"):
        record = info / "RECORD"
        files = [line.split(",")[0] for line in record.read_text().splitlines()] if record.exists() else ["RECORD"]
        name = re.sub(r"[-_.]+", "-", info.name.removesuffix(".dist-info").rpartition("-")[0]).lower()
        if name in finished and not all(os.path.exists(place / file) for file in files if not file.startswith('"') and "__pycache__" not in file):
            moved[name] = ""
    return moved


def put_packages_back(folder: Folder, names: list[str]) -> None:
    """Install those packages again as they were when the environment was finished. Raises `Problem` if uv cannot."""
    finished = json.loads((folder.python / COMPLETE).read_text())["packages"]
    command = [find_uv(folder), "pip", "install", "--python", str(folder.python / "bin" / "python"), "--no-deps", "--reinstall"]
    try:
        run([*command, *(f"{name}=={finished[name]}" for name in names)], env=uv_environment(folder), timeout=UV_SILENCE)
    except CommandError as error:
        raise Problem(
            f"Packages that an extension changed could not be put back: {uv_words(error.output)}",
            "Choose Runtime → Disconnect and delete runtime, and press ▶ again.",
        ) from error


def site_packages(folder: Folder) -> Path:
    """Where the environment's packages lie."""
    return folder.python / "lib" / f"python{PYTHON_VERSION}" / "site-packages"


def uv_environment(folder: Folder) -> dict[str, str]:
    """The scrubbed environment for uv, without a chosen environment."""
    environment = {name: value for name, value in child_environment(folder).items() if not name.startswith(("PIP_", "VIRTUAL_ENV"))}
    return environment | {"NO_COLOR": "1"}  # its words are shown on the panel


def uv_words(output: str) -> str:
    """The sentence in which uv says why."""
    lines = [line.strip(" ╰─▶×│├") for line in output.splitlines() if re.search(r"[×╰│]|error|cause", line)]
    return " ".join(line for line in lines if line)[:400] or output.strip()[-300:]
