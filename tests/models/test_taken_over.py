"""A checkpoint is read ahead only as long as somebody waits for it."""

import itertools
from pathlib import Path

from launcher.models.ensure import READ_AHEAD, read_ahead
from tests.world import safetensors


def test_a_checkpoint_is_not_read_on_once_the_launch_is_over(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(safetensors(5 * READ_AHEAD))
    asked = itertools.count(1)
    read_ahead(tmp_path / "mine.safetensors", lambda: next(asked) > 3)
    assert next(asked) - 1 in (3 + 5, 3 + 6), "three pieces, then one look for each of the six stretches"
