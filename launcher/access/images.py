"""All images of the web UI as one zip, made while it is sent: no second copy on the disk."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

KINDS: Final = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".mp4", ".webm")
PIECE: Final = 1 << 20  # bytes


class Pieces(io.RawIOBase):
    """What `zipfile` writes, until it is taken away. It cannot seek, so `zipfile` never turns back."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._held += data
        return len(data)

    def take(self) -> bytes:
        taken, self._held = bytes(self._held), bytearray()
        return taken


def images_in(folders: list[Path]) -> list[tuple[Path, str]]:
    """Every finished image below the folders, with its name in the zip; those with a dot in front are not finished."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder.parent)
            if path.suffix.lower() in KINDS and path.is_file() and not any(p.startswith(".") for p in inside.parts):
                found.append((path, inside.as_posix()))
    return found


def zipped(folders: list[Path]) -> Iterator[bytes]:
    """The zip, piece by piece. Images are packed already: they are stored as they are."""
    out = Pieces()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, name in images_in(folders):
            try:
                info, source = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False), path.open("rb")
            except FileNotFoundError:  # deleted meanwhile
                continue
            with source, archive.open(info, "w", force_zip64=True) as entry:
                while piece := source.read(PIECE):
                    entry.write(piece)
                    yield out.take()
    yield out.take()


async def zipped_aside(folders: list[Path]) -> AsyncIterator[bytes]:
    """The same without keeping the event loop from other things."""
    pieces = zipped(folders)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
