"""Odd machines: variables and files that lie around, and what becomes of a launch among them.

    python -m tests.whole.machines [--only WORD] [--launch PROGRAM …] [--write docs/dev/machines.md]

Each row of `ROWS` is one variable or file. `tried` starts the one program it concerns (`make test`); `launched` runs
the whole notebook (the command above, which makes the page). Either way the end is "" where all works, else what a
person is told.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.constants import HF_HOME

from launcher.access.link import PublicLink, Tunnel
from launcher.colab.machine import Machine
from launcher.core import tools
from launcher.core.fields import NO_LINK, Settings
from launcher.core.problem import Problem
from launcher.core.process import PACKAGE, own_environment, run
from launcher.core.tools import Pin, install_tool
from launcher.launch.card import look_for_card
from launcher.launch.start import start_web_ui
from launcher.models.catalog import CHECKPOINT_NAMES
from launcher.python import uv
from launcher.python.environment import prepare_python, webui_environment
from launcher.python.uv import uv_environment
from launcher.source.checkout import check_out_sub_repositories, check_out_version
from launcher.source.versions import newest_commit
from launcher.webui.process import Plan, WebUI, fixed_arguments, machine_arguments
from tests.conftest import COLAB_PYTHON, ROOT, new_folder
from tests.whole.faults import plain, ready, table
from tests.world import MODEL_LINK, World
from tests.world.heard import Heard
from tests.world.index import Index
from tests.world.kernel import Kernel, cell_source
from tests.world.pythons import pythons_of
from tests.world.toy_launch import launch_of
from tests.world.toy_lock import ToyLock, toy_torch
from tests.world.webui_alone import webui_python

PAGE = ROOT / "docs" / "dev" / "machines.md"
NOWHERE = "/proc/nowhere/at/all"  # not even root can make it
OUTSIDE = "https://index.example/simple"
DEAD = "http://127.0.0.1:9"  # nobody listens at the port called discard
RUNS, WORKS = "the web UI runs", "it works as usual"  # of a whole launch, and of a program


class Surroundings:
    """Where a row is tried: the variables of the kernel, the folder it runs in, a home, and a package index."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.home, self.index = root, root / "notebooks", root / "home", Index()
        for place in (self.folder, self.home):
            place.mkdir(parents=True)
        ours = ("UV_", "PIP_", "HF_", "ONECLICK_", "CIVITAI_", "GIT_CONFIG")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment |= {"HOME": str(self.home), "UV_CACHE_DIR": str(ROOT / ".cache" / "uv-packages")}
        self.environment["HF_HOME"] = HF_HOME  # with frpc: `tests.conftest`

    def __enter__(self) -> "Surroundings":
        return self

    def __exit__(self, *error: Any) -> None:
        self.index.close()


Make = Callable[[Surroundings], None]


@dataclass(frozen=True)
class Odd:
    """One row: what is odd, the program it concerns, and what is told ("": nothing, all works)."""

    what: str
    program: str
    make: Make
    told: str = ""  # a pattern
    fields: dict[str, str] = field(default_factory=dict)  # of the form
    whole: bool = True  # False where the machine of the tests cannot be made so for a whole launch


# ---- what may be odd


def variables(**values: str) -> Make:
    """Variables of the kernel; {root} in a value is a folder of the row's own."""
    return lambda at: at.environment.update(
        {name: value.replace("{root}", str(at.root)) for name, value in values.items()}
    )


def nvidia_smi_is(script: str, torch: dict[str, bytes]) -> Make:
    """The driver's program does this, and torch in the web UI's Python is so."""

    def make(at: Surroundings) -> None:
        program = at.root / "nvidia" / "nvidia-smi"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        at.environment["PATH"] = f"{program.parent}{os.pathsep}{at.environment['PATH']}"
        at.torch = torch  # type: ignore[attr-defined]

    return make


def python_is(version: str) -> Make:
    """The kernel runs this Python."""

    def make(at: Surroundings) -> None:
        if not (there := pythons_of(version)):
            pytest.skip(f"no Python {version} on this machine")
        at.python = there[0]  # type: ignore[attr-defined]

    return make


