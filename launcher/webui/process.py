"""A1111's process: its command-line arguments, its start, whether it is ready, its end. Knows nothing of tunnels."""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from launcher.core.folder import GB, Folder
from launcher.core.problem import Problem
from launcher.core.process import end_process, exit_code, running_pid, send_signal, start_detached
from launcher.core.session import Part
from launcher.core.status import Step
from launcher.webui.explain import explain, port_was_taken
from launcher.webui.running import LogReader

MOST_PORTS: Final = 3  # that a start tries; A1111 takes its port seconds after it was seen to be free
START_LIMIT: Final = 900.0  # seconds; a cold disk and a slow Drive have been seen to take minutes
RESTART_FILE: Final = "tmp/restart"  # in A1111's folder, which makes it when it ends in order to be started again
EXIT_PATIENCE: Final = 2.0  # seconds; with a card's driver behind it a process ends 0.2 s after it counts as ended

# What SDXL needs (measured on an H100 with A1111 v1.10.1, docs/dev/cards.md): its weights in half precision, and what
# a batch of four at 1024² with its decoding takes beside them. Another checkpoint can be chosen in the page, so no
# model counts as smaller.
SDXL: Final = 6_900_000_000  # bytes
WORKING: Final = 7_000_000_000
MUCH_RAM: Final = 20 * GB  # `--medvram-sdxl` keeps 11 GB more in RAM


@dataclass(frozen=True)
class Plan:
    python: Path
    arguments: tuple[str, ...]  # without the port
    environment: dict[str, str]


