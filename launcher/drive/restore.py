"""Settings, styles, embeddings and the like come from Drive to a new machine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from launcher.core.files import copy_whole
from launcher.core.outside import printable
from launcher.drive.names import HUB_CACHE, NOT_KEPT_ENDINGS, is_drives_fault

COMES_BACK: Final = 50_000_000  # bytes; larger files stay on Drive, images are not brought back at all
SETTINGS: Final = ("config.json", "ui-config.json", "*.csv", "params.txt", "log/images/log.csv")
SMALL_FOLDERS: Final = ("embeddings", HUB_CACHE, "config_states", "interrogate")


def restore_files(drive_dir: Path, data: Path, say: Callable[[str], None]) -> list[str]:
    """Bring the small files; returns the names of those that came. Raises `OSError` if Drive is away.

    A file that is newer on the machine stays: it is on its way to Drive. One that cannot be read is named and left out.
    """
    came, unreadable = list[str](), list[str]()
    for name in small_files(drive_dir):
        source, target = drive_dir / name, data / name
        try:
            info = source.stat()
            if info.st_size > COMES_BACK or (target.exists() and target.stat().st_mtime >= info.st_mtime - 1):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_whole(source, target)
            came.append(name)
        except OSError as error:
            if is_drives_fault(error, drive_dir):
                raise
            unreadable.append(printable(name))
    if unreadable:
        say(f"These files on your Drive cannot be read and were skipped: {', '.join(unreadable)}.")
    return came


def small_files(drive_dir: Path) -> Iterator[str]:
    """What a start brings back: the settings at the top, the Save button's list, and a few folders of small files.

    Whether such a file can be read is not known yet: on Drive it may be a shortcut that leads nowhere.
    """
    for pattern in SETTINGS:
        yield from (str(path.relative_to(drive_dir)) for path in sorted(drive_dir.glob(pattern)))
    for folder in SMALL_FOLDERS:
        for where, _, names in os.walk(drive_dir / folder):
            yield from (
                os.path.relpath(f"{where}/{name}", drive_dir) for name in names if not name.endswith(NOT_KEPT_ENDINGS)
            )
