"""The web UI's own Python 3.11, installed by uv from a lock. Knows nothing of git."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.folder import GB, Folder, require_room, write_safely
from launcher.problem import Problem
from launcher.process import CommandError, run

PYTHON_VERSION: Final = "3.11"  # Pillow 9.5 and others have no wheels for 3.12 and later
ROOM_NEEDED: Final = 9 * GB  # 7.3 GB installed (measured) and what uv needs on the way
USED_LIST: Final = "oneclick-used.txt.gz"  # on Drive: the files worth compiling on a new machine
UV_SILENCE: Final = 300.0  # seconds uv may say nothing

# A1111 v1.10.1, and the fingerprint of its requirements_versions.txt: what this lock was resolved for.
LOCKED_COMMIT: Final = "82a973c04367123ae98bd9abdf80d9eda9b910e2"
LOCKED_REQUIREMENTS: Final = "76d90436b579f3d7a5f6ff55657ffc56476e2dd0c2c79f09e2ceedc122d5db48"

# Every package for that file, torch 2.8.0 (T4 to Blackwell), and clip-anytorch in place of CLIP's zip, which no
# longer builds (AUTOMATIC1111#17284: setup.py imports pkg_resources, gone from setuptools 82).
LOCK: Final = """\
accelerate==0.21.0
aenum==3.1.17
aiofiles==23.2.1
aiohappyeyeballs==2.7.1
aiohttp==3.14.5
aiosignal==1.4.0
altair==5.5.0
antlr4-python3-runtime==4.9.3
anyio==3.7.1
attrs==26.1.0
blendmodes==2022
certifi==2026.10.18
charset-normalizer==3.5.2
clean-fid==0.1.35
click==8.5.1
clip-anytorch==2.6.0
contourpy==1.3.3
cycler==0.12.1
deprecation==2.1.0
diskcache==5.6.3
einops==0.4.1
facexlib==0.3.0
fastapi==0.94.0
ffmpy==1.0.0
filelock==4.2.11
filterpy==2.0.0
fonttools==4.68.0
frozenlist==1.8.0
fsspec==2026.9.0
ftfy==6.3.1
gitdb==4.0.12
gitpython==3.1.32
gradio==3.41.2
gradio-client==0.5.0
h11==0.12.0
hf-xet==1.8.0
httpcore==0.15.0
httpx==0.24.1
huggingface-hub==0.36.2
idna==3.20
imageio==2.38.1
importlib-resources==6.5.2
inflection==0.5.1
jinja2==3.1.6
jsonmerge==1.8.0
jsonschema==4.26.0
jsonschema-specifications==2025.9.1
kiwisolver==1.5.1
kornia==0.6.7
lark==1.1.2
lazy-loader==0.6
lightning-utilities==0.15.3
llvmlite==0.50.0
markupsafe==2.1.5
matplotlib==3.11.2
mpmath==1.3.0
multidict==7.2.1
narwhals==2.29.0
networkx==3.6.1
numba==0.68.1
numpy==1.26.2
nvidia-cublas-cu12==12.8.4.1
nvidia-cuda-cupti-cu12==12.8.90
nvidia-cuda-nvrtc-cu12==12.8.93
nvidia-cuda-runtime-cu12==12.8.90
nvidia-cudnn-cu12==9.10.2.21
nvidia-cufft-cu12==11.3.3.83
nvidia-cufile-cu12==1.13.1.3
nvidia-curand-cu12==10.3.9.90
nvidia-cusolver-cu12==11.7.3.90
nvidia-cusparse-cu12==12.5.8.93
nvidia-cusparselt-cu12==0.7.1
nvidia-nccl-cu12==2.27.3
nvidia-nvjitlink-cu12==12.8.93
nvidia-nvtx-cu12==12.8.90
omegaconf==2.2.3
open-clip-torch==2.20.0
opencv-python==4.11.0.86
orjson==3.13.0
packaging==26.3
pandas==2.3.3
piexif==1.1.3
pillow==9.5.0
pillow-avif-plugin==1.4.3
propcache==0.5.4
protobuf==3.20.0
psutil==5.9.5
pydantic==1.10.27
pydub==0.25.1
pyparsing==3.3.3
python-dateutil==4.0.0
python-multipart==0.0.34
pytorch-lightning==1.9.4
pytz==2026.6
pywavelets==1.9.0
pyyaml==6.0.3
referencing==0.37.0
regex==2026.11.15
requests==2.34.2
resize-right==0.0.2
rpds-py==2026.9.1
safetensors==0.4.2
scikit-image==0.21.0
scipy==1.16.3
semantic-version==2.10.0
sentencepiece==0.2.3
setuptools==69.5.1
smmap==5.0.3
sniffio==1.3.1
spandrel==0.3.4
spandrel-extra-arches==0.1.1
starlette==0.26.1
sympy==1.14.0
tifffile==2026.3.3
timm==1.0.31
tokenizers==0.13.3
tomesd==0.1.3
torch==2.8.0
torchdiffeq==0.2.3
torchmetrics==1.9.0
torchsde==0.2.6
torchvision==0.23.0
tqdm==4.70.1
trampoline==0.1.2
transformers==4.30.2
triton==3.4.0
typing-extensions==4.16.0
tzdata==2026.6
urllib3==2.8.0
uvicorn==0.54.0
wcwidth==0.9.4
websockets==11.0.3
yarl==1.25.1
"""

LOCKED_PACKAGES: Final = tuple(LOCK.split())

# What no extension's installer may move: numpy 2 or protobuf 7 and the next start dies (facts/a1111.md §8).
CONSTRAINTS: Final = """\
setuptools==69.5.1
torch==2.8.0
torchvision==0.23.0
numpy==1.26.2
protobuf==3.20.0
Pillow==9.5.0
pydantic==1.10.17
fastapi==0.94.0
gradio==3.41.2
transformers==4.30.2
httpx==0.24.1
httpcore==0.15
opencv-python==4.11.0.86
opencv-contrib-python==4.11.0.86
opencv-python-headless==4.11.0.86
timm==0.9.5
mediapipe==0.10.9
"""

BUILD_CONSTRAINTS: Final = "setuptools<82\n"  # old setup.py files import pkg_resources

# A1111's launch.py installs these itself, from addresses that are gone or not locked.
BESIDE_TORCH: Final = ("torchvision", "clip-anytorch==2.6.0")

# Variables of Colab's kernel that break a Python of its own (facts/colab.md §4).
NOT_FOR_CHILDREN: Final = re.compile(
    r"PYTHON(PATH|HOME|WARNINGS|STARTUP|DONTWRITEBYTECODE)|MPLBACKEND|JPY_.*|TF_.*|VIRTUAL_ENV|LD_PRELOAD"
    r"|PIP_(CONSTRAINT|BUILD_CONSTRAINT|TARGET|PREFIX|USER)|HF_TOKEN|HUGGING_FACE_HUB_TOKEN|CIVITAI_TOKEN|COMMANDLINE_ARGS"
    r"|UV_(?!CACHE_DIR|PYTHON_INSTALL_MIRROR|DEFAULT_INDEX|INDEX_URL|NATIVE_TLS).*"
)


@dataclass(frozen=True)
class PythonEnvironment:
    """A finished environment."""

    python: Path
    installed_now: bool


def child_environment(folder: Folder) -> dict[str, str]:
    """The environment for the web UI and whatever it starts: scrubbed, with the constraints always set.

    No token is in it. Both PIP_CONSTRAINT and PIP_BUILD_CONSTRAINT are needed: pip 23 reads the first for build
    environments, pip 26 only the second (measured, facts/a1111.md §1).
    """
    env = {name: value for name, value in os.environ.items() if not NOT_FOR_CHILDREN.fullmatch(name)}
    return env | {
        "PATH": f"{folder.python / 'bin'}{os.pathsep}{env.get('PATH', '')}",
        "VIRTUAL_ENV": str(folder.python),
        "MPLBACKEND": "Agg",  # the kernel's inline backend is not there: TheLastBen#3125
        "PYTHONUNBUFFERED": "1",
        "PIP_CONSTRAINT": str(folder.python / "constraints.txt"),
        "PIP_BUILD_CONSTRAINT": str(folder.python / "build-constraints.txt"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # Checkpoints of old carry pickled callbacks, which torch >= 2.6 refuses; A1111's own check of pickles stays.
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    }


def find_uv(folder: Folder) -> str:
    """The path of uv; installs it beside our things (never into the kernel's packages) if it is missing."""
    for place in (shutil.which("uv"), folder.tools / "uv" / "bin" / "uv"):
        if place and Path(place).exists() and works(str(place)):
            return str(place)
    try:
        run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder.tools / "uv"), "--upgrade", "uv"], timeout=UV_SILENCE)
    except CommandError as error:
        raise Problem(
            f"uv, the installer the launcher uses, could not be fetched: {error.output.strip()[-200:]}",
            "Check that the runtime is connected to the internet and press ▶ again.",
        ) from error
    return str(folder.tools / "uv" / "bin" / "uv")


