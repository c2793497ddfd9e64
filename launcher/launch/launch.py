"""The order of a launch, and nothing else: what waits for what, what goes on side by side, what happens afterwards."""

import json
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

import requests

from launcher.access.login import USER
from launcher.access.public_link import Entrance
from launcher.colab.dialogs import MainThread, ask_hidden, find_secret, private_link
from launcher.colab.machine import Machine
from launcher.core.board import Board, Card
from launcher.core.folder import Folder, write_safely
from launcher.core.problem import Problem, unexpected
from launcher.core.reporter import Reporter
from launcher.core.session import Session
from launcher.core.settings import KEEP_ON_DRIVE, Settings
from launcher.drive.mirror import Mirror
from launcher.drive.mount import drive_is_mounted, mount_drive
from launcher.extensions.files import described, kept_extensions, put_extensions, switched_off, unchanged_files
from launcher.extensions.installers import run_installers
from launcher.extensions.manage import CONTROLNET, extension_arguments
from launcher.extensions.suspects import Suspicion
from launcher.git.repository import keep_edits, newest_commit
from launcher.git.webui_source import bring_sub_repositories, bring_webui
from launcher.launch.care import DriveCare, LinkCare, MachineCare
from launcher.launch.steps import STEPS, Failed, finished
from launcher.models.bring import bring_checkpoint
from launcher.models.catalog import DEFAULT_MODEL
from launcher.models.checksums import exchange_known
from launcher.models.fetcher import Fetcher
from launcher.models.remote import Interrupted
from launcher.models.taken_over import broken_models, read_ahead
from launcher.python.bytecode import USED_LIST, compile_what_was_used, remember_what_was_used
from launcher.python.environment import packages_for, prepare_python
from launcher.python.pins import LOCKED_COMMIT, LOCKED_PACKAGES
from launcher.python.uv import child_environment
from launcher.ui.panel import new_panel, show_until
from launcher.webui.arguments import check_arguments, fixed_arguments, machine_arguments
from launcher.webui.explain import problem_of
from launcher.webui.settings_file import check_settings_file
from launcher.webui.web_ui import Plan, WebUI

SEED_FOLDER: Final = "stable-diffusion-webui"  # below drive_folder, as the launchers before this one had it
WATCH_EVERY: Final = 0.5  # seconds between two looks at the web UI
RESTARTS_ALLOWED: Final = 3
RESTARTS_WITHIN: Final = 600.0  # seconds


