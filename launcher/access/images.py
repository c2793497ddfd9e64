"""The images of the web UI: the newest ones for the page, with small copies of them, and all as one zip."""

import hashlib
import heapq
import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif")
IN_THE_ZIP: Final = (*PICTURES, ".mp4", ".webm")
NEWEST_SHOWN: Final = 12
REMEMBERED: Final = 4 * NEWEST_SHOWN  # a page that was drawn a while ago still gets its pictures
SIDE: Final = 320  # pixels, at most, of a small copy
ZIP_PIECE: Final = 256 << 10  # bytes that are read at once for the zip
MOST_PIXELS: Final = 64_000_000  # of an image of which a small copy is made: it takes four bytes for each


class NewestImages:
    """A page may ask for what this has told it, by an id that says nothing of the path: for nothing else."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}

    def find(self, folders: Iterable[Path]) -> list[tuple[str, str]]:
        """(id, file's name) of the newest below the folders, the newest first."""
        written = list[tuple[float, Path]]()
        for path in (path for top in folders for path in finished_below(top, PICTURES)):
            with suppress(FileNotFoundError):  # it was deleted meanwhile
                written.append((path.stat().st_mtime, path))
        newest = heapq.nlargest(NEWEST_SHOWN, written)
        found = {hashlib.sha256(f"{when}{path}".encode()).hexdigest()[:24]: path for when, path in newest}
        self._paths = dict(list((self._paths | found).items())[-REMEMBERED:])
        return [(one, path.name) for one, path in found.items()]

    def path(self, name: str) -> Path | None:
        path = self._paths.get(name)
        return path if path and path.is_file() and not path.is_symlink() else None


def finished_below(top: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Links are not followed: what they lead to, the images of earlier days, is on Drive."""
    for where, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            if path.suffix.lower() in endings and not name.startswith(".") and not path.is_symlink():
                yield path


@lru_cache(maxsize=REMEMBERED)
def small_copy(path: Path, name: str) -> bytes | None:
    """A WebP of the image with that id; None where there is no Pillow, or it can make nothing of the file."""
    try:
        from PIL import Image
    except ImportError:
        return None
    small = io.BytesIO()
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            image.thumbnail((SIDE, SIDE))
            image.convert("RGB").save(small, "WEBP", quality=70)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what it raises for damaged files
        return None
    return small.getvalue()


def zip_pieces(folders: Iterable[Path]) -> Iterator[bytes]:
    """Every finished image below the folders as one zip, made while it is sent: no second copy on the disk."""
    images = ((path, path.relative_to(top.parent)) for top in folders for path in finished_below(top, IN_THE_ZIP))
    out = Outgoing()
    with zipfile.ZipFile(out, "w") as zipped:
        for path, name in images:
            with suppress(FileNotFoundError), path.open("rb") as file:  # else it was deleted meanwhile
                entry = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
                with zipped.open(entry, "w") as copy:
                    while piece := file.read(ZIP_PIECE):
                        copy.write(piece)
                        yield out.take()
    yield out.take()


class Outgoing(io.BytesIO):
    """Holds what was written until it is taken; `zipfile` goes by that it has no place to go back to."""

    def tell(self) -> int:
        raise OSError

    def take(self) -> bytes:
        taken = self.getvalue()
        self.seek(0)
        self.truncate()
        return taken
