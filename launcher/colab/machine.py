"""The machine: Google Colab or any other Jupyter, and what is in it. Knows nothing of A1111."""

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import requests

from launcher.core.child_environment import child_environment
from launcher.core.folder import GB
from launcher.core.problem import COLABS_FOLDER, NEW_MACHINE, OTHERS_FOLDER, Problem
from launcher.core.process import PACKAGE, CommandError, run

UNASSIGN_PATIENCE: Final = 60  # seconds
CARD_PATIENCE: Final = 90.0  # seconds in all; a cold machine's nvidia-smi has needed more than 25
CARD_PAUSE: Final = 2.0  # seconds after which one that failed is asked again
NVIDIA_SMI: Final = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
NO_DEVICES: Final = 6  # nvidia-smi's exit code where there is a driver and no card


@dataclass(frozen=True)
class Machine:
    colab: bool
    base: Path  # /content in Colab, ONECLICK_HOME elsewhere
    gpu: str  # the card's name, "" where there is none, or none was found yet
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
    def keeps_nothing(self) -> bool:
        """True for one that somebody lends, without Google Drive: what is on it goes with it."""
        return self.remote and not self.mountpoint

    @property
    def disk(self) -> Path:
        return self.base / (COLABS_FOLDER if self.colab else OTHERS_FOLDER)

    @property
    def remote(self) -> bool:
        """True where the person's browser is not on this machine: in Colab, and where others lend Colab's image."""
        return self.colab or bool(os.environ.get("COLAB_RELEASE_TAG"))

    @property
    def described(self) -> str:
        card = f"{self.gpu}, {self.card_memory / GB:.0f} GB" if self.gpu else "no graphics card"
        return f"{'Google Colab' if self.colab else 'another Jupyter'}, {card}, {self.memory / GB:.0f} GB of RAM"

    def in_words(self, path: Path) -> str:
        """A place as the person finds it: on My Drive, or on this machine."""
        return f"My Drive/{path.relative_to(self.drive)}" if self.mountpoint else str(path)


def look_at_machine() -> Machine:
    """Find out where we run and what is here, less its card: asking for that may take a minute (`ask_for_card`).

    Where this package lies says whether it is Colab: the first cell decided it (`notebook/unpack.py`). Drive may be
    mounted elsewhere, as people also use /content/gdrive, and there is one a machine. psutil.disk_partitions would ask
    every mount something, and a Drive that hangs would hang us.
    """
    disk = PACKAGE.parent.parent
    if PACKAGE.parent.name != "program":  # not unpacked
        disk = Path(os.environ.get("ONECLICK_HOME") or "~/oneclick").expanduser().absolute() / OTHERS_FOLDER
    colab, base = disk.name == COLABS_FOLDER, disk.parent
    mounts = [line.split() for line in Path("/proc/mounts").read_text(errors="replace").splitlines()]
    escaped = [words[1] for words in mounts if words[2:3] == ["fuse.drive"]]
    drives = [Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name)) for name in escaped]
    drive = next((place for place in drives if place.is_relative_to(base)), base / "drive")
    return Machine(colab, base, "", psutil.virtual_memory().total, drive if colab else None)


@dataclass(frozen=True)
class Card:
    """What nvidia-smi says. `silent` is why it does not say whether there is a card."""

    name: str = ""
    memory: int = 0  # bytes
    silent: str | None = None


def ask_for_card(stopped: Callable[[], bool]) -> Card:
    """The NVIDIA card of this machine. An nvidia-smi that fails is asked again, as long as a card was asked for."""
    colab_says = os.environ.get("COLAB_GPU")  # "1", or "" or "0" on Colab's own machines without a card
    asked_for = colab_says == "1"
    has_none = colab_says is not None and not asked_for and PACKAGE.parent.parent.name == COLABS_FOLDER
    if not shutil.which("nvidia-smi"):
        return Card(silent="its driver is missing" if asked_for else None)
    end = time.monotonic() + (CARD_PATIENCE if asked_for else CARD_PAUSE)
    card = Card()
    while not stopped():
        try:
            told = run(NVIDIA_SMI, env=child_environment("LD_LIBRARY_PATH"), timeout=CARD_PATIENCE).strip()
            name, _, memory = told.partition("\n")[0].rpartition(", ")
            if re.match(r"\w", name):
                return Card(name, int(memory) * 2**20 if memory.isdigit() else 0)
        except CommandError as error:
            if error.silent:
                return Card() if has_none else Card(silent="nvidia-smi said nothing for too long")
            if error.code == NO_DEVICES and not asked_for:
                return Card()
            told = error.output.strip().rpartition("\n")[2]
        card = Card(silent=f"nvidia-smi says: {told[:200] or 'nothing'}")
        if time.monotonic() > end:
            break
        time.sleep(CARD_PAUSE)
    return Card() if has_none else card


def release_machine(machine: Machine) -> None:
    """Give the machine and its GPU back to Colab: everything on its own disk is gone afterwards. Raises `Problem`.

    One POST to the machine's own manager, as google.colab/runtime.py (colabtools 3c07d77) sends it; any process may.
    """
    if not machine.colab:
        what = "Only Colab takes a machine back, and this one is not Colab's."
        raise Problem(what, "If it costs anything, end it where you started it.")
    with requests.Session() as session:
        session.trust_env = False  # it is this machine's own address: no proxy knows it
        try:
            address = f"http://{os.environ.get('TBE_RUNTIME_ADDR', '')}/unassign"
            session.post(address, timeout=UNASSIGN_PATIENCE).raise_for_status()
        except requests.RequestException as error:
            what = f"Colab did not take the machine back ({type(error).__name__})."
            raise Problem(what, f"To stop it, {NEW_MACHINE}.") from error
