"""A launch from its beginning to its end: its story, then the watch over what it has started."""

import threading
import time
from collections.abc import Callable
from typing import Final

from launcher.core.problem import Problem
from launcher.core.snapshot import UNDERWAY, Button, State
from launcher.drive.mount import connect_drive
from launcher.drive.troubles import is_drives_fault
from launcher.launch.launch import Launch
from launcher.launch.start_web_ui import note, noted
from launcher.launch.steps import Failed
from launcher.launch.stop import end_web_ui, give_back_unused, let_go
from launcher.launch.watch import WATCH_DRIVE_EVERY, LinkWatch
from launcher.models.checksums import sync_checksums
from launcher.models.previews import fetch_missing_previews
from launcher.models.taken_over import broken_models
from launcher.python.bytecode import keep_bytecode
from launcher.source.checkout import keep_edits

WATCH_EVERY: Final = 0.5  # seconds between two looks at the web UI
FIRST_IMAGE: Final = 60.0  # seconds after which what an image needs has probably been imported, too
RESTARTS_ALLOWED: Final = 3
RESTARTS_WITHIN: Final = 600.0  # seconds
AFTER_FAILURE: Final = (Button.RESTART, Button.STOP)


def begin(launch: Launch, before: Launch | None, *, anew: bool = False, take_up: bool = False) -> None:
    """Run it in a thread of its own. The launch `before` is let go first, or with `anew` its web UI is ended.

    `take_up`: there is a web UI that runs with these settings already.
    """
    with launch.status.changes:  # nothing of the one before shows itself from now on
        if before:
            before.over.set()
            before.ended.set()
        if before and launch.status.now.state in UNDERWAY:
            launch.status.show(state=State.STARTING, login_box=None, buttons=())
        else:
            launch.status.clear(State.STARTING)
    launch.thread = threading.Thread(target=_run, args=(launch, before, anew, take_up), name="launch", daemon=True)
    launch.thread.start()


def _run(launch: Launch, before: Launch | None, anew: bool, take_up: bool) -> None:
    status = launch.status
    if before:
        _end_the_one_before(before, launch, anew)
    launch.prepare()
    try:
        launch.take_up() if take_up else launch.story()
        threading.Thread(target=look_around, args=(launch,), name="look around", daemon=True).start()
    except Failed:
        pass  # its step has said so
    except Exception as error:
        launch.steps.of("webui").fail(launch.steps.problem(error))
    with status.changes:
        if status.now.state == State.STARTING and not launch.ended.is_set():
            status.show(state=State.FAILED, foot="", buttons=AFTER_FAILURE)
    watch(launch)


def _end_the_one_before(before: Launch, launch: Launch, anew: bool) -> None:
    """Let go of it, or end its web UI, whose last files are kept; then there is nothing of it to be seen."""
    launch.status.show(foot="Waiting for the previous launch to finish.")
    if not anew:
        let_go(before, keep_sync=before.sync is launch.sync)
    else:
        end_web_ui(before)
        if before.sync.waiting:  # Drive was away: connect it once more
            with launch.steps.beside("saving the last files"):
                connect_drive(before.machine, before.ask)
                before.sync.stop()
    launch.status.clear(State.STARTING)
    if before.sync.waiting and before.sync is not launch.sync:
        launch.status.notice(
            f"{before.sync.waiting} files of the folder {before.settings.drive_folder} are not on Google Drive yet. "
            "They are still on this machine: press ▶ with that folder again, and they are saved."
        )


# ---- beside the main way


def look_around(launch: Launch) -> None:
    """Note what works, say what is broken in a folder that was taken over, keep a person's changes in it, and bring
    what its models need.
    """
    step = launch.steps.of("model")
    while_drive_is_there(launch, "noting the version that works", launch.starter.note_what_started)
    while_drive_is_there(launch, "looking through your folder", lambda: _look_through_folder(launch))
    while_drive_is_there(
        launch,
        "downloading the previewer for SDXL",
        lambda: fetch_missing_previews(launch.fetcher(step, launch.ask)),
    )
    if launch.webui.wait_for_model(launch.over):
        while_drive_is_there(launch, "saving the checksums of your models", lambda: sync_checksums(launch.folder))
    if not launch.over.wait(FIRST_IMAGE):
        packages = launch.starter.packages()
        while_drive_is_there(launch, "saving bytecode", lambda: keep_bytecode(launch.folder, packages))


