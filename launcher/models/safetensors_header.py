"""The header of a .safetensors file: 8 bytes length (little endian), that many bytes of JSON, then the tensors'
bytes.
"""

import json
import math
from typing import Any, Final, TypeGuard

HEADER_LIMIT: Final = 100_000_000  # bytes; what safetensors itself allows for a header
DTYPE_BITS: Final = {
    **{"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16},
    **{"BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64},
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}


class Unreadable(Exception):
    """What is wrong with the header, as half a sentence that begins with "it" or "its"."""


def header_length(beginning: bytes, size: int) -> int:
    """The length that the first 8 bytes state, if a file of `size` bytes can have it. Raises `Unreadable`."""
    if len(beginning) < 8:
        raise Unreadable("it is cut off")
    length = int.from_bytes(beginning[:8], "little")
    if length > min(HEADER_LIMIT, size - 8):
        raise Unreadable("its header is longer than the file allows")
    return length


def shapes_in(raw: bytes, size: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors, from the JSON `raw` of a file of `size` bytes. Raises `Unreadable`."""
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Unreadable("its header cannot be read") from error
    if not isinstance(header, dict) or not readable_metadata(header.pop("__metadata__", {})):
        raise Unreadable("its header cannot be read")
    shapes, stretches = {}, []
    for name, entry in header.items():
        shape, start, end = checked(entry)
        shapes[name] = shape
        stretches.append((start, end))
    at = 0
    for start, end in sorted(stretches):
        if start != at:
            raise Unreadable("its header cannot be read")
        at = end
    if 8 + len(raw) + at > size:
        raise Unreadable("it is cut off")
    if 8 + len(raw) + at < size:
        raise Unreadable("it is longer than its header says")
    return shapes


def readable_metadata(value: Any) -> bool:
    """Only text is allowed there."""
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def checked(entry: Any) -> tuple[tuple[int, ...], int, int]:
    """Shape, first byte and end of one tensor. Raises `Unreadable`."""
    wrong = Unreadable("its header cannot be read")
    if not isinstance(entry, dict):
        raise wrong
    shape, offsets, dtype = entry.get("shape"), entry.get("data_offsets"), entry.get("dtype")
    if not (is_numbers(shape) and is_numbers(offsets) and len(offsets) == 2 and isinstance(dtype, str)):
        raise wrong
    start, end = offsets
    bits = DTYPE_BITS.get(dtype)
    if start > end or (bits and math.prod(shape) * bits != (end - start) * 8):
        raise wrong
    return tuple(shape), start, end


def is_numbers(value: Any) -> TypeGuard[list[int]]:
    """A short list of whole numbers that a file's size could be."""
    return isinstance(value, list) and len(value) < 16 and all(type(n) is int and 0 <= n < 2**48 for n in value)
