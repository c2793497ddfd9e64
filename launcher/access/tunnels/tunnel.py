"""The tunnel behind the public link, in a process of its own.

`python -m launcher.access.tunnels.tunnel KIND SESSION_FOLDER PORT PATIENCE`
"""

import secrets
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import requests

from launcher.access.tunnels.service import START_PATIENCE, Reason, Service
from launcher.core.child_environment import PROXIES, also_look_at
from launcher.core.fields import TUNNELS
from launcher.core.folder import write_safely
from launcher.core.problem import Problem
from launcher.core.process import end_process, running_pid, start_part
from launcher.core.session import Session

# In the order in which they are tried. By name, so that what is tried is what the form offers.
SERVICES: Final[dict[str, Service]] = {
    name: import_module(f"launcher.access.tunnels.{name}").SERVICE for name in TUNNELS
}
TRY_LATER: Final = "Press ▶ again in a few minutes, or choose something else in the field **link**."
PROBE_PATH: Final = "/robots.txt"  # the door answers it to everybody
PROBE_TIMEOUT: Final = 10.0  # seconds
MOST_LOGGED: Final = 1_000_000  # bytes


class Tunnel:
    """The one tunnel of this machine, found again by its files in the session folder.

    A service has `patience` seconds for its link.
    """

    def __init__(self, session: Path, patience: float = START_PATIENCE) -> None:
        self.session, self.patience = session, patience
        self.part = Session(session).tunnel
        self.pid_file, self.log = self.part.pid_file, self.part.log

    @property
    def running(self) -> bool:
        return bool(running_pid(self.pid_file))

    @property
    def url(self) -> str:
        """The link of the running tunnel, or ""."""
        return str(self.part.said.get("url", "")) if self.running else ""

    @property
    def port(self) -> int:
        """The port on this machine that the running tunnel leads to, or 0."""
        return self.part.port

    @property
    def kind(self) -> str:
        """Which service the running tunnel is of, or ""."""
        return str(self.part.said.get("kind", ""))

    def open(self, kind: str, port: int) -> str:
        """Start a tunnel to `port` and return its link. Raises `Problem` if there is none.

        A share server holds the name of a link for 40 s after a connection dropped, and frpc gives up after 30: there
        is a second try for the same link.
        """
        reason = self._try(kind, port)
        if reason and reason.again:
            reason = self._try(kind, port)
        if reason:
            self.close()
            raise Problem(f"{SERVICES[kind].title} gave no link: {reason.words}.", TRY_LATER + also_look_at(PROXIES))
        return self.url

    def _try(self, kind: str, port: int) -> Reason | None:
        """Start it and wait for its link; why there is none, else."""
        self.close()
        self._make_token()
        arguments = (kind, str(self.session), str(port), str(self.patience))
        start_part(self.part, "launcher.access.tunnels.tunnel", *arguments, PYTHONUNBUFFERED="1")
        end = time.monotonic() + self.patience + 10
        while time.monotonic() < end and self.running and not self.part.said:
            time.sleep(0.1)
        if self.part.said.get("url"):
            return None
        return SERVICES[kind].reason(str(self.part.said.get("error", "")) or last_words_of(self.log))

    def close(self) -> None:
        end_process(self.pid_file, patience=3)
        self.part.forget()

    def _make_token(self) -> None:
        """The same token gives the same link again, so it is kept for the launch, readable by the owner only."""
        path = Session(self.session).tunnel_token
        if not path.exists():
            write_safely(path, secrets.token_urlsafe(32), 0o600)


def answers(url: str, patience: float) -> bool:
    """True if the door answers through the link within `patience` seconds. This machine is asked without any proxy."""
    end = time.monotonic() + patience
    with requests.Session() as session:
        session.trust_env = not url.startswith(("http://127.0.0.1", "http://localhost"))
        while True:
            try:
                answer = session.get(url + PROBE_PATH, timeout=max(1.0, min(PROBE_TIMEOUT, patience)))
                if answer.text.startswith("User-agent: *\nDisallow: /"):
                    return True
            except requests.RequestException:
                pass  # not yet: the loop's end says so
            if time.monotonic() > end:
                return False
            time.sleep(0.5)


def last_words_of(log: Path) -> str:
    """The last line of a log, for a message."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


def main(arguments: list[str]) -> None:
    """The tunnel's process. Says its link, or why there is none, in tunnel.json."""
    kind, session, port, patience = arguments[0], Session(Path(arguments[1])), int(arguments[2]), float(arguments[3])
    try:
        url, process = SERVICES[kind].start(session.place, port, session.tunnel_token.read_text(), patience)
    except Exception as error:
        cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        response = getattr(error, "response", None)
        status = f" {response.status_code}" if response is not None else ""
        session.tunnel.note(error=f"{type(error).__name__}:{status} {str(error).strip()[-400:]}{cause}")
        raise
    session.tunnel.note(url=url.strip().rstrip("/"), port=port, program=process.pid, kind=kind)
    keep_log_short(process.stdout, print)
    process.wait()
    sys.exit("the tunnel has ended")


def keep_log_short(lines: Any, tell: Callable[[str], None]) -> None:
    """Read frpc's output to its end: it stops reconnecting when its pipe is full."""
    told = 0
    for line in lines:
        told += len(line)
        if told < MOST_LOGGED:  # a line for every request while the door is away
            tell(line.decode(errors="replace").rstrip())


if __name__ == "__main__":
    main(sys.argv[1:])
