"""A stand-in for the launcher's service: the door's socket with a status that a test sets, and what was asked there."""

from pathlib import Path
from typing import Any

from launcher.core.problem import Problem
from launcher.core.session import Session
from launcher.core.status import Snapshot
from launcher.service.server import Request, Response, Route, UnixServer


class FakeService:
    """Answers like the real one, at once. `status` may be changed at any time."""

    def __init__(self, session: Path, **shown: Any) -> None:
        self.status = (
            Snapshot("A test", state="ready").public() | {"version": "1.1", "jobs": {}, "questions": []} | shown
        )
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.refusals: dict[str, dict[str, str]] = {}  # what is asked -> why it is refused
        self.status_asked = 0  # times
        routes = [Route("GET", "/status", self._status, {"after": str}, page=True)]
        for method, name, kinds in (
            ("POST", "/restart", {}),
            ("POST", "/used", {"ago": int}),
            ("POST", "/add", {"what": str}),
            ("POST", "/stop", {"give_back": bool}),
            ("POST", "/choices", {"choices": dict}),
            ("POST", "/extend", {"minutes": int}),
            ("POST", "/connect", {}),
            ("DELETE", r"/jobs/(\d)", {"undo": bool}),
        ):
            routes.append(Route(method, name, self._note(method, name), kinds, page=True))
        self._server = UnixServer(Session(session).page_socket, tuple(routes), self._fault, page=True)

    def change(self, **shown: Any) -> None:
        """Another status, with a version of its own."""
        number = int(self.status["version"].partition(".")[2]) + 1
        self.status |= {"version": f"1.{number}"} | shown

    def _status(self, request: Request) -> Response:
        self.status_asked += 1
        return 204 if request.fields.get("after") == self.status["version"] else 200, self.status

    def _note(self, method: str, name: str) -> Any:
        def note(request: Request) -> Response:
            asked = f"{method} {name.partition('(')[0]}{request.number}"
            self.asked.append(asked)
            self.bodies.append(request.fields)
            if asked in self.refusals:
                return 409, self.refusals[asked]
            return 202, self.status | {"answer": "done"}

        return note

    def _fault(self, error: BaseException) -> Problem:
        raise error

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
