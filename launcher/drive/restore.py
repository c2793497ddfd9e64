"""Settings, styles, embeddings and the like come from Drive to a new machine: what does not check stays there."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from launcher.core.files import copy_whole
from launcher.core.outside import LOST, Damaged, joined, printable, read_note, set_aside
from launcher.core.problem import Problem
from launcher.drive.checks import COMES_BACK, HUB_CHECKSUMS, STATES, Checks, check_file
from launcher.drive.names import HUB_CACHE, NOT_KEPT_ENDINGS, fingerprint_of, is_drives_fault
from launcher.drive.records import Records
from launcher.models.checksums import CHECKSUMS_FILE, parsed_known
from launcher.source.versions import OLD_NOTES, VERSIONS
from launcher.webui.outputs import FETCHED

SETTINGS: Final = ("config.json", "ui-config.json", "*.csv", "params.txt", "log/images/log.csv")
PEOPLES: Final = "embeddings"
SMALL_FOLDERS: Final = (PEOPLES, HUB_CACHE, STATES, FETCHED)
ASIDE: Final = "damaged"  # the folder on Drive for what would come back from a folder of these once more
SET_ASIDE: Final = ".broken-"  # in the name of what was set aside beside the others


def restore_files(drive_dir: Path, data: Path, say: Callable[[str], None], checks: Checks, records: Records) -> int:
    """Bring the small files, and return how many came.

    A file that is newer on the machine stays: it is on its way to Drive. One that is damaged is set aside there, one
    that cannot be read left out, and both are named. Raises `OSError` if Drive is away.
    """
    came, damaged, unreadable, known = list[str](), dict[str, str](), list[str](), checks.read()
    for name in small_files(drive_dir):
        try:
            try:
                if restore_file(drive_dir, data, name, known.get(name)):
                    came.append(name)
            except Damaged:
                aside = set_aside(drive_dir / name, drive_dir / ASIDE if "/" in name else None)
                damaged[name] = str(aside.relative_to(drive_dir))
        except (OSError, Problem) as error:
            if is_drives_fault(error, drive_dir):
                raise
            unreadable.append(in_short(name))
    if damaged:
        files = ", ".join(f"{in_short(name)} (now {printable(aside)})" for name, aside in damaged.items())
        say(
            f"Damaged files on your Drive were set aside: {files}. The web UI fetches them again, or starts with its "
            "defaults."
        )
    if unreadable:
        say(f"These files on your Drive cannot be read and were skipped: {', '.join(unreadable)}.")
    lists = [name for name in (*damaged, *unreadable) if name.startswith(f"{FETCHED}/")]
    if not all((data / name).exists() for name in lists):  # A1111 fetches them together, or none
        shutil.rmtree(data / FETCHED, ignore_errors=True)
        came = [name for name in came if not name.startswith(f"{FETCHED}/")]
    for name in came:
        checks.note(data / name, name)
        records.keep(str(data / name), fingerprint_of((data / name).stat()), name)
    for path in records.all.keys() & {str(data / name) for name in damaged}:
        records.forget(path)  # what is here is to be on Drive again
    return len(came)


def check_notes(drive_dir: Path, say: Callable[[str], None]) -> None:
    """Set aside, and say, what is damaged of the launcher's own notes. Whoever reads them takes that for none."""
    for name in (VERSIONS, OLD_NOTES, HUB_CHECKSUMS):
        read_note(drive_dir / name, say)
    read_note(drive_dir / CHECKSUMS_FILE, say, parse=parsed_known)


def in_short(name: str) -> str:
    """A name without the folders in between, for the hub's are long."""
    parts = printable(name).split("/")
    return "/".join(parts if len(parts) < 4 else (parts[0], "…", parts[-1]))


def restore_file(drive_dir: Path, data: Path, name: str, known: object) -> bool:
    """Bring one, unless it is here already, or large. Raises `Damaged`, `OSError`, and `Problem` for a name that leads
    elsewhere.
    """
    if (data / name).is_symlink():  # to Drive, or within the hub's cache: it is here
        return False
    source, target = drive_dir / name, joined(data, name)
    info = source.stat()
    if info.st_size > COMES_BACK or (target.exists() and target.stat().st_mtime >= info.st_mtime - 1):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        copy_whole(source, target, check=lambda part: check_file(part, name, known, source.parent))
    except OSError as error:  # one that people made, and nobody makes anew, may be there again tomorrow
        if error.errno in LOST and not name.startswith(f"{PEOPLES}/") and not is_drives_fault(error, drive_dir):
            raise Damaged(source.name, "its contents are lost") from error
        raise
    return True


def small_files(drive_dir: Path) -> Iterator[str]:
    """What a start brings back: the settings at the top, the Save button's list, and a few folders of small files.

    Whether such a file can be read is not known yet: on Drive it may be a shortcut that leads nowhere.
    """
    for pattern in SETTINGS:
        found = (path for path in sorted(drive_dir.glob(pattern)) if SET_ASIDE not in path.name)
        yield from (str(path.relative_to(drive_dir)) for path in found)
    for folder in SMALL_FOLDERS:
        for where, folders, files in os.walk(drive_dir / folder):
            names = files if folder != FETCHED else [*files, *folders]  # which has none: one took the name of a list
            yield from (
                os.path.relpath(f"{where}/{name}", drive_dir) for name in names if not name.endswith(NOT_KEPT_ENDINGS)
            )
