"""The tunnel behind the public link: the program of a service, which outlives us and is found again by its files."""

import re
import resource
import secrets
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

import requests

from launcher.access.tunnels import Reason, TunnelService
from launcher.core.child_environment import PROXIES, also_look_at, child_environment
from launcher.core.fields import TUNNELS
from launcher.core.folder import write_safely
from launcher.core.problem import Problem
from launcher.core.process import end_process, exit_code, running_pid, start_detached
from launcher.core.session import Session

# In the order in which they are tried. By name, so that what is tried is what the form offers.
SERVICES: Final[dict[str, TunnelService]] = {
    name: import_module(f"launcher.access.tunnels.{name}").SERVICE for name in TUNNELS
}
TRY_LATER: Final = "Press ▶ again in a few minutes, or choose another **link** under **Choices**."
LINK_PATIENCE: Final = 45.0  # seconds in which a program has its link
PROBE_PATH: Final = "/robots.txt"  # the proxy answers it to everybody
PROBE_TIMEOUT: Final = 10.0  # seconds
MOST_LOGGED: Final = 10_000_000  # bytes; a line for every request while the proxy is away


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

        A share server holds the name of a link for 40 s after a connection dropped: there is a second try for the
        same link.
        """
        reason = self._try(kind, port)
        if reason and reason.again:
            reason = self._try(kind, port)
        url = self.url
        if reason or not url:
            self.close()
            why = reason.words if reason else "its program ended"
            raise Problem(f"{SERVICES[kind].title} gave no link: {why}.", TRY_LATER + also_look_at(PROXIES))
        return url

    def _try(self, kind: str, port: int) -> Reason | None:
        """Start its program and wait until it prints its link; why there is none, else."""
        service, log = SERVICES[kind], self.part.log
        self.close()
        log.unlink(missing_ok=True)
        if not self.token.exists():  # the same token gives the same link again, so it is kept for the launch
            write_safely(self.token, secrets.token_urlsafe(32), 0o600)
        try:
            command = service.command(self.session, port, self.token.read_text())
            start_detached(command, log=log, pid_file=self.part.pid_file, env=child_environment(), cwd=self.session)
        except Exception as error:
            with log.open("a") as file:
                traceback.print_exception(error, file=file)
            status = getattr(getattr(error, "response", None), "status_code", "")
            return service.reason(f"{type(error).__name__}: {status} {str(error).strip()[-400:]}")
        if pid := running_pid(self.part.pid_file):
            with suppress(ProcessLookupError):  # it has just ended
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (MOST_LOGGED, MOST_LOGGED))
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
    """True if the proxy answers through the link within `patience` seconds. This machine is asked directly."""
    end = time.monotonic() + patience
    with requests.Session() as session:
        session.trust_env = not url.startswith(("http://127.0.0.1", "http://localhost"))
        while True:
            with suppress(requests.RequestException):  # not yet
                response = session.get(url + PROBE_PATH, timeout=max(1.0, min(PROBE_TIMEOUT, patience)))
                if response.text.startswith("User-agent: *\nDisallow: /"):
                    return True
            if time.monotonic() > end:
                return False
            time.sleep(0.5)
