"""How servers are asked, and what they tell of a file before its bytes."""

import binascii
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import replace
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Final, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import requests

from launcher.core.problem import Problem
from launcher.core.retry import retrying
from launcher.models.remote import Interrupted, Refused, Remote

USER_AGENT: Final = "oneclick-launcher/1.0"  # a browser's name would get web pages from Civitai
TIMEOUT: Final = (10, 30)  # seconds to connect, and between two pieces: a stalled socket is given up
STOP_LATENCY: Final = 0.1  # seconds
LONGEST_WAIT: Final = 60.0  # seconds, whatever a server asks for
PAGE_MOST: Final = 200_000  # bytes of a page that are read to see what it says
T = TypeVar("T")


class WebSession(requests.Session):
    """Follows redirects, but never from https to http; requests itself takes no token to another host."""

    def __init__(self) -> None:
        super().__init__()
        self.headers["User-Agent"] = USER_AGENT
        self.headers["Accept-Encoding"] = "identity"

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirect leads. Raises `Problem` where it leads out of the encryption."""
        target = super().get_redirect_target(resp)
        if target and resp.url.startswith("https:") and not urljoin(resp.url, target).startswith("https:"):
            raise Problem(
                f"{urlsplit(resp.url).hostname} sends the download over a connection that is not encrypted.",
                "Choose another source.",
            )
        return target

    def ask(self, remote: Remote, headers: Mapping[str, str], direct: str | None = None) -> requests.Response:
        """The answer for a file, before its bytes; from the address `direct` where a redirect led there.

        Raises `Refused`, or what requests does.
        """
        token = {"Authorization": f"Bearer {remote.token}"} if remote.token and not direct else {}
        response = self.get(direct or remote.url, headers={**headers, **token}, stream=True, timeout=TIMEOUT)
        if response.status_code not in (200, 206):
            raise refusal_in(response, remote)
        return response


def refusal_in(response: requests.Response, remote: Remote) -> Refused:
    """What an answer refuses; it is closed."""
    with response:
        text = next(response.iter_content(PAGE_MOST), b"").decode("utf-8", "replace")
    return Refused(remote, response.status_code, seconds_to_wait(response.headers), store_of(response, remote), text)


def store_of(response: requests.Response, remote: Remote) -> str | None:
    """The host that answered, if it is not the one that was asked at first."""
    there = urlsplit(response.url)
    return there.hostname if there.netloc != urlsplit(remote.url).netloc else None


def probe(remote: Remote) -> Remote:
    """The same, with what its server tells of size, name, checksum and version. Raises `Problem`, mostly `Refused`."""

    def ask() -> Remote:
        with WebSession() as session, session.ask(remote, {"Range": "bytes=0-0"}) as response:
            if "text/html" in response.headers.get("Content-Type", ""):
                raise refusal_in(response, remote)
            return replace(
                remote,
                name=stated_name(response.headers.get("Content-Disposition", "")) or remote.name,
                size=stated_size(response),
                sha256=remote.sha256 or stated_sha256(response),
                validator=stated_validator(response.headers),
            )

    return answered(remote, ask)


def read_range(remote: Remote, start: int, end: int) -> bytes:
    """The bytes [start, end) of a remote file; none where the server does not do that. Raises `Problem`."""

    def ask() -> bytes:
        with WebSession() as session, session.ask(remote, {"Range": f"bytes={start}-{end - 1}"}) as response:
            told = content_range(response.headers.get("Content-Range", ""))
            if response.status_code != 206 or not told or told[0] != start:
                return b""
            return b"".join(response.iter_content(1 << 20))[: end - start]

    return answered(remote, ask)


def answered(remote: Remote, ask: Callable[[], T]) -> T:
    """What `ask` returns; where the server is busy or silent, after a few tries. Raises `Problem`."""
    try:
        return retrying(ask, pause_after)
    except requests.RequestException as error:
        raise Problem(f"{remote.host} does not answer.", "Check the link, and press ▶ again.") from harmless(error)


def pause_after(error: Exception) -> float | None:
    """Seconds before asking again, where that may help."""
    if isinstance(error, Refused):
        return error.retry_after if error.may_pass else None
    return 0.0 if isinstance(error, requests.RequestException) else None


def harmless(error: Exception) -> Exception:
    """The same for a log: requests puts whole addresses into its messages, with the keys that stand in them."""
    return ConnectionError(f"{type(error).__name__}: {re.sub(r'[?#][^ ]*', '?…', str(error))}")


def until_stopped(stop: threading.Event, work: Callable[[], T]) -> T:
    """Do `work` where nobody waits for it any longer once `stop` is set: a silent server answers after half a minute.

    Raises `Interrupted` then. The work must not touch anything that somebody else uses after that.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # it is raised again below, in the thread that waits
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while not wait([result], STOP_LATENCY).done:
        if stop.is_set() and not wait([result], STOP_LATENCY).done:
            raise Interrupted
    return result.result()


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """What a Retry-After, or the hub's ratelimit, asks for; 0.0 where there is none."""
    told = f"{headers.get('ratelimit', '')};{headers.get('Retry-After', '')}"
    numbers = [float(number) for number in re.findall(r"(?:\bt=|;)([0-9]{1,6})", told)]
    return min(LONGEST_WAIT, max(numbers, default=0.0))


def stated_size(response: requests.Response) -> int:
    """How many bytes the whole file has; 0 where the server does not say."""
    if response.status_code == 206:
        told = content_range(response.headers.get("Content-Range", ""))
        return told[2] if told else 0
    length = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return int(length) if re.fullmatch(r"[0-9]{1,15}", length) and not encoded else 0


def content_range(value: str) -> tuple[int, int, int] | None:
    """(first byte, byte behind the last, bytes in all) of a Content-Range; None where it says nothing of use."""
    match = re.fullmatch(r"\s*bytes\s+([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})\s*", value, re.IGNORECASE)
    if not match:
        return None
    start, last, size = (int(number) for number in match.groups())
    return (start, last + 1, size) if start <= last < size else None


def stated_validator(headers: Mapping[str, str]) -> str:
    return headers.get("ETag", "") or headers.get("Last-Modified", "")


def stated_sha256(response: requests.Response) -> str:
    """The SHA-256 a server states on the way, in lower case; "" where it states none."""
    for one in (*response.history, response):
        for header in ("X-Linked-Etag", "X-Checksum-Sha256"):  # the hub and its mirrors; Artifactory
            stated = one.headers.get(header, "").strip('" ').lower()
            if re.fullmatch(r"[0-9a-f]{64}", stated):
                return stated
    return ""


def stated_name(disposition: str) -> str:
    """The file name in a Content-Disposition, as people's servers write it; "" where there is none.

    `filename*` (RFC 6266) goes before `filename`; that one may be in raw UTF-8, in RFC 2047's form, or percent-encoded.
    """
    message = Message()
    message["Content-Disposition"] = disposition
    told = dict(message.get_params([], "Content-Disposition")).get("filename", "")
    if isinstance(told, tuple):
        return collapse_rfc2231_value(told)
    try:
        told = told.encode("latin-1").decode("utf-8")  # requests reads headers as Latin-1
    except ValueError:
        pass  # then it was Latin-1 indeed, or has been decoded already
    if "=?" not in told:
        return unquote(told)
    try:
        return str(make_header(decode_header(told)))
    except (LookupError, ValueError, binascii.Error, HeaderParseError):
        return told
