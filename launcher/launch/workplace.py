"""What every part of a launch works with: the machine, the folder, the board, the web UI, the way in, the mirror."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from launcher.access.login import USER
from launcher.access.pages import OWN_PAGES
from launcher.access.public_link import PublicLink
from launcher.colab.machine import Machine
from launcher.core.board import Board, LoginBox
from launcher.core.folder import Folder, write_safely
from launcher.core.problem import Problem
from launcher.core.session import PRIVATE, Session
from launcher.core.settings import Settings
from launcher.drive.mirror import Mirror
from launcher.launch.start_web_ui import WebUIStart
from launcher.launch.steps import STEPS, Steps
from launcher.models.fetcher import Fetcher

SEED_FOLDER: Final = "stable-diffusion-webui"  # below drive_folder, as the launchers before this one had it
STARTING: Final = ("Starting your image generator", "Your image generator is ready")


class Workplace:
    """Made of the settings; nothing runs yet. `ask` puts a question to the person who looks at a board."""

    def __init__(self, settings: Settings, machine: Machine, ask: Callable[..., dict[str, Any]]) -> None:
        self.settings, self.machine = settings, machine if settings.uses_drive else machine.without_drive()
        kept = self.machine.drive / settings.drive_folder / SEED_FOLDER
        self.folder = Folder(kept, machine.disk, settings.models_on_drive or not self.machine.mountpoint)
        self.session, self.board, self.ask = Session(self.folder.session), Board(*STARTING), ask
        self.over = threading.Event()  # the story should end; what runs outside stays
        self.ending = threading.Event()  # somebody ends everything, and will say when it is done
        self.finished = threading.Event()  # there is nothing left to show
        self.steps = Steps(self.board, self.session.log, self.over)
        self.starter = WebUIStart(settings, self.machine, self.folder, self.steps)
        self.webui, self.notes = self.starter.webui, self.starter.notes
        self.public_link = PublicLink(self.folder, machine, settings.link, self._colabs_link)
        outputs = self.starter.outputs
        self.mirror = Mirror(
            self.folder.data, kept, self.board.show_kept, say=self.board.notice, elsewhere=outputs.look
        )
        self._told, self._telling = -1, threading.Lock()  # the version of the board that the door knows
        for name, title in STEPS:
            self.board.add(name, title if self.machine.mountpoint or name != "drive" else "Your folder")

    def ask_here(self, kind: str, **about: Any) -> dict[str, Any]:
        """Put a question to the person who looks at this launch."""
        return self.ask(self.board, kind, **about)

    def fetcher(self, board: Board, step: str, stop: threading.Event) -> Fetcher:
        """How models are fetched for this launch, told on that step of that board."""

        def ask_token(name: str, reason: str) -> str:
            return str(self.ask(board, "token", name=name, reason=reason)["token"])

        on_drive = self.machine.mountpoint is not None and self.settings.models_on_drive
        where = "Google Drive" if on_drive else "the disk"
        return Fetcher(self.folder, where, ask_token, Steps(board, self.session.log, stop).reporter(step))

    def _colabs_link(self, port: int) -> str:
        """Colab's own link; raises `Problem` where Colab gives none."""
        told = self.ask(self.board, "proxy", port=port)
        if not told["url"]:
            why = f" ({told['error']})" if told.get("error") else ""
            raise Problem(
                f"Colab gave no link of its own{why}.",
                "Allow third-party cookies for colab.research.google.com and press ▶ again, or choose another link.",
                field="link",
            )
        return str(told["url"])

    def login_box(self) -> LoginBox:
        """The way in as it is now."""
        before = self.board.snapshot().login_box
        seconds = before.seconds if before else time.time() - self.board.started
        if self.machine.colab and not self.machine.mountpoint:
            where, images = "on this machine only", f"{self.public_link.url}{OWN_PAGES}images.zip"
        else:
            where, images = self.machine.in_words(self.folder.kept / "outputs"), ""
        return LoginBox(self.public_link.url, USER, self.public_link.login.password, where, seconds, images)

    @property
    def image_places(self) -> tuple[Path, ...]:
        """Where the web UI's images and those of its Save button are, as long as this machine lives."""
        return self.folder.data / "outputs", self.folder.data / "log" / "images"

    def publish(self) -> None:
        """Write the board where the door reads it, whenever it has changed, until the launch is over."""
        while not self.finished.is_set():
            self.tell_door()
            self.board.wait_for_change(self._told, 5.0)
            time.sleep(0.2)  # boards come in crowds

    def tell_door(self) -> None:
        """Write it now: whoever clicks at once should not meet the waiting page."""
        with self._telling:
            board = self.board.snapshot()
            if board.version != self._told and not self.ending.is_set():
                self._told = board.version
                told = board.public() | {
                    "api": self.settings.api,
                    "images": [str(place) for place in self.image_places],
                }
                write_safely(self.session.board, json.dumps(told), PRIVATE)
