"""The machine: Google Colab or any other Jupyter, and what is in it. Knows nothing of A1111."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from launcher.core.folder import GB
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run

UNASSIGN_PATIENCE: Final = 60  # seconds


@dataclass(frozen=True)
class Machine:
    """What this runtime is and has."""

    colab: bool
    base: Path  # /content in Colab, ONECLICK_HOME elsewhere
    gpu: str  # the card's name, "" where there is none
    memory: int  # bytes of RAM
    mountpoint: Path | None  # where Google Drive is or is to be mounted; None where there is none, or none is wanted
    card_memory: int = 0  # bytes of the card's memory, 0 where nobody knows

    @property
    def drive(self) -> Path:
        """The folder things are kept in: My Drive, or a folder of this machine where there is no Drive."""
        if self.mountpoint:
            return self.mountpoint / "MyDrive"
        return self.disk / "kept" if self.colab else self.base / "drive"

    @property
    def disk(self) -> Path:
        return self.base / ("oneclick" if self.colab else "machine")

    @property
    def described(self) -> str:
        """What it is, for a report."""
        card = f"{self.gpu}, {self.card_memory / GB:.0f} GB" if self.gpu else "no graphics card"
        return f"{'Google Colab' if self.colab else 'another Jupyter'}, {card}, {self.memory / GB:.0f} GB of RAM"

    def in_words(self, path: Path) -> str:
        """A place as the person finds it: on My Drive, or on this machine."""
        return f"My Drive/{path.relative_to(self.drive)}" if self.mountpoint else str(path)


def look_at_machine() -> Machine:
    """Find out where we run and what is here. `notebook/unpack.py` has the same two rules, for it stands alone."""
    colab = bool(os.environ.get("COLAB_RELEASE_TAG"))
    base = Path(os.environ.get("ONECLICK_HOME") or ("/content" if colab else "~/oneclick")).expanduser().absolute()
    mountpoint = (mounted_below(base) or base / "drive") if colab else None
    card, card_memory = look_at_card()
    return Machine(colab, base, card, psutil.virtual_memory().total, mountpoint, card_memory)


def mounted_below(base: Path) -> Path | None:
    """Where Google Drive is mounted now: people also use /content/gdrive, and there is one Drive a machine.

    psutil.disk_partitions would ask every mount something, and a Drive that hangs would hang us.
    """
    mounts = [line.split() for line in Path("/proc/mounts").read_text(errors="replace").splitlines()]
    escaped = [words[1] for words in mounts if words[2:3] == ["fuse.drive"]]
    drives = [Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name)) for name in escaped]
    return next((place for place in drives if place.is_relative_to(base)), None)


def look_at_card() -> tuple[str, int]:
    """The NVIDIA card's name and memory in bytes; "" and 0 where there is no card or no driver."""
    if not shutil.which("nvidia-smi"):
        return "", 0
    try:
        told = run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"], timeout=30)
    except CommandError:  # a driver without a card
        return "", 0
    line = told.strip().partition("\n")[0]
    name, _, memory = line.rpartition(", ")
    return (name, int(memory) * 2**20) if memory.isdigit() else (line, 0)


def release_machine(machine: Machine) -> None:
    """Give the machine and its GPU back to Colab: everything on its own disk is gone afterwards. Raises `Problem`.

    One POST to the machine's own manager, as google.colab/runtime.py (colabtools 3c07d77) sends it; any process may.
    """
    if not machine.colab:
        return
    by_hand = "To stop it, choose Runtime → Disconnect and delete runtime."
    address = os.environ.get("TBE_RUNTIME_ADDR")
    if not address:
        raise Problem("The launcher cannot give this machine back for you.", by_hand)
    import requests

    with requests.Session() as session:
        session.trust_env = False  # it is this machine's own address: no proxy knows it
        try:
            session.post(f"http://{address}/unassign", timeout=UNASSIGN_PATIENCE).raise_for_status()
        except requests.RequestException as error:
            raise Problem(f"Colab did not take the machine back ({type(error).__name__}).", by_hand) from error
