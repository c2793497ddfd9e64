"""One file to its folder: fetched, or found there already. What both the catalog and pasted links need."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, require_room
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.models.checksums import known_checksum, note_checksum
from launcher.models.download import digest_of, download
from launcher.models.http import read_range, until_stopped
from launcher.models.identify import OLD_ENDINGS
from launcher.models.receive import receive, set_aside
from launcher.models.remote import Remote, TokenNeeded
from launcher.models.taken_over import fault_of

SAMPLES: Final = 8  # parts of two files that are compared where no checksum is known
SAMPLE: Final = 64 << 10  # bytes


@dataclass(frozen=True)
class Fetcher:
    """What a download needs of the rest: how to ask for a token, and whom to tell."""

    folder: Folder
    where: str  # the disk's name in messages
    ask_token: Callable[[str, str], str]  # (name of the secret, reason) -> token; "" where nobody answers
    step: Step


def fetch_remote(fetcher: Fetcher, remote: Remote, folder: Path, kind: str = "") -> Path:
    """Download one file into its folder; return where it is."""
    if remote.name.lower().endswith(OLD_ENDINGS):
        fetcher.step.notice(
            f"{remote.name} is a pickle file, which can contain code. Choose a .safetensors file of the same model if "
            "there is one."
        )
    fetcher.step.say(remote.name)
    # What is written to Google Drive lies on the runtime's disk until it is uploaded (googlecolab/colabtools#659).
    require_room(fetcher.folder.machine, remote.size, "the runtime's disk", f"The model {remote.name}")
    path, digest = download(
        remote,
        folder / remote.name,
        where=fetcher.where,
        step=fetcher.step,
        receive=partial(receive, where=fetcher.where, stop=fetcher.step.stop, kind=kind, whole=not remote.sha256),
    )
    if path.stat().st_size == remote.size:  # else it came in an archive, whose checksum that is
        note_checksum(fetcher.folder, path, digest)
    return path


def sound_or_set_aside(fetcher: Fetcher, path: Path, size: int = 0, sha256: str = "") -> bool:
    """True if the file is there and whole; said, if it is another one. A broken one (cut off, a web page) is set aside
    under another name, and said.
    """
    if not path.exists():
        return False
    fault = fault_of(path)
    if fault:
        fetcher.step.notice(
            f"{path.name} was already there, but is not a usable model file: {fault}. It was renamed to "
            f"{set_aside(path).name}; delete it if you do not need it."
        )
        return False
    known = known_checksum(fetcher.folder, path)
    if size not in (0, path.stat().st_size) or (sha256 and known and known != sha256):
        fetcher.step.notice(f"There is already another file called {path.name}; it is used as it is.")
    return True


def is_same(fetcher: Fetcher, path: Path, remote: Remote) -> bool:
    """True if the file there is the one at its source: by checksum, else by its size and parts of it."""
    size = path.stat().st_size
    if remote.size not in (0, size):
        return False
    if remote.sha256:
        known = known_checksum(fetcher.folder, path)
        if not known:
            fetcher.step.say(f"comparing {path.name} with its source")
            known = digest_of(path, fetcher.step)
            note_checksum(fetcher.folder, path, known)
        return known == remote.sha256
    if not remote.size:
        return False
    with path.open("rb") as file:
        for start in {max(0, min(size - SAMPLE, size * at // SAMPLES)) for at in range(SAMPLES + 1)}:
            file.seek(start)
            here = file.read(SAMPLE)
            if here != read_range(remote, start, start + len(here)):
                return False
    return True


def with_token(fetcher: Fetcher, resolve: Callable[[str], Remote]) -> Remote:
    """Resolve without a token first (a wrong one breaks public files too); ask only where the source wants one."""
    stop = fetcher.step.stop
    try:
        return until_stopped(stop, lambda: resolve(""))
    except TokenNeeded as needed:
        token = fetcher.ask_token(needed.name, needed.reason)
        if not token:
            raise
    try:
        return until_stopped(stop, lambda: resolve(token))
    except TokenNeeded as refused:
        raise Problem(
            f"{refused.reason} Your token {refused.name} does not give access to it.",
            f"Look at {refused.page}, make a new token, save it as the Colab secret {refused.name}, and press ▶ again.",
        ) from refused