def while_drive_is_there(launch: Launch, what: str, work: Callable[[], None]) -> None:
    """Do it; a Drive that is away meanwhile is waited for: `DriveWatch` says so, and asks for it."""
    with launch.steps.beside(what):
        while True:
            try:
                work()
                return
            except OSError as error:
                if not is_drives_fault(error, launch.folder.kept) or launch.over.wait(WATCH_DRIVE_EVERY):
                    raise


def _look_through_folder(launch: Launch) -> None:
    folder, status = launch.folder, launch.status
    if (folder.kept / ".git" / "index").exists():
        keep_edits(folder, folder.kept, launch.steps.of("source"))
    dead = folder.dead_shortcuts()
    if dead:
        status.notice(f"These shortcuts on your Drive point to nothing and were skipped: {', '.join(dead)}.")
    looked, broken = broken_models(folder, set(noted(folder, "looked_at", list[str]())))
    if broken:
        named = "; ".join(f"{name} ({fault})" for name, fault in broken.items())
        status.notice(
            f"Damaged files in your folder: {named}. Nothing was changed. Delete them on Google Drive, or "
            "download them again."
        )
    note(folder, looked_at=sorted(looked))


# ---- the watch


def watch(launch: Launch) -> None:
    """Restart a web UI that died or should, and look after Drive, the link and the machine, until nobody needs it.

    After a start that failed there is only the machine to look after; a web UI that gave up can be started again.
    """
    status, restarts = launch.status, list[float]()

    def link_is_back() -> None:
        if status.now.state == State.READY:
            launch.be_ready()

    link = LinkWatch(launch.steps, launch.public_link, link_is_back)
    launch.use_watch.used_at = time.time()
    while not launch.ended.wait(WATCH_EVERY):
        if launch.use_watch.look():
            give_back_unused(launch)
            return
        if launch.over.is_set():
            continue
        launch.drive_watch.look()
        link.look()
        asked = launch.restart_wanted.is_set()
        died = not launch.webui.running and status.now.state != State.FAILED
        if launch.drive_watch.away:  # a start needs Drive: it waits, and does not count as one that failed
            if asked or died:
                launch.steps.of("webui").say("it starts again once Google Drive is connected")
        elif asked:
            launch.restart_wanted.clear()
            restarts = []
            start_again(launch, "restarting, as you asked")
        elif died:
            problem = launch.webui.why_it_ended()
            restarts = [t for t in restarts if time.monotonic() - t < RESTARTS_WITHIN] + [time.monotonic()]
            if len(restarts) > RESTARTS_ALLOWED:
                launch.session.lead_to(port=0)
                launch.steps.of("webui").fail(problem)
                status.show(state=State.FAILED, login_box=None, foot="", buttons=AFTER_FAILURE)
            else:
                status.notice(f"The web UI was restarted ({time.strftime('%H:%M')}): {problem.what}", about="again")
                start_again(launch, "starting again")


def start_again(launch: Launch, note: str) -> None:
    """Start the web UI anew, behind the same link. The one before answers until everything for the next is ready."""
    checkpoint, step = launch.webui.chosen_checkpoint, launch.steps.of("webui")
    if not launch.webui.running:
        launch.session.lead_to(port=0)
    launch.status.show(state=State.RESTARTING)
    step.begin(note)
    with launch.steps.beside("restarting the web UI"):
        try:
            launch.starter.start(launch.starter.plan(checkpoint))
        except (Problem, Failed) as problem:
            what = problem.what if isinstance(problem, Problem) else "stopped; press ▶ to continue from here"
            step.say(what)
            if not launch.webui.running:
                return  # the next look tries again, or gives up
            launch.status.notice(f"The web UI was not restarted and keeps running as before: {what}", about="again")
        step.done("running")
        launch.be_ready()
