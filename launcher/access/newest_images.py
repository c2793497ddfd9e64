"""The newest images, for the page: which they are, and small copies, made here where Pillow is at hand."""

import hashlib
import heapq
import io
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif")
NEWEST_SHOWN: Final = 12
REMEMBERED: Final = 4 * NEWEST_SHOWN  # a page that was drawn a while ago still gets its pictures
SIDE: Final = 320  # pixels, at most, of a small copy
MOST_AS_IT_IS: Final = 4 << 20  # bytes of an image that is sent as it is in place of a small copy
MOST_PIXELS: Final = 64_000_000  # of an image of which a small copy is made: it takes four bytes for each


class NewestImages:
    """A page may ask for what this has told it, by an id that says nothing of the path: for nothing else."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}

    def find(self, folders: Iterable[Path]) -> list[tuple[str, str]]:
        """(id, file's name) of the newest below the folders, the newest first. Links are not followed: what they lead
        to, the images of earlier days, is on Drive.
        """
        newest = heapq.nlargest(NEWEST_SHOWN, (one for top in folders for one in images_below(top)))
        found = {hashlib.sha256(f"{when}{path}".encode()).hexdigest()[:24]: path for when, path in newest}
        self._paths = dict(list((self._paths | found).items())[-REMEMBERED:])
        return [(one, path.name) for one, path in found.items()]

    def path(self, name: str) -> Path | None:
        path = self._paths.get(name)
        return path if path and path.is_file() and not path.is_symlink() else None


def images_below(top: Path) -> Iterator[tuple[float, Path]]:
    """(when it was written, where it is) of each finished image."""
    for where, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(where, name)
            if path.suffix.lower() in PICTURES and not name.startswith(".") and not path.is_symlink():
                try:
                    yield path.stat().st_mtime, path
                except FileNotFoundError:  # deleted meanwhile
                    continue


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
