"""The one owner of the files in `session/`: what runs on this machine, and how it is found again.

Processes outlive kernels, keepers and versions of the launcher. Names and contents of the files below change only with
care: pid files, login and ports must stay readable by every later version.
"""

import json
import os
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


@dataclass(frozen=True)
class Session:
    """The folder `session/` of this machine, owner only, outside of what A1111 serves."""

    place: Path

    @property
    def webui(self) -> Part:
        """A1111: said is {"port", "arguments"}, noted when it is started."""
        return Part(self.place, "webui")

    @property
    def door(self) -> Part:
        """The door: said is {"port", "pid"}, written by itself once it listens."""
        return Part(self.place, "door")

    @property
    def tunnel(self) -> Part:
        """The public link: said is {"url", "port", "program"} or {"error"}, written by its process."""
        return Part(self.place, "tunnel")

    @property
    def keeper(self) -> Part:
        """The keeper: said is {"version"}."""
        return Part(self.place, "keeper")

    @property
    def keeper_socket(self) -> Path:
        """Where windows meet the keeper."""
        return self.place / "keeper.sock"

    @property
    def keeper_lock(self) -> Path:
        """Whoever holds this file's lock is the one keeper."""
        return self.place / "keeper.lock"

    @property
    def login(self) -> Path:
        """User, password and secrets of the door (`access.login`)."""
        return self.place / "login.json"

    @property
    def tunnel_token(self) -> Path:
        """gradio's share token: the same token gives the same link again."""
        return self.place / "tunnel.token"

    @property
    def board(self) -> Path:
        """What the door's pages show, written by the keeper."""
        return self.place / "board.json"

    @property
    def last_use(self) -> Path:
        """Touched by the door at each use of the web UI."""
        return self.place / "last-use"

    @property
    def restart_wanted(self) -> Path:
        """Made by the door's control page; the keeper restarts the web UI and deletes it."""
        return self.place / "restart.wanted"

    @property
    def log(self) -> Path:
        """The launcher's own log: tracebacks of what went wrong."""
        return self.place / "launcher.log"

    @property
    def launch_file(self) -> Path:
        """The settings of the launch that runs, and the launcher's version."""
        return self.place / "launch.json"

    def prepare(self) -> None:
        """Make the folder, for the owner only."""
        self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.place.chmod(0o700)

    def set_aside(self, path: Path) -> None:
        """Keep a file that this version cannot read under another name."""
        os.replace(path, path.with_name(f"{path.name}.unknown"))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none or something else is in it."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
