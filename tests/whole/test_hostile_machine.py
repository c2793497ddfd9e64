"""A whole launch on a machine where everything that lies around is hostile, behind a proxy that counts.

The kernel's folder has a uv.toml and a pyproject.toml, its variables are all that uv, pip, git and the web UI obey,
there is no uv, gradio's server refuses, and everything outside is reached by a name, through the proxy only.
"""

import fnmatch
import html
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import COLAB_PYTHON, ROOT
from tests.models.old_files import SOUND
from tests.world import MODEL_REPO, World
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, wait_ready
from tests.world.proxy import LOOPBACK, Proxy

pytestmark = pytest.mark.xdist_group("hostile machine")  # one launch for all of them

NOWHERE = "/proc/nowhere/at/all"  # not even root can make it
OUTSIDE = ("hub.example", "git.example", "share.example")
FILES = {
    "uv.toml": 'offline = true\nrequired-version = "==0.1.0"\n[pip]\ntarget = "elsewhere"\n',
    "pyproject.toml": '[project]\nname = "x"\nversion = "1"\n[tool.uv]\noverride-dependencies = ["numpy==2.0.0"]\n',
    "pip.conf": "[install]\nuser = true\n",
    ".python-version": "3.8\n",
}
HOSTILE = {
    # of Colab's kernel
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONWARNINGS": "ignore:::pip._internal.cli.base_command",
    "UV_SYSTEM_PYTHON": "true", "UV_CONSTRAINT": NOWHERE, "UV_BUILD_CONSTRAINT": NOWHERE, "UV_PRERELEASE": "perhaps",
    "PIP_CONSTRAINT": NOWHERE, "JPY_PARENT_PID": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "LD_PRELOAD": NOWHERE,
    # of uv and pip
    "UV_OVERRIDE": NOWHERE, "UV_CONFIG_FILE": NOWHERE, "UV_OFFLINE": "1", "UV_INDEX": "http://127.0.0.1:9/simple",
    "UV_EXCLUDE_NEWER": "2015-01-01", "UV_REQUIRE_HASHES": "1", "UV_LINK_MODE": "perhaps", "UV_PYTHON": "3.8",
    "UV_HTTP_TIMEOUT": "soon", "UV_NO_BINARY": "1", "UV_TARGET": NOWHERE, "UV_PYTHON_PREFERENCE": "perhaps",
    "UV_PYTHON_DOWNLOADS": "never", "UV_PROJECT_ENVIRONMENT": NOWHERE, "UV_CONCURRENT_DOWNLOADS": "0",
    "PIP_USER": "1", "PIP_TARGET": NOWHERE, "PIP_PREFIX": NOWHERE, "PIP_ROOT": NOWHERE, "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_NO_INDEX": "1", "PIP_NO_BINARY": ":all:", "PIP_CONFIG_FILE": "pip.conf", "PIP_BUILD_CONSTRAINT": NOWHERE,
    "PIP_REQUIREMENT": NOWHERE, "PIP_DRY_RUN": "1", "PIP_PYTHON": NOWHERE, "PIP_FIND_LINKS": NOWHERE,
    "VIRTUAL_ENV": NOWHERE, "CONDA_PREFIX": NOWHERE, "PYTHONSTARTUP": NOWHERE,
    # of git
    "GIT_DIR": NOWHERE, "GIT_WORK_TREE": NOWHERE, "GIT_INDEX_FILE": NOWHERE, "GIT_CONFIG_GLOBAL": NOWHERE,
    "GIT_SSH_COMMAND": "false", "GIT_TEMPLATE_DIR": NOWHERE, "GIT_EXEC_PATH": NOWHERE,
    # of the web UI, gradio, cloudflared
    "COMMANDLINE_ARGS": "--none-such", "TORCH_COMMAND": "false", "REQS_FILE": NOWHERE, "INDEX_URL": NOWHERE,
    "GRADIO_SERVER_PORT": "1", "GRADIO_SHARE": "True", "GRADIO_ROOT_PATH": "/x", "TUNNEL_URL": "http://127.0.0.1:9",
    "TUNNEL_CONFIG": NOWHERE, "SD_WEBUI_RESTARTING": "1",
    # secrets
    "HF_TOKEN": "hf_canary", "CIVITAI_API_TOKEN": "canary", "GITHUB_TOKEN": "canary", "AWS_SECRET_ACCESS_KEY": "canary",
    "OPENAI_API_KEY": "canary", "NOBODY_KNOWS_THIS_ONE": "canary",
    # certificates that are gone
    "REQUESTS_CA_BUNDLE": NOWHERE, "CURL_CA_BUNDLE": NOWHERE, "GIT_SSL_CAINFO": NOWHERE, "PIP_CERT": NOWHERE,
}  # fmt: skip

