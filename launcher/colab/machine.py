"""The machine: Google Colab or any other Jupyter. Mounting, secrets, what is in it. Knows nothing of A1111."""

import importlib
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil


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


def release_machine(machine: Machine) -> None:
    """Give the machine and its GPU back to Colab. Everything on its own disk is gone afterwards."""
    if machine.colab:
        importlib.import_module("google.colab.runtime").unassign()
