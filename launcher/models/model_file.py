"""The one place that says what a file is: its format, its kind, the model it belongs to, and what is wrong with it.

Used for what was downloaded, for a folder that is taken over, and for what counts as a checkpoint.
"""

import json
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.models.kinds import Contents, contents_of
from launcher.models.safetensors_header import Unreadable, header_length, shapes_in

OLD_ENDINGS: Final = (".ckpt", ".pt", ".pth", ".bin")
WEIGHTS: Final = (".safetensors", *OLD_ENDINGS)
BEGINNING: Final = 512  # bytes that tell the format
UNPICKLE: Final = Path(__file__).with_name("unpickle.py")
LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"


class Format(Enum):
    """What the bytes are, whatever the name says."""

    SAFETENSORS = "safetensors"
    OLD = "a pickle file"  # torch's zip since 1.6, and its five pickles before
    ZIP = "a zip archive"
    OTHER = ""


@dataclass(frozen=True)
class ModelFile:
    """`fault` is half a sentence that begins with "it" or "its", or ""; `kind` and `base` are as in `Contents`.

    `foreign`: the file is sound, but it is for another program or model, which is what `fault` says.
    """

    format: Format
    kind: str = ""
    base: str = ""
    fault: str = ""
    foreign: bool = False


def look_at(path: Path, *, inside: bool = True, whole: bool = False) -> ModelFile:
    """What the file at `path` is. Raises `OSError` only.

    Old files are read by an unpickler in a process of its own unless `inside` is False; `whole` checks all their bytes.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        beginning = file.read(BEGINNING)
        found, fault = format_of(beginning, size)
        if found is Format.SAFETENSORS:
            raw = file.seek(8) and file.read(header_length(beginning, size))
            return safetensors_file(raw or b"", size)
    if fault:
        return ModelFile(found, fault=fault)
    if beginning.startswith(b"PK") and not is_torch_zip(path):
        sound = zipfile.is_zipfile(path)
        return ModelFile(
            Format.ZIP if sound else Format.OTHER, fault="it is a zip archive" if sound else "it is cut off"
        )
    return old_file(path, whole) if inside else ModelFile(Format.OLD)


def format_of(beginning: bytes, size: int) -> tuple[Format, str]:
    """The format by the first bytes, and what is wrong already."""
    try:
        if beginning[8:9] == b"{" and header_length(beginning, size):
            return Format.SAFETENSORS, ""
    except Unreadable as why:
        if beginning[8:9] == b"{" or not beginning[3:8].strip(b"\0"):
            return Format.OTHER, str(why)
    text = beginning.lstrip(b"\xef\xbb\xbf \r\n\t")
    signs = (
        (not size, "it is empty"),
        (not beginning.strip(b"\0"), "it contains nothing but zeros"),
        (text.startswith(b"<"), "it is a web page"),
        (text.startswith(LFS_POINTER), "it is only a pointer to the file (Git LFS)"),
        (text[:1] in (b"{", b"["), "it is an error message from a server, not a model"),
        (beginning.startswith(b"Rar!"), "it is a RAR archive: unpack it on your computer first"),
        (beginning.startswith(b"7z\xbc\xaf\x27\x1c"), "it is a 7-Zip archive: unpack it on your computer first"),
        (beginning.startswith(b"\x1f\x8b"), "it is packed with gzip: unpack it on your computer first"),
        (beginning.startswith(b"GGUF"), "it is a GGUF file, which AUTOMATIC1111 cannot load"),
        (len(beginning) < 8, "it is cut off"),
        (
            not beginning.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")),
            "it is not a model file",
        ),
    )
    fault = next((fault for sign, fault in signs if sign), "")
    return (Format.OTHER if fault else Format.OLD), fault


def safetensors_file(raw: bytes, size: int) -> ModelFile:
    """What a .safetensors file of `size` bytes with the header `raw` is."""
    try:
        return described(Format.SAFETENSORS, contents_of(shapes_in(raw, size)))
    except Unreadable as why:
        return ModelFile(Format.SAFETENSORS, fault=str(why))


def described(found: Format, contents: Contents) -> ModelFile:
    """Format and contents together."""
    return ModelFile(found, contents.kind, contents.base, contents.fault, foreign=bool(contents.fault))


def is_torch_zip(path: Path) -> bool:
    """True for a zip that torch wrote; what is wrong in it is said later."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def old_file(path: Path, whole: bool) -> ModelFile:
    """What an old-style file is. Its programs are named, never run. Raises `Problem` where it cannot be looked
    through.
    """
    command = [sys.executable, "-I", str(UNPICKLE), str(path), *(["--whole"] if whole else [])]
    try:
        told = json.loads(run(command, env={"PATH": os.environ.get("PATH", "")}, timeout=600).strip().splitlines()[-1])
    except CommandError as error:
        if error.code < 0:  # ended by the limits on memory and time
            return ModelFile(Format.OLD, fault="it cannot be read as a model file")
        raise Problem(
            f"{path.name.partition('.part')[0]} is a pickle file, which can contain code, and it could not be checked.",
            "Press ▶ again, or choose a .safetensors file of the same model.",
        ) from error
    if told["fault"]:
        return ModelFile(Format.OLD, fault=told["fault"])
    return described(Format.OLD, contents_of({name: tuple(shape) for name, shape in told["tensors"].items()}))


def look_from_afar(read: Callable[[int, int], bytes], size: int) -> ModelFile | None:
    """What a file at its source is, by `read(start, end)`; None where the beginning does not tell."""
    if size < 8:
        return None
    beginning = read(0, min(BEGINNING, size))
    found, fault = format_of(beginning, size)
    if found is not Format.SAFETENSORS:
        return ModelFile(found, fault=fault) if fault else None
    return safetensors_file(read(8, 8 + header_length(beginning, size)), size)
