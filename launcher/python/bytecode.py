"""Bytecode kept on Drive: what one machine has compiled, the next one need not."""

import hashlib
import io
import os
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, write_safely
from launcher.core.process import run
from launcher.python import pack_bytecode
from launcher.python.uv import PYTHON_VERSION, python_path, webui_environment

ARCHIVE: Final = "oneclick-bytecode.zip"  # on Drive, 43 MB for 5,171 files
UNPACKED_TO: Final = "bytecode"  # on the machine, until the packages are there
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)  # what zipfile raises then


def keep_bytecode(folder: Folder, packages: list[str]) -> None:
    """Keep on Drive what A1111 with these packages has compiled so far, unless that is there already.

    Compiling it again costs each new machine 6 s on two cores, or 13 on one (docs/benchmarks.md). Each file carries a
    checksum of its source, which Python compares: what was compiled from another version is compiled anew.
    """
    about = hashlib.sha256("\n".join([PYTHON_VERSION, *sorted(packages)]).encode()).hexdigest()
    if kept_about(folder.kept / ARCHIVE) == about:
        return
    made = folder.machine / ARCHIVE
    command = [python_path(folder), str(Path(pack_bytecode.__file__)), str(folder.python), str(made), about]
    run(command, env=webui_environment(folder), timeout=300)
    write_safely(folder.kept / ARCHIVE, made.read_bytes())
    made.unlink()


def kept_about(kept: Path) -> str | None:
    """Of which packages the kept bytecode is; None where there is none, or a damaged one."""
    try:
        with zipfile.ZipFile(kept) as archive:
            return archive.comment.decode(errors="replace")
    except (FileNotFoundError, *DAMAGED):
        return None


def unpack_bytecode(folder: Folder) -> None:
    """Unpack it beside the environment, which may not be there yet. A damaged one is deleted: another will follow."""
    target, part = folder.machine / UNPACKED_TO, folder.machine / f"{UNPACKED_TO}.part"
    for old in (target, part):
        shutil.rmtree(old, ignore_errors=True)
    try:
        with zipfile.ZipFile(io.BytesIO((folder.kept / ARCHIVE).read_bytes())) as archive:
            archive.extractall(part)  # every file's CRC is compared
    except FileNotFoundError:
        return
    except DAMAGED:
        shutil.rmtree(part, ignore_errors=True)
        (folder.kept / ARCHIVE).unlink()
        return
    os.replace(part, target)


def put_bytecode(folder: Folder) -> None:
    """Move what was unpacked to its sources; what is compiled there already stays."""
    came = folder.machine / UNPACKED_TO
    if not came.exists():  # what is unpacked from here on is the next call's
        return
    for path in came.rglob("__pycache__/*.pyc"):
        place = folder.python / path.relative_to(came)
        if pack_bytecode.source_of(place).exists() and not place.exists():
            place.parent.mkdir(exist_ok=True)
            os.replace(path, place)
    shutil.rmtree(came, ignore_errors=True)
