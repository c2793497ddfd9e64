"""A stand-in for the launcher's service: the door's socket with a status that a test sets, and what was asked there."""

from pathlib import Path
from typing import Any

from launcher.core.problem import Problem
from launcher.core.session import Session
from launcher.core.snapshot import Snapshot
from launcher.service.server import Request, Response, Route, UnixServer


class FakeService:
    """Answers like the real one, at once. `status` may be changed at any time."""

    def __init__(self, session: Path, **shown: Any) -> None:
        self.status = (
            Snapshot("A test", state="ready").public() | {"version": "1.1", "jobs": {}, "questions": []} | shown
        )
        self.asked: list[str] = []
        self.status_asked = 0  # times
        routes = [Route("GET", "/status", self._status, {"after": str}, page=True)]
        for name in ("/restart", "/used"):
            kinds = {"ago": int} if name == "/used" else {}
            routes.append(Route("POST", name, self._note(name), kinds, page=True))
        self._server = UnixServer(Session(session).page_socket, tuple(routes), self._fault, page=True)

    def _status(self, request: Request) -> Response:
        self.status_asked += 1
        return 204 if request.fields.get("after") == self.status["version"] else 200, self.status

    def _note(self, name: str) -> Any:
        def note(request: Request) -> Response:
            self.asked.append(name)
            return 202, self.status | {"answer": "done"}

        return note

    def _fault(self, error: BaseException) -> Problem:
        raise error

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
