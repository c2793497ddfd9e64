"""One launch: what it was asked to be, and what it works with."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Final

from launcher.access.auth import USER
from launcher.access.link import PublicLink
from launcher.access.pages import OWN_PAGES
from launcher.colab.machine import Machine
from launcher.core.fields import Settings
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.session import Session, read_object, write_object
from launcher.core.snapshot import Button, LoginBox, Snapshot, State
from launcher.core.status import Status, Step
from launcher.drive.sync import Sync
from launcher.launch.steps import STEPS, Steps
from launcher.models.fetch import Fetcher
from launcher.models.pasted import without_secrets
from launcher.source.versions import Tries
from launcher.webui.outputs import OutputFolders
from launcher.webui.process import WebUI

SEED_FOLDER: Final = "stable-diffusion-webui"  # below drive_folder, as the launchers before this one had it
KEEP_OPEN: Final = "Leave this page open; you can do something else meanwhile."
READY: Final = "■ closes this panel; the web UI keeps running. **Stop everything** ends it."

Ask = Callable[..., dict[str, Any]]


class Launch:
    """Made of the settings; nothing runs yet: `story.begin` begins it.

    `ask` puts a question to the person who looks at the launch; `somebody` says whether there is one. What a launch
    `before` keeps on Drive is kept on by this one if it is the same folder.
    """

    tries: Tries  # the versions of A1111 it may use, once they are chosen

    def __init__(
        self,
        settings: Settings,
        machine: Machine,
        status: Status,
        ask: Ask,
        somebody: Callable[[], bool],
        before: "Launch | None" = None,
    ) -> None:
        self.settings, self.status, self.ask, self.somebody = settings, status, ask, somebody
        self.machine = machine if settings.uses_drive else replace(machine, mountpoint=None)
        kept = self.machine.drive / settings.drive_folder / SEED_FOLDER
        self.folder = Folder(kept, machine.disk, settings.models_on_drive or not self.machine.mountpoint)
        self.session = Session(self.folder.session)
        self.over = threading.Event()  # what is underway should end; what runs outside stays
        self.ended = threading.Event()  # nobody needs this launch any more
        self.restart_wanted = threading.Event()
        self.thread: threading.Thread | None = None
        self._threads: dict[str, threading.Thread] = {}
        self.variables: dict[str, str] = {}  # of the kernel that asked for it
        self.steps = Steps(status, self.session.log, self.over)
        self.webui = WebUI(self.folder)
        self.public_link = PublicLink(self.folder, machine, settings.link, self._colabs_link)
        self.outputs = OutputFolders(self.folder.code, self.folder.data, kept, status.notice)
        self.sync = Sync(
            self.folder.data,
            kept,
            lambda line: status.show(kept=line),
            say=status.notice,
            elsewhere=self.outputs.elsewhere,
        )
        if before and before.sync.running and before.folder == self.folder:
            self.sync, self.outputs = before.sync, before.outputs
        self.drive_away = False  # it was disconnected while the web UI runs
        self.full_said = False  # that Drive is full
        self.tunneled = False  # the link had a tunnel that ran when it was looked at last
        self.used_at = time.time()  # when somebody used the web UI last
        self.stays_until = 0.0  # a person wants the machine until then, used or not: time.time()
        self.start_noted = True  # False: a version has started, and Drive does not know it yet

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
            )
        return str(response["url"])

    @property
    def given_back_at(self) -> float:
        """When the machine is given back if nobody uses the web UI from now on; 0.0: never."""
        minutes = self.settings.give_back_after
        return max(self.used_at + minutes * 60, self.stays_until) if minutes else 0.0

    def whole(self, status: Snapshot) -> Snapshot:
        """The status with what changes by itself: files to be saved, and when the machine is given back."""
        if status.state in (State.IDLE, State.OFF):
            return status
        gives_back = self.machine.colab and Button.STOP in status.buttons
        buttons = (*status.buttons, Button.GIVE_BACK) if gives_back else status.buttons
        return replace(status, buttons=buttons, unsaved=self.sync.unkept, given_back_at=self.given_back_at)

    def begin_beside(self, what: str, work: Callable[[], object]) -> None:
        """Do it in a thread of its own, unless that is being done already; what goes wrong is said."""

        def run() -> None:
            with self.steps.beside(what):
                work()

        if not self.does(what):
            self._threads[what] = threading.Thread(target=run, name=what, daemon=True)
            self._threads[what].start()

    def does(self, what: str) -> bool:
        return what in self._threads and self._threads[what].is_alive()

    def prepare(self) -> None:
        """Note what is launched: whoever comes after this service goes by it."""
        self.session.prepare()
        self.note(variables=self.variables)
        images = (self.folder.data / "outputs", self.folder.data / "log" / "images")
        self.session.lead_to(api=self.settings.api, images=[str(path) for path in images])
        for name, title in STEPS:
            self.status.add(name, title if self.machine.mountpoint or name != "drive" else "Your folder")
        self.status.show(foot=KEEP_OPEN)
        self.status.fact("Machine", self.machine.described)

    def choose(self, settings: Settings) -> None:
        """Other choices for what runs; what its start goes by takes effect at the next one."""
        self.settings, self.public_link.wanted = settings, settings.link
        self.session.lead_to(api=settings.api)
        self.note()

    def finish(self) -> None:
        """Nothing of it begins any more; what runs goes on."""
        self.over.set()
        self.ended.set()

    def note(self, **what: Any) -> None:
        """Note its settings and this in the session."""
        settings = asdict(self.settings) | {"checkpoint": without_secrets(self.settings.checkpoint)}
        found = read_object(self.session.launch_file) | {"settings": settings} | what
        write_object(self.session.launch_file, found)

    def be_ready(self) -> None:
        """The web UI answers: show the way in, and the buttons."""
        self.session.lead_to(port=self.webui.port)
        before = self.status.now.login_box
        seconds = before.seconds if before else time.time() - self.status.now.started
        where, images = self.machine.in_words(self.folder.kept / "outputs"), ""
        if self.machine.colab and not self.machine.mountpoint:
            where, images = "on this machine only", f"{self.public_link.url}{OWN_PAGES}images.zip"
        box = LoginBox(self.public_link.url, USER, self.public_link.login.password, where, seconds, images)
        buttons = (Button.RESTART, Button.STOP, *((Button.CONNECT,) if self.drive_away else ()))
        with self.status.changes:
            if not self.ended.is_set():
                self.status.show(state=State.READY, login_box=box, buttons=buttons, foot=READY)
