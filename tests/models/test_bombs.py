"""Nothing that a server sends fills memory or disk, and nobody waits for it for ever."""

import functools

import pytest

from tests.models.bombs import BOMBS, NO_DISK, Bomb, effects

all_effects = functools.cache(effects)
MEMORY_MOST = 100 << 20  # bytes more than before: a list may have 16 MB, and becomes larger when it is read


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.does)
def test_a_bomb_costs_little_and_is_said(bomb: Bomb) -> None:
    effect = all_effects()[bomb]
    if effect.said == NO_DISK:
        pytest.skip(NO_DISK)
    assert effect.memory < MEMORY_MOST
    assert effect.stays == 0, "a part that can never go on stays"
    assert bomb.says in effect.said
    assert (effect.said == "(stopped)") == bomb.stopped, "■ was needed, or not heard"
