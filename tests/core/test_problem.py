"""What others say is shown as text that people can read: no million letters, no progress bars, nothing that moves a
cursor.
"""

import pytest

from launcher.core.problem import LONGEST_SENTENCE, Problem, readable
from launcher.core.status import Status

HARMFUL = "a\x1b[2J\x1b]0;title\x07b\u202ec\x9b31m\r 19%|█▉   | 57/300 [00:03<00:16, 14.51it/s]\x1b[A"


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        ("\r  5%|▌  | 1/20 [00:00<00:07,  2.46it/s]\x1b[Abye\r", "bye"),
        ("Total progress:  19%|█▉   | 57/300 [00:03<00:16, 14.51it/s]", ""),
        ("vocab.json: 12it [00:01, 10.3it/s]", ""),
        ("\x1b[2K   ━━━━━━━━━━╸━━━━━ 12.3/45.6 MB 5.1 MB/s eta 0:00:07", ""),
        ("\x1b[31mred\x1b[0m and \x1b]0;a title\x07plain\x08", "red and plain"),
        ("50% of it | or so", "50% of it | or so"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_bars_and_escapes_are_taken_out(printed: str, read: str) -> None:
    assert readable(printed).strip() == read


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
    assert "a" in shown and "19%" not in shown
    assert shown.replace("\n", "").isprintable()


def test_lines_and_emoji_stay() -> None:
    assert Problem("One line.\nAnother 👩\u200d🎨.", "Nothing.").what == "One line.\nAnother 👩\u200d🎨."
