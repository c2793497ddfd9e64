"""A1111's process: its command line, its start, whether it is ready, its end. Knows nothing of tunnels."""

import ast
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from launcher.explain import explain
from launcher.folder import GB, Folder, write_safely
from launcher.problem import Problem
from launcher.process import end_process, exit_code, running_pid, start_detached

READY_LINE: Final = "Startup time:"  # nothing may ask it for anything before: facts/a1111.md §3
MODEL_LINE: Final = "Model loaded in"
START_LIMIT: Final = 900.0  # seconds; a cold disk and a slow Drive have been seen to take minutes
HIGH_RAM: Final = 20 * GB

# What a start prints, in order -> what a person is told.
STAGES: Final = (
    ("Launching Web UI with arguments", "A1111 has begun"),
    ("Loading weights [", "reading the checkpoint"),
    ("Creating model from config", "building the model"),
    ("Running on local URL", "almost there"),
)


@dataclass(frozen=True)
class Plan:
    """How to start the web UI."""

    python: Path
    arguments: tuple[str, ...]  # without the port
    environment: dict[str, str]


def machine_arguments(gpu: str, memory: int) -> tuple[str, ...]:
    """A1111's flags for this machine; `memory` is the RAM in bytes.

    `--opt-sdp-attention` needs no wheel of its own. On 12.7 GB of RAM `--lowram` reads weights straight to the
    card, where `--medvram-sdxl` would keep them in RAM (facts/models.md §4). Without a card everything runs on the CPU.
    """
    if not gpu:
        return ("--use-cpu", "all", "--no-half", "--skip-torch-cuda-test", "--opt-sdp-attention")
    return ("--opt-sdp-attention", *(("--medvram-sdxl",) if memory >= HIGH_RAM else ("--lowram",)))


def fixed_arguments(folder: Folder, checkpoint: str) -> tuple[str, ...]:
    """The flags that are the same everywhere. `--server-name` also switches off installing extensions from the page."""
    arguments = (
        "--data-dir",
        str(folder.data),
        "--server-name",
        "127.0.0.1",
        "--no-download-sd-model",
        "--skip-prepare-environment",  # launch.py would look for packages and repositories; all is there, and dead addresses are not asked
        "--skip-install",  # of extensions: the launcher does it, so that none can harm the rest
    )
    chosen = folder.data / "models" / "Stable-diffusion" / checkpoint
    if folder.checkpoints() == [folder.old_checkpoint]:
        chosen = folder.old_checkpoint
    return (*arguments, "--api", *(("--ckpt", str(chosen)) if chosen.is_file() else ()))


def check_arguments(code: Path, data: Path, wanted: tuple[str, ...]) -> None:
    """Raise a `Problem` for an argument that neither A1111 nor an installed extension has.

    The names are read from A1111's own source; abbreviations are refused, because argparse would let
    «--shar» pass as «--share».
    """
    places = [
        code / "modules" / "cmd_args.py",
        code / "modules" / "paths_internal.py",
        *code.glob("extensions*/*/preload.py"),
        *data.glob("extensions/*/preload.py"),
    ]
    known = {name for place in places if place.exists() for name in argument_names(place.read_text(errors="replace"))}
    for word in wanted:
        name = word.split("=")[0]
        if name.startswith("-") and not name.lstrip("-").replace(".", "").isdigit() and known and name not in known:
            raise Problem(
                f"The field extra_arguments has {name}, which the web UI does not know.",
                "Correct it or take it out; «Command line arguments» in A1111's wiki lists them all.",
                field="extra_arguments",
            )


