"""Bytes to a file: resumed after any cut, verified, and only then given its name. Knows nothing of models."""

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests

from launcher.core.folder import PART, require_room
from launcher.core.problem import Problem
from launcher.models.model_file import safetensors_fault
from launcher.models.part_file import PartFile
from launcher.models.refusals import LONGEST_WAIT, Refused, check_status, disk_problem, refused_problem
from launcher.models.remote import USER_AGENT, Interrupted, Remote

CONNECTIONS: Final = (
    16  # side by side at most, as aria2c -x16: a limit per connection is common (facts/tunnel_hub.md B.1)
)
CONNECTIONS_AT_FIRST: Final = 4  # the others follow once it is slower than PLENTY
PLENTY: Final = (
    400_000_000  # bytes a second; beyond it more connections only wait for each other on two cores (docs/benchmarks.md)
)
LOOK_AT_SPEED_EVERY: Final = 0.06  # seconds
PIECE: Final = 64 << 10  # bytes read at once: what a kill may cost a connection
FAST_PIECE: Final = 512 << 10  # the same on a connection faster than FAST, where a kill costs little time
FAST: Final = 8_000_000  # bytes a second
HASH_PIECE: Final = 4 << 20  # bytes hashed at once
TIMEOUT: Final = (10, 30)  # seconds to connect, and between two pieces: a stalled socket is given up
TRIES: Final = 7  # in a row without a single new byte


class RangesIgnored(Exception):
    """The server sent the whole file although a range was asked for."""


def nothing_wrong(path: Path, name: str) -> str:
    """The check of a file about which nothing more is known."""
    return ""


def download(
    remote: Remote,
    target: Path,
    *,
    where: str,
    progress: Callable[[int, int], None],
    stop: threading.Event | None = None,
    check: Callable[[Path, str], str] = nothing_wrong,
) -> str:
    """Fetch `remote` to `target`, which appears only when it is whole and verified; return its SHA-256.

    The unfinished file knows which of its bytes are there, so any cut, in this session or an earlier one, costs a
    megabyte or two. `check` looks at the whole file before it gets its name, and says what is wrong with it. `progress` gets (bytes done, bytes in all). `where` names the disk in messages ("Google Drive").
    Raises `Problem`; what is fetched already is kept, except when it turned out to be wrong.
    """
    target.parent.mkdir(exist_ok=True)  # never with what is above it: see make_folder_below
    part = target.with_name(f"{target.name}.{remote.tag}{PART}")
    for other in target.parent.glob(f"{glob_escape(target.name)}.????????????{PART}"):
        if other != part:
            other.unlink()
    if remote.size:
        there = part.stat().st_blocks * 512 if part.exists() else 0
        require_room(target.parent, remote.size - there, where, f"The model {remote.name}", target.parent.parent)
    try:
        try:
            digest = fetch_all(remote, part, progress, stop or threading.Event())
        except RangesIgnored:
            digest = fetch_whole(remote, part, progress, stop or threading.Event())
    except Refused as error:
        raise refused_problem(remote, error) from error
    except requests.RequestException as error:
        raise Problem(
            f"{remote.name} could not be fetched: {urlsplit(remote.url).hostname} does not answer ({type(error).__name__}).",
            "Check the connection and press ▶ again; it goes on where it stopped.",
        ) from error
    except OSError as error:
        raise disk_problem(error, where, part) from error
    verify(remote, part, digest, check)
    os.replace(part, target)
    return digest


def fetch_all(remote: Remote, part: Path, progress: Callable[[int, int], None], stop: threading.Event) -> str:
    """Bring all bytes into `part`; return their SHA-256, computed on the way: one pass over the data."""
    if not remote.size:
        return fetch_whole(remote, part, progress, stop)
    with PartFile(part, remote.size) as file:
        source = RangedSource(remote, file, progress, stop)
        digest, hashed = hashlib.sha256(), 0
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            workers = [pool.submit(source.work) for _ in range(CONNECTIONS_AT_FIRST)]
            looked, there = time.monotonic(), source.received
            try:
                while hashed < remote.size:
                    if stop.is_set():  # also where no connection has begun yet, which would say so
                        raise Interrupted
                    ready = file.wait_beyond(hashed)
                    since, came = time.monotonic() - looked, source.received - there
                    if since > LOOK_AT_SPEED_EVERY:
                        if came < PLENTY * since and len(workers) < CONNECTIONS:
                            workers += [pool.submit(source.work) for _ in range(CONNECTIONS - len(workers))]
                        looked, there = time.monotonic(), source.received
                    for worker in workers:
                        if worker.done() and worker.exception():
                            worker.result()
                    if ready > hashed:
                        digest.update(file.read(hashed, min(ready - hashed, HASH_PIECE)))
                        hashed += min(ready - hashed, HASH_PIECE)
            finally:
                source.given_up.set()
                file.wake()
        file.finish()
    return digest.hexdigest()


