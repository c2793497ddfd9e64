"""All images of the web UI as one zip, made while it is sent: no second copy on the disk."""

import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Final

IMAGE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".mp4", ".webm")


def write_zip(folders: list[Path], pipe: int) -> None:
    """Write every finished image below the folders into a pipe, as it is, until nobody reads any more."""
    with (
        suppress(BrokenPipeError),
        open(pipe, "wb") as out,
        zipfile.ZipFile(out, "w", strict_timestamps=False) as zipped,
    ):
        for path, name in ((path, path.relative_to(top.parent)) for top in folders for path in sorted(top.rglob("*"))):
            unfinished = any(part.startswith(".") for part in name.parts)
            if path.suffix.lower() in IMAGE_ENDINGS and path.is_file() and not unfinished:
                with suppress(FileNotFoundError):  # deleted meanwhile
                    zipped.write(path, name)
