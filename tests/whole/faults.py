"""Everything is cut at every moment, and everything outside dies: what `make faults` runs whole, and a test in part.

A row of the first table: a launch in Colab's stand-in is brought to a moment, then struck (the kernel killed, a child
killed, ■, Drive drops); then ▶ again until there is a card. A row of the second: something outside is dead.
"""

import contextlib
import html
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests

from tests.conftest import COLAB_PYTHON
from tests.world import CLIP_REPO, MODEL_LINK, MODEL_REPO, WEBUI, World
from tests.world.githost import git, opened
from tests.world.kernel import Kernel, cell_source
from tests.world.page import CONSENT, Reply
from tests.world.place import Place, card, wait_ready

MODEL_BYTES = 3_000_000
STRIKES = ("kernel killed", "child killed", "■", "Drive drops")


@dataclass(frozen=True)
class Moment:
    """A moment in a launch: when it has come, and what makes it last long enough to be met."""

    step: str
    name: str
    has_come: Callable[[Place, Kernel], bool]
    slow: dict[str, float] = field(default_factory=dict)  # attributes of the world and the place while it is awaited
    has_child: bool = True


def shown(kernel: Kernel) -> str:
    return html.unescape(kernel.html())


def plain(text: str) -> str:
    """HTML as a person reads it."""
    return re.sub(
        r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", " ", html.unescape(text), flags=re.DOTALL))
    )


def parts_of_model(place: Place) -> int:
    """Bytes of the checkpoint on Drive so far, whole or not."""
    folder = place.kept / "models" / "Stable-diffusion"
    return sum(p.stat().st_blocks * 512 for p in folder.glob("*paint.safetensors*")) if folder.is_dir() else 0


def code(place: Place) -> Path:
    return place.machine / "oneclick" / "stable-diffusion-webui"


def history(place: Place) -> Path:
    return place.machine / "oneclick" / "history"


def python(place: Place) -> Path:
    return place.machine / "oneclick" / "python"


def unkept_images(place: Place) -> bool:
    """True while some of the images written here are not on Drive."""
    folder = place.data / "outputs"
    if not folder.exists():
        folder.mkdir(parents=True)
        for number in range(12):
            (folder / f"{number}.png").write_bytes(image(number))
    kept = place.kept / "outputs"
    return kept.is_dir() and 0 < len(list(kept.glob("*.png"))) < 12


def image(number: int) -> bytes:
    return b"\x89PNG" + bytes([number]) * 5000


def ready(kernel: Kernel) -> bool:
    return bool(card(kernel)[0]) and "Your image generator is ready" in kernel.html()


PATIENCE = 400.0  # seconds for whatever comes sooner on a machine that does nothing else
SERVICE_PATIENCE = 60.0  # seconds: the service ends some seconds after the last thing it kept