# What may arrive: written out here, so that a name added to the launcher's lists is looked at twice.
EVERYBODY = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "XDG_CACHE_HOME", "PATH",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_*", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF",
    "LD_LIBRARY_PATH",
)  # fmt: skip
MIRRORS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_PYTHON_INSTALL_MIRROR",
           "UV_CACHE_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS")  # fmt: skip
HUB = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_DISABLE_TELEMETRY")
GIT = ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_*", "GIT_CONFIG_VALUE_*")
INSTALLER = (*EVERYBODY, *MIRRORS, "PIP_CONFIG_FILE", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_INPUT", "UV_NO_CONFIG",
             "UV_PYTHON_DOWNLOADS", "UV_HTTP_TIMEOUT", "NO_COLOR", "UV_PYTHON_INSTALL_DIR")  # fmt: skip
PART = (*EVERYBODY, *MIRRORS, *HUB, *GIT, "ONECLICK_*", "GRADIO_SHARE_SERVER_ADDRESS", "COLAB_*", "TBE_*",
        "VERTEX_PRODUCT", "CLOUDSDK_CONFIG", "*_REPO", "*_COMMIT_HASH", "PYTHONPATH", "PYTHONUNBUFFERED")  # fmt: skip
IN_WEBUI = (*INSTALLER, *HUB, "VIRTUAL_ENV", "MPLBACKEND", "PYTHONUNBUFFERED", "PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT",
            "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")  # fmt: skip
