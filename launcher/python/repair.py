"""Packages of the web UI that an extension moved, put back."""

import json
import os
import re

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.python.environment import COMPLETE
from launcher.python.uv import UV_SILENCE, find_uv, installed_packages, site_packages, uv_environment, uv_words


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
        if name in finished and not all(
            os.path.exists(place / file) for file in files if not file.startswith('"') and "__pycache__" not in file
        ):
            moved[name] = ""
    return moved


def put_packages_back(folder: Folder, names: list[str]) -> None:
    """Install those packages again as they were when the environment was finished. Raises `Problem` if uv cannot."""
    finished = json.loads((folder.python / COMPLETE).read_text())["packages"]
    command = [
        find_uv(folder),
        "pip",
        "install",
        "--python",
        str(folder.python / "bin" / "python"),
        "--no-deps",
        "--reinstall",
    ]
    try:
        run(
            [*command, *(f"{name}=={finished[name]}" for name in names)], env=uv_environment(folder), timeout=UV_SILENCE
        )
    except CommandError as error:
        raise Problem(
            f"Packages that an extension changed could not be put back: {uv_words(error.output)}",
            "Choose Runtime → Disconnect and delete runtime, and press ▶ again.",
        ) from error
