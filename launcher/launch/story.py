"""The story of a launch, from ▶ to its end: what waits for what, and what goes on side by side."""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Final

import requests
from packaging.version import Version

from launcher import BRANCH, COLAB_LINK, OWNER, REPOSITORY, __version__
from launcher.core.fields import AS_LAST_TIME, DEFAULT_CHECKPOINT, LAST_GOOD, NEWEST
from launcher.core.problem import Problem
from launcher.core.session import read_object
from launcher.core.status import HELP, UNDERWAY, State, Status
from launcher.drive.find import models_elsewhere
from launcher.drive.linked import join_models, link_models, link_new_models
from launcher.drive.mount import connect_drive, drive_is_mounted
from launcher.drive.restore import show_earlier_images
from launcher.extensions.extension import put_extensions
from launcher.launch import start
from launcher.launch.card import LOOKING, look_for_card
from launcher.launch.launch import Launch
from launcher.launch.remember import may_be_kept, settings_of
from launcher.launch.steps import STEPS, Failed
from launcher.launch.stop import end_the_one_before
from launcher.launch.watch import AFTER_FAILURE, begin_on_drive, do_afterwards, watch
from launcher.models.ensure import ensure_checkpoint, read_ahead
from launcher.python.bytecode import put_bytecode, unpack_bytecode
from launcher.python.environment import read_finished
from launcher.python.lock import LOCKED_COMMIT, LOCKED_PACKAGES
from launcher.source.git import answer
from launcher.source.versions import Stage, newest_commit, versions_to_try
from launcher.webui.process import check_arguments

IN_USE: Final = "in use by the running web UI"
GITHUB_PATIENCE: Final = 10.0  # seconds
LONGEST_MODULE: Final = 20_000  # bytes of what GitHub is asked for
STATED_VERSION: Final = re.compile(r'^__version__ = "(\d{1,4}(?:\.\d{1,4}){1,3})"', re.MULTILINE)


def begin(launch: Launch, before: Launch | None, *, anew: bool = False, take_up: bool = False) -> None:
    """Run it in a thread of its own. The launch `before` is let go first, or with `anew` its web UI is ended.

    `take_up`: there is a web UI that runs with these settings already.
    """
    with launch.status.changes:  # nothing of the one before shows itself from now on
        if before:
            before.finish()
        if before and launch.status.now.state in UNDERWAY:
            launch.status.show(state=State.STARTING, login_box=None, buttons=())
        else:
            launch.status.clear(State.STARTING)
    launch.thread = threading.Thread(target=_run, args=(launch, before, anew, take_up), name="launch", daemon=True)
    launch.thread.start()


def _run(launch: Launch, before: Launch | None, anew: bool, take_up: bool) -> None:
    status = launch.status
    try:
        if before:
            end_the_one_before(before, launch, anew)
        launch.prepare()
        launch.begin_beside(LOOKING, lambda: look_for_card(launch))
        if launch.machine.keeps_nothing:
            chosen = "on Google Drive, as you chose" if launch.machine.colab else "elsewhere"
            status.notice(
                f"Nothing is kept {chosen}: models, images and settings are lost when this machine goes away. Download "
                "your images before you stop."
            )
        launch.begin_beside("looking for a newer launcher", lambda: say_if_newer(status))
        _take_up(launch) if take_up else _story(launch)
        launch.be_ready()
        launch.begin_beside("bringing what your models need", lambda: do_afterwards(launch))
    except Failed:
        pass  # its step has said so
    except Exception as error:
        status.add(*STEPS[-1])  # there may be no rows yet
        launch.steps.of("webui").fail(launch.steps.problem(error))
    with status.changes:
        if status.now.state == State.STARTING and not launch.ended.is_set():
            status.show(state=State.FAILED, foot="", buttons=AFTER_FAILURE)
    watch(launch)


