"""A launch: what it works with, and its story: what waits for what, and what goes on side by side."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from launcher.access.login import USER
from launcher.access.pages import OWN_PAGES
from launcher.access.public_link import PublicLink
from launcher.colab.machine import Machine
from launcher.core.fields import DEFAULT_CHECKPOINT, NEWEST
from launcher.core.folder import Folder, write_safely
from launcher.core.problem import Problem
from launcher.core.session import PRIVATE, Session, read_object
from launcher.core.settings import Settings
from launcher.core.snapshot import HELP, Button, LoginBox, State
from launcher.core.status import Status, Step
from launcher.drive.mirror import Mirror
from launcher.drive.mount import connect_drive, drive_is_mounted
from launcher.extensions.files import put_extensions
from launcher.launch.start_web_ui import WebUIStart
from launcher.launch.steps import STEPS, Failed, Steps, finished
from launcher.launch.watch import DriveWatch, UseWatch
from launcher.models.ensure import ensure_checkpoint
from launcher.models.fetcher import Fetcher
from launcher.models.pasted import without_secrets
from launcher.models.taken_over import read_ahead
from launcher.python.bytecode import put_bytecode, unpack_bytecode
from launcher.python.environment import read_finished
from launcher.python.pins import LOCKED_COMMIT, LOCKED_PACKAGES
from launcher.source.webui import newest_commit
from launcher.webui.arguments import check_arguments

SEED_FOLDER: Final = "stable-diffusion-webui"  # below drive_folder, as the launchers before this one had it
UNDERWAY: Final = "Leave this page open; you can do something else meanwhile."
READY: Final = "■ closes this panel; the web UI keeps running. **Stop everything** ends it."
IN_USE: Final = "in use by the running web UI"

Ask = Callable[..., dict[str, Any]]


class Launch:
    """Made of the settings; nothing runs yet. `launch.run` begins it, and watches over what it has started.

    `ask` puts a question to the person who looks at the launch; `somebody` says whether there is one. What a launch
    `before` keeps on Drive is kept on by this one if it is the same folder.
    """

    def __init__(
        self,
        settings: Settings,
        machine: Machine,
        status: Status,
        ask: Ask,
        somebody: Callable[[], bool],
        before: "Launch | None" = None,
    ) -> None:
        self.settings, self.status, self.ask = settings, status, ask
        self.machine = machine if settings.uses_drive else machine.without_drive()
        kept = self.machine.drive / settings.drive_folder / SEED_FOLDER
        self.folder = Folder(kept, machine.disk, settings.models_on_drive or not self.machine.mountpoint)
        self.session = Session(self.folder.session)
        self.over = threading.Event()  # what is underway should end; what runs outside stays
        self.ended = threading.Event()  # nobody needs this launch any more
        self.restart_wanted = threading.Event()
        self.thread: threading.Thread | None = None
        self.variables: dict[str, str] = {}  # of the kernel that asked for it
        self.steps = Steps(status, self.session.log, self.over)
        self.starter = WebUIStart(settings, self.machine, self.folder, self.steps)
        self.webui = self.starter.webui
        self.public_link = PublicLink(self.folder, machine, settings.link, self._colabs_link)
        self.sync = Mirror(
            self.folder.data,
            kept,
            lambda line: status.show(kept=line),
            say=status.notice,
            elsewhere=self.starter.outputs.look,
        )
        if before and before.sync.running and before.folder == self.folder:
            self.sync, self.starter.outputs = before.sync, before.starter.outputs
        self.drive_watch = DriveWatch(self.steps, self.machine, ask, somebody, self.sync)
        self.use_watch = UseWatch(status, settings.give_back_after)
        self._files_there: Future[None] = Future()

    def fetcher(self, step: Step, ask: Ask) -> Fetcher:
        def ask_token(name: str, reason: str) -> str:
            return str(ask("token", name=name, reason=reason)["token"])

        on_drive = self.machine.mountpoint is not None and self.settings.models_on_drive
        return Fetcher(self.folder, "Google Drive" if on_drive else "the disk", ask_token, step)

    def _colabs_link(self, port: int) -> str:
        """Colab's own link; raises `Problem` where Colab gives none."""
        response = self.ask("proxy", port=port)
        if not response["url"]:
            why = f" ({response['error']})" if response.get("error") else ""
            raise Problem(
                f"Colab gave no link of its own{why}.",
                "Allow third-party cookies for colab.research.google.com and press ▶ again, or choose another link.",
                field="link",
            )
        return str(response["url"])

    @property
    def watched(self) -> bool:
        """True while there is a web UI, or one that gave up, which can be started again by `restart_wanted`."""
        return self.thread is not None and self.thread.is_alive() and not self.over.is_set()

    # ---- what is noted, and where the door may lead

    def prepare(self) -> None:
        """Note what is launched: whoever comes after this service goes by it."""
        self.session.prepare()
        self.note(settings=self._noted_settings(), variables=self.variables)
        places = (self.folder.data / "outputs", self.folder.data / "log" / "images")
        self.session.lead_to(api=self.settings.api, images=[str(place) for place in places])
        for name, title in STEPS:
            self.status.add(name, title if self.machine.mountpoint or name != "drive" else "Your folder")
        self.status.show(foot=UNDERWAY)
        self.status.fact("Machine", self.machine.described)

    def choose(self, settings: Settings) -> None:
        """Other choices for what runs; what its start goes by takes effect at the next one."""
        self.settings = self.starter.settings = settings
        self.public_link.wanted, self.use_watch.minutes = settings.link, settings.give_back_after
        self.session.lead_to(api=settings.api)
        self.note(settings=self._noted_settings())

    def _noted_settings(self) -> dict[str, Any]:
        return asdict(self.settings) | {"checkpoint": without_secrets(self.settings.checkpoint)}

    def note(self, **what: Any) -> None:
        found = read_object(self.session.launch_file)
        write_safely(self.session.launch_file, json.dumps(found | what), PRIVATE)

    def be_ready(self) -> None:
        """The web UI answers: show the way in, and the buttons."""
        self.session.lead_to(port=self.webui.port)
        before = self.status.now.login_box
        seconds = before.seconds if before else time.time() - self.status.now.started
        where, images = self.machine.in_words(self.folder.kept / "outputs"), ""
        if self.machine.colab and not self.machine.mountpoint:
            where, images = "on this machine only", f"{self.public_link.url}{OWN_PAGES}images.zip"
        box = LoginBox(self.public_link.url, USER, self.public_link.login.password, where, seconds, images)
        buttons = (Button.RESTART, Button.STOP, *((Button.CONNECT,) if self.drive_watch.away else ()))
        with self.status.changes:
            if not self.ended.is_set():
                self.status.show(state=State.READY, login_box=box, buttons=buttons, foot=READY)

    # ---- the story

    def story(self) -> None:
        """Everything up to a web UI that runs. Raises `Failed`."""
        self._say_what_machine()
        if self.webui.ready:
            self.session.lead_to(port=self.webui.port)
        with ThreadPoolExecutor(len(STEPS) + 1) as pool:  # each task below has a thread of its own
            newest = pool.submit(newest_commit) if self._wants_newest else finished(None)
            link = pool.submit(self._link)
            drive = pool.submit(self._drive)
            source = pool.submit(self._source, drive, newest)
            bytecode = pool.submit(self._bytecode, drive)
            python = pool.submit(self._python, newest, bytecode)
            model = pool.submit(self._model, drive)
            webui = pool.submit(self._webui, source, python, model)
            tasks: tuple[Future[Any], ...] = (drive, source, python, model, link, webui)
            if any(task.exception() for task in wait(tasks, return_when=FIRST_EXCEPTION).done):
                self.over.set()  # the others stop at once; what is fetched stays
                self.status.show(title=HELP, foot="")
        for task in tasks:
            task.result()
        self.be_ready()

    def take_up(self) -> None:
        """A web UI that runs already, with what it was started with: keep its images, and find the way in again."""
        self._say_what_machine()
        self.sync.start()  # whatever comes: its images are kept
        for name in ("source", "python", "model", "extensions"):
            self.steps.of(name).done(IN_USE)
        if drive_is_mounted(self.machine):
            self.steps.of("drive").done(self.machine.in_words(self.folder.kept))
        self._link()
        with self.steps.step("webui", "already running") as step:
            self.starter.wait()
            self.status.fact("AUTOMATIC1111", str(read_object(self.session.launch_file).get("version", "")))
            step.done("running")
        self.be_ready()

    @property
    def _wants_newest(self) -> bool:
        return self.settings.version == NEWEST and not self.webui.running

    def _say_what_machine(self) -> None:
        if not self.machine.gpu:
            change = " Choose **Runtime → Change runtime type → T4 GPU → Save** and press ▶."
            where = change if self.machine.colab else ""
            self.status.notice(f"This runtime has no graphics card: an image takes minutes instead of seconds.{where}")
        if self.machine.colab and not self.machine.mountpoint:
            self.status.notice(
                "Nothing is kept on Google Drive, as you chose: models, images and settings are lost when this "
                "machine goes away. Download your images before you stop."
            )

    def _drive(self) -> None:
        with self.steps.step("drive", "looking for your folder") as step:
            if self.machine.mountpoint:
                step.say("waiting for your permission: Google asks for it in the tab in which you pressed ▶")
            connect_drive(self.machine, self.ask)
            step.say("looking for your folder")
            if sentence := self.folder.prepare():
                step.notice(sentence)
            restored = self.sync.restore()
            self.sync.start()
            where = self.machine.in_words(self.folder.kept)
            step.done(where + (f", {restored} settings files restored" if restored else ""))

    def _source(self, drive: "Future[None]", newest: "Future[str | None]") -> None:
        try:
            with self.steps.step("source", "waiting for Google Drive", after=[drive]) as step:
                if self.webui.running:
                    self.starter.keep_version(step)
                    self._files_there.set_result(None)
                    step.done(IN_USE)
                    return
                self.starter.choose_version(newest.result(), step)
                self.starter.check_out_source(step)
                self._files_there.set_result(None)
                put_extensions(self.folder, step)
                check_arguments(self.folder.code, self.folder.data, self.settings.extra_arguments)
                step.done(f"version {self.starter.version}")
        finally:
            if not self._files_there.done():
                self._files_there.set_exception(Failed())

    def _bytecode(self, drive: "Future[None]") -> None:
        """Unpack it while the packages are fetched: they take longer than Drive does."""
        drive.result()
        if not read_finished(self.folder):
            with self.steps.beside("unpacking bytecode"):
                unpack_bytecode(self.folder)

    def _python(self, newest: "Future[str | None]", bytecode: "Future[None]") -> None:
        with self.steps.step("python", "waiting for AUTOMATIC1111's list of packages") as step:
            # GitHub says in a second whether it has the version the lock is for: then Drive need not be waited for.
            early = newest.result() == LOCKED_COMMIT and self._install_early(step)
            self._files_there.result()
            if self.webui.running:
                step.done(IN_USE)
                return
            packages, new = self.starter.install_packages(step)
            bytecode.result()
            put_bytecode(self.folder)
            self.starter.say_borrowed()
            step.done(f"{packages} packages" + ("" if new or early else ", already there"))

    def _install_early(self, step: Step) -> bool:
        try:
            return self.starter.install(list(LOCKED_PACKAGES))
        except Problem as problem:
            # It is tried again once the source is there; then another version may take its place.
            step.say(f"waiting for AUTOMATIC1111's source, after: {problem.what}")
            return False

    def _model(self, drive: "Future[None]") -> str:
        with self.steps.step("model", "waiting for Google Drive", after=[drive]) as step:
            name = ensure_checkpoint(self.fetcher(step, self.ask), self.settings.checkpoint, DEFAULT_CHECKPOINT)
            path = next((p for p in self.folder.checkpoints() if p.name == name), None)
            if path and not self.webui.running:
                threading.Thread(target=self._read_ahead, args=(path,), name="read ahead", daemon=True).start()
            step.done(name)
            return name

    def _read_ahead(self, checkpoint: Path) -> None:
        with self.steps.beside("reading the checkpoint ahead"):
            read_ahead(checkpoint, self.over.is_set)

    def _link(self) -> None:
        with self.steps.step("link", "starting the login page") as step:
            step.done(self.public_link.open(self.webui.running, step))

    def _webui(self, source: "Future[None]", python: "Future[None]", model: "Future[str]") -> None:
        with self.steps.step("webui", "waiting for the steps above", after=[source, python, model]) as step:
            plan = self.starter.plan(model.result())
            if self.webui.started_with(plan):
                step.say("already running")
                self.steps.of("extensions").done(IN_USE)
                self.starter.wait()
                self.starter.use_checkpoint(model.result())
            else:
                self.starter.start_some_version(plan)
            self.status.fact("AUTOMATIC1111", self.starter.version)
            self.note(version=self.starter.version)
            step.done("running")
