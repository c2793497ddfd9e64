"""A cell: asks the service for something, draws what it says, passes buttons on, puts its questions to the person."""

import asyncio
import os
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from typing import Any, Final

from launcher.client import kernel
from launcher.client.connect import ask, connect, service_version
from launcher.core.child_environment import kernels_variables
from launcher.core.problem import NEW_MACHINE
from launcher.core.process import PACKAGE
from launcher.core.session import Session
from launcher.core.status import FAILED, HEADLINES, HELP, JOB_TITLES, UNDERWAY, Row, Snapshot, State
from launcher.ui.actions import Action
from launcher.ui.render import TextPanel

TICK: Final = 0.1  # seconds between two looks at the kernel
SHORTEST_PAUSE: Final = 0.15  # seconds between two statuses
STATUS_PATIENCE: Final = 30.0  # seconds; the service answers after 20
ASK_PATIENCE: Final = 180.0  # seconds: a stop that is underway is waited for
NEW_LINK_EVERY: Final = 300.0  # seconds: a link that opens logged in is worth something for a while only
UNDO_PATIENCE: Final = 5.0  # seconds for which what a job's button does is followed, once its cell has ended
LAST_STATUS: Final = 0.4  # seconds after ■ in which the status may still change

KEEP, ANEW = "keep", "anew"  # what shall become of a web UI that runs with another folder
OTHERS_WAIT: Final = " While this panel is open, other cells wait: ■ lets them run."
CANNOT_START: Final = f"Press ▶ again. If that does not help, {NEW_MACHINE}, and press ▶."
ANOTHER_VERSION: Final = "Another version of the launcher runs now. Press ▶ to go on with this one."


