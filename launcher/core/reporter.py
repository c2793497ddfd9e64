"""How a piece of work tells what it does and hears that it must stop: one step of one board."""

import threading
from dataclasses import dataclass, field

from launcher.core.board import Board


@dataclass(frozen=True)
class Reporter:
    """Goes through all rooms in place of single callbacks. Every method may be called from any thread."""

    board: Board
    step: str
    stop: threading.Event = field(default_factory=threading.Event)  # set: whoever works should end soon

    @property
    def stopped(self) -> bool:
        """True once the work should end."""
        return self.stop.is_set()

    def say(self, text: str) -> None:
        """What is done just now: one line beside the step."""
        self.board.note(self.step, text)

    def progress(self, done: int, total: int = 0, unit: str = "bytes") -> None:
        """`done` of `total` units; a total of 0 means that nobody knows."""
        self.board.progress(self.step, done, total, unit)

    def notice(self, text: str, about: str = "") -> None:
        """A sentence that stays on the panel; it replaces the one before `about` the same thing."""
        self.board.notice(text, about)

    def withdraw(self, about: str) -> None:
        """Take back the sentence about a thing, if there is one."""
        self.board.withdraw(about)