def _story(launch: Launch) -> None:
    """Everything up to a web UI that runs. Raises `Failed`."""
    if launch.webui.ready:
        launch.session.lead_to(port=launch.webui.port)
    with ThreadPoolExecutor(len(STEPS) + 2) as pool:  # each task below has a thread of its own
        wanted = launch.settings.version == NEWEST and not launch.webui.running
        newest = pool.submit(lambda: newest_commit() if wanted else None)
        drive = pool.submit(_drive, launch)
        link = pool.submit(_link, launch, () if "link" in launch.choices else (drive,))
        source = pool.submit(_source, launch, drive, newest)
        extensions = pool.submit(_extensions, launch, source)
        bytecode = pool.submit(_bytecode, launch, drive)
        python = pool.submit(_python, launch, newest, source, bytecode)
        model = pool.submit(_model, launch, drive)
        webui = pool.submit(_webui, launch, extensions, python, model)
        tasks: tuple[Future[Any], ...] = (drive, source, extensions, python, model, link, webui)
        if any(task.exception() for task in wait(tasks, return_when=FIRST_EXCEPTION).done):
            launch.over.set()  # the others stop at once; what is fetched stays
            launch.status.show(title=HELP, foot="")
    for task in tasks:
        task.result()
    remember(launch)  # only now: with what was chosen it starts


def _take_up(launch: Launch) -> None:
    """A web UI that runs already, with what it was started with: keep its images, and find the way in again."""
    launch.take_place_noted()
    launch.announce()
    launch.sync.start()  # whatever comes: its images are kept
    for name in ("source", "python", "model", "extensions"):
        launch.steps.of(name).done(IN_USE)
    if drive_is_mounted(launch.machine):
        launch.steps.of("drive").done(launch.machine.in_words(launch.folder.kept))
    _link(launch, ())
    with launch.steps.step("webui", "already running") as step:
        start.wait_until_ready(launch)
        launch.status.fact("AUTOMATIC1111", str(read_object(launch.session.launch_file).get("version", "")))
        step.done("running")


def say_if_newer(status: Status) -> None:
    """Say if the badge opens a newer version: who opens a copy of the notebook never learns of it otherwise.

    Whoever has git look for GitHub elsewhere (`insteadOf`: a mirror) has it looked for there. Nothing of the answer is
    believed but a number, and nothing is said where none comes.
    """
    home = f"https://github.com/{OWNER}/{REPOSITORY}"
    address = f"{answer('ls-remote', '--get-url', '--', home) or home}/raw/{BRANCH}/launcher/__init__.py"
    try:
        with requests.get(address, stream=True, timeout=GITHUB_PATIENCE) as response:
            response.raise_for_status()
            text = next(response.iter_content(LONGEST_MODULE), b"").decode(errors="replace")
    except requests.RequestException:
        return
    found = STATED_VERSION.search(text)
    if found and Version(found[1]) > Version(__version__):
        status.notice(f"Version {found[1]} of the launcher is there; this one is {__version__}. Open it: {COLAB_LINK}")


# ---- its tasks


def _link(launch: Launch, after: "Sequence[Future[None]]") -> None:
    with launch.steps.step("link", "starting the login page", after) as step:
        step.done(_as_last_time(launch, "link", lambda: launch.public_link.open(launch.webui.running, step)))


def _drive(launch: Launch) -> None:
    with launch.steps.step("drive", "looking for your folder") as step:
        if launch.machine.mountpoint:
            step.say("waiting for your permission: Google asks for it in the tab in which you pressed ▶")
        connect_drive(launch.machine, launch.ask, step.notice)
        step.say("looking for your folder")
        launch.settle()
        launch.announce()
        launch.folder.prepare()
        if name := launch.models_named:
            join_models(launch.folder.kept, name)
            step.notice(
                f"{name} on your Drive has only models in it: they are used where they are, and everything else is "
                f"kept in {launch.settings.drive_folder}."
            )
        restored = launch.sync.restore()
        launch.sync.start()
        where = launch.machine.in_words(launch.folder.kept)
        step.done(where + (f", {restored} settings files restored" if restored else ""))


def _as_last_time(launch: Launch, name: str, work: Callable[[], Any]) -> Any:
    """Do what hangs on a choice. One that was made another day, and cannot be any more, ends no launch."""
    try:
        return work()
    except Problem as problem:
        if name in launch.asked or getattr(launch.settings, name) == getattr(settings_of({}), name):
            raise
        launch.leave_out(name)
        launch.status.notice(f"{problem.what} So **{name}** is not as you chose it last time.")
        return work()


def remember(launch: Launch) -> None:
    if launch.settled:
        begin_on_drive(launch, "saving your choices", launch.save_choices)


def _source(launch: Launch, drive: "Future[None]", newest: "Future[str | None]") -> None:
    with launch.steps.step("source", after=[drive]) as step:
        running, folder, known = launch.webui.running, launch.folder, newest.result()
        launch.tries = _as_last_time(
            launch,
            "version",
            lambda: versions_to_try(folder, LAST_GOOD if running else launch.settings.version, step, known),
        )
        if running:
            step.done(IN_USE)
            return
        start.reach(launch, Stage.SOURCE, step)
        step.done(f"version {start.version_of(launch)}")


