"""What the service does: one launch, its jobs, and an answer to every request."""

import itertools
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from inspect import signature
from typing import Any, Final

from launcher.colab.machine import look_at_machine
from launcher.core.child_environment import adopt, passes
from launcher.core.fields import DEFAULTS, IMMEDIATE, NOT_BY_THE_PAGE, asked_in
from launcher.core.problem import Problem
from launcher.core.process import running_pid
from launcher.core.session import Session, read_object
from launcher.core.snapshot import HELP, JOB_TITLES, UNDERWAY, State
from launcher.core.status import Status, StatusChanges
from launcher.launch.launch import Launch
from launcher.launch.remember import settings_of
from launcher.launch.steps import Failed, Steps
from launcher.launch.stop import let_go
from launcher.launch.story import begin, remember
from launcher.launch.watch import reconnect_drive
from launcher.service import choices as chosen
from launcher.service.jobs import JOBS, Job
from launcher.service.questions import Faces
from launcher.service.server import Request, Response, Route, wrong_fields
from launcher.service.undo import undo

LONGEST_STATUS_WAIT: Final = 20.0  # seconds for which a status is waited for
STOP_PATIENCE: Final = 120.0  # seconds in which a stop that is underway has come to an end
JOBS_SHOWN: Final = 20
JOB_STOPPED: Final = "stopped; add it again to continue from here"
WHY_NOT: Final[dict[str, str]] = {
    State.STARTING: "It is starting already.",
    State.RESTARTING: "It is being restarted already.",
    State.STOPPING: "It is being stopped.",
}
NOTHING_KNOWN: Final = "Nothing has been started yet. Press ▶ on the first cell."


