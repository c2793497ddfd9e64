"""What a new machine gets from Drive: settings, styles, embeddings and the like, and the sight of earlier images.

Drive empties, cuts and garbles files, so what does not check stays there. Of what the hub's client has fetched the
checksums are kept on Drive, too, for it asks no more for a file that is there; what launchers before this one kept must
at least be what its name says. What is not is fetched or made anew.
"""

import datetime
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from launcher.core import outside
from launcher.core.folder import copy_whole, write_safely
from launcher.core.outside import Damaged, printable
from launcher.core.problem import Problem
from launcher.core.session import read_object
from launcher.drive.mount import is_drives_fault
from launcher.drive.records import COPIES, HUB_CACHE, NOT_KEPT_ENDINGS, Record, Records, fingerprint_of, is_copy_of
from launcher.models.checksums import CHECKSUMS_FILE, parsed_known
from launcher.source.versions import OLD_NOTES, VERSIONS
from launcher.webui.outputs import FETCHED, OUTPUTS

COMES_BACK: Final = 50_000_000  # bytes; larger files stay on Drive
SETTINGS: Final = ("config.json", "ui-config.json", "*.csv", "params.txt", "user.css", "log/images/log.csv")
PEOPLES: Final = "embeddings"
STATES: Final = "config_states"  # A1111's own, of its Extensions tab
SMALL_FOLDERS: Final = (PEOPLES, HUB_CACHE, STATES, FETCHED)
HUB_CHECKSUMS: Final = "oneclick-hub.json"  # on Drive: {name: SHA-256}
ASIDE: Final = "damaged"  # the folder on Drive for what would come back from a folder of these once more
SET_ASIDE: Final = ".broken-"  # in the name of what was set aside beside the others
LATEST: Final = 1 << 33  # seconds; A1111 dies of a date that there is not
NO_MERGE: Final = 1000  # words of a vocabulary that came by no merge: single letters, and a few with a meaning
DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
noting: Final = threading.Lock()  # copies go on side by side


def note_checksum_of_hub(drive_dir: Path, path: Path, name: str) -> None:
    """The file is on Drive under this name, as it is on the machine. Raises `OSError`."""
    if name.startswith(f"{HUB_CACHE}/") and path.stat().st_size <= COMES_BACK:
        with noting:
            known = read_object(drive_dir / HUB_CHECKSUMS) | {name: hashlib.sha256(path.read_bytes()).hexdigest()}
            write_safely(drive_dir / HUB_CHECKSUMS, json.dumps(known, indent=1))


def restore_files(drive_dir: Path, data: Path, say: Callable[[str], None], records: Records) -> int:
    """Bring the small files, and return how many came.

    A file that is newer on the machine stays: it is on its way to Drive. One that is damaged is set aside there, one
    that cannot be read left out, and both are named. Raises `OSError` if Drive is away.
    """
    for name in (VERSIONS, OLD_NOTES, HUB_CHECKSUMS):  # whoever reads them takes a damaged one for none
        outside.read_note(drive_dir / name, say)
    outside.read_note(drive_dir / CHECKSUMS_FILE, say, parse=parsed_known)
    came, damaged, unreadable = list[str](), dict[str, str](), dict[str, str]()
    known = read_object(drive_dir / HUB_CHECKSUMS)
    for name in small_files(drive_dir):
        shown = re.sub("/[^/]+/.+/", "/…/", printable(name))  # the hub's are long
        try:
            try:
                if restore_file(drive_dir, data, name, known.get(name), records.all.get(str(data / name))):
                    came.append(name)
            except Damaged:
                aside = outside.set_aside(drive_dir / name, drive_dir / ASIDE if "/" in name else None)
                records.forget(str(data / name))  # what is here is to be on Drive again
                damaged[name] = f"{shown} (now {printable(str(aside.relative_to(drive_dir)))})"
        except (OSError, Problem) as error:
            if is_drives_fault(error, drive_dir):
                raise
            unreadable[name] = shown
    if damaged:
        again = "The web UI fetches them again, or starts with its defaults."
        say(f"Damaged files on your Drive were set aside: {', '.join(damaged.values())}. {again}")
    if unreadable:
        say(f"These files on your Drive cannot be read and were skipped: {', '.join(unreadable.values())}.")
    lists = f"{FETCHED}/"  # A1111 fetches them together, or none
    if any(name.startswith(lists) and not (data / name).exists() for name in (*damaged, *unreadable)):
        shutil.rmtree(data / FETCHED, ignore_errors=True)
        came = [name for name in came if not name.startswith(lists)]
    for name in came:
        if name not in known:
            with suppress(OSError):  # Drive may be full
                note_checksum_of_hub(drive_dir, data / name, name)
        records.keep(str(data / name), fingerprint_of((data / name).stat()), name)
    return len(came)


def restore_file(drive_dir: Path, data: Path, name: str, known: str | None, record: Record | None) -> bool:
    """Bring one, unless it is here already, or large. Raises `Damaged`, `OSError`, `Problem` for an impossible name.

    Where Drive has what was copied last, by its `record`, the machine's is the newer one, whatever their dates.
    """
    if (data / name).is_symlink():  # to Drive, or within the hub's cache: it is here
        return False
    source, target = drive_dir / name, outside.joined(data, name)
    info = source.stat()
    same = record and is_copy_of(record.kept, info)
    if info.st_size > COMES_BACK or (target.exists() and (same or target.stat().st_mtime >= info.st_mtime - 1)):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        copy_whole(source, target, check=lambda part: check_file(part, name, known, source.parent))
    except OSError as error:  # one that people made, and nobody makes anew, may be there again tomorrow
        if error.errno in outside.LOST and not name.startswith(f"{PEOPLES}/") and not is_drives_fault(error, drive_dir):
            raise Damaged(source.name, "its contents are lost") from error
        raise
    return True


