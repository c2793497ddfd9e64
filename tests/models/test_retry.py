"""What may work at the next try is tried again, as late as its server asks for, and not for ever."""

import pytest
from requests.exceptions import SSLError

from launcher.models import http
from launcher.models.remote import Answer, Refused, Remote


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
    ("text", "pause", "says"),
    [
        (
            "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol",
            0.0,
            "does not answer (SSLError)",
        ),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", None, "certificate is not valid"),
    ],
)
def test_a_connection_that_breaks_off_is_no_bad_certificate(text: str, pause: float | None, says: str) -> None:
    error = SSLError(text)
    assert http.pause_after(error) == pause
    assert says in http.silence(Remote("https://e.com/x", "x"), error).what


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
