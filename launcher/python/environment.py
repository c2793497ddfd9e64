"""The web UI's own Python environment: borrowed from the kernel's and installed by uv from a lock. Knows nothing of
git.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import GB, Folder, require_room, write_safely
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run, works
from launcher.core.status import Step
from launcher.python import probe
from launcher.python.borrow import borrow, give_up, lent_by_kernel, lost, read_borrowed
from launcher.python.bytecode import put_bytecode
from launcher.python.install import UNPACKED, install
from launcher.python.interpreter import make_environment
from launcher.python.metadata import ask_for_less, forget_half_installed, stand_in_for_other_names
from launcher.python.packages import absent, is_lock
from launcher.python.pins import ALL_PINS, BUILD_CONSTRAINTS, CONSTRAINTS
from launcher.python.uv import PYTHON_VERSION, find_uv, installed_packages, uv_words, webui_environment

ROOM_BESIDE: Final = GB // 2  # Python itself, pip, what sdists need to be built
ROOM_UNKNOWN: Final = 9 * GB  # for torch and all it needs, where no sizes are known
COMPLETE: Final = "complete.json"  # in the environment: what it was finished with
# Packages with parts in C -> what to load to see that all they need is on the machine. Of torchvision only its library:
# its modules take 2.7 s to compile, which A1111's start does anyway.
MUST_LOAD: Final = {
    "torch": "torch",
    "torchvision": "torchvision/_C.so",
    "opencv-python-headless": "cv2",
    "numpy": "numpy",
}
# NVIDIA's libraries that torch loads; the driver's own (libcuda, libnvidia-*) are the machine's.
CUDA: Final = re.compile(
    r"/lib(cublas|cudnn|cufft|curand|cusolver|cusparse|cupti|cufile|nvJitLink|nvrtc|nccl|cudart)[^/]*$"
)


@dataclass(frozen=True)
class PythonEnvironment:
    """A finished environment."""

    python: Path
    installed_now: bool


def prepare_python(folder: Folder, packages: list[str], step: Step) -> PythonEnvironment:
    """Make the environment with these `packages` (`packages.packages_for` chooses them). Raises `Problem`.

    It is complete or absent: a marker with all that went in is written last, and an environment without it is finished
    anew. Whether it works on this machine is another question (`trouble_with`): A1111 can start while it is asked.
    """
    rules = hashlib.sha256(f"{PYTHON_VERSION}\n{CONSTRAINTS}".encode()).hexdigest()
    marker, python = folder.python / COMPLETE, folder.python / "bin" / "python"
    if is_complete(folder, rules, packages) and works(str(python)):
        return PythonEnvironment(python, False)
    uv = find_uv(folder)
    marker.unlink(missing_ok=True)
    if not works(str(python)):
        make_environment(uv, folder, step)
    write_safely(folder.python / "constraints.txt", CONSTRAINTS)
    write_safely(folder.python / "build-constraints.txt", BUILD_CONSTRAINTS)
    give_up(folder, lost(folder))
    forget_half_installed(folder, read_borrowed(folder))
    fill(uv, folder, packages, step, borrowing=True)
    put_bytecode(folder)
    finished = {"rules": rules, "wanted": packages, "packages": installed_packages(folder)}
    write_safely(marker, json.dumps(finished))
    return PythonEnvironment(python, True)


def trouble_with(folder: Folder) -> str:
    """What does not work in a finished environment, or "". Once nothing is wrong, it is not looked at again."""
    marker = folder.python / COMPLETE
    finished = json.loads(marker.read_text())
    if finished.get("works"):
        return ""
    trouble = look_at(folder, finished["wanted"])
    if not trouble:
        write_safely(marker, json.dumps(finished | {"works": True}))
    return trouble


def make_work(folder: Folder, step: Step) -> None:
    """Look while nothing else needs the card, and replace borrowed packages that do not work. Raises `Problem`."""
    trouble = trouble_with(folder)
    if trouble and read_borrowed(folder):
        step.notice(
            f"This machine's CUDA libraries do not work with the web UI ({trouble}), so the right ones are downloaded."
        )
        marker = folder.python / COMPLETE
        finished = json.loads(marker.read_text())
        marker.unlink()
        give_up(folder, read_borrowed(folder))
        fill(find_uv(folder), folder, finished["wanted"], step, borrowing=False)
        write_safely(marker, json.dumps(finished | {"packages": installed_packages(folder)}))
        trouble = trouble_with(folder)
    if trouble:
        raise Problem(f"The web UI's Python does not work on this machine: {trouble}.", remedy_for(trouble))


def is_complete(folder: Folder, rules: str, wanted: list[str]) -> bool:
    """True if the environment was finished with all these packages, under these rules, and they are still there."""
    try:
        finished = json.loads((folder.python / COMPLETE).read_text())
        same = finished["rules"] == rules and set(wanted) <= set(finished["wanted"])
    except (FileNotFoundError, ValueError, KeyError):
        return False
    return bool(same) and not lost(folder) and not absent(folder, wanted)


def fill(uv: str, folder: Folder, packages: list[str], step: Step, *, borrowing: bool) -> None:
    """Borrow what may be borrowed, install the rest, and see that all is there. Raises `Problem`."""
    locked = is_lock(packages)
    if locked and borrowing:
        borrow(folder, lent_by_kernel(ALL_PINS[package] for package in absent(folder, packages)))
    missing = absent(folder, packages)
    sizes = [ALL_PINS[package].size for package in missing] if locked else []
    unknown = ROOM_UNKNOWN if any(re.match(r"torch\b", package) for package in missing) else GB
    room = int(sum(sizes) * UNPACKED) + ROOM_BESIDE if locked else unknown
    require_room(folder.machine, room, "the runtime's disk", "Installing the web UI's packages")
    borrowed = borrowed_bytes(folder)
    if borrowed:
        step.say(f"{sum(sizes) / GB:.1f} GB to download, {borrowed / GB:.1f} GB borrowed from this machine")
    if missing or not locked:
        install(uv, folder, missing if locked else packages, locked=locked, step=step)
    if locked:
        ask_for_less(folder)
        stand_in_for_other_names(folder)
    missing = absent(folder, packages)
    if missing:
        raise Problem(
            f"The installer says it is done, but {', '.join(missing[:3])}{' and others are' if missing[3:] else ' is'} "
            "missing.",
            "Press ▶ again. If it happens again, please report it.",
        )


def borrowed_bytes(folder: Folder) -> int:
    """Bytes that were not fetched, because this machine lends the files."""
    return sum(pin.size for pin in ALL_PINS.values() if pin.name in read_borrowed(folder))


def look_at(folder: Folder, packages: list[str]) -> str:
    """Load what must work, in the environment, and compute a little on the card; what is wrong, or ""."""
    names = {package.partition("==")[0] for package in packages}
    modules = [module for package, module in MUST_LOAD.items() if package in names]
    command = [str(folder.python / "bin" / "python"), str(Path(probe.__file__)), *modules]
    try:
        told = json.loads(run(command, env=webui_environment(folder), timeout=300).splitlines()[-1])
    except CommandError as error:
        return f"a look at its packages ended with {error.code}: {uv_words(error.output)}"[:300]
    if told["failed"]:
        return "; ".join(told["failed"].values())[:300]
    foreign = foreign_libraries(folder, told["libraries"])
    return str(told["card"]) or (f"{foreign[0]} is loaded in place of the right one" if foreign else "")


def foreign_libraries(folder: Folder, loaded: Iterable[str]) -> list[str]:
    """CUDA libraries among the loaded files that are neither the environment's own nor borrowed ones."""
    lent = {str(target) for noted in read_borrowed(folder).values() for target, _, _ in noted["files"].values()}
    ours = (f"{folder.python}/", f"{folder.python.resolve()}/")
    return [path for path in loaded if CUDA.search(path) and path not in lent and not path.startswith(ours)]


def loaded_libraries(pid: int) -> list[str]:
    """The libraries a running process has loaded; [] if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return []
    return sorted({line.split(maxsplit=5)[5] for line in lines if ".so" in line})


def remedy_for(trouble: str) -> str:
    """What to do where packages do not work: a missing library of the system is not mended by ▶."""
    library = re.search(r"(lib[\w+.-]+\.so[\w.]*): cannot open shared object", trouble)
    if library:
        return (
            f"This machine lacks the system library {library[1]}. Install the package that has it, and press ▶ again."
        )
    return "Choose Runtime → Disconnect and delete runtime, and press ▶ again. If it happens again, please report it."


def read_finished(folder: Folder) -> dict[str, Any]:
    """Name to version of the packages when the environment was finished; {} where it was not."""
    try:
        packages: dict[str, Any] = json.loads((folder.python / COMPLETE).read_text())["packages"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    return packages
