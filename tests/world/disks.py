"""A disk of its own, of any size: of memory, and of no more memory than is written."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def disk(place: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes, mounted there; the test is skipped where none can be mounted."""
    place.mkdir(exist_ok=True)
    mount, umount = (shutil.which(name, path="/usr/bin:/bin") or name for name in ("mount", "umount"))
    command = [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run([umount, str(place)], check=True)
