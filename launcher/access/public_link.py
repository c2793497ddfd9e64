"""The way in: the door as a process, and the link that leads to it."""

import json
import time
from typing import Final

from launcher.access.login import Login
from launcher.access.pages import OWN
from launcher.access.tunnel import SERVICES, Tunnel, answers
from launcher.colab.dialogs import MainThread, private_link
from launcher.colab.machine import Machine
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import PACKAGE, end_process, own_part, running_pid, start_detached
from launcher.core.reporter import Reporter
from launcher.python.uv import child_environment

DOOR_PATIENCE: Final = 20.0  # seconds


class Entrance:
    """The door and its link. Both outlive the kernel; a new one finds them again by their files in the session folder."""

    def __init__(self, folder: Folder, machine: Machine, wanted: str, main: MainThread) -> None:
        self.folder, self.machine, self.wanted, self.main = folder, machine, wanted, main
        self.session = folder.session
        self.tunnel = Tunnel(self.session)
        self.url = ""

    @property
    def login(self) -> Login:
        """User and password of this launch."""
        return Login.of_this_launch(self.session / "login.json")

    def fresh_link(self) -> str:
        """The link with a one-time ticket, so that it opens logged in."""
        return f"{self.url}{OWN}enter/{self.login.new_ticket()}"

    def open(self, goes_on: bool, reporter: Reporter) -> str:
        """Open the door and a link to it, unless they are open; return the link, which has answered once from outside.

        `goes_on` says that something still runs from before, so that the password stays. Raises `Problem`.
        """
        self.url = self._open_link(self._open_door(goes_on or self.tunnel.running), reporter)
        return self.url

    def answers(self) -> bool:
        """True if the link answers from outside."""
        return answers(self.url, patience=15)

    def open_again(self, reporter: Reporter) -> str:
        """Open the link anew, with the same password. Raises `Problem`."""
        port = self._open_door(goes_on=True)
        self.tunnel.close()
        self.url = self._open_link(port, reporter)
        return self.url

    def close(self) -> None:
        """End the link and the door; the password is worth nothing afterwards."""
        self.tunnel.close()
        end_process(self.session / "door.pid")
        for name in ("login.json", "tunnel.token", "door.json"):
            (self.session / name).unlink(missing_ok=True)

    def _open_door(self, goes_on: bool) -> int:
        """The door's port; opens it if it is not open."""
        told = self.session / "door.json"
        if running_pid(self.session / "door.pid") and told.exists():
            return int(json.loads(told.read_text())["port"])
        if not goes_on:  # a new launch, a new password
            for name in ("login.json", "tunnel.token"):
                (self.session / name).unlink(missing_ok=True)
        assert self.login
        told.unlink(missing_ok=True)
        command = [
            *own_part("launcher.access.door"),
            str(self.session),
            str(self.tunnel.port),
        ]  # a running tunnel leads to its old port
        log, pid_file = self.session / "door.log", self.session / "door.pid"
        start_detached(command, log=log, pid_file=pid_file, env=child_environment(self.folder), cwd=PACKAGE)
        end = time.monotonic() + DOOR_PATIENCE
        while not told.exists():
            if time.monotonic() > end or not running_pid(pid_file):
                raise Problem("The login page could not be started.", f"Press ▶ again. Its log is the file {log}.")
            time.sleep(0.05)
        return int(json.loads(told.read_text())["port"])

    def _open_link(self, port: int, reporter: Reporter) -> str:
        """A link that has answered once from outside: a public one, else Colab's own."""
        if self.tunnel.url and self.tunnel.port == port and answers(self.tunnel.url):
            return self.tunnel.url
        last: Problem | None = None
        for kind in self._kinds():
            try:
                reporter.say(f"asking {SERVICES[kind]} for a link")
                url = self.tunnel.open(kind, port)
                if not answers(url):
                    raise Problem(
                        f"{SERVICES[kind]} gave a link that does not answer.",
                        "Press ▶ again in some minutes, or choose another way in the field link.",
                    )
                if last:
                    reporter.notice(f"{last.what} {SERVICES[kind].capitalize()} is used instead.")
                return url
            except Problem as problem:
                last = last or problem
                self.tunnel.close()
        if last and self.wanted != "automatic":
            raise last
        if last:
            reporter.notice(
                f"{last.what} Colab's own link is used instead: it works only in this browser and for your account."
            )
        return self._private_link(port) if last or self.wanted == "Colab's own" else f"http://127.0.0.1:{port}"

    def _kinds(self) -> tuple[str, ...]:
        """The kinds of public link to try, in order; none outside of Colab unless one was chosen."""
        if self.wanted == "automatic":
            return tuple(SERVICES) if self.machine.colab else ()
        return (self.wanted,) if self.wanted in SERVICES else ()

    def _private_link(self, port: int) -> str:
        if not self.machine.colab:
            return f"http://127.0.0.1:{port}"
        url = self.main.call(lambda: private_link(port)).rstrip("/")
        if not url:
            raise Problem(
                "Colab gave no link of its own.",
                "Allow third-party cookies for colab.research.google.com and press ▶ again.",
            )
        return url
