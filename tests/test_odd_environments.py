"""Whatever lies around on a machine, what the launcher starts works, or one sentence says what to do."""

from pathlib import Path

import pytest

from tests.odd_environments import ROWS, Odd, as_it_should, tried
from tests.world import World


@pytest.mark.parametrize("odd", ROWS, ids=lambda odd: odd.what)
def test_an_odd_machine_works_or_says_what_to_do(odd: Odd, tmp_path: Path, world: World) -> None:
    told = tried(odd, tmp_path / "here", world)
    assert as_it_should(odd, told), told
    assert len(told) < 600 and "Traceback" not in told
