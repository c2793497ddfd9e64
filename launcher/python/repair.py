"""Packages of the web UI that an extension moved, put back."""

from dataclasses import replace

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.python.environment import read_finished, write_finished
from launcher.python.install import correct_metadata, install
from launcher.python.link import broken_links, link_packages, recorded_files, unlink_packages
from launcher.python.lock import ALL_PINS, ALSO_CALLED
from launcher.python.uv import distributions_of, find_uv, installed_packages, site_packages


def moved_packages(folder: Folder) -> dict[str, str | None]:
    """Packages that are not as they were when all was finished: name to version, None if gone or not whole."""
    finished, now, site = read_finished(folder), installed_packages(folder), site_packages(folder)
    if not finished:
        return {}
    moved = {name: now.get(name) for name, version in finished.packages.items() if now.get(name) != version}
    for name, _, info in distributions_of(folder):
        record = info / "RECORD"
        whole = record.exists() and all((site / path).exists() for path in recorded_files(record.read_text()))
        if name in finished.packages and not whole:
            moved[name] = None
    return dict.fromkeys(broken_links(folder, finished.linked)) | moved


def put_packages_back(folder: Folder, names: list[str], step: Step) -> None:
    """Have those packages again as they were when the environment was finished. Raises `Problem` if uv cannot.

    A linked one is linked again; where the kernel no longer has it, the lock's own version is fetched.
    """
    finished = read_finished(folder)
    assert finished, "only of a finished environment is it known what was moved"
    linked = {name: files for name, files in finished.linked.items() if name in names}
    unlink_packages(folder, linked)
    pins = {pin.name: pin for pin in ALL_PINS.values() if pin.name in linked}
    again = link_packages(folder, pins.values())
    fetched = [name for name in names if name not in again and name not in ALSO_CALLED.values()]
    lines = [pins[name].requirement if name in pins else f"{name}=={finished.packages[name]}" for name in fetched]
    try:
        if lines:
            install(find_uv(folder), folder, lines, step, reinstall=True)
    except Problem as problem:
        what = f"Packages that an extension changed could not be put back. {problem.what}"
        raise Problem(what, problem.do) from problem
    correct_metadata(folder)
    now = installed_packages(folder)
    kept = {name: files for name, files in finished.linked.items() if name not in linked}
    packages = finished.packages | {name: now[name] for name in names if name in now}
    write_finished(folder, replace(finished, packages=packages, linked=kept | again))
