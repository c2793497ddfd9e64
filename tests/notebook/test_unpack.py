"""The notebook is a package that unpacks itself: in real kernels, without a launch."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path

import pytest

from launcher.core.fields import FIELDS
from launcher.notebook import build
from launcher.notebook.build import ADD_MODEL, LAUNCH_FORM
from tests.conftest import COLAB_PYTHON, CURRENT_PYTHON, ROOT
from tests.notebook.test_next_python import PANEL
from tests.world.kernel import Kernel, cell_source

STACKS = [pytest.param(COLAB_PYTHON, id="colab"), pytest.param(CURRENT_PYTHON, id="current")]
Kernels = Callable[..., Kernel]
WRONG = "nope"  # a checkpoint that ends a launch before it begins
SAYS = "neither a known model nor a link"
NOTHING = "Nothing was written here yet."  # what an extra cell says that got as far as its empty field
ONCE = "Press ▶ on the first cell once, then press ▶ here again."
PRINT_FILE = "import launcher.cells; print('FILE', launcher.cells.__file__)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def at_home(home: Path) -> dict[str, str]:
    return {"ONECLICK_HOME": str(home)}


def press(kernel: Kernel, source: str) -> str:
    kernel.text = ""
    kernel.widgets.clear()
    kernel.run(source, 60)
    assert [error for error in kernel.errors if not error.startswith("CellFailed: It did not succeed: ")] == []
    return kernel.text + re.sub("</?b>", "", kernel.html())


def other_version(cell: str, form: str) -> str:
    """The same notebook with another comment in it: another version of the launcher."""
    files = build.package_files()
    files["launcher/__init__.py"] += "# another version\n"
    identity = "launch" if cell == "launch" else "add-model"
    return build.code_text(identity, cell, form, files)


@pytest.mark.parametrize("python", STACKS)
def test_it_opens_and_runs_as_one_file_with_nothing_else_of_the_repository_and_leaves_the_fields_and_one_function(
    kernels: Kernels, home: Path, python: Path
) -> None:
    import nbformat  # its checks take two seconds to import

    home.mkdir()
    alone = home / "OneClickLauncher.ipynb"
    shutil.copy(ROOT / alone.name, alone)
    nbformat.validate(nbformat.read(alone, as_version=4))
    kernel = kernels(python, at_home(home), home)
    kernel.run("import importlib.util, sys; print('BEFORE', importlib.util.find_spec('launcher'))")
    kernel.wait_for_text(r"^BEFORE None$", 10)
    kernel.run("before = set(globals())")
    assert SAYS in press(kernel, cell_source("launch", alone, checkpoint=WRONG))
    kernel.run("print(sorted(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'launcher'))")
    files = ast.literal_eval(kernel.text.splitlines()[-1])
    assert len(files) > 10
    assert all(Path(file).is_relative_to(home / "machine" / "program") for file in files)
    kernel.run("print([p for p in sys.path if 'program' not in p])")
    assert str(ROOT) not in ast.literal_eval(kernel.text.splitlines()[-1])
    kernel.run("print('NEW', sorted(n for n in set(globals()) - before if not n.lstrip('_i').isdigit()))")
    new = set(eval(kernel.wait_for_text(r"^NEW (.+)$", 10)[1])) - {"before", "_", "__", "___", "_i", "_ii", "_iii"}
    assert new == {field.name for field in FIELDS if field.in_form} | {"oneclick"}


def test_a_jupyter_that_lacks_what_the_launcher_imports_says_which(kernels: Kernels, home: Path) -> None:
    imported = set[str]()
    for name, text in build.package_files().items():
        if name.endswith(".py") and "/scripts/" not in name and name != PANEL:  # scripts run in A1111
            for node in ast.parse(text).body:  # what a function imports, it can do without
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                imported |= {name.partition(".")[0] for name in names}
    imported -= {"launcher", *sys.stdlib_module_names}
    along = [wanted for name in (*imported, "ipykernel") for wanted in requires(name) or () if "extra ==" not in wanted]
    lacks = sorted(imported - {re.split(r"[^\w-]", wanted)[0] for wanted in along})
    kernel = kernels(CURRENT_PYTHON, at_home(home), home)
    kernel.run(f"import sys; sys.modules.update(dict.fromkeys({lacks}))")  # the same as not installed
    assert f"This Jupyter lacks {', '.join(lacks)}. " in press(kernel, cell_source("launch", checkpoint=WRONG))
    assert not list(home.rglob("launcher"))


def test_a_cell_that_takes_common_names_breaks_nothing(kernels: Kernels, home: Path) -> None:
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    kernel.run("run = git = page = stop = launch = os = sys = Path = running = 1")
    assert SAYS in press(kernel, cell_source("launch", checkpoint=WRONG))
    assert NOTHING in press(kernel, cell_source("add-model", what=""))
    kernel.run("print('STILL', run, git, page, stop, launch, os, sys, Path, running)")
    kernel.wait_for_text(r"^STILL( 1){9}$", 10)


def test_an_extra_cell_uses_the_package_on_the_disk_in_a_new_kernel_too(kernels: Kernels, home: Path) -> None:
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    press(kernel, cell_source("launch", checkpoint=WRONG))
    kernel.shutdown()
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    assert NOTHING in press(kernel, cell_source("add-model", what=""))


@pytest.mark.parametrize("python", STACKS)
def test_outside_of_colab_an_extra_cell_without_the_package_says_one_sentence(
    kernels: Kernels, home: Path, python: Path
) -> None:
    kernel = kernels(python, at_home(home), home)
    for identity in ("add-model", "add-controlnet", "add-extension", "stop"):
        assert press(kernel, cell_source(identity)).startswith(ONCE)
    assert not list(home.rglob("*.py"))


def test_a_first_cell_whose_text_was_changed_says_so(kernels: Kernels, home: Path) -> None:
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    changed = cell_source("launch").replace("import json", "import  json", 1)
    said = press(kernel, changed)
    assert "The text of this cell was changed" in said and "press Open in Colab" in said
    assert ONCE not in said


def test_another_system_than_linux_is_said_before_anything_is_unpacked(kernels: Kernels, home: Path) -> None:
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    assert "needs Linux" in press(kernel, f"import sys; sys.platform = 'win32'\n{cell_source('launch')}")
    assert not list(home.rglob("*.py"))


def test_colab_may_answer_anything_when_asked_for_the_notebook(kernels: Kernels, tmp_path: Path, home: Path) -> None:
    package = tmp_path / "colab" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "_message.py").write_text(
        "from pathlib import Path\n"
        "def blocking_request(kind, request='', timeout_sec=5):\n    assert kind == 'get_ipynb'\n"
        f"    return eval(Path({str(tmp_path / 'answer')!r}).read_text())\n"
    )
    kernel = kernels(COLAB_PYTHON, {**at_home(home), "PYTHONPATH": str(tmp_path / "colab")}, home)
    for answer, says in (
        ("None", ONCE),
        ("{}", ONCE),
        ("{'ipynb': {'cells': []}}", ONCE),
        ("{'ipynb': {'cells': [{'source': ['await oneclick(\"launch\", \"0\", {}, {})']}]}}", ONCE),
        ("1 / 0", ONCE),
        (f"{{'ipynb': __import__('json').load(open({str(ROOT / 'OneClickLauncher.ipynb')!r}))}}", NOTHING),
    ):
        (tmp_path / "answer").write_text(answer)
        assert says in press(kernel, cell_source("add-model", what="")), answer


def test_a_file_that_was_changed_on_the_disk_is_never_run(kernels: Kernels, home: Path) -> None:
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    press(kernel, cell_source("launch", checkpoint=WRONG))
    (place,) = (home / "machine" / "program").iterdir()
    (place / "launcher" / "cells.py").write_text("raise SystemExit('changed')\n")
    (place / "launcher" / "more.py").write_text("raise SystemExit('added')\n")
    kernel.shutdown()
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    assert press(kernel, cell_source("add-model", what="")).startswith(ONCE)
    assert SAYS in press(kernel, cell_source("launch", checkpoint=WRONG))
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert not (place / "launcher" / "more.py").exists()


def test_another_version_in_the_same_kernel_takes_its_place(kernels: Kernels, home: Path) -> None:
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    press(kernel, cell_source("launch", checkpoint=WRONG))
    first = press(kernel, PRINT_FILE)
    assert SAYS in press(kernel, other_version("launch", LAUNCH_FORM.replace('checkpoint = "', 'checkpoint = "nope ')))
    second = press(kernel, PRINT_FILE)
    assert first != second
    assert NOTHING in press(kernel, other_version("add_model", ADD_MODEL.replace('what = "', 'what = "" or "" #')))
    assert press(kernel, PRINT_FILE) == second


def test_somebody_elses_module_called_launcher_is_in_nobodys_way(kernels: Kernels, home: Path) -> None:
    home.mkdir()
    (home / "launcher.py").write_text("mine = 1\n")
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    kernel.run("import launcher")
    assert SAYS in press(kernel, cell_source("launch", checkpoint=WRONG))
    assert press(kernel, "print(launcher.mine)").strip() == "1"


# A function of each floor, called so that it raises.
ERRORS = {
    "core": "from launcher.core.fields import checked_minutes; checked_minutes('x')",
    "models": "from launcher.models.pasted import safe_name; safe_name(1)",
    "ui": "from launcher.ui.render import in_bytes; in_bytes('x')",
    "source": "from launcher.source.git import last_words; last_words(None)",
    "webui": "from launcher.webui.explain import explain; explain(1, 2, 3)",
    "colab": "from launcher.colab.machine import release_machine; release_machine(1)",
    "python": "from launcher.python.lock import packages_for; packages_for(1)",
    "drive": "from launcher.drive.mount import mount_problem; mount_problem('x', [], 0.0)",
    "access": "from launcher.access.pages import status_page; status_page(1)",
    "extensions": "from launcher.extensions.manage import checked_address; checked_address(1)",
    "launch": "from launcher.launch.steps import Steps; Steps(None, None, None).problem(ValueError())",
    "service": "from launcher.service.questions import NotAnswered; NotAnswered('x', 'y')",
    "client": "from launcher.client.connect import service_version; service_version(1)",
    "cells": "import launcher.cells, asyncio; asyncio.run(launcher.cells.run_cell('launch', 1))",
}


def test_a_traceback_names_the_file_and_the_line_of_the_repository(tmp_path: Path) -> None:
    for name, text in build.package_files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    code = f"""
