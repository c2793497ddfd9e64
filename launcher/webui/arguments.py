"""A1111's command-line arguments."""

import ast
from pathlib import Path
from typing import Final

from launcher.core.folder import GB, Folder
from launcher.core.problem import Problem

HIGH_RAM: Final = 20 * GB


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
