"""What the notebook's cells call: launch, stop, add a model. Each shows one panel."""

import asyncio
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from launcher.colab.dialogs import MainThread
from launcher.colab.machine import look_at_machine, release_machine
from launcher.core.board import Board
from launcher.core.folder import require_room
from launcher.core.problem import Problem, unexpected
from launcher.core.session import Session
from launcher.core.settings import KEEP_ON_DRIVE, Settings
from launcher.drive.mount import flush_drive, mount_drive
from launcher.extensions.manage import CONTROLNET_URL, add_extension, change_one
from launcher.launch.launch import Launch
from launcher.models.bring import bring_link, bring_model
from launcher.models.catalog import CHECKPOINT_NAMES, DEFAULT_MODEL, model_named
from launcher.models.checksums import exchange_known
from launcher.models.controlnet import chosen_controls
from launcher.models.fetcher import Fetcher
from launcher.ui.panel import new_panel, show_until

MOST_SIDE_BY_SIDE: Final = 4  # downloads at a time, each over several connections
# The one running launch, for ▶ again and for the other cells. ▶ runs these lines anew: what ran before is kept.
running: Launch | None = None


async def launch(**form: Any) -> None:
    """▶: launch with the form's fields, or take hold of what runs already."""
    global running
    try:
        settings = Settings.from_form(known_checkpoints=CHECKPOINT_NAMES, **form)
    except Problem as problem:
        await show_work("The form", "The form", fails_with(problem))
        return
    if running is None or running.over.is_set() or running.settings != settings:
        if running is not None:
            await asyncio.to_thread(running.let_go)
        running = Launch(settings, look_at_machine())
        running.begin()
    await running.show()


async def stop(give_back_the_machine: bool) -> None:
    """The stop cell: end the web UI, the door and the link; on request give the machine back."""
    global running
    last = running or found()

    def work(board: Board, main: MainThread) -> str:
        if last is None:
            return "nothing was running"
        last.end_everything()
        if last.mirror.waiting:  # Drive was away: connect it once more before anything is given up
            main.call(lambda: mount_drive(last.machine))
            last.mirror.look(settled=0)
        if last.mirror.waiting:
            raise Problem(
                f"The web UI and its link are off, but {last.mirror.waiting} files could not be kept on Google Drive: {last.mirror.summary()}.",
                "They are still on this machine. Make room on Google Drive, or connect it, and press ▶ here again.",
            )
        if give_back_the_machine:
            board.note("work", "waiting until Google Drive has everything")
            main.call(lambda: flush_drive(last.machine))
            main.call(lambda: release_machine(last.machine))
        return f"the web UI and its link are off; {last.mirror.summary()}"

    await show_work("Stopping", "Stopped", work)
    running = last if last and last.mirror.waiting else None


async def add_model(what: str, kind: str, file_name: str) -> None:
    """The «Add a model» cell: a name of the catalog, or links with spaces or new lines between; they are fetched side by side."""
    last = running or found() or Launch(default_settings(), look_at_machine())
    wanted = (
        what.split()
        if "://" in what or what.startswith("urn:")
        else [line.strip() for line in what.splitlines() if line.strip()]
    )

    def one(line: str, fetcher: Fetcher) -> str:
        if len(wanted) > 1 and file_name:
            raise Problem(
                "There are several models, but one name in the field file_name.",
                "Empty the field, or add the models one by one.",
                field="file_name",
            )
        model = model_named(line)
        name = (
            bring_model(fetcher, model)
            if model
            else bring_link(fetcher, line, "" if kind == "detect" else kind, file_name)
        )
        if last.webui.ready:
            exchange_known(last.folder)
            last.webui.refresh_checkpoints()
            last.mirror.restore()  # an embedding goes from Drive to the machine
        return f"{name}: {'choose it in the web UI' if last.webui.ready else 'it will be there at the next start'}"

    if not wanted:
        await show_work(
            "Adding models",
            "Done",
            fails_with(
                Problem("The field what is empty.", "Choose a model of the list, or paste a link.", field="what")
            ),
        )
        return
    await show_jobs("Adding models", last, [(line, partial(one, line)) for line in wanted])


