"""The web UI's Python, made by the real uv from an index of our own: slow lines, dead ones, and when it is complete."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.status import Step
from launcher.python import install, interpreter
from launcher.python.environment import COMPLETE, make_work, prepare_python
from launcher.python.uv import site_packages, suits, uv_environment, uv_problem
from tests.world.heard import Heard
from tests.world.toy_lock import ToyLock, toy_lock

SILENCE = 8.0  # seconds: on a busy machine a program needs some to begin
SLOW = 1_000_000  # bytes a second; uv writes what came in steps of a megabyte


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyLock]:
    with toy_lock(tmp_path, monkeypatch) as made:
        monkeypatch.setenv("PATH", str(Path(sys.prefix) / "bin"))  # uv asks every Python that it finds, shims too
        yield made


@pytest.fixture
def anywhere() -> dict[str, str]:
    """The variables as they are, before `toys` changes them."""
    return dict(os.environ)


class Bar(Heard):
    """Remembers how far the bar was."""

    at: list[float]

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "at", [])

    def progress(self, done: int, total: int = 0, unit: str = "bytes") -> None:
        super().progress(done, total, unit)
        self.at.append(done / total)


def test_a_wheel_that_comes_slowly_is_waited_for_and_moves_the_bar(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.add("large", "1.0", {"large.py": b"", "large.bin": os.urandom(12 * SLOW)})
    monkeypatch.setattr(install, "UV_SILENCE", SILENCE)  # the wheel takes longer, and uv says nothing meanwhile
    toys.index.rate, bar = SLOW, Bar()
    prepare_python(toys.folder, toys.packages, bar)
    assert (site_packages(toys.folder) / "large.bin").stat().st_size == 12 * SLOW
    assert bar.at == sorted(bar.at) and len(set(bar.at)) > 4


def test_a_wheel_that_stops_is_given_up_and_what_came_whole_is_not_fetched_again(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.add("large", "1.0", {"large.py": b"", "large.bin": os.urandom(200_000)})
    toys.index.stalls.add("large")
    monkeypatch.setattr(install, "UV_SILENCE", SILENCE)
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


def test_it_is_complete_only_after_a_look_at_every_package(
    toys: ToyLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "lying" / "uv"
    uv.parent.mkdir()
    uv.write_text(f'#!/bin/sh\n[ "$1" = pip ] && exit 0\nexec {Path(sys.prefix) / "bin" / "uv"} "$@"\n')
    uv.chmod(0o700)
    with monkeypatch.context() as lying:
        lying.setenv("PATH", f"{uv.parent}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(Problem, match=r"The installer says it is done, but plain==1\.0, .* and others are missing"):
            prepare_python(toys.folder, toys.packages, Heard())
    assert not (toys.folder.python / COMPLETE).exists()
    assert prepare_python(toys.folder, toys.packages, Heard()).installed_now
    for path in site_packages(toys.folder).glob("plain-*/*"):
        path.unlink()
    (site_packages(toys.folder) / "plain-1.0.dist-info").rmdir()
    assert prepare_python(toys.folder, toys.packages, Heard()).installed_now, "a package went away"
    assert not prepare_python(toys.folder, toys.packages, Heard()).installed_now


def test_it_is_looked_at_again_while_what_must_work_does_not(toys: ToyLock) -> None:
    broken = b"raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')\n"
    toys.add("torch", "2.8.0", {"torch.py": broken})
    prepare_python(toys.folder, toys.packages, Heard())
    for _ in range(2):
        with pytest.raises(Problem) as told:
            make_work(toys.folder, Heard())
        assert "libGL.so.1" in told.value.what
        assert "lacks the system library libGL.so.1" in told.value.do


# ---- places


def test_a_cache_on_another_disk_that_is_small_is_not_used(toys: ToyLock, monkeypatch: pytest.MonkeyPatch) -> None:
    other = next(
        (p for p in (Path("/dev/shm"), Path("/tmp"), Path.home()) if p.stat().st_dev != toys.root.stat().st_dev), None
    )
    if other is None:
        pytest.skip("this machine has one disk only")
    cache = other / f"oneclick-test-{os.getpid()}"
    monkeypatch.setattr("launcher.python.uv.free_bytes", lambda place: 1_000_000)
    monkeypatch.setenv("UV_CACHE_DIR", str(cache))
    try:
        assert uv_environment(toys.folder)["UV_CACHE_DIR"] == str(toys.folder.machine / "cache-of-uv")
        monkeypatch.setattr("launcher.python.uv.free_bytes", lambda place: 100_000_000_000)
        assert uv_environment(toys.folder)["UV_CACHE_DIR"] == str(cache)
    finally:
        cache.rmdir()


def test_a_home_that_cannot_be_written_moves_uvs_cache_and_its_pythons(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("launcher.python.uv.suits", lambda place, folder: False)
    made = uv_environment(toys.folder)
    assert {made["UV_CACHE_DIR"], made["UV_PYTHON_INSTALL_DIR"]} == {
        str(toys.folder.machine / "cache-of-uv"), str(toys.folder.machine / "pythons"),
    }  # fmt: skip
    monkeypatch.undo()
    assert suits(toys.folder.machine / "anything", toys.folder)
    assert not suits(Path("/proc/anything"), toys.folder)
    assert not suits(Path("/dev/null/anything"), toys.folder)


def test_a_full_disk_is_said_with_its_numbers(toys: ToyLock) -> None:
    said = "error: Failed to extract archive\n  Caused by: failed to write: No space left on device (os error 28)"
    told = uv_problem(toys.folder, CommandError(["uv"], 2, said), "package index", "the web UI's packages")
    assert told.what.startswith("The runtime's disk filled up while the web UI's packages was installed")
    assert "GB are free" in told.what


# ---- Python itself


def test_another_python_on_the_machine_is_used_where_none_can_be_fetched(
    anywhere: dict[str, str], toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.index.status = 403  # for the archive; the seeds come from the index, which is well again by then
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", toys.index.base)
    fetched_only = {"UV_PYTHON_PREFERENCE": "only-managed", "UV_PYTHON_INSTALL_DIR": str(toys.root / "pythons")}
    monkeypatch.setattr(interpreter, "uv_environment", lambda folder: uv_environment(folder) | fetched_only)
    uv, heard = Path(sys.prefix) / "bin" / "uv", Heard()
    find = [str(uv), "python", "find", "3.11"]
    there = subprocess.run(find, env=anywhere, check=True, capture_output=True, text=True).stdout.strip()

    def other_pythons(step: Step) -> Iterator[str]:
        toys.index.status = 200
        fetched_only.pop("UV_PYTHON_PREFERENCE", None)
        yield from (path for path in ("/nowhere/python3.11", there))

    monkeypatch.setattr(interpreter, "other_pythons", other_pythons)
    assert prepare_python(toys.folder, toys.packages, heard).installed_now
    assert "Python 3.11 could not be downloaded; this machine's own is used" in heard.said


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
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", toys.index.base)
    fetched_only = {"UV_PYTHON_PREFERENCE": "only-managed", "UV_PYTHON_INSTALL_DIR": str(toys.root / "pythons")}
    monkeypatch.setattr(interpreter, "uv_environment", lambda folder: uv_environment(folder) | fetched_only)
    monkeypatch.setattr(interpreter, "other_pythons", lambda step: iter(()))
    monkeypatch.setattr(interpreter, "UV_SILENCE", SILENCE)
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


APT = """#!/bin/sh
echo "$0 $@" >> {log}
case "$0" in *cache) echo "  Candidate: {version}";; esac
"""


@pytest.mark.parametrize(("version", "taken"), [("3.11.0~rc1-1", False), ("(none)", False), ("3.11.2-6", True)])
def test_the_systems_python_is_taken_unless_it_is_a_release_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool
) -> None:
    for name in ("apt-get", "apt-cache"):
        (tmp_path / name).write_text(APT.format(log=tmp_path / "log", version=version))
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(interpreter, "PLACES", ())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert list(interpreter.other_pythons(Heard())) == (["/usr/bin/python3.11"] if taken else [])
    assert ("apt-get install -y -qq python3.11" in (tmp_path / "log").read_text()) == taken
