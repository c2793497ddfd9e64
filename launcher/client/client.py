"""A cell: asks the service for something, draws what it says, passes buttons on, puts its questions to the person."""

import asyncio
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from typing import Any, Final

from launcher.client.connect import ask_anyway, connect, service_version
from launcher.client.dialogs import DIALOGS, with_buttons
from launcher.client.kernel import cells_that_wait, ended_by_stop, pumped_kernel, somebody_answers, waits_for_cells
from launcher.client.panel import TextPanel, new_panel
from launcher.colab.notebook import first_cells_values
from launcher.core.child_environment import kernels_variables
from launcher.core.process import PACKAGE
from launcher.core.session import Session, request
from launcher.core.snapshot import FAILED, HEADLINES, HELP, JOB_TITLES, UNDERWAY, Button, Row, Snapshot, State
from launcher.ui.actions import ANEW, KEEP, Action

TICK: Final = 0.1  # seconds between two looks at the kernel
SHORTEST_PAUSE: Final = 0.15  # seconds between two statuses
STATUS_PATIENCE: Final = 30.0  # seconds; the service answers after 20
ASK_PATIENCE: Final = 180.0  # seconds: a stop that is underway is waited for
NEW_LINK_EVERY: Final = 300.0  # seconds: a link that opens logged in is worth something for a while only
UNDO_PATIENCE: Final = 5.0  # seconds for which what a job's button does is followed, once its cell has ended
LAST_STATUS: Final = 0.4  # seconds after ■ in which the status may still change
BAD_REQUEST: Final = 400  # and above: refused, with the reason
TOGETHER: Final = 1.0  # seconds in which "Run all" sends all its cells

OTHERS_WAIT: Final = " While this panel is open, other cells wait: ■ lets them run."
ANOTHER_VERSION: Final = "Another version of the launcher runs now. Press ▶ to go on with this one."
NO_SERVICE: Final = (OSError, HTTPException)  # the service has just ended


