"""One file at its source, as its server states it, and what ends the way to it: a refusal, a question, ■."""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from typing import Final
from urllib.parse import unquote, urlsplit

import requests

from launcher.core.problem import Problem

DISPOSITION_MOST: Final = 2000  # letters of a Content-Disposition that are read
ADDRESS_RAN_OUT: Final = (400, 401, 403, 404, 410)  # from a store behind a redirect: its signed address is too old


@dataclass(frozen=True)
class Remote:
    """A file to fetch. `size` in bytes, `sha256` and `validator` are 0 and "" where the source does not tell them."""

    url: str = field(repr=False)  # it may hold a key, which must not reach a log through a traceback, as no token may
    name: str  # what it is called in messages, and its file name
    size: int = 0
    sha256: str = ""
    page: str = ""  # where a person can look it up
    token: str = field(default="", repr=False)  # sent to this url's host only
    validator: str = ""  # ETag or Last-Modified: another one means that the file changed at its source
    kind: str = ""  # a key of KIND_FOLDERS, where the source tells it
    place: str = ""  # a site that the launcher knows: what it refuses is read by its own rows of `refusals`
    title: str = ""  # what its page calls the model, for a file whose own name says nothing
    config: tuple[str, ...] = ()  # where its .yaml may be
    listed: str = ""  # the SHA-256 in a list that may be older than the file: what differs is said, and kept
    note: str = ""  # what a person should know of how it was chosen

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def tag(self) -> str:
        """Marks the unfinished file, so that a file that changed at its source is begun anew."""
        what = f"{self.url.partition('?')[0]} {self.size} {self.validator}"
        return (self.sha256 or hashlib.sha256(what.encode()).hexdigest())[:12]

    @property
    def can_go_on(self) -> bool:
        """True if parts from different answers can be told to belong to the same file."""
        return bool(self.size and (self.sha256 or self.validator))

    @property
    def goes_on(self) -> str:
        """The end of a sentence, where it is so."""
        return "; the download continues where it stopped" if self.can_go_on else ""


class Interrupted(Exception):
    """The person stopped it; what is fetched stays for the next time."""


class Offered(Problem):
    """A page leads to several versions or files: a person has to choose one.

    `options` are the label of a button and the text that Add gets in place of the page's address, the usual one first.
    """

    def __init__(self, what: str, do: str, options: tuple[tuple[str, str], ...]) -> None:
        super().__init__(what, do)
        self.options = options


@dataclass(frozen=True)
class Answer:
    """An answer that is no file.

    `said` is all in it that may tell why, in small letters: its last address, some headers, its page, which is `page`
    as it came. `store` is the host a redirect led to, if that one answered.
    """

    status: int
    said: str = ""
    store: str | None = None
    retry_after: float = 0.0  # seconds, where it says so
    page: str = ""

    @property
    def may_pass(self) -> bool:
        ran_out = self.store is not None and self.status in ADDRESS_RAN_OUT
        return ran_out or self.status in (408, 425, 429) or self.status >= 500


class Refused(Problem):
    """The server answered, and the answer is no. `refusals.refusal_of` has the sentence."""

    def __init__(self, what: str, do: str, answer: Answer, *, name: str = "", reason: str = "") -> None:
        super().__init__(what, do)
        self.answer, self.name, self.reason = answer, name, reason


class TokenNeeded(Refused):
    """A token may help; the sentence is for where there is none. `name` is the secret's name; `reason` is "" where the
    token may be in vain, too, so that nobody is asked for one who has not saved it.
    """


def refuse_a_page(remote: Remote, beginning: bytes) -> None:
    """Raise `Problem` for a web page where weights should be: a login page, or an error with status 200."""
    is_safetensors = beginning[8:9] == b"{" and not beginning[3:8].strip(b"\0")  # a header of 60 bytes begins with <
    if beginning.lstrip()[:1] == b"<" and not is_safetensors:
        raise Problem(
            f"{remote.name} is a web page, not a model: the link leads to a page that asks for something first.",
            f"Open {remote.page or 'the link'} in your browser, see what it asks for, and paste the link of the "
            "download button.",
        )


# ---- what the headers of an answer state: servers write into them what they like


def as_stated(remote: Remote, response: requests.Response) -> Remote:
    """The same, with name, size, checksum and version as its server states them."""
    there = unquote(urlsplit(response.url).path.rpartition("/")[2])  # where a redirect led
    names = (stated_name(response.headers.get("Content-Disposition", "")), remote.name, there)
    return replace(
        remote,
        name=next((name for name in names if "." in name), remote.name),
        size=stated_size(response),
        sha256=remote.sha256 or stated_sha256(response),
        validator=stated_validator(response),
    )


def stated_size(response: requests.Response) -> int:
    if response.status_code == 206:
        return (content_range(response.headers.get("Content-Range", "")) or (0, 0, 0))[2]
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(r"[0-9]{1,15}", length) else 0


def content_range(value: str) -> tuple[int, int, int] | None:
    """(first byte, byte behind the last, bytes in all) of a Content-Range; None where it says nothing of use."""
    match = re.fullmatch(r"(?i)\s*bytes\s+([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})\s*", value)
    start, last, size = (int(number) for number in match.groups()) if match else (0, 0, 0)
    return (start, last + 1, size) if start <= last < size else None


def stated_validator(response: requests.Response) -> str:
    return response.headers.get("ETag", "") or response.headers.get("Last-Modified", "")


def stated_sha256(response: requests.Response) -> str:
    """The SHA-256 that the hub, or a mirror of it, states on the way; "" where none does."""
    told = (one.headers.get("X-Linked-Etag", "").strip('" ').lower() for one in (*response.history, response))
    return next((value for value in told if re.fullmatch(r"[0-9a-f]{64}", value)), "")


def stated_name(disposition: str) -> str:
    """The file name in a Content-Disposition, as people's servers write it; "" where there is none.

    `filename*` (RFC 6266) goes before `filename`; that one may be in raw UTF-8, in RFC 2047's form, or percent-encoded.
    """
    stated = " ".join(disposition[:DISPOSITION_MOST].splitlines())
    stated = re.sub(r"""(?i)\b(filename\s*=\s*)(?:'([^';]*)'|([^"\s;][^";]*))""", r'\1"\2\3"', stated)  # no quotes
    name = ""
    for part in (*re.findall(r"(?i)filename\*.*", stated), stated):
        message = EmailMessage()
        with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):  # the parser's, for no name
            message["Content-Disposition"] = f"attachment; {part}"
            name = name or message.get_filename("")
    with suppress(ValueError):  # then it was Latin-1 indeed, or has been decoded already
        name = name.encode("latin-1").decode()  # requests reads headers as Latin-1
    return unquote(name).strip()
