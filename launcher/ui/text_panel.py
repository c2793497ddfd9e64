"""The panel as lines of text, for places without widgets."""

import time

from launcher.core.board import DONE, FAILED, Snapshot
from launcher.ui.html import MARKS
from launcher.ui.words import STATE_WORDS, in_time


def text_lines(board: Snapshot, with_password: bool) -> list[str]:
    """The same as lines of text."""
    lines = []
    for step in board.steps:
        when = (
            f" ({in_time((step.ended or time.time()) - step.started)})"
            if step.started and step.state in (DONE, FAILED)
            else ""
        )
        lines.append(f"{MARKS[step.state]} {step.title}: {step.note or STATE_WORDS[step.state]}{when}")
        if step.state == FAILED:
            lines += [f"  {step.problem}", f"  What to do: {step.remedy}"]
    lines += [f"! {text}" for text in board.notices]
    if board.login_box:
        secret = board.login_box.password if with_password else "in the login box (or run with ONECLICK_PANEL=text)"
        lines += [
            f"Link: {board.login_box.url}",
            f"User: {board.login_box.user}",
            f"Password: {secret}",
            f"Images: {board.login_box.kept_in}",
            f"Ready after {in_time(board.login_box.seconds)}.",
        ]
    return [line.replace("**", "") for line in lines]


class TextPanel:
    """For places without widgets: prints each line once, when it changes."""

    def __init__(self) -> None:
        self._said = set[str]()

    def close(self) -> None:
        """Nothing is left to say."""

    def show_again(self) -> None:
        """What is printed once is not printed twice."""

    def draw(self, board: Snapshot, link: str, closed: bool = False) -> None:
        """Print what is new. Steps at work are told once a state, not at every byte."""
        for line in text_lines(board, with_password=True):
            if line[0] not in "·…" and line not in self._said:
                self._said.add(line)
                print(line, flush=True)
