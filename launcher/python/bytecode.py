"""Bytecode made beforehand, for a fast first start on a new machine."""

import gzip
import os
import subprocess
from typing import Final

from launcher.core.folder import Folder, write_safely
from launcher.python.uv import child_environment

USED_LIST: Final = "oneclick-used.txt.gz"  # on Drive: the files worth compiling on a new machine


def compile_what_was_used(folder: Folder) -> int:
    """Byte-compile, on all cores, what the web UI imported at an earlier start; return how many files that are.

    Without it A1111's own first import compiles them one after the other: 20 to 23 s instead of 6 + 8 (measured on
    2 cores, docs/benchmarks.md). Compiling every file of the environment would take longer than it saves.
    """
    try:
        files = gzip.decompress((folder.kept / USED_LIST).read_bytes()).decode().splitlines()
    except (FileNotFoundError, OSError):
        return 0
    code = "import compileall, sys\nfor line in sys.stdin: compileall.compile_file(line.rstrip(), quiet=2)"
    workers = os.cpu_count() or 1
    command = [str(folder.python / "bin" / "python"), "-c", code]
    there = [str(path) for name in files if (path := folder.python / name).exists()]
    running = [
        subprocess.Popen(command, cwd=folder.python, env=child_environment(folder), stdin=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    for number, process in enumerate(running):
        process.communicate("\n".join(there[number::workers]))
    return len(there)


def remember_what_was_used(folder: Folder) -> None:
    """Note on Drive which files of the environment were imported, by their byte code."""
    names = {
        path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in folder.python.rglob("__pycache__/*.pyc")
    }
    text = "\n".join(sorted(str(name.relative_to(folder.python)) for name in names))
    write_safely(folder.kept / USED_LIST, gzip.compress(text.encode(), mtime=0))
