"""Does the web UI's Python work on this machine, and on its card? What does not is replaced, by its cause."""

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name

from launcher.core.folder import Folder
from launcher.core.problem import NEW_MACHINE, Problem
from launcher.core.process import CommandError, run
from launcher.core.status import Step
from launcher.python import probe
from launcher.python.environment import fill, read_finished, write_finished
from launcher.python.install import correct_metadata, install
from launcher.python.link import unlink_packages
from launcher.python.uv import (
    distributions_of,
    find_uv,
    installed_packages,
    python_path,
    uv_environment,
    webui_environment,
)

# Packages with parts in C -> what to import to see that all they need is on the machine.
MUST_LOAD: Final = {"torch": "torch", "opencv-python-headless": "cv2", "numpy": "numpy"}
INSPECTION_SILENCE: Final = 300.0  # seconds
KILLED: Final = -9  # the system had no room for it: that says nothing of the packages
# What is wrong with the card or its driver, whichever libraries compute on it.
CARDS_FAULT: Final = re.compile(
    r"no kernel image|not yet initialized|unsupported display driver|too old|driver version is insufficient"
    r"|No CUDA GPUs|no CUDA-capable device|GPU is lost|busy or unavailable|uncorrectable ECC"
)
NO_ROOM: Final = re.compile(r"out of memory|OutOfMemory|ALLOC_FAILED")  # the web UI beside it has taken it
LIBRARY: Final = re.compile(r"\blib[\w+-]+\.so[\w.]*")


class Cause(StrEnum):
    LIBRARY = "library"  # of NVIDIA's, or what it computes
    PACKAGE = "package"  # itself
    SYSTEM = "system"  # a library that belongs to the machine


@dataclass(frozen=True)
class Inspection:
    """What an inspection found. `name` is the package or the library that the `cause` is about."""

    cause: Cause | None = None
    name: str = ""
    error: str = ""
    card: str | None = None  # the one that torch computes on
    memory: int = 0  # bytes of it
    no_card: str | None = None  # why torch has none, in its own words


def inspect_packages(folder: Folder, *, has_card: bool = False) -> Inspection:
    """Load what must work and compute a little on the card, in the environment; not again once it works (`note_works`),
    on the card if the machine `has_card`.
    """
    finished = read_finished(folder)
    if not finished:
        return Inspection()
    if finished.works and (finished.card or not has_card):
        return Inspection(card=finished.card or None, memory=finished.card_memory)
    names = {package.partition("==")[0] for package in finished.wanted}
    modules = {module: package for package, module in MUST_LOAD.items() if package in names}
    command, lines = [python_path(folder), str(Path(probe.__file__)), *modules], list[str]()
    try:
        run(command, env=webui_environment(folder), on_line=lines.append, timeout=INSPECTION_SILENCE)
        return Inspection(**said_in(lines))
    except CommandError as error:
        raised = [line for line in lines if re.match(r"\w[\w.]*(?:Error|Exception): ", line)]
        what, at = raised[-1][:300] if raised else f"it ended with {error.code}", said_in(lines, "at").get("at", "")
        if error.code == KILLED or NO_ROOM.search(what):
            return Inspection()
        if at == "card" and (error.silent or CARDS_FAULT.search(what)):
            return Inspection(no_card="it does not answer" if error.silent else what)
        return cause_of(folder, modules.get(at), what)


def said_in(lines: list[str], *names: str) -> dict[str, Any]:
    """What the program said under these names, the last of each; without names, what it found."""
    said = [json.loads(line) for line in lines if re.fullmatch(r'\{"(at|card|no_card)": .*\}', line)]
    return {
        name: one for line in said for name, one in line.items() if name in (names or ("card", "memory", "no_card"))
    }


def cause_of(folder: Folder, package: str | None, error: str) -> Inspection:
    """What the error of a `package` that was being loaded, or of the computation on the card (None), is about."""
    for library in LIBRARY.findall(error):
        owners = [name for name, _, info in distributions_of(folder) if has_file(info, library)]
        if owners and owners[0].startswith("nvidia-"):
            return Inspection(Cause.LIBRARY, owners[0], error)
        if not owners and "cannot open shared object" in error:
            return Inspection(Cause.SYSTEM, library, error)
    return Inspection(Cause.PACKAGE, package, error) if package else Inspection(Cause.LIBRARY, "", error)


def has_file(info: Path, name: str) -> bool:
    record = info / "RECORD"
    return record.exists() and f"/{name}," in record.read_text()


def note_works(folder: Folder, found: Inspection) -> None:
    """Note that it works here, and on which card."""
    if finished := read_finished(folder):
        write_finished(folder, replace(finished, works=True, card=found.card or "", card_memory=found.memory))


def mend(folder: Folder, found: Inspection, step: Step) -> Inspection:
    """Replace what does not work, and inspect again. Raises `Problem` where that did not help, or cannot."""
    finished = read_finished(folder)
    if finished and found.cause == Cause.LIBRARY and finished.linked:
        step.notice(
            f"This machine's CUDA libraries do not work with the web UI ({found.error}), so the right ones are "
            "downloaded."
        )
        unlink_packages(folder, finished.linked)
        fill(find_uv(folder), folder, finished.wanted, {}, step)
        write_finished(folder, replace(finished, packages=installed_packages(folder), linked={}))
        found = inspect_packages(folder)
    if finished and found.cause in (Cause.PACKAGE, Cause.LIBRARY) and found.name:
        step.notice(f"The package {found.name} does not work ({found.error}), so it is downloaded again.")
        download_again(folder, found.name, step)
        found = inspect_packages(folder)
    if not found.cause:
        return found
    remedy = f"To have a new one, {NEW_MACHINE}, and press ▶ again. If it happens again, please report it."
    if found.cause == Cause.SYSTEM:  # ▶ does not mend that
        remedy = f"This machine lacks the system library {found.name}. Install the package it is in, and press ▶ again."
    raise Problem(f"The web UI's Python does not work on this machine: {found.error}.", remedy)


def download_again(folder: Folder, name: str, step: Step) -> None:
    """One package anew, past uv's cache, with which its files are shared. Raises `Problem`."""
    finished, uv = read_finished(folder), find_uv(folder)
    assert finished, "only a finished environment is inspected"
    lines = [line for line in finished.wanted if canonicalize_name(line.partition("==")[0]) == name]
    try:
        run([uv, "cache", "clean", name], env=uv_environment(folder))
    except CommandError as error:
        step.say(f"the cache could not be emptied ({error.code})")
    install(uv, folder, lines or [f"{name}=={finished.packages[name]}"], step, reinstall=True)
    correct_metadata(folder)
    write_finished(folder, replace(finished, packages=installed_packages(folder)))
