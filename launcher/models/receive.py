"""A file that has arrived: looked at, put right where that can be done, and given its name."""

import os
import shutil
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

from launcher.core.folder import PART, require_room
from launcher.core.problem import Problem
from launcher.models.identify import identify, model_in_zip
from launcher.models.kinds import FAMILIES, KIND_ENDINGS, Format, ModelFile
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
            return self._receive(part, target)
        except Problem:
            part.unlink(missing_ok=True)
            raise

    def _receive(self, part: Path, target: Path) -> Path:
        seen = identify(part, whole=not self.checksum_known)
        if seen.format is Format.ZIP:
            return self._unpack(part, target)
        if seen.fault:
            raise no_use(target.name, seen.fault)
        if self.kind:
            refuse_other_kind(target.name, seen, self.kind)
        place = free_name(target.with_name(target.stem + ending_for(target.suffix, seen, self.kind)))
        os.replace(part, place)
        return place

    def _unpack(self, archive: Path, target: Path) -> Path:
        """The one model in a zip archive, in its place."""
        inside = model_in_zip(archive)
        if not inside:
            raise no_use(target.name, "it is a zip archive that does not contain exactly one model")
        unpacked = archive.with_name(f"{target.name}.unpacked{PART}")
        try:
            with zipfile.ZipFile(archive) as file, file.open(inside) as source, unpacked.open("wb") as out:
                size = file.getinfo(inside).file_size
                require_room(archive.parent, size, self.where, "The unpacked model")
                left = size
                while left and (piece := source.read(min(COPIED_AT_ONCE, left))):
                    if self.stop.is_set():
                        raise Interrupted
                    out.write(piece)
                    left -= len(piece)
            seen = identify(unpacked)
            if seen.fault:
                raise no_use(inside, seen.fault)
            placed = Receiver(self.kind, self.where, self.stop, True)
            name = target.with_name(target.stem + Path(inside).suffix.lower())
            return placed(unpacked, name)
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


def refuse_other_kind(name: str, seen: ModelFile, wanted: str) -> None:
    """Raise `Problem` if the file is something else than was wanted."""
    if seen.kind == wanted or (not seen.kind and wanted != "checkpoint"):
        return
    if not seen.kind:
        raise Problem(f"{name} does not contain a checkpoint.", f"Choose a checkpoint for {FAMILIES}.")
    article = "an" if seen.kind[0] in "aeiou" else "a"
    other = "an" if wanted[0] in "aeiou" else "a"
    raise Problem(
        f"{name} is {article} {seen.kind}, not {other} {wanted}.",
        f"Add it with the cell **Add a model**, with {seen.kind} in its field **kind**.",
        field="kind",
    )


def ending_for(ending: str, seen: ModelFile, wanted: str) -> str:
    """The ending by which A1111 reads the file as what it is, whatever it was called. A `wanted` of "" is a known
    file.
    """
    listed = KIND_ENDINGS.get(wanted, ())
    if seen.format is Format.SAFETENSORS:
        if listed and ".safetensors" not in listed:
            raise Problem(
                f"AUTOMATIC1111 cannot use a .safetensors file as {wanted}.",
                f"Choose a file of the same model that ends in {' or '.join(listed)}.",
            )
        return ".safetensors"
    old = [one for one in listed if one != ".safetensors"]
    if ending.lower() in (old or (".ckpt", ".pt", ".pth", ".bin")):
        return ending
    return old[0] if old else ".ckpt"


def free_name(path: Path) -> Path:
    """The path, or one beside it that nobody has: nothing is overwritten."""
    tried, count = path, 1
    while tried.exists() or tried.is_symlink():
        count += 1
        tried = path.with_name(f"{path.stem} ({count}){path.suffix}")
    return tried


def set_aside(path: Path) -> Path:
    """Keep a broken file under a name that nobody has; return it."""
    aside, count = path.with_name(f"{path.name}.broken"), 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.broken{count}")
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
