"""uv, which makes the web UI's Python environment, and the environment variables children get."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run

PYTHON_VERSION: Final = "3.11"  # Pillow 9.5 and others have no wheels for 3.12 and later
UV_SILENCE: Final = 300.0  # seconds uv may say nothing
# Variables of Colab's kernel that break a Python of its own (facts/colab.md §4).
NOT_FOR_CHILDREN: Final = re.compile(
    r"PYTHON(PATH|HOME|WARNINGS|STARTUP|DONTWRITEBYTECODE)|MPLBACKEND|JPY_.*|TF_.*|VIRTUAL_ENV|LD_PRELOAD"
    r"|PIP_(CONSTRAINT|BUILD_CONSTRAINT|TARGET|PREFIX|USER)|HF_TOKEN|HUGGING_FACE_HUB_TOKEN|CIVITAI_TOKEN|COMMANDLINE_ARGS"
    r"|UV_(?!CACHE_DIR|PYTHON_INSTALL_MIRROR|DEFAULT_INDEX|INDEX_URL|NATIVE_TLS).*"
)


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
        run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--target",
                str(folder.tools / "uv"),
                "--upgrade",
                "uv",
            ],
            timeout=UV_SILENCE,
        )
    except CommandError as error:
        raise Problem(
            f"uv, the installer the launcher uses, could not be fetched: {error.output.strip()[-200:]}",
            "Check that the runtime is connected to the internet and press ▶ again.",
        ) from error
    return str(folder.tools / "uv" / "bin" / "uv")


def works(program: str) -> bool:
    """True if the program starts: a pyenv shim, for one, exists without what it stands for."""
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


def installed_packages(folder: Folder) -> dict[str, str]:
    """Name (as packaging writes it) to version, of all that is in the environment."""
    found = {}
    for info in site_packages(folder).glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return found


def site_packages(folder: Folder) -> Path:
    """Where the environment's packages lie."""
    return folder.python / "lib" / f"python{PYTHON_VERSION}" / "site-packages"


def uv_environment(folder: Folder) -> dict[str, str]:
    """The scrubbed environment for uv, without a chosen environment."""
    environment = {
        name: value for name, value in child_environment(folder).items() if not name.startswith(("PIP_", "VIRTUAL_ENV"))
    }
    return environment | {"NO_COLOR": "1"}  # its words are shown on the panel


def uv_words(output: str) -> str:
    """The sentence in which uv says why."""
    lines = [line.strip(" ╰─▶×│├") for line in output.splitlines() if re.search(r"[×╰│]|error|cause", line)]
    return " ".join(line for line in lines if line)[:400] or output.strip()[-300:]
