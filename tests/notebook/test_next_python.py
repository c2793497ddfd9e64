"""Colab's Python will change: the first cell must not depend on the one of today.

No CPython 3.14 is to be had on the machines this project is tested on, but Pyodide's is: the same interpreter for
WebAssembly, from an npm package. It has no processes and no threads, so there everything is defined and what needs
neither is run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from launcher.notebook.build import package_files
from tests.conftest import ROOT

PYODIDE = ROOT / ".cache" / "pyodide"
PANEL = "launcher/client/panel.py"  # needs ipywidgets; where there are none, a panel of lines takes its place

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
import ast, importlib, json, pathlib, sys, types, warnings
from unittest import mock
warnings.simplefilter("error")
files, rooms, cells = json.loads(program)
for text in cells:
    compile(text, "a cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
for name in ("filelock", "psutil", "requests", "resource"):  # compiled, networked, or not in a browser: only named while the package is read
    sys.modules[name] = types.ModuleType(name)
for name in ("aiohttp", "aiohttp.web", "aiohttp.web_protocol", "multidict", "yarl", "packaging", "packaging.requirements",
             "packaging.utils", "packaging.version", "requests.exceptions", "urllib3", "urllib3.exceptions"):
    sys.modules[name] = mock.MagicMock()
sys.modules["requests"].Response = sys.modules["requests"].Session = object
sys.modules["requests"].RequestException, sys.modules["requests"].exceptions = OSError, sys.modules["requests.exceptions"]
import socketserver
socketserver.UnixStreamServer = socketserver.TCPServer  # a browser has no Unix sockets
for name, text in files.items():
    path = pathlib.Path("/oneclick", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
sys.path.insert(0, "/oneclick")
for name in rooms:
    for value in list(vars(importlib.import_module(name)).values()):  # 3.14 looks at annotations late: look now
        if isinstance(value, type | types.FunctionType) and value.__module__ == name:
            value.__annotations__
from launcher.core.status import Status
from launcher.core.fields import Settings
from launcher.models.catalog import CHECKPOINT_NAMES
from launcher.ui.render import steps_html
from launcher.webui.explain import explain
status = Status("Starting")
status.add("a", "A step")
status.step("a").begin("at work")
status.step("a").progress(1, 2)
status.step("a").done()
settings = Settings.from_form({"extra_arguments": "--theme dark"}, CHECKPOINT_NAMES)
json.dumps({
    "python": sys.version.split()[0],
    "rooms": len(rooms),
    "panel": steps_html(status.now, 0.0),
    "arguments": settings.extra_arguments,
    "explained": explain("CUDA out of memory", 1, "log").what,
})
"""


def rooms() -> list[str]:
    """The launcher's modules. The package also carries what runs in the browser and what runs inside A1111. Here
    are no ipywidgets.
    """
    ours = [name for name in package_files() if name.endswith(".py") and "/scripts/" not in name and name != PANEL]
    return [name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in ours]


def test_the_first_cell_is_read_and_works_on_the_next_python(tmp_path: Path) -> None:
    (tmp_path / "run.mjs").write_text(IN_NODE)
    (tmp_path / "check.py").write_text(CHECK)
    notebook = json.loads((ROOT / "OneClickLauncher.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (tmp_path / "program.json").write_text(json.dumps([package_files(), rooms(), cells]))
    command = [
        "node",
        str(tmp_path / "run.mjs"),
        str(PYODIDE),
        str(tmp_path / "program.json"),
        str(tmp_path / "check.py"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("TOLD "))[5:])
    assert told["python"].startswith("3.14.")
    assert 'aria-label="done"' in told["panel"]
    assert told["arguments"] == ["--theme", "dark"]
    assert told["explained"] == "The graphics card ran out of memory."


def test_nothing_in_it_is_about_to_go(tmp_path: Path) -> None:
    warnings = ("DeprecationWarning", "PendingDeprecationWarning", "SyntaxWarning")
    done = subprocess.run(
        [sys.executable, *(f"-Werror::{one}" for one in warnings), "-c", f"import {', '.join(rooms())}"],
        cwd=ROOT, env={**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
