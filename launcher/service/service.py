"""What the service does: one launch, its jobs, and an answer to every request."""

import itertools
import re
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from launcher.core.child_environment import adopt, passes
from launcher.core.problem import Problem, unexpected
from launcher.core.process import running_pid
from launcher.core.session import Session, read_object
from launcher.core.snapshot import HELP, UNDERWAY, State
from launcher.core.status import Changes, Status
from launcher.service.questions import Faces
from launcher.service.server import Request, Response, Route

LONGEST_WAIT: Final = 20.0  # seconds for which a status is waited for
STOP_PATIENCE: Final = 120.0  # seconds in which a stop that is underway has come to an end
JOBS_SHOWN: Final = 20
WHY_NOT: Final = {
    State.STARTING: "It is starting already.",
    State.RESTARTING: "It is being restarted already.",
    State.STOPPING: "It is being stopped.",
}
NOTHING_KNOWN: Final = "Nothing has been started yet. Press ▶ on the first cell."


class Service:
    """One launch at a time, and jobs beside it. The modules of a launch are loaded when they are needed: the first
    status is there sooner.
    """

    def __init__(self, session: Session) -> None:
        self.session, self.changes = session, Changes()
        self.status, self.faces = Status("Nothing is running", self.changes), Faces(self.changes)
        self.launch: Any = None  # a `Launch`
        self.start = secrets.token_hex(4)  # another one is another service: its status is not to be waited for
        self._jobs: dict[int, Any] = {}
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        text, words, yes = str, dict, bool
        self.routes = (
            self._route("GET", "/status", self.get_status, page=True, after=text, face=text, job=text),
            self._route("GET", "/link", self.get_link),
            self._route("POST", "/launch", self.post_launch, choices=words, variables=words, face=text, anew=yes),
            self._route("POST", "/restart", self.post_restart, page=True),
            self._route("POST", "/stop", self.post_stop, page=True, give_back=yes, choices=words, face=text),
            self._route(
                "POST", "/add", self.post_add, page=True, do=text, fields=words, what=text, choices=words, face=text
            ),
            self._route("POST", "/choices", self.post_choices, page=True, choices=words),
            self._route("POST", "/connect", self.post_connect, page=True),
            self._route("POST", "/used", self.post_used, page=True, ago=int),
            self._route("POST", r"/answers/(\d{1,9})", self.post_answer, value=words),
            self._route("DELETE", r"/jobs/(\d{1,9})", self.delete_job, page=True),
            self._route("DELETE", r"/faces/([\w-]{1,40})", self.delete_face),
        )

    @staticmethod
    def _route(
        method: str, path: str, work: Callable[[Request], Response], page: bool = False, **fields: type
    ) -> Route:
        return Route(method, re.compile(path), work, fields, page)

    def fault(self, error: BaseException) -> Problem:
        """Something that nobody foresaw: for the log, and as a person reads it."""
        with self.session.log.open("a") as file:
            traceback.print_exception(error, file=file)
        return unexpected(error, str(self.session.log))

    # ---- what is

    def whole(self, *, page: bool = False) -> dict[str, Any]:
        """The whole status. The page's has no way in, and no question."""
        from launcher.service.choices import shown

        with self.changes:
            now = self.status.now.public() if page else self.status.now.as_json()
            questions = self.faces.open_questions()
            return now | {
                "version": f"{self.start}.{self.changes.number}",
                "jobs": {str(number): job.status.now.public() for number, job in self._jobs.items()},
                "questions": [{"kind": one["kind"]} for one in questions] if page else questions,
                "choices": shown(self.launch.settings) if self.launch else {},
            }

    def get_status(self, request: Request) -> Response:
        """The status as soon as there is a newer one than the face has seen."""
        start, _, number = request.fields.get("after", "").rpartition(".")
        after = int(number) if start == self.start and number.isdecimal() else -1
        face, job = "" if request.page else request.fields.get("face", ""), request.fields.get("job", "")
        if face:
            self.faces.comes(face, int(job) if job.isdecimal() else 0)
        try:
            newer = self.changes.wait(after, LONGEST_WAIT, request.gone)
        finally:
            self.faces.goes(face)
        return Response(200, self.whole(page=request.page)) if newer else Response(204)

    def get_link(self, request: Request) -> Response:
        """A link that opens the web UI logged in, once."""
        return Response(200, {"link": self.launch.public_link.fresh_link() if self.launch else ""})

    def accepted(self, request: Request, **more: Any) -> Response:
        """It is done, or underway: the status as it is now."""
        return Response(202, self.whole(page=request.page) | more)

    # ---- the launch

    def post_launch(self, request: Request) -> Response:
        """▶: what runs, a new launch, or 409 where that would change what belongs to the web UI that runs."""
        from launcher.service.choices import checked, differences, is_untouched, shown

        choices, variables = request.fields.get("choices", {}), request.fields.get("variables", {})
        settings = checked(choices)
        wrong = [name for name, value in variables.items() if not passes(name) or not isinstance(value, str)]
        if wrong:
            return Response(400, {"what": f"This variable is not handed on: {wrong[0][:40]}.", "do": ""})
        self._wait_while_stopping(request)
        with self._lock:
            if request.fields.get("face"):
                self.faces.comes(request.fields["face"])
                self.faces.goes(request.fields["face"])  # its next request comes before it counts as gone
            before, differs = self.launch, dict[str, list[str]]()
            if before and self.status.now.state in UNDERWAY:
                if settings == before.settings or is_untouched(choices):
                    before.drive_watch.connect_if_away()
                    return self.accepted(request)
                differs = differences(before.settings, settings)
                if differs and not request.fields.get("anew"):
                    return Response(409, {"runs": shown(before.settings), "differs": differs})
            if variables:
                adopt(variables)
            self._begin(settings, variables=variables, anew=bool(differs))
            return self.accepted(request)

    def _wait_while_stopping(self, request: Request) -> None:
        end = time.monotonic() + STOP_PATIENCE
        while self.status.now.state == State.STOPPING and time.monotonic() < end and not request.gone():
            self.changes.wait(self.changes.number, 1.0)

    def _begin(self, settings: Any, *, variables: Any = None, anew: bool = False, take_up: bool = False) -> None:
        from launcher.launch.run import begin

        before, self.launch = self.launch, self._new_launch(settings)
        self.launch.variables = variables or read_object(self.session.launch_file).get("variables", {})
        begin(self.launch, before, anew=anew, take_up=take_up)

    def _new_launch(self, settings: Any) -> Any:
        from launcher.colab.machine import look_at_machine
        from launcher.launch.launch import Launch

        ask, somebody = self.faces.asker(0), lambda: self.faces.shows(0)
        return Launch(settings, look_at_machine(), self.status, ask, somebody, self.launch)

    def take_up_what_runs(self) -> None:
        """A web UI runs that an earlier service started: this one keeps its images from now on."""
        if running_pid(self.session.webui.pid_file):
            from launcher.service.choices import of_running

            variables = read_object(self.session.launch_file).get("variables")
            if isinstance(variables, dict) and variables:
                adopt(variables)
            self._begin(of_running(self.session), take_up=True)

    def post_restart(self, request: Request) -> Response:
        """Done: it is being restarted. Started: it had given up, and is being started. Refused: why."""
        from launcher.service.choices import noted

        with self._lock:
            state, launch = self.status.now.state, self.launch
            if state in WHY_NOT:
                why = WHY_NOT[State(state)]
                return Response(409, self.whole(page=request.page) | {"answer": "refused", "what": why})
            gave_up = launch and launch.thread and launch.thread.is_alive() and not launch.over.is_set()
            if state == State.READY or (state == State.FAILED and gave_up):
                launch.restart_wanted.set()
                self.status.show(state=State.RESTARTING)
                return self.accepted(request, answer="done" if state == State.READY else "started")
            settings = launch.settings if launch else noted(self.session)
            if not settings or state == State.OFF:
                return Response(409, self.whole(page=request.page) | {"answer": "refused", "what": NOTHING_KNOWN})
            self._begin(settings)
            return self.accepted(request, answer="started")

    def post_connect(self, request: Request) -> Response:
        """Have a Drive that was disconnected connected: the notebook is asked."""
        if self.launch:
            self.launch.drive_watch.connect()
        return self.accepted(request)

    def post_used(self, request: Request) -> Response:
        """The door: somebody used the web UI so many seconds ago."""
        if self.launch:
            self.launch.use_watch.used_at = time.time() - request.fields.get("ago", 0)
        return Response(204)

    def post_choices(self, request: Request) -> Response:
        """Other choices for what runs: some take effect at once, the others at the next restart."""
        from launcher.service.choices import AT_ONCE, NOT_BY_THE_PAGE, as_form, checked, differences, shown

        choices = request.fields.get("choices", {})
        barred = [name for name in choices if request.page and name in NOT_BY_THE_PAGE]
        if barred:
            return Response(403, {"what": f"{barred[0]} can be changed in the notebook only."})
        with self._lock:
            launch = self.launch
            if not launch:
                return Response(409, {"what": NOTHING_KNOWN})
            settings = checked(as_form(launch.settings) | choices)
            if differs := differences(launch.settings, settings):
                return Response(409, {"runs": shown(launch.settings), "differs": differs})
            changed = [
                name for name in choices if getattr(settings, name, None) != getattr(launch.settings, name, None)
            ]
            launch.choose(settings)
            later = [name for name in changed if name not in AT_ONCE]
            return self.accepted(request, at_once=[n for n in changed if n in AT_ONCE], at_restart=later)

    # ---- jobs

    def post_stop(self, request: Request) -> Response:
        """End everything; on request give the machine back."""
        with self._lock:
            for number, job in self._jobs.items():
                if job.status.now.title == "Stopping" and not job.status.now.over:
                    return self.accepted(request, job=number)
            give_back = request.fields.get("give_back", False)
            return self._begin_job("stop", {"give_back_the_machine": give_back}, request)

    def post_add(self, request: Request) -> Response:
        """A model, ControlNet, an extension. The page may add a model; extensions where the notebook allowed them."""
        do = request.fields.get("do", "add_model")
        fields = request.fields.get("fields", {"what": request.fields.get("what", "")})
        allowed = self.launch and self.launch.settings.extensions_tab
        if request.page and do != "add_model" and not allowed:
            return Response(
                403, {"what": "Extensions are added in the notebook: there you say whether you trust them."}
            )
        return self._begin_job(do, fields, request)

    def _begin_job(self, do: str, fields: dict[str, Any], request: Request) -> Response:
        from launcher.service.jobs import JOBS, Job, wrong_fields

        if wrong := wrong_fields(do, fields):
            return Response(400, {"what": f"This cannot be asked: {wrong}.", "do": ""})
        title, done_title, work = JOBS[do]
        with self._lock:
            number, status = next(self._numbers), Status(title, self.changes)
            launch = self._launch_for(do, request.fields.get("choices", {}))
            job = Job(launch, status, threading.Event(), self.faces.asker(number))
            self._jobs = dict(list(self._jobs.items())[-JOBS_SHOWN:]) | {number: job}
            if request.fields.get("face"):
                self.faces.comes(request.fields["face"], number)
                self.faces.goes(request.fields["face"])
        run = partial(self._run_job, partial(work, job, **fields), status, done_title)
        thread = threading.Thread(target=run, name="job")
        self._threads.append(thread)
        thread.start()
        return self.accepted(request, job=number)

    def _run_job(self, work: Callable[[], None], status: Status, done_title: str) -> None:
        from launcher.launch.steps import Failed

        try:
            work()
        except Failed:
            pass  # its step has said so
        except Exception as error:
            status.notice(self.fault(error).what)
        status.show(over=True, title=done_title if status.now.all_done else HELP if status.now.failed else done_title)

    def _launch_for(self, do: str, choices: dict[str, Any]) -> Any:
        """The launch a job belongs to: the one there is; else, not begun, one of the first cell's values, of the last
        launch, or the defaults.
        """
        from launcher.service.choices import checked, noted

        if self.launch:
            return self.launch
        launch = self._new_launch((not choices and noted(self.session)) or checked(choices))
        launch.session.prepare()
        if do == "stop":
            self.launch = launch
        return launch

    def delete_job(self, request: Request) -> Response:
        """■: the job should end."""
        job = self._jobs.get(int(request.number))
        if job:
            job.stop.set()
        return self.accepted(request)

    def delete_face(self, request: Request) -> Response:
        """■: nobody looks there any more."""
        self.faces.remove(request.number)
        return self.accepted(request)

    def post_answer(self, request: Request) -> Response:
        """What a dialog gave, or no value where it was stopped."""
        there = self.faces.answer(int(request.number), request.fields.get("value"))
        return Response(204) if there else Response(404, {"what": "This is not asked any more."})

    # ---- the end

    @property
    def busy(self) -> bool:
        """True while there is something to keep, or somebody who looks."""
        self.faces.remove_gone()
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        state = self.status.now.state
        failed = state == State.FAILED and (
            running_pid(self.session.door.pid_file) or self.launch.settings.give_back_after or self.launch.sync.waiting
        )
        return bool(self._threads or len(self.faces) or state in UNDERWAY or failed)

    def finish(self) -> None:
        """Save what is still to be saved. The web UI, the door and the link stay."""
        if self.launch:
            from launcher.launch.stop import let_go

            let_go(self.launch)
