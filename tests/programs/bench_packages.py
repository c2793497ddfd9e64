"""The rows of `make bench` about packages: on a stand-in of Colab's GPU image, nothing cached.

Bytes fetched are those that came through the machine's network cards: a proxy that counts would slow down one large
download more than many. The image is a Python 3.13 with Colab's Jupyter stack and NVIDIA packages. The
peers, in turn with ours: the launcher before it borrowed anything, and pip as A1111's launch.py calls it. Nothing is
deleted between them: for five minutes ext4 walks past every inode of a deleted file when it makes a new one
(`recently_deleted`: 55 % of the processor's time of the way that came next), which no new machine has to. All of it
takes some 25 GB of disk.
"""

import hashlib
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from launcher.core.folder import Folder
from launcher.python.environment import read_finished, webui_environment
from launcher.python.lock import LOCKED_PACKAGES
from tests.conftest import COLAB_PYTHON, ROOT
from tests.programs.bench_launches import SLOW_DRIVE, Row, spread

ROUNDS: Final = 1  # pip alone takes minutes
BEFORE: Final = "26d7fec747e74953b7913dc4480d77239b5f21ea"  # the commit before packages were borrowed
CUDA: Final = r"nvidia-.+-cu\d+$|triton$"  # nvidia-ml-py is 50 kB of Python that reads how busy a card is
NEEDS_TORCH: Final = "ultralytics"  # what ADetailer's installer installs
UV: Final = Path(sys.prefix) / "bin" / "uv"
PREPARE: Final = """
import sys, time
from pathlib import Path
from launcher.core.folder import Folder
from launcher.python.environment import prepare_python
try:
    from launcher.core.status import Status, Step
    from launcher.python.lock import CONTROLNET_PACKAGES, LOCKED_PACKAGES
    step = Step(Status("Bench"), "python")
except ImportError:  # as it was in BEFORE
    from launcher.core.board import Board
    from launcher.core.reporter import Reporter
    from launcher.python.pins import CONTROLNET_PACKAGES, LOCKED_PACKAGES
    step = Reporter(Board("Bench", "Bench"), "python")
root, controlnet = Path(sys.argv[1]), len(sys.argv) > 2
getattr(step, "status", getattr(step, "board", None)).add("python", "Packages")
packages = [*LOCKED_PACKAGES, *(CONTROLNET_PACKAGES if controlnet else ())]
began = time.monotonic()
prepare_python(Folder(root / "a" / "b" / "c", root / "machine"), packages, step)
print("SECONDS", time.monotonic() - began)
"""


LAUNCHES: Final = 10
# Ten launches without the web UI's own process: the environment is seen to, each extension's installer runs as after an
# update, and the environment is seen to again.
LAUNCH: Final = """
import json, os, sys
from pathlib import Path
from launcher.core.folder import Folder
from launcher.core.status import Status, Step
from launcher.extensions.install import run_installers
from launcher.python.environment import moved_packages, prepare_python, read_finished
from launcher.python.link import broken_links
from launcher.python.lock import LOCKED_PACKAGES
root, launches, status = Path(sys.argv[1]), int(sys.argv[2]), Status("Bench")
status.add("python", "Packages")
folder, step = Folder(root / "a" / "b" / "c", root / "machine"), Step(status, "python")
folder.code.mkdir(parents=True, exist_ok=True)
ran = 0
for launch in range(launches):
    for script in folder.data.glob("extensions/*/install.py"):
        os.utime(script, (launch, launch))
    prepare_python(folder, list(LOCKED_PACKAGES), step)
    ran += run_installers(folder, step)
    prepare_python(folder, list(LOCKED_PACKAGES), step)
    assert not moved_packages(folder) and not broken_links(folder, read_finished(folder).linked)
print("TOLD", json.dumps({"ran": ran, "borrowed": len(read_finished(folder).linked), "notices": str(status.now)}))
"""
INSTALL: Final = "import subprocess, sys\nsubprocess.run({command}, check=True)\n"
PIP: Final = "[sys.executable, '-m', 'pip'"
MOVERS: Final = {
    "takes-away": f"{PIP}, 'uninstall', '--yes', 'nvidia-cublas-cu12', 'nvidia-cudnn-cu12']",
    "wants-older": f"{PIP}, 'install', 'nvidia-nvtx-cu12<12.8.90', 'nvidia-cuda-runtime-cu12<12.8.90']",
    "uses-uv": "['uv', 'pip', 'install', '--python', sys.executable, '--reinstall', 'nvidia-cufile-cu12>1.13.1.3']",
}


@dataclass
class Way:
    """What one way took: seconds, the processor's seconds, and bytes fetched, of each round; GB of disk at the end.

    The processor's seconds tell more than the clock where others work on the same machine.
    """

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)
    disk: float = 0.0

    def told(self) -> str:
        fetched = statistics.median(self.fetched) / 1e9
        used = statistics.median(self.processor)
        return f"{spread(self.seconds)}, processor {used:.0f} s, {fetched:.2f} GB fetched, {self.disk:.1f} GB of disk"


