"""The models that are there already: which are broken, which one is used, and reading it ahead."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, leads_nowhere
from launcher.models.identify import WEIGHTS, fault_of, identify
from launcher.models.kinds import ModelFile, a_kind

HALF_DOWNLOADS: Final = (".crdownload", ".aria2", ".download", ".partial", ".incomplete")
READERS: Final = 16  # parts of a file read side by side
READ_AHEAD: Final = 16 << 20  # bytes of a part
ASKED_OF_DRIVE: Final = 2 << 20  # bytes


def broken_models(folder: Folder, known: set[str]) -> tuple[set[str], dict[str, str]]:
    """Inspect the model files on Drive that are not `known`: (names that are sound or known, name -> what is wrong).

    Names are relative to the kept folder. Only the beginning and the end of a file are read; one that cannot be read at
    all is named, and hides no other. A link that leads nowhere is named by `Folder.dead_shortcuts`.
    """
    found = list(folder.kept.glob("*.ckpt"))  # A1111's old place for a checkpoint
    for root in (folder.kept / "models", folder.kept / "embeddings", *folder.kept.glob("extensions/*/models")):
        found += [Path(where, name) for where, _, names in os.walk(root) for name in names]
    sound, broken = set[str](), dict[str, str]()
    for path in (path for path in found if not leads_nowhere(path)):
        name = str(path.relative_to(folder.kept))
        if name in known:
            sound.add(name)
        elif path.name.lower().endswith(HALF_DOWNLOADS):
            broken[name] = "it is only partly downloaded"
        elif path.suffix.lower() in WEIGHTS and (fault := fault_of(path)):
            broken[name] = fault
        elif path.suffix.lower() in WEIGHTS:
            sound.add(name)
    return sound, broken


def usable_checkpoint(folder: Folder, usual: set[str], say: Callable[[str], None]) -> Path | None:
    """A checkpoint A1111 can load, `usual` names first. What is wrong with those inspected before it is said."""
    for path in sorted(folder.checkpoints(), key=lambda path: path.name not in usual):
        try:
            seen = identify(path)
        except OSError as error:
            seen = ModelFile(fault=f"it cannot be read ({error.strerror})")
        if seen.kind == "checkpoint" and not seen.fault:
            return path
        what = f"it is {a_kind(seen.kind)}" if seen.kind else "it does not contain a checkpoint"
        say(f"{path.name} is in your checkpoint folder, but cannot be used: {seen.fault or what}.")
    return None


def read_ahead(path: Path, over: Callable[[], bool]) -> None:
    """Read a file once, so that A1111 finds it in the machine's memory and not on Drive. Ends early once it is `over`.

    Several parts at once: the system asks Drive for 128 kB at a time and waits for each (on 20 ms an answer, 200 MB
    took 17 s in a row, docs/benchmarks.md).
    """
    size = path.stat().st_size

    def read(start: int) -> None:
        for offset in range(start, min(start + READ_AHEAD, size), ASKED_OF_DRIVE):
            if over():
                return
            os.pread(file.fileno(), ASKED_OF_DRIVE, offset)

    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(READERS) as pool:
        list(pool.map(read, range(0, size, READ_AHEAD)))