class CellFailed(Exception):
    """It did not succeed: where cells come one by one, the others are not run. The panel has said why: no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Client:
    """One cell. It asks to `do` something with these fields, and shows the launch or a job."""

    def __init__(self, session: Session, do: str, fields: dict[str, Any]) -> None:
        self.session, self.do, self.fields = session, do, fields
        self.face, self.job = uuid.uuid4().hex, 0
        self.snapshot = Snapshot(JOB_TITLES.get(do, HEADLINES[State.STARTING]), started=time.time())
        self.panel: Any = TextPanel()
        if os.environ.get("ONECLICK_PANEL") != "text":
            with suppress(ImportError):  # not every front end has ipywidgets
                from launcher.client.panel import WidgetPanel

                self.panel = WidgetPanel(self.snapshot, self.press, whole=do == "launch")
        # Can nobody answer? "Run all" says so, too.
        self.nobody = isinstance(self.panel, TextPanel) or not kernel.somebody_answers()
        self._somebody_waits = kernel.watch_for_cells()
        self._version: str | None = None  # of the status that answered, or of a newer one
        self._link, self._linked = "", ("", 0.0)  # opens the web UI logged in; its address, and when it was fetched
        self._over, self._closed, self._lost = False, False, False
        self._failure: str | None = None
        self._first_cell: dict[str, Any] = {}  # the values of its form, where no service knows them
        self._answered: set[int] = set()
        self._refusal = ""  # of what was pressed last
        self._conflict = ""  # with what runs, while nobody has chosen
        self._choices = asyncio.Queue[str]()  # KEEP or ANEW
        self._received = asyncio.Queue[dict[str, Any]]()  # statuses
        self._done = threading.Event()  # no more statuses are wanted

    async def show(self) -> None:
        """Until there is nothing left to show, or ■. Raises `CellFailed`."""
        try:
            if self.do not in ("launch", "stop") and not service_version(self.session):
                with kernel.ended_by_stop():  # that may take seconds, and the panel is there already
                    self._first_cell = kernel.first_cells_values()
            while not self._over:
                await self._show_one_service()
        except (KeyboardInterrupt, asyncio.CancelledError):
            self._close()
        finally:
            self._closed = True
            self._done.set()
            self.panel.close()
        if self._failure:
            raise CellFailed(self._failure)

    async def _show_one_service(self) -> None:
        if self._lost and service_version(self.session) not in (None, PACKAGE.name):
            self._over = True
            self._draw_with(notices=(*self.snapshot.notices, ANOTHER_VERSION), buttons=())
            return
        try:
            await asyncio.to_thread(connect, self.session)
        except OSError as error:
            self._fail("The launcher", f"It could not be started on this machine: {error}.", CANNOT_START)
            return
        self._lost, self._version, self._conflict, self._done = False, None, "", threading.Event()
        loop, done = asyncio.get_running_loop(), self._done
        threading.Thread(target=self._poll, args=(loop, done), name="status", daemon=True).start()
        goes_on = self.do == "launch" and self.snapshot.version != ""  # with what another service began
        asking, pump = asyncio.create_task(self._ask_for_it(KEEP if goes_on else "", goes_on)), kernel.kernel_pump()
        try:
            while not self._over:
                await pump()
                if asking.done():
                    asking.result()
                if self._lost:
                    return
                self._draw()
                if self.nobody:
                    self._decline()
                if self._somebody_waits() and self.do == "launch":
                    raise asyncio.CancelledError
                status = None
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK):  # Python 3.11's wait_for may swallow ■ (python/cpython#86296)
                        status = await self._received.get()
                if status:
                    self._take(status)
        finally:
            done.set()
            asking.cancel()

    # ---- what is asked for

    async def _ask_for_it(self, answer: str = "", goes_on: bool = False) -> None:
        """Ask the service; `answer`: what the person wants where that conflicts with what runs.

        `goes_on`: show what runs; begin it where nothing does, unless it was just being stopped.
        """
        body: dict[str, Any] = {"do": self.do, "fields": self.fields, "choices": self._first_cell}
        method, path = "POST", "/add"
        if answer == KEEP:
            method, path, body = "GET", "/status", {}
        elif self.do == "launch":
            path, body = "/launch", {"choices": self.fields, "variables": kernels_variables(), "anew": answer == ANEW}
        body["face"] = self.face
        code, response = await asyncio.to_thread(ask, self.session, method, path, body, ASK_PATIENCE)
        if not code:  # another service is asked
            self._lost = True
        elif goes_on and response["state"] == State.IDLE and self.snapshot.state != State.STOPPING:
            await self._ask_for_it()
        elif "version" in response:
            # It is taken by the cell itself: a dialog that ■ ends belongs to it, not to this task.
            self.job, self._version = response.get("job", 0), response["version"]
            self._received.put_nowait(response)
        elif "differs" in response:
            self._put_conflict(response["differs"])
            await self._ask_for_it(await self._choices.get())
        else:
            where = "The form" if code == 400 else "The launcher"
            self._fail(where, response.get("what", "It could not be done."), response.get("do", ""))

    def _put_conflict(self, differs: dict[str, Any]) -> None:
        """Another folder, or another share of it, than that of the web UI that runs: what shall be?"""
        told = (f"**{name}** is {runs}, and you asked for {asked}" for name, (runs, asked) in differs.items())
        self._conflict = f"A web UI is running already: {'; '.join(told)}."
        sentence = f"{self._conflict} Its images go on being kept where they are kept now. Which shall it be?"
        answers = (("Keep what runs", KEEP), ("Stop it and start with these", ANEW))
        self._draw_with(title="What shall run?", notices=(sentence,), question=0, answers=answers)

    def _fail(self, where: str, what: str, do: str) -> None:
        steps = (Row("form", where, FAILED, problem=what, remedy=do),)
        self._draw_with(title=HELP, steps=steps, notices=(), buttons=(), answers=())
        self._failure, self._over = f"It did not succeed: {what.replace('**', '')}", True

    # ---- what is

    def _poll(self, loop: asyncio.AbstractEventLoop, done: threading.Event) -> None:
        """Wait for each newer status, in a thread of its own: a dialog may hold up the kernel's for minutes."""
        version = ""
        while not done.is_set() and not self._lost:
            path = f"/status?after={version}&face={self.face}&job={self.job}"
            code, status = ask(self.session, "GET", path, patience=STATUS_PATIENCE)
            self._lost = self._lost or not (code or done.is_set())
            if code == 200:
                version = status["version"]
                with suppress(RuntimeError):  # the cell has ended
                    loop.call_soon_threadsafe(self._received.put_nowait, status)
            if code != 204:
                done.wait(SHORTEST_PAUSE)

    def _take(self, status: dict[str, Any]) -> None:
        """Take over a status, unless there was a newer one, or what was asked for is not begun."""
        start, _, number = status["version"].rpartition(".")
        known, _, newest = (self._version or "").rpartition(".")
        mine = [one for one in status["questions"] if one["face"] == self.face]
        if self._version and not (start == known and int(number) < int(newest)):
            self._version = status["version"]
            whole, before = Snapshot.from_json(status), self.snapshot.state
            shown = self.snapshot = whole.jobs.get(self.job, self.snapshot) if self.job else whole
            self._refusal = self._refusal if shown.state == before else ""  # it was about what was then
            self._over = shown.over if self.job else shown.state not in UNDERWAY
            if self._over and shown.state == State.FAILED:
                self._failure = "The launch did not succeed: the panel says why, and what to do."
            for one in (one for one in mine if "options" in one["about"]):  # it needs no dialog
                notices = (*self.snapshot.notices, one["about"]["what"])
                answers = tuple(map(tuple, one["about"]["options"]))
                self.snapshot = replace(self.snapshot, notices=notices, question=one["number"], answers=answers)
        self._draw()
        for one in mine:
            if one["kind"] in kernel.DIALOGS and one["number"] not in self._answered and not self._closed:
                self._answer(one["number"], one["kind"], one["about"])

    def _draw_with(self, **changed: Any) -> None:
        self.snapshot = replace(self.snapshot, **changed)
        self._draw()

    def _draw(self) -> None:
        shown, now = self.snapshot, time.monotonic()
        if not shown.login_box:
            self._linked = "", 0.0
        elif shown.login_box.url != self._linked[0] or now - self._linked[1] > NEW_LINK_EVERY:
            code, answer = ask(self.session, "GET", "/link", patience=5)
            if code:  # first: the box's button never leads to the login page
                self._link, self._linked = answer.get("link", ""), (shown.login_box.url, now)
        if shown.state == State.READY and not self._closed and kernel.waits_for_cells():
            shown = replace(shown, foot=shown.foot + OTHERS_WAIT)
        if self._refusal:
            shown = replace(shown, notices=(*shown.notices, self._refusal))
        self.panel.draw(shown, self._link, self._closed, self.job)

    # ---- what a person does

    def _answer(self, number: int, kind: str, about: dict[str, Any]) -> None:
        self._answered.add(number)
        body: dict[str, Any] = {}
        try:
            with kernel.ended_by_stop():
                body = {"value": kernel.DIALOGS[kind](**about)}
        finally:  # ■ is an answer, too
            ask(self.session, "POST", f"/answers/{number}", body)
        if kind == "mount":
            self.panel.show_again()

    def _decline(self) -> None:
        """Nobody answers what the buttons ask."""
        if self._conflict:
            do = "What runs goes on as it is. To change that, press ▶ on this cell alone, or on **Stop** before it."
            self._fail("The form", self._conflict, do)
        if number := self.snapshot.question:
            self.snapshot = replace(self.snapshot, question=0, answers=())
            ask(self.session, "POST", f"/answers/{number}", {})

    def press(self, action: Action) -> None:
        """A button was pressed, perhaps after the cell has ended, and the service after it."""
        if action.path == "/answers/0":  # to the conflict: the cell asks anew, in its own thread
            if self._conflict:
                self._conflict = ""
                self._choices.put_nowait(action.body["value"]["choice"])
                self._draw_with(notices=(), answers=())
            return
        for _ in range(2):
            code, response = ask(self.session, action.method, action.path, dict(action.body))
            if code:
                break
            with suppress(OSError, HTTPException):
                connect(self.session)
        else:
            code, response = 503, {"what": "The launcher does not answer.", "do": "Press ▶ again."}
        self._refusal = " ".join(filter(None, map(response.get, ("what", "do")))) if code >= 400 else ""
        if self._refusal:
            self._draw()
        elif "version" not in response:  # an answer was taken: a second press is none
            self._draw_with(question=0, answers=())
        elif self._closed:
            self._take(response)
            if self.job:
                self._follow(UNDO_PATIENCE)
        else:  # the cell takes it, in its own thread
            self._received.put_nowait(response)

    def _close(self) -> None:
        """■: tell the service, wait a moment for the last status, and leave the panel as it is."""
        self._closed = True
        self._done.set()
        if self.job:
            ask(self.session, "DELETE", f"/jobs/{self.job}", patience=1)
        ask(self.session, "DELETE", f"/faces/{self.face}", patience=1)
        self._follow(LAST_STATUS)
        if self._conflict:
            self.snapshot = replace(self.snapshot, notices=(), answers=())
        self._failure = None
        self._draw()

    def _follow(self, seconds: float) -> None:
        """Draw what comes so long, where nobody polls any more."""
        end, code = time.monotonic() + seconds, 200
        while code and (left := end - time.monotonic()) > 0 and self._version and not self._over:
            code, status = ask(self.session, "GET", f"/status?after={self._version}", patience=left)
            if code == 200:
                self._take(status)
