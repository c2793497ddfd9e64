"""What is done beside the launch, each with rows of its own: models, ControlNet, extensions, stop."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import require_room
from launcher.core.problem import Problem
from launcher.core.status import JOB_TITLES, Step
from launcher.drive.linked import use_models
from launcher.drive.mount import connect_drive
from launcher.drive.remembered import Remembered
from launcher.extensions.address import Address
from launcher.extensions.manage import add_extension, change_one
from launcher.launch.launch import Launch
from launcher.launch.start import show_models, use_model
from launcher.launch.steps import Steps
from launcher.launch.stop import stop_launch
from launcher.models.catalog import Model
from launcher.models.ensure import ensure_linked_model, ensure_model
from launcher.models.fetch import Fetcher
from launcher.models.pasted import without_secrets
from launcher.service.job import Job, effect_of
from launcher.service.questions import NotAnswered
from launcher.service.understand import Meant, Thing, control_net, understood

MOST_SIDE_BY_SIDE: Final = 4  # downloads at a time, each over several connections
LONGEST_TITLE: Final = 80  # characters

Work = Callable[[Fetcher], str]  # does one thing; returns a sentence


# ---- Add: whatever a person writes


def add(job: Job, what: str = "", kind: str = "", file_name: str = "") -> None:
    """All that a text asks for (`service.understand`), side by side, a row each.

    `kind` says what a file or an address is that nobody knows; of all others their content does.
    """

    def works() -> list[tuple[str, Work]]:
        found: list[Meant] = [(what.strip(), what.strip())]
        if what.strip() not in names_of_checkpoints(job.launch):
            found = understood(what, job.launch.machine.drive, git_first=kind == "extension")
        if len(found) > 1 and file_name:
            why = "You are adding several things, but the field **file_name** has only one name."
            raise Problem(why, "Empty the field, or add the models one by one.")
        return works_for(job, found, "" if kind in ("detect", "extension") else kind, file_name)

    run_side_by_side(job, without_secrets(what).strip() or JOB_TITLES["add_model"], works)


def add_controlnet(job: Job, for_models: str = "", controls: str = "") -> None:
    """The extension and the models chosen."""
    run_side_by_side(job, "ControlNet", lambda: works_for(job, control_net(for_models, controls)))


def works_for(job: Job, found: Sequence[Meant], kind: str = "", file_name: str = "") -> list[tuple[str, Work]]:
    """Raises `Problem` before the first byte where the catalog's models that are missing do not fit together."""
    folder, models = job.launch.folder, [thing for _, thing in found if isinstance(thing, Model)]
    missing = [
        model.sources[0].size
        for model in models
        if not any((folder.models / model.folder / source.saved_name).exists() for source in model.sources)
    ]
    what = models[0].name if len(models) == 1 else f"What you are adding ({len(missing)} models)"
    require_room(folder.models, sum(missing), job.launch.models_disk, what)
    require_room(folder.machine, sum(missing), "the runtime's disk", what)
    return [(name, partial(add_one, job, thing, kind, file_name)) for name, thing in found]


def names_of_checkpoints(launch: Launch) -> set[str]:
    return {path.name for path in launch.folder.checkpoints()}


def add_one(job: Job, thing: Thing, kind: str, file_name: str, fetcher: Fetcher) -> str:
    launch, folder, here = job.launch, job.launch.folder, names_of_checkpoints(job.launch)
    match thing:
        case Problem():
            raise thing
        case Path():  # the models of a folder on Drive, or one file, are used where they are
            before = Remembered.read(folder.kept).model_folders
            sentence = use_models(folder, thing, fetcher.step.notice)
            if Remembered.read(folder.kept).model_folders != before:
                job.places.append(thing)
            show_models(launch)
            return sentence
        case Address():
            if job.page and not launch.settings.extensions_tab:
                what = "is an extension, which is a program that can do anything on this machine and your Drive."
                raise Problem(f"{thing.name} {what}", "Add it in the notebook, if you trust it.")
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


# ---- extensions, stop


def change_extensions(job: Job, action: str = "", what: str = "") -> None:
    """Add, update, list, remove or switch one or all."""
    if action == "add":
        add(job, what, kind="extension")
        return

    def change(fetcher: Fetcher) -> str:
        return effect_of(job, change_one(job.launch.folder, action, what, fetcher.step))

    title = f"{action} {without_secrets(what)}".strip()
    run_side_by_side(job, title, lambda: [(title, change)])


def stop_everything(job: Job, give_back_the_machine: bool = False) -> None:
    """End the web UI, the proxy and the link; on request give the machine back."""
    job.status.add("work", JOB_TITLES["stop"])
    with job.steps.step("work") as step:
        stop_launch(job.launch, job.ask, step, give_back_the_machine)
    job.status.show(foot=job.launch.status.now.foot)


def run_side_by_side(job: Job, title: str, works_of: Callable[[], Sequence[tuple[str, Work]]]) -> None:
    """Works that need Drive, a row each. Which they are is known once Drive is there; till then there is one row."""
    job.status.add("0", on_one_line(title))

    def one(number: int, work: Work) -> None:
        with job.steps.step(str(number)) as step, without_cells(job.steps):
            fetcher = job.launch.fetcher(step, partial(ask_the_notebook, job, step) if job.page else job.ask)
            job.fetchers.append(fetcher)
            step.done(work(fetcher))

    with job.steps.step("0", "waiting for Google Drive"), without_cells(job.steps):
        connect_drive(job.launch.machine, job.ask)
        job.launch.settle()
        job.launch.folder.prepare()
        works = works_of()
        for number, (name, _) in enumerate(works):
            job.status.add(str(number), on_one_line(name))
    with ThreadPoolExecutor(MOST_SIDE_BY_SIDE) as pool:
        tasks = [pool.submit(one, number, work) for number, (_, work) in enumerate(works)]
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


def ask_the_notebook(job: Job, step: Step, kind: str, *, name: str, reason: str) -> dict[str, Any]:
    """Ask for the token that the page's job needs where a person can give it, unless that was done before."""
    if known := job.tokens.get(name):
        return {"token": known}
    if reason:
        step.say("the question about your token is in the notebook")
    try:
        return job.ask(kind, name=name, reason=reason)
    except NotAnswered as problem:
        if not reason:  # nobody need be asked: it is only looked for
            return {"token": ""}
        problem.do = "Open the notebook, and add it once more: the question is put there."
        raise


def on_one_line(title: str) -> str:
    line = " ".join(title.split())
    return line if len(line) < LONGEST_TITLE else f"{line[: LONGEST_TITLE - 3]}…"


# What a cell asks for -> the work, whose parameters are the cell's fields.
JOBS: Final[dict[str, Callable[..., None]]] = {
    "add_model": add,
    "add_controlnet": add_controlnet,
    "change_extensions": change_extensions,
    "stop": stop_everything,
}
