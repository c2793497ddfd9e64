"""A job beside the launch: it has a thread of its own, and can be stopped, or undone once it has ended."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import PART
from launcher.core.problem import Problem
from launcher.core.status import HELP, Button, State, Status
from launcher.drive.linked import stop_using_models
from launcher.drive.mount import connect_drive
from launcher.extensions.extension import Extension
from launcher.extensions.manage import Change, remove_extension
from launcher.launch.launch import Ask, Launch
from launcher.launch.start import EXTENSIONS_CHANGED, show_models
from launcher.launch.steps import Failed, Steps
from launcher.models.checksums import note_checksum
from launcher.models.fetch import Fetcher
from launcher.models.identify import WEIGHTS

RESTART: Final = "Restart the web UI"
UNDOING: Final = "Taking it away again"


@dataclass
class Job:
    """It belongs to a launch, which need not run."""

    launch: Launch
    steps: Steps
    ask: Ask  # puts a question to the person who looks at this job
    page: bool = False  # it came from the page, which may not do everything
    tokens: Mapping[str, str] = field(default_factory=dict)  # that the notebook gave before: secret's name -> token
    stops_by: dict[str, Any] | None = None  # the fields of a job that stops everything
    fetchers: list[Fetcher] = field(default_factory=list)  # of its works: they know which files they put in place
    extensions: list[Extension] = field(default_factory=list)  # that were not there before
    places: list[Path] = field(default_factory=list)  # on Drive, whose models are used since
    thread: threading.Thread | None = None

    @property
    def status(self) -> Status:
        return self.steps.status

    @property
    def can_undo(self) -> bool:
        return bool(self.extensions or self.places) or any(fetcher.added for fetcher in self.fetchers)

    @property
    def at_work(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def begin(self, work: Callable[[], None], done_title: str) -> None:
        def run() -> None:
            title = done_title
            try:
                work()
            except Failed:  # its step has said so
                title = "Stopped"
            except Exception as error:  # which nobody foresaw
                self.status.add("0", self.status.now.title)
                self.status.step("0").fail(self.steps.problem(error))
            self.status.show(over=True, title=HELP if self.status.now.failed else title, can_undo=self.can_undo)

        self.thread = threading.Thread(target=run, name="job")
        self.thread.start()

    def begin_undo(self, launches: Iterable[Launch]) -> bool:
        """Take away what it added; False where there is nothing. What other jobs of these launches use stays."""
        if not self.status.now.can_undo:
            return False
        self.status.show(over=False, can_undo=False)
        others = [fetcher for launch in launches for fetcher in launch.fetchers if fetcher not in self.fetchers]
        used = {path for fetcher in others for path in fetcher.used}
        self.begin(lambda: undo(self, used), "Taken away again")
        return True


def stop_underway(jobs: Mapping[int, Job], fields: dict[str, Any]) -> int:
    """The number of the job that stops everything in this way, or gives the machine back, too; 0 if there is none."""
    ways = (fields, {"give_back_the_machine": True})
    return next((number for number, job in jobs.items() if job.at_work and job.stops_by in ways), 0)


def undo(job: Job, used: set[Path]) -> None:
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
    note_checksum(folder, path, None)


def effect_of(job: Job, change: Change) -> str:
    """A sentence on a change, with what must be done for it to take effect."""
    if not change.new:
        return change.message
    if job.launch.webui.running:
        what = f"Extensions have changed. Press {RESTART} for that to take effect."
        job.launch.status.notice(what, about=EXTENSIONS_CHANGED)
        job.status.show(buttons=(Button.RESTART,))
    return f"{change.message}. It takes effect at the next start."
