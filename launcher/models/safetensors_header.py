"""The header of a .safetensors file: 8 bytes length (little endian), that many bytes of JSON, then the tensors."""

import json
import math
from typing import Any, Final

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
    length = int.from_bytes(beginning[:8], "little")
    if length > min(HEADER_LIMIT, size - 8):
        raise Unreadable("its header is longer than the file allows")
    return length


def shapes_in(raw: bytes, size: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors, from the JSON `raw` of a file of `size` bytes. Raises `Unreadable`."""
    try:
        header = json.loads(raw)
        metadata = header.pop("__metadata__", {})
        tensors = {name: checked(entry) for name, entry in header.items()}
        sound = all(isinstance(text, str) for text in metadata.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Unreadable("its header cannot be read") from error
    end = 0
    for start, next_start, _ in sorted(tensors.values()):
        sound = sound and start == end
        end = next_start
    if not sound:
        raise Unreadable("its header cannot be read")
    if 8 + len(raw) + end != size:
        raise Unreadable("it is cut off" if 8 + len(raw) + end > size else "it is longer than its header says")
    return {name: shape for name, (_, _, shape) in tensors.items()}


def checked(entry: Any) -> tuple[int, int, tuple[int, ...]]:
    """First byte, end and shape of one tensor. Raises `ValueError`, `TypeError` or `KeyError` if it cannot be one."""
    dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > 16:
        raise TypeError
    if not all(type(n) is int and 0 <= n < 2**48 for n in (*shape, start, end)):
        raise TypeError
    if start > end or (dtype in DTYPE_BITS and math.prod(shape) * DTYPE_BITS[dtype] != (end - start) * 8):
        raise ValueError
    return start, end, tuple(shape)
