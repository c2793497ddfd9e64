"""The web UI's own Python environment: linked from the kernel's and installed by uv, from a lock."""

import os
import re
from collections.abc import Container
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from launcher.core.child_environment import CARD, HUB, PACKAGES, child_environment
from launcher.core.folder import GB, Folder, point, require_room, write_safely
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run, works
from launcher.core.session import read_object, write_object
from launcher.core.status import Step
from launcher.core.tools import installer_environment
from launcher.python.link import broken_links, is_whole, link_packages, unlink_packages
from launcher.python.lock import ALL_PINS, ALSO_CALLED, BUILD_CONSTRAINTS, CONSTRAINTS
from launcher.python.uv import (
    COMPLETE,
    UNPACKED,
    distributions_of,
    find_uv,
    install,
    installed_packages,
    make_environment,
    python_path,
    site_packages,
    uv_environment,
)

ROOM_BESIDE: Final = GB // 2  # Python itself, pip, what sdists need to be built
ROOM_UNKNOWN: Final = 9 * GB  # for torch and all it needs, where no sizes are known
DRIVER: Final = "libcuda.so.1"  # comes with the card's driver, on Colab in /usr/lib64-nvidia
DRIVERS_OWN: Final = r"lib(cuda\.|cudadebugger|nvidia|nvcuvid|nvoptix)"  # how the names of its files begin
# Package -> what it says it needs and does not get here. facexlib needs numba (64 MB with llvmlite) and filterpy for
# following a face through a video only, which nothing of A1111's does.
NOT_NEEDED: Final = {"torch": r"nvidia-|triton\b", "facexlib": r"numba\b|filterpy\b"}
# NVIDIA's libraries that torch loads; the driver's own (libcuda, libnvidia-*) are the machine's.
CUDA: Final = re.compile(
    r"/.*/lib(?:cublas|cudnn|cufft|curand|cusolver|cusparse|cupti|cufile|nvJitLink|nvrtc|nccl|cudart)[^/\n]*$", re.M
)


@dataclass(frozen=True)
class Finished:
    """With what an environment was finished, in the file `COMPLETE`. One without it is made anew."""

    wanted: list[str]
    packages: dict[str, str]  # name -> version, of all that was there
    linked: list[str]
    works: bool = False  # on this machine, as `inspection` found
    card: str = ""  # on which torch computes
    card_memory: int = 0  # bytes


def read_finished(folder: Folder) -> Finished | None:
    """With what the environment was finished, None where it was not (or by a launcher that noted less)."""
    try:
        return Finished(**read_object(folder.python / COMPLETE))
    except TypeError:
        return None


def write_finished(folder: Folder, finished: Finished) -> None:
    write_object(folder.python / COMPLETE, asdict(finished))


def prepare_python(folder: Folder, packages: list[str], step: Step) -> bool:
    """Have these `packages` (`lock.packages_for` chooses them); True if any had to be installed. Raises `Problem`.

    The environment is complete or it is made anew, from uv's cache: a note of all that went in is written last. Whether
    it works on this machine is another question (`inspection`): A1111 can start while it is asked.
    """
    finished = read_finished(folder) if works(python_path(folder)) else None
    broken = broken_links(folder, finished.linked) if finished else []
    linked = [name for name in finished.linked if name not in broken] if finished else []
    limits = folder.python / "constraints.txt"
    same = finished and set(packages) <= {*finished.wanted} and limits.exists() and limits.read_text() == CONSTRAINTS
    if same and not broken and not absent(folder, packages, linked):
        return False
    if not finished:
        make_environment(find_uv(folder), folder, step)
    write_safely(limits, CONSTRAINTS)
    write_safely(folder.python / "build-constraints.txt", BUILD_CONSTRAINTS)
    unlink_packages(folder, broken)
    pins = [ALL_PINS[package] for package in absent(folder, packages, linked) if package in ALL_PINS]
    linked += link_packages(folder, pins)
    locked, missing = ALL_PINS.keys() >= set(packages), absent(folder, packages, linked)
    size = sum(ALL_PINS[package].size for package in missing) if locked else 0
    unknown = ROOM_UNKNOWN if any(re.match(r"torch\b", package) for package in missing) else GB
    room = int(size * UNPACKED) + ROOM_BESIDE if locked else unknown
    require_room(folder.machine, room, "the runtime's disk", "Installing the web UI's packages")
    if linked:
        step.say(f"{size / GB:.1f} GB to download")
    if missing or not locked:
        install(find_uv(folder), folder, missing if locked else packages, step, with_needs=not locked)
    if locked:
        correct_metadata(folder)
    write_finished(folder, Finished(packages, installed_packages(folder), linked))
    return True


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


