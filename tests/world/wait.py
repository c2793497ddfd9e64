"""Waiting for a condition instead of a time."""

import time
from collections.abc import Callable
from typing import Any


def wait(condition: Callable[[], Any], patience: float, what: str) -> Any:
    """Wait until `condition` is true, and return its value. Raises `TimeoutError` after `patience` seconds."""
    end = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience} s for {what}")
        time.sleep(0.02)
    return value
