"""What the service does: one launch, its jobs, and an answer to every request."""

import secrets
import threading
import time
from dataclasses import asdict, replace
from functools import partial
from inspect import signature
from typing import Any, Final

from launcher.colab.machine import look_at_machine
from launcher.core.child_environment import adopt, passes
from launcher.core.fields import DEFAULTS, NOT_BY_THE_PAGE, asked_in
from launcher.core.process import running_pid
from launcher.core.session import Session, read_object, write_object
from launcher.core.status import JOB_TITLES, UNDERWAY, State, Status, StatusChanges
from launcher.launch.launch import Launch
from launcher.launch.remember import settings_of
from launcher.launch.steps import Steps
from launcher.launch.story import begin, remember
from launcher.launch.watch import reconnect_drive
from launcher.service import choices as chosen
from launcher.service.jobs import JOBS, Job
from launcher.service.questions import Faces
from launcher.service.server import NUMBER, Request, Response, Route, wrong_fields

LONGEST_STATUS_WAIT: Final = 20.0  # seconds for which a status is waited for
STOP_PATIENCE: Final = 120.0  # seconds in which a stop that is underway has come to an end
WHY_NOT: Final[dict[str, str]] = {
    State.STARTING: "It is starting already.",
    State.RESTARTING: "It is being restarted already.",
    State.STOPPING: "It is being stopped; your last files are being saved.",
}
LONGEST_STAY: Final = 1440  # minutes
JOBS_SHOWN: Final = 20
MOST_AT_WORK: Final = 20  # a page that asks without end takes no more threads
JOB_STOPPED: Final = "stopped; add it again to continue from here"
ASKED_IN_THE_NOTEBOOK: Final = "A question waits for your answer in the notebook."
NOTHING_TO_UNDO: Final = "There is nothing of it that could be taken away, or the launcher was started anew since."
NOTHING_KNOWN: Final = "Nothing has been started yet. Press ▶ on the first cell."


