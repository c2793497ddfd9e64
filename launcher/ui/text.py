"""A status as lines of text: for places without widgets, and as the report that "Copy a report" copies."""

import re
import time
from typing import Final

from launcher import __version__
from launcher.core.snapshot import DONE, FAILED, Row, Snapshot
from launcher.ui.words import ICONS, STATE_WORDS, in_time

# What may name a person or let somebody in -> what stands there instead. In this order.
PRIVATE: Final = (
    (re.compile(r"\w+://\S+"), "(a link)"),
    (re.compile(r"\S+@\S+\.\w+"), "(an address)"),
    (re.compile(r"My Drive(?:/[^\s,;:()]+)+"), "(a folder on My Drive)"),
    (re.compile(r"(?<![\w.])~?(?:/[^\s,;:()]+){2,}"), "(a place on this machine)"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])[\w-]{20,}"), "(removed)"),  # a token, a password
)


def text_lines(status: Snapshot, with_password: bool, ended_only: bool = False) -> list[str]:
    """What the panel shows; `ended_only` leaves out the steps that wait or are at work."""
    lines = []
    for step in status.steps:
        if not ended_only or step.state in (DONE, FAILED):
            lines.append(f"{ICONS[step.state]} {step.title}: {step.note or STATE_WORDS[step.state]}{took(step)}")
            lines += problem_lines(step)
    lines += [f"! {text}" for text in status.notices]
    if box := status.login_box:
        secret = box.password if with_password else "in the login box (or run with ONECLICK_PANEL=text)"
        lines += [f"Link: {box.url}", f"User: {box.user}", f"Password: {secret}", f"Images: {box.kept_in}"]
        lines.append(f"Ready after {in_time(box.seconds)}.")
    return [line.replace("**", "") for line in lines]


def report(status: Snapshot) -> str:
    """What somebody who helps must know: versions, the machine, the steps with their problems, the messages. No link,
    password, token, or path.
    """
    lines = [f"One-click launcher {__version__}", *(f"{name}: {value}" for name, value in status.facts)]
    if status.started:
        lines.append(f"Started: {time.strftime('%Y-%m-%d %H:%M', time.gmtime(status.started))} UTC")
    if status.login_box:
        lines.append(f"Ready after: {in_time(status.login_box.seconds)}")
    for step in status.steps:
        note = f" - {step.note}" if step.note else ""
        lines += [f"{step.title}: {STATE_WORDS[step.state]}{took(step)}{note}", *problem_lines(step)]
    lines += [f"Message: {text}" for text in status.notices]
    return "\n".join(without_private_parts(line) for line in lines)


def took(step: Row) -> str:
    return f" ({in_time(step.ended - step.started)})" if step.started and step.ended else ""


def problem_lines(step: Row) -> list[str]:
    return [f"  {step.problem}", f"  What to do: {step.remedy}"] if step.state == FAILED else []


def without_private_parts(text: str) -> str:
    """A line in which nothing names a person or lets anybody in."""
    for pattern, instead in PRIVATE:
        text = pattern.sub(instead, text)
    return text
