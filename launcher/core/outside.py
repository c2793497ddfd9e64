"""The one reader of what comes from outside: from Drive, a link, an archive. Nothing in it is believed.

Everything has a bound before it is read, and a shape before it is used. `Damaged` is all that is raised for what does
not fit; other errors are the disk's or Drive's own.
"""

import codecs
import errno
import json
import math
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import LONGEST_FREE_NAME, free_path, leads_nowhere, shortened
from launcher.core.problem import Problem

MOST: Final = 16 << 20  # bytes of a file of notes or settings
DEEPEST: Final = 64  # levels; json and whoever walks through what it gave use the stack
LONGEST_NAMED: Final = 255  # bytes, of every file system
# People can read it: without control letters, those that turn the writing round, and half letters.
FILE_NAME: Final = r"(?!\.{1,2}$)[^/\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+"
# What Drive answers where a file's contents are lost, and where something else has its name.
LOST: Final = (errno.EIO, errno.EISDIR)


class Damaged(Problem):
    """Something from outside that is not what it should be."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{printable(name) or 'A file'} is damaged: {why}.", "Replace it by a good one, or delete it.")


def printable(name: str) -> str:
    """A file name as it can be shown: names may hold bytes that are no letters."""
    return "".join(c if c.isprintable() else "?" for c in name)


def read_bytes(path: Path, most: int = MOST) -> bytes:
    """A file's contents. Raises `Damaged` for more than `most` bytes and for one whose contents are lost."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        if error.errno in LOST:
            raise Damaged(path.name, "it cannot be read") from error
        raise
    if len(data) > most:
        raise Damaged(path.name, "it is far too large")
    return data


def decoded(data: bytes) -> str:
    """A text as editors leave it: UTF-16 where it says so; else UTF-8, or what Windows writes in the west."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig", "replace" if data.startswith(codecs.BOM_UTF8) else "strict")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def parsed_text(data: bytes, what: str) -> str:
    """The text. Raises `Damaged` where there is none: Drive fills what it lost with zeros."""
    text = decoded(data)
    if not text.strip() or "\0" in text:
        raise Damaged(what, "it holds no text")
    return text


def parsed_json(data: bytes, shape: type = dict, what: str = "") -> Any:
    """What the JSON holds, a `shape`. Raises `Damaged`; `what` is the name that it says."""
    text = decoded(data)
    if is_too_deep(text):
        raise Damaged(what, "it does not hold JSON")
    try:
        found = json.loads(text, parse_float=finite, parse_int=finite, parse_constant=finite)
        if "\\ud" in text.lower():  # half a letter: it could never be written again
            json.dumps(found, ensure_ascii=False).encode()
    except ValueError as error:
        raise Damaged(what, "it does not hold JSON") from error
    if not isinstance(found, shape):
        raise Damaged(what, "it holds something else than it should")
    return found


def finite(text: str) -> float:
    """A number that can be reckoned with: `json` takes NaN, Infinity, and whole ones that no float holds, too."""
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return int(text) if text.removeprefix("-").isdecimal() else number


def is_too_deep(text: str) -> bool:
    """True for JSON of too many levels, and for one whose brackets do not match; told without a stack."""
    without_strings = re.sub(r'"[^"]*"?', "", text.replace("\\\\", "").replace('\\"', ""))
    brackets = re.sub(r"[^\[\]]+", "", without_strings.replace("{", "[").replace("}", "]"))
    for _ in range(DEEPEST):
        if not brackets:
            return False
        brackets = brackets.replace("[]", "")
    return bool(brackets)


def read_json(path: Path, most: int = MOST, parse: Callable[..., Any] = parsed_json) -> dict[str, Any] | None:
    """The object in a file of JSON, None where there is no file. Raises `Damaged`."""
    with suppress(FileNotFoundError, NotADirectoryError):
        found: dict[str, Any] = parse(read_bytes(path, most), dict, path.name)
        return found
    return None


def read_note(
    path: Path, say: Callable[[str], object], parse: Callable[..., Any] = parsed_json
) -> dict[str, Any] | None:
    """What a file of our own notes holds; None where there is none. A damaged one is set aside, and said."""
    try:
        return read_json(path, parse=parse)
    except Damaged:
        aside = set_aside(path)
        say(f"{path.name} on your Drive was damaged. It is kept as {aside.name}, and a new one is made.")
        return None


def unpacked(data: bytes, most: int, what: str) -> bytes:
    """What was packed with gzip, if it is no more than `most` bytes. Raises `Damaged`."""
    try:
        packed = zlib.decompressobj(zlib.MAX_WBITS | 16)
        found = packed.decompress(data, most)
    except zlib.error as error:
        raise Damaged(what, "it cannot be unpacked") from error
    if not packed.eof:
        raise Damaged(what, "it is cut off, or far too large")
    return found


def set_aside(path: Path, into: Path | None = None) -> Path:
    """Rename what is damaged to a free name, beside it or in the folder `into`; return that. Raises `OSError`."""
    name = f"{path.stem}.broken-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}"
    if len(os.fsencode(name)) > LONGEST_FREE_NAME:
        name = shortened(name)
    if into:
        into.mkdir(exist_ok=True)
    aside = free_path((into or path.parent) / name)
    os.replace(path, aside)
    return aside


def make_way(root: Path, target: Path) -> None:
    """Set aside what keeps a file from being made: a folder that has its name, what is none where one must be, and
    shortcuts that lead nowhere. Raises `OSError`.
    """
    for above in (root / part for part in reversed(target.relative_to(root).parents[:-1])):
        if os.path.lexists(above) and not above.is_dir():
            set_aside(above)
    if leads_nowhere(target) or (target.is_dir() and not target.is_symlink()):
        set_aside(target)


def joined(root: Path, *parts: str) -> Path:
    """A path below `root`. Raises `Problem` for one that would be elsewhere, also by a link, and for impossible names.

    Below a link that leads out of `root` there is nothing: take the link itself as the root where it may.
    """
    names = [name for part in parts for name in part.split("/")]
    path = root.joinpath(*names)
    possible = all(re.fullmatch(FILE_NAME, name) and len(name.encode()) <= LONGEST_NAMED for name in names)
    if not names or not possible or not is_below(path, root):
        shown = printable("/".join(parts))[:100]
        raise Problem(f'"{shown}" is not the name of a file in this folder.', "Choose a simple name without slashes.")
    return path


def is_below(path: Path, root: Path) -> bool:
    """True if a path stays below a folder when all links are followed. An impossible one (NUL) does not."""
    real = os.path.realpath(root)
    return "\0" not in str(path) and os.path.realpath(path).startswith(f"{real.rstrip('/')}/")


def limited(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The same chunks; raises `Problem` as soon as they are more than `most` bytes."""
    came = 0
    for chunk in chunks:
        came += len(chunk)
        if came > most:
            raise Problem(f"More than {most / 1e6:.0f} MB came, which is far too much.", "Try another address.")
        yield chunk
