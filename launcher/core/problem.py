"""The only exception that people see, and how a text from elsewhere can be shown to them."""

from typing import Final

from launcher.core.printed import readable

LONGEST_SENTENCE: Final = 3000  # letters; what somebody else's program or server says may have a million


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


def showable(text: str) -> str:
    """The same without what moves a cursor or turns the writing round, and no longer than can be read.

    It may hold what a program or a stranger wrote.
    """
    bounded = readable(text[: 2 * LONGEST_SENTENCE])[: LONGEST_SENTENCE + 1]
    plain = "".join(c if c.isprintable() or c in "\n\u200d" else " " for c in bounded)
    return plain if len(plain) <= LONGEST_SENTENCE else f"{plain[:LONGEST_SENTENCE]}…"


def unexpected(error: BaseException, log: str) -> Problem:
    """A fault nobody foresaw, said plainly."""
    return Problem(
        f"Unexpected error: {type(error).__name__}: {str(error)[:300]}",
        f"Press ▶ again. If this keeps happening, please report it with the file {log}.",
    )
