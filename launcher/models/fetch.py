"""One file to its folder: fetched, inspected and named, or found there already. For the catalog and pasted links."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from launcher.core.files import free_path
from launcher.core.folder import PART, require_room
from launcher.models.arrived import Settle, receive
from launcher.models.checksums import known_checksum, note_checksum
from launcher.models.download import download, sha256_of
from launcher.models.fetcher import Fetcher
from launcher.models.http import read_range, until_stopped
from launcher.models.identify import OLD_ENDINGS, fault_of
from launcher.models.kinds import KIND_ENDINGS
from launcher.models.remote import Remote, TokenNeeded
from launcher.models.room import promised_room

__all__ = ("Fetcher", "fetch_remote", "same_as_remote", "sound_or_set_aside", "with_token")

SAMPLES: Final = 8  # parts of two files that are compared where no checksum is known
SAMPLE: Final = 64 << 10  # bytes
LONGEST_QUESTION: Final = 300.0  # seconds that sources may take to say what a link leads to, with all tries


def fetch_remote(fetcher: Fetcher, remote: Remote, folder: Path, kind: str = "", settle: Settle | None = None) -> Path:
    """Download one file into its folder, or where `settle` has the kind that it turns out to be; return where it is."""
    if remote.name.lower().endswith(OLD_ENDINGS) and ".safetensors" in KIND_ENDINGS.get(kind, ()):
        fetcher.step.notice(
            f"{remote.name} is a pickle file, which can contain code. Choose a .safetensors file of the same model if "
            "there is one."
        )
    fetcher.step.say(remote.name)
    # What is written to Google Drive lies on the runtime's disk until it is uploaded (googlecolab/colabtools#659).
    require_room(fetcher.folder.machine, remote.size, "the runtime's disk", f"The model {remote.name}")
    keep = partial(receive, fetcher, kind=kind, whole=not remote.sha256, settle=settle)
    part = folder / f"{remote.name}.{remote.tag}{PART}"
    disks = {fetcher.where: folder, "the runtime's disk": fetcher.folder.machine}
    own = fetcher.folder.session / "downloads"
    with promised_room(part, remote.size, f"The model {remote.name}", disks):
        target = folder / remote.name
        path, digest = download(remote, target, where=fetcher.where, own=own, step=fetcher.step, receive=keep)
    if path.stat().st_size == remote.size:  # else it came in an archive, whose checksum that is
        note_checksum(fetcher.folder, path, digest)
    if remote.listed not in ("", digest):
        fetcher.step.notice(
            f"{remote.place} states another checksum for {path.name}: its list is old, or the file was replaced. The "
            "file is whole, and is used."
        )
    return path


def with_token(fetcher: Fetcher, resolve: Callable[[str], Remote]) -> Remote:
    """Resolve without a token first (a wrong one breaks public files too); look for one only where it may help."""
    found = partial(until_stopped, fetcher.step.stop, most=LONGEST_QUESTION)
    try:
        remote = found(lambda: resolve(""))
    except TokenNeeded as needed:
        token = fetcher.ask_token(needed.name, "" if needed.at_hand else needed.reason)
        if not token:
            raise
        remote = found(lambda: resolve(token))
    if remote.note:
        fetcher.step.notice(remote.note)
    return remote


def sound_or_set_aside(fetcher: Fetcher, path: Path, size: int = 0, sha256: str = "") -> bool:
    """True if the file is there and whole; another one is named, and a broken one (cut off, a web page) set aside."""
    if not path.exists():
        return False
    fault = fault_of(path)
    if fault:
        os.replace(path, aside := free_path(path.with_name(f"{path.name}.broken")))
        fetcher.step.notice(
            f"{path.name} was already there, but is not a usable model file: {fault}. It was renamed to "
            f"{aside.name}; delete it if you do not need it."
        )
        return False
    fetcher.used.append(path)
    known = known_checksum(fetcher.folder, path)
    if size not in (0, path.stat().st_size) or (sha256 and known and known != sha256):
        fetcher.step.notice(f"There is already another file called {path.name}; it is used as it is.")
    return True


def same_as_remote(fetcher: Fetcher, path: Path, remote: Remote) -> bool:
    """True if the file there is the one at its source: by checksum, else by its size and parts of it."""
    size = path.stat().st_size
    if remote.sha256 and remote.size in (0, size):
        known = known_checksum(fetcher.folder, path)
        if not known:
            fetcher.step.say(f"comparing {path.name} with its source")
            known = sha256_of(path, fetcher.step)
            note_checksum(fetcher.folder, path, known)
        return known == remote.sha256
    if remote.size != size:
        return False
    with path.open("rb") as file:
        for start in {max(0, min(size - SAMPLE, size * at // SAMPLES)) for at in range(SAMPLES + 1)}:
            file.seek(start)
            here = file.read(SAMPLE)
            if here != read_range(remote, start, start + len(here)):
                return False
    return True
