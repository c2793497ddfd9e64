"""The panel as lines of text, for places without widgets."""

import time

from launcher.core.snapshot import DONE, FAILED, Snapshot
from launcher.ui.html import MARKS
from launcher.ui.words import STATE_WORDS, in_time


def text_lines(status: Snapshot, with_password: bool) -> list[str]:
    """The same as lines of text."""
    lines = []
    for step in status.steps:
        when = (
            f" ({in_time((step.ended or time.time()) - step.started)})"
            if step.started and step.state in (DONE, FAILED)
            else ""
        )
        lines.append(f"{MARKS[step.state]} {step.title}: {step.note or STATE_WORDS[step.state]}{when}")
        if step.state == FAILED:
            lines += [f"  {step.problem}", f"  What to do: {step.remedy}"]
    lines += [f"! {text}" for text in status.notices]
    if status.login_box:
        secret = status.login_box.password if with_password else "in the login box (or run with ONECLICK_PANEL=text)"
        lines += [
            f"Link: {status.login_box.url}",
            f"User: {status.login_box.user}",
            f"Password: {secret}",
            f"Images: {status.login_box.kept_in}",
            f"Ready after {in_time(status.login_box.seconds)}.",
        ]
    return [line.replace("**", "") for line in lines]
