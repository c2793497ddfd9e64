"""The machine: Google Colab or any other Jupyter. Mounting, secrets, what is in it. Knows nothing of A1111."""

import getpass
import importlib
import importlib.util
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

from launcher.problem import Problem

T = TypeVar("T")

LOOKS_ALIVE: Final = 2.0  # seconds; the system remembers what it saw in a mount for one
MOUNT_DO_AGAIN: Final = "press ▶ again"

# What `drive.mount` says when it fails (google.colab/drive.py, read 2026-04) -> what a person can do.
MOUNT_FAILURES: Final = (
    ("credential propagation", "Google Drive was not allowed.", f"Press ▶ again and choose «Connect to Google Drive» in the window that opens. If no window opens, allow pop-ups and third-party cookies for colab.research.google.com and {MOUNT_DO_AGAIN}."),
    ("domain policy", "Your organisation does not allow Google Drive in Colab.", f"Use a private Google account, or set keep_models_on to «this session only», and {MOUNT_DO_AGAIN}."),
    ("must not already contain files", "The place for Google Drive (/content/drive) already has files in it, so Drive cannot be mounted there.", f"Choose Runtime → Disconnect and delete runtime, then {MOUNT_DO_AGAIN}."),
    ("must not be a symlink", "The place for Google Drive (/content/drive) is a link, so Drive cannot be mounted there.", f"Choose Runtime → Disconnect and delete runtime, then {MOUNT_DO_AGAIN}."),
    ("timeout during initial read", "Google Drive did not list its first folder in time. That happens when «My Drive» has thousands of files at the top.", f"Wait a minute and {MOUNT_DO_AGAIN}; if it stays so, move files of «My Drive» into folders."),
    ("Enterprise", "Colab Enterprise has no Google Drive.", "Use colab.research.google.com."),
    ("unsupported in this environment", "This Colab runtime cannot mount Google Drive.", "Open the notebook at colab.research.google.com."),
)  # fmt: skip


class MainThread:
    """Work for the main thread, where Colab's dialogs and questions must run; workers wait for its result."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def call(self, work: Callable[[], T]) -> T:
        """From a worker: have `work` done in the main thread; return or raise what it does."""
        return work() if threading.current_thread() is threading.main_thread() else self.submit(work).result()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Have `work` done in the main thread some time: it waits while no cell of ours runs."""
        future: Future[T] = Future()
        self._work.put((work, future))
        return future

    def serve(self) -> None:
        """From the main thread: do what waits."""
        while not self._work.empty():
            work, future = self._work.get()
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
            except BaseException:  # ■ while a dialog was open
                future.set_exception(Problem("It was stopped while a question was open.", "Press ▶ again."))
                raise


@dataclass(frozen=True)
class Machine:
    """What this runtime is and has."""

    colab: bool
    base: Path  # /content in Colab, ONECLICK_HOME elsewhere
    gpu: str  # the card's name, "" where there is none
    memory: int  # bytes of RAM

    @property
    def drive(self) -> Path:
        """The folder that outlives the runtime: «My Drive» in Colab, a local folder elsewhere."""
        return self.base / "drive" / "MyDrive" if self.colab else self.base / "drive"

    @property
    def disk(self) -> Path:
        """Our folder on the runtime's own disk."""
        return self.base / "oneclick" if self.colab else self.base / "machine"


def look_at_machine() -> Machine:
    """Find out where we run. `ONECLICK_HOME` sets the base folder; the default is /content or ~/oneclick."""
    colab = bool(os.environ.get("COLAB_RELEASE_TAG")) and importlib.util.find_spec("google.colab") is not None
    base = os.environ.get("ONECLICK_HOME") or ("/content" if colab else "~/oneclick")
    return Machine(colab, Path(base).expanduser().absolute(), gpu_name(), psutil.virtual_memory().total)


def gpu_name() -> str:
    """The NVIDIA card's name as nvidia-smi tells it, or "" where there is no card or no driver."""
    if not shutil.which("nvidia-smi"):
        return ""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return answer.stdout.strip().splitlines()[0] if answer.returncode == 0 and answer.stdout.strip() else ""


