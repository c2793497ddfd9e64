"""The text behind "Copy a report": what somebody who helps must know, and nothing that tells who asks."""

import re
import time
from typing import Final

from launcher import __version__
from launcher.core.snapshot import Snapshot
from launcher.ui.words import STATE_WORDS, in_time

# What may name a person or let somebody in -> what stands there instead. In this order.
PRIVATE: Final = (
    (re.compile(r"\w+://\S+"), "(a link)"),
    (re.compile(r"\S+@\S+\.\w+"), "(an address)"),
    (re.compile(r"My Drive(?:/[^\s,;:()]+)+"), "(a folder on My Drive)"),
    (re.compile(r"(?<![\w.])~?(?:/[^\s,;:()]+){2,}"), "(a place on this machine)"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])[\w-]{20,}"), "(removed)"),  # a token, a password
)


def report(status: Snapshot) -> str:
    """Versions, the machine, the steps with their problems, the messages. No link, password, token, or path."""
    lines = [f"One-click launcher {__version__}", *(f"{name}: {value}" for name, value in status.facts)]
    if status.started:
        lines.append(f"Started: {time.strftime('%Y-%m-%d %H:%M', time.gmtime(status.started))} UTC")
    if status.login_box:
        lines.append(f"Ready after: {in_time(status.login_box.seconds)}")
    for step in status.steps:
        took = f" ({in_time(step.ended - step.started)})" if step.started and step.ended else ""
        lines.append(f"{step.title}: {STATE_WORDS[step.state]}{took}{f' - {step.note}' if step.note else ''}")
        if step.problem:
            lines += [f"  {step.problem}", f"  What to do: {step.remedy}"]
    lines += [f"Message: {text}" for text in status.notices]
    return "\n".join(without_private_parts(line) for line in lines)


def without_private_parts(text: str) -> str:
    """A line in which nothing names a person or opens a door."""
    for pattern, instead in PRIVATE:
        text = pattern.sub(instead, text)
    return text
