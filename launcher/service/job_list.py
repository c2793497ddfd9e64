"""The jobs beside the launch, each in a thread of its own. The last ones stay, to be shown and to be undone."""

import itertools
import threading
from collections.abc import Callable, ItemsView
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Final

from launcher.core.problem import Problem
from launcher.core.snapshot import HELP, JOB_TITLES, State
from launcher.core.status import Status
from launcher.launch.launch import Launch
from launcher.launch.steps import Failed, Steps
from launcher.service.jobs import JOBS, Job
from launcher.service.questions import Faces
from launcher.service.undo import undo

JOBS_SHOWN: Final = 20
JOB_STOPPED: Final = "stopped; add it again to continue from here"


class Jobs:
    """`fault` says what nobody foresaw; its tracebacks and those of steps go to the file `log`."""

    def __init__(self, faces: Faces, new_status: Callable[[str], Status], log: Path, fault: Any) -> None:
        self._faces, self._new_status, self._log, self._fault = faces, new_status, log, fault
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(1)
        self._threads: list[threading.Thread] = []

    def __getitem__(self, number: int) -> Job:
        return self._jobs[number]

    def items(self) -> ItemsView[int, Job]:
        return self._jobs.items()

    @property
    def at_work(self) -> bool:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return bool(self._threads)

    def begin(self, do: str, fields: dict[str, Any], launch: Launch, face: str, page: bool) -> int:
        """Begin one of `JOBS`, which is shown to a face; return its number."""
        number, status = next(self._numbers), self._new_status(JOB_TITLES[do])
        if do == "stop":
            status.show(state=State.STOPPING)
        steps = Steps(status, self._log, threading.Event(), JOB_STOPPED)
        job = Job(launch, steps, partial(self._faces.ask, number), page, self._faces.tokens)
        self._jobs = dict(list(self._jobs.items())[-JOBS_SHOWN:]) | {number: job}
        self._faces.comes(face, number)
        self._work(job, partial(JOBS[do], job, **fields), "Stopped" if do == "stop" else "Done")
        return number

    def stop(self, number: int) -> None:
        """■: it should end."""
        if job := self._jobs.get(number):
            job.steps.over.set()

    def undo(self, number: int, launch: Launch | None) -> bool:
        """Take away what a job that has ended added, but for what others use since. False where there is nothing."""
        job = self._jobs.get(number)
        if not job or not job.status.now.can_undo:
            return False
        job.status.show(over=False, can_undo=False)
        launches = {id(one): one for one in (launch, *(other.launch for other in self._jobs.values())) if one}
        fetchers = [fetcher for one in launches.values() for fetcher in one.fetchers if fetcher not in job.fetchers]
        used = {path for fetcher in fetchers for path in fetcher.used}
        self._work(job, partial(undo, job, used), "Taken away again")
        return True

    def _work(self, job: Job, work: Callable[[], None], done_title: str) -> None:
        def run() -> None:
            status = job.status
            try:
                work()
            except Failed:
                pass  # its step has said so
            except Problem as problem:  # with what was asked for
                status.add("0", status.now.title)
                status.step("0").fail(problem)
            except Exception as error:
                status.notice(self._fault(error).what)
            title = HELP if status.now.failed else done_title
            status.show(over=True, title=title, can_undo=job.can_undo)

        self._threads.append(threading.Thread(target=run, name="job"))
        self._threads[-1].start()


def fields_of(do: str) -> dict[str, type]:
    """What may be asked of one of `JOBS`, with the kind of each."""
    return {name: one.annotation for name, one in signature(JOBS[do]).parameters.items() if name != "job"}
