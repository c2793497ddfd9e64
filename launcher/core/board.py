"""What the launch is doing, as plain data that any thread may write and anybody may read."""

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from launcher.core.problem import Problem

WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
SPEED_WINDOW: Final = 8.0  # seconds over which speed is measured


@dataclass(frozen=True)
class Step:
    """One step of the launch. `done` and `total` are in `unit`; a total of 0 means not known."""

    name: str
    title: str
    state: str = WAITING
    note: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    speed: float = 0.0  # units a second, measured over the last seconds
    started: float = 0.0  # time.time()
    ended: float = 0.0
    problem: str = ""
    remedy: str = ""

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
    """What a person needs to get in."""

    url: str
    user: str
    password: str
    kept_in: str  # where the images go, in words
    seconds: float  # from ▶ to this box
    images: str = ""  # the address of a zip of all images, where nothing is kept on Drive


@dataclass(frozen=True)
class Snapshot:
    """The whole board at one moment."""

    title: str
    done_title: str = ""
    steps: tuple[Step, ...] = ()
    notices: tuple[str, ...] = ()
    login_box: LoginBox | None = None
    kept: str = ""  # one line on what is kept on Drive
    buttons: tuple[str, ...] = ()  # those that may be pressed now
    foot: str = ""  # how to go on from here
    facts: tuple[tuple[str, str], ...] = ()  # versions and the like: name, value
    started: float = 0.0  # time.time()
    webui_port: int = 0  # 0 while the web UI must not be asked anything
    version: int = 0

    @property
    def failed(self) -> Step | None:
        """The first step that failed, if any."""
        return next((step for step in self.steps if step.state == FAILED), None)

    @property
    def all_done(self) -> bool:
        """True once every step is done."""
        return bool(self.steps) and all(step.state == DONE for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """All of it, the password too: for the socket between keeper and window only."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "Snapshot":
        """The snapshot that `as_json` made."""
        box = told["login_box"]
        return cls(
            **told
            | {
                "steps": tuple(Step(**step) for step in told["steps"]),
                "notices": tuple(told["notices"]),
                "buttons": tuple(told["buttons"]),
                "facts": tuple((name, value) for name, value in told["facts"]),
                "login_box": LoginBox(**box) if box else None,
            }
        )

    def public(self) -> dict[str, Any]:
        """What the door's waiting page may show: no link and no password."""
        return {
            "webui_port": self.webui_port,
            "notices": list(self.notices),
            "steps": [
                {
                    "title": s.title,
                    "state": s.state,
                    "note": s.note,
                    "fraction": s.fraction,
                    "problem": s.problem,
                    "remedy": s.remedy,
                }
                for s in self.steps
            ],
        }


@dataclass
class Board:
    """Steps, notices, link. Every method may be called from any thread."""

    title: str
    done_title: str
    started: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._steps: dict[str, Step] = {}
        self._samples: dict[str, deque[tuple[float, int]]] = {}
        self._notices: dict[str, str] = {}
        self._facts: dict[str, str] = {}
        self._now = Snapshot(self.title, self.done_title, started=self.started)

    def wait_for_change(self, version: int, seconds: float) -> bool:
        """Wait until the board is newer than `version`, at most so long; True if it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._now.version != version, seconds)

    def add(self, name: str, title: str) -> None:
        """Add a step that waits. Steps are shown in the order in which they are added."""
        self._set(Step(name, title))

    def start(self, name: str, note: str = "") -> None:
        """The step is at work from now on."""
        with self._changed:
            self._samples.pop(name, None)
            self._set(Step(name, self._steps[name].title, RUNNING, note, started=time.time()))

    def progress(self, name: str, done: int, total: int = 0, unit: str = "bytes") -> None:
        """`done` of `total` units; the speed is measured here."""
        with self._changed:
            now, samples = time.monotonic(), self._samples.setdefault(name, deque(maxlen=200))
            if samples and done < samples[-1][1]:
                samples.clear()
            if not samples or now - samples[-1][0] > 0.1:
                samples.append((now, done))
            while len(samples) > 2 and now - samples[0][0] > SPEED_WINDOW:
                samples.popleft()
            span = now - samples[0][0]
            speed = (done - samples[0][1]) / span if span > 0.5 else 0.0
            self._set(replace(self._steps[name], done=done, total=total, unit=unit, speed=speed))

    def note(self, name: str, text: str) -> None:
        """Say what the step does just now."""
        with self._changed:
            if self._steps[name].note != text:
                self._set(replace(self._steps[name], note=text))

    def finish(self, name: str, note: str = "") -> None:
        """The step is done."""
        with self._changed:
            step, now = self._steps[name], time.time()
            self._set(replace(step, state=DONE, note=note, started=step.started or now, ended=now))

    def rest(self, name: str, note: str = "") -> None:
        """The step is neither at work nor done: it was stopped, or what it stands for is off."""
        with self._changed:
            self._set(Step(name, self._steps[name].title, WAITING, note))

    def fail(self, name: str, problem: Problem) -> None:
        """The step failed; the panel shows the problem and the remedy."""
        with self._changed:
            step = self._steps[name]
            now = time.time()
            self._set(replace(step, state=FAILED, ended=now, problem=problem.what, remedy=problem.do))

    def notice(self, text: str, about: str = "") -> None:
        """A sentence that stays on the panel. The same sentence is said once; one `about` a thing replaces the one
        before.
        """
        with self._changed:
            if self._notices.get(about or text) != text:
                self._notices.pop(about or text, None)
                self._notices[about or text] = text
                self._show(notices=tuple(self._notices.values()))

    def withdraw(self, about: str) -> None:
        """Take back the sentence about a thing, if there is one."""
        with self._changed:
            if self._notices.pop(about, None) is not None:
                self._show(notices=tuple(self._notices.values()))

    def show_login_box(self, box: LoginBox | None) -> None:
        """Show the way in, or take it away."""
        self._show(login_box=box)

    def show_kept(self, text: str) -> None:
        """One line on what is kept on Drive and what is on its way."""
        self._show(kept=text)

    def show_buttons(self, *names: str) -> None:
        """These buttons, and no others, may be pressed from now on."""
        self._show(buttons=names)

    def offer_button(self, name: str, offered: bool) -> None:
        """One more button may be pressed, or not any more."""
        with self._changed:
            others = tuple(other for other in self._now.buttons if other != name)
            self._show(buttons=(*others, name) if offered else others)

    def show_foot(self, text: str) -> None:
        """How to go on from here."""
        self._show(foot=text)

    def show_fact(self, name: str, value: str) -> None:
        """A version, or something the machine has: under the panel, and in the report that can be copied."""
        with self._changed:
            self._facts[name] = value
            self._show(facts=tuple(self._facts.items()))

    def entitle(self, title: str, done_title: str) -> None:
        """Another headline."""
        self._show(title=title, done_title=done_title)

    def webui_answers_on(self, port: int) -> None:
        """From now on requests may go to this port; 0 means that none may."""
        self._show(webui_port=port)

    def snapshot(self) -> Snapshot:
        """The board as it is now."""
        return self._now

    def _set(self, step: Step) -> None:
        with self._changed:
            self._steps[step.name] = step
            self._show(steps=tuple(self._steps.values()))

    def _show(self, **changes: Any) -> None:
        with self._changed:
            now = replace(self._now, **changes)
            if now != self._now:
                self._now = replace(now, version=self._now.version + 1)
                self._changed.notify_all()
