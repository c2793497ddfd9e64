"""How servers are asked: for a file, a part of one, or a list. Nothing is read without a bound."""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.exceptions import InvalidSchema, InvalidURL, SSLError, TooManyRedirects
from urllib3.exceptions import HTTPError

from launcher.core.child_environment import PROXIES, also_look_at
from launcher.core.outside import Damaged, limited, parsed_json
from launcher.core.problem import Problem
from launcher.models.refusals import HUGGING_FACE, refusal_of
from launcher.models.remote import Answer, Interrupted, Refused, Remote, TokenNeeded, as_stated, content_range

USER_AGENT: Final = "oneclick-launcher/1.0"  # a browser's name would get web pages from Civitai
TIMEOUT: Final = (10, 30)  # seconds to connect, and between two pieces: a stalled socket is given up
STOP_LATENCY: Final = 0.1  # seconds
WAITS: Final = (1.0, 2.0, 4.0)  # seconds before the next try, at least
LONGEST_WAIT: Final = 60.0  # seconds, whatever a server asks for
LONGEST_WAIT_WITHOUT_TOKEN: Final = 10.0  # seconds; who asks for more is asked with a token instead
PAGE_MOST: Final = 200_000  # bytes of a page that are read to see what it says
LIST_MOST: Final = 16 << 20  # bytes of a list of files or versions
READ_AT_ONCE: Final = 64 << 10  # bytes
HEADER_MOST: Final = 300  # letters of a header that are looked at for what it says
TELLING_HEADERS: Final = ("X-Error-Code", "X-Error-Message", "cf-mitigated", "Content-Encoding")
# In an address that leads to its file for some time only: Amazon's, Google's, Microsoft's, CloudFront's, Discord's.
SIGNED: Final = re.compile(r"(?i)[?&](x-amz-\w+|x-goog-\w+|expires|signature|sig|policy|hm)=")
T = TypeVar("T")


class WebSession(requests.Session):
    """Follows redirects, but never from https to http, and takes no token to another host.

    Passwords that a person keeps in ~/.netrc go nowhere: requests would send them in the token's place, and one that is
    for every host to whoever a link names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self.auth, self.max_redirects = lambda request: request, 10

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        if urlsplit(str(response.request.url))[:2] != urlsplit(str(prepared_request.url))[:2]:
            prepared_request.headers.pop("Authorization", None)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirect leads. Raises `Problem` where it leads out of the encryption, or nowhere."""
        host, do = urlsplit(resp.url).hostname, "Choose another source."
        try:
            target = super().get_redirect_target(resp)
            scheme = urlsplit(urljoin(resp.url, target or "")).scheme
        except ValueError as error:
            raise Problem(f"{host} redirects the download to an impossible address.", do) from error
        if resp.url.startswith("https:") and scheme != "https":
            raise Problem(f"{host} sends the download over a connection that is not encrypted.", do)
        if target and resp.raw:
            resp.raw.close()  # requests would read all of its body, however long, and unpack it
        return target

    def ask(self, remote: Remote, range_: str = "", direct: str | None = None) -> requests.Response:
        """The answer for a file, or a `range_` of it, before its bytes; from `direct` where a redirect led there.

        Raises `Refused`, also for bytes that are packed, or what requests does.
        """
        token = f"Bearer {remote.token}" if remote.token and not direct else None
        headers = {"Range": range_ or None, "Authorization": token}
        response = self.get(direct or remote.url, headers=headers, stream=True, timeout=TIMEOUT)
        if response.status_code not in (200, 206) or is_packed(response):
            raise refusal_of(remote, answer_in(response, remote))
        return response


def probe(remote: Remote) -> Remote:
    """The same, with what its server tells of size, name, checksum and version. Raises `Problem`, mostly `Refused`."""
    return answered(remote, partial(as_stated, remote), "bytes=0-0")


def read_range(remote: Remote, start: int, end: int) -> bytes:
    """The bytes [start, end) of a remote file; none where the server does not do that. Raises `Problem`."""

    def part(response: requests.Response) -> bytes:
        stated = content_range(response.headers.get("Content-Range", "")) if response.status_code == 206 else None
        return b"".join(pieces(response, most=end - start)) if stated and stated[0] == start else b""

    return answered(remote, part, f"bytes={start}-{end - 1}")


def ask_list(remote: Remote) -> dict[str, Any]:
    """What a site's API tells, in JSON. Raises `Problem`, mostly `Refused`."""
    content = answered(remote, lambda response: b"".join(limited(pieces(response), LIST_MOST)))
    try:
        told: dict[str, Any] = parsed_json(content)
        return told
    except Damaged as error:
        what = f"{remote.place or remote.host} answers something that makes no sense."
        raise Problem(what, "Wait a few minutes and try again.") from error