async def add_controlnet(for_models: str, controls: str) -> None:
    """The «Add ControlNet» cell: the extension and the models chosen, side by side."""
    last = running or found() or Launch(default_settings(), look_at_machine())
    try:
        models = chosen_controls(for_models, controls)
    except Problem as problem:
        await show_work("Adding ControlNet", "Done", fails_with(problem))
        return

    def room() -> None:
        missing = [
            m.sources[0] for m in models if not (last.folder.models / m.folder / m.sources[0].saved_name).exists()
        ]
        needed, what = sum(source.size for source in missing), f"ControlNet with {len(models)} models"
        require_room(last.folder.models, needed, "Google Drive" if last.machine.colab else "the disk", what)
        require_room(last.folder.machine, needed, "the runtime's disk", what)

    def extension(fetcher: Fetcher) -> str:
        return restart_words(last, add_extension(last.folder, CONTROLNET_URL, fetcher.reporter))

    jobs: list[tuple[str, Callable[[Fetcher], str]]] = [
        ("The extension ControlNet", extension),
        *((model.name, lambda fetcher, m=model: f"{bring_model(fetcher, m)} is there") for model in models),
    ]
    await show_jobs("Adding ControlNet", last, jobs, room)


async def change_extensions(action: str, what: str) -> None:
    """The «Add or update an extension» cell."""
    last = running or found() or Launch(default_settings(), look_at_machine())

    def change(fetcher: Fetcher) -> str:
        told = change_one(last.folder, action, what, fetcher.reporter)
        return told if action == "list" else restart_words(last, told)

    await show_jobs("Extensions", last, [(f"{action} {what}".strip(), change)])


def restart_words(last: Launch, told: str) -> str:
    """A sentence on a change, with what must be done for it to count."""
    if not last.webui.running:
        return f"{told}. It counts from the next start."
    last.board.notice(f"{told}. Press «Restart the web UI» for it to count.")
    return f"{told}. Press «Restart the web UI» for it to count."


async def show_jobs(
    title: str,
    last: Launch,
    jobs: list[tuple[str, Callable[[Fetcher], str]]],
    before: Callable[[], None] = lambda: None,
) -> None:
    """Jobs that need Drive, side by side, a row each on one panel; `before` may refuse them all."""
    board, main, over = Board(title, "Done"), MainThread(), threading.Event()
    for number, (name, _) in enumerate(jobs):
        board.add(str(number), name if len(name) < 80 else f"{name[:77]}…")

    def one(number: int, work: Callable[[Fetcher], str]) -> None:
        with guarded(board, str(number)):
            board.finish(str(number), work(last.fetcher(board, str(number), main, over)))

    def all_of_it() -> None:
        with guarded(board, "0"):
            board.start("0", "waiting for Google Drive")
            main.call(lambda: mount_drive(last.machine))
            last.folder.prepare()
            before()
            with ThreadPoolExecutor(MOST_SIDE_BY_SIDE) as pool:
                for number, (_, work) in enumerate(jobs):
                    pool.submit(one, number, work)
        over.set()

    threading.Thread(target=all_of_it, daemon=True).start()
    buttons = {"Restart the web UI": last.ask_for_restart} if last.webui.running else {}
    await show_until(
        new_panel(board, buttons, usable=lambda shown: "Restart" in str(shown.steps)),
        over.is_set,
        main.serve,
        lambda: "",
    )


@contextmanager
def guarded(board: Board, step: str) -> Iterator[None]:
    """Whatever goes wrong in a cell's step stands on its board."""
    board.start(step)
    try:
        yield
    except Problem as problem:
        board.fail(step, problem)
    except Exception as error:
        traceback.print_exc(file=sys.__stderr__)
        board.fail(step, unexpected(error, "the notebook's own log"))


def found() -> Launch | None:
    """The launch an earlier kernel left running on this machine, or None."""
    machine = look_at_machine()
    try:
        noted = json.loads(Session(machine.disk / "session").launch_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return Launch(Settings(**noted | {"extra_arguments": tuple(noted["extra_arguments"])}), machine)


def default_settings() -> Settings:
    """The form as it stands in a fresh notebook."""
    return Settings(DEFAULT_MODEL, KEEP_ON_DRIVE, "asd1111", True, False, "automatic", ())


def fails_with(problem: Problem) -> Callable[[Board, MainThread], str]:
    """Work that consists of a problem."""

    def work(board: Board, main: MainThread) -> str:
        raise problem

    return work


async def show_work(title: str, done_title: str, work: Callable[[Board, MainThread], str]) -> None:
    """One step on a panel of its own: for the other cells."""
    board, main, over = Board(title, done_title), MainThread(), threading.Event()
    board.add("work", title)

    def run_work() -> None:
        with guarded(board, "work"):
            board.finish("work", work(board, main))
        over.set()

    threading.Thread(target=run_work, daemon=True).start()
    await show_until(new_panel(board, {}), over.is_set, main.serve, lambda: "")
