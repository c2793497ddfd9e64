"""What the launch is doing, as plain data that any thread may write and anybody may read."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Final

from launcher.core.problem import Problem

WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
SPEED_WINDOW: Final = 8.0  # seconds over which speed is measured


@dataclass(frozen=True)
class Step:
    """One step of the launch. `done` and `total` are in `unit`; a total of 0 means «not known»."""

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
class Card:
    """What a person needs to get in."""

    url: str
    user: str
    password: str
    kept_in: str
    seconds: float  # from ▶ to this card


@dataclass(frozen=True)
class Snapshot:
    """The whole board at one moment."""

    title: str
    done_title: str
    steps: tuple[Step, ...]
    notices: tuple[str, ...]
    card: Card | None
    kept: str  # one line on what is kept on Drive
    started: float
    webui_port: int  # 0 while the web UI must not be asked anything
    version: int

    @property
    def failed(self) -> Step | None:
        """The first step that failed, if any."""
        return next((step for step in self.steps if step.state == FAILED), None)

    def as_json(self) -> dict[str, Any]:
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
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}
        self._samples: dict[str, deque[tuple[float, int]]] = {}
        self._notices: list[str] = []
        self._card: Card | None = None
        self._kept = ""
        self._webui_port = 0
        self._version = 0
        self._turn = 0

    @property
    def turn(self) -> int:
        """Counts what a person waits for: a step that begins, ends or fails, a sentence, the card."""
        return self._turn

    def add(self, name: str, title: str) -> None:
        """Announce a step that is still to come."""
        with self._lock:
            self._steps[name] = Step(name, title)
            self._version += 1

    def start(self, name: str, note: str = "") -> None:
        """The step begins, or begins again."""
        with self._lock:
            self._samples[name] = deque(maxlen=200)
            self._turn += 1
            self._set(name, Step(name, self._steps[name].title, RUNNING, note, started=time.time()))

    def progress(self, name: str, done: int, total: int = 0, unit: str = "bytes") -> None:
        """`done` of `total` units; the speed is measured here."""
        with self._lock:
            now, samples = time.monotonic(), self._samples.setdefault(name, deque(maxlen=200))
            if samples and done < samples[-1][1]:
                samples.clear()
            if not samples or now - samples[-1][0] > 0.1:
                samples.append((now, done))
            while len(samples) > 2 and now - samples[0][0] > SPEED_WINDOW:
                samples.popleft()
            span = now - samples[0][0]
            speed = (done - samples[0][1]) / span if span > 0.5 else 0.0
            self._set(name, replace(self._steps[name], done=done, total=total, unit=unit, speed=speed))

    def note(self, name: str, text: str) -> None:
        """Say what the step does just now."""
        with self._lock:
            if self._steps[name].note != text:
                self._set(name, replace(self._steps[name], note=text))

    def finish(self, name: str, note: str = "") -> None:
        """The step is done."""
        with self._lock:
            step = self._steps[name]
            self._turn += 1
            self._set(
                name, replace(step, state=DONE, note=note, started=step.started or time.time(), ended=time.time())
            )

    def fail(self, name: str, problem: Problem) -> None:
        """The step failed; the panel shows the problem and the remedy."""
        with self._lock:
            step = self._steps[name]
            self._turn += 1
            self._set(name, replace(step, state=FAILED, ended=time.time(), problem=problem.what, remedy=problem.do))

    def notice(self, text: str) -> None:
        """A sentence that stays on the panel. The same sentence is said once."""
        with self._lock:
            if text not in self._notices:
                self._notices.append(text)
                self._turn += 1
                self._version += 1

    def show_card(self, card: Card | None) -> None:
        """Show the way in, or take it away."""
        with self._lock:
            self._card = card
            self._turn += 1
            self._version += 1

    def show_kept(self, text: str) -> None:
        """One line on what is kept on Drive and what is on its way."""
        with self._lock:
            if text != self._kept:
                self._kept = text
                self._version += 1

    def webui_answers_on(self, port: int) -> None:
        """From now on requests may go to this port; 0 means that none may."""
        with self._lock:
            self._webui_port = port
            self._version += 1

    def snapshot(self) -> Snapshot:
        """The board as it is now."""
        with self._lock:
            return Snapshot(
                self.title,
                self.done_title,
                tuple(self._steps.values()),
                tuple(self._notices),
                self._card,
                self._kept,
                self.started,
                self._webui_port,
                self._version,
            )

    def _set(self, name: str, step: Step) -> None:
        self._steps[name] = step
        self._version += 1