class CellFailed(Exception):
    """It did not succeed: where cells come one by one, the others are not run. The panel has said why: no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Client:
    """One cell. It asks to `do` something with these fields, and shows the launch or a job."""

    def __init__(self, session: Session, do: str, fields: dict[str, Any]) -> None:
        self.session, self.do, self.fields = session, do, fields
        self.face, self.job = uuid.uuid4().hex, 0
        title = JOB_TITLES.get(do, HEADLINES[State.STARTING])
        self.snapshot, self.link = Snapshot(title, started=time.time()), ""
        self.panel = new_panel(self.snapshot, self.press, whole=do == "launch")
        self.nobody = not somebody_answers() or isinstance(self.panel, TextPanel)  # can answer; "Run all" says so, too
        self._began, self._waiting_cells = time.monotonic(), 0
        self._version: str | None = None  # of the status that answered, or of a newer one
        self._linked: float | None = None  # when the link was fetched
        self._over, self._closed, self._lost = False, False, False
        self._failure: str | None = None
        self._first_cell: dict[str, Any] = {}  # the values of its form, where no service knows them
        self._answered: set[int] = set()
        self._refusal = ""  # of what was pressed last
        self._choice: asyncio.Future[Action | None] | None = None
        self._received = asyncio.Queue[dict[str, Any]]()  # statuses
        self._done = threading.Event()  # no more statuses are wanted

    async def show(self) -> None:
        """Until there is nothing left to show, or ■. Raises `CellFailed`."""
        try:
            if self.do not in ("launch", "stop") and not service_version(self.session):
                with ended_by_stop():  # that may take seconds, and the panel is there already
                    self._first_cell = first_cells_values() or {}
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
            self.snapshot = replace(self.snapshot, notices=(*self.snapshot.notices, ANOTHER_VERSION), buttons=())
            self._over = True
            self._draw()
            return
        await asyncio.to_thread(connect, self.session)
        self._lost, self._version, self._done = False, None, threading.Event()
        loop, done = asyncio.get_running_loop(), self._done
        threading.Thread(target=self._poll, args=(loop, done), name="status", daemon=True).start()
        asking = asyncio.create_task(self._ask())
        try:
            with pumped_kernel() as pump:
                while not self._over:
                    await pump()
                    if asking.done():
                        asking.result()
                    if self._lost:
                        return
                    self._draw()
                    if self.nobody:
                        self._choose(None)
                        self._decline()
                    if self._somebody_waits():
                        raise asyncio.CancelledError
                    status = None
                    with suppress(TimeoutError):
                        async with asyncio.timeout(TICK):
                            status = await self._received.get()
                    if status:
                        self._take(status)
        finally:
            done.set()
            asking.cancel()

    # ---- what is asked for

    async def _ask(self) -> None:
        """Ask for it; a conflict with what runs is put to the person."""
        body: dict[str, Any] = {"face": self.face}
        if self.do == "launch":
            path, body = "/launch", body | {"choices": self.fields, "variables": kernels_variables()}
        else:
            path, body = "/add", body | {"do": self.do, "fields": self.fields, "choices": self._first_cell}
        code, response = await self._request("POST", path, body)
        if code == 409:
            answer = await self._put_conflict(response)
            if answer == ANEW:
                code, response = await self._request("POST", path, body | {"anew": True})
            elif answer == KEEP:
                code, response = await self._request("GET", "/status")
        if "version" in response:
            # It is taken by the cell itself: a dialog that ■ ends belongs to it, not to this task.
            self.job, self._version = response.get("job", 0), response["version"]
            self._received.put_nowait(response)
        elif code not in (0, 409):
            where = "The launcher" if code == 500 else "The form"
            self._fail(where, response.get("what", "It could not be done."), response.get("do", ""))

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        try:
            return await asyncio.to_thread(request, self.session.notebook_socket, method, path, body, ASK_PATIENCE)
        except NO_SERVICE:  # another service is asked
            self._lost = True
            return 0, {}

    async def _put_conflict(self, response: dict[str, Any]) -> Action | None:
        """Another folder, or another share of it, than that of the web UI that runs: what shall be? None where nobody
        can be asked; then the cell has failed.
        """
        differs = "; ".join(
            f"**{name}** is {runs}, and you asked for {asked}" for name, (runs, asked) in response["differs"].items()
        )
        what = f"A web UI is running already: {differs}."
        self._choice = asyncio.get_running_loop().create_future()
        sentence = f"{what} Its images go on being kept where they are kept now. Which shall it be?"
        buttons = (Button.KEEP, Button.ANEW)
        self.snapshot = replace(self.snapshot, title="What shall run?", notices=(sentence,), buttons=buttons)
        answer = await self._choice
        if answer is None:
            do = "What runs goes on as it is. To change that, press ▶ on this cell alone, or on **Stop** before it."
            self._fail("The form", what, do)
        return answer

    def _choose(self, answer: Action | None) -> None:
        if self._choice and not self._choice.done():
            self._choice.set_result(answer)

    def _fail(self, where: str, what: str, do: str) -> None:
        steps = (Row("form", where, FAILED, problem=what, remedy=do),)
        self.snapshot = replace(self.snapshot, title=HELP, steps=steps, notices=(), buttons=())
        self._draw()
        self._failure, self._over = f"It did not succeed: {what.replace('**', '')}", True

    # ---- what is

    def _poll(self, loop: asyncio.AbstractEventLoop, done: threading.Event) -> None:
        """Wait for each newer status, in a thread of its own: a dialog may hold up the kernel's for minutes."""
        version = ""
        while not done.is_set() and not self._lost:
            path = f"/status?after={version}&face={self.face}&job={self.job}"
            try:
                code, status = request(self.session.notebook_socket, "GET", path, patience=STATUS_PATIENCE)
            except NO_SERVICE:
                self._lost, code = self._lost or not done.is_set(), 0
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
        if self._version and not (start == known and int(number) < int(newest)):
            self._version = status["version"]
            whole = Snapshot.from_json(status)
            self.snapshot = whole.jobs.get(self.job, self.snapshot) if self.job else whole
            self.snapshot = with_buttons(self.snapshot, status["questions"], self.face)
            self._over = self.snapshot.over if self.job else self.snapshot.state not in UNDERWAY
            if self._over and self.snapshot.state == State.FAILED:
                self._failure = "The launch did not succeed: the panel says why, and what to do."
        self._draw()
        for question in status["questions"] if not self._closed else ():
            mine = question["face"] == self.face and question["kind"] in DIALOGS
            if mine and question["number"] not in self._answered:
                self._answer(**question)

    def _draw(self) -> None:
        box, now, shown = self.snapshot.login_box, time.monotonic(), self.snapshot
        if not box:
            self._linked = None
        elif self._linked is None or now - self._linked > NEW_LINK_EVERY:
            with suppress(*NO_SERVICE):  # first: the box's button never leads to the login page
                self.link = request(self.session.notebook_socket, "GET", "/link", patience=5)[1].get("link", "")
                self._linked = now
        if shown.state == State.READY and not self._closed and waits_for_cells():
            shown = replace(shown, foot=shown.foot + OTHERS_WAIT)
        if self._refusal:
            shown = replace(shown, notices=(*shown.notices, self._refusal))
        self.panel.draw(shown, self.link, self._closed, self.job)

    def _somebody_waits(self) -> bool:
        """True once a cell was run that waits for this one, such as this very cell again, whose panel is gone then."""
        waiting = cells_that_wait()
        if time.monotonic() - self._began < TOGETHER:  # those of "Run all"
            self._waiting_cells = max(self._waiting_cells, waiting)
        return self.do == "launch" and waiting > self._waiting_cells

    # ---- what a person does

    def _answer(self, number: int, kind: str, about: dict[str, Any], face: str) -> None:
        self._answered.add(number)
        body: dict[str, Any] = {}
        try:
            with ended_by_stop():
                body = {"value": DIALOGS[kind](**about)}
        finally:  # ■ is an answer, too
            with suppress(*NO_SERVICE):
                request(self.session.notebook_socket, "POST", f"/answers/{number}", body)
        if kind == "mount":
            self.panel.show_again()

    def _decline(self) -> None:
        """Nobody answers what the buttons ask."""
        if number := self.snapshot.question:
            self.snapshot = replace(self.snapshot, question=0, answers=())
            with suppress(*NO_SERVICE):
                request(self.session.notebook_socket, "POST", f"/answers/{number}", {})

    def press(self, action: Action) -> None:
        """A button was pressed, perhaps after the cell has ended."""
        if action in (KEEP, ANEW):
            if self._choice and self.snapshot.buttons:
                self.snapshot = replace(self.snapshot, notices=(), buttons=())
                self._choice.get_loop().call_soon_threadsafe(self._choose, action)
            return
        try:
            code, response = ask_anyway(self.session, action.method, action.path, dict(action.body))
        except NO_SERVICE as error:
            code, response = 409, {"what": f"The launcher does not answer ({type(error).__name__}). Press ▶ again."}
        self._refusal = f"{response.get('what', '')} {response.get('do', '')}".strip() if code >= BAD_REQUEST else ""
        if self._refusal or "version" not in response:  # an answer to a question has no status in return
            self._draw()
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
        with suppress(*NO_SERVICE):
            if self.job:
                request(self.session.notebook_socket, "DELETE", f"/jobs/{self.job}", patience=1)
            request(self.session.notebook_socket, "DELETE", f"/faces/{self.face}", patience=1)
        self._follow(LAST_STATUS)
        if self._choice and not self._version:
            self.snapshot = replace(self.snapshot, notices=(), buttons=())
        self._failure = None
        self._draw()

    def _follow(self, seconds: float) -> None:
        """Draw what comes so long, where nobody polls any more."""
        end = time.monotonic() + seconds
        with suppress(*NO_SERVICE):
            while (left := end - time.monotonic()) > 0 and self._version and not self._over:
                path = f"/status?after={self._version}"
                code, status = request(self.session.notebook_socket, "GET", path, patience=left)
                if code == 200:
                    self._take(status)
