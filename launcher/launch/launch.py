"""One launch: what it was asked to be, and what it works with."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from launcher.access.auth import USER
from launcher.access.link import PublicLink
from launcher.access.pages import OWN_PAGES
from launcher.colab.machine import Machine
from launcher.core.fields import DEFAULTS, NOTHING, OWNED, USUAL_FOLDER, asked_in
from launcher.core.folder import WEBUI_FOLDER, Folder
from launcher.core.problem import Problem
from launcher.core.session import Session, read_object, write_object
from launcher.core.status import Button, LoginBox, Snapshot, State, Status, Step
from launcher.drive.find import Remembered, kept_folder
from launcher.drive.sync import Sync
from launcher.launch.remember import field_of, folder_of_last_time, note_use, settings_of, sound, to_remember
from launcher.launch.steps import STEPS, Steps
from launcher.models.fetch import Fetcher
from launcher.models.pasted import without_secrets
from launcher.source.versions import Tries
from launcher.webui.outputs import OutputFolders
from launcher.webui.process import WebUI

KEEP_OPEN: Final = "Leave this page open; you can do something else meanwhile."
STILL_THERE: Final = "Look here now and then: Colab may ask whether you are still there."
READY: Final = "■ closes this panel; the web UI keeps running. **Stop everything** ends it."

Ask = Callable[..., dict[str, Any]]


class Launch:
    """Made of what was chosen; nothing runs yet: `story.begin` begins it.

    Where that names no folder, `settle` finds it once Drive is there; until then the settings and the folder on Drive
    are a guess. `ask` puts a question to the person who looks at the launch; it raises `Problem` where there is none.
    What a launch `before` keeps on Drive is kept on by this one if it is the same folder.
    """

    tries: Tries  # the versions of A1111 it may use, once they are chosen
    outputs: OutputFolders
    sync: Sync

    def __init__(
        self,
        choices: dict[str, Any],
        machine: Machine,
        status: Status,
        ask: Ask,
        before: "Launch | None" = None,
        adds: Callable[[], bool] = lambda: False,
    ) -> None:
        self.choices, self.settings = asked_in(choices), settings_of(choices)
        self.asked = frozenset(self.choices)  # what was chosen now; what else it goes by is of last time
        self.status, self.ask, self.adds = status, ask, adds  # `adds`: is something being added beside it?
        self.machine = machine if self.settings.uses_drive else replace(machine, mountpoint=None)
        self.models_named: str | None = None  # a place on Drive, named in place of a folder, that has models only
        drive, name = self.machine.drive, self.settings.drive_folder
        named_so = before and name in ("", before.settings.drive_folder)
        same = before if before and named_so and before.folder.kept.is_relative_to(drive) else None
        self._names: set[str] = {name} | (same._names if same else set())  # so this folder was called
        self._live_in(self._folder_at(same.folder.kept if same else drive / (name or USUAL_FOLDER) / WEBUI_FOLDER))
        self.session = Session(self.folder.session)
        self.settled, self._settling = False, threading.Lock()
        self.to_save: dict[str, Any] = {}  # the choices that Drive shall keep
        self.over = threading.Event()  # what is underway should end; what runs outside stays
        self.ended = threading.Event()  # nobody needs this launch any more
        self.restart_wanted = threading.Event()
        self.another_version = False  # was chosen since: a restart begins anew for it
        self.stopping = threading.Lock()
        self.thread: threading.Thread | None = None
        self._threads: dict[str, threading.Thread] = {}
        self.steps = Steps(status, self.session.log, self.over)
        self.public_link = PublicLink(self.folder, machine, self.settings.link, self._colabs_link)
        if before and before.sync.running and before.folder == self.folder:
            self.sync, self.outputs = before.sync, before.outputs
        self.drive_away = False  # it was disconnected while the web UI runs
        self.forgets = False  # the folders of models that were used, too
        self.full_said = False  # that Drive is full
        self.used_at = time.monotonic()  # when somebody used the web UI last
        self.fetchers: list[Fetcher] = []  # they know which files are used
        self.no_card: Problem | None = None  # why there is no card that can be used, where there should be one
        self.checkpoint: str | None = None  # that was taken in place of one that did not load
        self.stays_until = 0.0  # a person wants the machine until then, used or not: time.monotonic()

    # ---- its folder and its settings

    def _live_in(self, folder: Folder) -> None:
        """Have its folder there, with what works on it."""
        self.folder, self.webui = folder, WebUI(folder)
        self.outputs = OutputFolders(folder, self.status.notice)
        until = " until this machine goes away" if self.machine.keeps_nothing else ""
        show, elsewhere = lambda line: self.status.show(kept=line), self.outputs.elsewhere
        self.sync = Sync(folder.data, folder.kept, show, say=self.status.notice, elsewhere=elsewhere, until=until)

    def _folder_at(self, kept: Path) -> Folder:
        models_kept = self.settings.models_on_drive or not self.machine.mountpoint
        return Folder(kept, self.machine.disk, models_kept, self.machine.drive)

    def settle(self) -> None:
        """Once Drive is there: find the folder, and what was chosen for it last. Raises `Problem` and `OSError`."""
        with self._settling:
            if self.settled:
                return
            named = self.settings.drive_folder
            kept = kept_folder(self.machine.drive, named) if named else None
            if not kept:
                self.models_named = named or None
                kept = folder_of_last_time(self.machine.drive, self.ask, self.status.notice)
            last = sound(Remembered.read(kept, self.status.notice).choices)
            self.settings = settings_of({one: last[one] for one in last if last[one] != NOTHING} | self.choices)
            self.take_place(kept)

    def take_place(self, kept: Path) -> None:
        """This is the folder on Drive: what was a guess is known now."""
        if (folder := self._folder_at(kept)) != self.folder:
            if self.sync.running:  # the launch before kept another folder
                self.sync.stop()
            self._live_in(folder)
        self.settled = True
        self._go_by({"drive_folder": field_of(self.machine.drive, kept)})

    def take_place_noted(self) -> None:
        """Have the folder of what ran, or runs, on this machine."""
        kept = Path(str(read_object(self.session.launch_file).get("kept")))
        self.take_place(kept if kept.is_relative_to(self.machine.drive) else self.folder.kept)

    def news_in(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Without its own folder as it was named at first: "AI/models" may have become another name."""
        same = settings_of(asked).drive_folder in self._names
        return {name: value for name, value in asked.items() if not (same and name == "drive_folder")}

    def _go_by(self, asked: dict[str, Any], to_save: dict[str, Any] | None = None) -> None:
        self.settings = settings_of(self.settings.as_form() | asked)
        self.choices |= self.settings.as_form() if self.settled else asked
        if "checkpoint" not in self.asked:  # the web UI's own choice of last time is good
            self.choices.pop("checkpoint", None)
        self.public_link.wanted = self.settings.link
        self.to_save = to_remember(self.settings) if to_save is None else to_save

    def choose(self, asked: dict[str, Any], *, forget: bool = False) -> None:
        """Something was chosen besides: what a start goes by takes effect at the next one.

        `forget`: as if nothing had ever been chosen; what runs keeps its folder, and what is kept of it.
        """
        before, self.used_at = self.settings.version, time.monotonic()
        self.forgets |= forget
        usual = {name: value for name, value in DEFAULTS.items() if name not in OWNED}
        self._go_by(usual if forget else asked, {} if forget else None)
        self.another_version |= self.settings.version != before
        self.announce()

    def leave_out(self, name: str) -> None:
        """Go on as if that had never been chosen. Drive still remembers it: another day it may do."""
        self._go_by({name: DEFAULTS[name]}, self.to_save)

    def announce(self) -> None:
        """Tell the proxy what it may show, and note what is launched: whoever comes after this service goes by it."""
        # Where nothing goes to Drive, those that the web UI writes elsewhere are among what is kept on this machine.
        top = self.folder.kept if self.machine.keeps_nothing else self.folder.data
        images = (top / "outputs", top / "log" / "images")
        self.session.lead_to(api=self.settings.api, images=[str(path) for path in images])
        self.note()

    def save_choices(self) -> None:
        """Have them in the folder on Drive, and that it is used. Raises `OSError`."""
        saved: dict[str, Any] | None = None
        while saved is not self.to_save or self.forgets:  # they may change meanwhile
            saved, forget = self.to_save, self.forgets
            if forget:
                Remembered.write(self.folder.kept, model_folders=())
            note_use(self.machine.drive, self.folder.kept, saved, forget=forget)
            self.forgets = self.forgets and not forget

    @property
    def models_disk(self) -> str:
        """What the disk with the models is called in messages."""
        return "Google Drive" if self.machine.mountpoint and self.settings.models_on_drive else "the disk"

    def fetcher(self, step: Step, ask: Ask) -> Fetcher:
        def ask_token(name: str, reason: str) -> str:
            return str(ask("token", name=name, reason=reason)["token"])

        fetcher = Fetcher(self.folder, self.models_disk, ask_token, step)
        self.fetchers.append(fetcher)
        return fetcher

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
    def given_back_in(self) -> float:
        """Seconds until the machine is given back if nobody uses the web UI, whatever the clock is set to meanwhile."""
        minutes = self.settings.give_back_after
        return max(self.used_at + minutes * 60, self.stays_until) - time.monotonic() if minutes else math.inf

    @property
    def given_back_at(self) -> float:
        """When that is by the clock; 0.0: never."""
        return float(round(time.time() + self.given_back_in)) if self.settings.give_back_after else 0.0

    def whole(self, status: Snapshot) -> Snapshot:
        """The status with what changes by itself: files to be saved, and when the machine is given back."""
        if status.state in (State.IDLE, State.OFF):
            return status
        more = (Button.GIVE_BACK,) if self.machine.colab and Button.STOP in status.buttons else ()
        at = 0.0 if status.state in (State.STARTING, State.STOPPING) else self.given_back_at
        return replace(status, buttons=(*status.buttons, *more), unsaved=self.sync.unkept, given_back_at=at)

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

    def wait_for(self, what: str) -> None:
        """Wait until what is done beside it has come to its end, or the launch has."""
        while self.does(what) and not self.over.is_set():
            self._threads[what].join(0.1)

    def prepare(self) -> None:
        for name, title in STEPS:
            self.status.add(name, title if self.machine.mountpoint or name != "drive" else "Your folder")
        self.status.show(foot=KEEP_OPEN)
        self.session.prepare()
        self.announce()

    def finish(self) -> None:
        """Nothing of it begins any more; what runs goes on."""
        self.over.set()
        self.ended.set()

    @property
    def _to_note(self) -> dict[str, Any]:
        form = self.settings.as_form() if self.settled else self.choices
        return form | {name: without_secrets(form[name]) for name in form if name == "checkpoint"}

    def note(self, **what: Any) -> None:
        """Note its settings and this in the session."""
        where = {"kept": str(self.folder.kept)} if self.settled else {}
        found = read_object(self.session.launch_file)
        write_object(self.session.launch_file, found | {"settings": self._to_note} | where | what)

    def note_end(self) -> None:
        """Nothing runs any more. As long as the machine is there, what keeps nothing on Drive is remembered, and the
        folder of what is left on the machine: a later service may have to save it.
        """
        for file in (self.session.forward, self.session.launch_file):
            file.unlink(missing_ok=True)
        nothing = {} if self.settings.uses_drive else {"nothing": self._to_note}
        with suppress(OSError):  # the disk is full
            write_object(self.session.launch_file, nothing | ({"kept": str(self.folder.kept)} if self.settled else {}))

    def be_ready(self) -> None:
        """The web UI answers: show the way in, and the buttons."""
        self.session.lead_to(port=self.webui.port)
        before = self.status.now.login_box
        seconds = before.seconds if before else time.time() - self.status.now.started
        link, says = self.public_link, self.webui.says.read()
        where, images = self.machine.in_words(self.folder.kept / "outputs"), ""
        if self.machine.keeps_nothing:
            where, images = "on this machine only", f"{link.url}{OWN_PAGES}images.zip"
        box = LoginBox(link.url, USER, link.login.password, where, seconds, images, link.here_only)
        buttons = (Button.RESTART, Button.STOP, *((Button.CONNECT,) if self.drive_away else ()))
        shown = {"title": says.headline, "can_paint": says.paints, "login_box": box, "buttons": buttons}
        shown["foot"] = f"{READY} {STILL_THERE}" if self.machine.colab else READY
        with self.status.changes:
            if not self.ended.is_set():
                self.status.show(state=State.READY, **shown)