def without(*names: str) -> Make:
    def make(at: Surroundings) -> None:
        for name in names:
            at.environment.pop(name, None)

    return make


def file_in(place: str, name: str, text: str) -> Make:
    """A file in the kernel's folder ("folder") or in the person's home ("home")."""

    def make(at: Surroundings) -> None:
        path = getattr(at, place) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{root}", str(at.root)))

    return make


def all_of(*makes: Make) -> Make:
    def make(at: Surroundings) -> None:
        for one in makes:
            one(at)

    return make


def index_is(**how: Any) -> Make:
    """The package index of this network answers so."""

    def make(at: Surroundings) -> None:
        for name, value in how.items():
            setattr(at.index, name, value)
        at.environment |= {"UV_DEFAULT_INDEX": at.index.url, "UV_CACHE_DIR": str(at.root / "empty-cache")}

    return make


def pythons_are(**how: Any) -> Make:
    """The place Python's archives come from answers so, and this machine has no Python 3.11."""

    def make(at: Surroundings) -> None:
        at.mirror = Index()  # type: ignore[attr-defined]
        for name, value in how.items():
            setattr(at.mirror, name, value)  # type: ignore[attr-defined]
        at.environment |= {"UV_PYTHON_INSTALL_MIRROR": at.mirror.base}  # type: ignore[attr-defined]

    return make


def no_uv(at: Surroundings) -> None:
    """A PATH without uv: the kernel's pip fetches it."""
    at.environment["PATH"] = os.pathsep.join(
        place for place in at.environment["PATH"].split(os.pathsep) if not Path(place, "uv").exists()
    )


def pip_has(**values: str) -> Make:
    return all_of(no_uv, variables(**values))


T4 = "echo 'Tesla T4, 15360'"
SEES_IT = toy_torch()
OLD_PYTHON = r"needs Python 3\.11 or newer, and this Jupyter has 3\.\d+\."
REACHED = r"The package index cannot be reached from this runtime\."
AGAIN = r"Wait a few minutes and press ▶ again"
TELLS_WHICH = r"Look at [\w ]*{}[\w ]* too"
NO_LINK_FROM_GRADIO = r"gradio's share server gave no link"

