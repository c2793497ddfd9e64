"""Bytecode made beforehand, for a fast first start on a new machine."""

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from launcher.core.folder import Folder, write_safely
from launcher.core.process import run
from launcher.python.uv import webui_environment

USED_LIST: Final = "oneclick-used.txt.gz"  # on Drive: the files worth compiling on a new machine


def compile_what_was_used(folder: Folder) -> None:
    """Byte-compile, on all cores, what the web UI imported at an earlier start.

    Without it A1111's own first import compiles them one after the other: 20 to 23 s instead of 6 + 8 (measured on
    2 cores, docs/benchmarks.md). Compiling every file of the environment would take longer than it saves.
    """
    try:
        files = gzip.decompress((folder.kept / USED_LIST).read_bytes()).decode().splitlines()
    except OSError:  # nothing is noted yet, or it is damaged
        return
    code = "import compileall, sys\nfor line in open(sys.argv[1]): compileall.compile_file(line.rstrip(), quiet=2)"
    workers = os.cpu_count() or 1
    there = [str(path) for name in files if (path := folder.python / name).exists()]

    def compile_share(number: int) -> None:
        share = folder.python / f"compile-{number}.txt"
        write_safely(share, "".join(f"{name}\n" for name in there[number::workers]))
        run(
            [str(folder.python / "bin" / "python"), "-c", code, str(share)],
            env=webui_environment(folder),
            cwd=folder.python,
        )

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(compile_share, range(workers)))


def remember_what_was_used(folder: Folder) -> None:
    """Note on Drive which files of the environment were imported, by their byte code."""
    names = {
        path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in folder.python.rglob("__pycache__/*.pyc")
    }
    text = "\n".join(sorted(str(name.relative_to(folder.python)) for name in names))
    write_safely(folder.kept / USED_LIST, gzip.compress(text.encode(), mtime=0))