MOMENTS = (
    Moment("drive", "the permission is asked for", lambda p, k: "waiting for your "
        "permission" in shown(k), {"consent": 1.0}, has_child=False),
    Moment("drive", "the folder is made", lambda p, k: "looking for your folder" in shown(k) or (p.mountpoint.is_dir() and not p.data.is_dir()), {"latency": 0.1}, has_child=False),
    Moment("source", "the history is fetched", lambda p, k: (history(p) / ".git" / "HEAD").exists() and not re.search(r"version [0-9a-f]{8}", shown(k)), {"delay": 1.0}),
    Moment("source", "the history goes to Drive", lambda p, k: (p.kept / ".source").is_dir() and not (p.kept / ".source" / "commits.bundle").exists(), {"latency": 0.1}, has_child=False),
    Moment("source", "files are put on the machine", lambda p, k: (code(p) / ".git").is_dir() and "of 5 parts" not in shown(k), {"latency": 0.02}),
    Moment("source", "the five parts are fetched", lambda p, k: (history(p) / "repositories").is_dir() and "5 of 5" not in shown(k), {"delay": 0.7}),
    Moment("python", "the environment is made", lambda p, k: python(p).is_dir() and not (python(p) / "requirements.txt").exists()),
    Moment("python", "packages are put in place", lambda p, k: (python(p) / "requirements.txt").exists() and not (python(p) / "complete.json").exists()),
    Moment("model", "a third is there", lambda p, k: parts_of_model(p) > MODEL_BYTES / 3, {"rate": 500_000}, has_child=False),
    Moment("model", "nearly all is there", lambda p, k: parts_of_model(p) > MODEL_BYTES * 0.9, {"rate": 500_000}, has_child=False),
    Moment("link", "the door opens", lambda p, k: (p.session / "door.pid").exists() and not (p.session / "door.json").exists()),
    Moment("link", "gradio is asked", lambda p, k: (p.session / "tunnel.pid").exists() and "http" not in shown(k)),
    Moment("extensions", "an installer runs", lambda p, k: "installing slow" in shown(k)),
    Moment("web UI", "it starts", lambda p, k: p.pid("webui") > 0 and not ready(k)),
    Moment("running", "images are copied", lambda p, k: ready(k) and unkept_images(p), {"latency": 0.15}),
    Moment("running", "it restarts", lambda p, k: not ready(k)),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What became of one row."""

    step: str
    moment: str
    strike: str
    seconds: float  # from the strike to the login box
    presses: int  # of ▶ after the strike
    fetched_again: int  # bytes of a checkpoint that was finished before the strike
    fetched_twice: int  # bytes of an unfinished one that came twice: what was on its way is lost
    damaged: tuple[str, ...]
    left_over: tuple[str, ...]
    failed: str = ""

    @property
    def good(self) -> bool:
        return not (self.failed or self.damaged or self.left_over or self.fetched_again)

    def cells(self) -> list[str]:
        end = self.failed or f"running after {self.seconds:.0f} s"
        return [
            self.step,
            self.moment,
            self.strike,
            end,
            str(self.presses),
            str(self.fetched_again),
            str(self.fetched_twice),
            ", ".join(self.damaged) or "0",
            ", ".join(self.left_over) or "0",
        ]


def one_row(moment: Moment, strike: str, root: Path) -> Row:
    """Run one row in a world of its own below `root`."""
    kernels: list[Kernel] = []

    def new_kernel(place: Place, consent: float) -> Kernel:
        place.machine.mkdir(parents=True, exist_ok=True)
        base = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ONECLICK_", "CIVITAI_"))}
        kernels.append(Kernel(COLAB_PYTHON, {**base, **place.environment}, place.machine))
        kernels[-1].page.replies[CONSENT] = Reply({}, consent)
        return kernels[-1]

    fields = {"checkpoint": MODEL_LINK, "api": True}
    with World(root / "outside", MODEL_BYTES, page=False) as world, Place(world, root) as place:
        try:
            (place.kept / "extensions" / "slow").mkdir(parents=True)
            (place.kept / "extensions" / "slow" / "install.py").write_text("import time\ntime.sleep(1.5)\n")
            slow = dict(moment.slow)
            world.git.delay, world.hub.rate = slow.pop("delay", 0.0), int(slow.pop("rate", 0)) or None
            consent = slow.pop("consent", 0.0)
            if moment.name == "images are copied":
                place.manners()
            elif slow:
                place.manners(**slow)
            kernel = new_kernel(place, consent)
            cell = kernel.start(cell_source("launch", **fields))
            if moment.step == "running":
                wait_ready(kernel, PATIENCE)
                place.manners(**slow)
                if moment.name == "it restarts":
                    kernel.press_button("Restart the web UI")
            kernel.wait(lambda: moment.has_come(place, kernel) or cell in kernel.idle, PATIENCE, moment.name)
            whole = any(p.name == "paint.safetensors" for p in (place.kept / "models").rglob("*.safetensors"))
            sent = world.hub.sent("paint.safetensors")
            began, presses = time.monotonic(), 0
            hit(strike, place, kernel)
            place.manners()
            world.git.delay, world.hub.rate = 0.0, None
            if strike == "kernel killed":
                kernel = new_kernel(place, 0.0)
                cell, presses = kernel.start(cell_source("launch", **fields)), 1
            elif strike == "■":
                kernel.wait_done(cell, PATIENCE)
                kernel.widgets.clear()
                cell, presses = kernel.start(cell_source("launch", **fields)), 1
            while not up(place, kernel, cell):
                presses += 1
                if presses > 3:
                    raise TimeoutError(f"no card after ▶ was pressed three times: {shown(kernel)[-600:]}")
                kernel.widgets.clear()
                cell = kernel.start(cell_source("launch", **fields))
            seconds = time.monotonic() - began
            now = world.hub.sent("paint.safetensors")
            again, twice = (
                (now - sent, 0)
                if whole
                else (0, max(0, now - (world.hub.root / MODEL_REPO / "paint.safetensors").stat().st_size))
            )
            written = (place.data / "outputs").is_dir()
            kernel.interrupt()
            kernel.wait_done(cell, PATIENCE)
            kernel.run(cell_source("stop"), PATIENCE)
            damaged = damages(world, place, written)
            end = time.monotonic() + SERVICE_PATIENCE
            while place.running() and time.monotonic() < end:
                time.sleep(0.1)
            return Row(
                moment.step, moment.name, strike, seconds, presses, again, twice, damaged, tuple(place.processes())
            )
        except (TimeoutError, AssertionError, RuntimeError) as error:
            return Row(
                moment.step,
                moment.name,
                strike,
                0,
                0,
                0,
                0,
                (),
                (),
                f"{type(error).__name__}: {plain(str(error))[-700:]}",
            )
        finally:
            for kernel in kernels:
                if kernel.manager.is_alive():
                    kernel.shutdown()


def hit(strike: str, place: Place, kernel: Kernel) -> None:
    """Strike once."""
    if strike == "kernel killed":
        kernel.kill()
    elif strike == "■":
        kernel.interrupt()
    elif strike == "Drive drops":
        place.drop_drive()
    else:
        children = sorted(place.running(), key=lambda process: process.create_time())
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself just now
            if children:
                children[-1].send_signal(signal.SIGKILL)


def up(place: Place, kernel: Kernel, cell: str) -> bool:
    """Wait until the web UI answers behind the door, or the cell ends with a problem.

    A model that was read while Drive was away is loaded again as the panel says: by its button, once.
    """
    restarts = ["Restart the web UI"]

    def answers() -> bool:
        if restarts and "its model did not load" in shown(kernel) and "connected again" in shown(kernel):
            kernel.press_button(restarts.pop())
        if not ready(kernel):
            return False
        _, url, password = card(kernel)
        try:
            return requests.get(f"{url}/sdapi/v1/sd-models", auth=("user", password), timeout=10).ok
        except requests.RequestException:
            return False

    kernel.wait(lambda: answers() or cell in kernel.idle, PATIENCE, "the card or a problem")
    return answers()


def damages(world: World, place: Place, written: bool) -> tuple[str, ...]:
    """What on Drive is not as it should be."""
    found = []
    model = place.kept / "models" / "Stable-diffusion" / "paint.safetensors"
    if model.read_bytes() != (world.hub.root / MODEL_REPO / "paint.safetensors").read_bytes():
        found.append("paint.safetensors")
    if written:
        found += [f"{n}.png" for n in range(12) if (place.kept / "outputs" / f"{n}.png").read_bytes() != image(n)]
    for repository in (place.kept, *(place.kept / "repositories").glob("*")):
        try:
            opened(repository)
        except subprocess.CalledProcessError:
            found.append(f"history of {repository.name}")
    found += [
        str(p.relative_to(place.kept))
        for p in place.kept.rglob("*")
        if p.name.endswith(".part") or p.name.endswith(".lock")
    ]
    return tuple(found)


# ---- what is dead outside


@dataclass(frozen=True)
class Drill:
    """Something outside dies before a launch (or after a first one), and what a person then sees."""

    dead: str
    kill: Callable[[World, dict[str, str]], None]
    sees: str  # a pattern in the panel
    runs: bool  # True if the web UI comes up all the same
    after_first: bool = False
    fields: dict[str, str] = field(default_factory=dict)


def set_gone(name: str) -> Callable[[World, dict[str, str]], None]:
    return lambda world, environment: world.git.gone.add(name)


def second_mirror(world: World, environment: dict[str, str]) -> None:
    world.git.add("NUROISEA/stablediffusion", {"README": b"w-e-w/stablediffusion, a stand-in\n"})
    source = world.git.root / "w-e-w/stablediffusion.git"
    git("fetch", "-q", str(source), "master:refs/heads/copy", at=world.git.root / "NUROISEA/stablediffusion.git")
    world.git.gone.add("w-e-w/stablediffusion")


def attribute(part: str, name: str, value: object) -> Callable[[World, dict[str, str]], None]:
    return lambda world, environment: setattr(getattr(world, part), name, value)


def variable(name: str, value: str) -> Callable[[World, dict[str, str]], None]:
    return lambda world, environment: environment.update({name: value})


def model_gone(world: World, environment: dict[str, str]) -> None:
    world.hub.fail["paint.safetensors"] = (404, {"X-Error-Code": "RepoNotFound"}, b"")


def clip_gone(world: World, environment: dict[str, str]) -> None:
    world.hub.fail[CLIP_REPO] = (404, {"X-Error-Code": "RepoNotFound"}, b"")


def no_uv(world: World, environment: dict[str, str]) -> None:
    """A runtime without uv whose package index is unreachable."""
    environment["PATH"] = os.pathsep.join(
        p for p in environment["PATH"].split(os.pathsep) if not (Path(p) / "uv").exists()
    )
    environment |= {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
    }


def no_packages(world: World, environment: dict[str, str]) -> None:
    """A package index that does not answer, and nothing in uv's cache."""
    environment |= {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_CACHE_DIR": str(world.root / "empty-cache")}


def broken_update(world: World, environment: dict[str, str]) -> None:
    bare = world.git.root / f"{WEBUI}.git"
    names = git("ls-tree", "-r", "--name-only", "master", at=bare).splitlines()
    files = {
        name: subprocess.run(["git", "-C", str(bare), "show", f"master:{name}"], capture_output=True, check=True).stdout
        for name in names
    }
    world.git.add(WEBUI, {**files, "launch.py": b"raise SystemExit('broken by an update')"})


DRILLS = (
    Drill("Stability-AI/stablediffusion (since 2025-12)", set_gone("Stability-AI/stablediffusion"), "Your image "
        "generator is ready", True),
    Drill("its first copy, w-e-w/stablediffusion", second_mirror, "Your image generator is ready", True),
    Drill("AUTOMATIC1111's repository, first run", set_gone(WEBUI), "GitHub is not answering, and no version of "
        "AUTOMATIC1111 is kept on Drive yet", False),
    Drill("AUTOMATIC1111's repository, later", set_gone(WEBUI), "so the version kept on "
        "Drive is used", True, after_first=True),
    Drill("GitHub's rate limit is reached, later", attribute("git", "limited", True), "so the version kept on "
        "Drive is used", True, after_first=True),
    Drill("a model's repository was removed", model_gone, r"paint.safetensors is not in world/paint any "
        r"more|world/paint", False),
    Drill("the hub is down, first run", variable("HF_ENDPOINT", "http://127.0.0.1:9"), r"hub|Hugging Face", False),
    Drill("the hub is down, later", variable("HF_ENDPOINT", "http://127.0.0.1:9"), "The file is already there and is "
        "used as it is", True, after_first=True),
    Drill("the hub is slow (300 kB/s a connection)", attribute("hub", "rate", 300_000), "Your image generator "
        "is ready", True),
    Drill("CLIP's files are gone from the hub, later", clip_gone, "Your image generator "
        "is ready", True, after_first=True),
    Drill("gradio's share server is down", attribute("share", "mode", "login_error"), "is used instead", True),
    Drill("uv is missing and cannot be fetched", no_uv, "The package index cannot be reached", False),
    Drill("the package index does not answer", no_packages, "The package index cannot be reached", False),
    Drill("A1111's newest version does not start, later", broken_update, "did not start.*that "
        "worked last", True, after_first=True),
)  # fmt: skip


def sentence_with(pattern: str, shown: str) -> str:
    """The notice, problem, headline or line of the panel's HTML with what a person should see, or ""."""
    without_clock = re.sub(r"<span>[^<]*</span>", "", shown)
    blocks = (plain(block) for block in re.split(r"</?(?:div|li|ol|details|summary)\b[^>]*>", without_clock))
    return next((block.strip() for block in blocks if re.search(pattern, block)), "")


def one_drill(drill: Drill, root: Path) -> list[str]:
    """Run one drill; returns its row: what is dead, what the person sees, whether that is as it should be."""
    fields = {"checkpoint": MODEL_LINK, **drill.fields}
    with World(root / "outside", MODEL_BYTES, page=False) as world, Place(world, root) as place:
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ONECLICK_", "CIVITAI_"))
        } | place.environment
        for first in (True, False):
            if first and not drill.after_first:
                continue
            if not first:
                drill.kill(world, environment)
            place.machine.mkdir(parents=True, exist_ok=True)
            kernel = Kernel(COLAB_PYTHON, environment, place.machine)
            try:
                cell = kernel.start(cell_source("launch", **fields))
                kernel.wait(lambda k=kernel, c=cell: ready(k) or c in k.idle, PATIENCE, "an end")
                panel = kernel.html()
                came_up = ready(kernel)
                kernel.interrupt()
                kernel.wait_done(cell, PATIENCE)
                kernel.run(cell_source("stop"), PATIENCE)
            finally:
                kernel.shutdown()
            if first:
                place.lose_machine()  # another day, another machine
        told = sentence_with(drill.sees, panel)
        right = bool(told) and came_up == drill.runs
        return [
            drill.dead,
            told if right else plain(panel)[-900:],
            "runs" if came_up else "says so",
            "as it should" if right else "WRONG",
        ]


def in_a_folder(work: str, number: int, strike: str = "") -> Row | list[str]:
    """One row or drill, by its number, in a folder of its own (for worker processes)."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as root:
        return one_row(MOMENTS[number], strike, Path(root)) if work == "row" else one_drill(DRILLS[number], Path(root))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)])
