"""An unfinished download on the disk: which stretches are there, and a note of them."""

import errno
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Final

from launcher.models.remote import Interrupted

CHUNK: Final = 8 << 20  # bytes asked for in one ranged request
SLOTS: Final = 32  # stretches that may be begun at once: how far the fastest connection runs ahead
LONGEST_PAUSE: Final = 0.1  # seconds until whoever waits looks whether it was stopped
NOTE_EVERY: Final = 512 << 10  # bytes after which it is noted which are there: what a kill may cost


class PartFile:
    """An unfinished file: every byte at its final place, and behind the end a note of which bytes are there.

    The note holds a frontier (all below it is there) and up to `SLOTS` stretches begun above it, each (start, done).
    It is written after the bytes it tells of, so after a kill at any moment it tells at most too little.
    """

    FORMAT: Final = struct.Struct(f"<8sIQ{2 * SLOTS}Q")  # magic, CRC-32 of what follows, frontier, (start, done) …
    MAGIC: Final = b"oneclic2"

    def __init__(self, path: Path, size: int) -> None:
        self.size, self.frontier = size, 0
        self._stretches: dict[int, int] = {}  # start -> bytes there; a stretch ends at the next multiple of CHUNK
        self._taken: set[int] = set()
        self._unnoted = 0
        self.given_up = False
        self._closed, self._writing = False, 0
        self._changed = threading.Condition()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._recall()

    def __enter__(self) -> "PartFile":
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._closed = True
            try:
                if self._unnoted:
                    self._note()
            finally:
                if not self._writing:
                    os.close(self._file)

    def _recall(self) -> None:
        note = os.pread(self._file, self.FORMAT.size, self.size)
        if os.fstat(self._file).st_size == self.size + self.FORMAT.size and self._believe(note):
            self._advance()
        else:
            self.frontier, self._stretches = 0, {}
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, self.size + self.FORMAT.size)
            self._note()

    def _believe(self, note: bytes) -> bool:
        """Take over what the note says, unless it cannot be so: damaged, or about bytes that are a hole in the file."""
        magic, checksum, self.frontier, *numbers = self.FORMAT.unpack(note)
        if magic != self.MAGIC or checksum != zlib.crc32(note[12:]):
            return False
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        self._stretches = {start: done for start, done in pairs if done}
        if self.frontier != self.size and (self.frontier > self.size or self.frontier % CHUNK):
            return False
        for start, done in self._stretches.items():
            if start % CHUNK or not self.frontier <= start < self.size or start + done > self._end(start):
                return False
        told = [(0, self.frontier), *self._stretches.items()]
        return all(self._is_written(start, start + done) for start, done in told if done)

    def _is_written(self, start: int, end: int) -> bool:
        """False if the disk knows that there is a hole. One that does not know of holes says there is none."""
        try:
            return os.lseek(self._file, start, os.SEEK_HOLE) >= end
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                return error.errno != errno.ENXIO  # ENXIO: there is nothing at all there
            raise

    @property
    def have(self) -> int:
        """Bytes that are there."""
        return self.frontier + sum(self._stretches.values())

    def take(self) -> tuple[int, int, int] | None:
        """A stretch to fetch: (its start, first byte missing, its end); None when none is left. Waits for a free
        slot.
        """
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
        with self._changed:
            if self._closed:
                raise Interrupted
            self._writing += 1
        try:
            view, offset = memoryview(data), at
            while view:
                written = os.pwrite(self._file, view, offset)
                view, offset = view[written:], offset + written
        finally:
            with self._changed:
                self._writing -= 1
                if self._closed and not self._writing:
                    os.close(self._file)  # who closed it did not wait for a disk that hangs
        with self._changed:
            if self._closed:
                raise Interrupted
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
                self._changed.wait(LONGEST_PAUSE)
            return self._reach()

    def stir(self) -> None:
        """Let whoever waits look around."""
        with self._changed:
            self._changed.notify_all()

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
        while self.frontier in self._stretches and self.frontier + self._stretches[self.frontier] >= self._end(
            self.frontier
        ):
            del self._stretches[self.frontier]
            self._taken.discard(self.frontier)
            self.frontier = self._end(self.frontier)

    def _note(self) -> None:
        pairs = [number for pair in self._stretches.items() for number in pair]
        note = self.FORMAT.pack(self.MAGIC, 0, self.frontier, *pairs, *[0] * (2 * SLOTS - len(pairs)))
        checked = self.MAGIC + zlib.crc32(note[12:]).to_bytes(4, "little") + note[12:]
        os.pwrite(self._file, checked, self.size)
        self._unnoted = 0
