"""The one owner of the files in `session/`: what runs on this machine, how it is found again, and how it is asked.

Processes outlive versions of the launcher: pid files, login and ports must stay readable by every later one.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from launcher.core.folder import write_safely
from launcher.core.outside import Damaged, read_json


class Part:
    """The files of one process of ours; in `NAME.json` it, or who started it, says its port."""

    def __init__(self, session: Path, name: str) -> None:
        self.pid_file = session / f"{name}.pid"  # {"pid": int, "created": seconds}, as `process.note_process` writes it
        self.log = session / f"{name}.log"
        self.said_file = session / f"{name}.json"

    @property
    def said(self) -> dict[str, Any]:
        return read_object(self.said_file)

    @property
    def port(self) -> int:
        port = self.said.get("port", 0)
        return port if isinstance(port, int) else 0

    def note(self, **what: Any) -> None:
        write_object(self.said_file, what)

    def forget(self) -> None:
        self.said_file.unlink(missing_ok=True)


class Session:
    """The folder `session/` of this machine, owner only, outside of what A1111 serves."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.webui = Part(place, "webui")  # A1111: said is {"port", "arguments"}, noted when it is started
        self.proxy = Part(place, "door")  # its name since 1.0; said is {"port", "package"}, by itself once it listens
        self.tunnel = Part(place, "tunnel")  # said is {"url", "port", "kind"}, once there is a link
        self.service = Part(place, "service")  # said is {"version", "pid", "created"}, by itself
        self.notebook_socket = place / "launcher.sock"  # where notebooks ask the service
        self.page_socket = place / "page.sock"  # where the proxy asks it: less may be asked for there
        self.lock = place / "keeper.lock"  # its holder is the one service; 1.2.0's keeper takes it, too
        self.keeper = Part(place, "keeper")  # the owner of before, up to 1.2.0
        self.login = place / "login.json"  # user, password and secrets of the proxy (`access.auth`)
        self.tunnel_token = place / "tunnel.token"  # gradio's share token: the same token gives the same link again
        self.forward = place / "forward.json"  # {"port", "api", "images"}: where the proxy may lead to, by the service
        self.log = place / "launcher.log"  # tracebacks of what went wrong
        self.launch_file = place / "launch.json"  # {"settings", "variables", "version"} of the launch that runs

    def prepare(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.place.chmod(0o700)

    def lead_to(self, **changed: Any) -> None:
        """Tell the proxy where visitors may be led from now on (`forward`); a port of 0 means nowhere."""
        write_object(self.forward, read_object(self.forward) | changed)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none or something else is in it."""
    try:
        return read_json(path) or {}
    except Damaged:
        return {}


def write_object(path: Path, what: dict[str, Any]) -> None:
    """Nobody else on the machine reads it: there are passwords and ports among these files."""
    write_safely(path, json.dumps(what), 0o600)


@contextmanager
def address_of(place: Path) -> Iterator[str]:
    """An address for the socket at `place` that is short enough: the system allows 107 bytes."""
    folder = os.open(place.parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)


def request(
    place: Path, method: str, path: str, body: dict[str, Any] | None = None, patience: float = 30.0
) -> tuple[int, dict[str, Any]]:
    """Ask by HTTP on a Unix socket: (status, the object in the answer). Raises `OSError` or `HTTPException`."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(patience)
        with address_of(place) as address:
            line.connect(address)
        connection = HTTPConnection("launcher")
        connection.sock = line
        connection.request(method, path, json.dumps(body).encode() if body is not None else None)
        with connection.getresponse() as response:
            content = response.read()
            return response.status, json.loads(content) if content else {}
