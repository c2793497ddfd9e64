"""What is done once the web UI runs, and looked after meanwhile: its process, Drive, the link, an unused machine."""

import errno
import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from launcher.core.folder import GB, free_bytes, largest_files
from launcher.core.problem import Problem
from launcher.core.status import FAILED, Button, State, Step
from launcher.drive.find import Remembered
from launcher.drive.linked import link_new_models
from launcher.drive.mount import FULL, connect_drive, drive_is_mounted, is_drives_fault
from launcher.launch import start
from launcher.launch.launch import Launch
from launcher.launch.steps import STOPPED_NOTE, Failed
from launcher.launch.stop import give_back_unused
from launcher.models.catalog import CHECKPOINT_NAMES
from launcher.models.checksums import sync_checksums
from launcher.models.companions import complete_checkpoints
from launcher.models.ensure import broken_models
from launcher.models.remote import Offered
from launcher.python.bytecode import keep_bytecode
from launcher.source.checkout import keep_edits_on_drive

WATCH_EVERY: Final = 0.5  # seconds between two looks at the web UI
DRIVE_LOOKS: Final = 10  # Drive is looked at once in so many looks
LINK_LOOKS: Final = 120  # the same of the link, and of the room on Drive
RESTARTS_ALLOWED: Final = 3
RESTARTS_WITHIN: Final = 1200.0  # seconds; a start with a large model may take minutes
HOW_TO_CONNECT: Final = "disconnected; new files wait on this machine until you press Connect Google Drive below"
WATCHING: Final = "looking after the web UI"
CONNECTING: Final = "connecting Google Drive"
MEASURING: Final = "looking how much room Google Drive has"
DRIVE_PAUSE: Final = 5.0  # seconds after which a Drive that was away is tried again
FIRST_IMAGE: Final = 60.0  # seconds after which what an image needs has probably been imported, too
AFTER_FAILURE: Final = (Button.RESTART, Button.STOP)
MOST_MODELS_OFFERED: Final = 3


def watch(launch: Launch) -> None:
    """Restart a web UI that died or should, and look after Drive, the link and the machine, until nobody needs it.

    After a start that failed there is only the machine to look after; a web UI that gave up can be started again.
    """
    status, step, restarts = launch.status, launch.steps.of("webui"), list[float]()
    launch.used_at, tunneled = time.monotonic(), False

    def look_after(look: int) -> None:
        nonlocal restarts, tunneled
        check_painting(launch)
        asked = launch.restart_wanted.is_set() or launch.webui.ended_to_restart
        died = not launch.webui.running and status.now.state != State.FAILED
        if look % DRIVE_LOOKS == 0 or asked or died:  # a start needs Drive, and may have failed for want of it
            check_drive(launch, measure=look % LINK_LOOKS == 0)
        had_tunnel, tunneled = tunneled, launch.public_link.tunnel.running
        if look % LINK_LOOKS == LINK_LOOKS - 1 or (had_tunnel and not tunneled):
            launch.begin_beside("checking the link", lambda: check_link(launch))
        if launch.drive_away:  # it waits, and does not count as one that failed
            if asked or died:
                step.say("it starts again once Google Drive is connected")
        elif asked:
            launch.restart_wanted.clear()
            launch.webui.restart_file.unlink(missing_ok=True)
            restarts = []
            start_again(launch, "restarting, as you asked")
            launch.used_at = time.monotonic()
        elif died:
            problem = launch.webui.why_it_ended()
            restarts = [t for t in restarts if time.monotonic() - t < RESTARTS_WITHIN] + [time.monotonic()]
            if len(restarts) > RESTARTS_ALLOWED:
                launch.session.lead_to(port=0)
                step.fail(problem)
                status.show(state=State.FAILED, login_box=None, foot="", buttons=AFTER_FAILURE)
            else:
                status.notice(f"The web UI was restarted ({time.strftime('%H:%M %Z')}): {problem.what}", about="again")
                start_again(launch, "starting again")

    pause = WATCH_EVERY
    for look in itertools.count():
        if launch.ended.wait(pause):
            return
        if is_unused(launch):
            give_back_unused(launch)
            return
        pause = DRIVE_PAUSE  # after a look that fails
        with launch.steps.beside(WATCHING):
            if not launch.over.is_set():
                look_after(look)
                status.notice(None, about=WATCHING)
            pause = WATCH_EVERY