def entries_of(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = told.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def answered(remote: Remote, read: Callable[[requests.Response], T], range_: str = "") -> T:
    """What `read` makes of the answer; where the server is busy or silent, after a few tries. Raises `Problem`."""

    def ask() -> T:
        with WebSession() as session, session.ask(remote, range_) as response:
            if "text/html" in response.headers.get("Content-Type", "").lower():
                raise refusal_of(remote, answer_in(response, remote))
            return read(response)

    try:
        return retrying(ask)
    except requests.RequestException as error:
        raise silence(remote, error) from harmless(error)


def retrying(work: Callable[[], T], sleep: Callable[[float], object] = time.sleep) -> T:
    """What `work` returns; it is tried again where that may help. The last error is raised."""
    for least in WAITS:
        try:
            return work()
        except Exception as error:
            asked = pause_after(error)
            if asked is None:
                raise
        sleep(max(least, asked))
    return work()


def pause_after(error: Exception) -> float | None:
    """Seconds before asking again, where that may help."""
    if isinstance(error, Refused):
        wait = error.answer.retry_after
        too_long = isinstance(error, TokenNeeded) and wait > LONGEST_WAIT_WITHOUT_TOKEN
        return wait if error.answer.may_pass and not too_long else None
    # Mistakes in an address or at a server, which the next try will make again.
    lasts = isinstance(error, TooManyRedirects | InvalidURL | InvalidSchema) or has_bad_certificate(error)
    return 0.0 if isinstance(error, requests.RequestException) and not lasts else None


def has_bad_certificate(error: Exception) -> bool:
    """False for a connection that only broke off while it was made: requests has one name for both."""
    return isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def until_stopped(stop: threading.Event, work: Callable[[], T], most: float = float("inf")) -> T:
    """Do `work` where nobody waits for it any longer once `stop` is set: a silent server answers after half a minute.

    Raises `Interrupted` then, and `Problem` after `most` seconds. The work must not touch anything that somebody else
    uses after that.
    """
    result: Future[T] = Future()
    end = time.monotonic() + most

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # it is raised again below, in the thread that waits
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while not wait([result], STOP_LATENCY).done:
        if stop.is_set() and not wait([result], STOP_LATENCY).done:
            raise Interrupted
        if time.monotonic() > end:
            raise Problem("The server answers far too slowly.", "Try again later, or choose another source.")
    return result.result()


# ---- an answer that is no file, and none at all


def answer_in(response: requests.Response, remote: Remote) -> Answer:
    """What an answer that is no file says, by its page and by marks: @store=cdn.example.com @x-error-code=gatedrepo …

    It is closed. A packed page is not read.
    """
    store, headers = store_of(response, remote), response.headers
    with response:
        page = b"" if is_packed(response) else b"".join(pieces(response, most=PAGE_MOST))
    marks = {
        "store": store,
        "with": remote.token and "token",
        "address": response.history and urlsplit(response.url).path,
        "signed": SIGNED.search(remote.url) and "for a time",
        "status": response.status_code,
        **{name: headers.get(name, "")[:HEADER_MOST] for name in TELLING_HEADERS},
    }
    told, text = [f"@{name}={value}" for name, value in marks.items() if value], page.decode("utf-8", "replace")
    said = re.sub(r"<[^<>]*>|\s+", " ", f"{' '.join(told)} {text}").lower()
    return Answer(response.status_code, said, store, seconds_to_wait(headers), text)


def is_packed(response: requests.Response) -> bool:
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def store_of(response: requests.Response, remote: Remote) -> str | None:
    """The host that answered, if it is not the one that was asked at first."""
    there = urlsplit(response.url)
    return there.hostname if there.netloc != urlsplit(remote.url).netloc else None


def silence(remote: Remote, error: requests.RequestException) -> Problem:
    """What is said of a server that gives no answer."""
    host = remote.place or remote.host
    if isinstance(error, TooManyRedirects):
        return Problem(f"{host} redirects the download in a circle.", "Choose another source.")
    if has_bad_certificate(error):
        what = f"{host} cannot prove that it is {host}: its certificate is not valid."
        return Problem(what, "Choose another source." + also_look_at(PROXIES))
    known = ("HF_ENDPOINT",) if remote.place == HUGGING_FACE else ()
    wait = f"Wait a few minutes and try again{remote.goes_on}."
    do = wait if remote.place or remote.size else "Check the link, and try again."
    return Problem(f"{host} does not answer ({type(error).__name__}).", do + also_look_at((*known, *PROXIES)))


def harmless(error: Exception) -> Exception:
    """The same for a log: requests puts whole addresses into its messages, with the keys that stand in them."""
    return ConnectionError(f"{type(error).__name__}: {re.sub(r'[?#][^ ]*', '?…', str(error))}")


def pieces(response: requests.Response, at_once: int = READ_AT_ONCE, most: int = sys.maxsize) -> Iterator[bytes]:
    """The bytes of an answer as they come, not unpacked, and none behind the first `most`.

    Raises `requests.ConnectionError` where it is cut. requests' own loop lets a server send the line before a chunk
    without an end; the standard library's does not.
    """
    try:
        while most > 0 and (piece := response.raw.read(min(at_once, most), decode_content=False)):
            yield piece
            most -= len(piece)
    except HTTPError as error:
        raise requests.ConnectionError(str(error)) from error


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """What a Retry-After, or the hub's ratelimit, asks for; 0.0 where there is none."""
    told = f"{headers.get('ratelimit', '')};{headers.get('Retry-After', '')}"
    numbers = [float(number) for number in re.findall(r"(?:\bt=|;)([0-9]{1,6})", told)]
    return min(LONGEST_WAIT, max(numbers, default=0.0))
