"""A row of each kind of `make faults`, which runs them all."""

from pathlib import Path

import pytest

from tests.whole.faults import DRILLS, MOMENTS, STRIKES, one_drill, one_row


def test_the_matrix_has_at_least_forty_rows_and_ten_drills() -> None:
    rows = [
        (moment, strike) for moment in MOMENTS for strike in STRIKES if strike != "child killed" or moment.has_child
    ]
    assert len(rows) >= 40
    assert len(DRILLS) >= 10


@pytest.mark.parametrize(
    ("name", "strike"),
    [
        ("packages are put in place", "child killed"),
        ("nearly all is there", "Drive drops"),
        ("images are copied", "kernel killed"),
    ],
)
def test_a_launch_cut_there_ends_in_a_running_web_ui(tmp_path: Path, name: str, strike: str) -> None:
    row = one_row(next(moment for moment in MOMENTS if moment.name == name), strike, tmp_path)
    assert row.good, row


def test_something_outside_is_dead(tmp_path: Path) -> None:
    """On a first run, it is tests/whole/test_launch.py."""
    dead = "CLIP's files are gone from the hub, later"
    row = one_drill(next(drill for drill in DRILLS if drill.dead == dead), tmp_path)
    assert row[-1] == "as it should", row
