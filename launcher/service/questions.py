"""The faces that look, and the questions that only a person at a notebook can answer."""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from launcher.core.problem import Problem
from launcher.core.status import StatusChanges, Step

GONE_AFTER: Final = 2.0  # seconds without a request, once its last one has ended
CLOSED: Final = "the notebook was closed"
STOPPED: Final = "you stopped it"

# What is asked -> what it is called, when nobody answered it.
QUESTIONS: Final = {
    "mount": "Google's question about your Drive was not answered",
    "token": "The question about your token was not answered",
    "proxy": "Colab was not asked for its own link",
    "choose": "Nobody chose",
}
Answers = queue.SimpleQueue[dict[str, Any] | str]  # the answer, or why there is none


class NotAnswered(Problem):
    """A question got no answer: nobody had this notebook open, closed it, or pressed ■."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"{QUESTIONS[kind]}: {why}.", "Press ▶ to be asked again.")


@dataclass
class Face:
    """A cell that shows a job, or the launch where `job` is 0."""

    job: int
    waiting: int = 0  # its requests that are open
    seen: float = 0.0  # time.monotonic() of its last one


class Faces:
    """All that look, in the order in which they came, and what they are asked."""

    def __init__(self, changes: StatusChanges) -> None:
        self._changes, self._lock = changes, threading.Lock()
        self._faces: dict[str, Face] = {}
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[dict[str, Any], Answers]] = {}  # what is asked, and what came of it
        self.tokens: dict[str, str] = {}  # a secret's name -> the token that a notebook gave for it

    def __len__(self) -> int:
        return len(self._faces)

    def comes(self, name: str, job: int, waiting: int = 0) -> None:
        """A face is seen; `waiting`: a request of its begins that waits. "" is nobody's."""
        if name:
            with self._lock:
                face = self._faces.setdefault(name, Face(job))
                face.job, face.waiting, face.seen = job or face.job, face.waiting + waiting, time.monotonic()

    def goes(self, name: str) -> None:
        with self._lock:
            if face := self._faces.get(name):
                face.waiting, face.seen = face.waiting - 1, time.monotonic()

    def remove(self, name: str, why: str = STOPPED) -> None:
        """■, or it is gone: whoever waits for its answer hears so."""
        with self._lock:
            self._faces.pop(name, None)
        self.withdraw(why, face=name)

    def withdraw(self, why: str = STOPPED, **whose: object) -> None:
        """Nobody need answer the questions to that face, or of that job."""
        for question, answers in list(self._open.values()):
            if whose.items() <= question.items():
                answers.put(why)

    def remove_gone(self) -> None:
        late = time.monotonic() - GONE_AFTER
        for name, face in list(self._faces.items()):
            if not face.waiting and face.seen < late:
                self.remove(name, CLOSED)

    def ask(self, job: int, kind: str, **about: Any) -> dict[str, Any]:
        """Have the newest face of that job, else the newest of all, put a question to a person; return the answer.

        One that is closed leaves it to another. Raises `NotAnswered` at once where there is none, or it is stopped.
        """
        answer: dict[str, Any] | str = ""
        while isinstance(answer, str):
            with self._lock:
                fitting = [name for name, face in self._faces.items() if face.job == job] or list(self._faces)
                if answer not in ("", CLOSED) or not fitting:
                    raise NotAnswered(kind, answer or "this notebook is not open")
                number, answers = next(self._numbers), Answers()
                question = {"number": number, "kind": kind, "about": about, "face": fitting[-1], "job": job}
                self._open[number] = question, answers
            self._changes.count()
            answer = answers.get()
            del self._open[number]
            self._changes.count()
        if kind == "token" and answer.get("token"):
            self.tokens[about["name"]] = answer["token"]
        return answer

    def answer(self, number: int, value: dict[str, Any] | None) -> bool:
        """An answer came, or ■ instead of one (None). False where nothing was asked."""
        if question := self._open.get(number):
            question[1].put(STOPPED if value is None else value)
        return question is not None

    def open_questions(self) -> list[dict[str, Any]]:
        """`kind` is one of `client.kernel.DIALOGS`, `face` the one that shall put it."""
        return [question for question, _ in list(self._open.values())]


def ask_the_notebook(
    ask: Callable[..., dict[str, Any]], tokens: Mapping[str, str], step: Step, kind: str, *, name: str, reason: str
) -> dict[str, Any]:
    """Ask for the token that the page's job needs where a person can give it, unless that was done before."""
    if known := tokens.get(name):
        return {"token": known}
    if reason:
        step.say("the question about your token is in the notebook")
    try:
        return ask(kind, name=name, reason=reason)
    except NotAnswered as problem:
        if not reason:  # nobody need be asked: it is only looked for
            return {"token": ""}
        problem.do = "Open the notebook, and add it once more: the question is put there."
        raise
