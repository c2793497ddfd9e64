"""What a download needs of the rest, and what it did."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from launcher.core.folder import Folder
from launcher.core.status import Step


@dataclass(frozen=True)
class Fetcher:
    """How to ask for a token, whom to tell, and which files came of it."""

    folder: Folder
    where: str  # the disk's name in messages
    # (name of the secret, reason) -> token; "" where nobody answers. Without a reason nobody is asked who has not saved
    # one as a secret.
    ask_token: Callable[[str, str], str]
    step: Step
    added: list[Path] = field(default_factory=list)  # files that it has put in place
    used: list[Path] = field(default_factory=list)  # files that were there and are used