class Service:
    """One launch at a time, and jobs beside it."""

    def __init__(self, session: Session) -> None:
        self.session, self.changes = session, StatusChanges()
        self.status, self.faces = Status("Nothing is running", self.changes), Faces(self.changes)
        self.fault = Steps(self.status, session.log, threading.Event()).problem  # of what nobody foresaw
        self.launch: Launch | None = None
        self.start = secrets.token_hex(4)  # another one is another service: its status is not to be waited for
        self.jobs: dict[int, Job] = {}  # ended ones too
        self._lock = threading.RLock()

    @property
    def routes(self) -> tuple[Route, ...]:
        launch = {"choices": dict, "variables": dict, "face": str, "anew": bool}
        add = {"do": str, "fields": dict, "what": str, "kind": str, "file_name": str, "choices": dict, "face": str}
        return (
            Route("GET", "/status", self.get_status, {"after": str, "face": str, "job": str}, page=True),
            Route("GET", "/link", self.get_link, {}),
            Route("POST", "/launch", self.post_launch, launch),
            Route("POST", "/restart", self.post_restart, {"choices": dict}, page=True),
            Route("POST", "/stop", self.post_stop, {"give_back": bool, "choices": dict, "face": str}, page=True),
            Route("POST", "/add", self.post_add, add, page=True),
            Route("POST", "/choices", self.post_choices, {"choices": dict, "forget": bool}, page=True),
            Route("POST", "/connect", self.post_connect, {}, page=True),
            Route("POST", "/extend", self.post_extend, {"minutes": int}, page=True),
            Route("POST", "/used", self.post_used, {"ago": int}, page=True),
            Route("POST", r"/answers/(\d{1,9})", self.post_answer, {"value": dict}),
            Route("DELETE", r"/jobs/(\d{1,9})", self.delete_job, {"undo": bool}, page=True),
            Route("DELETE", r"/faces/([\w-]{1,40})", self.delete_face, {}),
        )

    def accepted(self, request: Request, code: int = 202, **more: Any) -> Response:
        """The whole status as it is now. The page's has no way in, and none of a question's details."""
        with self.changes:
            questions = self.faces.open_questions()
            status = self.launch.whole(self.status.now) if self.launch else self.status.now
            if request.page and questions:
                status = replace(status, notices=(*status.notices, ASKED_IN_THE_NOTEBOOK))
            now = status.public() if request.page else asdict(status)
            return code, now | more | {
                "version": f"{self.start}.{self.changes.number}",
                "jobs": {str(number): job.status.now.public() for number, job in self.jobs.items()},
                "questions": [{"kind": one["kind"]} for one in questions] if request.page else questions,
                "choices": chosen.shown(self.launch.settings) if self.launch else {},
            }  # fmt: skip

    def get_status(self, request: Request) -> Response:
        """The status as soon as there is a newer one than the face has seen."""
        start, _, number = request.fields.get("after", "").rpartition(".")
        after = int(number) if start == self.start and NUMBER.fullmatch(number) else -1
        job = request.fields.get("job", "")
        self.faces.comes(request.face, int(job) if NUMBER.fullmatch(job) else 0, waiting=1)
        try:
            newer = self.changes.wait_beyond(after, LONGEST_STATUS_WAIT, request.gone)
        finally:
            self.faces.goes(request.face)
        return self.accepted(request, 200) if newer else (204, None)

    def get_link(self, request: Request) -> Response:
        return 200, {"link": self.launch.public_link.fresh_link() if self.launch else ""}

    def post_launch(self, request: Request) -> Response:
        """▶: what runs, a new launch, or 409 where that would change what belongs to the web UI that runs."""
        asked, variables = chosen.asked_by(request.choices), request.fields.get("variables", {})
        settings_of(asked)  # a wrong field is said before anything else
        wrong = [name for name, value in variables.items() if not passes(name) or not isinstance(value, str)]
        if wrong:
            return 400, {"what": f"This variable is not handed on: {wrong[0][:40]}."}
        end = time.monotonic() + STOP_PATIENCE
        while self.status.now.state == State.STOPPING and time.monotonic() < end and not request.gone():
            self.changes.wait_beyond(self.changes.number, 1.0)
        with self._lock:
            if self.status.now.state == State.STOPPING:
                return 409, {"what": WHY_NOT[State.STOPPING], "do": "Press ▶ again once everything is off."}
            self.faces.comes(request.face, 0)  # it may be asked something before its first look
            before, anew, choices = self.launch, False, chosen.of_this_machine(self.session, asked)
            underway = before is not None and self.status.now.state in UNDERWAY and not before.over.is_set()
            if before and (underway or before.webui.running):
                choices, differs = chosen.following(before, asked)
                before.used_at = time.monotonic()
                if underway and choices == before.choices:
                    if before.drive_away:
                        reconnect_drive(before)
                    return self.accepted(request)
                if underway and differs and not request.fields.get("anew"):
                    return 409, {"runs": chosen.shown(before.settings), "differs": differs}
                anew = bool(differs)
            self._begin(choices, variables, anew=anew)
            return self.accepted(request)

    def _begin(
        self, choices: dict[str, Any], variables: Any = None, *, anew: bool = False, take_up: bool = False
    ) -> None:
        noted = read_object(self.session.launch_file)  # the new settings come once nothing else runs
        variables = variables or noted.get("variables") or {}
        if isinstance(variables, dict) and variables:
            adopt(variables)
        before, self.launch = self.launch, self._new_launch(choices)
        self.faces.withdraw(job=0)  # of the one before, which is waited for
        write_object(self.session.launch_file, noted | {"variables": variables})
        begin(self.launch, before, anew=anew, take_up=take_up)

    def _new_launch(self, choices: dict[str, Any]) -> Launch:
        return Launch(choices, look_at_machine(), self.status, partial(self.faces.ask, 0), self.launch, self._adds)

    def _adds(self) -> bool:
        """Is something being added? Not what waits for an answer: a question keeps no machine."""
        asked = {one["job"] for one in self.faces.open_questions()}
        return any(job.at_work and number not in asked for number, job in list(self.jobs.items()))

    def take_up_what_runs(self) -> None:
        """A web UI runs that an earlier service started: this one keeps its images from now on."""
        choices = chosen.noted(self.session)
        if choices and running_pid(self.session.webui.pid_file):
            self._begin(choices, take_up=True)

    def post_restart(self, request: Request) -> Response:
        """Done: it is being restarted. Started: it had given up, and is being started. Refused: why."""
        with self._lock:
            if request.choices and (refused := self.post_choices(request))[0] >= 400:
                return refused
            state, launch = self.status.now.state, self.launch
            choices = launch.choices if launch else chosen.noted(self.session)
            if state in WHY_NOT or state == State.OFF or not (launch or choices):
                return self.accepted(request, 409, answer="refused", what=WHY_NOT.get(state, NOTHING_KNOWN))
            watched = launch and launch.thread and launch.thread.is_alive() and not launch.over.is_set()
            if launch and watched and not launch.another_version:
                launch.restart_wanted.set()
                self.status.show(state=State.RESTARTING)
            else:
                self._begin(choices, anew=bool(launch and launch.another_version))
            return self.accepted(request, answer="done" if state == State.READY else "started")

    def post_choices(self, request: Request) -> Response:
        """Other choices for what runs: some take effect at once, the others at the next restart."""
        given, forget = request.choices, request.fields.get("forget", False)
        barred = [name for name in (DEFAULTS if forget else given) if request.page and name in NOT_BY_THE_PAGE]
        if barred:
            return 403, {"what": f"{barred[0]} can be changed in the notebook only."}
        if unknown := set(given) - set(DEFAULTS):
            return 400, {"what": f"There is no such choice: {min(unknown)[:40]!r}."}
        with self._lock:
            if not (launch := self.launch):
                return 409, {"what": NOTHING_KNOWN}
            asked = launch.news_in(asked_in(given))
            if differs := chosen.following(launch, asked)[1]:
                return 409, {"runs": chosen.shown(launch.settings), "differs": differs}
            later = chosen.take_choices(launch, asked, forget)
            remember(launch)
            return self.accepted(request, at_restart=later)

    def post_connect(self, request: Request) -> Response:
        """Have a Drive that was disconnected connected: the notebook is asked."""
        if self.launch:
            reconnect_drive(self.launch)
        return self.accepted(request)

    def post_extend(self, request: Request) -> Response:
        """The machine stays so many minutes longer, whether anybody uses it or not."""
        minutes = request.fields.get("minutes", 0)
        if not 0 < minutes <= LONGEST_STAY:
            return 400, {"what": f"The machine can stay 1 to {LONGEST_STAY} minutes longer."}
        with self._lock:
            if not self.launch or not self.launch.given_back_at:
                return 409, {"what": "The machine is not given back by itself: there is nothing to put off."}
            self.launch.stays_until = time.monotonic() + self.launch.given_back_in + minutes * 60
            self.changes.count()
            return self.accepted(request)

    def post_used(self, request: Request) -> Response:
        """The proxy: somebody used the web UI so many seconds ago."""
        if self.launch:
            self.launch.used_at = time.monotonic() - min(max(0, request.fields.get("ago", 0)), LONGEST_STAY * 60)
            if self.launch.given_back_at:  # the faces say when
                self.changes.count()
        return 204, None

    def post_stop(self, request: Request) -> Response:
        return self._begin_job("stop", {"give_back_the_machine": request.fields.get("give_back", False)}, request)

    def post_add(self, request: Request) -> Response:
        """Whatever is written in Add, or what a cell's form asks for. A page's texts may ask for less: `jobs.Job`."""
        do = request.fields.get("do", "add_model")
        if request.page and do != "add_model" and not (self.launch and self.launch.settings.extensions_tab):
            return 403, {"what": "Extensions are added in the notebook."}
        if do not in JOBS:
            return 400, {"what": "There is no such job."}
        written = {name: request.fields[name] for name in ("what", "kind", "file_name") if name in request.fields}
        return self._begin_job(do, request.fields.get("fields", written), request)

    def _begin_job(self, do: str, fields: dict[str, Any], request: Request) -> Response:
        known = {name: one.annotation for name, one in signature(JOBS[do]).parameters.items() if name != "job"}
        if wrong := wrong_fields(fields, known):
            return 400, {"what": f"This cannot be asked: {wrong}."}
        with self._lock:
            # Of the launch there is; else of one, not begun, by what the last launch and the first cell (no page) say.
            asked = chosen.of_this_machine(self.session, {} if request.page else chosen.asked_by(request.choices))
            launch = self.launch or self._new_launch(chosen.noted(self.session) | asked)
            launch.used_at = time.monotonic()
            number = max(self.jobs, default=secrets.randbelow(10**8)) + 1  # a panel may have buttons of another service
            status = Status(JOB_TITLES[do], self.changes)
            if do == "stop":
                ways = (fields, {"give_back_the_machine": True})
                if same := next((old for old, one in self.jobs.items() if one.at_work and one.stops_by in ways), 0):
                    self.faces.comes(request.face, same)
                    return self.accepted(request, job=same)
                self.launch = launch
                for one in (self.status, status):
                    one.show(state=State.STOPPING, buttons=())
                self.faces.withdraw(job=0)
                for one_job in self.jobs:
                    self._end_job(one_job)
            elif sum(job.at_work for job in self.jobs.values()) >= MOST_AT_WORK:
                return 429, {"what": "So much is being added already.", "do": "Wait until some of it is done."}
            steps = Steps(status, self.session.log, threading.Event(), JOB_STOPPED)
            asks, stops_by = partial(self.faces.ask, number), fields if do == "stop" else None
            job = Job(launch, steps, asks, request.page, self.faces.tokens, stops_by)
            shown = {old: one for old, one in self.jobs.items() if one.at_work or old >= number - JOBS_SHOWN}
            self.jobs = shown | {number: job}
            self.faces.comes(request.face, number)
            job.begin(partial(JOBS[do], job, **fields), "Stopped" if do == "stop" else "Done")
        return self.accepted(request, job=number)

    def _end_job(self, number: int) -> None:
        if (job := self.jobs.get(number)) and job.stops_by is None:  # a stop comes to its end
            job.steps.over.set()
            self.faces.withdraw(job=number)

    def delete_job(self, request: Request) -> Response:
        """■: the job should end. `undo`: it has, and what it added is taken away again."""
        with self._lock:
            job, launches = self.jobs.get(int(request.number)), {job.launch for job in self.jobs.values()}
            if not request.fields.get("undo"):
                self._end_job(int(request.number))
            elif not (job and job.begin_undo(launches | ({self.launch} if self.launch else set()))):
                return 409, {"what": NOTHING_TO_UNDO}
        return self.accepted(request)

    def delete_face(self, request: Request) -> Response:
        self.faces.remove(request.number)
        return self.accepted(request)

    def post_answer(self, request: Request) -> Response:
        """What a dialog gave, or no value where it was stopped."""
        there = self.faces.answer(int(request.number), request.fields.get("value"))
        return (204, None) if there else (404, {"what": "This is not asked any more."})

    @property
    def busy(self) -> bool:
        """True while there is something to keep, or somebody who looks."""
        self.faces.remove_gone()
        state, launch = self.status.now.state, self.launch
        kept: object = state in UNDERWAY or any(job.at_work for job in self.jobs.values()) or len(self.faces)
        if launch and state == State.FAILED and not kept:
            kept = launch.settings.give_back_after or launch.sync.waiting or running_pid(self.session.proxy.pid_file)
        return bool(kept)