def fetch_whole(remote: Remote, part: Path, progress: Callable[[int, int], None], stop: threading.Event) -> str:
    """The file in one go from its beginning, from a server that tells no size or knows no ranges."""
    digest, have = hashlib.sha256(), 0
    with part.open("wb") as file:
        for piece in whole_pieces(remote):
            if not have:
                refuse_a_page(remote, piece)
            file.write(piece)
            digest.update(piece)
            have += len(piece)
            progress(have, remote.size)
            if stop.is_set():
                raise Interrupted
    return digest.hexdigest()


class RangedSource:
    """Fetches stretches of one remote file, patiently. Remembers where a redirect led, as long as that works."""

    def __init__(
        self, remote: Remote, file: PartFile, progress: Callable[[int, int], None], stop: threading.Event
    ) -> None:
        self.remote, self.file, self.stop, self.given_up = remote, file, stop, threading.Event()
        self.direct = ""
        self.received, self._progress, self._lock = file.have, progress, threading.Lock()
        self._sessions = threading.local()
        progress(self.received, remote.size)

    def work(self) -> None:
        """One connection's work: stretch after stretch. Gives up after `TRIES` answers without a new byte."""
        size = PIECE
        while not self._is_over() and (taken := self.file.take()):
            start, at, end = taken
            first, began, tries = at, time.monotonic(), 0
            while at < end:
                before, pause = at, 0.0
                try:
                    for piece in self._pieces(at, end, size):
                        self.file.write(start, at, piece)
                        at += len(piece)
                        self._tell(len(piece))
                        if self._is_over():
                            raise Interrupted
                except Refused as error:
                    if self.direct and error.status in (401, 403, 404, 410):
                        self.direct = ""  # a signed address has run out: ask for a new one
                    elif (error.status not in (408, 425, 429) and error.status < 500) or tries >= TRIES:
                        raise
                    pause = error.retry_after
                except requests.RequestException:
                    if tries >= TRIES:
                        raise
                tries = 0 if at > before else tries + 1
                if at < end and tries:
                    self.given_up.wait(min(LONGEST_WAIT, pause or 0.5 * 2**tries * random.uniform(0.7, 1.3)))
                if self._is_over():
                    raise Interrupted
            size = FAST_PIECE if (end - first) > FAST * (time.monotonic() - began) else PIECE

    def _is_over(self) -> bool:
        return self.stop.is_set() or self.given_up.is_set()

    def _pieces(self, at: int, end: int, size: int) -> Iterator[bytes]:
        """The bytes [at, end) as they come, `size` at a time, or an exception."""
        headers = {"Range": f"bytes={at}-{end - 1}", "Accept-Encoding": "identity"}
        url = self.direct or self.remote.url
        if not self.direct and self.remote.token:
            headers["Authorization"] = (
                f"Bearer {self.remote.token}"  # requests drops it when a redirect leaves the host
            )
        with self._session().get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            check_status(answer)
            if answer.history and answer.url != self.remote.url:
                self.direct = answer.url
            if answer.status_code != 206 and (at, end) != (0, self.remote.size):
                raise RangesIgnored
            for piece in answer.iter_content(size):
                if at == 0:
                    refuse_a_page(self.remote, piece)
                yield piece[: end - at]
                at += len(piece)

    def _tell(self, count: int) -> None:
        with self._lock:
            self.received += count
            self._progress(self.received, self.remote.size)

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
            self._sessions.session.headers["User-Agent"] = USER_AGENT
        session: requests.Session = self._sessions.session
        return session


def whole_pieces(remote: Remote) -> Iterator[bytes]:
    """The whole file in one go, from a server that does not tell the size."""
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if remote.token:
        headers["Authorization"] = f"Bearer {remote.token}"
    with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        check_status(answer)
        yield from answer.iter_content(FAST_PIECE)


def refuse_a_page(remote: Remote, beginning: bytes) -> None:
    """A web page where weights should be: a login page, or an error with status 200."""
    if beginning.lstrip()[:1] == b"<":
        raise Problem(
            f"{remote.name} is a web page, not a model: the link leads to a page that wants something of you first.",
            f"Open {remote.page or 'the link'} in your browser, see what it asks for, and paste the link of the download button.",
        )


def verify(remote: Remote, part: Path, digest: str, check: Callable[[Path, str], str]) -> None:
    """Size, SHA-256 and the file's own header; a file that is wrong is deleted, so that nothing trusts it later."""
    size = part.stat().st_size
    if remote.size and size != remote.size:
        raise Problem(
            f"{remote.name} is not whole: {size} of {remote.size} bytes.", "Press ▶ again; it goes on where it stopped."
        )
    if remote.sha256 and digest != remote.sha256:
        part.unlink()
        raise Problem(
            f"{remote.name} arrived damaged: its checksum is not the one its source states. It was deleted.",
            "Press ▶ again to fetch it anew. If it happens twice, do not use this source.",
        )
    fault = safetensors_fault(part) if remote.name.lower().endswith(".safetensors") else check(part, remote.name)
    if fault:
        part.unlink()
        raise Problem(
            f"{remote.name} is no usable model file: {fault}. It was deleted.", "Choose another source for this model."
        )


def glob_escape(name: str) -> str:
    """A file name as a pattern that matches only itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
