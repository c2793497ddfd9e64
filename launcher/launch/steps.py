"""The steps of a launch, and what a failed one means for the others."""

from concurrent.futures import Future
from typing import Final

STEPS: Final = (
    ("drive", "Google Drive"),
    ("source", "AUTOMATIC1111's source"),
    ("python", "Python packages"),
    ("model", "Checkpoint"),
    ("link", "Link and login"),
    ("extensions", "Extensions"),
    ("webui", "Web UI"),
)


class Failed(Exception):
    """A step failed and has said so on the board; what needs it does not begin."""


def finished(value: str) -> "Future[str]":
    """A future that is done."""
    future: Future[str] = Future()
    future.set_result(value)
    return future