ROWS = (
    # ---- uv: variables
    Odd("`UV_CONSTRAINT` names a file that is gone", "uv", variables(UV_CONSTRAINT=NOWHERE)),
    Odd("`UV_BUILD_CONSTRAINT` names a file that is gone", "uv", variables(UV_BUILD_CONSTRAINT=NOWHERE)),
    Odd("`UV_OVERRIDE` names a file that is gone", "uv", variables(UV_OVERRIDE=NOWHERE)),
    Odd("`UV_CONFIG_FILE` names a file that is gone", "uv", variables(UV_CONFIG_FILE=NOWHERE)),
    Odd("`UV_PRERELEASE` has no meaning", "uv", variables(UV_PRERELEASE="perhaps")),
    Odd("`UV_SYSTEM_PYTHON` is set, as in Colab", "uv", variables(UV_SYSTEM_PYTHON="true")),
    Odd("`UV_OFFLINE` is set", "uv", variables(UV_OFFLINE="1")),
    Odd("`UV_INDEX` names an index that is dead", "uv", variables(UV_INDEX=f"{DEAD}/simple")),
    Odd("`UV_EXCLUDE_NEWER` is a day of 2015", "uv", variables(UV_EXCLUDE_NEWER="2015-01-01")),
    Odd("`UV_REQUIRE_HASHES` is set", "uv", variables(UV_REQUIRE_HASHES="1")),
    Odd("`UV_LINK_MODE` has no meaning", "uv", variables(UV_LINK_MODE="perhaps")),
    Odd("`UV_PYTHON` asks for another Python", "uv", variables(UV_PYTHON="3.8")),
    Odd("`UV_HTTP_TIMEOUT` has no meaning", "uv", variables(UV_HTTP_TIMEOUT="soon")),
    Odd("`UV_CACHE_DIR` cannot be written", "uv", variables(UV_CACHE_DIR="/proc/uv-cache")),
    Odd("`VIRTUAL_ENV` and `CONDA_PREFIX` name folders that are gone", "uv",
        variables(VIRTUAL_ENV=NOWHERE, CONDA_PREFIX=NOWHERE)),
    Odd("`UV_DEFAULT_INDEX` names an index that is dead", "uv",
        variables(UV_DEFAULT_INDEX=f"{DEAD}/simple", UV_CACHE_DIR="{root}/empty-cache"),
        f"{REACHED}.*{TELLS_WHICH.format('UV_DEFAULT_INDEX')}"),
    Odd("`HTTPS_PROXY` names a proxy that is dead", "uv",
        variables(HTTPS_PROXY=DEAD, UV_CACHE_DIR="{root}/empty-cache", UV_DEFAULT_INDEX=OUTSIDE),
        f"{REACHED}.*{TELLS_WHICH.format('HTTPS_PROXY')}"),
    # ---- uv: files
    Odd("`uv.toml` in the notebook's folder: offline", "uv", file_in("folder", "uv.toml", "offline = true\n")),
    Odd("`uv.toml` in the notebook's folder is broken", "uv", file_in("folder", "uv.toml", "index = [[[\n")),
    Odd("`uv.toml` in the notebook's folder wants another uv", "uv",
        file_in("folder", "uv.toml", 'required-version = "==0.1.0"\n')),
    Odd("`uv.toml` in the notebook's folder: nothing newer than 2015", "uv",
        file_in("folder", "uv.toml", 'exclude-newer = "2015-01-01T00:00:00Z"\n')),
    Odd("`uv.toml` in the notebook's folder names an index that is dead", "uv",
        file_in("folder", "uv.toml", f'[[index]]\nurl = "{DEAD}/simple"\ndefault = true\n')),
    Odd("`uv.toml` in the notebook's folder installs into another folder", "uv",
        file_in("folder", "uv.toml", '[pip]\ntarget = "{root}/elsewhere"\n')),
    Odd("`pyproject.toml` in the notebook's folder overrides versions", "uv",
        file_in("folder", "pyproject.toml",
                '[project]\nname = "x"\nversion = "1"\n[tool.uv]\noverride-dependencies = ["plain==0.5"]\n')),
    Odd("`pyproject.toml` in the notebook's folder is broken", "uv", file_in("folder", "pyproject.toml", "[[[\n")),
    Odd("`.python-version` in the notebook's folder asks for another Python", "uv",
        file_in("folder", ".python-version", "3.8\n")),
    Odd("`~/.config/uv/uv.toml`: offline", "uv", file_in("home", ".config/uv/uv.toml", "offline = true\n")),
    # ---- the package index, and where Python comes from
    Odd("the package index is out of order (503)", "uv", index_is(status=503),
        rf"is not working right now.*503.*{AGAIN}"),
    Odd("the package index asks for patience (429)", "uv", index_is(status=429), rf"too many requests.*{AGAIN}"),
    Odd("the network answers everything with its login page", "uv", index_is(html=True), r"login page"),
    Odd("wheels are cut off on the way", "uv", index_is(cut=True), rf"arrived damaged or incomplete\..*{AGAIN}",
        whole=False),
    Odd("Python's archive is gone (404), and the machine has no Python 3.11", "python", pythons_are(status=404),
        r"place Python comes from \(GitHub\) refuses the download.*404", whole=False),
    Odd("Python's archive: too many requests (429)", "python", pythons_are(status=429),
        rf"place Python comes from \(GitHub\) has received too many requests.*{AGAIN}", whole=False),
    Odd("Python's archive is a login page", "python", pythons_are(html=True),
        r"The download from the place Python comes from \(GitHub\) arrived damaged",
        whole=False),
    # ---- pip, where there is no uv
    Odd("no uv on `PATH`", "pip", no_uv),
    Odd("no uv, and `PIP_CONSTRAINT` names a file that is gone", "pip", pip_has(PIP_CONSTRAINT=NOWHERE)),
    Odd("no uv, and `PIP_USER` is set", "pip", pip_has(PIP_USER="1")),
    Odd("no uv, and `PIP_TARGET` names another folder", "pip", pip_has(PIP_TARGET="{root}/elsewhere")),
    Odd("no uv, and `PIP_PREFIX` names another folder", "pip", pip_has(PIP_PREFIX="{root}/elsewhere")),
    Odd("no uv, and `PIP_REQUIRE_VIRTUALENV` is set", "pip", pip_has(PIP_REQUIRE_VIRTUALENV="1")),
    Odd("no uv, and `PIP_NO_INDEX` is set", "pip", pip_has(PIP_NO_INDEX="1")),
    Odd("no uv, and `PIP_NO_BINARY` is set", "pip", pip_has(PIP_NO_BINARY=":all:")),
    Odd("no uv, and pip's own settings file is broken", "pip",
        all_of(no_uv, file_in("home", ".config/pip/pip.conf", "[[[\n"))),
    # ---- git
    Odd("`GIT_DIR` and `GIT_WORK_TREE` are set", "git", variables(GIT_DIR=NOWHERE, GIT_WORK_TREE=NOWHERE)),
    Odd("`GIT_INDEX_FILE` is set", "git", variables(GIT_INDEX_FILE=NOWHERE)),
    Odd("`GIT_SSL_CAINFO` names a file that is gone", "git", variables(GIT_SSL_CAINFO=NOWHERE)),
    Odd("`~/.gitconfig` is broken", "git", file_in("home", ".gitconfig", "[[[\n")),
    Odd("`~/.gitconfig` signs commits, and changes the ends of lines", "git",
        file_in("home", ".gitconfig",
                "[commit]\n\tgpgsign = true\n[core]\n\tautocrlf = true\n\thooksPath = /proc/nowhere\n")),
    Odd("`PATH` has neither git nor anything else of the system", "git", variables(PATH=NOWHERE)),
    # ---- the machine
    Odd("`HOME` names a folder that is gone", "uv", variables(HOME=NOWHERE)),
    Odd("`HOME` is a file", "uv", variables(HOME="/dev/null")),
    Odd("`HOME` is not set", "uv", without("HOME")),
    Odd("`TMPDIR` names a folder that is gone", "uv", variables(TMPDIR=NOWHERE)),
    Odd("`XDG_CACHE_HOME` cannot be written", "uv",
        all_of(without("UV_CACHE_DIR"), variables(XDG_CACHE_HOME="/dev/null"))),
    Odd("`SSL_CERT_FILE` and `SSL_CERT_DIR` name nothing", "uv",
        variables(SSL_CERT_FILE=NOWHERE, SSL_CERT_DIR=NOWHERE)),
    Odd("`REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE` name files that are gone", "door",
        variables(REQUESTS_CA_BUNDLE=NOWHERE, CURL_CA_BUNDLE=NOWHERE)),
    Odd("`HTTP_PROXY` is set, and `NO_PROXY` is not", "door",
        all_of(variables(HTTP_PROXY=DEAD), without("NO_PROXY", "no_proxy"))),
    Odd("`ALL_PROXY` names a SOCKS proxy that is dead", "uv",
        variables(ALL_PROXY="socks5://127.0.0.1:9", UV_CACHE_DIR="{root}/empty-cache", UV_DEFAULT_INDEX=OUTSIDE),
        f"{REACHED}.*{TELLS_WHICH.format('ALL_PROXY')}"),
    Odd("`PYTHONOPTIMIZE`, `PYTHONNOUSERSITE`, `PYTHONSTARTUP` are set", "door",
        variables(PYTHONOPTIMIZE="2", PYTHONNOUSERSITE="1", PYTHONSTARTUP=NOWHERE)),
    Odd("`LC_ALL` names a language that is not installed", "git", variables(LC_ALL="xx_YY.UTF-8", LANG="xx_YY.UTF-8")),
    Odd("`LD_PRELOAD` names a library that is gone", "door", variables(LD_PRELOAD=f"{NOWHERE}/libtcmalloc.so.4")),
    # ---- the link
    Odd("`HF_HOME` cannot be written", "frpc", variables(HF_HOME="/proc/hugging-face"), fields={"link": "gradio"}),
    Odd("gradio's variables are set", "frpc",
        variables(GRADIO_SERVER_NAME="0.0.0.0", GRADIO_SERVER_PORT="1", GRADIO_SHARE="True", GRADIO_ROOT_PATH="/x"),
        fields={"link": "gradio"}),
    Odd("`http_proxy` names a proxy that is dead, and gradio's link is wanted", "frpc",
        variables(http_proxy=DEAD),
        rf"{NO_LINK_FROM_GRADIO}.*{TELLS_WHICH.format('http_proxy')}", fields={"link": "gradio"}),
    # ---- the web UI
    Odd("`MPLBACKEND` is the notebook's", "web UI",
        variables(MPLBACKEND="module://matplotlib_inline.backend_inline")),
    Odd("`PYTHONPATH` has a numpy for another Python", "web UI",
        all_of(variables(PYTHONPATH="{root}/other"), lambda at: broken_module(at.root / "other" / "numpy"))),
    Odd("AUTOMATIC1111's own variables are set", "web UI",
        variables(COMMANDLINE_ARGS="--none-such", TORCH_COMMAND="false", REQS_FILE=NOWHERE, INDEX_URL=DEAD)),
    Odd("`HTTP_PROXY` is set, and the web UI asks itself", "web UI",
        all_of(variables(HTTP_PROXY=DEAD, http_proxy=""), without("NO_PROXY", "no_proxy"))),
    # ---- the graphics card
    Odd("`nvidia-smi` needs 40 s, and then says that there is a card", "card",
        nvidia_smi_is(f"sleep 40; {T4}", SEES_IT), whole=False),
    Odd("`nvidia-smi` fails, and torch sees the card", "card",
        nvidia_smi_is("echo 'Failed to initialize NVML: Unknown Error'; exit 255", SEES_IT), whole=False),
    Odd("`nvidia-smi` fails, and torch sees no card", "card",
        nvidia_smi_is("echo 'Failed to initialize NVML: Unknown Error'; exit 255", toy_torch(card=False)),
        r"The graphics card does not answer \(nvidia-smi says: Failed to initialize NVML", whole=False),
    Odd("`nvidia-smi` lists a card that torch finds no driver for", "card", nvidia_smi_is(T4, toy_torch(card=False)),
        r"Tesla T4 cannot be used: the web UI finds no driver for it.*on the processor", whole=False),
    Odd("`nvidia-smi` lists a card whose driver is too old for torch", "card",
        nvidia_smi_is(T4, toy_torch(card=False, why="The NVIDIA driver on your system is too old (found version 1)")),
        r"Tesla T4 cannot be used: its driver is too old", whole=False),
    Odd("`nvidia-smi` lists a card that is too old for torch", "card",
        nvidia_smi_is("echo 'Tesla P100-PCIE-16GB, 16384'", toy_torch(
            harm="raise RuntimeError('CUDA error: no kernel image is available for execution on the device')")),
        r"Tesla P100-PCIE-16GB cannot be used: it is too old", whole=False),
    Odd("`CUDA_VISIBLE_DEVICES` is empty, and there is a card", "card",
        all_of(nvidia_smi_is(T4, toy_torch(card=False)), variables(CUDA_VISIBLE_DEVICES="")),
        r"CUDA_VISIBLE_DEVICES hides the graphics card", whole=False),
    # ---- other places than Colab
    Odd("Kaggle: Colab's image, without what only Colab has", "first cell",
        variables(COLAB_RELEASE_TAG="release-colab_20261101", COLAB_GPU="", KAGGLE_KERNEL_RUN_TYPE="Interactive"),
        fields={"link": NO_LINK}),
    Odd("the kernel's Python is 3.8", "first cell", python_is("3.8"), OLD_PYTHON, whole=False),
    Odd("the kernel's Python is 3.9", "first cell", python_is("3.9"), OLD_PYTHON, whole=False),
    Odd("the kernel's Python is 3.10", "first cell", python_is("3.10"), OLD_PYTHON, whole=False),
    # ---- arguments
    Odd("`extra_arguments` moves the settings: `--ui-settings-file`", "form", without(),
        r"extra_arguments\W+has --ui-settings-file\. The launcher keeps",
        fields={"extra_arguments": "--ui-settings-file /x"}),
    Odd("`extra_arguments` moves the models: `--ckpt-dir`", "form", without(), r"extra_arguments\W+has --ckpt-dir\.",
        fields={"extra_arguments": "--ckpt-dir=/x"}),
    Odd("`extra_arguments` leaves out the model: `--skip-load-model-at-start`", "form", without(),
        r"no image can be made", fields={"extra_arguments": "--skip-load-model-at-start"}),
    # ---- models
    Odd("`HF_TOKEN` is no token of the hub", "model", variables(HF_TOKEN="hf_wrong")),
    Odd("`HF_HUB_OFFLINE` is set", "model", variables(HF_HUB_OFFLINE="1")),
    Odd("`HF_ENDPOINT` names a mirror that is dead", "model", variables(HF_ENDPOINT=DEAD),
        TELLS_WHICH.format("HF_ENDPOINT")),
)  # fmt: skip


