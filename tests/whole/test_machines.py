"""Whatever lies around on a machine, what the launcher starts works, or one sentence says what to do."""

import os
from pathlib import Path

import pytest

from launcher.core.child_environment import child_environment
from tests.whole.machines import PAGE, ROWS, RUNS, WORKS, Odd, as_it_should, tried
from tests.world import World


@pytest.mark.parametrize("odd", ROWS, ids=lambda odd: odd.what)
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
    cells = next(line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith(f"| {odd.what} |"))
    ended = cells[3].removesuffix(" |")
    assert as_it_should(odd, "" if ended in (RUNS, WORKS) else ended), "run `make machines`"
