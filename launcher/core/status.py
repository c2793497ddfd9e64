"""What the launcher does: one value that any thread may change and anybody may wait for; and the handle of a step."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from launcher.core.problem import Problem, showable
from launcher.core.snapshot import DONE, FAILED, HEADLINES, RUNNING, Button, Row, Snapshot, State

SPEED_WINDOW: Final = 8.0  # seconds over which speed is measured


class StatusChanges(threading.Condition):
    """Counts what changes, and wakes whoever waits for it."""

    number = 0

    def count(self) -> None:
        with self:
            self.number += 1
            self.notify_all()

    def wait_beyond(self, number: int, seconds: float, gone: Callable[[], bool] = lambda: False) -> bool:
        """Wait until there is more than `number`, at most so long, and while the waiting client is there."""
        end = time.monotonic() + seconds
        with self:
            while self.number <= number and (left := end - time.monotonic()) > 0 and not gone():
                self.wait(min(left, 0.5))  # after which it is seen that a client is gone
            return self.number > number


class Status:
    """Steps, notices, link. Every method may be called from any thread."""

    def __init__(self, title: str, changes: StatusChanges | None = None) -> None:
        self.changes = changes or StatusChanges()
        self._samples: dict[str, deque[tuple[float, int]]] = {}
        self._notices: dict[str, str] = {}
        self._rows: dict[str, Row] = {}
        self.now = Snapshot(title, started=time.time())

    def show(self, **changed: Any) -> None:
        """Change some of it. Another `state` has its own headline, and nothing can be painted in it, if not said."""
        with self.changes:
            if "state" in changed:
                changed = {"title": HEADLINES[changed["state"]], "can_paint": False} | changed
            now = replace(self.now, **changed)
            if now != self.now:
                self.now = now
                self.changes.count()

    def add(self, name: str, title: str) -> None:
        """Add a step that waits. Steps are shown in the order in which they are added."""
        self.row(name, Row(name, showable(title)))

    def row(self, name: str, row: Row | None = None, **changed: Any) -> None:
        """Change a step, or put another in its place."""
        with self.changes:
            self._rows[name] = replace(row or self._rows[name], **changed)
            self.show(steps=tuple(self._rows.values()))

    def step(self, name: str, stop: threading.Event | None = None) -> "Step":
        return Step(self, name, stop or threading.Event())

    def notice(self, text: str | None, about: str | None = None) -> None:
        """A sentence that stays, once. One `about` a thing takes the place of the one before; None takes that back."""
        with self.changes:
            name, text = about or str(text), text and showable(text)
            if self._notices.get(name) != text:
                self._notices.pop(name, None)
                if text:
                    self._notices[name] = text
                self.show(notices=tuple(self._notices.values()))

    def clear(self, state: State) -> None:
        with self.changes:
            self._rows, self._notices, self._samples = {}, {}, {}
            self.now = Snapshot(HEADLINES[state], started=time.time(), state=state)
            self.changes.count()

    def fact(self, name: str, value: str) -> None:
        """A version, or something the machine has: under the panel, and in the report that can be copied."""
        with self.changes:
            self.show(facts=tuple((dict(self.now.facts) | {name: value}).items()))

    def offer(self, button: Button, offered: bool) -> None:
        """One more button may be pressed, or not any more."""
        with self.changes:
            others = tuple(other for other in self.now.buttons if other != button)
            self.show(buttons=(*others, button) if offered else others)


@dataclass(frozen=True)
class Step:
    """One step of one status: how a piece of work tells what it does, and hears that it must stop."""

    status: Status
    name: str
    stop: threading.Event = field(default_factory=threading.Event)  # set: whoever works should end soon

    @property
    def stopped(self) -> bool:
        return self.stop.is_set()

    def begin(self, note: str = "") -> None:
        with self.status.changes:
            self.status._samples.pop(self.name, None)
            self.status.row(self.name, self._blank(note), state=RUNNING, started=time.time())

    def say(self, text: str) -> None:
        self.status.row(self.name, note=showable(text))

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` bytes; a total of 0 means that nobody knows. The speed is measured here."""
        with self.status.changes:
            now, samples = time.monotonic(), self.status._samples.setdefault(self.name, deque(maxlen=200))
            if samples and done < samples[-1][1]:
                samples.clear()
            if not samples or now - samples[-1][0] > 0.1:
                samples.append((now, done))
            while len(samples) > 2 and now - samples[0][0] > SPEED_WINDOW:
                samples.popleft()
            span = now - samples[0][0]
            speed = (done - samples[0][1]) / span if span > 0.5 else 0.0
            self.status.row(self.name, done=done, total=total, speed=speed)

    def notice(self, text: str | None, about: str | None = None) -> None:
        self.status.notice(text, about)

    def done(self, note: str = "") -> None:
        with self.status.changes:
            started, now = self.status._rows[self.name].started, time.time()
            self.status.row(self.name, state=DONE, note=showable(note), started=started or now, ended=now)

    def reset(self, note: str = "") -> None:
        """It is neither at work nor done: it was stopped, or what it stands for is off."""
        with self.status.changes:
            self.status.row(self.name, self._blank(note))

    def fail(self, problem: Problem) -> None:
        """It failed; the faces show the problem, the remedy, and what may be taken in its place."""
        options = getattr(problem, "options", ())
        self.status.row(
            self.name, state=FAILED, ended=time.time(), problem=problem.what, remedy=problem.do, options=options
        )

    def _blank(self, note: str) -> Row:
        return Row(self.name, self.status._rows[self.name].title, note=note)