def colab_image(folder: Path) -> Path:
    """Colab's Python with its Jupyter stack and its NVIDIA packages; the path of its interpreter."""
    base = subprocess.run(
        [COLAB_PYTHON, "-c", "import sys; print(sys._base_executable)"], capture_output=True, text=True, check=True
    ).stdout.strip()
    python, pins = folder / "bin" / "python", ROOT / "tests" / "programs"
    subprocess.run([UV, "venv", "--quiet", "--seed", "--python", base, str(folder)], check=True)
    lists = [f"--requirement={pins / name}" for name in ("requirements-colab.txt", "requirements-colab-gpu.txt")]
    subprocess.run([UV, "pip", "install", "--quiet", "--no-cache", "--python", str(python), *lists], check=True)
    return python


@contextmanager
def launcher_before() -> Iterator[Path]:
    """The launcher and its tests as they were before packages were borrowed."""
    with tempfile.TemporaryDirectory() as folder:
        files = subprocess.run(["git", "-C", ROOT, "archive", BEFORE], capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=files, check=True)
        yield Path(folder)


def received() -> int:
    """Bytes that came to this machine so far, without those it sent to itself."""
    return sum(card.bytes_recv for name, card in psutil.net_io_counters(pernic=True).items() if name != "lo")


def environment_for(root: Path) -> dict[str, str]:
    """Empty caches, and uv on the PATH as in Colab."""
    path = f"{UV.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "UV_CACHE_DIR": str(root / "uv-cache"), "PATH": path}


def prepare(python: Path, code: Path, root: Path, *more: str) -> tuple[float, int]:
    """(seconds, bytes fetched) until the launcher at `code`, run by that Python, has the environment."""
    came = received()
    command = [str(python), "-c", PREPARE, str(root), *more]
    told = subprocess.run(command, cwd=code, env=environment_for(root), capture_output=True, text=True, check=False)
    if told.returncode:
        sys.exit(told.stderr[-3000:])
    return float(re.findall(r"^SECONDS (.+)$", told.stdout, re.MULTILINE)[0]), received() - came


