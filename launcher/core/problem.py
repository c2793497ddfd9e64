"""The only exception that people see."""


class Problem(Exception):
    """Something a person must know: what happened, and what to do about it.

    Both are whole sentences for somebody who has never opened a terminal. `field` names the form
    field, or the part of the launch, that is to be changed, where there is one.
    """

    def __init__(self, what: str, do: str, field: str = "") -> None:
        super().__init__(f"{what} {do}")
        self.what = what
        self.do = do
        self.field = field


def unexpected(error: BaseException, log: str) -> Problem:
    """A fault nobody foresaw, said plainly."""
    return Problem(
        f"Something unforeseen happened: {type(error).__name__}: {str(error)[:300]}",
        f"Press ▶ again. If it stays so, report it with the file {log}.",
    )
