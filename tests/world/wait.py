"""Waiting for a condition instead of a time."""

import time
from collections.abc import Callable
from typing import Any

import psutil


def wait(condition: Callable[[], Any], patience: float, what: str) -> Any:
    """Wait until `condition` is true, and return its value. Raises `TimeoutError` after `patience` seconds."""
    end = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience} s for {what}")
        time.sleep(0.02)
    return value


def lives(pid: int) -> bool:
    """Whoever ended and has no parent that notices stays in the system's table: that is no life."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
