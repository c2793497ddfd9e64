"""One file to its folder: fetched, inspected, unpacked and named, or found there already."""

import filecmp
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from glob import escape
from pathlib import Path
from typing import Final

from launcher.core.folder import PART, Folder, free_path, require_room
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.models.archive import UNREADABLE_ZIP, open_zip, packed_files, read_between
from launcher.models.checksums import known_checksum, note_checksum
from launcher.models.download import download, sha256_of
from launcher.models.http import read_range, until_stopped
from launcher.models.identify import IS_ARCHIVE, OLD_ENDINGS, WEIGHTS, fault_of, identify, identify_beginning
from launcher.models.kinds import (
    BY_ITSELF,
    EXTENSION_KINDS,
    FAMILIES,
    KIND_ENDINGS,
    OF_DIFFUSERS,
    VAE_OF_DIFFUSERS,
    Format,
    ModelFile,
    a_kind,
)
from launcher.models.pasted import UNPACK, safe_name
from launcher.models.places import free_to_list, listed_name, place_for, require_owner, same_to_the_web_ui
from launcher.models.remote import Interrupted, Remote, TokenNeeded

SAMPLES: Final = 8  # parts of two files that are compared where no checksum is known
SAMPLE: Final = 64 << 10  # bytes
PIECE_BYTES: Final = 1 << 20  # bytes unpacked at once
LONGEST_QUESTION: Final = 300.0  # seconds that sources may take to say what a link leads to, with all tries
MOST_COLLECTED: Final = 200  # files
UNPACKED_PART: Final = f".unpacked{PART}"


@dataclass(frozen=True)
class Fetcher:
    """How to ask for a token, whom to tell, and which files came of it.

    `ask_token` has (name of the secret, reason) -> token; "" where nobody answers. Without a reason nobody is asked who
    has not saved one as a secret.
    """

    folder: Folder
    where: str  # the disk's name in messages
    ask_token: Callable[[str, str], str]
    step: Step
    added: list[Path] = field(default_factory=list)  # files that it has put in place
    used: list[Path] = field(default_factory=list)  # files that were there and are used


def with_token(fetcher: Fetcher, resolve: Callable[[str], Remote]) -> Remote:
    """Resolve without a token first (a wrong one breaks public files too); look for one only where it may help."""
    found = partial(until_stopped, fetcher.step.stop, most=LONGEST_QUESTION)
    try:
        remote = found(lambda: resolve(""))
    except TokenNeeded as needed:
        token = fetcher.ask_token(needed.name, needed.reason)
        if not token:
            raise
        remote = found(lambda: resolve(token))
    if remote.note:
        fetcher.step.notice(remote.note)
    return remote


def fetch_remote(fetcher: Fetcher, remote: Remote, folder: Path, *, free: bool = False) -> Path:
    """Download one file into its folder; return where it is. `free`: into that of the kind that it turns out to be."""
    if remote.name.lower().endswith(OLD_ENDINGS) and ".safetensors" in KIND_ENDINGS.get(remote.kind, ()):
        better = "Choose a .safetensors file of the same model if there is one."
        fetcher.step.notice(f"{remote.name} is a pickle file, which can contain code. {better}")
    fetcher.step.say(remote.name)
    own, target = fetcher.folder.session / "downloads", folder / remote.name
    received = partial(receive, fetcher, kind=remote.kind, whole=not remote.sha256, free=free)
    path, digest = download(remote, target, where=fetcher.where, own=own, step=fetcher.step, receive=received)
    if path.stat().st_size == remote.size:  # else it came in an archive, whose checksum that is
        note_checksum(fetcher.folder, path, digest)
    if remote.listed not in ("", digest):
        why = "its list is old, or the file was replaced. The file is whole, and is used."
        fetcher.step.notice(f"{remote.place} states another checksum for {path.name}: {why}")
    return path


