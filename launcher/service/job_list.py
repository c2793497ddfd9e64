"""The jobs beside the launch, ended ones too: each has a thread of its own, and can be stopped or undone."""

import itertools
import threading
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any, Final

from launcher.core.problem import Problem
from launcher.core.session import Session
from launcher.core.snapshot import HELP, JOB_TITLES, State
from launcher.core.status import Status, StatusChanges
from launcher.launch.launch import Launch
from launcher.launch.steps import Failed, Steps
from launcher.service.jobs import JOBS, Job
from launcher.service.questions import Faces
from launcher.service.server import wrong_fields
from launcher.service.undo import undo

JOBS_SHOWN: Final = 20
MOST_AT_WORK: Final = 20  # a page that asks without end takes no more threads
JOB_STOPPED: Final = "stopped; add it again to continue from here"


class JobList:
    """Every method is called under the service's lock, but for those that only look."""

    def __init__(
        self, session: Session, changes: StatusChanges, faces: Faces, fault: Callable[[Exception], Problem]
    ) -> None:
        self._session, self._changes, self._faces, self._fault = session, changes, faces, fault
        self._jobs: dict[int, Job] = {}
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count(1)

    @property
    def statuses(self) -> dict[str, Any]:
        return {str(number): job.status.now.public() for number, job in self._jobs.items()}

    @property
    def at_work(self) -> int:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return len(self._threads)

    def begin(self, do: str, fields: Mapping[str, Any], launch: Launch, face: str, *, page: bool) -> int:
        """Begin one of `JOBS`; its number. `face`: who is asked for it. `page`: it may do no more than the page."""
        number, status = next(self._numbers), Status(JOB_TITLES[do], self._changes)
        if do == "stop":
            status.show(state=State.STOPPING)
        steps = Steps(status, self._session.log, threading.Event(), JOB_STOPPED)
        job = Job(launch, steps, partial(self._faces.ask, number), page, self._faces.tokens)
        self._jobs = dict(list(self._jobs.items())[-JOBS_SHOWN:]) | {number: job}
        self._faces.comes(face, number)
        self._run(job, partial(JOBS[do], job, **fields), "Stopped" if do == "stop" else "Done")
        return number

    def stop(self, number: int) -> None:
        if job := self._jobs.get(number):
            job.steps.over.set()

    def undo(self, number: int, launch: Launch | None) -> bool:
        """Take away what the job added; False where there is nothing to be taken away."""
        job = self._jobs.get(number)
        if not job or not job.status.now.can_undo:
            return False
        job.status.show(over=False, can_undo=False)
        launches = {id(one): one for one in (launch, *(job.launch for job in self._jobs.values())) if one}
        fetchers = [fetcher for one in launches.values() for fetcher in one.fetchers]
        used = {path for fetcher in fetchers if fetcher not in job.fetchers for path in fetcher.used}
        self._run(job, partial(undo, job, used), "Taken away again")
        return True

    def _run(self, job: Job, work: Callable[[], None], done_title: str) -> None:
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


def wrong_in(do: str, fields: Any) -> str | None:
    """What is wrong with a job's fields, in a few words."""
    known = {name: one.annotation for name, one in signature(JOBS[do]).parameters.items() if name != "job"}
    return wrong_fields(fields, known)
