"""HTTP on a Unix socket: what may be asked, by whom, and within which bounds. What it means is `service.service`'s.

There are two sockets, both for the owner of the machine's files only. The notebook's may ask everything. The page's,
which the proxy asks for whoever is logged in, has a list of its own, and a status without password or link.
"""

import io
import json
import os
import re
import select
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from time import monotonic
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from launcher.core.problem import Problem
from launcher.core.session import address_of

LONGEST_REQUEST: Final = 1 << 20  # bytes of its body
REQUEST_PATIENCE: Final = 10.0  # seconds after which a request that is not whole is dropped
NUMBER: Final = re.compile(r"[0-9]{1,9}")

Response = tuple[int, dict[str, Any] | None]  # HTTP status, and the object that goes with it


@dataclass(frozen=True)
class Request:
    fields: dict[str, Any]  # of the body, or of the query: the route's, and no others
    number: str  # what the path names: a job, a question, a face
    page: bool  # it came by the page's socket
    gone: Callable[[], bool]  # whoever asked has gone

    @property
    def face(self) -> str:
        """The cell that asks; "" for the page, which nothing can be asked."""
        return "" if self.page else self.fields.get("face", "")

    @property
    def choices(self) -> dict[str, Any]:
        return self.fields.get("choices") or {}


@dataclass(frozen=True)
class Route:
    method: str
    path: str  # a pattern
    work: Callable[[Request], Response]
    fields: Mapping[str, type]  # what may be sent, with the kind of each
    page: bool = False  # the page may ask it


class UnixServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads, request_queue_size, block_on_close = True, 128, False

    def __init__(
        self, place: Path, routes: tuple[Route, ...], fault: Callable[[Exception], Problem], *, page: bool
    ) -> None:
        self.routes, self.fault, self.page = routes, fault, page
        place.unlink(missing_ok=True)
        with address_of(place) as address:
            super().__init__(address, RequestHandler)
        os.chmod(place, 0o600)
        threading.Thread(target=self.serve_forever, name=place.name, daemon=True).start()


class Incoming(socket.SocketIO):
    """What is sent on a connection, until its one request must be whole."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection, "r")
        self.connection, self.end = connection, monotonic() + REQUEST_PATIENCE

    def readinto(self, buffer: Any) -> int | None:
        if (left := self.end - monotonic()) <= 0:
            raise TimeoutError  # http.server closes the connection then
        self.connection.settimeout(left)
        return super().readinto(buffer)


class RequestHandler(BaseHTTPRequestHandler):
    server: UnixServer
    connection: socket.socket
    server_version, sys_version = "launcher", ""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(Incoming(self.connection))

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "0")
        fits = NUMBER.fullmatch(length) and int(length) <= LONGEST_REQUEST
        body = self.rfile.read(int(length)) if fits else None  # also where it is refused: it is being sent
        self.connection.settimeout(REQUEST_PATIENCE)  # for its answer
        try:
            code, value = self._respond(body)
        except Exception as error:
            code, problem = (400, error) if isinstance(error, Problem) else (500, self.server.fault(error))
            value = {"what": problem.what, "do": problem.do}
        answer = json.dumps(value).encode() if value is not None else b""
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        with suppress(BrokenPipeError):  # whoever asked has gone
            self.end_headers()
            self.wfile.write(answer)

    do_POST = do_DELETE = do_GET  # noqa: N815  # http.server finds them by their names

    def _respond(self, body: bytes | None) -> Response:
        if body is None:
            return 413, {"what": f"A request has at most {LONGEST_REQUEST} bytes, and says how many."}
        parts = urlsplit(self.path)
        for route in self.server.routes:
            found = re.fullmatch(route.path, parts.path)
            if found and route.method == self.command:
                break
        else:
            return 404, {"what": "There is nothing here."}
        if self.server.page and not route.page:
            return 403, {"what": "Only the notebook may ask for that."}
        fields: Any = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if self.command != "GET":
            try:
                fields = json.loads(body or b"{}")
            except (ValueError, RecursionError):
                return 400, {"what": "This is no JSON."}
        if wrong := wrong_fields(fields, route.fields):
            return 400, {"what": f"This cannot be asked: {wrong}."}
        number = found[1] if found.re.groups else ""
        return route.work(Request(fields, number, self.server.page, self._gone))

    def _gone(self) -> bool:
        """True once the client has closed: it is readable, and there is nothing to read."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    def log_message(self, *about: object) -> None:
        """Nothing is logged of a request: it may hold a secret."""


def wrong_fields(fields: Any, known: Mapping[str, type]) -> str | None:
    """What is wrong with what was sent, in a few words."""
    if not isinstance(fields, dict):
        return "it is no object"
    for name, value in fields.items():
        if name not in known:
            return f"there is no {name[:40]!r}"
        if type(value) is not known[name]:
            return f"{name!r} is no {known[name].__name__}"
    return None
