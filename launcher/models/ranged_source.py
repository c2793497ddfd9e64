"""Stretches of one remote file, fetched side by side, patiently, and with every answer checked against what was
asked.
"""

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from typing import Final

import requests

from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.models.part_file import PartFile
from launcher.models.refusals import LONGEST_WAIT, Refused, check_status, store_of
from launcher.models.remote import Interrupted, Remote
from launcher.models.web import TIMEOUT, Session, content_range, headers_for, validator_told

PIECE: Final = 64 << 10  # bytes read at once: what a kill may cost a connection
FAST_PIECE: Final = 512 << 10  # the same on a connection faster than FAST, where a kill costs little time
FAST: Final = 8_000_000  # bytes a second
TRIES: Final = 7  # in a row without a single new byte, over all connections
SEAM: Final = 64  # bytes before a stretch that are asked for again, where no checksum will tell whether it fits


class RangesIgnored(Exception):
    """The server sent the whole file although a range was asked for."""


class Untrue(Exception):
    """What came cannot belong together: another range, another version of the file, or a page."""


class Silent(requests.RequestException):
    """An answer without a byte."""


class RangedSource:
    """Fetches stretches of one remote file. Remembers where a redirect led, as long as that works.

    The first answer is waited for before other connections begin. After a failure only one connection asks at a time,
    so that a server that is down, or lies, is asked `TRIES` times and not `TRIES` times a connection.
    """

    def __init__(self, remote: Remote, file: PartFile, step: Step) -> None:
        self.remote, self.file, self.step = remote, file, step
        self.given_up, self.answered = threading.Event(), threading.Event()
        self.direct = ""  # where the redirect led
        self.received = file.have
        self.seams: dict[int, bytes] = {}  # offset -> the bytes there, by the answer for the stretch behind them
        self._failures, self._failed_at = 0, 0.0
        self._lock, self._turn, self._sessions = threading.Lock(), threading.Lock(), threading.local()
        step.progress(self.received, remote.size)

    @property
    def is_over(self) -> bool:
        """True once nobody wants the bytes any more."""
        return self.step.stopped or self.given_up.is_set()

    def work(self) -> None:
        """One connection's work: stretch after stretch."""
        size = PIECE
        while not self.is_over and (taken := self.file.take()):
            start, at, end = taken
            first, began = at, time.monotonic()
            while at < end:
                with self._one_at_a_time_after_a_failure():
                    at = self._fetch(start, at, end, size)
            size = FAST_PIECE if (end - first) > FAST * (time.monotonic() - began) else PIECE

    def _fetch(self, start: int, at: int, end: int, size: int) -> int:
        """Ask once for the bytes [at, end), and pause where that failed; return up to where they are there now."""
        asked, before, pause = time.monotonic(), at, 0.0
        failed: Exception = Silent(f"{self.remote.host} sent nothing")
        try:
            for piece in self._pieces(at, end, size):
                self.file.write(start, at, piece)
                at += len(piece)
                self._count(len(piece))
                if self.is_over:
                    raise Interrupted
        except Refused as error:
            if error.store:
                self.direct = ""  # ask for a new address
            if not error.may_pass:
                raise
            failed, pause = error, error.retry_after
        except requests.RequestException as error:
            failed = error
        if at == before:
            self._count_failure(failed, asked)
            wait = pause or 0.5 * 2**self._failures * random.uniform(0.7, 1.3)
            self.given_up.wait(min(LONGEST_WAIT, wait))
        if self.is_over:
            raise Interrupted
        return at

    @contextlib.contextmanager
    def _one_at_a_time_after_a_failure(self) -> Iterator[None]:
        mine = False
        while self._failures and not mine:
            mine = self._turn.acquire(timeout=0.1)
            if self.is_over:
                break
        try:
            yield
        finally:
            if mine:
                self._turn.release()

    def _count(self, count: int) -> None:
        with self._lock:
            self._failures = 0
            self.received += count
            self.step.progress(self.received, self.remote.size)

    def _count_failure(self, error: Exception, asked: float) -> None:
        """One more answer without a new byte; answers to questions asked before the last failure count once."""
        with self._lock:
            if asked >= self._failed_at:
                self._failures += 1
                self._failed_at = time.monotonic()
            if self._failures >= TRIES:
                raise error

    def _pieces(self, at: int, end: int, size: int) -> Iterator[bytes]:
        """The bytes [at, end) as they come, `size` at a time, or an exception."""
        seam = 0 if self.remote.sha256 else min(SEAM, at)
        url = self.direct or self.remote.url
        headers = {"Range": f"bytes={at - seam}-{end - 1}"}
        if not self.direct:
            headers |= headers_for(self.remote)
        if not self.remote.sha256 and not self.remote.validator.startswith("W/"):
            headers["If-Range"] = self.remote.validator
        with self._session().get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            check_status(answer, self.remote.url)
            self._check(answer, at - seam, end)
            if store_of(answer, self.remote.url):
                self.direct = answer.url
            before = b""
            for come in answer.iter_content(size):
                if not self.answered.is_set():
                    self.answered.set()
                    self.file.stir()
                if at == 0:
                    refuse_a_page(self.remote, come)
                missing = seam - len(before)
                piece = come[missing : missing + end - at]
                if missing:
                    before += come[:missing]
                    if len(before) == seam:
                        self.seams[at - seam] = before
                if piece:
                    yield piece
                    at += len(piece)

    def _check(self, answer: requests.Response, start: int, end: int) -> None:
        """Raise unless the answer says that it is the range that was asked for, of the file that was meant."""
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Untrue("it is packed")
        if not self.remote.sha256 and validator_told(answer.headers) != self.remote.validator:
            raise Untrue("it is another version of the file")
        if answer.status_code != 206:
            if (start, end) != (0, self.remote.size):
                raise RangesIgnored
            return
        if content_range(answer.headers.get("Content-Range", "")) != (start, end, self.remote.size):
            raise Untrue("it is not the range that was asked for")
        length = answer.headers.get("Content-Length", "")
        if length and length not in (str(end - start), "0"):  # nothing at all counts as a failure, below
            raise Untrue("it is longer or shorter than it says")

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = Session()
        session: requests.Session = self._sessions.session
        return session


def refuse_a_page(remote: Remote, beginning: bytes) -> None:
    """A web page where weights should be: a login page, or an error with status 200."""
    if beginning.lstrip()[:1] == b"<" and not is_safetensors(beginning):
        raise Problem(
            f"{remote.name} is a web page, not a model: the link leads to a page that asks for something first.",
            f"Open {remote.page or 'the link'} in your browser, see what it asks for, and paste the link of the "
            "download button.",
        )


def is_safetensors(beginning: bytes) -> bool:
    """True where the length of a header and its brace follow: a header of 60 bytes begins with `<`, too."""
    return beginning[8:9] == b"{" and not beginning[3:8].strip(b"\0")
