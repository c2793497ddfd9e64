"""The only exception that people see."""

from launcher.core.printed import showable


class Problem(Exception):
    """Something a person must know: what happened, and what to do about it.

    Both are whole sentences for somebody who has never opened a terminal. What may be the cause: an extension of A1111
    (`by_extension`), the version of A1111 (`by_version`).
    """

    def __init__(self, what: str, do: str, *, by_extension: bool = False, by_version: bool = False) -> None:
        self.what, self.do = showable(what), showable(do)
        super().__init__(f"{self.what} {self.do}")
        self.by_extension = by_extension
        self.by_version = by_version


def unexpected(error: BaseException, log: str) -> Problem:
    """A fault nobody foresaw, said plainly."""
    return Problem(
        f"Unexpected error: {type(error).__name__}: {str(error)[:300]}",
        f"Press ▶ again. If this keeps happening, please report it with the file {log}.",
    )