def pip_installs(root: Path) -> tuple[float, int]:
    """(seconds, bytes fetched) of pip with the same lock, into a new environment of the same Python 3.11."""
    folder, came = Folder(root / "a" / "b" / "c", root / "machine"), received()
    base = subprocess.run([UV, "python", "find", "3.11"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run([base, "-m", "venv", str(folder.python)], check=True)
    lock = root / "lock.txt"
    lock.write_text("\n".join(LOCKED_PACKAGES) + "\n")
    settings = {**webui_environment(folder), "PIP_CONSTRAINT": "", "PIP_BUILD_CONSTRAINT": "", "VIRTUAL_ENV": ""}
    began = time.monotonic()
    subprocess.run(
        [str(folder.python / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir", "--prefer-binary",
            "--no-deps", "-r", str(lock)],
        check=True, env=settings,
    )  # fmt: skip
    return time.monotonic() - began, received() - came


def processor_seconds() -> float:
    """Of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def disk(folder: Path) -> float:
    """GB of the files there; what is linked lies elsewhere."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink()) / 1e9


def environment_rows(root: Path) -> list[Row]:
    """The environment from nothing, by three ways in turn; what an addition fetches after that."""
    python = colab_image(root / "image")
    ours, before, pip = Way(), Way(), Way()
    with launcher_before() as old:
        for number in range(ROUNDS):
            for name, way in (("before", before), ("pip", pip), ("ours", ours)):
                place = root / f"{name}{number}"
                place.mkdir()
                os.sync()  # what the way before it wrote is not this one's to wait for
                used = processor_seconds()
                took = pip_installs(place) if way is pip else prepare(python, ROOT if way is ours else old, place)
                way.seconds.append(took[0])
                way.processor.append(processor_seconds() - used)
                way.fetched.append(took[1])
                way.disk = disk(place / "machine")
        kept = restored(Folder(root / "x" / "y" / "z", place / "machine").python, root)
        added = addition_row(python, place)
        stays = kernel_row(python, place)
    faster, than_pip = (statistics.median(way.seconds) / statistics.median(ours.seconds) for way in (before, pip))
    fetched, slower = statistics.median(ours.fetched) / 1e9, kept[0] / statistics.median(ours.seconds)
    small = fetched <= 1.25 and ours.disk <= 3.5
    figure, goal = "environment on Colab's image, nothing cached", "≥ 2 × faster, ≤ 1.25 GB fetched, ≤ 3.5 GB of disk"
    return [
        (figure, "everything by uv, as before packages were borrowed", goal,
            f"{faster:.1f} × ({ours.told()}; before {before.told()})", "yes" if faster >= 2 and small else "no"),
        (f"{figure}, again", "`pip install` of the same lock", "≥ 9 × faster", f"{than_pip:.1f} × (pip: {pip.told()})",
            "yes" if than_pip >= 9 else f"no, by {100 * (1 - than_pip / 9):.0f} %"),
        added,
        stays,
        ("environment kept on Drive as one tar.zst (80 MB/s)", "installing it anew", "< 1 ×, else it is not kept",
            f"{slower:.1f} × ({kept[0]:.1f} s against {spread(ours.seconds)}; the file has {kept[1]:.1f} GB)",
            "yes" if slower < 1 else "no: not kept"),
    ]  # fmt: skip


def restored(python: Path, root: Path) -> tuple[float, float]:
    """(seconds, GB) to get the environment from one file on a Drive of 80 MB/s, without what A1111 never loads,
    unpacked as it comes.
    """
    archive, target = root / "python.tar.zst", root / "restored"
    left_out = [
        f"--exclude=*/{name}"
        for name in ("__pycache__", "torch/include", "torch/test", "triton", "nvidia/*/include", "tests", "test", "*.a")
    ]
    packing = subprocess.Popen(["tar", "-C", str(python), *left_out, "-cf", "-", "."], stdout=subprocess.PIPE)
    subprocess.run(["zstd", "-q", "-3", "-T0", "-o", str(archive)], stdin=packing.stdout, check=True)
    target.mkdir()
    began = time.monotonic()
    unpacking = subprocess.Popen(f"zstd -dc | tar -C '{target}' -xf -", shell=True, stdin=subprocess.PIPE)
    assert unpacking.stdin is not None
    with archive.open("rb") as file, unpacking.stdin as pipe:
        while piece := file.read(1 << 20):
            pipe.write(piece)
            time.sleep(max(0.0, began + file.tell() / SLOW_DRIVE["rate"] - time.monotonic()))
    unpacking.wait()
    seconds, size = time.monotonic() - began, archive.stat().st_size / 1e9
    archive.unlink()
    shutil.rmtree(target)
    return seconds, size


def linked_packages(folder: Folder) -> set[str]:
    """Names of the packages that the environment has from the kernel's."""
    finished = read_finished(folder)
    return set(finished.linked) if finished else set()


def addition_row(python: Path, root: Path) -> Row:
    """Bytes fetched by adding ControlNet and, as an extension's installer does, a package that needs torch."""
    folder = Folder(root / "a" / "b" / "c", root / "machine")
    borrowed = linked_packages(folder)
    cached = uv_wheels(root)
    came = received()
    prepare(python, ROOT, root, "controlnet")
    by_uv = uv_wheels(root) - cached
    report = root / "report.json"
    command = [str(folder.python / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir", NEEDS_TORCH]
    settings = webui_environment(folder)
    subprocess.run([*command, f"--report={report}"], env=settings, check=True)
    by_pip = {item["metadata"]["name"] for item in json.loads(report.read_text())["install"]}
    heavy = sorted(name for name in by_uv | by_pip if re.match(CUDA, name))
    lasted = not heavy and borrowed == linked_packages(folder) and len(borrowed) > 10
    told = (
        f"{len(heavy)} packages of nvidia and triton ({(received() - came) / 1e6:.0f} MB in all for {len(by_uv)} "
        f"packages by uv and {len(by_pip)} by pip; {len(borrowed)} borrowed ones as before)"
    )
    return (
        f"fetched by adding ControlNet and {NEEDS_TORCH}",
        "what the environment borrowed",
        "0 bytes of nvidia and triton",
        told,
        "yes" if lasted else f"no: {', '.join(heavy)}",
    )


def uv_wheels(root: Path) -> set[str]:
    """Names of the packages in uv's cache."""
    return {path.name for path in (root / "uv-cache").glob("wheels-v*/*/*")}


def kernel_row(python: Path, root: Path) -> Row:
    """The kernel's own packages, byte for byte, after launches with extensions whose installers move them."""
    folder = Folder(root / "a" / "b" / "c", root / "machine")
    for name, command in MOVERS.items():
        script = folder.data / "extensions" / name / "install.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(INSTALL.format(command=command))
    site = next((python.parent.parent / "lib").glob("python3.*/site-packages"))
    before = digests(site)
    made = subprocess.run(
        [str(python), "-c", LAUNCH, str(root), str(LAUNCHES)],
        cwd=ROOT, env=environment_for(root), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        sys.exit(made.stderr[-3000:])
    told = json.loads(re.findall(r"^TOLD (.+)$", made.stdout, re.MULTILINE)[0])
    after = digests(site)
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    whole = not changed and told["ran"] == LAUNCHES * len(MOVERS) and all(name in told["notices"] for name in MOVERS)
    return (
        f"the kernel's packages after {LAUNCHES} launches with {len(MOVERS)} extensions that move NVIDIA's",
        "the same before",
        "byte for byte the same",
        f"{len(before) - len(changed)} of {len(before)} files ({told['ran']} installers ran, each said and put back; "
        f"{told['borrowed']} packages borrowed at the end)",
        "yes" if whole else f"no: {', '.join(changed[:5])}",
    )


def digests(site: Path) -> dict[str, str]:
    """SHA-256 of every file of the kernel's packages but byte code, which any start may write."""
    found = {}
    for path in site.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            with path.open("rb") as file:
                found[str(path.relative_to(site))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
