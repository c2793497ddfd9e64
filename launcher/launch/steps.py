"""The steps of a launch in its status: how one runs, fails, and says so."""

import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from launcher.core.problem import Problem, unexpected
from launcher.core.status import Status, Step
from launcher.models.remote import Interrupted
from launcher.webui.explain import problem_of_system

STEPS: Final = (
    ("drive", "Google Drive"),
    ("source", "AUTOMATIC1111's source"),
    ("python", "Python packages"),
    ("model", "Checkpoint"),
    ("link", "Link and login"),
    ("extensions", "Extensions"),
    ("webui", "Web UI"),
)
STOPPED_NOTE: Final = "stopped; press ▶ to continue from here"


class Failed(Exception):
    """A step failed and has said so in the status; what needs it does not begin."""


@dataclass(frozen=True)
class Steps:
    """Runs the steps of one piece of work. `over` is set when it should end."""

    status: Status
    log: Path  # tracebacks go here
    over: threading.Event
    stopped: str = STOPPED_NOTE

    def of(self, name: str) -> Step:
        return self.status.step(name, self.over)

    @contextmanager
    def step(self, name: str, note: str = "", after: Sequence["Future[Any]"] = ()) -> Iterator[Step]:
        """Run a step once what it needs is done. Whatever goes wrong stands in the status; raises `Failed`."""
        for task in after:
            task.result()
        if self.over.is_set():
            raise Failed
        step = self.of(name)
        step.begin(note)
        try:
            yield step
        except Exception as error:
            if problem := self.failure(error):
                step.fail(problem)
            else:
                step.reset(self.stopped)
            raise Failed from error

    def failure(self, error: Exception) -> Problem | None:
        """What went wrong, for the person; None where it was stopped, or has been said already."""
        ended = self.over.is_set() and not isinstance(error, Problem)
        return None if ended or isinstance(error, Failed | Interrupted) else self.problem(error)

    @contextmanager
    def beside(self, what: str) -> Iterator[None]:
        """Whatever goes wrong beside the main way is said, and ends nothing else."""
        try:
            yield
        except Exception as error:
            problem = self.problem(error)
            self.status.notice(f"Something went wrong while {what}: {problem.what} {problem.do}", about=what)

    def problem(self, error: Exception) -> Problem:
        """An error as a person reads it; the traceback goes to the launcher's log, unless the disk is full."""
        with suppress(OSError), self.log.open("a") as file:
            traceback.print_exception(error, file=file)
        if isinstance(error, Problem):
            return error
        return problem_of_system(error) or unexpected(error, str(self.log))
