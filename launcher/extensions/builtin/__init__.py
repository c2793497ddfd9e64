"""Our own extensions of A1111, a folder each beside this file: they lie beside A1111's built-in ones, not on Drive."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LAUNCHER_TAB: Final = "oneclick_launcher"  # the tab "Launcher", which shows the launcher's page


def put_builtin(code: Path, names: Iterable[str]) -> None:
    """Put these beside the built-in extensions of the A1111 whose files are at `code`; those of before are replaced."""
    for name in names:
        target = code / "extensions-builtin" / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(Path(__file__).parent / name, target, ignore=shutil.ignore_patterns("__pycache__"))