def drive_is_mounted(machine: Machine) -> bool:
    """True if Drive is mounted and answers. A dead FUSE mount raises OSError 107 on listing and counts as not mounted."""
    if not machine.colab:
        return True
    if not os.path.ismount(machine.base / "drive"):
        return False
    try:
        with os.scandir(machine.drive) as entries:
            next(entries, None)
        return True
    except OSError:
        return False


def mount_drive(machine: Machine) -> None:
    """Mount Google Drive if it is not mounted. Main thread only.

    A second `drive.mount()` asks for consent again and can kill a working mount
    (google.colab/drive.py runs `pkill drive` before its own checks), hence the look beforehand.
    Raises `Problem` for every known failure. Any exception can come out of mount(), pexpect's too
    (googlecolab/colabtools#5964).
    """
    if not machine.colab:
        machine.drive.mkdir(parents=True, exist_ok=True)
        return
    if drive_is_mounted(machine):
        return
    drive = importlib.import_module("google.colab.drive")
    for pause in (LOOKS_ALIVE, 0.0):
        try:
            drive.mount(str(machine.base / "drive"))
        except Exception as error:
            raise mount_problem(error) from error
        if drive_is_mounted(machine):
            return
        time.sleep(pause)  # a mount that has just died still looks like a folder, and mount() says «already mounted»
    raise Problem(
        "Google Drive did not answer after it was mounted; the permission may not have been given in time.",
        "Press ▶ again and allow Google Drive in the window that opens.",
    )


def mount_problem(error: Exception) -> Problem:
    """The failure of `drive.mount` in one sentence with what to do."""
    text = f"{type(error).__name__}: {error}"
    for pattern, what, do in MOUNT_FAILURES:
        if pattern.lower() in text.lower():
            return Problem(what, do, field="drive")
    return Problem(
        f"Google Drive could not be mounted ({text.strip()[:200]}).",
        f"Wait a minute and {MOUNT_DO_AGAIN}. If it fails again, choose Runtime → Disconnect and delete runtime and start anew.",
    )


def flush_drive(machine: Machine) -> None:
    """Wait until Google Drive has uploaded what was written, and unmount it. Main thread only."""
    if machine.colab:
        importlib.import_module("google.colab.drive").flush_and_unmount()


def release_machine(machine: Machine) -> None:
    """Give the machine and its GPU back to Colab. Everything on its own disk is gone afterwards."""
    if machine.colab:
        importlib.import_module("google.colab.runtime").unassign()


def find_secret(machine: Machine, name: str) -> str:
    """A token from Colab's secrets, else from the environment, else "". Main thread only.

    Colab answers «no such secret», «no access» and «nobody answered» with exceptions that share no base
    class (google.colab/userdata.py), so any of them means: not there.
    """
    if machine.colab:
        userdata = importlib.import_module("google.colab.userdata")
        names = ("SecretNotFoundError", "NotebookAccessError", "TimeoutException")
        known = tuple(getattr(userdata, n) for n in names if hasattr(userdata, n))
        try:
            value = str(userdata.get(name) or "").strip()
        except known:
            value = ""
        if value:
            return value
    return os.environ.get(name, "").strip()


def ask_hidden(prompt: str, ask: Callable[[str], str] = getpass.getpass) -> str:
    """Ask for a token without showing it. Main thread only. "" where nobody can be asked."""
    try:
        return ask(prompt).strip()
    except (EOFError, OSError) as error:
        raise Problem(
            f"A token is needed, but nobody could be asked for it here ({error}).",
            "Save it as a Colab secret (the key symbol at the left), or set it in the environment, and press ▶ again.",
        ) from error
    except Exception as error:
        if type(error).__name__ == "StdinNotImplementedError":  # ipykernel without a person in front of it
            return ""
        raise


def private_link(port: int) -> str:
    """Colab's own address for a port of this machine: it works only for this person, in this browser."""
    output: Any = importlib.import_module("google.colab.output")
    link = output.eval_js(f"google.colab.kernel.proxyPort({port})", timeout_sec=20)
    return str(link or "")
