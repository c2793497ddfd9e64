"""All images of the web UI as one zip, made while it is sent: no second copy on the disk."""

import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Final

KINDS: Final = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".mp4", ".webm")


def images_in(folders: list[Path]) -> list[tuple[Path, str]]:
    """Every finished image below the folders, with its name in the zip; those with a dot in front are not finished."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder.parent)
            if path.suffix.lower() in KINDS and path.is_file() and not any(p.startswith(".") for p in inside.parts):
                found.append((path, inside.as_posix()))
    return found


def write_zip(folders: list[Path], pipe: int) -> None:
    """Write the zip into a pipe until nobody reads any more. Images are packed already: they are stored as they are."""
    with (
        suppress(BrokenPipeError),
        open(pipe, "wb") as out,
        zipfile.ZipFile(out, "w", strict_timestamps=False) as zipped,
    ):
        for path, name in images_in(folders):
            with suppress(FileNotFoundError):  # deleted meanwhile
                zipped.write(path, name)
