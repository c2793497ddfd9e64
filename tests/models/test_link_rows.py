"""Every link of the table becomes what the table says: on stand-ins for all sites, by the launcher's own code."""

import functools

import pytest

from tests.models.link_rows import ROWS, Row, outcomes

all_outcomes = functools.cache(outcomes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.link}{'' if row.saved else ' without a token'}")
def test_a_link_becomes_what_the_table_says(row: Row) -> None:
    assert row.says in all_outcomes()[row]


def test_no_token_is_shown() -> None:
    shown = "\n".join(all_outcomes().values())
    assert "hf_mine" not in shown
    assert "token=key" not in shown
