"""The rows of `make bench` that launch the notebook: in a real kernel, on a real FUSE Drive, against the stand-ins or
the real A1111.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from launcher.core.session import Session, request
from launcher.notebook.build import package_files
from tests.conftest import COLAB_PYTHON
from tests.programs.real import REAL_LINK, RealWorld
from tests.world import MODEL_LINK, World, safetensors
from tests.world.kernel import NOTEBOOK, Kernel, cell_source
from tests.world.place import Place, wait_ready
from tests.world.wait import wait

ROUNDS = 3
NEXT_RUNS = 9  # twelve seconds each, whose difference from the bare start is half a second
IDLE_IMAGES = (0, 2_000, 20_000)
SETTLED = 10.0  # seconds until what came last is done with
IDLE_WINDOW = 60.0  # seconds
SLOW_DRIVE = {"latency": 0.02, "rate": 80e6}  # seconds an operation, bytes a second
CHECKPOINT = 200_000_000  # bytes
BASE = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ONECLICK_", "CIVITAI_"))}

Row = tuple[str, str, str, str, str]

# Run in place of ▶: every leg alone, one after the other; prints the seconds of each.
LEGS_IN_A_ROW = """
import json, sys, time
from concurrent.futures import Future
sys.path.insert(0, {package!r})
from launcher.client.kernel import DIALOGS
from launcher.colab.machine import look_at_machine
from launcher.source.versions import newest_commit
from launcher.launch.launch import Launch
from launcher.launch import story
from launcher.core.status import Status
choices = {{"checkpoint": {checkpoint!r}, "link": "gradio"}}
ask = lambda kind, **about: DIALOGS[kind](**about)
one = Launch(choices, look_at_machine(), Status("Bench"), ask)
one.prepare()
seconds = {{}}
def leg(name, work):
    began = time.monotonic()
    value = work()
    seconds[name] = time.monotonic() - began
    future = Future()
    future.set_result(value)
    return future
newest = leg("asking for the newest version", newest_commit)
link = leg("link", lambda: story._link(one, ()))
drive = leg("drive", lambda: story._drive(one))
source = leg("source", lambda: story._source(one, drive, newest))
extensions = leg("extensions", lambda: story._extensions(one, source))
bytecode = leg("bytecode", lambda: story._bytecode(one, drive))
python = leg("python", lambda: story._python(one, newest, source, bytecode))
model = leg("model", lambda: story._model(one, drive))
webui = leg("webui", lambda: story._webui(one, extensions, python, model))
print("LEGS", json.dumps(seconds))
"""


def legs_in_a_row(place: Place, kernel: Kernel, checkpoint: str) -> dict[str, float]:
    """Seconds of each leg alone. Where the package lies tells it that it is in Colab, so it is unpacked there."""
    package = place.machine / "oneclick" / "program" / "legs"
    for name, text in package_files().items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    kernel.start(LEGS_IN_A_ROW.format(package=str(package), checkpoint=checkpoint))
    return dict(json.loads(kernel.wait_for_text(r"^LEGS (.+)$", 900)[1]))


@contextmanager
def kernel_at(
    environment: dict[str, str], machine: Path, python: Path = COLAB_PYTHON, notebook: Path = NOTEBOOK
) -> Iterator[Kernel]:
    """A kernel with Colab's pins; at the end everything it started is stopped."""
    machine.mkdir(parents=True, exist_ok=True)
    kernel = Kernel(python, {**BASE, **environment}, machine)
    try:
        yield kernel
    finally:
        kernel.interrupt()
        kernel.run(cell_source("stop", notebook), 600)
        kernel.shutdown()


def launch_seconds(
    environment: dict[str, str],
    machine: Path,
    python: Path = COLAB_PYTHON,
    notebook: Path = NOTEBOOK,
    /,
    **fields: object,
) -> float:
    """From ▶ to the login box."""
    with kernel_at({**environment, "ONECLICK_PANEL": "text"}, machine, python, notebook) as kernel:
        began = time.monotonic()
        kernel.start(cell_source("launch", notebook, **{"checkpoint": MODEL_LINK, "link": "none", **fields}))
        kernel.wait_for_text(r"^Ready after", 900)
        return time.monotonic() - began


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})"


def met(ratio: float, target: float) -> str:
    return "yes" if ratio <= target else f"no, by {100 * (ratio / target - 1):.0f} %"


