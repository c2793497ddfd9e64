"""What the cells below the first one do, each on a board of its own: models, ControlNet, extensions, stop."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from launcher.core.board import Board
from launcher.core.folder import require_room
from launcher.core.problem import Problem
from launcher.drive.mount import connect_drive
from launcher.extensions.manage import CONTROLNET_URL, Change, add_extension, change_one
from launcher.launch.running import RESTART, Running
from launcher.launch.start_web_ui import CHANGED
from launcher.launch.steps import Failed, Steps
from launcher.launch.workplace import Workplace
from launcher.models.catalog import model_named
from launcher.models.checksums import sync_checksums
from launcher.models.controlnet import chosen_controls
from launcher.models.ensure import ensure_linked_model, ensure_model
from launcher.models.fetcher import Fetcher
from launcher.models.pasted import links_in, without_secrets

MOST_SIDE_BY_SIDE: Final = 4  # downloads at a time, each over several connections
LONGEST_TITLE: Final = 80  # characters

Work = Callable[[Fetcher], str]  # does one thing; returns a sentence


@dataclass(frozen=True)
class Job:
    """What one cell began, beside the launch of the same workplace, which need not run."""

    running: Running
    board: Board
    stop: threading.Event

    @property
    def place(self) -> Workplace:
        """Where it is done."""
        return self.running.place

    @property
    def steps(self) -> Steps:
        """The job's own steps."""
        return Steps(self.board, self.place.session.log, self.stop)

    def ask(self, kind: str, **about: Any) -> dict[str, Any]:
        """Put a question to the person who looks at this job."""
        return self.place.ask(self.board, kind, **about)


def add_model(job: Job, what: str, kind: str, file_name: str) -> None:
    """Names of the catalog, or links with spaces or new lines between; they are fetched side by side."""
    lines = [line.strip() for line in what.splitlines() if line.strip()]
    wanted = [one for line in lines for one in links_in(line) or [line]]
    if not wanted:
        refuse(
            job, Problem("The field **what** is empty.", "Choose a model from the list, or paste a link.", field="what")
        )
    elif len(wanted) > 1 and file_name:
        do = "Empty the field, or add the models one by one."
        refuse(
            job,
            Problem(
                "You are adding several models, but the field **file_name** has only one name.", do, field="file_name"
            ),
        )
    else:
        run_side_by_side(
            job, [(without_secrets(line), partial(_add_one, job, line, kind, file_name)) for line in wanted]
        )


def _add_one(job: Job, line: str, kind: str, file_name: str, fetcher: Fetcher) -> str:
    place, model = job.place, model_named(line)
    kind = "" if kind == "detect" else kind
    name = ensure_model(fetcher, model) if model else ensure_linked_model(fetcher, line, kind, file_name)
    if not place.webui.ready:
        return f"{name}: it will be there at the next start"
    sync_checksums(place.folder)
    place.webui.refresh_checkpoints()
    place.mirror.restore()  # an embedding goes from Drive to the machine
    return f"{name}: choose it in the web UI; if a list there does not have it yet, press the list's refresh button"


def add_controlnet(job: Job, for_models: str, controls: str) -> None:
    """The extension and the models chosen, side by side."""
    place = job.place
    try:
        models = chosen_controls(for_models, controls)
    except Problem as problem:
        refuse(job, problem)
        return

    def require_room_for_all() -> None:
        wanted = ((place.folder.models / model.folder, model.sources[0]) for model in models)
        needed = sum(source.size for below, source in wanted if not (below / source.saved_name).exists())
        what = f"ControlNet with {len(models)} models"
        where = "Google Drive" if place.machine.mountpoint else "the disk"
        require_room(place.folder.models, needed, where, what)
        require_room(place.folder.machine, needed, "the runtime's disk", what)

    def extension(fetcher: Fetcher) -> str:
        return effect_of(job, add_extension(place.folder, CONTROLNET_URL, fetcher.reporter))

    def model_work(model: Any) -> Work:
        return lambda fetcher: f"{ensure_model(fetcher, model)} is ready"

    works = [("The extension ControlNet", extension), *((model.name, model_work(model)) for model in models)]
    run_side_by_side(job, works, require_room_for_all)


