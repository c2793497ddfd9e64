"""The one owner of the files in `session/`: what runs on this machine, and how it is found again.

Processes outlive kernels, keepers and versions of the launcher. Names and contents of the files below change only with
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
        """What the process printed."""
        return self.session / f"{self.name}.log"

    @property
    def said_file(self) -> Path:
        """The file behind `said`."""
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
        """Note it, readable by the owner only."""
        write_safely(self.said_file, json.dumps(what), PRIVATE)

    def forget(self) -> None:
        """Take the note away."""
        self.said_file.unlink(missing_ok=True)


class Session:
    """The folder `session/` of this machine, owner only, outside of what A1111 serves."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.webui = Part(place, "webui")  # A1111: said is {"port", "arguments"}, noted when it is started
        self.door = Part(place, "door")  # said is {"port", "package"}, written by itself once it listens
        self.tunnel = Part(place, "tunnel")  # said is {"url", "port", "kind", "program"} or {"error"}, by its process
        self.keeper = Part(place, "keeper")  # said is {"version", "pid", "created"}, by itself
        self.keeper_socket = place / "keeper.sock"  # where windows meet the keeper
        self.keeper_lock = place / "keeper.lock"  # whoever holds this file's lock is the one keeper
        self.login = place / "login.json"  # user, password and secrets of the door (`access.login`)
        self.tunnel_token = place / "tunnel.token"  # gradio's share token: the same token gives the same link again
        self.board = place / "board.json"  # what the door's pages show, written by the keeper
        self.last_use = place / "last-use"  # touched by the door at each use of the web UI
        self.restart_wanted = place / "restart.wanted"  # made by the door's control page, deleted by the keeper
        self.log = place / "launcher.log"  # tracebacks of what went wrong
        self.launch_file = place / "launch.json"  # the settings of the launch that runs

    def prepare(self) -> None:
        """Make the folder, for the owner only."""
        self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.place.chmod(0o700)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none or something else is in it."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
