"""A web UI that runs: what is done beside it, when it dies, when a button is pressed, and how everything ends."""

import threading
import time
from collections.abc import Callable
from typing import Final

from launcher.colab.machine import release_machine
from launcher.core.board import Board
from launcher.core.problem import Problem
from launcher.drive.mount import flush_drive
from launcher.drive.troubles import is_drives_fault
from launcher.git.repository import keep_edits
from launcher.launch.steps import Failed
from launcher.launch.watch import CONNECT_DRIVE, WATCH_DRIVE_EVERY, DriveWatch, LinkWatch, UseWatch
from launcher.launch.workplace import Workplace
from launcher.models.checksums import sync_checksums
from launcher.models.previews import fetch_missing_previews
from launcher.models.taken_over import broken_models
from launcher.python.bytecode import keep_bytecode

WATCH_EVERY: Final = 0.5  # seconds between two looks at the web UI
FIRST_IMAGE: Final = 60.0  # seconds after which what an image needs has probably been imported, too
RESTARTS_ALLOWED: Final = 3
RESTARTS_WITHIN: Final = 600.0  # seconds

RESTART: Final = "Restart the web UI"
STOP: Final = "Stop everything"
RUNNING: Final = "■ closes this panel; the web UI keeps running. **Stop everything** ends it."
AGAIN: Final = "Press ▶ on the first cell to start again."
STILL_YOURS: Final = (
    f"{AGAIN} The machine is still yours, and may use compute units until you choose "
    "**Runtime → Disconnect and delete runtime** in Colab's menu."
)


