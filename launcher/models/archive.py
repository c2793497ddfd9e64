"""Zip archives that nobody believes: what may be read of one, in which order, and how much."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

DIRECTORY_MOST: Final = 4 << 20  # bytes read at once: a list of 60,000 entries; Python has 20 times as many of them
PLAIN: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others take gigabytes of memory where they are told to
# What Python's reader raises for archives that are damaged, encrypted, or made to hurt.
UNREADABLE_ZIP: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError),
)


class Bounded(io.FileIO):
    """A file of which nobody gets more than a few megabytes at once, whatever the archive says of itself."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > DIRECTORY_MOST:
            raise zipfile.BadZipFile("its list of files is larger than that of any model")
        return super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as error:  # in front of its beginning, or behind the end of any file
            raise zipfile.BadZipFile("its list of files leads elsewhere") from error


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose list of files is not too large. Raises one of UNREADABLE_ZIP, or `OSError`."""
    with Bounded(path) as file, zipfile.ZipFile(file) as archive:
        yield archive


def packed_files(archive: zipfile.ZipFile, endings: tuple[str, ...]) -> list[zipfile.ZipInfo]:
    """The files in it that end so, without what macOS puts beside them. Raises one of UNREADABLE_ZIP."""
    found = [one for one in archive.infolist() if one.filename.lower().endswith(endings)]
    found = [one for one in found if not re.search(r"(^|/)(__MACOSX/|\._)", one.filename)]
    if any(one.compress_type not in PLAIN for one in found):
        raise NotImplementedError("it is packed in a way that few programs use")
    return found


def read_between(file: IO[bytes], start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
