"""Asking again: the one loop for what may work at the next try."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

WAITS: Final = (1.0, 2.0, 4.0)  # seconds before the next try, at least
T = TypeVar("T")


def retrying(
    work: Callable[[], T], pause: Callable[[Exception], float | None], sleep: Callable[[float], object] = time.sleep
) -> T:
    """What `work` returns. `pause` says how many seconds an error asks for, or None for one that asking again does not
    mend; the last one is raised.
    """
    for wait in WAITS:
        try:
            return work()
        except Exception as error:
            asked = pause(error)
            if asked is None:
                raise
        sleep(max(wait, asked))
    return work()