def start_again(launch: Launch, note: str) -> None:
    """Start the web UI anew, behind the same link. The one before answers until everything for the next is ready."""
    checkpoint, step = launch.checkpoint or launch.webui.chosen_checkpoint, launch.steps.of("webui")
    if not launch.webui.running:
        launch.session.lead_to(port=0)
    launch.status.show(state=State.RESTARTING)
    step.begin(note)
    if launch.public_link.another_wanted:
        reopen_link(launch, "opening the link that was chosen", partial(launch.public_link.open, True))
    with launch.steps.beside("looking for new models"):
        link_new_models(launch.folder)
    with launch.steps.beside("restarting the web UI"):
        try:
            start.start_web_ui(launch, checkpoint)
        except (Problem, Failed) as problem:
            what = problem.what if isinstance(problem, Problem) else STOPPED_NOTE
            step.say(what)
            if not launch.webui.running:
                return  # the next look tries again, or gives up
            launch.status.notice(f"The web UI was not restarted and keeps running as before: {what}", about="again")
        step.done("running")
        launch.be_ready()


def is_unused(launch: Launch) -> bool:
    """True if nobody has used the web UI for as long as was chosen. Batches and downloads go on alone."""
    if launch.given_back_in <= 0 and (launch.adds() or launch.webui.at_work):
        launch.used_at = time.monotonic()
    return launch.given_back_in <= 0


def check_drive(launch: Launch, measure: bool) -> None:
    """Have a Drive that was disconnected connected again, say when it is full or stuck, and if asked how much it still
    takes. Never waits.

    Whoever is there is asked once, for Google's dialog holds up its notebook; afterwards there is a button.
    """
    if launch.does(CONNECTING):
        return
    if drive_is_mounted(launch.machine):
        if launch.drive_away:
            drive_is_back(launch)
        say_how_drive_is(launch)
        if measure and launch.machine.mountpoint:
            launch.begin_beside(MEASURING, lambda: measure_drive(launch))
    elif not launch.drive_away:
        launch.drive_away = True
        launch.steps.of("drive").begin("Google Drive was disconnected; new files wait on this machine")
        launch.status.offer(Button.CONNECT, True)
        reconnect_drive(launch)


def measure_drive(launch: Launch) -> None:
    """Show how much it still takes. A Drive that hangs keeps only this waiting."""
    launch.status.fact("Free on Google Drive", f"{free_bytes(launch.folder.kept) / GB:.1f} GB")
    launch.status.notice(None, about=MEASURING)  # it may have failed before


def say_how_drive_is(launch: Launch) -> None:
    """Say that it is full, once until everything is kept again (the folder on Drive is walked for it); that the folder
    is not where it was; and that it does not answer.
    """
    sync, say = launch.sync, launch.status.notice
    if not sync.waiting:
        launch.full_said = False
        say(None, about="full")
    elif sync.full and not launch.full_said:
        launch.full_said = True
        say(
            f"Google Drive is full: {sync.waiting_bytes / GB:.2f} GB of new files wait on this machine, and are lost "
            "when it goes away. Delete what you do not need and empty Drive's trash; the files are then saved by "
            f"themselves. The largest files in your folder: {largest_files(sync.drive_dir)}.",
            about="full",
        )
    what = f"{launch.machine.in_words(launch.folder.kept)} is not there any more: it was renamed, moved or deleted."
    do = "New files wait on this machine. Give the folder its old name and place again, and they are saved."
    say(f"{what} {do}" if sync.trouble == errno.ENOENT else None, about="gone")
    stuck = f"Google Drive has not answered for {sync.silent / 60:.0f} minutes: new files wait on this machine."
    do = "Download what you want to keep before you stop."
    say(f"{stuck} {do}" if sync.hangs else None, about="stuck")


def reconnect_drive(launch: Launch) -> None:
    """Ask the person to connect Drive, in a thread of its own."""

    def connect() -> None:
        step = launch.steps.of("drive")
        step.say("Google asks for your permission again, in the tab in which you pressed ▶")
        try:
            connect_drive(launch.machine, launch.ask, step.notice)
            drive_is_back(launch)
        except Problem as problem:
            step.notice(f"{problem.what} {problem.do}", about="drive")
            step.say(HOW_TO_CONNECT)

    launch.begin_beside(CONNECTING, connect)


