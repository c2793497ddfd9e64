"""What is done beside the launch, each with rows of its own: models, ControlNet, extensions, stop."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from launcher.core.folder import require_room
from launcher.core.problem import Problem
from launcher.core.snapshot import JOB_TITLES, Button
from launcher.core.status import Status
from launcher.drive.mount import connect_drive
from launcher.extensions.manage import CONTROLNET_URL, Change, add_extension, change_one
from launcher.launch.launch import Ask, Launch
from launcher.launch.start import EXTENSIONS_CHANGED
from launcher.launch.steps import Steps
from launcher.launch.stop import stop_launch
from launcher.models.catalog import Model, chosen_controls, model_named
from launcher.models.checksums import sync_checksums
from launcher.models.ensure import ensure_linked_model, ensure_model
from launcher.models.fetch import Fetcher
from launcher.models.pasted import links_in, without_secrets

MOST_SIDE_BY_SIDE: Final = 4  # downloads at a time, each over several connections
LONGEST_TITLE: Final = 80  # characters
RESTART: Final = "Restart the web UI"

Work = Callable[[Fetcher], str]  # does one thing; returns a sentence


@dataclass(frozen=True)
class Job:
    """One job. It belongs to a launch, which need not run."""

    launch: Launch
    steps: Steps
    ask: Ask  # puts a question to the person who looks at this job

    @property
    def status(self) -> Status:
        return self.steps.status


def fetch_models(job: Job, what: str = "", kind: str = "", file_name: str = "") -> None:
    """Names of the catalog, or links with spaces or new lines between; they are fetched side by side."""
    lines = [line.strip() for line in what.splitlines() if line.strip()]
    wanted = [one for line in lines for one in links_in(line) or [line]]
    if not wanted:
        do = "Choose a model from the list, or paste a link."
        raise Problem("The field **what** is empty.", do)
    if len(wanted) > 1 and file_name:
        what = "You are adding several models, but the field **file_name** has only one name."
        raise Problem(what, "Empty the field, or add the models one by one.")
    works = [(without_secrets(line), partial(fetch_one_model, job, line, kind, file_name)) for line in wanted]
    run_side_by_side(job, works)


def fetch_one_model(job: Job, line: str, kind: str, file_name: str, fetcher: Fetcher) -> str:
    launch, model = job.launch, model_named(line)
    kind = "" if kind == "detect" else kind
    name = ensure_model(fetcher, model) if model else ensure_linked_model(fetcher, line, kind, file_name)
    if not launch.webui.ready:
        return f"{name}: it will be there at the next start"
    sync_checksums(launch.folder)
    launch.webui.refresh_checkpoints()
    launch.sync.restore()  # an embedding goes from Drive to the machine
    return f"{name}: choose it in the web UI; if a list there does not have it yet, press the list's refresh button"


def fetch_controlnet(job: Job, for_models: str = "", controls: str = "") -> None:
    """The extension and the models chosen, side by side."""
    launch, models = job.launch, chosen_controls(for_models, controls)

    def one(model: Model, fetcher: Fetcher) -> str:
        return f"{ensure_model(fetcher, model)} is ready"

    def require_room_for_all() -> None:
        wanted = ((launch.folder.models / model.folder, model.sources[0]) for model in models)
        needed = sum(source.size for below, source in wanted if not (below / source.saved_name).exists())
        what = f"ControlNet with {len(models)} models"
        where = "Google Drive" if launch.machine.mountpoint else "the disk"
        require_room(launch.folder.models, needed, where, what)
        require_room(launch.folder.machine, needed, "the runtime's disk", what)

    def extension(fetcher: Fetcher) -> str:
        return effect_of(job, add_extension(launch.folder, CONTROLNET_URL, fetcher.step))

    works = [(model.name, partial(one, model)) for model in models]
    run_side_by_side(job, [("The extension ControlNet", extension), *works], require_room_for_all)


def work_on_extensions(job: Job, action: str = "", what: str = "") -> None:
    """Add, update, list, remove or switch one or all."""

    def change(fetcher: Fetcher) -> str:
        return effect_of(job, change_one(job.launch.folder, action, what, fetcher.step))

    run_side_by_side(job, [(f"{action} {what}".strip(), change)])


def effect_of(job: Job, change: Change) -> str:
    """A sentence on a change, with what must be done for it to take effect."""
    if not change.new:
        return change.message
    if not job.launch.webui.running:
        return f"{change.message}. It takes effect at the next start."
    job.launch.status.notice(
        f"Extensions have changed. Press {RESTART} for that to take effect.", about=EXTENSIONS_CHANGED
    )
    job.status.show(buttons=(Button.RESTART,))
    return f"{change.message}. Press {RESTART} for it to take effect."


def stop_everything(job: Job, give_back_the_machine: bool = False) -> None:
    """End the web UI, the door and the link; on request give the machine back."""
    job.status.add("work", JOB_TITLES["stop"])
    with job.steps.step("work") as step:
        stop_launch(job.launch, job.ask, step, give_back_the_machine)
    job.status.show(foot=job.launch.status.now.foot)


def run_side_by_side(job: Job, works: Sequence[tuple[str, Work]], before: Callable[[], None] = lambda: None) -> None:
    """Works that need Drive, a row each; `before` may refuse them all."""
    for number, (name, _) in enumerate(works):
        job.status.add(str(number), name if len(name) < LONGEST_TITLE else f"{name[: LONGEST_TITLE - 3]}…")

    def one(number: int, work: Work) -> None:
        with job.steps.step(str(number)) as step:
            step.done(work(job.launch.fetcher(step, job.ask)))

    with job.steps.step("0", "waiting for Google Drive"):
        connect_drive(job.launch.machine, job.ask)
        job.launch.settle()
        job.launch.folder.prepare()
        before()
    with ThreadPoolExecutor(MOST_SIDE_BY_SIDE) as pool:
        tasks = [pool.submit(one, number, work) for number, (_, work) in enumerate(works)]
    for task in tasks:
        task.result()  # raises `Failed` where it failed


# What a cell asks for -> the work, whose parameters are the cell's fields.
JOBS: Final[dict[str, Callable[..., None]]] = {
    "add_model": fetch_models,
    "add_controlnet": fetch_controlnet,
    "change_extensions": work_on_extensions,
    "stop": stop_everything,
}
