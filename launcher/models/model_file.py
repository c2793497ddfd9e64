"""What a model file is, and what is wrong with it."""

import json
import os
import struct
import sys
import zipfile
from pathlib import Path
from typing import Final

from launcher.core.child_environment import child_environment
from launcher.core.folder import Folder, leads_nowhere
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.core.tools import install_tool

HEADER_LIMIT: Final = 100_000_000  # bytes; what safetensors itself allows for a header


def safetensors_fault(path: Path) -> str:
    """What is wrong with a .safetensors file's header and length, or "" where nothing is.

    The format: 8 bytes length (little endian), that many bytes of JSON, then the tensors' bytes.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(8)
        if len(raw) < 8:
            return "it is cut off"
        (length,) = struct.unpack("<Q", raw)
        if length > min(HEADER_LIMIT, size - 8):
            return "its header is longer than the file allows"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return "its header cannot be read"
    if 8 + length + max(ends, default=0) != size:
        return "it is cut off"
    return ""


OLD_KINDS: Final = (".ckpt", ".pt", ".pth", ".bin")
READERS: Final = 16  # stretches of a file read side by side
HALF_DOWNLOADS: Final = (".crdownload", ".aria2", ".download", ".partial", ".incomplete")
# Run in a process of its own: FILE NAME -> one line of JSON.
SCAN: Final = """
import json, sys
from picklescan.scanner import scan_bytes
with open(sys.argv[1], "rb") as file:
    result = scan_bytes(file, sys.argv[2])
dangerous = [f"{one.module}.{one.name}" for one in result.globals if one.safety.name == "Dangerous"]
print(json.dumps({"dangerous": dangerous, "error": result.scan_err}))
"""


def fault_of(path: Path, size: int) -> str:
    """What is wrong with a model file, or "". A `size` of 0 means that nobody knows how long it should be."""
    if size and path.stat().st_size != size:
        return f"it has {path.stat().st_size} bytes instead of {size}"
    with path.open("rb") as file:
        first = file.read(4)
    if path.suffix.lower() == ".safetensors":  # a sound one may begin with «<» too: its header's length does
        fault = safetensors_fault(path)
        return "it is a web page" if fault and first.startswith(b"<") else fault
    if first.startswith(b"<"):
        return "it is a web page"
    return "it is cut off" if first == b"PK\x03\x04" and not zipfile.is_zipfile(path) else ""


def broken_models(folder: Folder, known: set[str]) -> tuple[set[str], dict[str, str]]:
    """Look at the model files on Drive that are not `known`: (names that are sound or known, name -> what is wrong).

    Names are relative to the kept folder. Only the beginning and the end of a file are read.
    """
    sound, broken = set(), {}
    roots = [folder.kept / "models", *folder.kept.glob("extensions/*/models")]
    places = [Path(where, name) for root in roots for where, _, names in os.walk(root) for name in names]
    for path in (*places, *folder.kept.glob("*.ckpt")):
        name = str(path.relative_to(folder.kept))
        if leads_nowhere(path):
            continue  # `Folder.dead_shortcuts` names it
        if name in known:
            sound.add(name)
        elif path.name.lower().endswith(HALF_DOWNLOADS):
            broken[name] = "it is half downloaded"
        elif path.suffix.lower() in (*OLD_KINDS, ".safetensors"):
            fault = fault_of(path, 0)
            if fault:
                broken[name] = fault
            else:
                sound.add(name)
    return sound, broken


def pickle_fault(tools: Path, path: Path, name: str) -> str:
    """What is dangerous in an old-style file of weights, or "" where nothing is. Programs in it are named, never run.

    picklescan (mmaitre314) looks at it, in a folder of its own and in another process: the kernel's packages stay as they are.
    """
    if not name.lower().endswith(OLD_KINDS):
        return ""
    package = tools / "picklescan"
    try:
        if not (package / "picklescan").is_dir():
            install_tool("picklescan", package)
        environment = child_environment() | {"PYTHONPATH": str(package)}
        told = run([sys.executable, "-c", SCAN, str(path), name], env=environment, timeout=600)
    except CommandError as error:
        raise Problem(
            f"{name} is an old kind of file that can carry programs, and it could not be looked through: {error.output.strip()[-120:]}",
            "Press ▶ again later, or take a .safetensors file of the same model.",
        ) from error
    found = json.loads(told.strip().splitlines()[-1])
    if found["dangerous"]:
        return f"it would run {', '.join(found['dangerous'][:3])} on loading"
    return "it cannot be read" if found["error"] else ""
