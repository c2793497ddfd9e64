"""The Python of the web UI: uv's own, one that is there, or the system's."""

import glob
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from launcher.core.child_environment import child_environment
from launcher.core.folder import Folder
from launcher.core.process import CommandError, run, works
from launcher.core.status import Step
from launcher.python.install import Arrivals, bytes_below
from launcher.python.uv import PYTHON_VERSION, UV_SILENCE, uv_environment, uv_problem

NAME: Final = f"python{PYTHON_VERSION}"
# uv's words where it has no interpreter: its archive cannot be had, or downloads are switched off.
NO_PYTHON: Final = re.compile(r"cpython-\d|[Nn]o interpreter found|Python download")
# Where interpreters lie that PATH may not name.
PLACES: Final = (
    f"/usr/bin/{NAME}",
    f"/usr/local/bin/{NAME}",
    f"~/.pyenv/versions/{PYTHON_VERSION}.*/bin/{NAME}",
    f"/opt/*/bin/{NAME}",
    f"/opt/*/envs/*/bin/{NAME}",
)


def make_environment(uv: str, folder: Folder, step: Step) -> None:
    """An empty environment with pip (`--seed`: extensions call `python -m pip`). Raises `Problem`.

    uv takes an interpreter that it knows or fetches one from its releases on GitHub; where that fails, one that lies
    elsewhere on this machine or that the system's packages have.
    """
    step.say(f"preparing Python {PYTHON_VERSION}")
    try:
        make_with(uv, folder, PYTHON_VERSION, step)
        return
    except CommandError as error:
        first = error
    if not lacks_python(first):
        raise uv_problem(folder, first, "package index", "pip") from first
    for python in other_pythons(step):
        try:
            make_with(uv, folder, python, step)
        except CommandError:  # not this one either; the first failure is what a person is told
            continue
        step.say(f"Python {PYTHON_VERSION} could not be downloaded; this machine's own is used")
        return
    raise uv_problem(folder, first, "place Python comes from (GitHub)", f"Python {PYTHON_VERSION}") from first


def lacks_python(error: CommandError) -> bool:
    """True if uv got no interpreter. Once it has one it says that it makes the environment."""
    has = "Creating virtual environment" in error.output
    return not has and (error.silent or bool(NO_PYTHON.search(error.output)))


def make_with(uv: str, folder: Folder, python: str, step: Step) -> None:
    """Make the environment from that Python (a version or a path)."""
    shutil.rmtree(folder.python, ignore_errors=True)
    env = uv_environment(folder)
    arrivals = Arrivals(Path(env["UV_CACHE_DIR"]), [], step)
    coming = Path(env["UV_PYTHON_INSTALL_DIR"], ".temp")  # where uv unpacks an archive as it comes
    command = [uv, "venv", "--seed", "--python", python, str(folder.python)]
    run(command, env=env, timeout=UV_SILENCE, signs_of_life=lambda: (arrivals.measure(), bytes_below(coming)))


def other_pythons(step: Step) -> Iterator[str]:
    """Interpreters of the right version that are on this machine, then the one the system's packages have."""
    for pattern in PLACES:
        yield from (path for path in sorted(glob.glob(os.path.expanduser(pattern))) if works(path))
    env = child_environment() | {"DEBIAN_FRONTEND": "noninteractive"}
    if os.geteuid() != 0 or not shutil.which("apt-get", path=env["PATH"]):
        return
    try:
        found = re.search(r"Candidate: (\S+)", run(["apt-cache", "policy", NAME], env=env, timeout=60))
        if not found or "(none)" in found[0] or "rc" in found[1]:  # Ubuntu 22.04 has only a release candidate
            return
        step.say(f"Python {PYTHON_VERSION} could not be downloaded; using the system's")
        run(["apt-get", "install", "-y", "-qq", NAME, f"{NAME}-venv"], env=env, timeout=300)
    except CommandError:  # without it there is no other Python; the first failure is what a person is told
        return
    yield f"/usr/bin/{NAME}"
