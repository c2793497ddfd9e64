"""HTTP on a Unix socket: what may be asked, by whom, and within which bounds. What it means is `service.service`'s.

There are two sockets, both for the owner of the machine's files only. The notebook's may ask everything. The page's,
which the door asks for whoever is logged in, has a list of its own, and a status without password or link.
"""

import contextlib
import json
import os
import re
import select
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from launcher.core.problem import Problem
from launcher.core.unix_http import address_of

LONGEST_BODY: Final = 1 << 20  # bytes
REQUEST_PATIENCE: Final = 10.0  # seconds from the connection to the end of the request
MOST_AT_ONCE: Final = 256  # connections of one socket


@dataclass(frozen=True)
class Response:
    """An HTTP status, and the object that goes with it."""

    code: int
    value: dict[str, Any] | None = None


@dataclass(frozen=True)
class Request:
    """One request, checked: its body has the route's fields, and no others."""

    fields: dict[str, Any]  # of the body, or of the query
    number: str  # what the path names: a job, a question, a face
    page: bool  # it came by the page's socket
    gone: Callable[[], bool]  # whoever asked has gone


@dataclass(frozen=True)
class Route:
    """What may be asked for. `fields` name what may be sent, with the kind of each."""

    method: str
    path: re.Pattern[str]
    work: Callable[[Request], Response]
    fields: dict[str, type]
    page: bool = False


class Server(ThreadingMixIn, UnixStreamServer):
    """One socket."""

    daemon_threads, request_queue_size, block_on_close = True, 128, False

    def __init__(
        self, place: Path, routes: tuple[Route, ...], fault: Callable[[BaseException], Problem], *, page: bool
    ) -> None:
        self.routes, self.fault, self.page = routes, fault, page
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        place.unlink(missing_ok=True)
        with address_of(place) as address:
            super().__init__(address, Handler)
        os.chmod(place, 0o600)
        threading.Thread(target=self.serve_forever, name=place.name, daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, unless there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes before it has its answer is nothing to be told; anything else is for the log."""
        error = sys.exception()
        if error and not isinstance(error, OSError):
            self.fault(error)


class Handler(BaseHTTPRequestHandler):
    """One request of one connection."""

    server: Server
    connection: socket.socket
    server_version, sys_version = "launcher", ""

    def setup(self) -> None:
        """The request must be there in time; then its answer may take as long as it does."""
        super().setup()
        self._late = threading.Timer(REQUEST_PATIENCE, self._drop)
        self._late.daemon = True
        self._late.start()

    def finish(self) -> None:
        """It is over."""
        self._late.cancel()
        super().finish()

    def _drop(self) -> None:
        with contextlib.suppress(OSError):  # it has just ended
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """GET."""
        self._answer()

    def do_POST(self) -> None:
        """POST."""
        self._answer()

    def do_DELETE(self) -> None:
        """DELETE."""
        self._answer()

    def _answer(self) -> None:
        try:
            response = self._respond()
        except Problem as problem:
            response = Response(400, {"what": problem.what, "do": problem.do, "field": problem.field})
        except Exception as error:
            fault = self.server.fault(error)
            response = Response(500, {"what": fault.what, "do": fault.do, "field": ""})
        body = json.dumps(response.value).encode() if response.value is not None else b""
        self.send_response(response.code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(BrokenPipeError):  # whoever asked has gone
            self.end_headers()
            self.wfile.write(body)

    def _respond(self) -> Response:
        parts = urlsplit(self.path)
        for route in self.server.routes:
            found = route.path.fullmatch(parts.path)
            if found and route.method == self.command:
                break
        else:
            return Response(404, {"what": "There is nothing here."})
        if self.server.page and not route.page:
            return Response(403, {"what": "Only the notebook may ask for that."})
        if self.command == "GET":
            fields: Any = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        else:
            length = self.headers.get("Content-Length", "0")
            if not length.isdecimal() or int(length) > LONGEST_BODY:
                return Response(413, {"what": f"A request has at most {LONGEST_BODY} bytes, and says how many."})
            try:
                fields = json.loads(self.rfile.read(int(length)) or b"{}")
            except (ValueError, RecursionError):
                return Response(400, {"what": "This is no JSON."})
        self._late.cancel()
        wrong = wrong_fields(fields, route.fields)
        if wrong:
            return Response(400, {"what": f"This cannot be asked: {wrong}."})
        return route.work(Request(fields, found[1] if route.path.groups else "", self.server.page, self._gone))

    def _gone(self) -> bool:
        """True once the client has closed: it is readable, and there is nothing to read."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    def address_string(self) -> str:
        """Who asks has no address."""
        return "client"

    def log_message(self, *about: object) -> None:
        """Nothing is logged of a request: it may hold a secret."""


def wrong_fields(fields: Any, known: dict[str, type]) -> str:
    """What is wrong with what was sent, in a few words; "" where nothing is."""
    if not isinstance(fields, dict):
        return "it is no object"
    for name, value in fields.items():
        if name not in known:
            return f"there is no {name[:40]!r}"
        if type(value) is not known[name]:
            return f"{name!r} is no {known[name].__name__}"
    return ""
