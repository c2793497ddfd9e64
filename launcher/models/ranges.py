"""One remote file in ranges, several side by side, into an unfinished file that knows which of its chunks are there.

Every answer is checked against what was asked. Connections write bytes; one thread notes and hashes what is there.
"""

import hashlib
import os
import random
import threading
import time
import zlib
from array import array
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import requests

from launcher.core.status import Step
from launcher.models import http
from launcher.models.remote import Interrupted, Refused, Remote, content_range, refuse_a_page, stated_validator

CHUNK: Final = 512 << 10  # bytes that are noted at once: what a kill may cost each connection
READ_SIZE: Final = 128 << 10  # bytes
RUN: Final = 16  # chunks asked for in one request
HASHED_TOGETHER: Final = 8  # chunks; the notes of what came meanwhile are saved at once
CONNECTIONS: Final = 16  # side by side at most, as aria2c -x16: many servers limit each connection
CONNECTIONS_AT_FIRST: Final = 4  # the others follow once it is slower than PLENTY
PLENTY: Final = 400_000_000  # bytes a second; beyond it connections only wait for each other (docs/dev/benchmarks.md)
LOOK_AT_SPEED_AFTER: Final = 0.06  # seconds
FRUITLESS_TRIES: Final = 7  # in a row without a single new byte, over all connections
NO_MORE: Final = (0, 0)  # the run behind the last
OVERLAP: Final = 64  # bytes before a run that are asked for again, where no checksum will tell whether it fits


class Untrue(Exception):
    """What came is not the file that was meant, or not the part of it that was asked for."""


