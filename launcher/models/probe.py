"""One small question to a server before a download: is it there, how large, under which name, which version."""

import re
import time
from dataclasses import dataclass, replace
from typing import Final

import requests

from launcher.core.problem import Problem
from launcher.models.refusals import Refused, check_status, refused_problem, seconds_to_wait, store_of
from launcher.models.remote import Remote
from launcher.models.web import (
    TIMEOUT,
    Session,
    harmless,
    headers_for,
    name_told,
    sha256_told,
    size_told,
    validator_told,
)

PAGE_MOST: Final = 200_000  # bytes of a page that are read to see what it says
SMALL: Final = 1024  # bytes; a file so small is a message or a pointer, and is read
WAITS: Final = (1.0, 2.0)  # seconds before asking again


@dataclass(frozen=True)
class Probe:
    """A server's answer. `text` is its body where it is a page, a message, or a very small file; else ""."""

    remote: Remote  # with what the answer told of size, name, checksum and version
    status: int
    text: str = ""
    is_page: bool = False
    store: str = ""  # the host a redirect led to
    wait: float = 0.0


def probe(remote: Remote) -> Probe:
    """Ask for the first byte. Raises `Problem` where nobody answers; a refusal is part of what it returns."""
    for wait in (*WAITS, None):
        try:
            found = ask(remote)
            if not Refused(found.status, found.wait, found.store).may_pass or wait is None:
                return found
        except requests.RequestException as error:
            if wait is None:
                raise Problem(f"{remote.host} does not answer.", "Check the link, and press ▶ again.") from harmless(
                    error
                )
        time.sleep(wait)
    raise AssertionError


def ask(remote: Remote) -> Probe:
    """Ask once."""
    headers = {"Range": "bytes=0-0", **headers_for(remote)}
    with Session() as session, session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        kind = answer.headers.get("Content-Type", "")
        size = size_told(answer)
        refused = answer.status_code >= 400
        is_page = "text/html" in kind
        small = not refused and 0 < size < SMALL and answer.status_code == 200
        text = answer.raw.read(PAGE_MOST, decode_content=True) if refused or is_page or small else b""
        told = replace(
            remote,
            name=name_told(answer.headers.get("Content-Disposition", "")) or remote.name,
            size=0 if is_page or refused else size,
            sha256=remote.sha256 or sha256_told(answer),
            validator="" if refused else validator_told(answer.headers),
        )
        wait = seconds_to_wait(answer.headers.get("Retry-After", ""))
        return Probe(
            told, answer.status_code, text.decode("utf-8", "replace"), is_page, store_of(answer, remote.url), wait
        )


def raise_refusal(found: Probe) -> None:
    """Say what a refusal means, and that a page is no model."""
    if found.status >= 400:
        raise refused_problem(found.remote, Refused(found.status, found.wait, found.store))
    if found.is_page:
        raise Problem(
            "The link leads to a web page, not to a model file.", "Copy the link of the page's download button instead."
        )


def read_range(remote: Remote, start: int, end: int) -> bytes:
    """The bytes [start, end) of a remote file; fewer where the server does not do that. Raises `Problem`."""
    headers = {"Range": f"bytes={start}-{end - 1}", **headers_for(remote)}
    for wait in (*WAITS, None):
        try:
            with Session() as session, session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
                check_status(answer, remote.url)
                told = re.match(rf"\s*bytes\s+{start}-", answer.headers.get("Content-Range", ""))
                if answer.status_code == 206 and told:
                    return b"".join(answer.iter_content(1 << 20))[: end - start]
                return b""
        except Refused as error:
            if wait is None or not error.may_pass:
                raise refused_problem(remote, error) from error
        except requests.RequestException as error:
            if wait is None:
                raise Problem(f"{remote.host} does not answer.", "Check the link, and press ▶ again.") from harmless(
                    error
                )
        time.sleep(wait)
    raise AssertionError
