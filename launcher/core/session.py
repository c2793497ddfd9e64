"""The one owner of the files in `session/`: what runs on this machine, and how it is found again.

Processes outlive kernels, services and versions of the launcher. Names and contents of the files below change only with
care: pid files, login and ports must stay readable by every later version.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.core.folder import write_safely

PRIVATE = 0o600  # nobody else on the machine reads passwords and ports


@dataclass(frozen=True)
class Part:
    """The files of one process of ours: `NAME.pid`, `NAME.log`, and `NAME.json`, in which it or its starter says its
    port.
    """

    session: Path
    name: str

    @property
    def pid_file(self) -> Path:
        """{"pid": int, "created": seconds}, as `process.start_detached` writes it."""
        return self.session / f"{self.name}.pid"

    @property
    def log(self) -> Path:
        return self.session / f"{self.name}.log"

    @property
    def said_file(self) -> Path:
        return self.session / f"{self.name}.json"

    @property
    def said(self) -> dict[str, Any]:
        """What is noted of it; empty where nothing is, or where it cannot be read."""
        return read_object(self.said_file)

    @property
    def port(self) -> int:
        """The port noted, or 0."""
        port = self.said.get("port", 0)
        return port if isinstance(port, int) else 0

    def note(self, **what: Any) -> None:
        write_safely(self.said_file, json.dumps(what), PRIVATE)

    def forget(self) -> None:
        self.said_file.unlink(missing_ok=True)


class Session:
    """The folder `session/` of this machine, owner only, outside of what A1111 serves."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.webui = Part(place, "webui")  # A1111: said is {"port", "arguments"}, noted when it is started
        self.door = Part(place, "door")  # said is {"port", "package"}, written by itself once it listens
        self.tunnel = Part(place, "tunnel")  # said is {"url", "port", "kind", "program"} or {"error"}, by its process
        self.service = Part(place, "service")  # said is {"version", "pid", "created"}, by itself
        self.notebook_socket = place / "launcher.sock"  # where notebooks ask the service
        self.page_socket = place / "page.sock"  # where the door asks it: less may be asked for there
        self.lock = place / "keeper.lock"  # its holder is the one service; 1.2.0's keeper takes it, too
        self.keeper = Part(place, "keeper")  # the owner of before, up to 1.2.0
        self.keeper_socket = place / "keeper.sock"
        self.login = place / "login.json"  # user, password and secrets of the door (`access.login`)
        self.tunnel_token = place / "tunnel.token"  # gradio's share token: the same token gives the same link again
        self.forward = place / "forward.json"  # {"port", "api", "images"}: where the door may lead to, by the service
        self.log = place / "launcher.log"  # tracebacks of what went wrong
        self.launch_file = place / "launch.json"  # {"settings", "variables", "version"} of the launch that runs

    def prepare(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.place.chmod(0o700)

    def lead_to(self, **changed: Any) -> None:
        """Tell the door where visitors may be led from now on (`forward`); a port of 0 means nowhere."""
        write_safely(self.forward, json.dumps(read_object(self.forward) | changed), PRIVATE)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none or something else is in it."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
