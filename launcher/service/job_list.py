"""The jobs beside the launch, ended ones too: each has a thread of its own, and can be stopped or undone."""

import itertools
import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from glob import escape
from inspect import signature
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import PART
from launcher.core.problem import Problem
from launcher.core.snapshot import HELP, JOB_TITLES, State
from launcher.core.status import Status, StatusChanges
from launcher.drive.linked import stop_using_models
from launcher.drive.mount import connect_drive
from launcher.extensions.manage import remove_extension
from launcher.launch.launch import Launch
from launcher.launch.steps import Failed, Steps
from launcher.models.checksums import forget_checksum
from launcher.models.identify import WEIGHTS
from launcher.service.jobs import JOBS, Job, effect_of, show_models
from launcher.service.questions import Faces
from launcher.service.server import wrong_fields

JOBS_SHOWN: Final = 20
MOST_AT_WORK: Final = 20  # a page that asks without end takes no more threads
JOB_STOPPED: Final = "stopped; add it again to continue from here"
UNDOING: Final = "Taking it away again"


class JobList:
    """Every method is called under the service's lock, but for those that only look."""

    def __init__(self, log: Path, changes: StatusChanges, faces: Faces) -> None:
        self._log, self._changes, self._faces = log, changes, faces
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
        steps = Steps(status, self._log, threading.Event(), JOB_STOPPED)
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
        launches = {launch or job.launch, *(other.launch for other in self._jobs.values())}
        others = [fetcher for one in launches for fetcher in one.fetchers if fetcher not in job.fetchers]
        used = {path for fetcher in others for path in fetcher.used}
        self._run(job, partial(undo, job, used), "Taken away again")
        return True

    def _run(self, job: Job, work: Callable[[], None], done_title: str) -> None:
        def run() -> None:
            status = job.status
            try:
                work()
            except Failed:
                pass  # its step has said so
            except Exception as error:  # which nobody foresaw
                status.add("0", status.now.title)
                status.step("0").fail(job.steps.problem(error))
            status.show(over=True, title=HELP if status.now.failed else done_title, can_undo=job.can_undo)

        self._threads.append(threading.Thread(target=run, name="job"))
        self._threads[-1].start()


def wrong_in(do: str, fields: Any) -> str | None:
    """What is wrong with a job's fields, in a few words."""
    known = {name: one.annotation for name, one in signature(JOBS[do]).parameters.items() if name != "job"}
    return wrong_fields(fields, known)


# ---- undone: nothing goes that was there before, or that others use


def undo(job: Job, used: Collection[Path]) -> None:
    """Take away what the job added, but for files that others have `used` since. What went, and what stays, is said."""
    launch, steps = job.launch, Steps(job.status, job.steps.log, threading.Event())
    began = job.status.now.started
    job.status.clear(State.IDLE)
    job.status.show(title=UNDOING)
    job.status.add("undo", UNDOING)
    with steps.step("undo", "waiting for Google Drive") as step:
        connect_drive(launch.machine, job.ask)
        added = [path for fetcher in job.fetchers for path in fetcher.added]
        going = [path for path in added if path not in used]
        loaded = launch.webui.loaded_checkpoint() if launch.webui.ready else None
        if loaded in [path.name for path in going]:
            do = "Choose another checkpoint at the top left of the web UI, then press the button again."
            raise Problem(f"{loaded} is loaded in the web UI.", do)
        sentences = list[str]()
        for path in going:
            step.say(path.name)
            delete_added(launch, path, began)
        while job.places:
            stop_using_models(launch.folder, place := job.places.pop(), step.notice)
            sentences.append(f"{place.name} is no longer in the web UI's lists, and stays on your Drive")
        show_models(launch)
        if going:
            sentences.append(f"taken away: {', '.join(path.name for path in going)}")
        if staying := [path.name for path in added if path in used]:
            sentences.append(f"left, for others use it: {', '.join(staying)}")
        while job.extensions:
            sentences.append(effect_of(job, remove_extension(job.extensions.pop())))
        for fetcher in job.fetchers:
            fetcher.added.clear()
        step.done("; ".join(sentences))


def delete_added(launch: Launch, path: Path, began: float) -> None:
    """Delete a file, and its pictures and notes that came since."""
    folder = launch.folder
    for beside in path.parent.glob(f"{escape(path.stem)}.*"):
        if not beside.name.lower().endswith((*WEIGHTS, PART)) and beside.stat().st_mtime >= began:
            beside.unlink()
    if path.is_relative_to(folder.kept / "embeddings"):  # the machine's copy goes first, else it came back
        (folder.data / path.relative_to(folder.kept)).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    forget_checksum(folder, path)