def compile_what_was_used(folder: Folder) -> int:
    """Byte-compile, on all cores, what the web UI imported at an earlier start; return how many files that are.

    Without it A1111's own first import compiles them one after the other: 20 to 23 s instead of 6 + 8 (measured on
    2 cores, docs/benchmarks.md). Compiling every file of the environment would take longer than it saves.
    """
    try:
        files = gzip.decompress((folder.kept / USED_LIST).read_bytes()).decode().splitlines()
    except (FileNotFoundError, OSError):
        return 0
    code = "import compileall, sys\nfor line in sys.stdin: compileall.compile_file(line.rstrip(), quiet=2)"
    workers = os.cpu_count() or 1
    command = [str(folder.python / "bin" / "python"), "-c", code]
    there = [str(path) for name in files if (path := folder.python / name).exists()]
    running = [subprocess.Popen(command, cwd=folder.python, env=child_environment(folder), stdin=subprocess.PIPE, text=True) for _ in range(workers)]
    for number, process in enumerate(running):
        process.communicate("\n".join(there[number::workers]))
    return len(there)


def remember_what_was_used(folder: Folder) -> None:
    """Note on Drive which files of the environment were imported, by their byte code."""
    names = {path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in folder.python.rglob("__pycache__/*.pyc")}
    text = "\n".join(sorted(str(name.relative_to(folder.python)) for name in names))
    write_safely(folder.kept / USED_LIST, gzip.compress(text.encode(), mtime=0))