def first_run(root: Path) -> list[Row]:
    """All legs of a first run side by side, and one after the other."""
    whole, legs = list[float](), list[dict[str, float]]()
    for number in range(ROUNDS + 1):  # the first of each fills uv's cache and does not count
        for side_by_side in (True, False):
            place_root = root / f"first{number}{side_by_side}"
            with World(place_root / "outside", model_bytes=40_000_000) as world, Place(world, place_root) as place:
                world.hub.rate, world.git.delay = 250_000, 1.0  # bytes a second and connection; seconds
                if side_by_side:
                    whole.append(launch_seconds(place.environment, place.machine, link="gradio"))
                    continue
                with kernel_at(place.environment, place.machine) as kernel:
                    legs.append(legs_in_a_row(place, kernel, MODEL_LINK))
    del whole[0], legs[0]
    one = {name: statistics.median([each[name] for each in legs]) for name in legs[0]}
    source = one["source"] + one["extensions"]
    longest = max(one["drive"] + source, one["drive"] + one["model"], one["python"], one["link"]) + one["webui"]
    ratio = statistics.median(whole) / longest
    told = ", ".join(f"{name} {seconds:.1f}" for name, seconds in one.items())
    measured = (
        f"{ratio:.2f} × ({spread(whole)}; longest chain of legs that need each other {longest:.1f} s; sum "
        f"{sum(one.values()):.1f} s: {told})"
    )
    return [
        (
            "first run, stand-ins, all legs",
            "its longest chain of legs, each leg alone",
            "≤ 1.15 ×",
            measured,
            met(ratio, 1.15),
        )
    ]


def slow_drive(root: Path) -> list[Row]:
    """A new machine with everything on Drive: a slow Drive against a folder on the local disk."""
    slow, local = list[float](), list[float]()
    with World(root / "outside", model_bytes=CHECKPOINT) as world, Place(world, root) as place:
        home = root / "home"
        launch_seconds(place.environment, place.machine)
        launch_seconds(world.environment(home), home)
        for _ in range(ROUNDS):
            place.lose_machine()
            place.manners(**SLOW_DRIVE)
            slow.append(launch_seconds(place.environment, place.machine))
            place.manners()
            shutil.rmtree(home / "machine")
            local.append(launch_seconds(world.environment(home), home))
    reading = CHECKPOINT / SLOW_DRIVE["rate"]
    ratio = (statistics.median(slow) - reading) / statistics.median(local)
    measured = f"{ratio:.2f} × ({spread(slow)}, of it {reading:.1f} s for the model; local {spread(local)})"
    return [
        (
            "launch on a slow Drive (20 ms an operation, 80 MB/s)",
            "the same on a local disk, minus the reading of the model",
            "≤ 1.2 ×",
            measured,
            met(ratio, 1.2),
        )
    ]


def fill(place: Place, models: int, images: int) -> None:
    """So many models and images on Drive, and no more."""
    checkpoints, pictures = place.kept / "models" / "Stable-diffusion", place.kept / "outputs" / "txt2img-images"
    for folder in (checkpoints / "many", pictures):
        shutil.rmtree(folder, ignore_errors=True)
    (checkpoints / "many").mkdir(parents=True)
    small = safetensors(100)
    for number in range(models):
        (checkpoints / "many" / f"m{number}.safetensors").write_bytes(small)
    for number in range(images):
        day = pictures / f"2026-01-{1 + number % 28:02}"
        day.mkdir(parents=True, exist_ok=True)
        (day / f"{number:05}.png").write_bytes(b"\x89PNG" + number.to_bytes(4))


def full_folder(root: Path, counts: list[tuple[int, int]], rounds: int = ROUNDS) -> dict[tuple[int, int], list[float]]:
    """Seconds of a launch on a new machine, by (models, images) that are on Drive already."""
    seconds: dict[tuple[int, int], list[float]] = {count: [] for count in counts}
    with World(root / "outside") as world, Place(world, root) as place:
        launch_seconds(place.environment, place.machine)
        for _ in range(rounds):
            for count in counts:
                place.lose_machine()
                fill(place, *count)
                seconds[count].append(launch_seconds(place.environment, place.machine))
    return seconds


def full_folder_row(root: Path) -> list[Row]:
    seconds = full_folder(root, [(0, 0), (1000, 20_000)])
    ratio = statistics.median(seconds[1000, 20_000]) / statistics.median(seconds[0, 0])
    measured = f"{ratio:.2f} × ({spread(seconds[1000, 20_000])}; empty {spread(seconds[0, 0])})"
    return [
        ("1,000 models and 20,000 images already on Drive", "an empty folder", "≤ 1.2 ×", measured, met(ratio, 1.2))
    ]


