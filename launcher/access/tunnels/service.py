"""What a service of public links is: its name, how it is started, and what its program's words mean."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

START_PATIENCE: Final = 45.0  # seconds; gradio itself would wait for ever when the server is silent


@dataclass(frozen=True)
class Reason:
    """Why there is no link: words that its program or its library says, and what a person is told."""

    pattern: str
    words: str
    again: bool = False  # it may be different half a minute later


# Of every service: its program is there and cannot be started (a folder on Drive, another kind of processor).
NOT_STARTED: Final = Reason(r"PermissionError|Exec format error", "its program cannot be started on this machine")
OFFLINE: Final = Reason(
    r"no such host|server misbehaving|NameResolution|Temporary failure in name|no route to host"
    r"|[Nn]etwork is unreachable",
    "its address was not found; the runtime may be offline",
)


@dataclass(frozen=True)
class Service:
    """One service. `start(session, port, token, patience)` returns the link and the program that keeps it, or raises
    after `patience` seconds.
    """

    title: str
    start: Callable[[Path, int, str, float], tuple[str, "subprocess.Popen[bytes]"]]
    reasons: tuple[Reason, ...]  # the first that fits
    patience: float  # seconds in which a new link must answer once from outside

    def reason(self, said: str) -> Reason:
        """Why there is no link; the program's own words where nobody knows better."""
        own_words = Reason("", " ".join(said.split())[-200:])
        return next((reason for reason in self.reasons if re.search(reason.pattern, said)), own_words)
