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