def argument_names(source: str) -> set[str]:
    """The names a Python file gives to `add_argument`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            names |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return names


def check_settings_file(data: Path) -> str:
    """Set a broken config.json aside: A1111 dies of it (facts/a1111.md §3). Returns a sentence, or ""."""
    path = data / "config.json"
    if not path.exists():
        return ""
    try:
        json.loads(path.read_text())
        return ""
    except ValueError:
        aside = path.with_name(f"config.broken-{time.strftime('%Y%m%d-%H%M%S')}.json")
        os.replace(path, aside)
        return f"The web UI's settings (config.json) were damaged. They are kept as {aside.name}, and the web UI starts with its own settings."


def free_port() -> int:
    """A free port of this machine, which the system chooses. Nobody but the door needs to know it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class WebUI:
    """The one web UI process of this machine, found again by its files in the session folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.pid_file = folder.session / "webui.pid"
        self.log = folder.session / "webui.log"
        self.state = folder.session / "webui.json"

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return bool(running_pid(self.pid_file))

    @property
    def noted(self) -> dict[str, object]:
        """What the running process was started with: {"port": int, "arguments": [str]}; empty if there is none."""
        try:
            noted = json.loads(self.state.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    @property
    def port(self) -> int:
        """The port it listens on, or is about to."""
        port = self.noted.get("port", 0)
        return port if isinstance(port, int) else 0

    @property
    def ready(self) -> bool:
        """True once it said so in its log. The only sign that may be trusted."""
        return self.running and READY_LINE in self._log_text()

    def started_with(self, plan: Plan) -> bool:
        """True if it runs with just these arguments; another checkpoint is no reason to start anew."""
        return self.running and without_checkpoint(self.noted.get("arguments")) == without_checkpoint(list(plan.arguments))

    def start(self, plan: Plan) -> None:
        """Start it. Its output goes to the file `log`; the log of the start before is kept beside it."""
        self.stop()
        (self.folder.code / "tmp").mkdir(exist_ok=True)  # A1111 moves a bad settings file there and dies without it
        if self.log.exists():
            os.replace(self.log, self.log.with_suffix(".before.log"))
        port = free_port()
        write_safely(self.state, json.dumps({"port": port, "arguments": list(plan.arguments)}), 0o600)
        environment = plan.environment | {
            "SD_WEBUI_CACHE_DIR": str(self.folder.machine / "cache"),  # SQLite does not live on Drive
            "HF_HOME": str(self.folder.data / "huggingface"),  # CLIP's words, kept on Drive: the hub is asked once
            "GRADIO_TEMP_DIR": str(self.folder.machine / "tmp"),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "PYTHONFAULTHANDLER": "1",  # a crash in C code or a hang leaves the line it was in
        }
        command = [str(plan.python), "launch.py", *plan.arguments, "--port", str(port)]
        start_detached(command, log=self.log, pid_file=self.pid_file, env=environment, cwd=self.folder.code)

    def wait_until_ready(self, say: Callable[[str], None], cancelled: Callable[[], bool]) -> bool:
        """Wait for the ready line, telling the stages. False if `cancelled`; raises a `Problem` if it ends before."""
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            text = self._log_text()
            if READY_LINE in text:
                return True
            for line, told in reversed(STAGES):
                if line in text:
                    say(told)
                    break
            if not self.running:
                raise self.why_it_ended()
            if cancelled():
                return False
            time.sleep(0.05)
        os.kill(running_pid(self.pid_file), signal.SIGABRT)  # with PYTHONFAULTHANDLER its last words say where it hangs
        time.sleep(2)
        raise Problem(f"The web UI was not ready after {START_LIMIT / 60:.0f} minutes.", f"Press ▶ again. Its log is the file {self.log}.", field="extensions")

    def wait_for_model(self, over: threading.Event) -> bool:
        """Wait until the first model is loaded, a while after the ready line; False if `over` or the process's end comes first."""
        while self.running and not over.wait(2):
            if MODEL_LINE in self._log_text():
                return True
        return False

    @property
    def chosen_checkpoint(self) -> str:
        """The file name of the checkpoint it was started with, or ""."""
        arguments = self.noted.get("arguments")
        words = arguments if isinstance(arguments, list) else []
        return os.path.basename(words[words.index("--ckpt") + 1]) if "--ckpt" in words else ""

    @property
    def last_words(self) -> str:
        """What it said, to its end."""
        return self._log_text()

    def why_it_ended(self) -> Problem:
        """The reason in words, from its log and exit code."""
        return explain(self._log_text(), exit_code(self.pid_file), str(self.log))

    def stop(self) -> None:
        """End it with all it started, politely first."""
        end_process(self.pid_file)
        self.state.unlink(missing_ok=True)

    def refresh_checkpoints(self) -> None:
        """Make it list checkpoints that were added while it runs. Raises `requests.RequestException`."""
        requests.post(f"http://127.0.0.1:{self.port}/sdapi/v1/refresh-checkpoints", timeout=60).raise_for_status()

    def choose_checkpoint(self, name: str) -> None:
        """Make it load a checkpoint by its file name. Raises `requests.RequestException`."""
        url = f"http://127.0.0.1:{self.port}/sdapi/v1/options"
        requests.post(url, json={"sd_model_checkpoint": name}, timeout=600).raise_for_status()

    def _log_text(self) -> str:
        try:
            return self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""


def without_checkpoint(arguments: object) -> list[str]:
    """The arguments less `--ckpt FILE`."""
    words = [str(word) for word in arguments] if isinstance(arguments, list) else []
    if "--ckpt" in words:
        at = words.index("--ckpt")
        del words[at : at + 2]
    return words
