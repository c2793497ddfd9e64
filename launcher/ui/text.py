"""A status in words: for places without widgets, for the report that "Copy a report" copies, and for the HTML."""

import re
import time
from typing import Final

from launcher import __version__
from launcher.core.status import DONE, FAILED, RUNNING, Row, Snapshot, State

STATE_WORDS: Final = {"waiting": "waiting", "running": "at work", "done": "done", "failed": "failed"}
ICONS: Final = {"waiting": "·", "running": "…", "done": "✓", "failed": "✕"}
# What may name a person or let somebody in -> what stands there instead. In this order.
PRIVATE: Final = (
    (re.compile(r"\w+://\S+"), "(a link)"),
    (re.compile(r"\S+@\S+\.\w+"), "(an address)"),
    (re.compile(r"My Drive(?:/[^\s,;:()]+)+"), "(a folder on My Drive)"),
    (re.compile(r"(?<![\w.])~?(?:/[^\s,;:()]+){2,}"), "(a place on this machine)"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])[\w-]{20,}"), "(removed)"),  # a token, a password
)


def steps_line(status: Snapshot) -> str:
    done = sum(step.state == DONE for step in status.steps)
    at_work = ", ".join(step.title for step in status.steps if step.state == RUNNING)
    return f"{done} of {len(status.steps)} steps done" + (f" · at work: {at_work}" if at_work else "")


def live_text(status: Snapshot) -> str:
    """What a screen reader says by itself: it changes when a step begins or ends, not with every byte and second."""
    return f"{status.title}." + (f" {steps_line(status)}." if status.steps else "")


def are_steps_open(status: Snapshot) -> bool:
    """Whether the steps themselves are shown, where nobody has said otherwise: one is at work or failed."""
    return status.state == State.STARTING or any(step.state in (RUNNING, FAILED) for step in status.steps)


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


class TextPanel:
    """A face for places without widgets: prints each line once, when it changes."""

    def __init__(self) -> None:
        self._printed = set[str]()

    def draw(self, status: Snapshot, link: str, closed: bool = False, job: int = 0) -> None:
        """Print what is new. Steps at work are told once a state, not at every byte."""
        for line in text_lines(status, with_password=True, ended_only=True):
            if line not in self._printed:
                self._printed.add(line)
                print(line, flush=True)

    def close(self) -> None:
        """Nothing is left to say."""

    def show_again(self) -> None:
        """What is printed once is not printed twice."""


def report(status: Snapshot) -> str:
    """What somebody who helps must know: versions, machine, steps, messages. No link, password, token, or path."""
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
    for pattern, instead in PRIVATE:
        text = pattern.sub(instead, text)
    return text


def in_bytes(count: float) -> str:
    """1234567 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def in_time(seconds: float) -> str:
    """134 -> "2 min 14 s"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def amount(step: Row) -> str:
    """How far a step is: "1.2 GB of 2.10 GB · 45 MB/s · 20 s left"."""
    if step.state != RUNNING or not step.done:
        return ""
    parts = [in_bytes(step.done) + (f" of {in_bytes(step.total)}" if step.total else "")]
    if step.speed > 0:
        parts.append(f"{in_bytes(step.speed)}/s")
    if step.seconds_left is not None:
        parts.append(f"{in_time(step.seconds_left)} left")
    return " · ".join(parts)
