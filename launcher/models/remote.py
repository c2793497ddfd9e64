"""One file at its source."""

import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

USER_AGENT: Final = "oneclick-launcher/1.0"  # a browser's name would get HTML pages (facts/models.md §6)


@dataclass(frozen=True)
class Remote:
    """A file to fetch. `size` in bytes and `sha256` are 0 and "" where the source does not tell them."""

    url: str
    name: str  # what it is called in messages, and its file name
    size: int = 0
    sha256: str = ""
    page: str = ""  # where a person can look it up
    token: str = ""  # sent to this url's host only

    def __repr__(self) -> str:  # a token must not reach a log through a traceback
        return f"Remote({urlsplit(self.url).hostname}, {self.name}, {self.size})"

    @property
    def tag(self) -> str:
        """Marks the unfinished file, so that a file that changed at its source is begun anew."""
        return self.sha256[:12] or hashlib.sha256(f"{self.url}{self.size}".encode()).hexdigest()[:12]


class Interrupted(Exception):
    """The person stopped it; what is fetched stays for the next time."""
