"""The order of a launch, and nothing else: what waits for what, what goes on side by side, what happens afterwards."""

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import requests

from launcher.board import Board, Card
from launcher.catalog import DEFAULT_MODEL
from launcher.door import OWN
from launcher.download import Interrupted
from launcher.folder import Folder, write_safely
from launcher.login import USER, Login
from launcher.mirror import Mirror
from launcher.models import Fetcher, bring_checkpoint, read_ahead
from launcher.panel import new_panel, show_until
from launcher.problem import Problem
from launcher.process import end_process, own_program, running_pid, start_detached
from launcher.python_env import (
    LOCKED_COMMIT,
    LOCKED_PACKAGES,
    USED_LIST,
    child_environment,
    compile_what_was_used,
    packages_for,
    prepare_python,
    remember_what_was_used,
)
from launcher.runtime import Machine, MainThread, ask_hidden, find_secret, mount_drive, private_link, release_machine
from launcher.settings import KEEP_ON_DRIVE, Settings
from launcher.source import bring_sub_repositories, bring_webui, newest_commit
from launcher.tunnel import SERVICES, Tunnel, answers
from launcher.webui import Plan, WebUI, check_arguments, check_settings_file, fixed_arguments, machine_arguments

SEED_FOLDER: Final = "stable-diffusion-webui"  # below drive_folder, as the launchers before this one had it
WATCH_EVERY: Final = 0.5  # seconds between two looks at the web UI
WATCH_LINK_EVERY: Final = 60.0  # seconds
RESTARTS_ALLOWED: Final = 3
RESTARTS_WITHIN: Final = 600.0  # seconds
GIVE_BACK_WARNING: Final = 60.0  # seconds
DOOR_PATIENCE: Final = 20.0  # seconds

STEPS: Final = (
    ("drive", "Google Drive"),
    ("source", "AUTOMATIC1111's source"),
    ("python", "Python packages"),
    ("model", "Checkpoint"),
    ("link", "Link and login"),
    ("webui", "Web UI"),
)


class Failed(Exception):
    """A step failed and has said so on the board; what needs it does not begin."""


