"""A1111's command-line arguments."""

import re
from pathlib import Path
from typing import Final

from launcher.core.folder import GB, Folder
from launcher.core.problem import Problem

# What SDXL needs (measured on an H100 with A1111 v1.10.1, docs/dev/cards.md): its weights in half precision, and what
# a batch of four at 1024² with its decoding takes beside them. Another checkpoint can be chosen in the page, so no
# model counts as smaller.
SDXL: Final = 6_900_000_000  # bytes
WORKING: Final = 7_000_000_000
MUCH_RAM: Final = 20 * GB  # `--medvram-sdxl` keeps 11 GB more in RAM


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
    if memory < MUCH_RAM:
        return ("--opt-sdp-attention", "--lowram")
    return ("--opt-sdp-attention", *(("--medvram-sdxl",) if too_small else ()))


def fixed_arguments(folder: Folder, checkpoint: str) -> tuple[str, ...]:
    """The flags that are the same everywhere. `--server-name` also switches off installing extensions from the page."""
    arguments = (
        "--data-dir",
        str(folder.data),
        "--server-name",
        "127.0.0.1",
        "--ckpt-dir",  # the same folder as without it; extensions that look beside A1111's code find it by this flag
        str(folder.data / "models" / "Stable-diffusion"),
        "--no-download-sd-model",
        # launch.py would look for packages and repositories; all is there, and dead addresses are not asked.
        "--skip-prepare-environment",
        "--clip-models-path",  # the interrogator's CLIP, 0.9 GB: else it is fetched anew on each machine
        str(folder.data / "models" / "CLIP"),
        "--skip-install",  # of extensions: the launcher does it, so that none can harm the rest
    )
    there = folder.checkpoints()
    chosen = [path for path in there if path.name == checkpoint or there == [folder.old_checkpoint]]
    nearest = min(chosen, key=lambda path: len(path.parts), default=None)
    return (*arguments, "--api", *(("--ckpt", str(nearest)) if nearest else ()))


def check_arguments(code: Path, data: Path, wanted: tuple[str, ...]) -> None:
    """Raise a `Problem` for an argument that neither A1111 nor an installed extension has.

    The names are read from A1111's own source; abbreviations are refused, because argparse would let
    `--shar` pass as `--share`.
    """
    places = [
        code / "modules" / "cmd_args.py",
        code / "modules" / "paths_internal.py",
        *code.glob("extensions*/*/preload.py"),
        *data.glob("extensions/*/preload.py"),
    ]
    texts = [place.read_text(errors="replace") for place in places if place.exists()]
    known = {name for text in texts for name in re.findall(r"""["'](-[\w.-]+)["']""", text)}
    for word in wanted:
        name = word.split("=")[0]
        if name.startswith("-") and not name.lstrip("-").replace(".", "").isdigit() and known and name not in known:
            raise Problem(
                f"The choice **extra_arguments** has {name}, which the web UI does not know.",
                'Correct or remove it; "Command line arguments" in the wiki of A1111 lists them all.',
            )