# A pattern of the command -> its name, and what may arrive there. The first that fits.
PROGRAMS = (
    (r"-m launcher\.service ", "service", PART),
    (r"-m launcher\.access\.proxy ", "door", PART),
    (r"^\S*/frpc_\S+ ", "frpc", PART),
    (r"^\S*/cloudflared ", "cloudflared", EVERYBODY),
    (r"^git ", "git", (*EVERYBODY, *GIT, "GIT_TERMINAL_PROMPT", "GIT_ASKPASS", "GCM_INTERACTIVE", "GIT_CONFIG_GLOBAL",
                       "GIT_CONFIG_NOSYSTEM", "GIT_ALLOW_PROTOCOL", "GIT_NO_LAZY_FETCH", "GIT_CEILING_DIRECTORIES")),
    (r" -m pip install ", "pip", INSTALLER),
    (r"^\S*/uv (venv|pip) ", "uv", INSTALLER),
    (r"/unpickle\.py ", "pickle scanner", ("PATH",)),
    (r"/probe\.py", "look at the packages", IN_WEBUI),
    (r" launch\.py ", "web UI", (*IN_WEBUI, "SD_WEBUI_CACHE_DIR", "HF_HOME", "GRADIO_TEMP_DIR",
                                 "GRADIO_ANALYTICS_ENABLED", "PYTHONFAULTHANDLER", "SD_WEBUI_RESTART")),
    (r"/install\.py$", "installer of an extension", (*IN_WEBUI, "PYTHONPATH", "PIP_RETRIES", "COMMANDLINE_ARGS")),
    (r"", "another", EVERYBODY),
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What one hostile launch showed."""

    password: str
    url: str
    page: int  # status of the web UI behind the login
    shown: str
    asked: list[str]  # hosts, of the proxy
    started: list[dict[str, Any]]  # {"by": file, "command": [words], "names": [variables]}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    root, proxy = tmp_path_factory.mktemp("hostile"), Proxy(*OUTSIDE)
    with World(root / "outside", share="login_error", page=False) as world, Place(world, root) as place:
        world.hub.add(MODEL_REPO, "old.ckpt", SOUND["pruned, half precision"][0])
        (place.kept / "extensions" / "one").mkdir(parents=True)
        (place.kept / "extensions" / "one" / "install.py").write_text("print('installed')\n")
        place.machine.mkdir(exist_ok=True)
        for name, text in FILES.items():
            (place.machine / name).write_text(text)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PIP_"))}
        environment |= place.environment | HOSTILE | {name: proxy.url for name in ("HTTP_PROXY", "HTTPS_PROXY")}
        environment |= {"http_proxy": proxy.url, "ONECLICK_TEST_NOTES": str(root / "started.jsonl")}
        for name in ("HF_ENDPOINT", "GIT_CONFIG_KEY_0", "GRADIO_SHARE_SERVER_ADDRESS"):
            outside = OUTSIDE[("HF", "GI", "GR").index(name[:2])]
            environment[name] = environment[name].replace("127.0.0.1", outside)
        for name in ("NO_PROXY", "no_proxy"):
            environment.pop(name, None)
        old_uv = root / "bin" / "uv"  # so old that pip fetches another, wherever else on this machine there may be one
        old_uv.parent.mkdir()
        old_uv.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "uv 0.1.0"\n')
        old_uv.chmod(0o700)
        environment["PATH"] = os.pathsep.join([str(old_uv.parent), str(ROOT / "tests/world/bin"), os.environ["PATH"]])
        places = (ROOT / "tests/world/started", environment["PYTHONPATH"])
        environment["PYTHONPATH"] = os.pathsep.join(map(str, places))
        kernel = Kernel(COLAB_PYTHON, environment, place.machine)
        try:
            link = f"https://huggingface.co/{MODEL_REPO}/blob/main/old.ckpt"
            cell = kernel.start(cell_source("launch", checkpoint=link, api=True))
            _, url, password = wait_ready(kernel, 180)
            shown = html.unescape(kernel.html())
            with requests.Session() as session:
                session.trust_env = False
                page = session.get(f"{url}/sdapi/v1/sd-models", auth=("user", password), timeout=20).status_code
            kernel.interrupt()
            kernel.wait_done(cell, 60)
            kernel.run(cell_source("stop"), 120)
        finally:
            kernel.shutdown()
        place.wait_until_nothing_runs()
        started = [json.loads(line) for line in (root / "started.jsonl").read_text().splitlines()]
        yield Seen(password, url, page, shown, list(proxy.asked), started)
    proxy.close()


def program(command: list[str]) -> tuple[str, tuple[str, ...]]:
    """A command's name here, and what may arrive there."""
    words = " ".join(command)
    return next((name, may) for pattern, name, may in PROGRAMS if re.search(pattern, words))


def test_the_web_ui_runs_all_the_same(seen: Seen) -> None:
    assert seen.page == 200
    assert "Cloudflare's quick tunnel is used instead" in seen.shown


def test_loopback_never_goes_through_the_proxy_and_everything_else_does(seen: Seen) -> None:
    assert [host for host in seen.asked if host in LOOPBACK] == []
    assert set(OUTSIDE) <= set(seen.asked)


def test_every_program_gets_the_short_list_and_nothing_else(seen: Seen) -> None:
    arrived: dict[str, list[str]] = {}
    for one in seen.started:
        name, may = program(one["command"])
        if name != "another" or "/launcher/" in one["by"]:  # not what IPython and Google's own code start
            more = [name for name in one["names"] if not any(fnmatch.fnmatchcase(name, pattern) for pattern in may)]
            arrived |= {name: more} if more else {}
    assert arrived == {}


def test_every_kind_of_program_was_met(seen: Seen) -> None:
    assert {program(one["command"])[0] for one in seen.started} >= {name for _, name, _ in PROGRAMS}
    starters = {Path(one["by"]).name for one in seen.started if "/launcher/" in one["by"]}
    assert starters == {"process.py"}, "another file starts programs: is it met here?"
