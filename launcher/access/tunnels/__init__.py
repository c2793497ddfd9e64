"""Services that lead a public link to a port of this machine: one file each, by `core.fields`. `access.link` runs them.

Here is what a service is: its name, its program, and what its program's words mean.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from launcher.core.outside import limited

FETCH_SILENCE: Final = 20  # seconds without a byte


@dataclass(frozen=True)
class Reason:
    """Why there is no link: a pattern of what its program or its library prints, and what a person reads."""

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
class TunnelService:
    """`command(session, port, token)` fetches and checks its program, and returns how to start it."""

    title: str
    command: Callable[[Path, int, str], list[str]]
    link: str  # a pattern of what the program prints once it has a link; its group is the link
    reasons: tuple[Reason, ...]  # the first that fits
    patience: float  # seconds in which a new link must answer once from outside
    settles: float = 0.0  # seconds until its name is known; who asks before is told for half an hour that there is none

    def reason(self, output: str) -> Reason:
        """Why there is no link; the program's own words where nobody knows better."""
        own_words = Reason("", " ".join(output.split())[-200:])
        return next((reason for reason in self.reasons if re.search(reason.pattern, output)), own_words)


def fetched(url: str, most: int) -> bytes:
    """What is there. Raises `requests.RequestException`, and `Problem` for more than `most` bytes."""
    with requests.get(url, timeout=FETCH_SILENCE, stream=True) as response:
        response.raise_for_status()
        return b"".join(limited(response.iter_content(1 << 16), most))
