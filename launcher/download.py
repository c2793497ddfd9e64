"""Bytes to a file: resumed after any cut, verified, and only then given its name. Knows nothing of models."""

import hashlib
import json
import os
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests

from launcher.folder import PART, require_room
from launcher.problem import Problem

CHUNK: Final = 8 << 20  # bytes asked for in one ranged request
SLOTS: Final = 32  # stretches that may be begun at once: how far the fastest connection runs ahead
NOTE_EVERY: Final = 512 << 10  # bytes after which it is noted which are there: what a kill may cost
CONNECTIONS: Final = 16  # side by side at most, as aria2c -x16: a limit per connection is common (facts/tunnel_hub.md B.1)
CONNECTIONS_AT_FIRST: Final = 4  # the others follow once it is slower than PLENTY
PLENTY: Final = 400_000_000  # bytes a second; beyond it more connections only wait for each other on two cores (docs/benchmarks.md)
LOOK_AT_SPEED_EVERY: Final = 0.06  # seconds
PIECE: Final = 64 << 10  # bytes read at once: what a kill may cost a connection
FAST_PIECE: Final = 512 << 10  # the same on a connection faster than FAST, where a kill costs little time
FAST: Final = 8_000_000  # bytes a second
HASH_PIECE: Final = 4 << 20  # bytes hashed at once
TIMEOUT: Final = (10, 30)  # seconds to connect, and between two pieces: a stalled socket is given up
TRIES: Final = 7  # in a row without a single new byte
LONGEST_WAIT: Final = 60.0  # seconds
HEADER_LIMIT: Final = 100_000_000  # bytes; what safetensors itself allows for a header
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


class Refused(Exception):
    """The server answered, and the answer is no. `retry_after` in seconds, 0.0 where it does not say."""

    def __init__(self, status: int, retry_after: float) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.retry_after = status, retry_after


class RangesIgnored(Exception):
    """The server sent the whole file although a range was asked for."""


class Interrupted(Exception):
    """The person stopped it; what is fetched stays for the next time."""


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
        require_room(target.parent, remote.size - there, where, f"The model {remote.name}")
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


