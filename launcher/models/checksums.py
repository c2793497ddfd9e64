"""What A1111 knows of model files, checksums and headers: kept on Drive, so that no new machine reads them all again.

A1111 has it in diskcache databases, which must not lie on Drive (SQLite). Computing one checksum of a 2 GB checkpoint
took 9.2 of the 11.9 s of its first load.
"""

import gzip
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import Folder, write_safely
from launcher.core.outside import Damaged, parsed_json, read_json, unpacked
from launcher.core.process import run

CHECKSUMS_FILE: Final = "oneclick-known.json.gz"  # on Drive: {section: {title: {"mtime": seconds, …}}}
# The databases of A1111 v1.10.1 that cost a look into a model -> what an entry has besides its time.
SECTIONS: Final = {"hashes": ("sha256", str), "hashes-addnet": ("sha256", str), "safetensors-metadata": ("value", dict)}
LARGEST_ENTRY: Final = 16_384  # characters; some LoRAs carry a book on their training
LARGEST_LIST: Final = 256 << 20  # bytes, unpacked
# Run by A1111's own Python, which has diskcache: FILE FOLDER LARGEST SECTION… What is newer wins, as in A1111 itself.
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


def note_checksum(folder: Folder, path: Path, sha256: str | None) -> None:
    """Remember the checksum of a checkpoint that was computed while it was fetched; None: it was deleted."""
    if title := title_of(folder, path):
        with file_lock:
            known = read_kept(folder)
            known.setdefault("hashes", {}).pop(title, None)
            if sha256:
                known["hashes"][title] = {"mtime": path.stat().st_mtime, "sha256": sha256}
            write_kept(folder, known)


def known_checksum(folder: Folder, path: Path) -> str | None:
    """The SHA-256 of a checkpoint as it was computed once, if the file has not changed since."""
    with file_lock:
        known = read_kept(folder).get("hashes", {}).get(title_of(folder, path))
    return str(known["sha256"]) if known and known["mtime"] == path.stat().st_mtime else None


def sync_checksums(folder: Folder, *, only_news: bool = False) -> None:
    """Tell A1111 what is known on Drive, and keep on Drive what it found out since. Raises `CommandError`, `OSError`.

    `only_news`: nothing is done where Drive has nothing new for A1111, whose Python need not be started then.
    """
    part, done = folder.machine / "known.part.json", folder.machine / "known.json"
    with file_lock:
        before = read_kept(folder)
        if only_news and (read_json(done, most=LARGEST_LIST) or {}) == before:
            return
        write_safely(part, json.dumps(before))
        python, cache = folder.python / "bin" / "python", folder.machine / "cache"
        run([str(python), "-c", EXCHANGE, str(part), str(cache), str(LARGEST_ENTRY), *SECTIONS])
        after = read_json(part, most=LARGEST_LIST) or {}
        os.replace(part, done)
        if after != before:
            write_kept(folder, after)


def read_kept(folder: Folder) -> dict[str, Any]:
    """What Drive has; nothing where the list is missing or damaged, for A1111 finds it out again."""
    with suppress(Damaged):
        return read_json(folder.kept / CHECKSUMS_FILE, parse=parsed_known) or {}
    return {}


def write_kept(folder: Folder, known: dict[str, Any]) -> None:
    write_safely(folder.kept / CHECKSUMS_FILE, gzip.compress(json.dumps(known).encode(), mtime=0))


def parsed_known(data: bytes, shape: type = dict, what: str = CHECKSUMS_FILE) -> dict[str, Any]:
    """What the list holds that A1111 could have written: it lists no models where there is else. Raises `Damaged`."""
    known = parsed_json(unpacked(data, LARGEST_LIST, what), shape, what)
    return {
        section: {
            title: one
            for title, one in known[section].items()
            if isinstance(one, dict) and type(one.get("mtime")) in (int, float) and isinstance(one.get(name), kind)
        }
        for section, (name, kind) in SECTIONS.items()
        if isinstance(known.get(section), dict)
    }