def works(program: str) -> bool:
    """True if the program starts: a pyenv shim, for one, exists without what it stands for."""
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


def prepare_python(folder: Folder, packages: list[str], say: Callable[[str], None], progress: Callable[[int, int], None]) -> PythonEnvironment:
    """Make the environment with these `packages` (`packages_for` chooses them).

    It is complete or absent: a marker with the fingerprint of all that went in is written last, and an
    environment without it is made anew. `progress` gets (packages ready, packages in all).
    """
    wanted = hashlib.sha256("\n".join([PYTHON_VERSION, CONSTRAINTS, *packages]).encode()).hexdigest()
    marker, python = folder.python / "complete.json", folder.python / "bin" / "python"
    if is_complete(marker, wanted) and python.exists() and works(str(python)):
        return PythonEnvironment(python, False)
    require_room(folder.machine, ROOM_NEEDED if "torch" in "".join(packages) else GB, "the runtime's disk", "Installing the web UI's packages")
    uv = find_uv(folder)
    marker.unlink(missing_ok=True)
    if not (python.exists() and works(str(python))):
        make_environment(uv, folder, say)
    write_safely(folder.python / "constraints.txt", CONSTRAINTS)
    write_safely(folder.python / "build-constraints.txt", BUILD_CONSTRAINTS)
    install(uv, folder, packages, locked=packages == list(LOCKED_PACKAGES), say=say, progress=progress)
    write_safely(marker, json.dumps({"fingerprint": wanted}))
    return PythonEnvironment(python, True)


