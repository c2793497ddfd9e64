"""How servers are asked, and what they tell of a file before its bytes."""

import base64
import binascii
import re
import threading
from collections.abc import Callable, Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Final, TypeVar
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

import requests

from launcher.core.problem import Problem
from launcher.models.remote import Interrupted, Remote

USER_AGENT: Final = "oneclick-launcher/1.0"  # a browser's name would get web pages from Civitai
TIMEOUT: Final = (10, 30)  # seconds to connect, and between two pieces: a stalled socket is given up
STOP_LATENCY: Final = 0.1  # seconds
T_made = TypeVar("T_made")


class Session(requests.Session):
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


def headers_for(remote: Remote) -> dict[str, str]:
    """The token, where there is one."""
    return {"Authorization": f"Bearer {remote.token}"} if remote.token else {}


def harmless(error: Exception) -> Exception:
    """The same for a log: requests puts whole addresses into its messages, with the keys that stand in them."""
    return ConnectionError(f"{type(error).__name__}: {re.sub(r'[?#][^ ]*', '?…', str(error))}")


def until_stopped(stop: threading.Event, work: Callable[[], T_made]) -> T_made:
    """Do `work` where nobody waits for it any longer once `stop` is set: a silent server answers after half a minute.

    Raises `Interrupted` then. The work must not touch anything that somebody else uses after that.
    """
    made: list[T_made] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            made.append(work())
        except BaseException as error:  # it is raised again below, in the thread that waits
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True).start()
    while not done.wait(STOP_LATENCY):
        if stop.is_set():
            raise Interrupted
    if failed:
        raise failed[0]
    return made[0]


def size_told(answer: requests.Response) -> int:
    """How many bytes the whole file has; 0 where the server does not say."""
    if answer.status_code == 206:
        told = content_range(answer.headers.get("Content-Range", ""))
        return told[2] if told else 0
    length = answer.headers.get("Content-Length", "")
    encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
    return int(length) if re.fullmatch(r"[0-9]{1,15}", length) and not encoded else 0


def content_range(value: str) -> tuple[int, int, int] | None:
    """(first byte, byte behind the last, bytes in all) of a Content-Range; None where it says nothing of use."""
    match = re.fullmatch(r"\s*bytes\s+([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})\s*", value, re.IGNORECASE)
    if not match:
        return None
    start, last, size = (int(number) for number in match.groups())
    return (start, last + 1, size) if start <= last < size else None


def validator_told(headers: Mapping[str, str]) -> str:
    """What tells one version of a file from another."""
    return headers.get("ETag", "") or headers.get("Last-Modified", "")


def sha256_told(answer: requests.Response) -> str:
    """The SHA-256 a server states on the way, in lower case; "" where it states none."""
    for one in (*answer.history, answer):
        for header in ("X-Linked-Etag", "X-Checksum-Sha256", "X-Amz-Meta-Sha256"):
            stated = one.headers.get(header, "").strip('" ').lower()
            if re.fullmatch(r"[0-9a-f]{64}", stated):
                return stated
        for header in ("Repr-Digest", "Digest"):
            found = re.search(r"sha-256=:?([A-Za-z0-9+/]{43}=)", one.headers.get(header, ""), re.IGNORECASE)
            if found:
                return base64.b64decode(found[1]).hex()
    return ""


def name_told(disposition: str) -> str:
    """The file name in a Content-Disposition, as people's servers write it; "" where there is none.

    `filename*` (RFC 6266) goes before `filename`; that one may be in raw UTF-8, in RFC 2047's form, or percent-encoded.
    """
    extended = re.search(r"filename\*\s*=\s*([\w-]*)'[^']*'([^;\s]+)", disposition, re.IGNORECASE)
    if extended:
        raw = unquote_to_bytes(extended[2].strip('"'))
        try:
            return raw.decode(extended[1] or "utf-8")
        except (LookupError, ValueError):
            return raw.decode("utf-8", "replace")
    plain = re.search(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]+))', disposition, re.IGNORECASE)
    if not plain:
        return ""
    name = re.sub(r"\\(.)", r"\1", plain[1]) if plain[1] is not None else plain[2].strip()
    try:
        name = name.encode("latin-1").decode("utf-8")  # requests reads headers as Latin-1
    except ValueError:
        pass  # then it was Latin-1 indeed, or has been decoded already
    if "=?" in name:
        try:
            return str(make_header(decode_header(name)))
        except (LookupError, ValueError, binascii.Error, HeaderParseError):
            return name
    return unquote(name)
