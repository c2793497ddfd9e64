"""Colab's Python will change: the first cell must not depend on the one of today.

No CPython 3.14 is to be had on the machines this project is tested on, but Pyodide's is: the same interpreter for WebAssembly, from an
npm package. It has no processes and no threads, so there everything is defined and what needs neither is run.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.core.process import RUN_LINE
from launcher.notebook.build import ROOMS, program_text, room_text
from tests.conftest import ROOT

PYODIDE = ROOT / ".cache" / "pyodide"

# Run by Node.js: PYODIDE PROGRAM CHECK
IN_NODE = """
const { loadPyodide } = await import(process.argv[2] + "/pyodide.mjs");
const fs = await import("node:fs");
const py = await loadPyodide({ indexURL: process.argv[2] });
py.globals.set("program", fs.readFileSync(process.argv[3], "utf8"));
try {
  console.log("TOLD " + py.runPython(fs.readFileSync(process.argv[4], "utf8")));
} catch (error) {
  console.error(error.message);  // else Node shows a megabyte of Pyodide's own source
  process.exitCode = 1;
}
"""

CHECK = """
import ast, json, sys, types, warnings
warnings.simplefilter("error")
compile(program, "the first cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
for name in ("psutil", "requests"):  # compiled or networked: only named while the cell is read
    sys.modules[name] = types.ModuleType(name)
sys.modules["requests"].Response = sys.modules["requests"].Session = object
room = {"__name__": "oneclick"}
sys.modules["oneclick"] = types.ModuleType("oneclick")
exec(compile(program, "the first cell", "exec"), room)
for value in list(room.values()):  # 3.14 looks at annotations late: look now
    if isinstance(value, type | types.FunctionType) and value.__module__ == "oneclick":
        value.__annotations__
board = room["Board"]("Starting", "Done")
board.add("a", "A step")
board.start("a", "at work")
board.progress("a", 1, 2)
board.finish("a")
settings = room["Settings"].from_form(
    checkpoint="Stable Diffusion 1.5", keep_models_on="Google Drive", drive_folder="asd1111", update=True, api=False, link="none",
    extra_arguments="--theme dark", give_back_after=0, extensions_tab=False, known_checkpoints=room["CHECKPOINT_NAMES"])
json.dumps({
    "python": sys.version.split()[0],
    "panel": room["steps_html"](board.snapshot(), 0.0),
    "arguments": settings.extra_arguments,
    "explained": room["explain"]("CUDA out of memory", 1, "log").what,
    "notebook": room["DEFAULT_MODEL"],
})
"""


def test_the_first_cell_is_read_and_works_on_the_next_python(tmp_path: Path) -> None:
    (tmp_path / "run.mjs").write_text(IN_NODE)
    (tmp_path / "check.py").write_text(CHECK)
    (tmp_path / "program.py").write_text("\n\n".join(room_text(room) for room in ROOMS))
    command = [
        "node",
        str(tmp_path / "run.mjs"),
        str(PYODIDE),
        str(tmp_path / "program.py"),
        str(tmp_path / "check.py"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("TOLD "))[5:])
    assert told["python"].startswith("3.14.")
    assert 'aria-label="done"' in told["panel"]
    assert told["arguments"] == ["--theme", "dark"]
    assert told["explained"] == "The graphics card ran out of memory."


@pytest.mark.parametrize("warning", ["DeprecationWarning", "PendingDeprecationWarning", "SyntaxWarning"])
def test_nothing_in_it_is_about_to_go(tmp_path: Path, warning: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(program_text().partition("\n" + RUN_LINE)[0])
    done = subprocess.run(
        [sys.executable, "-W", f"error::{warning}", str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
