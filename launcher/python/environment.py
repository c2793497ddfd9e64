"""The web UI's own Python environment: linked from the kernel's and installed by uv, from a lock."""

import hashlib
import json
import re
from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from launcher.core.folder import GB, Folder, require_room, write_safely
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run, works
from launcher.core.status import Step
from launcher.python import probe
from launcher.python.bytecode import put_bytecode
from launcher.python.install import UNPACKED, correct_metadata, install, make_environment
from launcher.python.link import broken_links, link_packages, unlink_packages
from launcher.python.lock import ALL_PINS, BUILD_CONSTRAINTS, CONSTRAINTS
from launcher.python.packages import COMPLETE, Finished, absent, installed_packages, read_finished, write_finished
from launcher.python.uv import PYTHON_VERSION, find_uv, python_path, uv_words, webui_environment

ROOM_BESIDE: Final = GB // 2  # Python itself, pip, what sdists need to be built
ROOM_UNKNOWN: Final = 9 * GB  # for torch and all it needs, where no sizes are known
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


def prepare_python(folder: Folder, packages: list[str], step: Step) -> bool:
    """Have these `packages` (`packages.packages_for` chooses them); True if any had to be installed. Raises `Problem`.

    The environment is complete or it is made anew, from uv's cache: a note of all that went in is written last. Whether
    it works on this machine is another question (`trouble_with`): A1111 can start while it is asked.
    """
    rules = hashlib.sha256(f"{PYTHON_VERSION}\n{CONSTRAINTS}".encode()).hexdigest()
    finished, linked, broken = read_finished(folder), {}, broken_links(folder)
    if finished and not works(python_path(folder)):
        finished = None
    if finished:
        linked = {name: files for name, files in finished.linked.items() if name not in broken}
        same = finished.rules == rules and set(packages) <= set(finished.wanted)
        if same and not broken and not absent(folder, packages, linked):
            return False
    uv = find_uv(folder)
    if finished:
        (folder.python / COMPLETE).unlink()
        unlink_packages(folder, {name: finished.linked[name] for name in broken})
    else:
        make_environment(uv, folder, step)
    write_safely(folder.python / "constraints.txt", CONSTRAINTS)
    write_safely(folder.python / "build-constraints.txt", BUILD_CONSTRAINTS)
    missing = absent(folder, packages, linked)
    linked |= link_packages(folder, [ALL_PINS[package] for package in missing if package in ALL_PINS])
    fill(uv, folder, packages, linked, step)
    put_bytecode(folder)
    write_finished(folder, Finished(rules, packages, installed_packages(folder), linked))
    return True


def trouble_with(folder: Folder) -> str | None:
    """What does not work in a finished environment. Once nothing is wrong, it is not tried again.

    What must work is loaded there, and a little computed on the card.
    """
    finished = read_finished(folder)
    if not finished or finished.works:
        return None
    names = {package.partition("==")[0] for package in finished.wanted}
    modules = [module for package, module in MUST_LOAD.items() if package in names]
    command = [python_path(folder), str(Path(probe.__file__)), *modules]
    try:
        told = json.loads(run(command, env=webui_environment(folder), timeout=300).splitlines()[-1])
    except CommandError as error:
        return f"a look at its packages ended with {error.code}: {uv_words(error.output)}"[:300]
    if told["trouble"]:
        return str(told["trouble"])
    if foreign := foreign_libraries(folder, told["libraries"]):
        return f"{foreign[0]} is loaded in place of the right one"
    write_finished(folder, replace(finished, works=True))
    return None


def make_work(folder: Folder, step: Step) -> None:
    """Look while nothing else needs the card, and replace linked packages that do not work. Raises `Problem`."""
    trouble, finished = trouble_with(folder), read_finished(folder)
    if trouble and finished and finished.linked:
        step.notice(
            f"This machine's CUDA libraries do not work with the web UI ({trouble}), so the right ones are downloaded."
        )
        (folder.python / COMPLETE).unlink()
        unlink_packages(folder, finished.linked)
        fill(find_uv(folder), folder, finished.wanted, {}, step)
        write_finished(folder, replace(finished, packages=installed_packages(folder), linked={}))
        trouble = trouble_with(folder)
    if trouble:
        raise Problem(f"The web UI's Python does not work on this machine: {trouble}.", remedy_for(trouble))


def fill(uv: str, folder: Folder, packages: list[str], linked: Container[str], step: Step) -> None:
    """Install what is missing, and see that all is there. Raises `Problem`."""
    locked, missing = ALL_PINS.keys() >= set(packages), absent(folder, packages, linked)
    size = sum(ALL_PINS[package].size for package in missing) if locked else 0
    unknown = ROOM_UNKNOWN if any(re.match(r"torch\b", package) for package in missing) else GB
    room = int(size * UNPACKED) + ROOM_BESIDE if locked else unknown
    require_room(folder.machine, room, "the runtime's disk", "Installing the web UI's packages")
    if linked:
        step.say(f"{size / GB:.1f} GB to download, {size_of(linked) / GB:.1f} GB borrowed from this machine")
    if missing or not locked:
        install(uv, folder, missing if locked else packages, step, with_needs=not locked)
    if locked:
        correct_metadata(folder)
    missing = absent(folder, packages, linked)
    if missing:
        raise Problem(
            f"The installer says it is done, but {', '.join(missing[:3])}{' and others are' if missing[3:] else ' is'} "
            "missing.",
            "Press ▶ again. If it happens again, please report it.",
        )


def size_of(linked: Container[str]) -> int:
    """Bytes that were not fetched, because they are linked."""
    return sum(pin.size for pin in ALL_PINS.values() if pin.name in linked)


def linked_bytes(folder: Folder) -> int:
    finished = read_finished(folder)
    return size_of(finished.linked) if finished else 0


def foreign_libraries(folder: Folder, loaded: Iterable[str]) -> list[str]:
    """CUDA libraries among the loaded files that are neither the environment's own nor linked ones."""
    finished = read_finished(folder)
    linked = finished.linked.values() if finished else ()
    known = {file[0] for files in linked for file in files.values() if file}
    ours = (f"{folder.python}/", f"{folder.python.resolve()}/")
    return [path for path in loaded if CUDA.search(path) and path not in known and not path.startswith(ours)]


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