class PartFile:
    """An unfinished file: every byte at its final place, and behind the end a checksum of each chunk that is there.

    A chunk that was noted earlier is believed only as far as its bytes have that checksum. 0 is one that is not there.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size, self.count = path, size, -(-size // CHUNK)
        self.file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        if self.file.seek(0, 2) != size + 4 * self.count:
            self.file.truncate(0)
            self.file.truncate(size + 4 * self.count)
        self.notes = array("I", self.read(size, size + 4 * self.count))
        self.doubted = {chunk for chunk, note in enumerate(self.notes) if note}

    def end(self, chunk: int) -> int:
        return min(self.size, (chunk + 1) * CHUNK)

    def read(self, start: int, end: int) -> bytes:
        return os.pread(self.file.fileno(), end - start, start)

    def read_chunk(self, chunk: int) -> bytes | None:
        """A chunk that was noted; None if that was on another day and it is another one now: it is noted no more."""
        content = self.read(chunk * CHUNK, self.end(chunk))
        if chunk in self.doubted and (zlib.crc32(content) or 1) != self.notes[chunk]:
            self.notes[chunk] = 0
            self.doubted.discard(chunk)
            return None
        return content


def write_at(file: FileIO, offset: int, content: bytes) -> None:
    while content:
        written = os.pwrite(file.fileno(), content, offset)
        content, offset = content[written:], offset + written


class RangedDownload:
    """One remote file, by connections that fetch run after run. Remembers where a redirect led, as long as that works.

    The first answer is waited for before other connections begin. After a failure only one connection asks at a time,
    so that a server that is down, or lies, is asked `FRUITLESS_TRIES` times, and not as often by each connection.
    """

    def __init__(self, remote: Remote, part: Path, step: Step) -> None:
        self.remote, self.step, self.file = remote, step, PartFile(part, remote.size)
        self.runs: SimpleQueue[tuple[int, int]] = SimpleQueue()  # (first chunk, the one behind the last)
        self.received = sum(self.file.end(chunk) - chunk * CHUNK for chunk in self.file.doubted)  # bytes
        self.news, self.over = threading.Event(), threading.Event()
        self.failed: Exception | None = None  # of a connection: the end
        self.answered_at: float | None = None
        self.direct: str | None = None  # where the redirect led
        self.overlaps: dict[int, bytes] = {}  # offset -> the bytes there, by the answer for the run behind them
        self.failures, self.failed_at = 0, 0.0
        self.lock, self.turn = threading.Lock(), threading.Lock()

    def run(self) -> str:
        """All of it, written and hashed as it comes; its SHA-256. Raises `Untrue`, `Problem`, `Interrupted`."""
        file, connections = self.file, list[threading.Thread]()
        with file.file:
            try:
                digest = self.note_and_hash(connections)
            finally:
                self.over.set()
                for _ in connections:
                    self.runs.put(NO_MORE)
            for connection in connections:
                connection.join(http.STOP_LATENCY)  # none has the file open any more when it gets its name
            fits = all(file.read(at, at + len(overlap)) == overlap for at, overlap in self.overlaps.items())
            if not fits or self.remote.sha256 not in ("", digest):
                raise Untrue
            file.file.truncate(file.size)  # without the notes
        return digest

    def note_and_hash(self, connections: list[threading.Thread]) -> str:
        file, digest, hashed, before = self.file, hashlib.sha256(), 0, self.received
        for start in range(0, file.count, RUN):
            end = min(file.count, start + RUN)
            if missing := [chunk for chunk in range(start, end) if not file.notes[chunk]]:
                self.runs.put((missing[0], end))
        self.step.progress(before, file.size)
        while hashed < file.count:
            while len(connections) < self.connections_wanted(self.received - before):
                connections.append(threading.Thread(target=self.work, daemon=True))
                connections[-1].start()
            came = self.news.wait(0 if file.notes[hashed] else http.STOP_LATENCY)
            self.news.clear()
            if self.step.stopped:  # not a note more: while the disk hung, another download may have finished this file
                raise Interrupted
            if came:  # one write for all notes: it has to wait for the connections that are writing
                write_at(file.file, file.size, file.notes.tobytes())
            self.step.progress(self.received, file.size)
            if self.failed:
                raise self.failed
            for chunk in range(hashed, min(file.count, hashed + HASHED_TOGETHER)):
                if self.step.stopped or not file.notes[chunk]:
                    break
                content = file.read_chunk(chunk)
                if content is None:
                    self.runs.put((chunk, chunk + 1))
                    break
                digest.update(content)
                hashed += 1
        return digest.hexdigest()

    def connections_wanted(self, came: int) -> int:
        if self.answered_at is None:
            return 1
        since = time.monotonic() - self.answered_at
        return CONNECTIONS_AT_FIRST if since < LOOK_AT_SPEED_AFTER or came > PLENTY * since else CONNECTIONS

    def work(self) -> None:
        """One connection: run after run."""
        try:
            with http.WebSession() as session, self.file.path.open("r+b", buffering=0) as out:
                for first, end in iter(self.runs.get, NO_MORE):
                    self.fetch(session, out, first * CHUNK, self.file.end(end - 1))
        except Exception as error:  # it is raised again in `run`
            self.failed = self.failed or error

    def fetch(self, session: http.WebSession, out: FileIO, at: int, end: int) -> None:
        """The bytes [at, end), asked for again from where they stopped."""
        checksum = 0  # of what there is of the chunk that is on its way
        while at < end and not self.over.is_set():
            mine = False
            while self.failures and not mine and not self.over.is_set():  # until the one whose turn it is has success
                mine = self.turn.acquire(timeout=http.STOP_LATENCY)
            try:
                at, checksum = self.ask(session, out, at, end, checksum)
            finally:
                if mine:
                    self.turn.release()

    def ask(self, session: http.WebSession, out: FileIO, at: int, end: int, checksum: int) -> tuple[int, int]:
        """Ask once, and pause where nothing came; return up to where the bytes are there, and the checksum there."""
        asked, begun = time.monotonic(), at
        try:
            for piece in self.pieces(session, at, end):
                self.failures = 0
                write_at(out, at, piece)
                chunk, at, checksum = at // CHUNK, at + len(piece), zlib.crc32(piece, checksum)
                if at == self.file.end(chunk):
                    with self.lock:
                        self.file.notes[chunk] = checksum or 1
                        self.received += at - chunk * CHUNK
                    self.news.set()
                    checksum = 0
                if self.over.is_set():
                    break
            if at == begun:
                raise requests.RequestException(f"{self.remote.host} sent nothing")
        except (Refused, requests.RequestException) as error:
            pause = http.pause_after(error)
            if pause is None:
                raise
            if isinstance(error, Refused) and error.answer.store:
                self.direct = None  # ask for a new address
            if at == begun:
                with self.lock:
                    if asked >= self.failed_at:  # answers to what was asked before the last failure count once
                        self.failures, self.failed_at = self.failures + 1, time.monotonic()
                    if self.failures >= FRUITLESS_TRIES:
                        raise
                self.over.wait(min(http.LONGEST_WAIT, pause or 0.5 * 2**self.failures * random.uniform(0.7, 1.3)))
        return at, checksum

    def pieces(self, session: http.WebSession, at: int, end: int) -> Iterator[bytes]:
        """The bytes [at, end) as they come, none over the end of a chunk. Raises `Untrue` for another file's."""
        start = at if self.remote.sha256 else max(0, at - OVERLAP)
        with session.ask(self.remote, f"bytes={start}-{end - 1}", self.direct) as response:
            headers, fits = response.headers, (start, end) == (0, self.remote.size)
            if response.status_code == 206:
                fits = content_range(headers.get("Content-Range", "")) == (start, end, self.remote.size)
                # A length of 0 is an answer without a byte: it counts as a failure.
                fits = fits and headers.get("Content-Length", "0") in ("0", str(end - start))
            if not fits or not (self.remote.sha256 or stated_validator(response) == self.remote.validator):
                raise Untrue
            if http.store_of(response, self.remote):
                self.direct = response.url
            self.overlaps[start] = b"".join(http.pieces(response, OVERLAP, at - start))
            for behind in (*range(at - at % CHUNK + CHUNK, end, CHUNK), end):
                for piece in http.pieces(response, READ_SIZE, behind - at):  # whatever else it sends
                    self.answered_at = self.answered_at or time.monotonic()
                    if at == 0:
                        refuse_a_page(self.remote, piece)
                    yield piece
                    at += len(piece)
