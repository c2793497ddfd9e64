"""No lie of a server puts wrong bytes in place, whether or not a checksum is known."""

from pathlib import Path

import pytest

from launcher.models.ranges import FRUITLESS_TRIES
from tests.models.liars import what_becomes_of
from tests.world.liar import HONEST, LIES, WEAK

SIZE, STRETCH = 3_000_000, 1 << 19


@pytest.mark.parametrize("known", [True, False], ids=["checksum known", "checksum unknown"])
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_brings_the_right_bytes_or_a_sentence(tmp_path: Path, lie: str, known: bool) -> None:
    outcome = what_becomes_of(lie, known, tmp_path, SIZE, STRETCH)
    assert outcome.result in ("right bytes", "refused")
    assert bool(outcome.sentence) == (outcome.result == "refused")


@pytest.mark.parametrize("known", [True, False], ids=["checksum known", "checksum unknown"])
def test_an_honest_server_is_believed(tmp_path: Path, known: bool) -> None:
    assert what_becomes_of(HONEST, known, tmp_path, SIZE, STRETCH).result == "right bytes"


def test_a_weak_etag_is_not_asked_by_and_ranges_are_used_all_the_same(tmp_path: Path) -> None:
    outcome = what_becomes_of(WEAK, False, tmp_path, SIZE, STRETCH)
    assert outcome.result == "right bytes"
    assert outcome.answers == what_becomes_of(HONEST, False, tmp_path / "other", SIZE, STRETCH).answers


HONEST_IN_ONE_GO = ["other offset", "other offset, hidden", "one byte off", "page as a range, hidden", "total grows"]


@pytest.mark.parametrize("known", [True, False], ids=["checksum known", "checksum unknown"])
@pytest.mark.parametrize("lie", HONEST_IN_ONE_GO)
def test_a_server_that_is_honest_without_ranges_gives_the_file(tmp_path: Path, lie: str, known: bool) -> None:
    assert what_becomes_of(lie, known, tmp_path, SIZE, STRETCH).result == "right bytes"


def test_a_file_that_changed_at_its_source_is_taken_whole_only_where_no_checksum_is_known(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    assert what_becomes_of("changes", False, tmp_path, SIZE, STRETCH).result == "right bytes"
    assert what_becomes_of("changes", True, tmp_path / "known", SIZE, STRETCH).result == "refused"


def test_empty_answers_are_not_asked_for_for_ever(tmp_path: Path) -> None:
    assert what_becomes_of("empty", True, tmp_path, SIZE, STRETCH).answers == 1 + FRUITLESS_TRIES
