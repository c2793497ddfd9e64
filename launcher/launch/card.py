"""The graphics card: what nvidia-smi says of it, and what torch, which has the last word."""

import os
import re
from dataclasses import replace
from typing import Final

from launcher.colab.machine import ask_for_card
from launcher.core.problem import NEW_MACHINE, NEW_SESSION, WITH_A_CARD, Problem
from launcher.launch.launch import Launch
from launcher.python.inspection import Inspection

LOOKING: Final = "looking for the graphics card"
HIDES: Final = "CUDA_VISIBLE_DEVICES"
SEEN: Final = re.compile(r"\s*(\d+|GPU-|MIG-)")  # how the value of `HIDES` begins where programs see a card
SLOW: Final = "Everything runs on the processor: an image takes minutes instead of seconds."
BETTER: Final = f"{NEW_MACHINE[0].upper()}{NEW_MACHINE[1:]}, and press ▶ again."
NEWER_CARD: Final = f"To have a newer one, {WITH_A_CARD}, and press ▶ again."
# Why torch has no card, in its words -> in ours, and what helps.
REASONS_OF_TORCH: Final = (
    (r"driver (?:on your system is too old|version is insufficient)", "its driver is too old for the web UI", BETTER),
    (r"Found no NVIDIA driver", "the web UI finds no driver for it", BETTER),
    (r"no kernel image|sm_\d\d", "it is too old for this version of the web UI", NEWER_CARD),
    (r"not yet initialized|\b802\b", "it is still being made ready", "Wait a minute and press **Restart the web UI**."),
    (r"unsupported display driver|\b80[34]\b", "its driver does not fit this machine's other parts", BETTER),
    (r"not compiled with CUDA", "the web UI's PyTorch is made for processors only", BETTER),
    (r"No CUDA GPUs|no CUDA-capable device", "the web UI is not shown it", BETTER),
)
NONE_LEFT: Final = (  # of Colab, where the notebook asks for a T4 already
    f" If T4 GPU is chosen there already, Colab had none for you: {NEW_MACHINE} and press ▶; where Colab speaks of "
    "usage limits, wait a day or buy compute units."
)


def look_for_card(launch: Launch) -> None:
    """Ask nvidia-smi, which may take a minute on a cold machine: beside the start, whose flags wait for it."""
    card = ask_for_card(launch.over.is_set)
    if card.name and is_hidden():
        card = replace(card, name="", memory=0)
        launch.no_card = Problem(
            f"The variable {HIDES} hides the graphics card from all programs. {SLOW}",
            f"If you did not want that, {NEW_SESSION}, and press ▶ again.",
        )
    elif card.silent:
        launch.no_card = Problem(f"The graphics card does not answer ({card.silent}). {SLOW}", BETTER)
    launch.machine = replace(launch.machine, gpu=card.name, card_memory=card.memory)
    say_card(launch)


def is_hidden() -> bool:
    """True where a variable of the kernel keeps programs from seeing any card."""
    return not SEEN.match(os.environ.get(HIDES, "0"))


def compare_card(launch: Launch, found: Inspection) -> None:
    """Go by what torch sees, where it sees another card than nvidia-smi, or none."""
    if found.card and not is_hidden():
        launch.machine, launch.no_card = replace(launch.machine, gpu=found.card, card_memory=found.memory), None
    elif found.no_card is not None and launch.machine.gpu:
        rows = [(why, do) for pattern, why, do in REASONS_OF_TORCH if re.search(pattern, found.no_card)]
        why, do = rows[0] if rows else (f"PyTorch says: {found.no_card[:200]}", BETTER)
        launch.no_card = Problem(f"The graphics card {launch.machine.gpu} cannot be used: {why}. {SLOW}", do)
        launch.machine = replace(launch.machine, gpu="", card_memory=0)
    say_card(launch)


def say_card(launch: Launch) -> None:
    """What the machine is, and why it has no card that can be used."""
    machine, problem = launch.machine, launch.no_card
    if not problem and not machine.gpu:
        more = NONE_LEFT if machine.colab else ""
        help_ = f"{WITH_A_CARD[0].upper()}{WITH_A_CARD[1:]}, and press ▶.{more}" if machine.remote else ""
        problem = Problem("This runtime has no graphics card: an image takes minutes instead of seconds.", help_)
    launch.status.notice(f"{problem.what} {problem.do}".strip() if problem else None, about="card")
    launch.status.fact("Machine", machine.described)
