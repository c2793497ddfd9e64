"""The notebook file: a fresh build of the sources, whole, and fit for Colab."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import BRANCH, OWNER, REPOSITORY
from launcher.core.fields import FIELDS
from launcher.notebook import build
from tests.conftest import ROOT

NOTEBOOK = json.loads((ROOT / "OneClickLauncher.ipynb").read_text())
CELLS = {cell["id"]: cell for cell in NOTEBOOK["cells"]}


def source(identity: str) -> str:
    return "".join(CELLS[identity]["source"])


def test_the_notebook_equals_a_fresh_build() -> None:
    assert (ROOT / "OneClickLauncher.ipynb").read_text() == build.notebook_text(), "run `make notebook`"


def test_it_is_the_same_wherever_and_however_it_is_built(tmp_path: Path) -> None:
    """Sets are walked in another order with another hash seed; encodings and times differ from machine to machine."""
    machines = ({"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Tokyo"}, {"PYTHONHASHSEED": "2", "PYTHONUTF8": "0"})
    for number, machine in enumerate(machines):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **machine}
        command = [sys.executable, "-m", "launcher.notebook.build", str(tmp_path / f"{number}.ipynb")]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
        assert (tmp_path / f"{number}.ipynb").read_bytes() == (ROOT / "OneClickLauncher.ipynb").read_bytes()


def test_the_badge_leads_to_the_users_own_repository() -> None:
    assert (
        f"https://colab.research.google.com/github/{OWNER}/{REPOSITORY}/blob/{BRANCH}/OneClickLauncher.ipynb"
        in source("view-in-github")
    )
    assert (OWNER, REPOSITORY, BRANCH) == ("beothorn", "OneClickStableDifusionAutomatic1111Colab", "main")


def test_owner_and_name_stand_in_one_place() -> None:
    holders = [path.name for path in (ROOT / "launcher").rglob("*.py") if OWNER in path.read_text()]
    assert holders == ["__init__.py"]


def test_it_asks_colab_for_a_t4_and_carries_no_output() -> None:
    assert NOTEBOOK["metadata"]["accelerator"] == "GPU"
    assert NOTEBOOK["metadata"]["colab"]["gpuType"] == "T4"
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in NOTEBOOK["cells"])


def test_the_title_cell_says_what_google_says() -> None:
    assert "bypassing the notebook UI to interact primarily via a web UI" in source("title")
    assert "https://research.google.com/colaboratory/faq.html" in source("title")


@pytest.mark.parametrize("identity", [i for i, cell in CELLS.items() if cell["cell_type"] == "code"])
def test_every_cell_is_python_and_folded_under_a_form(identity: str) -> None:
    compile(source(identity), identity, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert CELLS[identity]["metadata"]["cellView"] == "form"
    assert source(identity).startswith("#@title ▶")


def test_every_field_has_a_sentence_under_it_and_none_asks_for_a_token() -> None:
    for identity, cell in CELLS.items():
        lines = source(identity).splitlines()
        fields = [number for number, line in enumerate(lines) if re.search(r"#\s*@param", line)]
        assert cell["cell_type"] == "markdown" or fields
        for number in fields:
            assert re.match(r"#@markdown .+\.$", lines[number + 1]), lines[number]
            assert not re.match(r"\w*(token|password|key)\w* =", lines[number], re.IGNORECASE)


def test_the_form_has_the_fields_of_the_table() -> None:
    assert re.findall(r"(?m)^(\w+) = .*#@param", source("launch")) == [field.name for field in FIELDS if field.in_form]


def test_it_needs_no_other_file_of_the_repository_and_carries_each_of_the_package_whole_but_for_comments() -> None:
    calls = [node for node in ast.walk(ast.parse(source("launch"))) if isinstance(node, ast.Call)]
    call = next(node for node in calls if getattr(node.func, "id", "") == "oneclick")
    carried = ast.literal_eval(call.args[3])
    paths = [path for ending in ("py", "js", "css", "txt") for path in (ROOT / "launcher").rglob(f"*.{ending}")]
    sources = {name: path.read_text() for path in paths if "/notebook/" not in (name := str(path.relative_to(ROOT)))}
    assert "launcher/extensions/builtin/oneclick_launcher/javascript/launcher_tab.js" in sources
    assert "launcher/python/lock.txt" in sources
    assert carried.keys() == sources.keys()
    for name, text in sources.items():
        assert carried[name] == text or name.endswith(".py")
        lines = zip(carried[name].splitlines(), text.splitlines(), strict=True)
        assert all(is_without_comment(here, there) for here, there in lines), "what is left out leaves an empty line"
        assert not name.endswith(".py") or code(carried[name]) == code(text)
    assert "launcher.notebook" not in "".join(carried.values())
    assert sum(map(len, carried.values())) < 0.85 * sum(map(len, sources.values()))


def is_without_comment(here: str, there: str) -> bool:
    return here in (there, "") or (there.startswith(here) and there[len(here) :].lstrip().startswith("#"))


def code(text: str) -> str:
    """A module as Python reads it, its places in the file included, but for its docstrings."""
    module = ast.parse(text)
    documented = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for node in ast.walk(module):
        if isinstance(node, documented) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(module, include_attributes=True)


COMMENTED = '''\
"""What it is: goes."""  # so does this

# goes
SAID = """
# stays, in a text
"""


class Problem(Exception):
    """Stays: the class would be empty."""


class One:
    """Goes, all

    of it."""

    # goes
    a = "#1"  # goes

    def b(self) -> int: "goes with nothing"; return 1

    async def c(self) -> str:
        "Goes."
        return f"""{
            self.a}
        # stays
        """
'''


def test_comments_and_docstrings_leave_empty_lines_and_nothing_else_changes() -> None:
    carried = build.without_comments(COMMENTED)
    assert [old for old, new in zip(COMMENTED.splitlines(), carried.splitlines(), strict=True) if old != new] == [
        '"""What it is: goes."""  # so does this',
        "# goes",
        '    """Goes, all',
        '    of it."""',
        "    # goes",
        '    a = "#1"  # goes',
        '        "Goes."',
    ]
    assert '    a = "#1"\n' in carried
    assert build.without_comments(carried) == carried


def test_it_needs_no_package_that_colab_lacks() -> None:
    colab = {
        "aiohttp",
        "filelock",
        "packaging",
        "IPython",
        "PIL",
        "ipywidgets",
        "multidict",
        "psutil",
        "requests",
        "urllib3",
        "yarl",
    }
    imported = set()
    files = build.package_files()
    for text in (files[name] for name in files if name.endswith(".py") and "/scripts/" not in name):  # those: A1111's
        nodes = list(ast.walk(ast.parse(text)))
        imported |= {(node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        imported |= {a.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for a in node.names}
    assert imported - set(sys.stdlib_module_names) - {"launcher"} <= colab


@pytest.mark.parametrize("text", ["a = '''b'''\n", "#@title a\n", "a = 1"])
def test_a_text_that_a_cell_cannot_hold_stops_the_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    (tmp_path / "one.py").write_text(text)
    monkeypatch.setattr(build, "PACKAGE_DIR", tmp_path)
    with pytest.raises(SystemExit, match=r"/one.py"):
        build.package_files()
