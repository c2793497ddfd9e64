"""google.colab.runtime: giving the machine back leaves a mark."""

import os
from pathlib import Path


def unassign() -> None:
    Path(os.environ["WORLD_DRIVE"], "unassigned").touch()
