"""A file that has arrived: inspected, put right where that can be done, and given its name."""

import itertools
import os
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Final

from launcher.core.folder import PART, require_room
from launcher.core.problem import Problem
from launcher.models.identify import OLD_ENDINGS, identify, model_in_zip
from launcher.models.kinds import FAMILIES, KIND_ENDINGS, Format
from launcher.models.remote import Interrupted

COPIED_AT_ONCE: Final = 4 << 20  # bytes


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
        place = free_name(target.with_name(target.stem + ending_for(target.suffix, seen.format, kind)))
    except Problem:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, place)
    return place


def unpack(archive: Path, target: Path, where: str, stop: threading.Event) -> tuple[Path, Path]:
    """The one model in a zip archive, and the name it gets; the archive goes. Raises `Problem` and `Interrupted`."""
    part = archive.with_name(f"{target.name}.unpacked{PART}")
    try:
        inside = model_in_zip(archive)
        if not inside:
            raise no_use(target.name, "it is a zip archive that does not contain exactly one model")
        with zipfile.ZipFile(archive) as file, file.open(inside) as source, part.open("wb") as out:
            require_room(archive.parent, file.getinfo(inside).file_size, where, "The unpacked model")
            while piece := source.read(COPIED_AT_ONCE):
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
    return part, target.with_name(target.stem + Path(inside).suffix.lower())


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
    """The ending by which A1111 reads the file as what it is, whatever it was called. A `wanted` of "" is a known
    file.
    """
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


def free_name(path: Path) -> Path:
    """The path, or one beside it that nobody has: nothing is overwritten."""
    numbered = (path.with_name(f"{path.stem} ({number}){path.suffix}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not os.path.lexists(one))


def set_aside(path: Path) -> Path:
    """Keep a broken file under a name that nobody has; return it."""
    names = (path.with_name(f"{path.name}.broken{number}") for number in itertools.chain([""], itertools.count(2)))
    aside = next(one for one in names if not os.path.lexists(one))
    os.replace(path, aside)
    return aside


def copy_or_link(original: Path, alias: Path) -> None:
    """A second name for a file; a copy where the disk knows no links (Google Drive)."""
    part = alias.with_name(f".{alias.name}{PART}")
    part.unlink(missing_ok=True)
    try:
        part.symlink_to(original.name)
    except OSError:
        shutil.copyfile(original, part)
    os.replace(part, alias)