class PartFile:
    """An unfinished file: every byte at its final place, and behind the end a note of which bytes are there.

    The note holds a frontier (all below it is there) and up to `SLOTS` stretches begun above it, each (start, done).
    It is written after the bytes it tells of, so after a kill at any moment it tells at most too little.
    """

    FORMAT: Final = struct.Struct(f"<8sQ{2 * SLOTS}Q")
    MAGIC: Final = b"oneclick"

    def __init__(self, path: Path, size: int) -> None:
        self.size, self.frontier = size, 0
        self._stretches: dict[int, int] = {}  # start -> bytes there; a stretch ends at the next multiple of CHUNK
        self._taken: set[int] = set()
        self._unnoted = 0
        self.given_up = False
        self._changed = threading.Condition()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._recall()

    def __enter__(self) -> "PartFile":
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            if self._unnoted:
                self._note()
        os.close(self._file)

    def _recall(self) -> None:
        note = os.pread(self._file, self.FORMAT.size, self.size)
        if os.fstat(self._file).st_size == self.size + self.FORMAT.size and note.startswith(self.MAGIC):
            _, self.frontier, *numbers = self.FORMAT.unpack(note)
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            self._stretches = {start: done for start, done in pairs if done and start >= self.frontier}
            self._advance()
        else:
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, self.size + self.FORMAT.size)
            self._note()

    @property
    def have(self) -> int:
        """Bytes that are there."""
        return self.frontier + sum(self._stretches.values())

    def take(self) -> tuple[int, int, int] | None:
        """A stretch to fetch: (its start, first byte missing, its end); None when none is left. Waits for a free slot."""
        with self._changed:
            while True:
                for start, done in self._stretches.items():
                    if start not in self._taken and start + done < self._end(start):
                        self._taken.add(start)
                        return start, start + done, self._end(start)
                start = self.frontier
                while start < self.size and start in self._stretches:
                    start = self._end(start)
                if start >= self.size:
                    return None
                if len(self._stretches) < SLOTS - 1:
                    self._taken.add(start)
                    self._stretches[start] = 0
                    return start, start, self._end(start)
                self._changed.wait(1)
                if self.given_up:
                    return None

    def write(self, start: int, at: int, data: bytes) -> None:
        """Put `data` of the stretch that begins at `start` at offset `at`."""
        view, offset = memoryview(data), at
        while view:
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written
        with self._changed:
            self._stretches[start] = at + len(data) - start
            self._unnoted += len(data)
            before = self.frontier
            self._advance()
            if self._unnoted >= NOTE_EVERY:
                self._note()
            if self.frontier != before:
                self._changed.notify_all()

    def wait_beyond(self, offset: int) -> int:
        """Wait a little for bytes beyond `offset`; return up to where all is there."""
        with self._changed:
            if self._reach() <= offset:
                self._changed.wait(0.1)
            return self._reach()

    def wake(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self.given_up = True
            self._changed.notify_all()

    def read(self, offset: int, count: int) -> bytes:
        """Bytes that are there."""
        return os.pread(self._file, count, offset)

    def finish(self) -> None:
        """All is there: take the note off."""
        with self._changed:
            os.ftruncate(self._file, self.size)
            self._unnoted = 0

    def _end(self, start: int) -> int:
        return min(self.size, (start // CHUNK + 1) * CHUNK)

    def _reach(self) -> int:
        return self.frontier + self._stretches.get(self.frontier, 0)

    def _advance(self) -> None:
        while self.frontier in self._stretches and self.frontier + self._stretches[self.frontier] >= self._end(self.frontier):
            del self._stretches[self.frontier]
            self._taken.discard(self.frontier)
            self.frontier = self._end(self.frontier)

    def _note(self) -> None:
        pairs = [number for pair in self._stretches.items() for number in pair]
        os.pwrite(self._file, self.FORMAT.pack(self.MAGIC, self.frontier, *pairs, *[0] * (2 * SLOTS - len(pairs))), self.size)
        self._unnoted = 0


class RangedSource:
    """Fetches stretches of one remote file, patiently. Remembers where a redirect led, as long as that works."""

    def __init__(self, remote: Remote, file: PartFile, progress: Callable[[int, int], None], stop: threading.Event) -> None:
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
            headers["Authorization"] = f"Bearer {self.remote.token}"  # requests drops it when a redirect leaves the host
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


def check_status(answer: requests.Response) -> None:
    """Raise `Refused` unless bytes follow."""
    if answer.status_code in (200, 206):
        return
    raise Refused(answer.status_code, retry_after(answer.headers.get("Retry-After", "")))


def retry_after(value: str) -> float:
    """Seconds the server asks to wait; 0.0 where it does not say (a date is rare and counts as one minute)."""
    if not value:
        return 0.0
    return min(LONGEST_WAIT, float(value)) if value.replace(".", "", 1).isdigit() else LONGEST_WAIT


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
        raise Problem(f"{remote.name} is not whole: {size} of {remote.size} bytes.", "Press ▶ again; it goes on where it stopped.")
    if remote.sha256 and digest != remote.sha256:
        part.unlink()
        raise Problem(
            f"{remote.name} arrived damaged: its checksum is not the one its source states. It was deleted.",
            "Press ▶ again to fetch it anew. If it happens twice, do not use this source.",
        )
    fault = safetensors_fault(part) if remote.name.lower().endswith(".safetensors") else check(part, remote.name)
    if fault:
        part.unlink()
        raise Problem(f"{remote.name} is no usable model file: {fault}. It was deleted.", "Choose another source for this model.")


def safetensors_fault(path: Path) -> str:
    """What is wrong with a .safetensors file's header and length, or "" where nothing is.

    The format: 8 bytes length (little endian), that many bytes of JSON, then the tensors' bytes.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(8)
        if len(raw) < 8:
            return "it is cut off"
        (length,) = struct.unpack("<Q", raw)
        if length > min(HEADER_LIMIT, size - 8):
            return "its header is longer than the file allows"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return "its header cannot be read"
    if 8 + length + max(ends, default=0) != size:
        return "it is cut off"
    return ""


def refused_problem(remote: Remote, error: Refused) -> Problem:
    """What the server's answer means for a person."""
    host = urlsplit(remote.url).hostname
    meanings = {
        401: (f"{host} wants a login for {remote.name}.", f"Open {remote.page or 'its page'} and see what it asks for; then save a token as a Colab secret."),
        403: (f"{host} does not let you have {remote.name}.", f"Open {remote.page or 'its page'} and accept its conditions, then press ▶ again."),
        404: (f"{remote.name} is not there any more.", "Choose another model, or another source of this one."),
        410: (f"{remote.name} was taken away by its owner.", "Choose another model."),
        429: (f"{host} says that too many downloads were asked for.", "Wait some minutes and press ▶ again; it goes on where it stopped."),
        451: (f"{host} does not serve the country this runtime is in.", "Choose another source of the model."),
    }  # fmt: skip
    what, do = meanings.get(
        error.status, (f"{host} has a fault of its own (HTTP {error.status}).", "Wait some minutes and press ▶ again; it goes on where it stopped.")
    )
    return Problem(what, do)


def disk_problem(error: OSError, where: str, part: Path) -> Problem:
    """A write that failed, in words."""
    if error.errno == 28:
        return Problem(f"{where} is full.", f"Free some space on {where} (empty its bin too) and press ▶ again; what is fetched stays.")
    if error.errno in (5, 107):
        return Problem(f"{where} does not answer any more.", "Press ▶ again; it is connected anew, and the download goes on where it stopped.")
    return Problem(f"{part.name} could not be written: {error.strerror or error}.", "Press ▶ again.")


def glob_escape(name: str) -> str:
    """A file name as a pattern that matches only itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
