"""Packages of the web UI that an extension moved, put back."""

import json

from launcher.core.folder import Folder, write_safely
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.python.borrow import borrow, give_up, lent_by_kernel, lost, read_borrowed
from launcher.python.environment import COMPLETE, read_finished
from launcher.python.metadata import ask_for_less, stand_in_for_other_names
from launcher.python.pins import ALL_PINS, ALSO_CALLED
from launcher.python.uv import (
    UV_SILENCE,
    find_uv,
    installed_packages,
    plain_name,
    site_packages,
    uv_environment,
    uv_problem,
)


def moved_packages(folder: Folder) -> dict[str, str]:
    """Packages of the finished environment that are not as they were: name to the version now, "" if gone or not
    whole.
    """
    finished = read_finished(folder)
    now = installed_packages(folder)
    moved = {name: now.get(name, "") for name, version in finished.items() if now.get(name) != version}
    place = site_packages(folder)
    for info in place.glob("*.dist-info"):
        record = info / "RECORD"
        lines = record.read_text().splitlines() if record.exists() else [f"{info.name}/RECORD,,"]
        files = [line.rsplit(",", 2)[0].strip('"') for line in lines]
        name = plain_name(info.name.removesuffix(".dist-info").rpartition("-")[0])
        if name in finished and not all((place / file).exists() for file in files if "__pycache__" not in file):
            moved[name] = ""
    return moved | {name: now.get(name, "") for name in lost(folder) if finished and name not in moved}


def put_packages_back(folder: Folder, names: list[str]) -> None:
    """Have those packages again as they were when the environment was finished. Raises `Problem` if uv cannot.

    A borrowed one is borrowed again; where the kernel no longer has it, the lock's own version is fetched.
    """
    finished = read_finished(folder)
    give_up(folder, [name for name in names if name in read_borrowed(folder)])
    by_name = {pin.name: pin for pin in ALL_PINS.values()}
    lent = lent_by_kernel(by_name[name] for name in names if name in by_name)
    borrow(folder, lent)
    again = [name for name in names if name not in {one.name for one in lent} and name not in ALSO_CALLED.values()]
    lines = [
        f"{name}=={by_name[name].version if name.startswith('nvidia-') and name in by_name else finished[name]}"
        for name in again
    ]
    command = [find_uv(folder), "pip", "install", "--python", str(folder.python / "bin" / "python")]
    try:
        if lines:
            run([*command, "--no-deps", "--reinstall", *lines], env=uv_environment(folder), timeout=UV_SILENCE)
    except CommandError as error:
        problem = uv_problem(folder, error, "package index", "what an extension changed")
        raise Problem(
            f"Packages that an extension changed could not be put back. {problem.what}", problem.do
        ) from error
    note_as_finished(folder, again)
    ask_for_less(folder)
    stand_in_for_other_names(folder)


def note_as_finished(folder: Folder, names: list[str]) -> None:
    """What was put back is what belongs there now, also where it is another version (of a package once borrowed)."""
    marker, now = folder.python / COMPLETE, installed_packages(folder)
    finished = json.loads(marker.read_text())
    finished["packages"] |= {name: now[name] for name in names if name in now}
    write_safely(marker, json.dumps(finished))
