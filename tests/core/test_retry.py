"""What may work at the next try is tried again, as late as it asks for, and not for ever."""

import pytest

from launcher.core import retry
from launcher.core.retry import retrying


class Busy(Exception):
    """Asks for so many seconds; None if asking again is of no use."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def tried(errors: list[Busy]) -> tuple[str, list[float]]:
    """What came of work that fails with these errors in turn, and the pauses in between."""
    left, pauses = list(errors), list[float]()

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    def pause(error: Exception) -> float | None:
        assert isinstance(error, Busy)
        return error.seconds

    try:
        return retrying(work, pause, pauses.append), pauses
    except Busy as error:
        return f"failed: {error}", pauses


@pytest.mark.parametrize(
    ("errors", "outcome", "pauses"),
    [
        ([], "done", []),
        ([Busy(0.0), Busy(9.0)], "done", [1.0, 9.0]),
        ([Busy(0.0), Busy(None)], "failed: None", [1.0]),
        ([Busy(0.0), Busy(0.5), Busy(0.0), Busy(7.0), Busy(0.0)], "failed: 7.0", [1.0, 2.0, 4.0]),
    ],
)
def test_work_is_tried_again_as_late_as_its_error_asks(errors: list[Busy], outcome: str, pauses: list[float]) -> None:
    assert retry.WAITS == (1.0, 2.0, 4.0)
    assert tried(errors) == (outcome, pauses)
