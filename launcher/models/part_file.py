"""An unfinished download on the disk: which stretches are there, and a note of them."""

import os
import struct
import threading
from pathlib import Path
from typing import Final

CHUNK: Final = 8 << 20  # bytes asked for in one ranged request
SLOTS: Final = 32  # stretches that may be begun at once: how far the fastest connection runs ahead
NOTE_EVERY: Final = 512 << 10  # bytes after which it is noted which are there: what a kill may cost


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
        while self.frontier in self._stretches and self.frontier + self._stretches[self.frontier] >= self._end(
            self.frontier
        ):
            del self._stretches[self.frontier]
            self._taken.discard(self.frontier)
            self.frontier = self._end(self.frontier)

    def _note(self) -> None:
        pairs = [number for pair in self._stretches.items() for number in pair]
        os.pwrite(
            self._file, self.FORMAT.pack(self.MAGIC, self.frontier, *pairs, *[0] * (2 * SLOTS - len(pairs))), self.size
        )
        self._unnoted = 0