def free_port() -> int:
    """A free port of this machine, which the system chooses. Nobody but the auth proxy needs to know it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class WebUI(Part):
    """The one web UI process of this machine, found again by its files in the session folder (`Session.webui`)."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder.session, "webui")
        self.folder = folder
        self.says = LogReader(self.log)
        self.restart_file = folder.code / RESTART_FILE
        self._plan: Plan | None = None  # of the process this object started

    @property
    def pid(self) -> int:
        """The process's number, 0 where none runs."""
        return running_pid(self.pid_file)

    @property
    def running(self) -> bool:
        return bool(self.pid)

    @property
    def ended_to_restart(self) -> bool:
        """True once a person has pressed **Apply and restart UI** in its page: it ends, and expects to be started."""
        return self.restart_file.exists() and not self.running

    @property
    def ready(self) -> bool:
        """True once it said so in its log. The only sign that may be trusted."""
        return self.running and self.says.read().ready

    @property
    def arguments(self) -> list[str]:
        noted = self.said.get("arguments")
        return noted if isinstance(noted, list) else []

    def started_with(self, plan: Plan) -> bool:
        """True if it runs with just these arguments; another checkpoint is no reason to start anew."""
        return self.running and without_checkpoint(self.arguments) == without_checkpoint(list(plan.arguments))

    def start(self, plan: Plan) -> None:
        """Start it. Its output goes to the file `log`; the log of the start before is kept beside it."""
        self.stop()
        self._plan = plan
        self.restart_file.unlink(missing_ok=True)
        (self.folder.code / "tmp").mkdir(exist_ok=True)  # A1111 moves a bad settings file there and dies without it
        if self.log.exists():
            os.replace(self.log, self.log.with_suffix(".before.log"))
        self.says = LogReader(self.log)
        port = free_port()
        self.note(port=port, arguments=list(plan.arguments))
        environment = plan.environment | {
            "SD_WEBUI_CACHE_DIR": str(self.folder.machine / "cache"),  # SQLite does not live on Drive
            "HF_HOME": str(self.folder.data / "huggingface"),  # CLIP's words, kept on Drive: the hub is asked once
            "GRADIO_TEMP_DIR": str(self.folder.machine / "tmp"),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "SD_WEBUI_RESTART": RESTART_FILE,  # else its page offers "Apply and quit" (modules/restart.py)
            "PYTHONFAULTHANDLER": "1",  # a crash in C code or a hang leaves the line it was in
        }
        command = [str(plan.python), "launch.py", *plan.arguments, "--port", str(port)]
        start_detached(command, log=self.log, pid_file=self.pid_file, env=environment, cwd=self.folder.code)

    def wait_until_ready(self, step: Step, cancelled: Callable[[], bool]) -> bool:
        """Wait for the ready line, telling the stages. False if `cancelled`; raises a `Problem` if it ends before.

        Where another program has taken its port meanwhile, it is started again at another one.
        """
        end, ports = time.monotonic() + START_LIMIT, 1
        while time.monotonic() < end:
            says = self.says.read()
            if says.ready:
                return True
            if says.stage:
                step.say(says.stage)
            if cancelled():
                return False
            if not self.running:
                if not (self._plan and ports < MOST_PORTS and port_was_taken(self.last_words)):
                    raise self.why_it_ended()
                ports += 1
                self.start(self._plan)
            time.sleep(0.02)
        if send_signal(self.pid_file, signal.SIGABRT):  # with PYTHONFAULTHANDLER its last words say where it hangs
            time.sleep(2)
        raise Problem(
            f"The web UI was not ready after {START_LIMIT / 60:.0f} minutes.",
            f"Press ▶ again. Its log is the file {self.log}.",
            by_extension=True,
        )

    def wait_for_model(self, over: threading.Event) -> bool:
        """Wait until the first model is loaded, or cannot be; False if `over` or the process's end is first."""
        while self.running and not over.wait(2):
            says = self.says.read()
            if says.loaded or says.model:
                return True
        return False

    @property
    def chosen_checkpoint(self) -> str:
        """The file name of the checkpoint it was started with, or ""."""
        words = self.arguments
        return os.path.basename(words[words.index("--ckpt") + 1]) if "--ckpt" in words else ""

    def why_it_ended(self) -> Problem:
        return explain(self.last_words, exit_code(self.pid_file, EXIT_PATIENCE), str(self.log))

    def stop(self) -> None:
        """End it with all it started, politely first."""
        end_process(self.pid_file)
        self.forget()

    @property
    def at_work(self) -> bool:
        """Whether it paints just now, though nobody may be looking."""
        try:
            told = requests.get(f"{self._api}/progress?skip_current_image=true", timeout=10).json()
            return bool(told["state"]["job"])
        except (requests.RequestException, LookupError, TypeError):
            return False

    def refresh_checkpoints(self) -> None:
        """Make it list checkpoints that were added while it runs. Raises `requests.RequestException`."""
        requests.post(f"{self._api}/refresh-checkpoints", timeout=60).raise_for_status()

    def loaded_checkpoint(self) -> str:
        """The file name of the checkpoint it works with. Raises `requests.RequestException`."""
        options = requests.get(f"{self._api}/options", timeout=60).json()
        return re.sub(r" \[\w+\]$", "", str(options.get("sd_model_checkpoint") or "")).rpartition("/")[2]

    def choose_checkpoint(self, name: str) -> None:
        """Make it load a checkpoint by its file name. Raises `requests.RequestException`."""
        requests.post(f"{self._api}/options", json={"sd_model_checkpoint": name}, timeout=600).raise_for_status()

    @property
    def _api(self) -> str:
        return f"http://127.0.0.1:{self.port}/sdapi/v1"

    @property
    def last_words(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def without_checkpoint(arguments: list[str]) -> list[str]:
    at = arguments.index("--ckpt") if "--ckpt" in arguments else len(arguments)
    return arguments[:at] + arguments[at + 2 :]


# ---- its arguments


def machine_arguments(card: str, memory: int, card_memory: int, model: int = 0) -> tuple[str, ...]:
    """A1111's flags for this machine: its card's name ("" for none), RAM and the card's memory in bytes, the model's
    size.

    `--opt-sdp-attention` needs no wheel of its own and is 1.5 times as fast as A1111's choice. `--medvram-sdxl` moves
    parts of the model to RAM and back, which makes SDXL 1.6 times slower: only where the card's memory would not do.
    `--lowram` reads weights straight to the card, which costs nothing: where RAM is short. Unknown memory of a card (0)
    counts as enough.
    """
    if not card:
        return ("--use-cpu", "all", "--no-half", "--skip-torch-cuda-test", "--opt-sdp-attention")
    too_small = 0 < card_memory < max(model, SDXL) + WORKING
    less = ("--lowram",) if memory < MUCH_RAM else ("--medvram-sdxl",) if too_small else ()
    return ("--opt-sdp-attention", *less)


def fixed_arguments(folder: Folder, checkpoint: str) -> tuple[str, ...]:
    """The flags that are the same everywhere. `--server-name` also switches off installing extensions from the page."""
    there, models = folder.checkpoints(), folder.data / "models"
    chosen = [path for path in there if path.name == checkpoint or there == [folder.old_checkpoint]]
    nearest = min(chosen, key=lambda path: len(path.parts), default=None)
    return (
        *("--data-dir", str(folder.data)),
        *("--server-name", "127.0.0.1"),
        # The same folder as without it; extensions that look beside A1111's code find it by this flag.
        *("--ckpt-dir", str(models / "Stable-diffusion")),
        "--no-download-sd-model",
        # launch.py would look for packages and repositories; all is there, and dead addresses are not asked.
        "--skip-prepare-environment",
        *("--clip-models-path", str(models / "CLIP")),  # the interrogator's, 0.9 GB: else fetched on each machine
        "--skip-install",  # of extensions: the launcher does it, so that none can harm the rest
        "--api",
        *(("--ckpt", str(nearest)) if nearest else ()),
    )


def check_arguments(code: Path, data: Path, wanted: tuple[str, ...]) -> None:
    """Raise a `Problem` for an argument that neither A1111's source nor an installed extension's has.

    Abbreviations are refused, because argparse would let `--shar` pass as `--share`.
    """
    own = [code / "modules" / name for name in ("cmd_args.py", "paths_internal.py")]
    places = [*own, *code.glob("extensions*/*/preload.py"), *data.glob("extensions/*/preload.py")]
    texts = [place.read_text(errors="replace") for place in places if place.exists()]
    known = {name for text in texts for name in re.findall(r"""["'](-[\w.-]+)["']""", text)}
    for word in wanted:
        name = word.split("=")[0]
        if name.startswith("-") and not name.lstrip("-").replace(".", "").isdigit() and known and name not in known:
            raise Problem(
                f"The choice **extra_arguments** has {name}, which the web UI does not know.",
                'Correct or remove it; "Command line arguments" in the wiki of A1111 lists them all.',
            )
