"""What is done beside the launch, each with rows of its own: models, ControlNet, extensions, stop; and its undoing."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import PART, require_room
from launcher.core.problem import Problem
from launcher.core.status import HELP, JOB_TITLES, Button, State, Status
from launcher.drive.find import Remembered
from launcher.drive.linked import stop_using_models, use_models
from launcher.drive.mount import connect_drive
from launcher.extensions.address import Address
from launcher.extensions.extension import Extension
from launcher.extensions.manage import Change, add_extension, change_one, remove_extension
from launcher.launch.launch import Ask, Launch
from launcher.launch.start import EXTENSIONS_CHANGED, show_models, use_model
from launcher.launch.steps import Failed, Steps
from launcher.launch.stop import stop_launch
from launcher.models.catalog import Model
from launcher.models.checksums import note_checksum
from launcher.models.ensure import ensure_linked_model, ensure_model
from launcher.models.fetch import Fetcher
from launcher.models.identify import WEIGHTS
from launcher.models.pasted import without_secrets
from launcher.service.questions import ask_the_notebook
from launcher.service.understand import Meant, Thing, control_net, understood

MOST_SIDE_BY_SIDE: Final = 4  # downloads at a time, each over several connections
LONGEST_TITLE: Final = 80  # characters
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


# ---- Add: whatever a person writes


def add(job: Job, what: str = "", kind: str = "", file_name: str = "") -> None:
    """All that a text asks for (`service.understand`), side by side, a row each.

    `kind` says what a file or an address is that nobody knows; of all others their content does.
    """

    def found() -> Sequence[Meant]:
        if what.strip() in names_of_checkpoints(job.launch):
            return [(what.strip(), what.strip())]
        things = understood(what, job.launch.machine.drive, git_first=kind == "extension")
        if len(things) > 1 and file_name:
            why = "You are adding several things, but the field **file_name** has only one name."
            raise Problem(why, "Empty the field, or add the models one by one.")
        return things

    does = partial(add_one, job, "" if kind in ("detect", "extension") else kind, file_name)
    run_side_by_side(job, without_secrets(what).strip() or JOB_TITLES["add_model"], found, does)


def add_controlnet(job: Job, for_models: str = "", controls: str = "") -> None:
    """The extension and the models chosen."""
    run_side_by_side(job, "ControlNet", lambda: control_net(for_models, controls), partial(add_one, job, "", ""))


def require_room_together(launch: Launch, models: Sequence[Model]) -> None:
    """Raises `Problem` before the first byte where those of the models that are missing do not fit together."""
    folder, sizes = launch.folder, list[int]()
    for model in models:
        if not any((folder.models / model.folder / source.saved_name).exists() for source in model.sources):
            sizes.append(model.sources[0].size)
    what = models[0].name if len(models) == 1 else f"What you are adding ({len(sizes)} models)"
    require_room(folder.models, sum(sizes), launch.models_disk, what)
    require_room(folder.machine, sum(sizes), "the runtime's disk", what)


def names_of_checkpoints(launch: Launch) -> set[str]:
    return {path.name for path in launch.folder.checkpoints()}


def add_one(job: Job, kind: str, file_name: str, thing: Thing, fetcher: Fetcher) -> str:
    launch, folder, here = job.launch, job.launch.folder, names_of_checkpoints(job.launch)
    match thing:
        case Problem():
            raise thing
        case Path():  # the models of a folder on Drive, or one file, are used where they are
            sentence = use_models(folder, thing, fetcher.step.notice)
            if str(thing.relative_to(folder.drive)) in Remembered.read(folder.kept).model_folders:
                job.places.append(thing)  # also one of another day: **Undo** is the way to let go of it
            show_models(launch)
            return sentence
        case Address(name=name) if job.page and not launch.settings.extensions_tab:
            raise Problem(
                f"{name} is an extension, which is a program that can do anything on this machine and your Drive.",
                "Add it in the notebook, if you trust it.",
            )
        case Address():
            change = add_extension(folder, thing, fetcher.step)
            if change.added:
                job.extensions.append(change.added)
            return effect_of(job, change)
        case Model():
            name = ensure_model(fetcher, thing)
        case _:
            name = thing if thing in here else ensure_linked_model(fetcher, thing, kind, file_name)
    show_models(launch)
    if not launch.webui.ready:
        return f"{name}: it will be there at the next start"
    if thing in here or (name in names_of_checkpoints(launch) and launch.webui.says.read().needs_another):
        use_model(launch, name)
        return f"{name}: the web UI uses it now"
    return f"{name}: choose it in the web UI; if a list there does not have it yet, press the list's refresh button"


def change_extensions(job: Job, action: str = "", what: str = "") -> None:
    """Add, update, list, remove or switch one or all."""
    if action == "add":
        add(job, what, kind="extension")
        return

    def change(_: Thing, fetcher: Fetcher) -> str:
        return effect_of(job, change_one(job.launch.folder, action, what, fetcher.step))

    title = f"{action} {without_secrets(what)}".strip()
    run_side_by_side(job, title, lambda: [(title, title)], change)


def stop_everything(job: Job, give_back_the_machine: bool = False) -> None:
    """End the web UI, the proxy and the link; on request give the machine back."""
    job.status.add("work", JOB_TITLES["stop"])
    with job.steps.step("work") as step:
        stop_launch(job.launch, job.ask, step, give_back_the_machine)
    job.status.show(foot=job.launch.status.now.foot)


def run_side_by_side(
    job: Job, title: str, found: Callable[[], Sequence[Meant]], does: Callable[[Thing, Fetcher], str]
) -> None:
    """`does` one thing, and returns a sentence: a row each. What is `found` is known once Drive is there."""
    job.status.add("0", on_one_line(title))

    def one(number: int, thing: Thing) -> None:
        with job.steps.step(str(number)) as step, without_cells(job.steps):
            ask: Ask = partial(ask_the_notebook, job.ask, job.tokens, step) if job.page else job.ask
            fetcher = job.launch.fetcher(step, ask)
            job.fetchers.append(fetcher)
            step.done(does(thing, fetcher))

    with job.steps.step("0", "waiting for Google Drive"), without_cells(job.steps):
        connect_drive(job.launch.machine, job.ask, job.status.notice)
        job.launch.settle()
        job.launch.folder.prepare()
        things = found()
        require_room_together(job.launch, [thing for _, thing in things if isinstance(thing, Model)])
        for number, (name, _) in enumerate(things):
            job.status.add(str(number), on_one_line(name))
    with ThreadPoolExecutor(MOST_SIDE_BY_SIDE) as pool:
        tasks = [pool.submit(one, number, thing) for number, (_, thing) in enumerate(things)]
    for task in tasks:
        task.result()  # raises `Failed` where it failed


@contextmanager
def without_cells(steps: Steps) -> Iterator[None]:
    """Only cells have a ▶: what is added on the page, or in the box beside it, is tried again."""
    try:
        yield
    except Exception as error:  # the system's, too: they become problems here
        problem = steps.failure(error)
        if not problem:
            raise
        problem.do = problem.do.replace("press ▶ again", "try again").replace("Press ▶ again", "Try again")
        problem.do = problem.do.replace("Press ▶ to be asked again", "Try again to be asked once more")
        raise problem from (None if problem is error else error)


def on_one_line(title: str) -> str:
    line = " ".join(title.split())
    return line if len(line) < LONGEST_TITLE else f"{line[: LONGEST_TITLE - 3]}…"


# ---- undo


def undo(job: Job, used: set[Path]) -> None:
    """Take away what the job added, but for files that others have `used` since. What went, and what stays, is said."""
    launch, steps = job.launch, Steps(job.status, job.steps.log, threading.Event())
    began = job.status.now.started
    job.status.clear(State.IDLE)
    job.status.show(title=UNDOING)
    job.status.add("undo", UNDOING)
    with steps.step("undo", "waiting for Google Drive") as step:
        connect_drive(launch.machine, job.ask, job.status.notice)
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
        what = "Extensions have changed. Press Restart the web UI for that to take effect."
        job.launch.status.notice(what, about=EXTENSIONS_CHANGED)
        job.status.show(buttons=(Button.RESTART,))
    return f"{change.message}. It takes effect at the next start."


# What a cell asks for -> the work, whose parameters are the cell's fields.
JOBS: Final[dict[str, Callable[..., None]]] = {
    "add_model": add, "add_controlnet": add_controlnet, "change_extensions": change_extensions, "stop": stop_everything,
}  # fmt: skip