class Running:
    """Watches over the web UI of one workplace. `somebody` says whether a window looks at it."""

    def __init__(self, place: Workplace, somebody: Callable[[], bool]) -> None:
        self.place, self.board, self.steps = place, place.board, place.steps
        self.session, self.folder, self.machine = place.session, place.folder, place.machine
        self.webui, self.mirror, self.over = place.webui, place.mirror, place.over
        self.drive_watch = DriveWatch(place.steps, place.machine, place.ask_here, somebody, place.mirror)
        self._story: threading.Thread | None = None

    def show_login_box(self) -> None:
        """Show the way in, and the buttons."""
        self.place.tell_door()
        self.board.show_buttons(RESTART, STOP)
        self.board.show_foot(RUNNING)
        self.board.show_login_box(self.place.login_box())

    def somebody_looks(self) -> None:
        """A window was opened: a Drive that was disconnected meanwhile can be asked for."""
        if self.drive_watch.away:
            self.drive_watch.connect()

    def look_around(self) -> None:
        """Off the main way: note what works, say what is broken in a folder that was taken over, keep a person's
        changes in it, and bring what its models need.
        """
        self._while_drive_is_there("noting the version that works", self.place.starter.note_what_started)
        self._while_drive_is_there("looking through your folder", self._look_through_folder)
        self._while_drive_is_there(
            "downloading the previewer for SDXL",
            lambda: fetch_missing_previews(self.place.fetcher(self.board, "model", self.over)),
        )
        if self.webui.wait_for_model(self.over):
            self._while_drive_is_there("saving the checksums of your models", lambda: sync_checksums(self.folder))
        if not self.over.wait(FIRST_IMAGE):
            packages = self.place.starter.packages()
            self._while_drive_is_there("saving bytecode", lambda: keep_bytecode(self.folder, packages))

    def _while_drive_is_there(self, what: str, work: Callable[[], None]) -> None:
        """Do it; a Drive that is away meanwhile is waited for: `DriveWatch` says so, and asks for it."""
        with self.steps.beside(what):
            while True:
                try:
                    work()
                    return
                except OSError as error:
                    if not is_drives_fault(error, self.folder.kept) or self.over.wait(WATCH_DRIVE_EVERY):
                        raise

    def _look_through_folder(self) -> None:
        if (self.folder.kept / ".git" / "index").exists():
            keep_edits(self.folder.kept, self.folder.kept, self.steps.reporter("source"))
        dead = self.folder.dead_shortcuts()
        if dead:
            self.board.notice(f"These shortcuts on your Drive point to nothing and were skipped: {', '.join(dead)}.")
        looked, broken = broken_models(self.folder, self.place.notes.looked_at)
        if broken:
            told = "; ".join(f"{name} ({fault})" for name, fault in broken.items())
            self.board.notice(
                f"Damaged files in your folder: {told}. Nothing was changed. Delete them on Google Drive, or "
                "download them again."
            )
        self.place.notes.note(looked_at=sorted(looked))

    def watch(self) -> None:
        """While it runs: restart a web UI that died or should, and look after Drive, the link and the machine."""
        self._story = threading.current_thread()
        restarts: list[float] = []
        self.session.last_use.touch()
        link = LinkWatch(self.steps, self.place.public_link, self.show_login_box)
        use = UseWatch(self.board, self.place.settings.give_back_after, self.session.last_use)
        while not self.over.wait(WATCH_EVERY):
            self.drive_watch.look()
            link.look()
            if self.drive_watch.away:  # a start needs Drive: it waits, and does not count as one that failed
                if self.session.restart_wanted.exists() or not self.webui.running:
                    self.board.note("webui", "it starts again once Google Drive is connected")
            elif self.session.restart_wanted.exists():
                self.session.restart_wanted.unlink()
                self._again("restarting, as you asked")
            elif not self.webui.running:
                problem = self.webui.why_it_ended()
                restarts = [t for t in restarts if time.monotonic() - t < RESTARTS_WITHIN] + [time.monotonic()]
                if len(restarts) > RESTARTS_ALLOWED:
                    self.board.webui_answers_on(0)
                    self.board.fail("webui", problem)
                    self.board.show_login_box(None)
                    return
                self.board.notice(f"The web UI was restarted ({time.strftime('%H:%M')}): {problem.what}", about="again")
                self._again("starting again")
            if use.look():
                self._give_back()

    def _again(self, note: str) -> None:
        """Start the web UI anew, behind the same link. The one before answers until everything for the next is
        ready.
        """
        checkpoint = self.webui.chosen_checkpoint
        if not self.webui.running:
            self.board.webui_answers_on(0)
        self.board.start("webui", note)
        with self.steps.beside("restarting the web UI"):
            try:
                self.place.starter.start(self.place.starter.plan(checkpoint))
            except (Problem, Failed) as problem:
                what = problem.what if isinstance(problem, Problem) else "stopped; press ▶ to continue from here"
                self.board.note("webui", what)
                if not self.webui.running:
                    return  # the next look tries again, or gives up
                self.board.notice(f"The web UI was not restarted and keeps running as before: {what}", about="again")
            self.board.webui_answers_on(self.webui.port)
            self.board.finish("webui", "running")

    def press(self, button: str) -> None:
        """A button of the panel was pressed."""
        if button == RESTART:
            self.session.restart_wanted.touch()
        elif button == CONNECT_DRIVE:
            self.drive_watch.connect()
        elif button == STOP:
            threading.Thread(target=self._stop_everything, name="stop", daemon=True).start()

    def _stop_everything(self) -> None:
        with self.steps.beside("stopping"):
            self.end_everything()
        self.say_machine_is_kept(self.board)
        self.close("Everything is off")

    def say_machine_is_kept(self, board: Board) -> None:
        """Everything is off; a machine that Colab lends may cost something all the same."""
        if self.machine.colab:
            board.show_foot(STILL_YOURS)

    def close(self, headline: str) -> None:
        """Everything has ended: say so; the windows close."""
        self.board.entitle(headline, headline)
        self.place.finished.set()

    def end_everything(self) -> None:
        """End the web UI, keep its last files, then end the link and the door. The panel says what is."""
        self.place.ending.set()
        self.over.set()
        self.board.webui_answers_on(0)
        self.board.show_login_box(None)
        self.board.show_buttons()
        self.board.show_foot(AGAIN)
        for name, note in (("webui", "ending"), ("link", "ending")):
            self.board.start(name, note)
        self.webui.stop()
        if self._story and self._story is not threading.current_thread():
            self._story.join(timeout=60)  # it may just be starting it again
            self.webui.stop()
        self.mirror.stop()
        self.place.public_link.close()
        for name in ("webui", "link"):
            self.board.rest(name, "off")
        for path in (self.session.board, self.session.launch_file):
            path.unlink(missing_ok=True)

    def _give_back(self) -> None:
        """Nobody uses the machine: end everything, have Google take what is on its way, and give the machine back."""
        self.end_everything()
        self.board.withdraw("give back")
        with self.steps.beside("giving the machine back"):
            self.give_back(self.board)
            self.board.notice(
                "The machine was given back, as set in the field **give_back_after**. Press ▶ to start again."
            )
            self.close("The machine was given back")
            return
        self.close("Everything is off, but the machine was not given back")

    def give_back(self, board: Board) -> None:
        """Flush Drive and give the machine back; raises `Problem`, and then nothing is given back."""
        if self.mirror.unkept:
            raise Problem(
                f"{self.mirror.unkept} files are not on Google Drive yet: {self.mirror.summary()}.",
                "The machine was not given back, and they are still on it. Press ▶ on the first cell to "
                "connect Drive again.",
            )
        flush_drive(self.machine)
        release_machine(self.machine)