def idle(root: Path) -> list[Row]:
    """What the launcher costs while nobody does anything, by how many images there are.

    It is CPU time, so that what else the machine does counts for nothing; Drive is a folder, for what the stand-in for
    Google's program costs is not the launcher's.
    """
    rows, home = list[Row](), root / "home"
    with World(root / "outside") as world:
        home.mkdir(parents=True)
        machine = home / "machine"
        bare = Kernel(COLAB_PYTHON, {**BASE, **world.environment(home)}, home)
        with kernel_at(world.environment(home), home) as kernel:
            kernel.start(cell_source("launch", checkpoint=MODEL_LINK, link="gradio"))
            wait_ready(kernel, 400)

            def pid(name: str) -> int:
                return int(json.loads((machine / "session" / f"{name}.pid").read_text())["pid"])

            tunnel = psutil.Process(pid("tunnel"))
            ours = {
                "service": [pid("service")],
                "door": [pid("door")],
                "open panel": [kernel.pid],
                "bare kernel": [bare.pid],
                "tunnel": [tunnel.pid, *(p.pid for p in tunnel.children(recursive=True))],
            }
            for count in IDLE_IMAGES:
                folder = machine / "data" / "asd1111" / "outputs" / "txt2img-images"
                folder.mkdir(parents=True, exist_ok=True)
                for number in range(len(os.listdir(folder)), count):
                    (folder / f"{number:05}.png").write_bytes(b"\x89PNG" + number.to_bytes(4))
                kernel.wait(lambda n=count: not n or f"{n} images kept" in kernel.html(), 1200, "all to be kept")
                time.sleep(SETTLED)
                before = {name: cpu_seconds(pids) for name, pids in ours.items()}
                time.sleep(IDLE_WINDOW)
                used = {name: (cpu_seconds(ours[name]) - before[name]) / IDLE_WINDOW * 100 for name in ours}
                told = ", ".join(f"{name} {share:.2f} %" for name, share in used.items())
                good = max(used["service"], used["door"]) <= 0.5
                figure = f"idle with {count:,} images, of one core"
                rows.append((figure, "a bare kernel", "service and door ≤ 0.5 % each", told, "yes" if good else "no"))
                print(rows[-1], flush=True)
            size = {name: sum(psutil.Process(pid).memory_info().rss for pid in ours[name]) / 1e6 for name in ours}
        bare.shutdown()
    size["open panel"] -= size.pop("bare kernel")
    over = size["service"] + size["door"] + size["open panel"]
    told = ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in size.items())
    figure = f"idle with {IDLE_IMAGES[-1]:,} images, memory without the tunnel"
    return [*rows, (figure, "a bare kernel", "< 150 MB", f"{over:.0f} MB ({told})", "yes" if over < 150 else "no")]


def cpu_seconds(pids: list[int]) -> float:
    """CPU time that processes have used, in seconds, from /proc."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def next_run_real(root: Path, upstreams: Path) -> list[Row]:
    """▶ to the login box on a machine that was used before, and A1111 started bare with the same arguments."""
    ours, paints, bare = list[float](), list[float](), list[float]()
    session = Session(root / "machine" / "session")
    fields: dict[str, object] = {"extra_arguments": "--disable-nan-check"}
    with RealWorld(root / "outside", upstreams) as world:
        environment = world.environment(root)
        launch_seconds(environment, root, checkpoint=REAL_LINK, **fields)
        for _ in range(NEXT_RUNS + 1):
            with kernel_at({**environment, "ONECLICK_PANEL": "text"}, root) as kernel:
                began = time.monotonic()
                kernel.start(cell_source("launch", link="none", **fields))
                kernel.wait_for_text(r"^Ready after", 300)
                ours.append(time.monotonic() - began)
                wait(lambda: request(session.notebook_socket, "GET", "/status")[1].get("can_paint"), 300, "its model")
                paints.append(time.monotonic() - began)
                webui = psutil.Process(json.loads((root / "machine" / "session" / "webui.pid").read_text())["pid"])
                command, cwd, variables = webui.cmdline(), webui.cwd(), webui.environ()
            command.insert(2, "--skip-prepare-environment")
            bare.append(bare_seconds(command, cwd, variables, root / "bare.log"))
    del ours[0], paints[0], bare[0]
    ratio = statistics.median(ours) / statistics.median(bare)
    measured = f"{ratio:.2f} × ({spread(ours)}; an image can be painted after {spread(paints)}; bare {spread(bare)})"
    return [
        (
            "next run to the login box, real A1111",
            "bare `python launch.py --skip-prepare-environment`",
            "≤ 1.08 ×",
            measured,
            met(ratio, 1.08),
        )
    ]


def bare_seconds(command: list[str], cwd: str, variables: dict[str, str], log: Path) -> float:
    """From the start of A1111 to its line `Startup time:`."""
    with log.open("w") as out:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, env=variables, stdout=out, stderr=out, start_new_session=True)
        while not re.search("^Startup time:", log.read_text(errors="replace"), re.MULTILINE):
            if process.poll() is not None:
                sys.exit(log.read_text()[-2000:])
            time.sleep(0.05)
        seconds = time.monotonic() - began
        process.kill()
        process.wait()
    return seconds


def launch_works() -> dict[str, Callable[[Path], list[Row]]]:
    """The rows by name; each is measured in a folder of its own."""
    return {
        "first": first_run,
        "slow": slow_drive,
        "full": full_folder_row,
        "idle": idle,
    }
