"""A reporter that remembers what it was told."""

from launcher.core.board import Board
from launcher.core.reporter import Reporter


class Heard(Reporter):
    """All that was said, and the notices, in their order."""

    said: list[str]
    notices: list[str]

    def __init__(self) -> None:
        board = Board("A test", "Done")
        board.add("work", "Work")
        super().__init__(board, "work")
        object.__setattr__(self, "said", [])
        object.__setattr__(self, "notices", [])

    def say(self, text: str) -> None:
        super().say(text)
        self.said.append(text)

    def notice(self, text: str, about: str = "") -> None:
        super().notice(text, about)
        self.notices.append(text)