def sound_or_set_aside(fetcher: Fetcher, path: Path, size: int = 0, sha256: str = "") -> bool:
    """True if the file is there and whole; another one is named, and a broken one (cut off, a web page) set aside."""
    if not path.exists():
        return False
    if fault := fault_of(path):
        os.replace(path, aside := free_path(path.with_name(f"{path.name}.broken")))
        done = f"It was renamed to {aside.name}; delete it if you do not need it."
        fetcher.step.notice(f"{path.name} was already there, but is not a usable model file: {fault}. {done}")
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
    starts = {max(0, min(size - SAMPLE, size * at // SAMPLES)) for at in range(SAMPLES + 1)}
    parts = [(start, min(size, start + SAMPLE)) for start in starts]
    with path.open("rb") as file:
        return all(read_between(file, *part) == read_range(remote, *part) for part in parts)


# ---- a file that is all there, and gets its name


def receive(
    fetcher: Fetcher, part: Path, target: Path, *, kind: str = "", whole: bool = True, free: bool = False
) -> Path:
    """Give a file that is all there its name, the one of `target` with the ending that suits it; return its path.

    `kind` is what was wanted, "" where the file decides; another kind is refused, or `free` to go into its own folder.
    `whole` checks all bytes of an old file, which a known checksum makes needless. Of a zip archive it is the one model
    in it, or all where they are `free`. Raises `Problem` for what is of no use, which is deleted, and `Interrupted`.
    """
    try:
        seen = identify(part, whole=whole)
        if seen.format is Format.ZIP:
            return receive_archive(fetcher, part, target, kind, free)
        return put(fetcher, part, target, seen, kind, free)
    except Problem:
        part.unlink(missing_ok=True)
        raise


def put(fetcher: Fetcher, part: Path, target: Path, seen: ModelFile, kind: str, free: bool) -> Path:
    """Give an inspected file its name. Raises `Problem` for what is of no use."""
    kind, name = settled(fetcher, target.name, seen, kind, free)
    wanted = (place_for(fetcher.folder, kind) if free else target.parent) / name
    twin = wanted if wanted.exists() else same_to_the_web_ui(fetcher.folder, wanted.name, kind)
    if twin and filecmp.cmp(part, twin, shallow=False):  # it came in an archive, of which nobody knew what is in it
        part.unlink()
        fetcher.used.append(twin)
        return twin
    path = free_to_list(fetcher.folder, wanted, kind)
    path.parent.mkdir(exist_ok=True)
    shutil.move(part, path)  # embeddings lie on Drive even where other models do not
    fetcher.added.append(path)
    if owner := EXTENSION_KINDS.get(kind):
        do = "press **Restart the web UI**, and choose it there."
        fetcher.step.notice(f"{path.name} is where {owner.name} looks for it: {do}")
    return path


def receive_archive(fetcher: Fetcher, archive: Path, target: Path, kind: str, free: bool) -> Path:
    """What is in a zip archive, which goes; return the first. Raises `Problem`, `Interrupted`."""
    try:
        models = unpack(fetcher, archive, target, most=MOST_COLLECTED if free else 1)
        for _, _, seen in models if len(models) > 1 else ():
            settled(fetcher, target.name, seen, "" if seen.kind else kind, free)  # all or none
        paths = [put(fetcher, *model, kind, free) for model in models]
    except UNREADABLE_ZIP as error:
        raise no_use(target.name, ModelFile(fault="it is a zip archive that cannot be unpacked")) from error
    finally:
        for part in archive.parent.glob(f"{escape(archive.name)}.*{UNPACKED_PART}"):
            part.unlink()
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        fetcher.step.notice(f"{target.name} is an archive of {len(paths)} files: {names}.")
    archive.unlink()
    return paths[0]


def unpack(fetcher: Fetcher, archive: Path, target: Path, *, most: int) -> list[tuple[Path, Path, ModelFile]]:
    """The models in a zip archive, each unpacked, what it should be called, and what it is.

    The beginning of each is inspected before the first is unpacked. Raises `Problem`, `Interrupted`, and one of
    UNREADABLE_ZIP.
    """
    step, unpacked = fetcher.step, list[tuple[Path, Path, ModelFile]]()
    with open_zip(archive) as file:
        found = packed_files(file, WEIGHTS)
        if not found:
            raise Problem(f"{target.name} holds no model that AUTOMATIC1111 can use.", UNPACK)
        if len(found) > most:
            raise Problem(f"{target.name} holds {len(found)} models.", UNPACK)
        for info in found:
            with file.open(info) as packed:
                seen = identify_beginning(partial(read_between, packed), info.file_size)
            if seen and seen.fault:
                raise no_use(target.name, seen)
        require_room(archive.parent, sum(info.file_size for info in found), fetcher.where, "The unpacked model")
        for number, info in enumerate(found):
            part, inside = archive.with_name(f"{archive.name}.{number}{UNPACKED_PART}"), Path(info.filename)
            with file.open(info) as packed, part.open("wb") as out:
                while not step.stopped and (piece := packed.read(PIECE_BYTES)):
                    out.write(piece)
            if step.stopped:
                raise Interrupted
            name = inside.name if len(found) > 1 else target.stem + inside.suffix
            unpacked.append((part, target.with_name(safe_name(name)), identify(part)))
    return unpacked


def settled(fetcher: Fetcher, name: str, seen: ModelFile, kind: str, free: bool) -> tuple[str, str]:
    """What a file is taken for, and its name with the ending by which A1111 reads it as that, whatever it was called.

    `kind` and `free` as in `receive`. Raises `Problem` for what is of no use.
    """
    if seen.fault:
        raise no_use(name, seen)
    if kind == "checkpoint" and not seen.kind:
        raise Problem(f"{name} does not contain a checkpoint.", f"Choose a checkpoint for {FAMILIES}.")
    if not free and kind and seen.kind not in (None, kind):
        do = f"Choose {a_kind(kind)} here. Once the web UI runs, you can add {name} with **Add**."
        raise Problem(f"{name} is {a_kind(seen.kind)}, not {a_kind(kind)}.", do)
    wanted, kind = kind, seen.kind or kind if free else kind
    if free and not kind:
        raise Problem(
            f"The launcher cannot tell what {name} is: a checkpoint, a LoRA, or something else.",
            "If its page says what it is, add it with the cell **Add a model**, and choose its **kind** there.",
        )
    if free:
        require_owner(fetcher.folder, kind, name)
    if wanted not in ("", kind):
        fetcher.step.notice(f"{name} is {a_kind(kind)}, not {a_kind(wanted)}: it was added as what it is.")
    own, listed = Path(name), KIND_ENDINGS.get(kind, WEIGHTS)
    ending, old = ".safetensors", [one for one in listed if one != ".safetensors"]
    if seen.format is not Format.SAFETENSORS:
        ending = own.suffix if own.suffix.lower() in old else old[0]
    elif ending not in listed:
        raise Problem(
            f"AUTOMATIC1111 cannot use a .safetensors file as {kind}.",
            f"Choose a file of the same model that ends in {' or '.join(listed)}.",
        )
    return kind, listed_name(own.stem + ending, kind)


def no_use(name: str, seen: ModelFile) -> Problem:
    """What is wrong with it; another source of the same model helps only where the file itself is not sound."""
    do = "It was not kept. Choose another source of this model."
    if seen.foreign:
        do = f"Choose a model for {FAMILIES}, as one file in fp16 or fp32."
    if seen.fault == OF_DIFFUSERS:
        do = "Choose the file for AUTOMATIC1111 on its page, if there is one (its name may say kohya), or another LoRA."
    if seen.fault == VAE_OF_DIFFUSERS:
        do = "Write **VAE ft-MSE** (for SD 1.5) or **SDXL VAE fp16-fix** into the box instead."
    if seen.fault == BY_ITSELF:
        do = "There is nothing you need to add."
    do = UNPACK if seen.fault == IS_ARCHIVE else do
    return Problem(f"{name} is not a usable model file: {seen.fault}.", do)
