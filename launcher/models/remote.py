"""One file at its source, and what ends the way to it: a refusal, a token that is wanted, ■."""

import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from launcher.core.problem import Problem

ADDRESS_RAN_OUT: Final = (400, 401, 403, 404, 410)  # from a store behind a redirect: its signed address is too old


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
    title: str = ""  # what the source calls the model, for a file whose own name says nothing
    config: str = ""  # the address of the configuration beside it, where the source has a list of its files

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


def goes_on(remote: Remote) -> str:
    """The end of a sentence, where it is so."""
    return "; the download continues where it stopped" if remote.can_go_on else ""


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


class Offered(Problem):
    """A page leads to several versions or files: a person has to choose one.

    `options` are the label of a button and the text that Add gets in place of the page's address, the usual one first.
    """

    def __init__(self, what: str, do: str, options: tuple[tuple[str, str], ...]) -> None:
        super().__init__(what, do)
        self.options = options


class Refused(Problem):
    """The server answered, and the answer is no: `status`, and what it said as `text`.

    `retry_after` in seconds, 0.0 where it does not say. `store` is the host a redirect led to, if that one refused.
    """

    def __init__(
        self, remote: Remote, status: int, retry_after: float = 0.0, store: str | None = None, text: str = ""
    ) -> None:
        self.status, self.retry_after, self.store, self.text = status, retry_after, store, text
        super().__init__(*self._meaning(remote, remote.page or "its page"))

    @property
    def ran_out(self) -> bool:
        return self.store is not None and self.status in ADDRESS_RAN_OUT

    @property
    def may_pass(self) -> bool:
        return self.ran_out or self.status in (408, 425, 429) or self.status >= 500

    def _meaning(self, remote: Remote, page: str) -> tuple[str, str]:
        """What the answer means for a person, and what to do."""
        if self.status < 300:
            return (
                "The link leads to a web page, not to a model file.",
                "Copy the link of the page's download button instead.",
            )
        if self.ran_out:
            return (
                f"{remote.host} redirects the download to {self.store}, which refuses it (HTTP {self.status}).",
                "The problem is on their side: wait a few minutes and press ▶ again, or choose another source.",
            )
        meanings = {
            401: (f"{remote.host} requires a login for {remote.name}.", f"Open {page} and see what it asks for; then "
                "save a token as a Colab secret."),
            403: (f"{remote.host} denies you access to {remote.name}.", f"Open {page} and accept its conditions, then "
                "press ▶ again."),
            404: (f"{remote.name} is no longer there.", "Choose another model, or another source of this one."),
            410: (f"{remote.name} was removed by its owner.", "Choose another model."),
            429: (f"{remote.host} says there were too many downloads.", "Wait a few minutes and press ▶ "
                f"again{goes_on(remote)}."),
            451: (f"{remote.host} is not available in the country this runtime is in.", "Choose another source of the "
                "model, for example Hugging Face."),
        }  # fmt: skip
        own_problem = (
            f"{self.store or remote.host} has a problem of its own (HTTP {self.status}).",
            f"Wait a few minutes and press ▶ again{goes_on(remote)}.",
        )
        return meanings.get(self.status, own_problem)


def refuse_a_page(remote: Remote, beginning: bytes) -> None:
    """Raise `Problem` for a web page where weights should be: a login page, or an error with status 200."""
    is_safetensors = beginning[8:9] == b"{" and not beginning[3:8].strip(b"\0")  # a header of 60 bytes begins with <
    if beginning.lstrip()[:1] == b"<" and not is_safetensors:
        raise Problem(
            f"{remote.name} is a web page, not a model: the link leads to a page that asks for something first.",
            f"Open {remote.page or 'the link'} in your browser, see what it asks for, and paste the link of the "
            "download button.",
        )