class Launch:
    """One launch. `begin` starts it in threads; everything to see is on its board."""

    def __init__(self, settings: Settings, machine: Machine) -> None:
        self.settings, self.machine = settings, machine
        kept = machine.drive / settings.drive_folder / SEED_FOLDER
        self.folder = Folder(kept, machine.disk, settings.keep_models_on == KEEP_ON_DRIVE)
        self.board, self.main = Board("Starting your image generator", "Your image generator is ready"), MainThread()
        self.session, self.webui = Session(self.folder.session), WebUI(self.folder)
        self.entrance = Entrance(
            self.folder, machine, settings.link, lambda port: self.main.call(lambda: private_link(port))
        )
        self.mirror = Mirror(self.folder.data, kept, self.board.show_kept, unchanged_files)
        self.over = threading.Event()  # let go: our threads end, the processes stay
        self._files_there: Future[str] = Future()
        self._told, self._telling = -1, threading.Lock()  # the version of the board that the door knows
        self._threads = [
            threading.Thread(target=work, name=work.__name__, daemon=True) for work in (self._story, self._publish)
        ]
        for name, title in STEPS:
            self.board.add(name, title if machine.colab or name != "drive" else "Your folder")

    # ---- the story

    def begin(self) -> None:
        """Start the threads."""
        self.folder.session.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_safely(self.session.launch_file, json.dumps(asdict(self.settings)), 0o600)
        for thread in self._threads:
            thread.start()

    def _story(self) -> None:
        if not self.machine.gpu:
            where = " Choose Runtime → Change runtime type → T4 GPU for a card." if self.machine.colab else ""
            self.board.notice(f"This runtime has no graphics card: an image takes minutes instead of seconds.{where}")
        with ThreadPoolExecutor(len(STEPS)) as pool:
            newest = pool.submit(newest_commit) if self.settings.update and not self.webui.running else finished("")
            link = pool.submit(self._link)
            drive = pool.submit(self._drive)
            source = pool.submit(self._source, drive, newest)
            python = pool.submit(self._python, newest)
            model = pool.submit(self._model, drive)
            webui = pool.submit(self._webui, source, python, model)
        try:
            for leg in (drive, source, python, model, link, webui):
                leg.result()
        except Failed:
            self.over.set()
            return
        self._show_card()
        threading.Thread(target=self._look_around, name="look around", daemon=True).start()
        self._watch()

    def _drive(self) -> None:
        with self._step("drive", "looking for your folder"):
            if self.machine.colab:
                self.board.note("drive", "waiting for your permission: a window of Google asks for it")
            self.main.call(lambda: mount_drive(self.machine))
            self.folder.prepare()
            restored = self.mirror.restore()
            self.mirror.start()
            self.board.finish(
                "drive",
                self._in_words(self.folder.kept) + (f", {restored} settings files brought back" if restored else ""),
            )

    def _source(self, drive: "Future[None]", newest: "Future[str]") -> str:
        try:
            with self._step("source", "waiting for Google Drive", after=(drive,)):
                if self.webui.running:
                    commit = str(self._noted().get("last_good", ""))
                    self._files_there.set_result("")
                    self.board.finish("source", "in use by the running web UI")
                    return commit
                reporter = self._reporter("source")
                commit = bring_webui(self.folder, self.settings.update, reporter, newest=newest.result())
                self._files_there.set_result(commit)
                bring_sub_repositories(self.folder, reporter)
                put_extensions(self.folder, reporter)
                check_arguments(self.folder.code, self.folder.data, self.settings.extra_arguments)
                self.board.finish("source", f"version {commit[:8]}")
                return commit
        finally:
            if not self._files_there.done():
                self._files_there.set_exception(Failed())

    def _python(self, newest: "Future[str]") -> None:
        with self._step("python", "waiting for AUTOMATIC1111's list of packages"):
            new = False
            # GitHub says in a second whether it has the version the lock is for: then Drive need not be waited for.
            if newest.result() == LOCKED_COMMIT:
                new = self._install(list(LOCKED_PACKAGES))
            self._files_there.result()
            if self.webui.running:
                self.board.finish("python", "in use by the running web UI")
                return
            packages = self._packages()
            new = self._install(packages) or new
            if new:
                self.board.note("python", "preparing them for a fast start")
                compile_what_was_used(self.folder)
            self.board.finish("python", f"{len(packages)} packages" + ("" if new else ", there already"))

    def _install(self, packages: list[str]) -> bool:
        made = prepare_python(self.folder, packages, self._reporter("python"))
        self.board.note("python", f"{len(packages)} packages")
        return made.installed_now

    def _model(self, drive: "Future[None]") -> str:
        with self._step("model", "waiting for Google Drive", after=(drive,)):
            name = bring_checkpoint(
                self.fetcher(self.board, "model", self.main, self.over), self.settings.checkpoint, DEFAULT_MODEL
            )
            path = next((p for p in self.folder.checkpoints() if p.name == name), None)
            if path and not self.webui.running:
                self.board.note("model", "reading it from the disk, so that the web UI finds it in memory")
                read_ahead(path, lambda done, size: self.board.progress("model", done, size))
            self.board.finish("model", name)
            return name

    def _link(self) -> None:
        with self._step("link", "opening the door"):
            self.board.finish("link", self.entrance.open(self.webui.running, self._reporter("link")))

    def _webui(self, source: "Future[str]", python: "Future[None]", model: "Future[str]") -> None:
        with self._step("webui", "waiting for the steps above", after=(source, python, model)):
            checkpoint = model.result()
            plan = self._plan(checkpoint)
            if self.webui.started_with(plan):
                self.board.note("webui", "it runs already")
                self.board.finish("extensions", "in use by the running web UI")
                self._wait_for_webui()
                self._use_checkpoint(checkpoint)
            else:
                self._start_or_roll_back(plan, source.result())
            self.board.webui_answers_on(self.webui.port)
            self.board.finish("webui", "running")

    def _start_or_roll_back(self, plan: Plan, commit: str) -> None:
        """Start it; if a new version does not come up, take the last one that did."""
        good = str(self._noted().get("last_good", ""))
        try:
            self._start(plan)
        except Problem as problem:
            if not good or good == commit:
                raise
            self.board.notice(
                f"The new version of AUTOMATIC1111 ({commit[:8]}) did not start: {problem.what} The last good one ({good[:8]}) is used."
            )
            bring_webui(self.folder, False, self._reporter("webui"), commit=good)
            bring_sub_repositories(self.folder, self._reporter("webui"))
            self._start(plan)
            commit = good
        if not (self.folder.kept / USED_LIST).exists():
            remember_what_was_used(self.folder)
        self._note_down(
            last_good=commit,
            extensions={name: described(self.folder, name).commit for name in kept_extensions(self.folder)},
        )

    def _start(self, plan: Plan) -> None:
        """Start it; extensions that keep it from starting are switched off, and it is started again without them."""
        self.webui.stop()
        put_extensions(self.folder, self._reporter("webui"))
        self._install(self._packages())
        broken = check_settings_file(self.folder.data)
        if broken:
            self.board.notice(broken)
        self.board.start("extensions", "looking for new ones")
        ran = run_installers(self.folder, self._reporter("extensions"))
        with self._reported("handing over what is known of your models"):
            exchange_known(self.folder)
        suspicion = Suspicion(self.folder, self._noted().get("extensions", {}))
        while not self.over.is_set():
            names = [name for name in kept_extensions(self.folder) if name not in switched_off(self.folder)]
            self.board.finish("extensions", (", ".join(names) or "none") + (f" ({ran} installed now)" if ran else ""))
            try:
                self.board.note(
                    "webui", f"starting Python{' without ' if suspicion.blamed else ''}{', '.join(suspicion.blamed)}"
                )
                self.webui.start(plan)
                self._wait_for_webui()
                break
            except Problem as problem:
                if self.over.is_set():  # it was ended on purpose
                    raise Failed from problem
                if problem.field != "extensions" or not suspicion.switch_next(self.webui.last_words):
                    suspicion.acquit()
                    raise
        else:
            raise Failed
        if suspicion.blamed:
            who = (
                f"The extension {suspicion.blamed[0]}"
                if len(suspicion.blamed) == 1
                else f"One of the extensions {', '.join(suspicion.blamed)}"
            )
            self.board.notice(
                f"{who} kept the web UI from starting and is switched off. It is kept; the cell «Add or update an extension» switches it on again or removes it."
            )

    def _wait_for_webui(self) -> None:
        if not self.webui.wait_until_ready(self._reporter("webui"), self.over.is_set):
            raise Failed

    # ---- afterwards

    def _look_around(self) -> None:
        """Off the main way: say what is broken in a folder that was taken over, and keep a person's changes in it."""
        with self._reported("looking through your folder"):
            if (self.folder.kept / ".git" / "index").exists():
                keep_edits(self.folder.kept, self.folder.kept, self._reporter("source"))
            known = set(self._noted().get("looked_at", []))
            looked, broken = broken_models(self.folder, known)
            if broken:
                told = "; ".join(f"{name} ({fault})" for name, fault in broken.items())
                self.board.notice(
                    f"Broken files in your folder, left as they are: {told}. Delete them on Google Drive, or download them again."
                )
            self._note_down(looked_at=sorted(looked))
        with self._reported("keeping what the web UI found out about your models"):
            if self.webui.wait_for_model(self.over):
                exchange_known(self.folder)

    def _watch(self) -> None:
        """While it runs: restart a web UI that died or should, and look after Drive, the link and the machine."""
        restarts: list[float] = []
        wanted, last_use = self.session.restart_wanted, self.session.last_use
        last_use.touch()
        link = LinkCare(self.board, self.entrance, self._show_card)
        drive = DriveCare(
            self.board, self.machine, self.main, self.mirror, self._in_words(self.folder.kept), str(self._log)
        )
        machine = MachineCare(
            self.board, self.machine, self.main, self.settings.give_back_after, last_use, self._end_processes
        )
        while not self.over.wait(WATCH_EVERY):
            if (wanted.exists() or not self.webui.running) and not drive_is_mounted(self.machine):
                with self._reported("connecting Google Drive"):
                    drive.look()  # a start needs Drive: it waits, and does not count as one that failed
            elif wanted.exists():
                wanted.unlink()
                self._again("restarting, as you asked")
            elif not self.webui.running:
                problem = self.webui.why_it_ended()
                restarts = [t for t in restarts if time.monotonic() - t < RESTARTS_WITHIN] + [time.monotonic()]
                if len(restarts) > RESTARTS_ALLOWED:
                    self.board.webui_answers_on(0)
                    self.board.fail("webui", problem)
                    return
                self.board.notice(f"The web UI was started again ({time.strftime('%H:%M')}): {problem.what}")
                self._again("starting again")
            with self._reported("looking after the link and Google Drive"):
                link.look()
                drive.look()
            if machine.look():
                self.over.set()  # the cell has served the giving back, and ends

    def _again(self, note: str) -> None:
        """End the web UI and start it anew, behind the same link."""
        checkpoint = self.webui.chosen_checkpoint
        self.board.webui_answers_on(0)
        self.board.start("webui", note)
        with self._reported("restarting the web UI"):
            try:
                self._start(self._plan(checkpoint))
            except (Problem, Failed) as problem:
                self.board.note(
                    "webui", problem.what if isinstance(problem, Problem) else "stopped; it goes on at the next ▶"
                )
                return  # the next look tries again, or gives up
            self.board.webui_answers_on(self.webui.port)
            self.board.finish("webui", "running")

    def let_go(self) -> None:
        """End our threads; the web UI, the door and the link stay."""
        self.over.set()
        self.mirror.stop()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=600)

    def end_everything(self) -> None:
        """End the web UI, keep its last files, then end the link and the door."""
        self.over.set()
        self._end_processes()

    def _end_processes(self) -> None:
        self.board.webui_answers_on(0)
        self.webui.stop()
        story = self._threads[0]
        if story.is_alive() and story is not threading.current_thread():  # it may just be starting it again
            story.join(timeout=60)
            self.webui.stop()
        self.mirror.stop()
        self.entrance.close()
        for path in (self.session.board, self.session.launch_file):
            path.unlink(missing_ok=True)
        self.board.show_card(None)

    def ask_for_restart(self) -> None:
        """Have the web UI restarted by the launch that watches it, also from another cell or from the door's page."""
        self.session.restart_wanted.touch()

    async def show(self) -> None:
        """Keep the cell on it until it is over, or ■."""
        panel = new_panel(
            self.board, {"Restart the web UI": self.ask_for_restart, "Stop everything": self._stop_in_thread}
        )
        await show_until(panel, self.over.is_set, self.main.serve, self.entrance.fresh_link)

    # ---- parts of the steps

    @contextmanager
    def _step(self, name: str, note: str, after: tuple["Future[Any]", ...] = ()) -> Iterator[None]:
        """Run a step once what it needs is done; whatever goes wrong stands on the board and in the launcher's log."""
        for leg in after:
            leg.result()
        self.board.start(name, note)
        try:
            yield
        except (Failed, Interrupted):
            self.board.note(name, "stopped; it goes on at the next ▶")
            raise Failed from None
        except Exception as error:
            self.board.fail(name, self._problem(error))
            raise Failed from error

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        """Whatever goes wrong beside the main way is said, and ends nothing else."""
        try:
            yield
        except Exception as error:
            problem = self._problem(error)
            self.board.notice(f"Something went wrong while {what}: {problem.what} {problem.do}")

    def _problem(self, error: Exception) -> Problem:
        """An error as a person reads it; the traceback goes to the launcher's log."""
        with self._log.open("a") as file:
            traceback.print_exception(error, file=file)
        if isinstance(error, Problem):
            return error
        return problem_of(error) or unexpected(error, str(self._log))

    @property
    def _log(self) -> Any:
        return self.session.log

    def _reporter(self, step: str) -> Reporter:
        return Reporter(self.board, step, self.over)

    def fetcher(self, board: Board, step: str, main: MainThread, stop: threading.Event) -> Fetcher:
        """How models are fetched for this launch, told on that step of that board."""

        def ask_token(name: str, reason: str) -> str:
            found = main.call(lambda: find_secret(self.machine, name))
            return found or main.call(lambda: ask_hidden(f"{reason} Paste your token ({name}) and press Enter: "))

        on_drive = self.machine.colab and self.settings.keep_models_on == KEEP_ON_DRIVE
        return Fetcher(
            folder=self.folder,
            where="Google Drive" if on_drive else "the disk",
            ask_token=ask_token,
            reporter=Reporter(board, step, stop),
        )

    def _plan(self, checkpoint: str) -> Plan:
        flags = (
            *fixed_arguments(self.folder, checkpoint if self.settings.checkpoint != DEFAULT_MODEL else ""),
            *extension_arguments(self.folder),
            *machine_arguments(self.machine.gpu, self.machine.memory),
            *(("--enable-insecure-extension-access",) if self.settings.extensions_tab else ()),
            *self.settings.extra_arguments,
        )
        return Plan(self.folder.python / "bin" / "python", flags, child_environment(self.folder))

    def _use_checkpoint(self, name: str) -> None:
        """Make a running web UI list, and if it was asked for, load a checkpoint."""
        with self._reported("handing over what is known of your models"):
            exchange_known(self.folder)
        try:
            self.webui.refresh_checkpoints()
            if self.settings.checkpoint != DEFAULT_MODEL:
                self.webui.choose_checkpoint(name)
        except requests.RequestException as error:
            self.board.notice(
                f"The running web UI did not take the checkpoint ({type(error).__name__}). Choose it at the top left of the web UI."
            )

    def _packages(self) -> list[str]:
        return packages_for(
            (self.folder.code / "requirements_versions.txt").read_bytes(), CONTROLNET in kept_extensions(self.folder)
        )

    def _noted(self) -> dict[str, Any]:
        """What launches before this one noted on Drive: {"last_good": commit, "extensions": {name: commit}, "looked_at": [name]}."""
        try:
            noted = json.loads((self.folder.kept / "oneclick.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def _note_down(self, **what: object) -> None:
        write_safely(self.folder.kept / "oneclick.json", json.dumps(self._noted() | what))

    def _show_card(self) -> None:
        self._tell_door()  # whoever clicks at once should not meet the waiting page
        where = self._in_words(self.folder.kept / "outputs")
        self.board.show_card(
            Card(self.entrance.url, USER, self.entrance.login.password, where, time.time() - self.board.started)
        )

    def _in_words(self, path: Any) -> str:
        """A place as the person finds it: on «My Drive», or on this machine."""
        return f"My Drive/{path.relative_to(self.machine.drive)}" if self.machine.colab else str(path)

    def _stop_in_thread(self) -> None:
        threading.Thread(target=self.end_everything, daemon=True).start()

    def _publish(self) -> None:
        """Write the board where the door reads it, whenever it has changed."""
        while True:
            self._tell_door()
            if self.over.wait(0.2):
                return

    def _tell_door(self) -> None:
        with self._telling:
            board = self.board.snapshot()
            if board.version != self._told:
                self._told = board.version
                write_safely(self.session.board, json.dumps(board.as_json() | {"api": self.settings.api}), 0o600)
