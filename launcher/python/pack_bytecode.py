"""Run by the web UI's own Python: pack what it has compiled into one file (`bytecode.keep_bytecode`).

Arguments: the environment, the zip to write, and its comment. Each file gets a checksum of its source in place of the
source's date (PEP 552): on the next machine the dates are different. What does not belong to its source is left out.
"""

import importlib.util
import os
import sys
import zipfile
from pathlib import Path
from typing import Final

HEADER: Final = 16  # bytes: magic number, flags, then date and size of the source, or its hash
BY_DATE: Final = bytes(4)
BY_HASH: Final = (0b11).to_bytes(4, "little")  # compared with the source at each import


def source_of(compiled: Path) -> Path:
    """Where the source of a file in `__pycache__` is; whatever else stands in its name (optimisation, a tool)."""
    return compiled.parent.parent / f"{compiled.name.partition('.')[0]}.py"


def with_hash(compiled: bytes, source: Path) -> bytes | None:
    """The same with the hash of its source; None if it was not compiled from it."""
    magic, flags, about = compiled[:4], compiled[4:8], compiled[8:HEADER]
    content, stat = source.read_bytes(), source.stat()
    now = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in (int(stat.st_mtime), stat.st_size))
    digest = importlib.util.source_hash(content)
    fits = magic == importlib.util.MAGIC_NUMBER and (flags, about) in ((BY_DATE, now), (BY_HASH, digest))
    return magic + BY_HASH + digest + compiled[HEADER:] if fits else None


def main() -> None:
    """Pack, without haste: somebody may be making an image."""
    environment, target, about = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    os.nice(10)
    with zipfile.ZipFile(target, "w") as archive:
        archive.comment = about.encode()
        for path in sorted(environment.rglob("__pycache__/*.pyc")):
            source = source_of(path)
            packed = with_hash(path.read_bytes(), source) if source.exists() else None
            if packed:
                name = zipfile.ZipInfo(str(path.relative_to(environment)))  # without a date
                archive.writestr(name, packed, zipfile.ZIP_DEFLATED, compresslevel=1)


if __name__ == "__main__":
    main()
