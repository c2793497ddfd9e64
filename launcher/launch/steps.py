"""The steps of a launch on its board: how one runs, fails, and says so."""

import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from launcher.core.board import Board
from launcher.core.problem import Problem, unexpected
from launcher.core.reporter import Reporter
from launcher.models.remote import Interrupted
from launcher.webui.explain import problem_of

STEPS: Final = (
    ("drive", "Google Drive"),
    ("source", "AUTOMATIC1111's source"),
    ("python", "Python packages"),
    ("model", "Checkpoint"),
    ("link", "Link and login"),
    ("extensions", "Extensions"),
    ("webui", "Web UI"),
)


class Failed(Exception):
    """A step failed and has said so on the board; what needs it does not begin."""


@dataclass(frozen=True)
class Steps:
    """Runs the steps of one piece of work. `over` is set when it should end."""

    board: Board
    log: Path  # tracebacks go here
    over: threading.Event

    def reporter(self, name: str) -> Reporter:
        """How the rooms tell what they do for that step."""
        return Reporter(self.board, name, self.over)

    @contextmanager
    def step(self, name: str, note: str = "", after: tuple["Future[Any]", ...] = ()) -> Iterator[None]:
        """Run a step once what it needs is done. Whatever goes wrong stands on the board; raises `Failed`."""
        for leg in after:
            leg.result()
        if self.over.is_set():
            raise Failed
        self.board.start(name, note)
        try:
            yield
        except (Failed, Interrupted):
            self.board.rest(name, "stopped; press ▶ to continue from here")
            raise Failed from None
        except Exception as error:
            if self.over.is_set() and not isinstance(error, Problem):
                self.board.rest(name, "stopped; press ▶ to continue from here")
            else:
                self.board.fail(name, self.problem(error))
            raise Failed from error

    @contextmanager
    def beside(self, what: str) -> Iterator[None]:
        """Whatever goes wrong beside the main way is said, and ends nothing else."""
        try:
            yield
        except Exception as error:
            problem = self.problem(error)
            self.board.notice(f"Something went wrong while {what}: {problem.what} {problem.do}", about=what)

    def problem(self, error: Exception) -> Problem:
        """An error as a person reads it; the traceback goes to the launcher's log."""
        with self.log.open("a") as file:
            traceback.print_exception(error, file=file)
        if isinstance(error, Problem):
            return error
        return problem_of(error) or unexpected(error, str(self.log))


def finished(value: str) -> "Future[str]":
    """A future that is done."""
    future: Future[str] = Future()
    future.set_result(value)
    return future