class Service:
    """One launch at a time, and jobs beside it."""

    def __init__(self, session: Session) -> None:
        self.session, self.changes = session, StatusChanges()
        self.status, self.faces = Status("Nothing is running", self.changes), Faces(self.changes)
        self.fault = Steps(self.status, session.log, threading.Event()).problem  # of what nobody foresaw
        self.launch: Launch | None = None
        self.start = secrets.token_hex(4)  # another one is another service: its status is not to be waited for
        self._jobs: dict[int, Job] = {}
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    @property
    def routes(self) -> tuple[Route, ...]:
        launch = {"choices": dict, "variables": dict, "face": str, "anew": bool}
        add = {"do": str, "fields": dict, "what": str, "kind": str, "file_name": str, "choices": dict, "face": str}
        return (
            Route("GET", "/status", self.get_status, {"after": str, "face": str, "job": str}, page=True),
            Route("GET", "/link", self.get_link, {}),
            Route("POST", "/launch", self.post_launch, launch),
            Route("POST", "/restart", self.post_restart, {}, page=True),
            Route("POST", "/stop", self.post_stop, {"give_back": bool, "choices": dict, "face": str}, page=True),
            Route("POST", "/add", self.post_add, add, page=True),
            Route("POST", "/choices", self.post_choices, {"choices": dict, "forget": bool}, page=True),
            Route("POST", "/connect", self.post_connect, {}, page=True),
            Route("POST", "/used", self.post_used, {"ago": int}, page=True),
            Route("POST", r"/answers/(\d{1,9})", self.post_answer, {"value": dict}),
            Route("DELETE", r"/jobs/(\d{1,9})", self.delete_job, {"undo": bool}, page=True),
            Route("DELETE", r"/faces/([\w-]{1,40})", self.delete_face, {}),
        )

    # ---- what is

    def accepted(self, request: Request, code: int = 202, **more: Any) -> Response:
        """The whole status as it is now. The page's has no way in, and none of a question's details."""
        with self.changes:
            now = self.status.now.public() if request.page else asdict(self.status.now)
            questions = self.faces.open_questions()
            return code, now | more | {
                "version": f"{self.start}.{self.changes.number}",
                "jobs": {str(number): job.status.now.public() for number, job in self._jobs.items()},
                "questions": [{"kind": one["kind"]} for one in questions] if request.page else questions,
                "choices": chosen.shown(self.launch.settings) if self.launch else {},
            }  # fmt: skip

    def get_status(self, request: Request) -> Response:
        """The status as soon as there is a newer one than the face has seen."""
        start, _, number = request.fields.get("after", "").rpartition(".")
        after = int(number) if start == self.start and number.isdecimal() else -1
        job = request.fields.get("job", "")
        self.faces.comes(request.face, int(job) if job.isdecimal() else 0, waiting=1)
        try:
            newer = self.changes.wait_beyond(after, LONGEST_STATUS_WAIT, request.gone)
        finally:
            self.faces.goes(request.face)
        return self.accepted(request, 200) if newer else (204, None)

    def get_link(self, request: Request) -> Response:
        return 200, {"link": self.launch.public_link.fresh_link() if self.launch else ""}

    # ---- the launch

    def post_launch(self, request: Request) -> Response:
        """▶: what runs, a new launch, or 409 where that would change what belongs to the web UI that runs."""
        asked, variables = chosen.asked_by(request.fields.get("choices", {})), request.fields.get("variables", {})
        settings_of(asked)  # a wrong field is said before anything else
        wrong = [name for name, value in variables.items() if not passes(name) or not isinstance(value, str)]
        if wrong:
            return 400, {"what": f"This variable is not handed on: {wrong[0][:40]}."}
        end = time.monotonic() + STOP_PATIENCE
        while self.status.now.state == State.STOPPING and time.monotonic() < end and not request.gone():
            self.changes.wait_beyond(self.changes.number, 1.0)
        with self._lock:
            self.faces.comes(request.face, 0)  # it may be asked something before its first look
            before, anew, choices = self.launch, False, chosen.of_this_machine(self.session, asked)
            underway = before is not None and self.status.now.state in UNDERWAY and not before.over.is_set()
            if before and (underway or before.webui.running):
                asked = before.news_in(asked)
                settings = settings_of(before.settings.as_form() | asked)
                if underway and settings == before.settings:
                    if before.drive_away:
                        reconnect_drive(before)
                    return self.accepted(request)
                differs = chosen.differences(before.settings, settings)
                if differs and underway and not request.fields.get("anew"):
                    return 409, {"runs": chosen.shown(before.settings), "differs": differs}
                anew = underway and bool(differs)
                # Another folder has choices of its own.
                choices = {"drive_folder": before.settings.drive_folder} | asked if differs else before.choices | asked
            self._begin(choices, variables, anew=anew)
            return self.accepted(request)

    def _begin(
        self, choices: dict[str, Any], variables: Any = None, *, anew: bool = False, take_up: bool = False
    ) -> None:
        variables = variables or read_object(self.session.launch_file).get("variables")
        if isinstance(variables, dict) and variables:
            adopt(variables)
        before, self.launch = self.launch, self._new_launch(choices)
        self.launch.variables = variables or {}
        begin(self.launch, before, anew=anew, take_up=take_up)

    def _new_launch(self, choices: dict[str, Any]) -> Launch:
        ask, somebody = partial(self.faces.ask, 0), partial(self.faces.shows, 0)
        return Launch(choices, look_at_machine(), self.status, ask, somebody, self.launch)

    def take_up_what_runs(self) -> None:
        """A web UI runs that an earlier service started: this one keeps its images from now on."""
        if running_pid(self.session.webui.pid_file):
            self._begin(chosen.of_running(self.session), take_up=True)

    def post_restart(self, request: Request) -> Response:
        """Done: it is being restarted. Started: it had given up, and is being started. Refused: why."""
        with self._lock:
            state, launch = self.status.now.state, self.launch
            choices = launch.choices if launch else chosen.noted(self.session)
            if state in WHY_NOT or state == State.OFF or not (launch or choices):
                return self.accepted(request, 409, answer="refused", what=WHY_NOT.get(state, NOTHING_KNOWN))
            if launch and launch.thread and launch.thread.is_alive() and not launch.over.is_set():  # it is watched
                launch.restart_wanted.set()
                self.status.show(state=State.RESTARTING)
            else:
                self._begin(choices)
            return self.accepted(request, answer="done" if state == State.READY else "started")

    def post_choices(self, request: Request) -> Response:
        """Other choices for what runs: some take effect at once, the others at the next restart."""
        given, forget = request.fields.get("choices", {}), request.fields.get("forget", False)
        barred = [name for name in (DEFAULTS if forget else given) if request.page and name in NOT_BY_THE_PAGE]
        if barred:
            return 403, {"what": f"{barred[0]} can be changed in the notebook only."}
        if unknown := set(given) - set(DEFAULTS):
            return 400, {"what": f"There is no such choice: {min(unknown)[:40]!r}."}
        with self._lock:
            if not (launch := self.launch):
                return 409, {"what": NOTHING_KNOWN}
            before, asked = launch.settings, launch.news_in(asked_in(given))
            chosen.require_no_link(asked)
            if differs := chosen.differences(before, settings_of(before.as_form() | asked)):
                return 409, {"runs": chosen.shown(before), "differs": differs}
            if forget:
                launch.forget_choices()
            else:
                launch.choose(asked)
            remember(launch)
            changed = [name for name in DEFAULTS if getattr(launch.settings, name) != getattr(before, name)]
            return self.accepted(request, at_restart=[name for name in changed if name not in IMMEDIATE])

    def post_connect(self, request: Request) -> Response:
        """Have a Drive that was disconnected connected: the notebook is asked."""
        if self.launch:
            reconnect_drive(self.launch)
        return self.accepted(request)

    def post_used(self, request: Request) -> Response:
        """The door: somebody used the web UI so many seconds ago."""
        if self.launch:
            self.launch.used_at = time.time() - request.fields.get("ago", 0)
        return 204, None

    # ---- jobs

    def post_stop(self, request: Request) -> Response:
        return self._begin_job("stop", {"give_back_the_machine": request.fields.get("give_back", False)}, request)

    def post_add(self, request: Request) -> Response:
        """Whatever is written in Add, or what a cell's form asks for. A page's texts may ask for less: `jobs.Job`."""
        do = request.fields.get("do", "add_model")
        if request.page and do != "add_model" and not (self.launch and self.launch.settings.extensions_tab):
            return 403, {"what": "Extensions are added in the notebook, where you say whether you trust them."}
        if do not in JOBS:
            return 400, {"what": "There is no such job."}
        written = {name: request.fields[name] for name in ("what", "kind", "file_name") if name in request.fields}
        return self._begin_job(do, request.fields.get("fields", written), request)

    def _begin_job(self, do: str, fields: dict[str, Any], request: Request) -> Response:
        work = JOBS[do]
        known = {name: one.annotation for name, one in signature(work).parameters.items() if name != "job"}
        if wrong := wrong_fields(fields, known):
            return 400, {"what": f"This cannot be asked: {wrong}."}
        with self._lock:
            number, status = next(self._numbers), Status(JOB_TITLES[do], self.changes)
            steps = Steps(status, self.session.log, threading.Event(), JOB_STOPPED)
            # It belongs to the launch there is; else to one, not begun, of what the last launch and the first cell say.
            # The page may not choose: what it may ask for hangs on that.
            form = {} if request.page else request.fields.get("choices", {})
            asked = chosen.of_this_machine(self.session, chosen.asked_by(form))
            launch = self.launch or self._new_launch(chosen.noted(self.session) | asked)
            if do == "stop":
                self.launch = launch
            job = Job(launch, steps, partial(self.faces.ask, number), request.page, self.faces.tokens)
            self._jobs = dict(list(self._jobs.items())[-JOBS_SHOWN:]) | {number: job}
            self.faces.comes(request.face, number)
            self._begin_work(job, partial(work, job, **fields), "Stopped" if do == "stop" else "Done")
        return self.accepted(request, job=number)

    def _begin_work(self, job: Job, work: Callable[[], None], done_title: str) -> None:
        def run() -> None:
            status = job.status
            try:
                work()
            except Failed:
                pass  # its step has said so
            except Problem as problem:  # with what was asked for
                status.add("0", status.now.title)
                status.step("0").fail(problem)
            except Exception as error:
                status.notice(self.fault(error).what)
            title = HELP if status.now.failed else done_title
            status.show(over=True, title=title, can_undo=job.can_undo)

        self._threads.append(threading.Thread(target=run, name="job"))
        self._threads[-1].start()

    def delete_job(self, request: Request) -> Response:
        """■: the job should end. `undo`: it has, and what it added is taken away again."""
        job = self._jobs.get(int(request.number))
        if not request.fields.get("undo"):
            if job:
                job.steps.over.set()
            return self.accepted(request)
        with self._lock:
            if not job or not job.status.now.can_undo:
                return 409, {"what": "There is nothing of it that could be taken away."}
            job.status.show(over=False, can_undo=False)
            launches = {id(one): one for one in (self.launch, *(job.launch for job in self._jobs.values())) if one}
            fetchers = [fetcher for launch in launches.values() for fetcher in launch.fetchers]
            used = {path for fetcher in fetchers if fetcher not in job.fetchers for path in fetcher.used}
            self._begin_work(job, partial(undo, job, used), "Taken away again")
        return self.accepted(request)

    def delete_face(self, request: Request) -> Response:
        """■: nobody looks there any more."""
        self.faces.remove(request.number)
        return self.accepted(request)

    def post_answer(self, request: Request) -> Response:
        """What a dialog gave, or no value where it was stopped."""
        there = self.faces.answer(int(request.number), request.fields.get("value"))
        return (204, None) if there else (404, {"what": "This is not asked any more."})

    # ---- the end

    @property
    def busy(self) -> bool:
        """True while there is something to keep, or somebody who looks."""
        self.faces.remove_gone()
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        state, launch = self.status.now.state, self.launch
        kept: object = state in UNDERWAY
        if launch and state == State.FAILED:
            door = running_pid(self.session.door.pid_file)
            kept = door or launch.settings.give_back_after or launch.sync.waiting
        return bool(self._threads or len(self.faces) or kept)

    def finish(self) -> None:
        """Save what is still to be saved. The web UI, the door and the link stay."""
        if self.launch:
            let_go(self.launch)
