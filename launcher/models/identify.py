"""The one place that says what a file is: its format, its kind, the model it belongs to, and what is wrong with it.

Used for what is downloaded, for a folder that is taken over, and for what counts as a checkpoint.
"""

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from launcher.core.process import CommandError, run
from launcher.models.archive import UNREADABLE_ZIP, open_zip, read_between
from launcher.models.kinds import Format, ModelFile, contents_of

OLD_ENDINGS: Final = (".ckpt", ".pt", ".pth", ".bin")
WEIGHTS: Final = (".safetensors", *OLD_ENDINGS)
BEGINNING: Final = 512  # bytes that tell the format
ARCHIVES: Final = re.compile(rb"Rar!|7z\xbc\xaf\x27\x1c|\x1f\x8b|\xfd7zXZ|\x28\xb5\x2f\xfd|BZh")  # RAR, 7-Zip …
IS_ARCHIVE: Final = "it is an archive"
UNPICKLE: Final = Path(__file__).with_name("unpickle.py")
# What a header may be, so that it is read in seconds and 300 MB: safetensors itself allows 100 MB of anything.
# A large model has 3,000 tensors and a header of 0.4 MB; a LoRA's may carry a book on its training.
HEADER_LIMIT: Final = 16_000_000  # bytes
MOST_TENSORS: Final = 50_000
MOST_SIGNS: Final = 2_000_000  # brackets and commas: how many values there can be
LONGEST_TENSOR: Final = 300  # letters of a name


class Unreadable(Exception):
    """What is wrong with the header of a .safetensors file, as half a sentence that begins with "it" or "its"."""


def identify(path: Path, *, inside: bool = True, whole: bool = False) -> ModelFile:
    """What the file at `path` is. Raises `OSError`.

    Old files are read by an unpickler in a process of its own unless `inside` is False; `whole` checks all their bytes.
    """
    with path.open("rb") as file:
        if seen := identify_beginning(partial(read_between, file), path.stat().st_size):
            return seen
        is_zip = read_between(file, 0, 2) == b"PK"
    try:
        if is_zip:
            with open_zip(path) as archive:
                if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                    return ModelFile(Format.ZIP, fault="it is a zip archive")
    except (*UNREADABLE_ZIP, OSError):
        return ModelFile(Format.OTHER, fault="it is cut off or damaged")
    return identify_old(path, whole) if inside else ModelFile(Format.OLD)


def identify_beginning(read: Callable[[int, int], bytes], size: int) -> ModelFile | None:
    """What a file of `size` bytes is, here or at its source, by `read(start, end)`; None if more must be read."""
    beginning = read(0, min(BEGINNING, size))
    found, fault = format_of(beginning, size)
    if found is not Format.SAFETENSORS:
        return ModelFile(found, fault=fault) if fault else None
    try:
        return contents_of(shapes_in(read(8, 8 + int.from_bytes(beginning[:8], "little")), size))
    except Unreadable as why:
        return ModelFile(fault=str(why))


def format_of(beginning: bytes, size: int) -> tuple[Format, str | None]:
    """The format by the first bytes, and what is wrong already."""
    length = int.from_bytes(beginning[:8], "little") if beginning[8:9] == b"{" else 0
    if 0 < length <= min(size - 8, HEADER_LIMIT):
        return Format.SAFETENSORS, None
    text = beginning.lstrip(b"\xef\xbb\xbf \r\n\t")
    signs = (
        (not size, "it is empty"),
        (length and length > size - 8, "its header is longer than the file allows"),
        (length > HEADER_LIMIT, "its header is longer than that of any model"),
        (not beginning.strip(b"\0"), "it contains nothing but zeros"),
        (text.startswith(b"<"), "it is a web page"),
        (text.startswith(b"version https://git-lfs.github.com/spec/"), "it is only a pointer to the file (Git LFS)"),
        (text[:1] in (b"{", b"["), "it is an error message from a server, not a model"),
        (ARCHIVES.match(beginning) or beginning[257:262] == b"ustar", IS_ARCHIVE),
        (beginning.startswith(b"GGUF"), "it is a GGUF file, which AUTOMATIC1111 cannot load"),
        (len(beginning) < 8, "it is cut off"),
        (not re.match(rb"\x80[\x02-\x05]|PK\x03\x04", beginning), "it is not a model file"),
    )
    fault = next((fault for sign, fault in signs if sign), None)
    return (Format.OTHER if fault else Format.OLD), fault


def identify_old(path: Path, whole: bool) -> ModelFile:
    """What an old-style file is. Its programs are named, never run."""
    command = [sys.executable, "-I", str(UNPICKLE), str(path), *(["--whole"] if whole else [])]
    try:
        found = json.loads(run(command, env={"PATH": os.environ.get("PATH", "")}, timeout=600).strip().splitlines()[-1])
    except CommandError:  # ended by the limits on memory and time
        found = {"fault": "it cannot be read as a model file"}
    if found["fault"]:
        return ModelFile(Format.OLD, fault=found["fault"])
    if found["detector"]:
        return ModelFile(Format.OLD, kind="detector")
    return replace(contents_of({name: tuple(shape) for name, shape in found["tensors"].items()}), format=Format.OLD)


def fault_of(path: Path) -> str | None:
    """What makes a file unreadable as weights, by its beginning and end."""
    try:
        seen = identify(path, inside=False)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return None if seen.foreign else seen.fault  # what is sound, but for another program, is not broken


# ---- the header of a .safetensors file: 8 bytes length (little endian), that many bytes of JSON, then the tensors


def shapes_in(raw: bytes, size: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors, from the JSON `raw` of a file of `size` bytes. Raises `Unreadable`.

    Models that predict v have a tensor `v_pred`; where a file's metadata say so instead, it gets that name, too.
    """
    if sum(raw.count(sign) for sign in (b"[", b"{", b",")) > MOST_SIGNS:
        raise Unreadable("its header lists more than any model has")
    try:
        header = json.loads(raw)
        metadata = header.pop("__metadata__", {})
        if len(header) > MOST_TENSORS or len(max(header, key=len, default="")) > LONGEST_TENSOR:
            raise Unreadable("its header lists more than any model has")
        shapes, places = dict[str, tuple[int, ...]](), [(0, 0)]
        for name, entry in header.items():
            shape, (start, end) = entry["shape"], entry["data_offsets"]
            known = isinstance(entry["dtype"], str) and isinstance(shape, list) and len(shape) <= 16 and start <= end
            if not known or not all(type(n) is int and 0 <= n < 2**48 for n in (*shape, start, end)):
                raise ValueError
            shapes[name] = tuple(shape)
            places.append((start, end))
        places.sort()
        gaps = any(end != start for (_, end), (start, _) in pairwise(places))
        if gaps or not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Unreadable("its header cannot be read") from error
    lacks = 8 + len(raw) + places[-1][1] - size
    if lacks:
        raise Unreadable("it is cut off" if lacks > 0 else "it is longer than its header says")
    # The second is ComfyUI's word until 2025 (Comfy-Org/ComfyUI#7840).
    says_v = any(metadata.get(f"modelspec.{key}", "").startswith("v") for key in ("prediction_type", "predict_key"))
    return shapes | ({"v_pred": ()} if says_v else {})
