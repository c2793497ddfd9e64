"""A row of each kind of `make garbled`, which runs them all, and a row of each way to garble a file."""

from pathlib import Path

import pytest

from tests.whole.garbled import DAMAGES, KINDS, first_day, one_row
from tests.world import World
from tests.world.mounted import MountedDrive


def test_the_table_has_at_least_eighty_rows() -> None:
    assert len(KINDS) * len(DAMAGES) >= 80
    assert len(DAMAGES) <= len(KINDS), "each is tried below"


def test_whatever_is_garbled_the_launch_runs_and_drive_holds_a_good_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in world.git.environment().items():
        monkeypatch.setenv(name, value)
    with MountedDrive(tmp_path) as drive:
        first_day(world, drive, tmp_path)
        tried = [(kind, [*DAMAGES][number % len(DAMAGES)]) for number, kind in enumerate(KINDS)]
        rows = [one_row(world, drive, tmp_path, *each, f"row{number}") for number, each in enumerate(tried)]
    assert [row.cells() for row in rows if not row.good] == []
