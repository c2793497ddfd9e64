"""What may work at the next try is tried again, as late as its server asks for, and not for ever."""

import pytest

from launcher.models import http
from launcher.models.remote import Answer, Refused


def refused(status: int, retry_after: float = 0.0) -> Refused:
    return Refused(f"{status} {retry_after}", "", Answer(status, retry_after=retry_after))


def tried(errors: list[Refused]) -> tuple[str, list[float]]:
    """What came of work that fails with these errors in turn, and the pauses in between."""
    left, pauses = list(errors), list[float]()

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    try:
        return http.retrying(work, pauses.append), pauses
    except Refused as error:
        return f"failed: {error.what}", pauses


@pytest.mark.parametrize(
    ("errors", "outcome", "pauses"),
    [
        ([], "done", []),
        ([refused(503), refused(429, 9.0)], "done", [1.0, 9.0]),
        ([refused(503), refused(404)], "failed: 404 0.0", [1.0]),
        ([refused(503), refused(503, 0.5), refused(503), refused(429, 7.0), refused(503)], "failed: 429 7.0",
            [1.0, 2.0, 4.0]),
    ],
)  # fmt: skip
def test_work_is_tried_again_as_late_as_its_error_asks(
    errors: list[Refused], outcome: str, pauses: list[float]
) -> None:
    assert http.WAITS == (1.0, 2.0, 4.0)
    assert tried(errors) == (outcome, pauses)
