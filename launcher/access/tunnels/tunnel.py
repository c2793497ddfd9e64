"""The tunnel behind the public link, in a process of its own.

`python -m launcher.access.tunnels.tunnel KIND SESSION_FOLDER PORT PATIENCE`
"""

import re
import secrets
import subprocess
import sys
import threading
import time
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
from launcher.core.process import end_process, running_pid, start_part
from launcher.core.session import Session

# In the order in which they are tried. By name, so that what is tried is what the form offers.
SERVICES: Final[dict[str, TunnelService]] = {
    name: import_module(f"launcher.access.tunnels.{name}").SERVICE for name in TUNNELS
}
TRY_LATER: Final = "Press ▶ again in a few minutes, or choose something else in the field **link**."
LINK_PATIENCE: Final = 45.0  # seconds in which a program has its link
PROBE_PATH: Final = "/robots.txt"  # the proxy answers it to everybody
PROBE_TIMEOUT: Final = 10.0  # seconds
MOST_LOGGED: Final = 1_000_000  # bytes


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
        """The link of the running tunnel."""
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
        """Start it and wait for its link; why there is none, else."""
        self.close()
        if not self.token.exists():  # the same token gives the same link again, so it is kept for the launch
            write_safely(self.token, secrets.token_urlsafe(32), 0o600)
        arguments = (kind, str(self.session), str(port), str(self.patience))
        start_part(self.part, "launcher.access.tunnels.tunnel", *arguments, PYTHONUNBUFFERED="1")
        end = time.monotonic() + self.patience + 10
        while time.monotonic() < end and self.running and not self.part.said:
            time.sleep(0.1)
        said = self.part.said
        return None if said.get("url") else SERVICES[kind].reason(said.get("error") or last_line_of(self.part.log))

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


def last_line_of(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


# ---- the tunnel's own process


def run_tunnel(kind: str, session: Session, port: int, patience: float) -> None:
    """Start a program, note its link, or why there is none, in tunnel.json, and stay as long as the program does.

    It stays in our process group and ends with us.
    """
    try:
        command = SERVICES[kind].command(session.place, port, session.tunnel_token.read_text())
        process = subprocess.Popen(
            command, env=child_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        url = wait_for_link(process, SERVICES[kind].link, patience)
    except Exception as error:
        response = getattr(error, "response", None)
        status = f" {response.status_code}" if response is not None else ""
        session.tunnel.note(error=f"{type(error).__name__}:{status} {str(error).strip()[-400:]}")
        raise
    session.tunnel.note(url=url.rstrip("/"), port=port, program=process.pid, kind=kind)
    logged = 0
    for line in process.stdout or ():  # all of it is read: frpc does not reconnect while its pipe is full
        logged += len(line)
        if logged < MOST_LOGGED:  # a line for every request while the proxy is away
            print(line.decode(errors="replace").rstrip())
    process.wait()


def wait_for_link(process: "subprocess.Popen[bytes]", link: str, patience: float) -> str:
    """The link, once the program prints it. Raises `RuntimeError` with what it printed if it ends, or is too slow."""
    watchdog = threading.Timer(patience, process.kill)
    watchdog.daemon = True
    watchdog.start()
    printed = ""
    for line in process.stdout or ():
        printed += line.decode(errors="replace")
        if found := re.search(link, printed):
            watchdog.cancel()
            return found[1]
    raise RuntimeError(printed.strip()[-300:] or f"it ended with {process.wait()}")


if __name__ == "__main__":
    run_tunnel(sys.argv[1], Session(Path(sys.argv[2])), int(sys.argv[3]), float(sys.argv[4]))
    sys.exit("the tunnel has ended")
