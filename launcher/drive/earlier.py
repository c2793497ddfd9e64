"""Images of earlier days are seen on a new machine, in the web UI and by extensions that browse images.

A1111 files images by day, and counts on from the names in today's folder. Days before today are links to their folders
on Drive: nothing is read, and what a person deletes there is deleted on Drive. Today's images come back as files, for
the web UI writes beside them: the sync takes care of them as of all others.
"""

import datetime
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from launcher.core.files import copy_whole
from launcher.core.outside import printable
from launcher.drive.checks import COMES_BACK
from launcher.drive.names import NOT_KEPT_ENDINGS, is_drives_fault
from launcher.webui.outputs import OUTPUTS

DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
BROUGHT_SIDE_BY_SIDE: Final = 4  # files


def show_earlier_images(data: Path, drive_dir: Path, say: Callable[[str], object], over: Callable[[], bool]) -> None:
    """Have the folders of all days in the data directory; those that it has stay as they are. Ends early if `over`.

    Raises `OSError` if Drive is away; what it does not give is said and left out.
    """
    today = datetime.date.today().isoformat()  # by the same clock as A1111's

    def unreadable(error: OSError) -> None:
        if is_drives_fault(error, drive_dir):
            raise error
        name = printable(os.path.relpath(error.filename, drive_dir))
        say(f"{name} on your Drive cannot be read, so its images of earlier days are not seen in the web UI.")

    for there in day_folders(drive_dir, unreadable):
        here = data / there.relative_to(drive_dir)
        if os.path.lexists(here):
            continue
        here.parent.mkdir(parents=True, exist_ok=True)
        if there.name < today:
            here.symlink_to(there)
        else:
            bring_back(there, here, unreadable, over)


def day_folders(drive_dir: Path, unreadable: Callable[[OSError], None]) -> Iterator[Path]:
    """The folders on Drive that are named as days: outputs/DAY and outputs/txt2img-images/DAY, for example."""
    for top in (drive_dir / name for name in OUTPUTS if (drive_dir / name).is_dir()):
        for where, folders, _ in os.walk(top, onerror=unreadable):
            yield from (Path(where, name) for name in sorted(folders) if DAY.fullmatch(name))
            folders[:] = [name for name in folders if where == str(top) and not DAY.fullmatch(name)]


def bring_back(there: Path, here: Path, unreadable: Callable[[OSError], None], over: Callable[[], bool]) -> None:
    """Copy a day's files, the last number first: the next image then has the next number at once."""

    def bring(source: Path) -> None:
        target = here / source.relative_to(there)
        try:
            if not over() and source.is_file() and source.stat().st_size <= COMES_BACK and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_whole(source, target)
        except OSError as error:
            unreadable(error)

    here.mkdir()
    with ThreadPoolExecutor(BROUGHT_SIDE_BY_SIDE) as pool:
        wanted = sorted(path for path in there.rglob("*") if not path.name.endswith(NOT_KEPT_ENDINGS))
        list(pool.map(bring, reversed(wanted)))
