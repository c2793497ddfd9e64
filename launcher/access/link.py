"""The way in: the auth proxy and the tunnel as processes, which outlive whoever opened them, and the link to them."""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

import requests

from launcher.access.auth import Login
from launcher.access.pages import ALIVE, OWN_PAGES
from launcher.access.tunnels import Reason, TunnelService
from launcher.colab.machine import Machine
from launcher.core.child_environment import PROXIES, also_look_at, child_environment
from launcher.core.fields import AUTOMATIC, NO_LINK, TUNNELS
from launcher.core.folder import Folder, write_safely
from launcher.core.problem import Problem
from launcher.core.process import PACKAGE, end_process, exit_code, running_pid, start_detached, start_part
from launcher.core.session import Session
from launcher.core.status import Step

# In the order in which they are tried. By name, so that what is tried is what the form offers.
SERVICES: Final[dict[str, TunnelService]] = {
    name: import_module(f"launcher.access.tunnels.{name}").SERVICE for name in TUNNELS
}
TRY_LATER: Final = (
    "Press ▶ again in a few minutes; or choose another **link** under **Choices**, and press **Restart the web UI**."
)
PROXY_PATIENCE: Final = 20.0  # seconds
LINK_PATIENCE: Final = 45.0  # seconds in which a tunnel's program has its link
CHOSEN_PATIENCE: Final = 60.0  # seconds in which a link that a person chose must answer once
LIVING_PATIENCE: Final = 15.0  # seconds in which a link that has answered before must answer
UPGRADE: Final = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
PROBE_TIMEOUT: Final = 10.0  # seconds


class PublicLink:
    """The proxy and its link. They outlive whoever opened them, and are found again by their files in the session."""

    def __init__(self, folder: Folder, machine: Machine, wanted: str, private_link: Callable[[int], str]) -> None:
        self.machine, self.wanted, self.private_link = machine, wanted, private_link
        self.session = Session(folder.session)
        self.tunnel = Tunnel(folder.session)
        self.url, self._opened_as = "", wanted
        self.proxy_answers_within = 5.0  # seconds; one that takes longer, or as long to end, hangs
        self._private_port = 0  # where Colab's own link leads, if that is the link

    @property
    def login(self) -> Login:
        return Login.of_this_launch(self.session.login)

    def fresh_link(self) -> str:
        return f"{self.url}{OWN_PAGES}enter/{self.login.new_ticket()}"

    def open(self, goes_on: bool, step: Step) -> str:
        """Open the proxy and a link to it, unless they are open; return the link, which has answered once from outside.

        `goes_on` says that something still runs from before, so that the password stays. Raises `Problem`.
        """
        self.url = self._open_link(self._open_proxy(goes_on or self.tunnel.running), step)
        return self.url

    @property
    def another_wanted(self) -> bool:
        """Another kind of link was chosen since this one was opened."""
        return self._opened_as != self.wanted

    @property
    def here_only(self) -> bool:
        """The link is an address of this machine."""
        return self.url == proxy_url(self.session.proxy.port)

    def answers(self) -> bool:
        """True if the link answers. Colab's own answers its person's browser only: then the proxy itself is asked."""
        return answers(proxy_url(self._private_port) if self._private_port else self.url, LIVING_PATIENCE)

    def open_again(self, step: Step) -> str:
        """With the same password. Raises `Problem`."""
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
        self._forget_secrets()

    def _forget_secrets(self) -> None:
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
            self._forget_secrets()
        Login.of_this_launch(self.session.login)  # the proxy reads it
        proxy.forget()
        # The links there are lead to the old port.
        start_part(proxy, "launcher.access.proxy", str(self.session.place), str(self.tunnel.part.port or port))
        end = time.monotonic() + PROXY_PATIENCE
        while not proxy.port:
            if time.monotonic() > end or not running_pid(proxy.pid_file):
                lines = proxy.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
                raise Problem(
                    f"The login page could not be started: {lines[-1]}.",
                    f"Press ▶ again. If this keeps happening, please report it with the file {proxy.log}.",
                )
            time.sleep(0.05)
        return proxy.port

    def _open_link(self, port: int, step: Step) -> str:
        """A link that has answered once from outside: a public one, else Colab's own."""
        everywhere = self.wanted == AUTOMATIC and self.machine.remote
        kinds = [kind for kind in SERVICES if everywhere or kind == self.wanted]
        self._private_port, self._opened_as = 0, self.wanted
        there, said = self.tunnel.url, self.tunnel.part.said
        fits = said.get("port") == port and said.get("kind") in (None, *kinds)
        if there and fits and answers(there, LIVING_PATIENCE):
            return there
        self.tunnel.close()
        failure = ""
        for kind in kinds:
            try:
                url = self._open_tunnel(kind, port, step)
            except Problem as problem:
                if self._opened_as != AUTOMATIC:
                    raise
                failure = failure or problem.what
                continue
            if failure:
                step.notice(f"{failure} {SERVICES[kind].title.capitalize()} is used instead.")
            return url
        if not self.machine.colab or self.wanted == NO_LINK:
            return proxy_url(port)
        if failure:
            only_here = "it works only in this browser and for your account."
            step.notice(f"{failure} Colab's own link is used instead: {only_here}")
        url, self._private_port = self.private_link(port).rstrip("/"), port
        return url

    def _open_tunnel(self, kind: str, port: int, step: Step) -> str:
        service = SERVICES[kind]
        step.say(f"asking {service.title} for a link")
        url = self.tunnel.open(kind, port)
        step.say(f"waiting for {service.title} to answer")
        step.stop.wait(service.settles)
        if not answers(url, service.patience if self.wanted == AUTOMATIC else CHOSEN_PATIENCE):
            self.tunnel.close()
            raise Problem(f"{service.title} gave a link that does not work.", TRY_LATER)
        return url


