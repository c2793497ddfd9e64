"""Our own extensions of A1111, a folder each beside this file: they lie beside A1111's built-in ones, not on Drive."""

import shutil
from pathlib import Path


def put_builtin(code: Path) -> None:
    """Put all beside the built-in extensions of the A1111 whose files are at `code`; those of before are replaced."""
    for one in Path(__file__).parent.iterdir():
        if one.is_dir() and one.name != "__pycache__":
            target = code / "extensions-builtin" / one.name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(one, target, ignore=shutil.ignore_patterns("__pycache__"))