def small_files(drive_dir: Path) -> Iterator[str]:
    """The settings at the top, the Save button's list, a few folders of small files; dead shortcuts, too."""
    settings = (path for pattern in SETTINGS for path in sorted(drive_dir.glob(pattern)))
    yield from (str(path.relative_to(drive_dir)) for path in settings if SET_ASIDE not in path.name)
    for folder in SMALL_FOLDERS:
        for where, folders, files in os.walk(drive_dir / folder):
            names = files if folder != FETCHED else [*files, *folders]  # which has none: one took the name of a list
            kept = (name for name in names if not name.endswith(NOT_KEPT_ENDINGS))
            yield from (os.path.relpath(f"{where}/{name}", drive_dir) for name in kept)


# ---- what must hold of a file


def check_file(part: Path, name: str, known: str | None, beside: Path) -> None:
    """Raise `Damaged` for what came from the folder `beside` on Drive as `part`. `known` is its checksum, if it is."""
    *folders, last = name.split("/")
    data, top = outside.read_bytes(part, COMES_BACK), name.partition("/")[0]
    if top == HUB_CACHE and known is not None:
        if hashlib.sha256(data).hexdigest() != known:
            raise Damaged(last, "it is not what was kept there")
    elif top == HUB_CACHE and ".no_exist" in folders:
        return  # it says by its name alone that the hub has none
    elif top == HUB_CACHE and "refs" in folders and not re.fullmatch(rb"[0-9a-f]{40}", data):
        raise Damaged(last, "it names no version")
    elif top == STATES or name.endswith(".json"):
        found = outside.parsed_json(data, object if top == HUB_CACHE else dict, last)
        made = found.get("created_at", 0) if top == STATES else 0
        if not isinstance(made, int | float) or not 0 <= made < LATEST:  # A1111's page would not be built
            raise Damaged(last, "it has no date")
    elif top == FETCHED or name.endswith(".txt" if top == HUB_CACHE else (".csv", ".txt", ".css")):
        text = outside.parsed_text(data, last)
        words = read_object(beside / "vocab.json") if last == "merges.txt" else {}
        if top in (FETCHED, HUB_CACHE) and data.decode(errors="ignore").encode() != data:  # UTF-8: no hand wrote it
            raise Damaged(last, "it holds no text")
        if top == HUB_CACHE and len(words) > text.count("\n") + NO_MERGE:
            raise Damaged(last, "it is cut off")
    elif top == HUB_CACHE and not data.strip(b"\0"):
        raise Damaged(last, "nothing is in it")


# ---- images of earlier days


def show_earlier_images(data: Path, drive_dir: Path, say: Callable[[str], object], over: Callable[[], bool]) -> None:
    """Have the folders of all days in the data directory; those that it has stay as they are. Ends early if `over`.

    A1111 files images by day, and counts on from the names in today's folder. Days before today are links to their
    folders on Drive: nothing is read, and what a person deletes there is deleted on Drive. Today's images come back as
    files, for the web UI writes beside them; the last number first, so that the next image has the next one at once.
    Raises `OSError` if Drive is away; what it does not give is said and left out.
    """
    today = datetime.date.today().isoformat()  # by the same clock as A1111's

    def unreadable(error: OSError) -> None:
        if is_drives_fault(error, drive_dir):
            raise error
        name = printable(os.path.relpath(error.filename, drive_dir))
        say(f"{name} on your Drive cannot be read, so its images of earlier days are not seen in the web UI.")

    def bring(source: Path) -> None:
        target = data / source.relative_to(drive_dir)
        try:
            if not over() and source.is_file() and source.stat().st_size <= COMES_BACK and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_whole(source, target)
        except OSError as error:
            error.filename = source  # not all have one
            unreadable(error)

    for there in day_folders(drive_dir, unreadable):
        here = data / there.relative_to(drive_dir)
        if os.path.lexists(here):
            continue
        here.parent.mkdir(parents=True, exist_ok=True)
        if there.name < today:
            here.symlink_to(there)
            continue
        here.mkdir()
        with ThreadPoolExecutor(COPIES) as pool:
            wanted = (path for path in there.rglob("*") if not path.name.endswith(NOT_KEPT_ENDINGS))
            list(pool.map(bring, sorted(wanted, reverse=True)))


def day_folders(drive_dir: Path, unreadable: Callable[[OSError], None]) -> Iterator[Path]:
    """The folders on Drive that are named as days: outputs/DAY and outputs/txt2img-images/DAY, for example."""
    for top in (drive_dir / name for name in OUTPUTS if (drive_dir / name).is_dir()):
        for where, folders, _ in os.walk(top, onerror=unreadable):
            yield from (Path(where, name) for name in sorted(folders) if DAY.fullmatch(name))
            folders[:] = [name for name in folders if where == str(top) and not DAY.fullmatch(name)]
