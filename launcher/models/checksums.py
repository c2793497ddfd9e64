"""What A1111 knows of model files, checksums and headers: kept on Drive, so that no new machine reads every model for
it again.

A1111 has it in diskcache databases, which must not lie on Drive (SQLite). Computing one checksum of a 2 GB checkpoint
took 9.2 of the 11.9 s of its first load.
"""

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import Folder, write_safely
from launcher.core.outside import Damaged, parsed_json, read_bytes, read_json, unpacked
from launcher.core.process import run

CHECKSUMS_FILE: Final = "oneclick-known.json.gz"  # on Drive: {section: {title: {"mtime": seconds, …}}}
# The databases of A1111 v1.10.1 that cost a look into a model.
SECTIONS: Final = ("hashes", "hashes-addnet", "safetensors-metadata")
LARGEST_ENTRY: Final = 16_384  # characters; some LoRAs carry a book on their training
LARGEST_LIST: Final = 256 << 20  # bytes, unpacked
# Run by A1111's own Python, which has diskcache: FILE FOLDER LARGEST SECTION… What is newer wins, as A1111 itself
# decides by the time of change.
EXCHANGE: Final = """
import json, sys
from diskcache import Cache
file, folder, largest, *sections = sys.argv[1:]
known = json.load(open(file))
for section in sections:
    with Cache(f"{folder}/{section}", size_limit=2**32, disk_min_file_size=2**18) as cache:
        for title, entry in known.get(section, {}).items():
            if entry["mtime"] > cache.get(title, {}).get("mtime", 0):
                cache[title] = entry
        known[section] = {title: cache[title] for title in cache if len(json.dumps(cache[title])) < int(largest)}
with open(file, "w") as out:
    json.dump(known, out)
"""
file_lock: Final = threading.Lock()  # downloads end side by side


def title_of(folder: Folder, path: Path) -> str | None:
    """What A1111 calls a checkpoint in its database; None for other models, whose checksums it does not ask for."""
    checkpoints = folder.models / "Stable-diffusion"
    return f"checkpoint/{path.relative_to(checkpoints).as_posix()}" if checkpoints in path.parents else None


def note_checksum(folder: Folder, path: Path, sha256: str) -> None:
    """Remember the checksum of a checkpoint that was computed while it was fetched."""
    title = title_of(folder, path)
    if title:
        with file_lock:
            known = read_kept(folder)
            known.setdefault("hashes", {})[title] = {"mtime": path.stat().st_mtime, "sha256": sha256}
            write_kept(folder, known)


def forget_checksum(folder: Folder, path: Path) -> None:
    """Forget the checksum of a checkpoint that was deleted."""
    with file_lock:
        known = read_kept(folder)
        if known.get("hashes", {}).pop(title_of(folder, path), None):
            write_kept(folder, known)


def known_checksum(folder: Folder, path: Path) -> str | None:
    """The SHA-256 of a checkpoint as it was computed once, if the file has not changed since."""
    with file_lock:
        hashes = read_kept(folder).get("hashes", {})
    match hashes.get(title_of(folder, path)):
        case {"mtime": mtime, "sha256": str(sha256)} if mtime == path.stat().st_mtime:
            return sha256
    return None


def sync_checksums(folder: Folder, *, only_news: bool = False) -> None:
    """Tell A1111 what is known on Drive, and keep on Drive what it found out since. Raises `CommandError`, `OSError`.

    `only_news`: nothing is done where Drive has nothing new for A1111, whose Python need not be started then.
    """
    part, done = folder.machine / "known.part.json", folder.machine / "known.json"
    with file_lock:
        before = read_kept(folder)
        if only_news and read_list(done) == before:
            return
        write_safely(part, json.dumps(before))
        python, cache = folder.python / "bin" / "python", folder.machine / "cache"
        run([str(python), "-c", EXCHANGE, str(part), str(cache), str(LARGEST_ENTRY), *SECTIONS])
        after = read_list(part)
        os.replace(part, done)
        if after != before:
            write_kept(folder, after)


def read_list(path: Path) -> dict[str, Any]:
    """What A1111's Python wrote on this machine; nothing where it did not."""
    return read_json(path, most=LARGEST_LIST) or {}


def read_kept(folder: Folder) -> dict[str, Any]:
    """What Drive has; nothing where the list is missing or damaged, for A1111 finds it out again."""
    try:
        return parsed_known(read_bytes(folder.kept / CHECKSUMS_FILE))
    except (FileNotFoundError, NotADirectoryError, Damaged):
        return {}


def parsed_known(data: bytes, shape: type = dict, what: str = CHECKSUMS_FILE) -> dict[str, Any]:
    """What the list holds that A1111 could have written. Raises `Damaged`."""
    known = parsed_json(unpacked(data, LARGEST_LIST, what), shape, what)
    return {
        section: {title: entry for title, entry in known[section].items() if is_entry(section, entry)}
        for section in SECTIONS
        if isinstance(known.get(section), dict)
    }


def is_entry(section: str, entry: object) -> bool:
    """True for an entry as A1111 makes it: it lists no models where there are others."""
    if not isinstance(entry, dict) or type(entry.get("mtime")) not in (int, float):
        return False
    value, kind = (entry.get("sha256"), str) if section.startswith("hashes") else (entry.get("value"), dict)
    return isinstance(value, kind)


def write_kept(folder: Folder, known: dict[str, Any]) -> None:
    write_safely(folder.kept / CHECKSUMS_FILE, gzip.compress(json.dumps(known).encode(), mtime=0))
