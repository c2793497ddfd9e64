"""Waiting for a condition instead of a time."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

CORES = os.cpu_count() or 1


class Patience:
    """Seconds that this machine had for each process that wanted to run.

    On a quiet machine they are those of a clock. Where more processes want to run than there are cores, a second counts
    as the share of a core that each of them had: whoever is waited for gets as much work done, however busy it is.
    """

    def __init__(self, seconds: float) -> None:
        self._left, self._counted = seconds, time.monotonic()

    def over(self) -> bool:
        """Is it used up? To be asked often: what the machine does is looked at just then."""
        now, running = time.monotonic(), Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        self._left -= (now - self._counted) * min(1.0, CORES / max(1, int(running)))
        self._counted = now
        return self._left <= 0


def wait(condition: Callable[[], Any], patience: float, what: str, page: Any = None) -> Any:
    """Wait until `condition` is true, and return its value. A page of a browser goes on drawing meanwhile.

    Raises `TimeoutError` after `patience` seconds of a `Patience`.
    """
    left = Patience(patience)
    while not (value := condition()):
        if left.over():
            raise TimeoutError(f"waited {patience:g} s for {what}")
        page.wait_for_timeout(200) if page else time.sleep(0.05)
    return value


def wait_visible(locator: Any, patience: float = 60.0, *, drawn: bool = True) -> None:
    """Wait until the first that a browser finds is there and, unless it is never `drawn`, seen."""
    first = locator.first
    wait(first.is_visible if drawn else first.count, patience, str(locator), locator.page)


def lives(pid: int) -> bool:
    """Whoever ended and has no parent that notices stays in the system's table: that is no life."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
