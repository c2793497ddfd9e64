"""Other Pythons of this machine: pyenv's lie side by side, so this one's neighbours are found whatever HOME says."""

import os
import sys
from pathlib import Path


def pythons_of(version: str) -> list[Path]:
    """The programs of this version, `3.9`; none where the machine has none."""
    roots = {os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", Path(sys.base_prefix).parent.parent}
    return sorted(found for root in roots for found in Path(root).glob(f"versions/{version}.*/bin/python"))