def change_extensions(job: Job, action: str, what: str) -> None:
    """Add, update, list, remove or switch one or all."""

    def change(fetcher: Fetcher) -> str:
        return effect_of(job, change_one(job.place.folder, action, what, fetcher.reporter))

    run_side_by_side(job, [(f"{action} {what}".strip(), change)])


def effect_of(job: Job, change: Change) -> str:
    """A sentence on a change, with what must be done for it to take effect."""
    if not change.new:
        return change.told
    if not job.place.webui.running:
        return f"{change.told}. It takes effect at the next start."
    job.place.board.notice(f"Extensions have changed. Press {RESTART} for that to take effect.", about=CHANGED)
    job.board.show_buttons(RESTART)
    return f"{change.told}. Press {RESTART} for it to take effect."


def stop(job: Job, give_back_the_machine: bool) -> None:
    """End the web UI, the door and the link; on request give the machine back."""
    place, running, board = job.place, job.running, job.board
    board.add("work", "Stopping")
    with job.steps.step("work"):
        running.end_everything()
        running.close("Everything is off")
        if place.mirror.waiting:  # Drive was away: connect it once more before anything is given up
            board.note("work", "Google is asking for your permission in this tab, so that the last files can be saved")
            connect_drive(place.machine, job.ask)
            place.mirror.stop()
        if place.mirror.waiting:
            raise Problem(
                f"The web UI and its link are off, but {place.mirror.waiting} files could not be saved on Google "
                f"Drive: {place.mirror.summary()}.",
                "They are still on this machine. Free some space on Google Drive, or connect it, and press ▶ here "
                "again.",
            )
        if give_back_the_machine:
            board.note(
                "work",
                "waiting until Google Drive has everything; then the machine is given back, even if you press ■",
            )
            running.give_back(board)
            board.finish("work", "everything is off, and the machine was given back")
        else:
            running.say_machine_is_kept(board)
            board.finish("work", f"the web UI and its link are off; {place.mirror.summary()}")


def refuse(job: Job, problem: Problem) -> None:
    """Say why nothing is done."""
    job.board.add("0", job.board.title)
    job.board.fail("0", problem)


def run_side_by_side(job: Job, works: Sequence[tuple[str, Work]], before: Callable[[], None] = lambda: None) -> None:
    """Works that need Drive, a row each on one panel; `before` may refuse them all."""
    for number, (name, _) in enumerate(works):
        job.board.add(str(number), name if len(name) < LONGEST_TITLE else f"{name[: LONGEST_TITLE - 3]}…")

    def one(number: int, work: Work) -> None:
        with job.steps.step(str(number)):
            job.board.finish(str(number), work(job.place.fetcher(job.board, str(number), job.stop)))

    with job.steps.step("0", "waiting for Google Drive"):
        connect_drive(job.place.machine, job.ask)
        job.place.folder.prepare()
        before()
    with ThreadPoolExecutor(MOST_SIDE_BY_SIDE) as pool:
        done = [pool.submit(one, number, work) for number, (_, work) in enumerate(works)]
    for work_done in done:
        error = work_done.exception()
        if error and not isinstance(error, Failed):
            raise error


# What a cell asks for -> the headline while it is done and afterwards, and the work.
JOBS: Final[dict[str, tuple[str, str, Callable[..., None]]]] = {
    "add_model": ("Adding models", "Done", add_model),
    "add_controlnet": ("Adding ControlNet", "Done", add_controlnet),
    "change_extensions": ("Extensions", "Done", change_extensions),
    "stop": ("Stopping", "Stopped", stop),
}