def proxy_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


class Tunnel:
    """The one tunnel of this machine, found again by its files in the session folder."""

    def __init__(self, session: Path) -> None:
        self.session, self.patience = session, LINK_PATIENCE
        self.part, self.token = Session(session).tunnel, Session(session).tunnel_token

    @property
    def running(self) -> bool:
        return bool(running_pid(self.part.pid_file))

    @property
    def url(self) -> str | None:
        return self.part.said.get("url") if self.running else None

    def open(self, kind: str, port: int) -> str:
        """Start a tunnel to `port` and return its link. Raises `Problem` if there is none.

        A share server holds the name of a link for 40 s after a connection dropped: the same link is tried for twice.
        """
        reason = self._try(kind, port)
        if reason and reason.again:
            reason = self._try(kind, port)
        if url := self.url:
            return url
        self.close()
        why = reason.words if reason else "its program ended"
        raise Problem(f"{SERVICES[kind].title} gave no link: {why}.", TRY_LATER + also_look_at(PROXIES))

    def _try(self, kind: str, port: int) -> Reason | None:
        """Start its program and wait until it prints its link; why there is none, else."""
        self.close()
        service, log = SERVICES[kind], self.part.log
        log.unlink(missing_ok=True)
        if not self.token.exists():  # the same token gives the same link again, so it is kept for the launch
            write_safely(self.token, secrets.token_urlsafe(32), 0o600)
        try:
            command = service.command(self.session, port, self.token.read_text())
            start_detached(command, log=log, pid_file=self.part.pid_file, env=child_environment(), cwd=self.session)
        except Exception as error:
            return service.reason(f"{type(error).__name__}: {str(error).strip()[-400:]}")
        end, running = time.monotonic() + self.patience, True
        while running and time.monotonic() < end:
            time.sleep(0.1)
            running, printed = self.running, log.read_text(errors="replace")
            if found := re.search(service.link, printed.rpartition("\n")[0]):
                self.part.note(url=found[1].rstrip("/"), port=port, kind=kind)
                return None
        ended = "Timeout" if running else f"it ended with {exit_code(self.part.pid_file)}"
        return service.reason(printed.strip()[-300:] or ended)

    def close(self) -> None:
        end_process(self.part.pid_file, patience=3)
        self.part.forget()


def answers(url: str, patience: float) -> bool:
    """True if the proxy answers through the link within `patience` seconds. This machine is asked directly.

    It is asked for a WebSocket: without them no image is made. The answer holds a word of the question, so that it is
    no cache's: Cloudflare keeps robots.txt for two hours, whether a tunnel lives or not.
    """
    end = time.monotonic() + patience
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    with requests.Session() as session:
        session.trust_env = not url.startswith(("http://127.0.0.1", "http://localhost"))
        session.headers.update(UPGRADE | {"Sec-WebSocket-Key": key})
        while True:
            timeout = max(1.0, min(PROBE_TIMEOUT, patience))
            with (
                suppress(requests.RequestException),  # not yet
                session.get(url + ALIVE, timeout=timeout, stream=True) as response,
            ):
                if response.headers.get("Sec-WebSocket-Accept") == accepted(key):
                    return True
            if time.monotonic() > end:
                return False
            time.sleep(0.5)


def accepted(key: str) -> str:
    """What a server answers to a WebSocket's key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
