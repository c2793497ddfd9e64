"""Zip archives that nobody believes: what may be read of one, in which order, and how much."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import error as struct_error
from typing import Final

DIRECTORY_MOST: Final = 4 << 20  # bytes read at once: a list of 60,000 entries; Python has 20 times as many of them
PIECE_BYTES: Final = 1 << 20  # bytes
PLAIN: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others take gigabytes of memory where they are told to
NOT_CONTENT: Final = re.compile(r"(^|/)(__MACOSX/|\._)")
# What Python's reader raises for archives that are damaged, encrypted, or made to hurt.
UNREADABLE_ZIP: Final = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError),
    *(RuntimeError, ValueError, OverflowError, struct_error),
)


class Bounded(io.FileIO):
    """A file of which nobody gets more than a few megabytes at once, whatever the archive says of itself."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > DIRECTORY_MOST:
            raise zipfile.BadZipFile("its list of files is larger than that of any model")
        return super().read(-1 if size is None else size) or b""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As a file's, but for an archive that leads in front of its own beginning."""
        try:
            return super().seek(offset, whence)
        except OSError as error:
            raise zipfile.BadZipFile("its list of files leads elsewhere") from error


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose list of files is not too large. Raises one of UNREADABLE_ZIP, or `OSError`."""
    with Bounded(path) as file, zipfile.ZipFile(file) as archive:
        yield archive


def packed_files(archive: zipfile.ZipFile, endings: tuple[str, ...]) -> list[zipfile.ZipInfo]:
    """The files in it that end so, without what macOS puts beside them. Raises one of UNREADABLE_ZIP."""
    found = [one for one in archive.infolist() if not NOT_CONTENT.search(one.filename)]
    found = [one for one in found if one.filename.lower().endswith(endings)]
    if any(one.compress_type not in PLAIN for one in found):
        raise NotImplementedError("it is packed in a way that few programs use")
    return found


class Member:
    """A file in an archive, read from its beginning on: `read` for who looks at it, then `pieces` for all of it."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self.size, self._source, self._begun = info.file_size, archive.open(info), b""

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end), which should lie near its beginning: they are kept."""
        while len(self._begun) < end and (piece := self._source.read(min(PIECE_BYTES, end - len(self._begun)))):
            self._begun += piece
        return self._begun[start:end]

    def pieces(self, over: Callable[[], bool]) -> Iterator[bytes]:
        """All of it, until it is `over`."""
        piece = self._begun
        while piece and not over():
            yield piece
            piece = self._source.read(PIECE_BYTES)