import json, traceback
for floor, text in {ERRORS}.items():
    try:
        exec(text)
    except Exception as error:
        frames = [(one.filename, one.lineno) for one in traceback.extract_tb(error.__traceback__)]
        print(json.dumps([floor, [frame for frame in frames if "launcher" in frame[0]]]))
"""
    environment = {**os.environ, "ONECLICK_HOME": str(tmp_path / "home")}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    frames = dict(json.loads(line) for line in told.stdout.splitlines())
    for floor in ERRORS:
        assert any(f"/launcher/{floor}" in name for name, _ in frames[floor]), (floor, frames.get(floor))
        for name, line in frames[floor]:
            repository = ROOT / Path(name).relative_to(tmp_path)
            there, here = (path.read_text().splitlines()[line - 1] for path in (repository, Path(name)))
            assert here == there.partition("  # ")[0]


def test_a_note_of_another_version_is_no_type_error(kernels: Kernels, home: Path) -> None:
    session = home / "machine" / "session"
    session.mkdir(parents=True)
    (session / "launch.json").write_text(json.dumps({"checkpoint": "x", "lottery": True}))
    kernel = kernels(COLAB_PYTHON, at_home(home), home)
    press(kernel, cell_source("launch", checkpoint=WRONG))
    assert NOTHING in press(kernel, cell_source("add-model", what=""))