def moved_packages(folder: Folder) -> dict[str, str | None]:
    """Packages that are not as they were when all was finished: name to version, None if gone or not whole."""
    finished, now = read_finished(folder), installed_packages(folder)
    if not finished:
        return {}
    moved = {name: now.get(name) for name, version in finished.packages.items() if now.get(name) != version}
    for name, _, info in distributions_of(folder):
        linked = name in finished.linked and name not in moved
        if name in finished.packages and not is_whole(info, linked=linked):
            moved[name] = None
    return moved


def put_packages_back(folder: Folder, names: list[str], step: Step, *, borrow: bool = True) -> None:
    """Have those packages again as they were when the environment was finished. Raises `Problem` if uv cannot.

    A linked one is linked again, unless that is what does not work (`borrow`); else the lock's own version is fetched,
    in that case past uv's cache, with which its files are shared.
    """
    finished = read_finished(folder)
    assert finished, "only of a finished environment is it known what was in it"
    lent = [name for name in names if name in finished.linked]
    unlink_packages(folder, lent)
    pins = {pin.name: pin for pin in ALL_PINS.values() if pin.name in lent}
    again = link_packages(folder, pins.values()) if borrow else []
    fetched = [name for name in names if name not in again and name not in ALSO_CALLED.values()]
    if fetched:
        uv = find_uv(folder)
        if not borrow:
            with suppress(CommandError):  # then it is tried with what is in it
                run([uv, "cache", "clean", *fetched], env=uv_environment(folder))
        lines = [pins[name].requirement if name in pins else f"{name}=={finished.packages[name]}" for name in fetched]
        install(uv, folder, lines, step, reinstall=True)
    correct_metadata(folder)
    now = installed_packages(folder)
    packages = finished.packages | {name: now[name] for name in names if name in now}
    linked = [name for name in finished.linked if name not in lent] + again
    write_finished(folder, replace(finished, packages=packages, linked=linked))


def foreign_libraries(folder: Folder, pid: int) -> list[str]:
    """CUDA libraries that a running process has loaded and that are neither the environment's own nor linked ones."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:  # it is gone
        return []
    linked = [os.readlink(path) for path in site_packages(folder).glob("nvidia/*/lib/*") if path.is_symlink()]
    known = (f"{folder.python}/", f"{folder.python.resolve()}/", *linked)
    return sorted({path for path in CUDA.findall(maps) if not path.startswith(known)})


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


def webui_environment(folder: Folder) -> dict[str, str]:
    """The environment for the web UI and whatever it starts: the short list, with the constraints always set.

    No token is in it. Both PIP_CONSTRAINT and PIP_BUILD_CONSTRAINT are needed: pip 23 reads the first for build
    environments, pip 26 only the second (measured).
    """
    env = child_environment(*PACKAGES, *HUB, *CARD) | installer_environment() | driver_of_card(folder)
    return env | {
        "PATH": f"{folder.python / 'bin'}{os.pathsep}{env['PATH']}",
        "VIRTUAL_ENV": str(folder.python),
        "MPLBACKEND": "Agg",  # the kernel's inline backend is not there: TheLastBen#3125
        "PYTHONUNBUFFERED": "1",
        "PIP_CONSTRAINT": str(folder.python / "constraints.txt"),
        "PIP_BUILD_CONSTRAINT": str(folder.python / "build-constraints.txt"),
        "UV_CONSTRAINT": str(folder.python / "constraints.txt"),
        "UV_BUILD_CONSTRAINT": str(folder.python / "build-constraints.txt"),
        # Checkpoints of old carry pickled callbacks, which torch >= 2.6 refuses; A1111's own check of pickles stays.
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    }


def driver_of_card(folder: Folder) -> dict[str, str]:
    """LD_LIBRARY_PATH with the card's driver, and nothing else of the folder it leads to: a cuDNN there would be loaded
    in place of the environment's own. Empty where the system finds the driver by itself.
    """
    named = [Path(place) for place in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if place]
    places = [place for place in named if (place / DRIVER).exists()]
    if not places or system_finds(DRIVER):
        return {}
    links = folder.machine / "driver"
    links.mkdir(parents=True, exist_ok=True)
    for file in places[0].iterdir():
        if re.match(DRIVERS_OWN, file.name):
            point(links / file.name, file)
    return {"LD_LIBRARY_PATH": str(links)}


def system_finds(library: str) -> bool:
    try:
        return library in run(["ldconfig", "-p"], timeout=60)
    except (CommandError, Problem):
        return False