def _extensions(launch: Launch, source: "Future[None]") -> None:
    """Their files, while packages are fetched; what they install themselves comes with the start of the web UI."""
    if launch.webui.running:
        return
    with launch.steps.step("extensions", after=[source]) as step:
        folder = launch.folder
        put_extensions(folder, step)
        check = partial(check_arguments, folder.code, folder.data)
        _as_last_time(launch, "extra_arguments", lambda: check(launch.settings.extra_arguments))
        step.reset()


def _bytecode(launch: Launch, drive: "Future[None]") -> None:
    """Unpack it while the packages are fetched: they take longer than Drive does."""
    drive.result()
    if not read_finished(launch.folder):
        with launch.steps.beside("unpacking bytecode"):
            unpack_bytecode(launch.folder, launch.status.notice)


def _python(launch: Launch, newest: "Future[str | None]", source: "Future[None]", bytecode: "Future[None]") -> None:
    with launch.steps.step("python", "waiting for AUTOMATIC1111's list of packages") as step:
        before = read_finished(launch.folder)
        if newest.result() == LOCKED_COMMIT:
            # GitHub says in a second whether it has the version the lock is for: then Drive need not be waited for.
            try:
                start.install_packages(launch, list(LOCKED_PACKAGES))
            except Problem as problem:  # it is tried again below, where another version may take its place
                step.say(f"waiting for AUTOMATIC1111's source, after: {problem.what}")
        source.result()
        if launch.webui.running:
            step.done(IN_USE)
            return
        start.reach(launch, Stage.PACKAGES, step)
        bytecode.result()
        put_bytecode(launch.folder)
        same = ", already there" if before == read_finished(launch.folder) else ""
        step.done(f"{len(start.packages_of(launch.folder))} packages{same}")


def _model(launch: Launch, drive: "Future[None]") -> str:
    """The checkpoint that was asked for; else any that is there, and where there is none, that of last time."""
    with launch.steps.step("model", "looking for your models", [drive]) as step:
        folder, asked, wanted = launch.folder, "checkpoint" in launch.asked, launch.settings.checkpoint
        link_models(folder, step.notice)
        alone = not asked and not folder.checkpoints() and launch.machine.mountpoint
        if names := models_elsewhere(folder.drive, folder.kept) if alone else ():
            step.notice(
                f"There are models on your Drive in {' and '.join(names)}. To use them where they are, write "
                f"{names[0]} into the box **Add a model, ControlNet or an extension**."
            )
        known = DEFAULT_CHECKPOINT if wanted == AS_LAST_TIME else wanted
        again = known == wanted and not folder.models_kept  # models are fetched anew on each machine
        if asked and again and not may_be_kept("checkpoint", wanted):
            step.notice(
                "Paste the link of your checkpoint again next time: models are not kept on your Drive, nor are links."
            )
        name = ensure_checkpoint(launch.fetcher(step, launch.ask), known, "" if asked or again else known)
        link_new_models(folder)
        path = next((path for path in folder.checkpoints() if path.name == name), None)
        if path and not launch.webui.running:
            launch.begin_beside("reading the checkpoint ahead", lambda: read_ahead(path, launch.over.is_set))
        step.done(name)
        return name


def _webui(launch: Launch, extensions: "Future[None]", python: "Future[None]", model: "Future[str]") -> None:
    with launch.steps.step("webui", after=[extensions, python, model]) as step:
        checkpoint = model.result()
        if launch.webui.started_with(start.plan_of(launch, checkpoint)):
            step.say("already running")
            launch.steps.of("extensions").done(IN_USE)
            start.wait_until_ready(launch)
            start.show_models(launch)
            if "checkpoint" in launch.asked:
                start.use_model(launch, checkpoint)
        else:
            look = partial(show_earlier_images, launch.folder.data, launch.folder.kept, step.notice, launch.over.is_set)
            launch.begin_beside("showing the images of earlier days", look)
            start.reach(launch, Stage.START, step, checkpoint)
            begin_on_drive(launch, "noting the version that works", lambda: start.note_what_started(launch))
        launch.status.fact("AUTOMATIC1111", start.version_of(launch))
        launch.note(version=start.version_of(launch))
        step.done("running")
