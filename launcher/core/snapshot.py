"""What the faces show, as plain data: the state, the steps, the way in, the jobs beside it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

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
