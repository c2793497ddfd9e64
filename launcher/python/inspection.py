"""Does the web UI's Python work on this machine, and on its card? What does not is replaced, by its cause."""

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import Folder
from launcher.core.problem import NEW_MACHINE, Problem
from launcher.core.process import CommandError, run
from launcher.core.status import Step
from launcher.python.environment import put_packages_back, read_finished, webui_environment, write_finished
from launcher.python.link import recorded_in
from launcher.python.uv import distributions_of, python_path

PROBE: Final = Path(__file__).with_name("probe.py")
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
    command, lines, ended = [python_path(folder), str(PROBE), *modules], list[str](), None
    try:
        run(command, env=webui_environment(folder), on_line=lines.append, timeout=INSPECTION_SILENCE)
    except CommandError as error:
        ended = error
    said: dict[str, Any] = {"at": ""}  # what it was at last, and what it found
    for line in lines:
        if re.fullmatch(r'\{"(at|card|no_card)": .*\}', line):
            said |= json.loads(line)
    at = said.pop("at")
    if not ended:
        return Inspection(**said)
    raised = [line for line in lines if re.match(r"\w[\w.]*(?:Error|Exception): ", line)]
    what = raised[-1][:300] if raised else f"it ended with {ended.code}"
    if ended.code == KILLED or NO_ROOM.search(what):
        return Inspection()
    if at == "card" and (ended.silent or CARDS_FAULT.search(what)):
        return Inspection(no_card="it does not answer" if ended.silent else what)
    return cause_of(folder, modules.get(at), what)


def cause_of(folder: Folder, package: str | None, error: str) -> Inspection:
    """What the error of a `package` that was being loaded, or of the computation on the card (None), is about."""
    for library in LIBRARY.findall(error):
        there = ((name, recorded_in(info)) for name, _, info in distributions_of(folder))
        owner = next((name for name, files in there if any(path.endswith(f"/{library}") for path in files)), None)
        if owner and owner.startswith("nvidia-"):
            return Inspection(Cause.LIBRARY, owner, error)
        if not owner and "cannot open shared object" in error:
            return Inspection(Cause.SYSTEM, library, error)
    return Inspection(Cause.PACKAGE, package, error) if package else Inspection(Cause.LIBRARY, "", error)


def note_works(folder: Folder, found: Inspection) -> None:
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
        put_packages_back(folder, finished.linked, step, borrow=False)
        found = inspect_packages(folder)
    if finished and found.cause in (Cause.PACKAGE, Cause.LIBRARY) and found.name:
        step.notice(f"The package {found.name} does not work ({found.error}), so it is downloaded again.")
        put_packages_back(folder, [found.name], step, borrow=False)
        found = inspect_packages(folder)
    if not found.cause:
        return found
    remedy = f"To have a new one, {NEW_MACHINE}, and press ▶ again. If it happens again, please report it."
    if found.cause == Cause.SYSTEM:  # ▶ does not mend that
        remedy = f"This machine lacks the system library {found.name}. Install the package it is in, and press ▶ again."
    raise Problem(f"The web UI's Python does not work on this machine: {found.error}.", remedy)