def drive_is_back(launch: Launch) -> None:
    launch.drive_away = False
    launch.status.offer(Button.CONNECT, False)
    launch.status.notice(None, about="drive")
    where = launch.machine.in_words(launch.folder.kept)
    launch.steps.of("drive").done(f"{where}, connected again at {time.strftime('%H:%M %Z')}")


def check_link(launch: Launch) -> None:
    """Open the link again when it does not answer."""
    link = launch.public_link
    if not link.answers() and not launch.over.is_set():
        reopen_link(launch, "the link does not answer; opening it again", link.open_again)


def reopen_link(launch: Launch, why: str, reopen: Callable[[Step], str]) -> None:
    """What runs goes on without a link where none can be had."""
    step = launch.steps.of("link")
    step.begin(why)
    try:
        step.done(reopen(step))
        if launch.status.now.state == State.READY:
            launch.be_ready()
    except Problem as problem:
        step.fail(problem)


# ---- can an image be painted?


def check_painting(launch: Launch) -> None:
    """Show what the web UI's log says: whether it can paint, why not, and what helps. In place of a model that does not
    load others in the folder are offered, else the usual one.
    """
    says, status, row = launch.webui.says.read(), launch.status, launch.steps.of("model")
    if status.now.state != State.READY:
        return
    status.show(title=says.headline, can_paint=says.paints)
    lost = says.model if says.model and not says.model.paints else None
    failed = next((one.problem for one in status.now.steps if one.name == row.name and one.state == FAILED), None)
    if lost and failed != lost.problem.what:
        offered: tuple[tuple[str, str], ...] = ()
        if lost.known.another:
            there = [path.name for path in launch.folder.checkpoints() if path.name != lost.file][:MOST_MODELS_OFFERED]
            usual = (f"Download {CHECKPOINT_NAMES[0]}", CHECKPOINT_NAMES[0])
            offered = tuple((f"Use {name}", name) for name in there) or (usual,)
        row.fail(Offered(lost.problem.what, lost.problem.do, offered))
    elif failed and says.loaded:
        row.done(says.file or "")
    for about, fault in (("model", says.model if not lost else None), ("image", says.image), ("lora", says.lora)):
        status.notice(f"{fault.problem.what} {fault.problem.do}" if fault else None, about=about)


# ---- once, beside it


def do_afterwards(launch: Launch) -> None:
    """Keep a person's changes in an old folder, name what is broken, bring what models need."""
    folder, fetcher = launch.folder, launch.fetcher(launch.steps.of("model"), launch.ask)
    while_drive_is_there(launch, "looking through your folder", lambda: _look_through_folder(launch))
    while_drive_is_there(launch, "bringing what goes with your models", lambda: complete_checkpoints(fetcher))
    if launch.webui.wait_for_model(launch.over):
        while_drive_is_there(launch, "saving the checksums of your models", lambda: sync_checksums(folder))
    if not launch.over.wait(FIRST_IMAGE):
        packages = start.packages_of(folder)
        while_drive_is_there(launch, "saving bytecode", lambda: keep_bytecode(folder, packages))


def begin_on_drive(launch: Launch, what: str, work: Callable[[], None]) -> None:
    """Do it in a thread of its own, as soon as Drive takes it."""
    launch.begin_beside(what, lambda: while_drive_is_there(launch, what, work))


def while_drive_is_there(launch: Launch, what: str, work: Callable[[], None]) -> None:
    """Do it; a Drive that is away meanwhile is waited for: the watch says so, and asks for it."""
    with launch.steps.beside(what):
        while True:
            try:
                work()
                return
            except OSError as error:
                away = error.errno not in FULL and is_drives_fault(error, launch.folder.kept)
                if not away or launch.over.wait(DRIVE_PAUSE):
                    raise


def _look_through_folder(launch: Launch) -> None:
    folder, say = launch.folder, launch.status.notice
    keep_edits_on_drive(folder, launch.steps.of("source"))
    if dead := folder.dead_shortcuts():
        say(f"These shortcuts on your Drive point to nothing and were skipped: {', '.join(dead)}.")
    looked, broken = broken_models(folder, set(Remembered.read(folder.kept).looked_at))
    if broken:
        named = "; ".join(f"{name} ({fault})" for name, fault in broken.items())
        say(
            f"Damaged files in your folder: {named}. Nothing was changed. Delete them on Google Drive, or download "
            "them again."
        )
    Remembered.write(folder.kept, looked_at=sorted(looked))
