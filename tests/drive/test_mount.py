"""What a failed mount means: types and times decide before words do."""

import pytest

from launcher.drive.mount import mount_problem

# pexpect's time-out lists all it waited for, the policy too; after 120 s without an answer the mount fails for want of
# a permit, after 150 s more where Google's program waits for ever.
LISTS_ALL = "Timeout exceeded.\nsearcher: 4: re.compile('The domain policy has disabled Drive File Stream')"
PEXPECT = ["TIMEOUT", "ExceptionPexpect", "Exception", "BaseException"]
VALUE = ["ValueError", "Exception", "BaseException"]


@pytest.mark.parametrize(
    ("text", "types", "seconds", "says"),
    [
        (LISTS_ALL, PEXPECT, 152.0, "Google Drive took too long to connect."),
        (LISTS_ALL, PEXPECT, 271.0, "nobody answered Google's question in time"),
        ("mount failed", VALUE, 124.0, "nobody answered Google's question in time"),
        ("mount failed", VALUE, 3.0, "Google Drive could not be connected (ValueError: mount failed)."),
        ("The domain policy has disabled Drive File Stream", VALUE, 3.0, "Your organization does not allow"),
        ("Error: credential propagation was unsuccessful", ["MessageError"], 110.0, "did not give this notebook"),
        ("Error: User cancelled", ["MessageError"], 3.0, "was closed without an answer"),  # VS Code's Colab extension
        ("'TBE_EPHEM_CREDS_ADDR'", ["KeyError"], 0.1, "This session has lost what it needs"),
        ("", ["AssertionError"], 3.0, "Google Drive could not be connected (AssertionError)."),
    ],
)
def test_a_failed_mount_is_said_as_what_it_is(text: str, types: list[str], seconds: float, says: str) -> None:
    assert says in mount_problem(text, types, seconds).what
