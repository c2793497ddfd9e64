"""A file that has arrived: inspected, put right where that can be done, and given its name."""

import itertools
import os
import shutil
import threading
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.core.folder import PART, require_room
from launcher.core.problem import Problem
from launcher.models.kinds import FAMILIES, KIND_ENDINGS
from launcher.models.model_file import OLD_ENDINGS, Format, look_at, model_in_zip
from launcher.models.remote import Interrupted

COPIED_AT_ONCE = 4 << 20  # bytes


@dataclass(frozen=True)
class Receiver:
    """Knows what was wanted: `kind` as in KIND_FOLDERS, or "" for a file of the catalog, whose checksum says all."""

    kind: str
    where: str  # the disk's name in messages
    stop: threading.Event
    checksum_known: bool

    def __call__(self, part: Path, target: Path) -> Path:
        """Give the whole file its name. Raises `Problem` for one that is of no use, which is deleted."""
        try:
            seen = look_at(part, whole=not self.checksum_known)
            if seen.format is Format.ZIP:
                return self._unpack(part, target)
            if seen.fault:
                raise no_use(target.name, seen.fault)
            if self.kind:
                refuse_other_kind(target.name, seen.kind, self.kind)
            place = free_name(target.with_name(target.stem + ending_for(target.suffix, seen.format, self.kind)))
        except Problem:
            part.unlink(missing_ok=True)
            raise
        os.replace(part, place)
        return place

    def _unpack(self, archive: Path, target: Path) -> Path:
        """The one model in a zip archive, in its place."""
        unpacked = archive.with_name(f"{target.name}.unpacked{PART}")
        try:
            inside = model_in_zip(archive)
            if not inside:
                raise no_use(target.name, "it is a zip archive that does not contain exactly one model")
            with zipfile.ZipFile(archive) as file, file.open(inside) as source, unpacked.open("wb") as out:
                left = file.getinfo(inside).file_size
                require_room(archive.parent, left, self.where, "The unpacked model")
                while left and (piece := source.read(min(COPIED_AT_ONCE, left))):
                    if self.stop.is_set():
                        raise Interrupted
                    out.write(piece)
                    left -= len(piece)
            if look_at(unpacked).format is Format.ZIP:
                raise no_use(inside, "it is a zip archive")
            return replace(self, checksum_known=True)(unpacked, target.with_suffix(Path(inside).suffix.lower()))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise no_use(target.name, "it is a zip archive that cannot be unpacked") from error
        finally:
            unpacked.unlink(missing_ok=True)
            archive.unlink(missing_ok=True)


def no_use(name: str, fault: str) -> Problem:
    """For a file that nobody can use."""
    return Problem(
        f"{name} is not a usable model file: {fault}.", "It was not kept. Choose another source of this model."
    )


def refuse_other_kind(name: str, kind: str, wanted: str) -> None:
    """Raise `Problem` if a file of that kind ("" where nobody knows) is something else than was wanted."""
    if kind == wanted or (not kind and wanted != "checkpoint"):
        return
    if not kind:
        raise Problem(f"{name} does not contain a checkpoint.", f"Choose a checkpoint for {FAMILIES}.")
    is_a, not_a = (f"{'an' if one[0] in 'aeiou' else 'a'} {one}" for one in (kind, wanted))
    raise Problem(
        f"{name} is {is_a}, not {not_a}.",
        f"Add it with the cell **Add a model**, with {kind} in its field **kind**.",
        field="kind",
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
