"""A file that is all there: inspected, unpacked, and given its name in the folder of its kind."""

import filecmp
import shutil
from collections.abc import Callable
from glob import escape
from pathlib import Path
from typing import Final

from launcher.core.folder import PART, require_room
from launcher.core.problem import Problem
from launcher.models.archive import UNREADABLE_ZIP, Member, open_zip, packed_files
from launcher.models.fetcher import Fetcher
from launcher.models.identify import OLD_ENDINGS, WEIGHTS, identify, identify_beginning
from launcher.models.kinds import FAMILIES, KIND_ENDINGS, Format, ModelFile, a_kind
from launcher.models.names import free_to_list, listed_name, same_to_the_web_ui
from launcher.models.pasted import safe_name
from launcher.models.remote import Interrupted

COLLECTED: Final = ("embedding", "LoRA")  # kinds that come in archives of several
MOST_COLLECTED: Final = 200  # files
OTHER_SOURCE: Final = "It was not kept. Choose another source of this model."
UNPACKED_PART: Final = f".unpacked{PART}"

Settle = Callable[[str, str], Path]  # kind, name -> the folder; raises `Problem` where there is none


def receive(
    fetcher: Fetcher, part: Path, target: Path, *, kind: str = "", whole: bool = True, settle: Settle | None = None
) -> Path:
    """Give a file that is all there its name, the one of `target` with the ending that suits it; return its path.

    `kind` is what was wanted, "" where the file decides; `settle` tells the folder for another kind, which is refused
    without it. `whole` checks all bytes of an old file, which a known checksum makes needless. Of a zip archive it is
    the one model in it, or all embeddings or LoRAs. Raises `Problem` for one that is of no use, which is deleted, and
    `Interrupted`.
    """
    try:
        seen = identify(part, whole=whole)
        if seen.format is Format.ZIP:
            return receive_archive(fetcher, part, target, kind, settle)
        return put(fetcher, part, target, seen, kind, settle)
    except Problem:
        part.unlink(missing_ok=True)
        raise


def put(fetcher: Fetcher, part: Path, target: Path, seen: ModelFile, kind: str, settle: Settle | None) -> Path:
    """Give an inspected file its name. Raises `Problem` for what is of no use."""
    if seen.fault:
        raise no_use(target.name, seen)
    folder = target.parent
    if settle and (not kind or seen.kind not in (None, kind)):
        kind = seen.kind or ""
        folder = settle(kind, target.name)
    elif kind:
        refuse_other_kind(target.name, seen.kind, kind)
    name = target.stem + ending_for(target.suffix, seen.format, kind)
    wanted = folder / listed_name(name, kind)
    twin = wanted if wanted.exists() else same_to_the_web_ui(fetcher.folder, wanted.name, kind)
    if twin and filecmp.cmp(part, twin, shallow=False):  # it came in an archive, of which nobody knew what is in it
        part.unlink()
        fetcher.used.append(twin)
        return twin
    path = free_to_list(fetcher.folder, wanted, kind)
    path.parent.mkdir(exist_ok=True)
    shutil.move(part, path)  # embeddings lie on Drive even where other models do not
    fetcher.added.append(path)
    return path


def receive_archive(fetcher: Fetcher, archive: Path, target: Path, kind: str, settle: Settle | None) -> Path:
    """What is in a zip archive, which goes; return the first. Raises `Problem`, `Interrupted`."""
    try:
        parts = unpack(fetcher, archive, target, several=kind in ("", *COLLECTED))
        seen = [identify(part) for part, _ in parts]
        if len(parts) > 1 and not all(one.kind in COLLECTED and not one.fault for one in seen):
            raise not_one(target)
        paths = [put(fetcher, *part, one, kind, settle) for part, one in zip(parts, seen, strict=True)]
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


def unpack(fetcher: Fetcher, archive: Path, target: Path, *, several: bool) -> list[tuple[Path, Path]]:
    """The models in a zip archive, each unpacked, and what it should be called.

    The beginning of each is inspected before the first is unpacked. Raises `Problem`, `Interrupted`, and one of
    UNREADABLE_ZIP.
    """
    step, parts = fetcher.step, list[tuple[Path, Path]]()
    with open_zip(archive) as file:
        found = packed_files(file, WEIGHTS)
        if not found or len(found) > (MOST_COLLECTED if several else 1):
            raise not_one(target)
        models = [Member(file, info) for info in found]
        for model in models:
            seen = identify_beginning(model.read, model.size)
            if seen and seen.fault:
                raise no_use(target.name, seen)
        require_room(archive.parent, sum(model.size for model in models), fetcher.where, "The unpacked model")
        for number, (info, model) in enumerate(zip(found, models, strict=True)):
            part = archive.with_name(f"{archive.name}.{number}{UNPACKED_PART}")
            with part.open("wb") as out:
                out.writelines(model.pieces(lambda: step.stopped))
            if step.stopped:
                raise Interrupted
            own = Path(info.filename).name if len(found) > 1 else target.stem + Path(info.filename).suffix
            parts.append((part, target.with_name(safe_name(own))))
    return parts


def no_use(name: str, seen: ModelFile) -> Problem:
    """What is wrong with it; another source of the same model helps only where the file itself is not sound."""
    do = f"Choose a model for {FAMILIES}, as one file in fp16 or fp32." if seen.foreign else OTHER_SOURCE
    return Problem(f"{name} is not a usable model file: {seen.fault}.", do)


def not_one(target: Path) -> Problem:
    return no_use(target.name, ModelFile(fault="it is a zip archive that does not contain exactly one model"))


def refuse_other_kind(name: str, kind: str | None, wanted: str) -> None:
    """Raise `Problem` if a file of that kind, which nobody may know, is something else than what must be."""
    if kind == wanted or (not kind and wanted != "checkpoint"):
        return
    if not kind:
        raise Problem(f"{name} does not contain a checkpoint.", f"Choose a checkpoint for {FAMILIES}.")
    do = f"Choose {a_kind(wanted)} here. Once the web UI runs, you can add {name} with **Add**."
    raise Problem(f"{name} is {a_kind(kind)}, not {a_kind(wanted)}.", do)


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
