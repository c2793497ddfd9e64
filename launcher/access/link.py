"""The way in: the auth proxy as a process, and the link that leads to it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from launcher.access.auth import Login
from launcher.access.pages import OWN_PAGES
from launcher.access.tunnels.tunnel import SERVICES, TRY_LATER, Tunnel, answers
from launcher.colab.machine import Machine
from launcher.core.fields import AUTOMATIC, NO_LINK
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import PACKAGE, end_process, running_pid, start_part
from launcher.core.session import Session
from launcher.core.status import Step

PROXY_PATIENCE: Final = 20.0  # seconds
CHOSEN_PATIENCE: Final = 60.0  # seconds in which a link that a person chose must answer once
LIVING_PATIENCE: Final = 15.0  # seconds in which a link that has answered before must answer


class PublicLink:
    """The proxy and its link. They outlive whoever opened them, and are found again by their files in the session."""

    def __init__(self, folder: Folder, machine: Machine, wanted: str, private_link: Callable[[int], str]) -> None:
        self.machine, self.wanted, self.private_link = machine, wanted, private_link
        self.session = Session(folder.session)
        self.tunnel = Tunnel(folder.session)
        self.url = ""
        self.proxy_answers_within = 5.0  # seconds; one that takes longer, or as long to end, hangs
        self._private_port = 0  # where Colab's own link leads, if that is the link

    @property
    def login(self) -> Login:
        return Login.of_this_launch(self.session.login)

    def fresh_link(self) -> str:
        """A link that opens the web UI logged in, once."""
        return f"{self.url}{OWN_PAGES}enter/{self.login.new_ticket()}"

    def open(self, goes_on: bool, step: Step) -> str:
        """Open the proxy and a link to it, unless they are open; return the link, which has answered once from outside.

        `goes_on` says that something still runs from before, so that the password stays. Raises `Problem`.
        """
        self.url = self._open_link(self._open_proxy(goes_on or self.tunnel.running), step)
        return self.url

    def answers(self) -> bool:
        """True if the link answers. Colab's own answers its person's browser only: then the proxy itself is asked."""
        return answers(proxy_url(self._private_port) if self._private_port else self.url, LIVING_PATIENCE)

    def open_again(self, step: Step) -> str:
        """Open the link anew, with the same password. Raises `Problem`."""
        port = self._open_proxy(goes_on=True)
        if not answers(proxy_url(port), self.proxy_answers_within):  # it hangs, or is just ending
            end_process(self.session.proxy.pid_file, self.proxy_answers_within)
            port = self._open_proxy(goes_on=True)
        if self._private_port != port:  # else Colab's own link leads to the same proxy again
            self.tunnel.close()
            self.url = self._open_link(port, step)
        return self.url

    def close(self) -> None:
        """End the link and the proxy; the password is worth nothing afterwards."""
        self.tunnel.close()
        end_process(self.session.proxy.pid_file)
        self.session.proxy.forget()
        self._forget_login()

    def _forget_login(self) -> None:
        self.session.login.unlink(missing_ok=True)
        self.session.tunnel_token.unlink(missing_ok=True)

    def _open_proxy(self, goes_on: bool) -> int:
        """The proxy's port; opens it if it is not open, and anew if another version of the launcher opened it."""
        proxy, port = self.session.proxy, self.session.proxy.port
        if running_pid(proxy.pid_file) and port:
            if proxy.said.get("package") == str(PACKAGE):
                return port
            end_process(proxy.pid_file)
        elif not goes_on:  # a new launch, a new password
            self._forget_login()
        Login.of_this_launch(self.session.login)  # the proxy reads it
        proxy.forget()
        # The links there are lead to the old port.
        start_part(proxy, "launcher.access.proxy", str(self.session.place), str(self.tunnel.part.port or port))
        end = time.monotonic() + PROXY_PATIENCE
        while not proxy.port:
            if time.monotonic() > end or not running_pid(proxy.pid_file):
                raise Problem(
                    f"The login page could not be started: {last_line_of(proxy.log)}.",
                    f"Press ▶ again. If this keeps happening, please report it with the file {proxy.log}.",
                )
            time.sleep(0.05)
        return proxy.port

    def _open_link(self, port: int, step: Step) -> str:
        """A link that has answered once from outside: a public one, else Colab's own."""
        everywhere = self.wanted == AUTOMATIC and self.machine.remote
        kinds = [kind for kind in SERVICES if everywhere or kind == self.wanted]
        self._private_port = 0
        there, said = self.tunnel.url, self.tunnel.part.said
        fits = said.get("port") == port and said.get("kind") in (None, *kinds)
        if there and fits and answers(there, LIVING_PATIENCE):
            return there
        self.tunnel.close()
        first: Problem | None = None
        for kind in kinds:
            try:
                url = self._open_tunnel(kind, port, step)
            except Problem as problem:
                first = first or problem
            else:
                if first:
                    step.notice(f"{first.what} {SERVICES[kind].title.capitalize()} is used instead.")
                return url
        if first and self.wanted != AUTOMATIC:
            raise first
        if not self.machine.colab or self.wanted == NO_LINK:
            return proxy_url(port)
        if first:
            step.notice(
                f"{first.what} Colab's own link is used instead: it works only in this browser and for your account."
            )
        url, self._private_port = self.private_link(port).rstrip("/"), port
        return url

    def _open_tunnel(self, kind: str, port: int, step: Step) -> str:
        service = SERVICES[kind]
        step.say(f"asking {service.title} for a link")
        url = self.tunnel.open(kind, port)
        step.say(f"waiting for {service.title} to answer")
        if not answers(url, service.patience if self.wanted == AUTOMATIC else CHOSEN_PATIENCE):
            self.tunnel.close()
            raise Problem(f"{service.title} gave a link that does not work.", TRY_LATER)
        return url


def last_line_of(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


def proxy_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