class Launch:
    """One launch. `begin` starts it in threads; everything to see is on its board."""

    def __init__(self, settings: Settings, machine: Machine) -> None:
        self.settings, self.machine = settings, machine
        kept = machine.drive / settings.drive_folder / SEED_FOLDER
        self.folder = Folder(kept, machine.disk, settings.keep_models_on == KEEP_ON_DRIVE)
        self.board, self.main = Board("Starting your image generator", "Your image generator is ready"), MainThread()
        self.webui, self.tunnel = WebUI(self.folder), Tunnel(self.folder.session)
        self.mirror = Mirror(self.folder.data, kept, self.board.show_kept)
        self.over = threading.Event()  # let go: our threads end, the processes stay
        self.restart_wanted = threading.Event()
        self._files_there: Future[str] = Future()
        self._threads: list[threading.Thread] = []
        self._url = ""
        for name, title in STEPS:
            self.board.add(name, title if machine.colab or name != "drive" else "Your folder")

    # ---- the story

    def begin(self) -> None:
        """Start the threads."""
        self.folder.session.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_safely(self.folder.session / "launch.json", json.dumps(asdict(self.settings)), 0o600)
        for work in (self._story, self._publish):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _story(self) -> None:
        if not self.machine.gpu:
            where = " Choose Runtime → Change runtime type → T4 GPU for a card." if self.machine.colab else ""
            self.board.notice(f"This runtime has no graphics card: an image takes minutes instead of seconds.{where}")
        with ThreadPoolExecutor(len(STEPS)) as pool:
            link = pool.submit(self._link)
            drive = pool.submit(self._drive)
            source = pool.submit(self._source, drive)
            python = pool.submit(self._python)
            model = pool.submit(self._model, drive)
            webui = pool.submit(self._webui, source, python, model)
        try:
            for leg in (drive, source, python, model, link, webui):
                leg.result()
        except Failed:
            self.over.set()
            return
        self._show_card()
        self._watch()

    def _drive(self) -> None:
        with self._step("drive", "looking for your folder"):
            if self.machine.colab:
                self.board.note("drive", "waiting for your permission: a window of Google asks for it")
            self.main.call(lambda: mount_drive(self.machine))
            self.folder.prepare()
            restored = self.mirror.restore()
            self.mirror.start()
            self.board.finish("drive", self._in_words(self.folder.kept) + (f", {restored} settings files brought back" if restored else ""))

    def _source(self, drive: "Future[None]") -> str:
        try:
            with self._step("source", "waiting for Google Drive", after=(drive,)):
                if self.webui.running:
                    commit = self._last_good()
                    self._files_there.set_result("")
                    self.board.finish("source", "in use by the running web UI")
                    return commit
                say, notice = self._say("source"), self.board.notice
                commit = bring_webui(self.folder, self.settings.update, say, notice)
                self._files_there.set_result(commit)
                bring_sub_repositories(self.folder, say, notice)
                check_arguments(self.folder.code, self.folder.data, self.settings.extra_arguments)
                self.board.finish("source", f"version {commit[:8]}")
                return commit
        finally:
            if not self._files_there.done():
                self._files_there.set_exception(Failed())

    def _python(self) -> None:
        with self._step("python", "waiting for AUTOMATIC1111's list of packages"):
            new = False
            # GitHub says in a second whether it has the version the lock is for: then Drive need not be waited for.
            if self.settings.update and not self.webui.running and newest_commit() == LOCKED_COMMIT:
                new = self._install(list(LOCKED_PACKAGES))
            self._files_there.result()
            if self.webui.running:
                self.board.finish("python", "in use by the running web UI")
                return
            packages = packages_for(self._requirements())
            new = self._install(packages) or new
            if new:
                self.board.note("python", "preparing them for a fast start")
                compile_what_was_used(self.folder)
            self.board.finish("python", f"{len(packages)} packages" + ("" if new else ", there already"))

    def _install(self, packages: list[str]) -> bool:
        made = prepare_python(self.folder, packages, self._say("python"), lambda done, all_: self.board.progress("python", done, all_, "packages"))
        self.board.note("python", f"{len(packages)} packages")
        return made.installed_now

    def _model(self, drive: "Future[None]") -> str:
        with self._step("model", "waiting for Google Drive", after=(drive,)):
            name = bring_checkpoint(self.fetcher(self.board, "model", self.main, self.over), self.settings.checkpoint, DEFAULT_MODEL)
            path = next((p for p in self.folder.checkpoints() if p.name == name), None)
            if path and not self.webui.running:
                self.board.note("model", "reading it from the disk, so that the web UI finds it in memory")
                read_ahead(path, lambda done, size: self.board.progress("model", done, size))
            self.board.finish("model", name)
            return name

    def _link(self) -> None:
        with self._step("link", "opening the door"):
            port = self._open_door()
            self._url = self._open_link(port)
            self.board.finish("link", self._url)

    def _webui(self, source: "Future[str]", python: "Future[None]", model: "Future[str]") -> None:
        with self._step("webui", "waiting for the steps above", after=(source, python, model)):
            checkpoint = model.result()
            plan = self._plan(checkpoint)
            if self.webui.started_with(plan):
                self.board.note("webui", "it runs already")
                self._wait_for_webui()
                self._use_checkpoint(checkpoint)
            else:
                self._start_or_roll_back(plan, source.result())
            self.board.webui_answers_on(self.webui.port)
            self.board.finish("webui", "running")

    def _start_or_roll_back(self, plan: Plan, commit: str) -> None:
        """Start it; if a new version does not come up, take the last one that did."""
        good = self._last_good()
        try:
            self._start(plan)
        except Problem as problem:
            if not good or good == commit:
                raise
            self.board.notice(f"The new version of AUTOMATIC1111 ({commit[:8]}) did not start: {problem.what} The last good one ({good[:8]}) is used.")
            bring_webui(self.folder, False, self._say("webui"), self.board.notice, commit=good)
            bring_sub_repositories(self.folder, self._say("webui"), self.board.notice)
            prepare_python(self.folder, packages_for(self._requirements()), self._say("webui"), lambda done, all_: None)
            self._start(plan)
            commit = good
        if not (self.folder.kept / USED_LIST).exists():
            remember_what_was_used(self.folder)
        write_safely(self.folder.kept / "oneclick.json", json.dumps({"last_good": commit}))

    def _start(self, plan: Plan) -> None:
        broken = check_settings_file(self.folder.data)
        if broken:
            self.board.notice(broken)
        self.board.note("webui", "starting Python")
        self.webui.start(plan)
        self._wait_for_webui()

    def _wait_for_webui(self) -> None:
        if not self.webui.wait_until_ready(self._say("webui"), self.over.is_set):
            raise Failed

    # ---- afterwards

    def _watch(self) -> None:
        """While it runs: restart a web UI that died or should, and reopen a dead link."""
        restarts: list[float] = []
        link_seen, tunneled = time.monotonic(), self.tunnel.running
        (self.folder.session / "last-use").touch()
        wanted = self.folder.session / "restart.wanted"
        while not self.over.wait(WATCH_EVERY):
            if wanted.exists() or self.restart_wanted.is_set():
                wanted.unlink(missing_ok=True)
                self.restart_wanted.clear()
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
            tunnel_died = tunneled and not self.tunnel.running
            if tunnel_died or time.monotonic() - link_seen > WATCH_LINK_EVERY:
                self._keep_link()
                link_seen, tunneled = time.monotonic(), self.tunnel.running
            if self.settings.give_back_after:
                self._give_back_if_unused()

    def _again(self, note: str) -> None:
        """End the web UI and start it anew, behind the same link."""
        arguments = self.webui.noted.get("arguments")
        self.board.webui_answers_on(0)
        self.board.start("webui", note)
        try:
            plan = self._plan("")
            self._start(Plan(plan.python, tuple(arguments), plan.environment) if isinstance(arguments, list) else plan)
        except Problem as problem:
            self.board.note("webui", problem.what)
            return  # the next look tries again, or gives up
        self.board.webui_answers_on(self.webui.port)
        self.board.finish("webui", "running")

    def _give_back_if_unused(self) -> None:
        """Give the machine back after the minutes the form says, announced a minute before."""
        unused = time.time() - (self.folder.session / "last-use").stat().st_mtime
        left = self.settings.give_back_after * 60 - unused
        if left > GIVE_BACK_WARNING:
            return
        self.board.notice(f"Nobody used the web UI for a while: at {time.strftime('%H:%M', time.localtime(time.time() + left))} the machine is given back.")
        if left <= 0:
            self._end_processes()
            self.board.notice("The machine was given back, as the field give_back_after says. Press ▶ to start again.")
            self.main.call(lambda: release_machine(self.machine))  # served by the cell, which ends with `over`
            self.over.set()

    def _keep_link(self) -> None:
        """Open the link again if it does not answer."""
        if answers(self._url, patience=15):
            return
        self.board.start("link", "the link does not answer; opening it again")
        try:
            port = self._open_door()
            self.tunnel.close()
            self._url = self._open_link(port)
        except Problem as problem:
            self.board.fail("link", problem)
            return
        self.board.finish("link", self._url)
        self._show_card()

    def let_go(self) -> None:
        """End our threads; the web UI, the door and the link stay."""
        self.over.set()
        self.mirror.stop()
        for thread in self._threads:
            thread.join(timeout=600)

    def end_everything(self) -> None:
        """End the web UI, keep its last files, then end the link and the door."""
        self.over.set()
        self._end_processes()

    def _end_processes(self) -> None:
        self.board.webui_answers_on(0)
        self.webui.stop()
        self.mirror.stop()
        self.tunnel.close()
        end_process(self.folder.session / "door.pid")
        for name in ("login.json", "tunnel.token", "board.json", "launch.json", "door.json"):
            (self.folder.session / name).unlink(missing_ok=True)
        self.board.show_card(None)

    async def show(self) -> None:
        """Keep the cell on it until it is over, or ■."""
        panel = new_panel(self.board, {"Restart the web UI": self.restart_wanted.set, "Stop everything": self._stop_in_thread})
        await show_until(panel, self.over.is_set, self.main.serve, self.fresh_link)

    def fresh_link(self) -> str:
        """The link with a one-time ticket, so that it opens logged in."""
        return f"{self._url}{OWN}enter/{self._login().new_ticket()}"

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
            log = self.folder.session / "launcher.log"
            with log.open("a") as file:
                traceback.print_exc(file=file)
            problem = error if isinstance(error, Problem) else unexpected(error, str(log))
            self.board.fail(name, problem)
            raise Failed from error

    def _say(self, step: str) -> Callable[[str], None]:
        return lambda text: self.board.note(step, text)

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
            progress=lambda done, size: board.progress(step, done, size),
            say=lambda text: board.note(step, text),
            notice=board.notice,
            stop=stop,
        )

    def _plan(self, checkpoint: str) -> Plan:
        flags = (
            *fixed_arguments(self.folder, checkpoint if self.settings.checkpoint != DEFAULT_MODEL else ""),
            *machine_arguments(self.machine.gpu, self.machine.memory),
            *self.settings.extra_arguments,
        )
        return Plan(self.folder.python / "bin" / "python", flags, child_environment(self.folder))

    def _use_checkpoint(self, name: str) -> None:
        """Make a running web UI list, and if it was asked for, load a checkpoint."""
        try:
            self.webui.refresh_checkpoints()
            if self.settings.checkpoint != DEFAULT_MODEL:
                self.webui.choose_checkpoint(name)
        except requests.RequestException as error:
            self.board.notice(f"The running web UI did not take the checkpoint ({type(error).__name__}). Choose it at the top left of the web UI.")

    def _requirements(self) -> bytes:
        return (self.folder.code / "requirements_versions.txt").read_bytes()

    def _last_good(self) -> str:
        try:
            return str(json.loads((self.folder.kept / "oneclick.json").read_text()).get("last_good", ""))
        except (FileNotFoundError, ValueError):
            return ""

    def _login(self) -> Login:
        return Login.of_this_launch(self.folder.session / "login.json")

    def _tunnel_kinds(self) -> tuple[str, ...]:
        """The kinds of public link to try, in order; none outside of Colab unless one was chosen."""
        if self.settings.link == "automatic":
            return tuple(SERVICES) if self.machine.colab else ()
        return (self.settings.link,) if self.settings.link in SERVICES else ()

    def _open_door(self) -> int:
        """The door's port; opens it if it is not open."""
        session = self.folder.session
        if running_pid(session / "door.pid") and (session / "door.json").exists():
            return int(json.loads((session / "door.json").read_text())["port"])
        if not (self.webui.running or self.tunnel.running):  # nothing goes on from before: a new launch, a new password
            for name in ("login.json", "tunnel.token"):
                (session / name).unlink(missing_ok=True)
        self._login()
        (session / "door.json").unlink(missing_ok=True)
        command = [*own_program(session), "door", str(session), str(self.tunnel.port)]  # a running tunnel leads to its old port
        start_detached(command, log=session / "door.log", pid_file=session / "door.pid", env=child_environment(self.folder), cwd=session)
        end = time.monotonic() + DOOR_PATIENCE
        while not (session / "door.json").exists():
            if time.monotonic() > end or not running_pid(session / "door.pid"):
                raise Problem("The login page could not be started.", f"Press ▶ again. Its log is the file {session / 'door.log'}.")
            time.sleep(0.05)
        return int(json.loads((session / "door.json").read_text())["port"])

    def _open_link(self, port: int) -> str:
        """A link that has answered once from outside: a public one, else Colab's own."""
        if self.tunnel.url and self.tunnel.port == port and answers(self.tunnel.url):
            return self.tunnel.url
        kinds, last = self._tunnel_kinds(), None
        for kind in kinds:
            try:
                self.board.note("link", f"asking {SERVICES[kind]} for a link")
                url = self.tunnel.open(kind, own_program(self.folder.session), port)
                if not answers(url):
                    raise Problem(
                        f"{SERVICES[kind]} gave a link that does not answer.", "Press ▶ again in some minutes, or choose another way in the field link."
                    )
                if last:
                    self.board.notice(f"{last.what} {SERVICES[kind].capitalize()} is used instead.")
                return url
            except Problem as problem:
                last = last or problem
                self.tunnel.close()
        if last and self.settings.link != "automatic":
            raise last
        if last:
            self.board.notice(f"{last.what} Colab's own link is used instead: it works only in this browser and for your account.")
        return self._private_link(port) if last or self.settings.link == "Colab's own" else f"http://127.0.0.1:{port}"

    def _private_link(self, port: int) -> str:
        if not self.machine.colab:
            return f"http://127.0.0.1:{port}"
        url = self.main.call(lambda: private_link(port)).rstrip("/")
        if not url:
            raise Problem("Colab gave no link of its own.", "Allow third-party cookies for colab.research.google.com and press ▶ again.")
        return url

    def _show_card(self) -> None:
        where = self._in_words(self.folder.kept / "outputs")
        self.board.show_card(Card(self._url, USER, self._login().password, where, time.time() - self.board.started))

    def _in_words(self, path: Path) -> str:
        """A place as the person finds it: on «My Drive», or on this machine."""
        return f"My Drive/{path.relative_to(self.machine.drive)}" if self.machine.colab else str(path)

    def _stop_in_thread(self) -> None:
        threading.Thread(target=self.end_everything, daemon=True).start()

    def _publish(self) -> None:
        """Write the board where the door reads it, whenever it has changed."""
        version = -1
        while True:
            board = self.board.snapshot()
            if board.version != version:
                version = board.version
                write_safely(self.folder.session / "board.json", json.dumps(board.as_json() | {"api": self.settings.api}), 0o600)
            if self.over.wait(0.2):
                return


def unexpected(error: Exception, log: str) -> Problem:
    """A fault nobody foresaw, said plainly."""
    return Problem(
        f"Something unforeseen happened: {type(error).__name__}: {str(error)[:300]}", f"Press ▶ again. If it stays so, report it with the file {log}."
    )
