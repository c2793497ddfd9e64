"""The order of a launch, and nothing else: what waits for what, what goes on side by side, what happens afterwards."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from launcher.core.fields import DEFAULT_CHECKPOINT, NEWEST
from launcher.core.folder import write_safely
from launcher.core.problem import Problem
from launcher.core.session import PRIVATE
from launcher.drive.mount import connect_drive
from launcher.extensions.files import put_extensions
from launcher.git.repository import newest_commit
from launcher.launch.running import Running
from launcher.launch.steps import STEPS, Failed, finished
from launcher.launch.workplace import Workplace
from launcher.models.ensure import ensure_checkpoint
from launcher.models.pasted import without_secrets
from launcher.models.taken_over import read_ahead
from launcher.python.bytecode import put_bytecode, unpack_bytecode
from launcher.python.environment import read_finished
from launcher.python.pins import LOCKED_COMMIT, LOCKED_PACKAGES
from launcher.webui.arguments import check_arguments

ON_ITS_WAY: Final = "Leave this page open; you can do something else meanwhile."


class Launch:
    """One launch at a workplace: `begin` starts it in threads of the keeper, and everything to see is on its board."""

    def __init__(self, place: Workplace, somebody: Callable[[], bool]) -> None:
        self.place, self.board, self.steps, self.starter = place, place.board, place.steps, place.starter
        self.session, self.folder, self.machine = place.session, place.folder, place.machine
        self.webui, self.mirror, self.over = place.webui, place.mirror, place.over
        self.running = Running(place, somebody)
        self._files_there: Future[None] = Future()
        self._story_thread = threading.Thread(target=self._run, name="launch", daemon=True)

    def begin(self, previous: "Launch | None" = None) -> None:
        """Start it. It takes over from a `previous` launch, which is let go first."""
        self.board.show_foot(ON_ITS_WAY)
        self.session.prepare()
        self.previous = previous
        self._story_thread.start()
        threading.Thread(target=self.place.publish, name="publish", daemon=True).start()

    @property
    def alive(self) -> bool:
        """True while it is on its way, or watches over a web UI."""
        return self._story_thread.is_alive() and not self.over.is_set()

    @property
    def busy(self) -> bool:
        """True while the keeper must not end: something of it is at work, or a web UI runs whose images must be
        kept.
        """
        ending = self.place.ending.is_set() and not self.place.finished.is_set()
        return self._story_thread.is_alive() or ending or self.webui.running

    def let_go(self) -> None:
        """End the story; the web UI, the door and the link stay. Waits until nothing of it is at work any more."""
        self.board.show_foot("▶ was pressed again with different values: that cell now shows what is running.")
        self.board.show_buttons()
        self.over.set()
        if self._story_thread.is_alive():
            self._story_thread.join()
        self.mirror.stop()

    def _run(self) -> None:
        if self.previous:
            self.board.note("drive", "waiting for the previous launch to finish")
            self.previous.let_go()
            self.previous = None
        settings = asdict(self.place.settings)
        note = {"settings": settings | {"checkpoint": without_secrets(settings["checkpoint"])}}
        write_safely(self.session.launch_file, json.dumps(note), PRIVATE)
        try:
            self._story()
            self.running.watch()
        except Failed:
            pass  # its step has said so
        self.over.set()
        if not self.board.snapshot().login_box:
            self.board.show_foot("")
            self.board.show_buttons()
        self.place.tell_door()
        if not self.place.ending.is_set():
            self.place.finished.set()

    def _story(self) -> None:
        self._say_what_machine()
        if self.webui.ready:
            self.board.webui_answers_on(self.webui.port)
        with ThreadPoolExecutor(len(STEPS) + 1) as pool:  # each leg below has a thread of its own
            newest = pool.submit(newest_commit) if self._wants_newest else finished("")
            link = pool.submit(self._link)
            drive = pool.submit(self._drive)
            source = pool.submit(self._source, drive, newest)
            bytecode = pool.submit(self._bytecode, drive)
            python = pool.submit(self._python, newest, bytecode)
            model = pool.submit(self._model, drive)
            webui = pool.submit(self._webui, source, python, model)
            legs: tuple[Future[Any], ...] = (drive, source, python, model, link, webui)
            if any(leg.exception() for leg in wait(legs, return_when=FIRST_EXCEPTION).done):
                self.over.set()  # the others stop at once; what is fetched stays
                self.board.show_foot("")
        for leg in legs:
            leg.result()
        self.running.show_login_box()
        threading.Thread(target=self.running.look_around, name="look around", daemon=True).start()

    @property
    def _wants_newest(self) -> bool:
        return self.place.settings.version == NEWEST and not self.webui.running

    def _say_what_machine(self) -> None:
        self.board.show_fact("Machine", self.machine.described)
        if not self.machine.gpu:
            where = (
                " Choose **Runtime → Change runtime type → T4 GPU → Save** and press ▶." if self.machine.colab else ""
            )
            self.board.notice(f"This runtime has no graphics card: an image takes minutes instead of seconds.{where}")
        if self.machine.colab and not self.machine.mountpoint:
            self.board.notice(
                "Nothing is kept on Google Drive, as you chose: models, images and settings are lost when this "
                "machine goes away. "
                "Download your images before you stop."
            )

    def _drive(self) -> None:
        with self.steps.step("drive", "looking for your folder"):
            if self.machine.mountpoint:
                self.board.note(
                    "drive", "waiting for your permission: Google asks for it in the tab in which you pressed ▶"
                )
            connect_drive(self.machine, self.place.ask_here)
            self.board.note("drive", "looking for your folder")
            told = self.folder.prepare()
            if told:
                self.board.notice(told)
            restored = self.mirror.restore()
            self.mirror.start()
            where = self.machine.in_words(self.folder.kept)
            self.board.finish("drive", where + (f", {restored} settings files restored" if restored else ""))

    def _source(self, drive: "Future[None]", newest: "Future[str]") -> None:
        try:
            with self.steps.step("source", "waiting for Google Drive", after=(drive,)):
                reporter = self.steps.reporter("source")
                if self.webui.running:
                    self.starter.keep_version(reporter)
                    self._files_there.set_result(None)
                    self.board.finish("source", "in use by the running web UI")
                    return
                self.starter.choose_version(newest.result(), reporter)
                self.starter.check_out_source(reporter)
                self._files_there.set_result(None)
                put_extensions(self.folder, reporter)
                check_arguments(self.folder.code, self.folder.data, self.place.settings.extra_arguments)
                self.board.finish("source", f"version {self.starter.version}")
        finally:
            if not self._files_there.done():
                self._files_there.set_exception(Failed())

    def _bytecode(self, drive: "Future[None]") -> None:
        """Unpack it while the packages are fetched: they take longer than Drive does."""
        drive.result()
        if not read_finished(self.folder):
            with self.steps.beside("unpacking bytecode"):
                unpack_bytecode(self.folder)

    def _python(self, newest: "Future[str]", bytecode: "Future[None]") -> None:
        with self.steps.step("python", "waiting for AUTOMATIC1111's list of packages"):
            # GitHub says in a second whether it has the version the lock is for: then Drive need not be waited for.
            early = newest.result() == LOCKED_COMMIT and self._install_early()
            self._files_there.result()
            if self.webui.running:
                self.board.finish("python", "in use by the running web UI")
                return
            packages, new = self.starter.install_packages(self.steps.reporter("python"))
            bytecode.result()
            put_bytecode(self.folder)
            self.starter.say_borrowed()
            self.board.finish("python", f"{packages} packages" + ("" if new or early else ", already there"))

    def _install_early(self) -> bool:
        try:
            return self.starter.install(list(LOCKED_PACKAGES))
        except Problem as problem:
            # It is tried again once the source is there; then another version may take its place.
            self.board.note("python", f"waiting for AUTOMATIC1111's source, after: {problem.what}")
            return False

    def _model(self, drive: "Future[None]") -> str:
        with self.steps.step("model", "waiting for Google Drive", after=(drive,)):
            fetcher = self.place.fetcher(self.board, "model", self.over)
            name = ensure_checkpoint(fetcher, self.place.settings.checkpoint, DEFAULT_CHECKPOINT)
            path = next((p for p in self.folder.checkpoints() if p.name == name), None)
            if path and not self.webui.running:
                threading.Thread(target=self._read_ahead, args=(path,), name="read ahead", daemon=True).start()
            self.board.finish("model", name)
            return name

    def _read_ahead(self, checkpoint: Path) -> None:
        """Read the checkpoint from Drive while the web UI imports its packages: it finds it in memory then."""
        with self.steps.beside("reading the checkpoint ahead"):
            read_ahead(checkpoint, self.over.is_set)

    def _link(self) -> None:
        with self.steps.step("link", "starting the login page"):
            self.board.finish("link", self.place.public_link.open(self.webui.running, self.steps.reporter("link")))

    def _webui(self, source: "Future[None]", python: "Future[None]", model: "Future[str]") -> None:
        with self.steps.step("webui", "waiting for the steps above", after=(source, python, model)):
            plan = self.starter.plan(model.result())
            if self.webui.started_with(plan):
                self.board.note("webui", "already running")
                self.board.finish("extensions", "in use by the running web UI")
                self.starter.wait()
                self.starter.use_checkpoint(model.result())
            else:
                self.starter.start_some_version(plan)
            self.board.webui_answers_on(self.webui.port)
            self.board.show_fact("AUTOMATIC1111", self.starter.version)
            self.board.finish("webui", "running")
