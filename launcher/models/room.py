"""Room on a disk that downloads side by side have been promised, so that they do not fill it together."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from launcher.core.folder import require_room

promising: Final = threading.Lock()
promised: Final[dict[Path, int]] = {}  # unfinished file -> bytes it will have


@contextmanager
def promised_room(part: Path, size: int, what: str, disks: dict[str, Path]) -> Iterator[None]:
    """Have room for what is still to come of an unfinished file, beside all others; `disks`: name -> a folder there.

    Raises `Problem` where they do not fit together, before anything is written.
    """
    with promising:
        others = sum(still_to_come(one, whole) for one, whole in promised.items() if one != part)
        for where, disk in disks.items() if others else ():
            together = f"{what}, with what is being downloaded beside it,"
            require_room(disk, still_to_come(part, size) + others, where, together)
        promised[part] = size
    try:
        yield
    finally:
        promised.pop(part, None)


def still_to_come(part: Path, size: int) -> int:
    """The bytes of an unfinished file that are not on the disk yet."""
    return max(0, size - part.stat().st_blocks * 512) if part.exists() else size
