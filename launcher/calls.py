"""What the notebook's cells call: launch, stop, add a model. Each shows one panel."""

import asyncio
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from launcher.board import Board
from launcher.catalog import CHECKPOINT_NAMES, DEFAULT_MODEL, model_named
from launcher.door import door_part
from launcher.launch import Launch, unexpected
from launcher.models import bring_link, bring_model
from launcher.panel import new_panel, show_until
from launcher.problem import Problem
from launcher.runtime import MainThread, flush_drive, look_at_machine, mount_drive, release_machine
from launcher.settings import KEEP_ON_DRIVE, Settings
from launcher.tunnel import tunnel_part

# The one running launch, for ▶ again and for the other cells. ▶ runs these lines anew: what ran before is kept.
running: Launch | None = globals().get("running")


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


async def stop(give_back: bool) -> None:
    """The stop cell: end the web UI, the door and the link; on request give the machine back."""
    global running
    last = running or found()

    def work(board: Board, main: MainThread) -> str:
        if last is None:
            return "nothing was running"
        last.end_everything()
        if give_back:
            board.note("work", "waiting until Google Drive has everything")
            main.call(lambda: flush_drive(last.machine))
            main.call(lambda: release_machine(last.machine))
        return f"the web UI and its link are off; {last.mirror.summary()}"

    await show_work("Stopping", "Stopped", work)
    running = None


async def add_model(what: str, kind: str, file_name: str) -> None:
    """The «Add a model» cell: a name of the catalog, or links with spaces or new lines between; they are fetched side by side."""
    last = running or found() or Launch(default_settings(), look_at_machine())
    wanted = what.split() if "://" in what or what.startswith("urn:") else [line.strip() for line in what.splitlines() if line.strip()]
    board, main, over = Board("Adding models", "Done"), MainThread(), threading.Event()
    for number, line in enumerate(wanted):
        board.add(str(number), line if len(line) < 80 else f"{line[:77]}…")

    def one(number: int, line: str) -> None:
        with guarded(board, str(number)):
            if len(wanted) > 1 and file_name:
                raise Problem(
                    "There are several models, but one name in the field file_name.", "Empty the field, or add the models one by one.", field="file_name"
                )
            model = model_named(line)
            fetcher = last.fetcher(board, str(number), main, over)
            name = bring_model(fetcher, model) if model else bring_link(fetcher, line, "" if kind == "detect" else kind, file_name)
            if last.webui.ready:
                last.webui.refresh_checkpoints()
                last.mirror.restore()  # an embedding goes from Drive to the machine
            board.finish(str(number), f"{name}: {'choose it in the web UI' if last.webui.ready else 'it will be there at the next start'}")

    def all_of_it() -> None:
        with guarded(board, "0"):
            board.start("0", "waiting for Google Drive")
            main.call(lambda: mount_drive(last.machine))
            last.folder.prepare()
            with ThreadPoolExecutor(len(wanted)) as pool:
                for number, line in enumerate(wanted):
                    pool.submit(one, number, line)
        over.set()

    if not wanted:
        await show_work("Adding models", "Done", fails_with(Problem("The field what is empty.", "Choose a model of the list, or paste a link.", field="what")))
        return
    threading.Thread(target=all_of_it, daemon=True).start()
    await show_until(new_panel(board, {}), over.is_set, main.serve, lambda: "")


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
        noted = json.loads((machine.disk / "session" / "launch.json").read_text())
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


def run_part() -> None:
    """The program as a process of its own: the part named on the command line."""
    parts = {"door": door_part, "tunnel": tunnel_part}
    parts[sys.argv[1]](sys.argv[2:])
