"""What others say is shown as text that people can read: no million letters, nothing that moves a cursor."""

import pytest

from launcher.core.printed import LONGEST_SENTENCE
from launcher.core.problem import Problem
from launcher.core.status import Status

HARMFUL = "a\x1b[2J\x1b]0;title\x07b\u202ec\x9b31m\r"


def test_a_problem_is_no_longer_than_can_be_read() -> None:
    problem = Problem(f"{'x' * 1_000_000}.", f"{'y' * 1_000_000}.")
    assert len(str(problem)) < 2 * LONGEST_SENTENCE + 10


@pytest.mark.parametrize("place", ["title", "note", "notice", "problem", "done"])
def test_nothing_that_moves_a_cursor_is_in_the_status(place: str) -> None:
    status = Status("A test")
    status.add("work", HARMFUL if place == "title" else "Work")
    step = status.step("work")
    if place == "note":
        step.say(HARMFUL)
    elif place == "notice":
        step.notice(HARMFUL)
    elif place == "problem":
        step.fail(Problem(HARMFUL, HARMFUL))
    elif place == "done":
        step.done(HARMFUL)
    row = status.now.steps[0]
    shown = "".join([row.title, row.note, row.problem, row.remedy, *status.now.notices])
    assert "a" in shown
    assert shown.replace("\n", "").isprintable()


def test_lines_and_emoji_stay() -> None:
    assert Problem("One line.\nAnother 👩\u200d🎨.", "Nothing.").what == "One line.\nAnother 👩\u200d🎨."
