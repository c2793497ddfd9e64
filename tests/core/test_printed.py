"""What a person reads has no progress bars in it, and nothing that only a terminal understands."""

import pytest

from launcher.core.printed import readable
from launcher.core.problem import Problem
from launcher.core.status import Status


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


def test_none_of_it_reaches_a_face() -> None:
    status, ugly = Status("Work"), "\x1b[31mit broke\x1b[0m\r 19%|█▉   | 57/300 [00:03<00:16, 14.51it/s]\x1b[A"
    status.add("work", "Work")
    status.step("work").say(ugly)
    assert status.now.steps[0].note.strip() == "it broke"
    status.step("work").fail(Problem(ugly, ugly))
    status.notice(ugly)
    row = status.now.steps[0]
    assert {text.strip() for text in (row.problem, row.remedy, *status.now.notices)} == {"it broke"}
