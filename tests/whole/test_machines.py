"""Whatever lies around on a machine, what the launcher starts works, or one sentence says what to do."""

import os
from pathlib import Path

import pytest

from launcher.core.child_environment import child_environment
from tests.whole.machines import PAGE, ROWS, Odd, as_it_should, ends_well, rows_of, tried
from tests.world import World

# One row of each kind: `make machines` has them all, and test_hostile_machine most of them at once.
OF_EACH_KIND = (
    "`UV_CONSTRAINT` names a file that is gone",
    "`UV_CACHE_DIR` cannot be written",
    "`UV_DEFAULT_INDEX` names an index that is dead",
    "`HTTPS_PROXY` names a proxy that is dead",
    "`uv.toml` in the notebook's folder names an index that is dead",
    "`pyproject.toml` in the notebook's folder is broken",
    "`~/.config/uv/uv.toml`: offline",
    "the package index is out of order (503)",
    "the network answers everything with its login page",
    "wheels are cut off on the way",
    "Python's archive is gone (404), and the machine has no Python 3.11",
    "no uv on `PATH`",
    "no uv, and `PIP_TARGET` names another folder",
    "no uv, and pip's own settings file is broken",
    "`GIT_DIR` and `GIT_WORK_TREE` are set",
    "`~/.gitconfig` signs commits, and changes the ends of lines",
    "`PATH` has neither git nor anything else of the system",
    "`HOME` is a file",
    "`TMPDIR` names a folder that is gone",
    "`XDG_CACHE_HOME` cannot be written",
    "`SSL_CERT_FILE` and `SSL_CERT_DIR` name nothing",
    "`HTTP_PROXY` is set, and `NO_PROXY` is not",
    "`LD_PRELOAD` names a library that is gone",
    "`HF_HOME` cannot be written",
    "`http_proxy` names a proxy that is dead, and gradio's link is wanted",
    "`PYTHONPATH` has a numpy for another Python",
    "AUTOMATIC1111's own variables are set",
    "`HTTP_PROXY` is set, and the web UI asks itself",
    "`nvidia-smi` fails, and torch sees the card",
    "`nvidia-smi` lists a card whose driver is too old for torch",
    "Kaggle: Colab's image, without what only Colab has",
    "the kernel's Python is 3.9",
    "`extra_arguments` moves the settings: `--ui-settings-file`",
    "`HF_TOKEN` is no token of the hub",
    "`HF_ENDPOINT` names a mirror that is dead",
)
BY_NAME = {odd.what: odd for odd in ROWS}


@pytest.mark.parametrize("odd", [pytest.param(BY_NAME[name], id=name) for name in OF_EACH_KIND])
def test_an_odd_machine_works_or_says_what_to_do(odd: Odd, tmp_path: Path, world: World) -> None:
    told = tried(odd, tmp_path / "here", world)
    assert as_it_should(odd, told), told
    assert len(told) < 600 and "Traceback" not in told


@pytest.mark.parametrize("name", ["HOME", "TMPDIR", "XDG_CACHE_HOME"])
@pytest.mark.parametrize("value", ["/dev/null", "/dev/null/below", ""])
def test_a_place_that_cannot_be_written_never_arrives(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    arrived = child_environment()
    place = Path(arrived.get(name) or arrived["HOME"])
    assert place.is_dir() and os.access(place, os.W_OK)


def test_a_cache_that_is_not_there_yet_may_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "yet"))
    assert child_environment()["XDG_CACHE_HOME"] == str(tmp_path / "not" / "yet")


@pytest.mark.parametrize("odd", ROWS, ids=lambda odd: odd.what)
def test_the_page_has_the_row_with_the_right_end(odd: Odd) -> None:
    assert ends_well(odd, rows_of(PAGE)[odd.what]), "run `make machines`"
