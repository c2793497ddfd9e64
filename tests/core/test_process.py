"""A command to its end: what it prints, and when it is ended."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from launcher.core.process import CommandError, note_process, run, running_pid


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_each_line_is_heard_as_it_comes_and_a_meters_too(tmp_path: Path) -> None:
    heard = list[str]()

    def hear(line: str) -> None:
        heard.append(line)
        (tmp_path / "heard").touch()

    program = f"""
import pathlib, time
print("a", flush=True)
while not pathlib.Path({str(tmp_path / "heard")!r}).exists():
    time.sleep(0.01)
print("50 %", "100 %", sep="\\r")
"""
    assert run(python(program), on_line=hear, timeout=30) == "a\n50 %\n100 %\n"
    assert heard == ["a", "50 %", "100 %"]


@pytest.mark.parametrize("patient", [True, False])
def test_a_command_that_closes_its_output_is_waited_for_but_not_for_ever(patient: bool) -> None:
    program = "import os, sys, time\nprint('a', flush=True)\nos.close(1); os.close(2)\ntime.sleep(3)"
    if patient:
        assert run(python(program), timeout=60) == "a\n"
        return
    with pytest.raises(CommandError) as caught:
        run(python(program), timeout=0.5)
    assert caught.value.silent
    assert caught.value.code < 0, "it was ended"


def test_what_shows_signs_of_life_is_not_ended() -> None:
    program = "import time; time.sleep(3); print('a')"
    assert run(python(program), timeout=1.5, signs_of_life=time.monotonic) == "a\n"


def test_whoever_listens_can_end_it() -> None:
    def stop(line: str) -> None:
        raise InterruptedError(line)

    began = time.monotonic()
    with pytest.raises(InterruptedError, match="a"):
        run(python("import time; print('a', flush=True); time.sleep(600)"), on_line=stop)
    assert time.monotonic() - began < 60


def test_a_process_is_known_again_after_the_clock_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the web UI that runs were taken for dead, and another one started beside it."""
    note_process(tmp_path / "web.pid", os.getpid())
    booted = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 7200)
    assert running_pid(tmp_path / "web.pid") == os.getpid()
    assert running_pid(tmp_path / "none.pid") == 0
