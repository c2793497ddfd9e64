"""Bytecode kept on Drive: what one machine has compiled, the next one need not."""

import hashlib
import io
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from launcher.core.folder import GB, Folder, free_bytes, write_safely
from launcher.core.outside import Damaged, joined, read_bytes
from launcher.core.problem import Problem
from launcher.core.process import run
from launcher.python import pack_bytecode
from launcher.python.environment import webui_environment
from launcher.python.uv import PYTHON_VERSION, python_path

ARCHIVE: Final = "oneclick-bytecode.zip"  # on Drive, 43 MB for 5,171 files
UNPACKED_TO: Final = "bytecode"  # on the machine, until the packages are there
CAME: Final = "bytecode-came"  # in the environment: some of its bytecode is Drive's
LARGEST: Final = 200 << 20  # bytes of an archive
LARGEST_UNPACKED: Final = 1 << 30
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)  # what zipfile raises then


def keep_bytecode(folder: Folder, packages: list[str]) -> None:
    """Keep on Drive what A1111 with these packages has compiled so far, unless that is there already.

    Compiling it again costs each new machine 6 s on two cores, or 13 on one (docs/dev/benchmarks.md). Each file has a
    checksum of its source, which Python compares: what was compiled from another version is compiled anew.
    """
    about = hashlib.sha256("\n".join([PYTHON_VERSION, *sorted(packages)]).encode()).hexdigest()
    with suppress(OSError, *DAMAGED), zipfile.ZipFile(folder.kept / ARCHIVE) as archive:
        if archive.comment == about.encode():
            return
    if free_bytes(folder.kept) < GB:  # the last room is for images
        return
    made = folder.machine / ARCHIVE
    command = [python_path(folder), str(Path(pack_bytecode.__file__)), str(folder.python), str(made), about]
    run(command, env=webui_environment(folder), timeout=300)
    write_safely(folder.kept / ARCHIVE, made.read_bytes())
    made.unlink()


def unpack_bytecode(folder: Folder, say: Callable[[str], object] = lambda text: None) -> None:
    """Unpack it beside the environment, which may not be there yet. A damaged one is taken away."""
    target, part = folder.machine / UNPACKED_TO, folder.machine / f"{UNPACKED_TO}.part"
    for old in (target, part):
        shutil.rmtree(old, ignore_errors=True)
    try:
        unpack_whole(read_bytes(folder.kept / ARCHIVE, LARGEST), part)
        os.replace(part, target)
    except FileNotFoundError:  # there is none
        return
    except (Problem, *DAMAGED, FileExistsError, IsADirectoryError, NotADirectoryError):  # two of one name
        shutil.rmtree(part, ignore_errors=True)
        remove_archive(folder)
        say(f"{ARCHIVE} on your Drive was damaged: a new one is made.")


def unpack_whole(data: bytes, target: Path) -> None:
    """Unpack it file by file. Raises `Problem` for wrong names and for too much, and one of `DAMAGED`."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        plain = all(entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries)
        if not plain or sum(entry.file_size for entry in entries) > LARGEST_UNPACKED:
            raise Damaged(ARCHIVE, "it was not made here")
        target.mkdir(parents=True)
        for entry in entries:
            path = joined(target, entry.filename)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(entry))  # its CRC is compared


def remove_archive(folder: Folder) -> None:
    """Take it from Drive; a folder of its name makes way when the next is written."""
    if (folder.kept / ARCHIVE).is_file():
        (folder.kept / ARCHIVE).unlink()


def put_bytecode(folder: Folder) -> None:
    """Move what was unpacked to its sources; what is compiled there already stays, and what Python would not compare
    with its source is left out.

    Nothing here can tell good code from bad: whoever writes to the folder on Drive knows the sources, too. It is as
    trusted as `extensions/` there (docs/security.md), and thrown away by `discard_bytecode`.
    """
    came = folder.machine / UNPACKED_TO
    if not came.exists():  # what is unpacked from here on is the next call's
        return
    for path in came.rglob("__pycache__/*.pyc"):
        place = folder.python / path.relative_to(came)
        if pack_bytecode.source_of(place).exists() and not place.exists() and is_compared(path):
            place.parent.mkdir(exist_ok=True)
            os.replace(path, place)
            (folder.python / CAME).touch()
    shutil.rmtree(came, ignore_errors=True)


def is_compared(compiled: Path) -> bool:
    """True for bytecode that Python compares with its source by a hash: all that ever comes from Drive."""
    with compiled.open("rb") as file:
        return file.read(pack_bytecode.HEADER)[4:8] == pack_bytecode.BY_HASH


def discard_bytecode(folder: Folder) -> bool:
    """After a start that failed: throw away what came from Drive, there and here; False if none did."""
    if not (folder.python / CAME).exists():
        return False
    for path in folder.python.rglob("__pycache__/*.pyc"):
        if is_compared(path):
            path.unlink()
    remove_archive(folder)
    (folder.python / CAME).unlink()
    return True
