"""One file to its folder: fetched, inspected and named, or found there already. For the catalog and pasted links."""

import os
import re
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from launcher.core.files import free_path
from launcher.core.folder import PART, Folder, require_room
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.models.checksums import known_checksum, note_checksum
from launcher.models.download import download, sha256_of
from launcher.models.http import read_range, until_stopped
from launcher.models.identify import OLD_ENDINGS, WEIGHTS, fault_of, identify
from launcher.models.kinds import FAMILIES, KIND_ENDINGS, Format
from launcher.models.remote import Interrupted, Remote, TokenNeeded

SAMPLES: Final = 8  # parts of two files that are compared where no checksum is known
SAMPLE: Final = 64 << 10  # bytes
UNPACKED_AT_ONCE: Final = 4 << 20  # bytes
LONGEST_QUESTION: Final = 300.0  # seconds that sources may take to say what a link leads to, with all tries


@dataclass(frozen=True)
class Fetcher:
    """What a download needs of the rest: how to ask for a token, and whom to tell."""

    folder: Folder
    where: str  # the disk's name in messages
    # (name of the secret, reason) -> token; "" where nobody answers. Without a reason nobody is asked who has not saved
    # one as a secret.
    ask_token: Callable[[str, str], str]
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
        own=fetcher.folder.session / "downloads",
        step=fetcher.step,
        receive=partial(receive, where=fetcher.where, stop=fetcher.step.stop, kind=kind, whole=not remote.sha256),
    )
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


# ---- a file that has arrived


def receive(part: Path, target: Path, *, where: str, stop: threading.Event, kind: str = "", whole: bool = True) -> Path:
    """Give a file that is all there its name, the one of `target` with the ending that suits it; return it.

    `kind` is what was wanted, "" for a file of the catalog; `whole` checks all bytes of an old file, which a known
    checksum makes needless; `where` is the disk's name in messages. Of a zip archive it is the one model in it. Raises
    `Problem` for one that is of no use, which is deleted, and `Interrupted`.
    """
    try:
        seen = identify(part, whole=whole)
        if seen.format is Format.ZIP:
            part, target = unpack(part, target, where, stop)
            seen = identify(part)
        if seen.fault:
            raise no_use(target.name, seen.fault)
        if kind:
            refuse_other_kind(target.name, seen.kind, kind)
        path = free_path(target.with_name(target.stem + ending_for(target.suffix, seen.format, kind)))
    except Problem:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)
    return path


def unpack(archive: Path, target: Path, where: str, stop: threading.Event) -> tuple[Path, Path]:
    """The one model in a zip archive, and the name it gets; the archive goes. Raises `Problem`, `Interrupted`."""
    part = archive.with_name(f"{target.name}.unpacked{PART}")
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if not re.search(r"(^|/)(__MACOSX/|\._)", name)]
            models = [name for name in names if name.lower().endswith(WEIGHTS)]
            if len(models) != 1:
                raise no_use(target.name, "it is a zip archive that does not contain exactly one model")
            require_room(archive.parent, file.getinfo(models[0]).file_size, where, "The unpacked model")
            with file.open(models[0]) as source, part.open("wb") as out:
                while piece := source.read(UNPACKED_AT_ONCE):
                    if stop.is_set():
                        raise Interrupted
                    out.write(piece)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        part.unlink(missing_ok=True)
        raise no_use(target.name, "it is a zip archive that cannot be unpacked") from error
    except (Problem, Interrupted, OSError):
        part.unlink(missing_ok=True)
        raise
    archive.unlink()
    return part, target.with_name(target.stem + Path(models[0]).suffix.lower())


def no_use(name: str, fault: str) -> Problem:
    return Problem(
        f"{name} is not a usable model file: {fault}.", "It was not kept. Choose another source of this model."
    )


def refuse_other_kind(name: str, kind: str | None, wanted: str) -> None:
    """Raise `Problem` if a file of that kind, which nobody may know, is something else than was wanted."""
    if kind == wanted or (not kind and wanted != "checkpoint"):
        return
    if not kind:
        raise Problem(f"{name} does not contain a checkpoint.", f"Choose a checkpoint for {FAMILIES}.")
    a_kind, a_wanted = (f"{'an' if one[0] in 'aeiou' else 'a'} {one}" for one in (kind, wanted))
    raise Problem(
        f"{name} is {a_kind}, not {a_wanted}.",
        f"Add it with the cell **Add a model**, with {kind} in its field **kind**.",
    )


def ending_for(ending: str, found: Format, wanted: str) -> str:
    """The ending by which A1111 reads the file as what it is, whatever it was called."""
    listed = KIND_ENDINGS.get(wanted, (".safetensors", *OLD_ENDINGS))
    if found is Format.SAFETENSORS:
        if ".safetensors" not in listed:
            raise Problem(
                f"AUTOMATIC1111 cannot use a .safetensors file as {wanted}.",
                f"Choose a file of the same model that ends in {' or '.join(listed)}.",
            )
        return ".safetensors"
    old = [one for one in listed if one != ".safetensors"]
    return ending if ending.lower() in old else old[0]
