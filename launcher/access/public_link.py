"""The way in: the door as a process, and the link that leads to it."""

import time
from collections.abc import Callable
from typing import Final

from launcher.access.login import Login
from launcher.access.pages import OWN_PAGES
from launcher.access.tunnel import SERVICES, Tunnel, answers
from launcher.colab.machine import Machine
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import PACKAGE, end_process, own_environment, own_part, running_pid, start_detached
from launcher.core.reporter import Reporter
from launcher.core.session import Session

DOOR_PATIENCE: Final = 20.0  # seconds


class Entrance:
    """The door and its link. Both outlive the kernel; a new one finds them again by their files in the session folder."""

    def __init__(self, folder: Folder, machine: Machine, wanted: str, private_link: Callable[[int], str]) -> None:
        self.folder, self.machine, self.wanted, self.private_link = folder, machine, wanted, private_link
        self.session = Session(folder.session)
        self.tunnel = Tunnel(folder.session)
        self.url = ""

    @property
    def login(self) -> Login:
        """User and password of this launch."""
        return Login.of_this_launch(self.session.login)

    def fresh_link(self) -> str:
        """The link with a one-time ticket, so that it opens logged in."""
        return f"{self.url}{OWN_PAGES}enter/{self.login.new_ticket()}"

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
        end_process(self.session.door.pid_file)
        self.session.door.forget()
        self._forget_login()

    def _forget_login(self) -> None:
        for path in (self.session.login, self.session.tunnel_token):
            path.unlink(missing_ok=True)

    def _open_door(self, goes_on: bool) -> int:
        """The door's port; opens it if it is not open."""
        door = self.session.door
        if running_pid(door.pid_file) and door.port:
            return door.port
        if not goes_on:  # a new launch, a new password
            self._forget_login()
        Login.of_this_launch(self.session.login)  # the door reads it
        door.forget()
        # A running tunnel leads to the door's old port.
        command = [*own_part("launcher.access.door"), str(self.session.place), str(self.tunnel.port)]
        start_detached(command, log=door.log, pid_file=door.pid_file, env=own_environment(), cwd=PACKAGE)
        end = time.monotonic() + DOOR_PATIENCE
        while not door.port:
            if time.monotonic() > end or not running_pid(door.pid_file):
                raise Problem("The login page could not be started.", f"Press ▶ again. Its log is the file {door.log}.")
            time.sleep(0.05)
        return door.port

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
        url = self.private_link(port).rstrip("/")
        if not url:
            raise Problem(
                "Colab gave no link of its own.",
                "Allow third-party cookies for colab.research.google.com and press ▶ again.",
            )
        return url