def broken_module(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('for another Python')\n")


# ---- the one program of a row, started for real


def with_uv(at: Surroundings, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    """The web UI's Python from a toy lock on an index of our own."""
    toys = ToyLock(at.root / "toys", at.index, patch)
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "UV_CACHE_DIR"):
        at.environment[name] = os.environ[name]
    at.environment["PATH"] = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{at.environment['PATH']}"
    return lambda: prepare_python(toys.folder, toys.packages, Heard())


def without_any_python(at: Surroundings, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    """The same on a machine that has no Python 3.11: only one that uv fetches will do."""
    prepare = with_uv(at, patch)
    fetched_only = {"UV_PYTHON_PREFERENCE": "only-managed"}
    patch.setattr(uv, "uv_environment", lambda folder: uv_environment(folder) | fetched_only)
    return prepare


def with_pip(at: Surroundings, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    """A tool from the index, where there is no uv."""
    no_uv(at)
    sha256 = at.index.add("toy-tool", "1.0")
    patch.setitem(tools.TOOL_PINS, "toy-tool", Pin("toy-tool", "1.0", sha256, 0))
    at.environment["PIP_INDEX_URL"] = at.index.url

    def install_it() -> None:
        install_tool("toy-tool", at.root / "tool")
        assert (at.root / "tool" / "toy_tool.py").exists()

    return install_it


def with_git(at: Surroundings, world: World) -> Callable[[], object]:
    """A1111's source with its parts, byte for byte."""
    at.environment |= world.git.environment()

    def bring() -> None:
        folder, heard = new_folder(at.root), Heard()
        check_out_version(folder, newest_commit() or "no answer", heard)
        check_out_sub_repositories(folder, heard)
        assert b"\r\n" not in (folder.code / "launch.py").read_bytes()

    return bring


def with_frpc(at: Surroundings, world: World) -> Callable[[], object]:
    """gradio's link, with its real frpc."""
    at.environment["GRADIO_SHARE_SERVER_ADDRESS"] = f"127.0.0.1:{world.share.frps_port}"
    (at.root / "session").mkdir()
    tunnel = Tunnel(at.root / "session")

    def open_it() -> None:
        try:
            tunnel.open("gradio", 9)
        finally:
            tunnel.close()

    return open_it


def with_door(at: Surroundings) -> Callable[[], object]:
    """The login page, asked as the launcher asks it."""

    def open_it() -> None:
        machine = Machine(False, at.root, gpu="", memory=0, mountpoint=None)
        link = PublicLink(new_folder(at.root), machine, NO_LINK, lambda port: "")
        try:
            link.open(False, Heard())
            assert link.answers()
        finally:
            link.close()

    return open_it


CARD_LAUNCH = """
import time
print("Startup time: 0.1s", flush=True)
time.sleep(600)
"""


def with_card(at: Surroundings, patch: pytest.MonkeyPatch) -> Callable[[], object]:
    """A web UI that does nothing, with the flags for the card: why it has none is the problem."""
    toys = ToyLock(at.root / "toys", at.index, patch)
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "UV_CACHE_DIR"):
        at.environment[name] = os.environ[name]
    at.environment["PATH"] = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{at.environment['PATH']}"

    def start() -> None:
        toys.add("torch", "2.8.0", at.torch)  # type: ignore[attr-defined]
        launch = launch_of(toys, CARD_LAUNCH)
        prepare_python(toys.folder, toys.packages, Heard())
        try:
            look_for_card(launch)
            start_web_ui(launch, "")
        finally:
            launch.webui.stop()
        if launch.no_card:
            raise launch.no_card

    return start


RUN_CELL = """
import ast, asyncio, sys
cell = compile(open(sys.argv[1], encoding="utf-8").read(), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
try:
    asyncio.run(eval(cell, {}))
except Exception as error:
    if type(error).__name__ != "CellFailed":
        raise
    print(error)
"""


def with_first_cell(at: Surroundings) -> Callable[[], object]:
    """▶ with a form that ends the launch before it begins; what the cell itself says is the problem."""

    def press() -> None:
        path = at.root / "cell.py"
        path.write_text(cell_source("launch", checkpoint="nope"), encoding="utf-8")
        python = getattr(at, "python", COLAB_PYTHON)
        environment = at.environment | {"ONECLICK_HOME": str(at.root / "home-of-it"), "ONECLICK_PANEL": "text"}
        told = run([str(python), "-c", RUN_CELL, str(path)], env=environment)
        if "neither a known model nor a link" not in told:
            raise Problem(told.strip(), "")
        assert (at.root / "home-of-it" / "machine" / "program").is_dir(), "it takes this for Colab"

    return press


def with_form(odd: Odd) -> Callable[[], object]:
    return lambda: Settings.from_form(odd.fields, CHECKPOINT_NAMES)


ASK_HUB = """
import json, sys
from launcher.core.problem import Problem
from launcher.models.sources import resolve_link
try:
    resolve_link(sys.argv[1], "")
    print(json.dumps(""))
except Problem as problem:
    print(json.dumps([problem.what, problem.do]))
"""


def with_model(at: Surroundings, world: World) -> Callable[[], object]:
    """A question to the hub, in a process of its own, for the hub's library reads its variables when it is imported."""
    at.environment["HF_ENDPOINT"] = world.hub.url

    def ask() -> None:
        told = json.loads(run([sys.executable, "-c", ASK_HUB, MODEL_LINK], env=own_environment(), cwd=PACKAGE))
        if told:
            raise Problem(*told)

    return ask


def with_webui(at: Surroundings, world: World) -> Callable[[], object]:
    """The stand-in web UI itself, from packages that are installed once."""
    at.environment |= world.git.environment() | {"HF_ENDPOINT": world.hub.url}

    def start() -> None:
        folder, heard = new_folder(at.root), Heard()
        folder.machine.mkdir(exist_ok=True)
        check_out_version(folder, newest_commit() or "no answer", heard)
        check_out_sub_repositories(folder, heard)
        folder.python.symlink_to(webui_python())
        arguments = (*fixed_arguments(folder, ""), *machine_arguments("", 0, 0))
        webui = WebUI(folder)
        try:
            webui.start(Plan(folder.python / "bin" / "python", arguments, webui_environment(folder)))
            webui.wait_until_ready(heard, lambda: False)
            webui.refresh_checkpoints()
        finally:
            webui.stop()

    return start


def tried(odd: Odd, root: Path, world: World) -> str:
    """Start the one program the row concerns, there; "" where all works, else what a person is told.

    Raises what no person should see.
    """
    with Surroundings(root) as at, pytest.MonkeyPatch.context() as patch:
        preparing: dict[str, Callable[[], Callable[[], object]]] = {
            "uv": lambda: with_uv(at, patch),
            "python": lambda: without_any_python(at, patch),
            "pip": lambda: with_pip(at, patch),
            "git": lambda: with_git(at, world),
            "frpc": lambda: with_frpc(at, world),
            "door": lambda: with_door(at),
            "model": lambda: with_model(at, world),
            "web UI": lambda: with_webui(at, world),
            "card": lambda: with_card(at, patch),
            "first cell": lambda: with_first_cell(at),
            "form": lambda: with_form(odd),
        }
        start = preparing[odd.program]()
        odd.make(at)
        for name in os.environ.keys() - at.environment.keys():
            patch.delenv(name)
        for name, value in at.environment.items():
            patch.setenv(name, value)
        patch.chdir(at.folder)
        try:
            start()
        except Problem as problem:
            return f"{problem.what} {problem.do}"
    return ""


# ---- the whole notebook


def launched(odd: Odd, root: Path) -> str:
    """▶ on the first cell, there; "" where the web UI runs, else what a person is told."""
    with Surroundings(root) as at, World(root / "outside") as world:
        at.environment |= world.environment(root / "oneclick")
        odd.make(at)
        kernel = Kernel(COLAB_PYTHON, at.environment, at.folder)
        try:
            cell = kernel.start(cell_source("launch", **{"checkpoint": MODEL_LINK, **odd.fields}))
            kernel.wait(lambda: ready(kernel) or cell in kernel.idle, 240, "an end")
            runs, shown = ready(kernel), kernel.html()
            kernel.interrupt()
            kernel.wait_done(cell, 60)
            kernel.run(cell_source("stop"), 120)
        finally:
            kernel.shutdown()
    faults = [error for error in kernel.errors if runs or not error.startswith("CellFailed: ")]
    assert not faults, faults
    troubles = [plain(one) for one in re.findall(r'class="trouble"[^>]*>(.*?)</div>', shown, re.DOTALL)]
    assert runs or troubles, plain(shown)[-500:]
    return "" if runs else troubles[0].strip()


def in_a_folder(number: int, whole: bool) -> tuple[str, bool]:
    """What becomes of the row of that number, and whether that is as it should be (for worker processes)."""
    odd = ROWS[number]
    with tempfile.TemporaryDirectory(prefix="odd-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        try:
            if whole:
                told = launched(odd, root)
            else:
                with World(root / "outside") as world:
                    told = tried(odd, root / "here", world)
        except (AssertionError, TimeoutError, RuntimeError) as error:
            return f"{type(error).__name__}: {plain(str(error))[-300:]}", False
    return told or (RUNS if whole else WORKS), as_it_should(odd, told)


def as_it_should(odd: Odd, told: str) -> bool:
    """True for silence where all should work, and else for the right sentence."""
    return bool(re.search(odd.told, told, re.DOTALL)) if odd.told else not told


def ends_well(odd: Odd, row: list[str]) -> bool:
    """Whether a row of the page says what should become of it."""
    return as_it_should(odd, "" if row[3] in (RUNS, WORKS) else row[3])


def rows_of(written: Path) -> dict[str, list[str]]:
    """The rows of a page that was written before and are still in the table: with `--only`, they stay."""
    lines = written.read_text().splitlines() if written.exists() else []
    cells = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines if line.startswith("| ")]
    return {odd.what: row for odd in ROWS for row in cells if row[0] == odd.what}


def page(rows: list[list[str]]) -> str:
    """docs/dev/machines.md."""
    return "\n".join([
        "# Odd machines", "",
        "Made by `make machines`: each row is one variable of the notebook's kernel, or one file or service, tried for "
            "real: by a whole",
        "launch there with stand-ins, or by starting the one program it concerns. `make test` tries",
        "each row by its program, and launches once where nearly all of it is odd at the same time",
        "(`tests/whole/test_hostile_machine.py`).",
        "", table(["what is odd", "concerns", "tried by", "what happens"], rows), "",
    ])  # fmt: skip
