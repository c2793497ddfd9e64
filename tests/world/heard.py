"""A step that remembers what it was told."""

from launcher.core.status import Status, Step


class Heard(Step):
    """All that was said, and the notices, in their order."""

    said: list[str]
    notices: list[str]

    def __init__(self) -> None:
        status = Status("A test")
        status.add("work", "Work")
        super().__init__(status, "work")
        object.__setattr__(self, "said", [])
        object.__setattr__(self, "notices", [])

    def say(self, text: str) -> None:
        super().say(text)
        self.said.append(text)

    def notice(self, text: str | None, about: str | None = None) -> None:
        super().notice(text, about)
        self.notices += [text] if text else []
