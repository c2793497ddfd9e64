"""The web UI's Python, made by the real uv from an index of our own: slow lines, dead ones, and when it is complete."""

import io
import os
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.python import uv
from launcher.python.environment import prepare_python
from launcher.python.inspection import inspect_packages, mend
from launcher.python.lock import ALL_PINS
from launcher.python.uv import COMPLETE, site_packages, uv_environment, uv_problem
from tests.world.heard import Heard
from tests.world.toy_lock import ToyLock, toy_lock

SILENCE = 8.0  # seconds: on a busy machine a program needs some to begin
SLOW = 1_000_000  # bytes a second; uv writes what came in steps of a megabyte


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyLock]:
    with toy_lock(tmp_path, monkeypatch) as made:
        monkeypatch.setenv("PATH", str(Path(sys.prefix) / "bin"))  # uv asks every Python that it finds, shims too
        yield made


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two minutes are too long to wait for in a test."""
    monkeypatch.setattr(uv, "UV_SILENCE", SILENCE)


class Bar(Heard):
    """Remembers how far the bar was."""

    at: list[float]

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "at", [])

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        self.at.append(done / total)


def test_a_wheel_that_comes_slowly_is_waited_for_and_moves_the_bar(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.add("large", "1.0", {"large.py": b"", "large.bin": os.urandom(12 * SLOW)})
    hurry(monkeypatch)  # the wheel takes longer, and uv says nothing meanwhile
    toys.index.rate, bar = SLOW, Bar()
    prepare_python(toys.folder, toys.packages, bar)
    assert (site_packages(toys.folder) / "large.bin").stat().st_size == 12 * SLOW
    assert bar.at == sorted(bar.at) and len(set(bar.at)) > 4


def test_a_wheel_that_stops_is_given_up_and_what_came_whole_is_not_fetched_again(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.add("large", "1.0", {"large.py": b"", "large.bin": os.urandom(200_000)})
    toys.index.stalls.add("large")
    hurry(monkeypatch)
    with pytest.raises(Problem) as told:
        prepare_python(toys.folder, toys.packages, Heard())
    assert told.value.what == "The package index stopped sending."
    assert "packages that arrived whole are kept" in told.value.do
    assert not (toys.folder.python / COMPLETE).exists()
    torch, plain = toys.sent("torch"), toys.sent("plain")
    assert torch and plain
    toys.index.stalls.clear()
    prepare_python(toys.folder, toys.packages, Heard())
    assert (toys.sent("torch"), toys.sent("plain")) == (torch, plain)


def test_a_package_that_went_away_is_installed_again(toys: ToyLock) -> None:
    prepare_python(toys.folder, toys.packages, Heard())
    for path in site_packages(toys.folder).glob("plain-*/*"):
        path.unlink()
    (site_packages(toys.folder) / "plain-1.0.dist-info").rmdir()
    assert prepare_python(toys.folder, toys.packages, Heard())
    assert not prepare_python(toys.folder, toys.packages, Heard())


def test_packages_that_have_no_room_leave_the_finished_environment_as_it_is(toys: ToyLock) -> None:
    prepare_python(toys.folder, toys.packages, Heard())
    before = toys.packages
    toys.add("large", "1.0")
    toys.patch.setitem(ALL_PINS, "large==1.0", replace(toys.table["large"], size=10**15))
    with pytest.raises(Problem, match="the runtime's disk has only"):
        prepare_python(toys.folder, toys.packages, Heard())
    assert not prepare_python(toys.folder, before, Heard())


def test_it_is_looked_at_again_while_what_must_work_does_not(toys: ToyLock) -> None:
    broken = b"raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')\n"
    toys.add("torch", "2.8.0", {"torch.py": broken})
    prepare_python(toys.folder, toys.packages, Heard())
    for _ in range(2):
        with pytest.raises(Problem) as told:
            mend(toys.folder, inspect_packages(toys.folder), Heard())
        assert "libGL.so.1" in told.value.what
        assert "lacks the system library libGL.so.1" in told.value.do


# ---- places


@pytest.mark.parametrize("named", ["uv", "a-file/uv", ""])
def test_uvs_cache_is_where_a_person_wants_it_if_it_can_be_written(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (toys.root / "a-file").write_text("a file where a folder should be")
    monkeypatch.setenv("UV_CACHE_DIR", str(toys.root / named) if named else "")
    cache = toys.root / "uv" if named == "uv" else toys.folder.machine / "cache-of-uv"
    assert uv_environment(toys.folder)["UV_CACHE_DIR"] == str(cache)


def test_a_full_disk_is_said_with_its_numbers(toys: ToyLock) -> None:
    said = "error: Failed to extract archive\n  Caused by: failed to write: No space left on device (os error 28)"
    told = uv_problem(toys.folder, CommandError(["uv"], 2, said), "package index", "the web UI's packages")
    assert told.what.startswith("The runtime's disk filled up while the web UI's packages was installed")
    assert "GB are free" in told.what


# ---- Python itself


# A machine on which uv itself finds no Python 3.11: it has to fetch one.
UV_WITHOUT_PYTHON = """#!/bin/sh
case "$* " in *" --python 3.11 "*) export UV_PYTHON_PREFERENCE=only-managed;; esac
exec {uv} "$@"
"""


def without_python(toys: ToyLock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Python 3.11, on which uv is sent to our index for one."""
    program, home = toys.root / "programs" / "uv", toys.root / "home"
    program.parent.mkdir()
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))  # with no Python that uv fetched before
    program.write_text(UV_WITHOUT_PYTHON.format(uv=Path(sys.prefix) / "bin" / "uv"))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", toys.index.base)


ARCHIVE = 12 * SLOW  # bytes; that it is not the right one is seen at its end


@pytest.fixture
def only_fetched(toys: ToyLock, monkeypatch: pytest.MonkeyPatch) -> ToyLock:
    """A machine whose only Python 3.11 is one that comes from our index, which sends another archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        inside = tarfile.TarInfo("python/bin/python3.11")
        inside.size = ARCHIVE
        archive.addfile(inside, io.BytesIO(os.urandom(ARCHIVE)))
    toys.index.anything = made.getvalue()
    without_python(toys, monkeypatch)
    hurry(monkeypatch)
    return toys


def test_an_archive_of_python_that_comes_slowly_is_waited_for(only_fetched: ToyLock) -> None:
    only_fetched.index.rate = SLOW
    with pytest.raises(Problem) as told:
        prepare_python(only_fetched.folder, only_fetched.packages, Heard())
    assert told.value.what.startswith("What the place Python comes from (GitHub) sent is not what it should be")


def test_an_archive_of_python_that_stops_is_given_up_and_named(only_fetched: ToyLock) -> None:
    only_fetched.index.stalls.add("cpython")
    with pytest.raises(Problem) as told:
        prepare_python(only_fetched.folder, only_fetched.packages, Heard())
    assert told.value.what == "The place Python comes from (GitHub) stopped sending."
