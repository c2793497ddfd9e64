"""The first cell where Colab is not: on an old Python, and on a machine that is lent with Colab's image."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import COLAB_PYTHON
from tests.world.kernel import Kernel, cell_source
from tests.world.pythons import pythons_of

OLD_PYTHONS = [python for minor in ("3.8", "3.9", "3.10") for python in pythons_of(minor)[:1]]
# As IPython runs a cell.
RUN = """
import ast, asyncio, sys
cell = compile(open(sys.argv[1], encoding="utf-8").read(), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
asyncio.run(eval(cell, {}))
"""
COLABS_IMAGE = {"COLAB_RELEASE_TAG": "release-colab_20261101-060128_RC00", "COLAB_GPU": ""}
KAGGLES = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive", "KAGGLE_URL_BASE": "https://www.kaggle.com"}
SEES = """
from launcher.colab.machine import look_at_machine
from launcher.core.problem import NEW_MACHINE
machine = look_at_machine()
print("SEEN", machine.colab, machine.remote, machine.mountpoint, "Colab" in machine.described, "Runtime" in NEW_MACHINE)
"""


@pytest.mark.skipif(not OLD_PYTHONS, reason="no Python before 3.11 on this machine")
@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.parents[1].name)
@pytest.mark.parametrize("cell", ["launch", "stop"])
def test_an_old_python_is_told_which_one_is_needed(tmp_path: Path, python: Path, cell: str) -> None:
    (tmp_path / "cell.py").write_text(cell_source(cell), encoding="utf-8")
    done = subprocess.run(
        [python, "-c", RUN, tmp_path / "cell.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The launcher needs Python 3.11 or newer, and this Jupyter has 3.")
    assert "pip" not in done.stdout


@pytest.mark.parametrize(
    ("variables", "colab"),
    [
        (COLABS_IMAGE, False),
        (COLABS_IMAGE | KAGGLES, False),
        (COLABS_IMAGE | {"TBE_EPHEM_CREDS_ADDR": "127.0.0.1:9"}, True),
        (COLABS_IMAGE | {"TBE_EPHEM_CREDS_ADDR": "127.0.0.1:9", "KAGGLE_KEY": "of a person who uses both"}, True),
    ],
    ids=["Colab's image", "Kaggle", "Colab", "Colab with Kaggle's key"],
)
def test_only_what_colab_alone_has_says_that_this_is_colab(
    kernels: Callable[..., Kernel], tmp_path: Path, variables: dict[str, str], colab: bool
) -> None:
    home = tmp_path / "home"
    kernel = kernels(COLAB_PYTHON, {"ONECLICK_HOME": str(home), **variables}, home)
    kernel.run(cell_source("launch", checkpoint="nope"), 60)
    assert [path.parent.name for path in home.glob("*/program")] == ["oneclick" if colab else "machine"]
    kernel.text = ""
    kernel.run(SEES)
    mountpoint = home / "drive" if colab else None
    kernel.wait_for_text(rf"^SEEN {colab} True {mountpoint} {colab} {colab}$", 10)