def is_complete(marker: Path, wanted: str) -> bool:
    """True if the environment was finished with exactly these packages."""
    try:
        return bool(json.loads(marker.read_text())["fingerprint"] == wanted)
    except (FileNotFoundError, ValueError, KeyError):
        return False


def packages_for(requirements: bytes) -> list[str]:
    """The lock if requirements_versions.txt is the one it was made for, byte by byte; else what stands in it."""
    if hashlib.sha256(requirements).hexdigest() == LOCKED_REQUIREMENTS:
        return list(LOCKED_PACKAGES)
    lines = [line.split("#")[0].strip() for line in requirements.decode().splitlines()]
    packages = [line for line in lines if line]
    if any(re.match(r"torch\b", package) for package in packages):
        packages += BESIDE_TORCH
    return packages


def make_environment(uv: str, folder: Folder, say: Callable[[str], None]) -> None:
    """An empty environment with pip (`--seed`: extensions call `python -m pip`)."""
    say(f"making room for Python {PYTHON_VERSION}")
    shutil.rmtree(folder.python, ignore_errors=True)
    try:
        run([uv, "venv", "--quiet", "--seed", "--python", PYTHON_VERSION, str(folder.python)], env=uv_environment(folder), timeout=UV_SILENCE)
    except CommandError as error:
        raise Problem(
            f"Python {PYTHON_VERSION} could not be fetched: {error.output.strip()[-300:]}",
            "It comes from GitHub; wait a few minutes and press ▶ again.",
        ) from error


def install(uv: str, folder: Folder, packages: list[str], *, locked: bool, say: Callable[[str], None], progress: Callable[[int, int], None]) -> None:
    """Install the packages with uv, telling how far it is by what uv says."""
    wanted = folder.python / "requirements.txt"
    write_safely(wanted, "\n".join(packages) + "\n")
    total, sizes, ready = len(packages), {}, [0]

    def on_line(line: str) -> None:
        resolved = re.search(r"Resolved (\d+) packages", line)
        starts = re.match(r"\s*Downloading (\S+) \(([\d.]+\w+)\)", line)
        ends = re.match(r"\s*Downloaded (\S+)", line)
        prepared = re.search(r"Prepared (\d+) packages", line)
        if resolved:
            say(f"{resolved[1]} packages")
        elif starts:
            sizes[starts[1]] = starts[2]
            say("downloading " + ", ".join(f"{name} ({size})" for name, size in list(sizes.items())[-3:]))
        elif ends:
            sizes.pop(ends[1], None)
            ready[0] += 1
            progress(ready[0], total)
            if sizes:
                say("downloading " + ", ".join(f"{name} ({size})" for name, size in list(sizes.items())[-3:]))
        elif prepared:
            say("downloaded; putting the packages in place")
        elif re.match(r"\s*\+ \S+==", line):
            ready[0] += 1

    exact = ["--no-deps"] if locked else ["--constraint", str(folder.python / "constraints.txt")]
    command = [uv, "pip", "install", "--python", str(folder.python / "bin" / "python"), *exact]
    command += ["--build-constraint", str(folder.python / "build-constraints.txt"), "--requirement", str(wanted)]
    try:
        run(command, env=uv_environment(folder), on_line=on_line, timeout=UV_SILENCE)
    except CommandError as error:
        raise Problem(
            f"The web UI's packages could not be installed: {uv_words(error.output)}",
            "Wait a minute and press ▶ again; what is downloaded already is kept. If it fails again, please report it.",
        ) from error


def uv_environment(folder: Folder) -> dict[str, str]:
    """The scrubbed environment for uv, without a chosen environment."""
    return {name: value for name, value in child_environment(folder).items() if not name.startswith(("PIP_", "VIRTUAL_ENV"))}


def uv_words(output: str) -> str:
    """The sentence in which uv says why."""
    lines = [line.strip(" ╰─▶×│├") for line in output.splitlines() if re.search(r"[×╰│]|error|cause", line)]
    return " ".join(line for line in lines if line)[:400] or output.strip()[-300:]
