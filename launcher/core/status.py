"""What the launcher does: one value that any thread may change and anybody may wait for; and the handle of a step.

The value at one moment, a `Snapshot`, is plain data: the state, the steps, the way in, the jobs beside it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

from launcher.core.problem import Problem, showable

SPEED_WINDOW: Final = 8.0  # seconds over which speed is measured
WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
HELP: Final = "It stopped and needs your help"


class State(StrEnum):
    """What the machine's web UI is. The service sets it; nobody guesses it from a port."""

    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPING = "stopping"
    OFF = "off"


class Button(StrEnum):
    """What may be pressed on a face."""

    RESTART = "restart"
    STOP = "stop"
    GIVE_BACK = "give back"
    CONNECT = "connect"


HEADLINES: Final = {
    State.IDLE: "Nothing is running",
    State.STARTING: "Starting your image generator",
    State.READY: "Your image generator is ready",
    State.RESTARTING: "Restarting your image generator",
    State.FAILED: HELP,
    State.STOPPING: "Stopping",
    State.OFF: "Everything is off",
}
JOB_TITLES: Final = {
    "add_model": "Adding",
    "add_controlnet": "Adding ControlNet",
    "change_extensions": "Extensions",
    "stop": "Stopping",
}
UNDERWAY: Final = (State.STARTING, State.READY, State.RESTARTING, State.STOPPING)


@dataclass(frozen=True)
class Row:
    """One step as it is shown. `done` and `total` are bytes; a total of 0 means not known."""

    name: str
    title: str
    state: str = WAITING
    note: str = ""
    done: int = 0
    total: int = 0
    speed: float = 0.0  # bytes a second, measured over the last seconds
    started: float = 0.0  # time.time()
    ended: float = 0.0
    problem: str = ""
    remedy: str = ""
    options: tuple[tuple[str, str], ...] = ()  # of a step that failed: a button's label, what it gives to Add

    @property
    def fraction(self) -> float | None:
        """0.0 to 1.0, or None where the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until done at the measured speed, or None where nobody can know."""
        if self.state != RUNNING or not self.total or self.speed <= 0:
            return None
        return max(0.0, (self.total - self.done) / self.speed)


@dataclass(frozen=True)
class LoginBox:
    url: str
    user: str
    password: str
    kept_in: str  # where the images go, in words
    seconds: float  # from ▶ to this box
    images: str = ""  # the address of a zip of all images, where nothing is kept on Drive
    here_only: bool = False  # the link opens on the computer that runs the notebook, and nowhere else


@dataclass(frozen=True)
class Snapshot:
    """The whole status at one moment: of the web UI with all jobs, or with the state `idle` of one job."""

    title: str
    steps: tuple[Row, ...] = ()
    notices: tuple[str, ...] = ()
    login_box: LoginBox | None = None
    kept: str = ""  # one line on what is kept on Drive
    buttons: tuple[str, ...] = ()  # those that may be pressed now
    foot: str = ""  # how to go on from here
    facts: tuple[tuple[str, str], ...] = ()  # versions and the like: name, value
    started: float = 0.0  # time.time()
    state: str = State.IDLE
    can_paint: bool = False  # its model is loaded, and nothing is known that keeps it from painting
    over: bool = False  # a job that has ended
    can_undo: bool = False  # a job that has ended and has added something: it can be taken away again
    unsaved: int = 0  # files that are not on Google Drive yet
    given_back_at: float = 0.0  # time.time() at which the machine is given back if nobody uses it; 0.0: never
    jobs: Mapping[int, "Snapshot"] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)  # of what was launched last: field -> value
    question: int = 0  # one of the answers below answers it; only the notebook has any
    answers: tuple[tuple[str, str], ...] = ()  # a button's label, what is chosen by it
    version: str = ""  # of this status: the next one is waited for by it

    @property
    def failed(self) -> Row | None:
        return next((row for row in self.steps if row.state == FAILED), None)

    def public(self) -> dict[str, Any]:
        """What the page may show: no link, no password."""
        return asdict(replace(self, login_box=None))

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Snapshot":
        """The snapshot that `asdict` or `public` made; what else stands in `found` is left out."""
        known = {one.name: found[one.name] for one in fields(cls) if one.name in found}
        known |= {name: tuple(known[name]) for name in ("notices", "buttons", "answers")}
        known["steps"] = tuple(Row(**row | {"options": tuple(map(tuple, row["options"]))}) for row in known["steps"])
        known["facts"] = tuple((name, value) for name, value in known["facts"])
        known["jobs"] = {int(number): cls.from_json(job) for number, job in known.get("jobs", {}).items()}
        known["login_box"] = LoginBox(**known["login_box"]) if known.get("login_box") else None
        return cls(**known)


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
        shown: dict[str, Any] = {"problem": problem.what, "remedy": problem.do}
        shown["options"] = getattr(problem, "options", ())
        self.status.row(self.name, state=FAILED, ended=time.time(), **shown)

    def _blank(self, note: str) -> Row:
        return Row(self.name, self.status._rows[self.name].title, note=note)
