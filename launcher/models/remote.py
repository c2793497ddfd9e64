"""One file at its source, and what ends the way to it."""

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from launcher.core.problem import Problem


@dataclass(frozen=True)
class Remote:
    """A file to fetch. `size` in bytes, `sha256` and `validator` are 0 and "" where the source does not tell them."""

    url: str
    name: str  # what it is called in messages, and its file name
    size: int = 0
    sha256: str = ""
    page: str = ""  # where a person can look it up
    token: str = ""  # sent to this url's host only
    validator: str = ""  # ETag or Last-Modified: another one means that the file changed at its source
    kind: str = ""  # a key of KIND_FOLDERS, where the source tells it

    def __repr__(self) -> str:  # a token must not reach a log through a traceback
        return f"Remote({self.host}, {self.name}, {self.size})"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def tag(self) -> str:
        """Marks the unfinished file, so that a file that changed at its source is begun anew."""
        what = f"{self.url.partition('?')[0]} {self.size} {self.validator}"
        return self.sha256[:12] or hashlib.sha256(what.encode()).hexdigest()[:12]

    @property
    def can_go_on(self) -> bool:
        """True if parts from different answers can be told to belong to the same file."""
        return bool(self.size and (self.sha256 or self.validator))


class Interrupted(Exception):
    """The person stopped it; what is fetched stays for the next time."""


class TokenNeeded(Problem):
    """The source wants a token. `name` is the secret's name; `without` is said where there is none."""

    def __init__(self, name: str, reason: str, page: str, without: tuple[str, str] | None = None) -> None:
        none = (
            f"{reason} It needs a token, and there is none.",
            f"Accept the conditions at {page}, save a token as the Colab secret {name} (the key symbol on the left), "
            "and press ▶ again.",
        )
        super().__init__(*(without or none))
        self.name, self.reason, self.page = name, reason, page
