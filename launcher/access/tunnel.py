"""The public link: gradio's share tunnel, then cloudflared; each in a process of its own. Knows only a port."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import requests

from launcher.access.gradio_tunnel import new_tunnel
from launcher.core.child_environment import child_environment
from launcher.core.folder import write_safely
from launcher.core.problem import Problem
from launcher.core.process import (
    PACKAGE,
    end_process,
    own_environment,
    own_part,
    running_pid,
    start_detached,
)
from launcher.core.session import Session

CLOUDFLARED_URL: Final = "https://github.com/cloudflare/cloudflared/releases/latest/download/cloudflared-linux-amd64"
START_PATIENCE: Final = 45.0  # seconds; gradio itself would wait for ever when the server is silent
PROBE_PATIENCE: Final = 20.0  # seconds in which a new link must answer once from outside
PROBE_PATH: Final = "/robots.txt"  # the door answers it to everybody
# The kinds of public link, in the order in which they are tried.
SERVICES: Final = {"gradio": "gradio's share server", "cloudflared": "Cloudflare's quick tunnel"}
# What frpc and gradio say -> why there is no link. The first that fits.
REASONS: Final = (
    (
        r"certificate|session shutdown|x509",
        "its certificate is not valid, which has happened when gradio forgot to renew it",
    ),
    (r"i/o deadline|Timeout", "it did not answer in time"),
    (r"new proxy \[\w*\] error", "it refused to make one"),
    (r"login to server failed|register control error|connection refused", "it refused the connection"),
    (r"start error", "it refused to make one"),
    (r"proxy added", "it did not answer in time"),
    (r"ConnectionError|ProxyError|HTTPError|JSONDecodeError", "its address could not be asked for"),
    (
        r"no such host|Failed to request quick|quick [Tt]unnel|CommandError",
        "it could not be reached",
    ),
    (r"right checksum", "its program could not be fetched"),
)


class Tunnel:
    """The one tunnel of this machine, found again by its files in the session folder."""

    def __init__(self, session: Path) -> None:
        self.session = session
        self.part = Session(session).tunnel
        self.pid_file, self.log = self.part.pid_file, self.part.log

    @property
    def running(self) -> bool:
        """True while the helper lives."""
        return bool(running_pid(self.pid_file))

    @property
    def url(self) -> str:
        """The link of the running tunnel, or ""."""
        return str(self._said().get("url", "")) if self.running else ""

    @property
    def port(self) -> int:
        """The port on this machine that the running tunnel leads to, or 0."""
        return self.part.port

    def open(self, kind: str, port: int) -> str:
        """Start a tunnel of that kind to `port` and return its link. Raises `Problem` within a minute if there is none."""
        self.close()
        token = self._token()
        environment = own_environment() | {"ONECLICK_SHARE_TOKEN": token, "PYTHONUNBUFFERED": "1"}
        start_detached(
            [*own_part("launcher.access.tunnel"), kind, str(self.session), str(port)],
            log=self.log,
            pid_file=self.pid_file,
            env=environment,
            cwd=PACKAGE,
        )
        end = time.monotonic() + START_PATIENCE + 10
        while time.monotonic() < end:
            said = self._said()
            if said.get("url"):
                return str(said["url"])
            if said.get("error") or not self.running:
                break
            time.sleep(0.1)
        reason = reason_in_words(str(self._said().get("error", "")) or last_words_of(self.log))
        self.close()
        raise Problem(
            f"{SERVICES[kind]} gave no link: {reason}.",
            "Press ▶ again in some minutes, or choose another way in the field link.",
        )

    def close(self) -> None:
        """End the tunnel."""
        end_process(self.pid_file, patience=3)
        self.part.forget()

    def _said(self) -> dict[str, Any]:
        return self.part.said

    def _token(self) -> str:
        """The same token gives the same link again, so it is kept for the launch, readable by the owner only."""
        path = Session(self.session).tunnel_token
        if not path.exists():
            write_safely(path, secrets.token_urlsafe(32), 0o600)
        return path.read_text()


def answers(url: str, patience: float = PROBE_PATIENCE) -> bool:
    """True if the door answers through the link within `patience` seconds."""
    end = time.monotonic() + patience
    while True:
        try:
            if requests.get(url + PROBE_PATH, timeout=10).text.startswith("User-agent: *\nDisallow: /"):
                return True
        except requests.RequestException:
            pass  # not yet: the loop's end says so
        if time.monotonic() > end:
            return False
        time.sleep(0.5)


def reason_in_words(said: str) -> str:
    """What frpc or gradio said, for a person; their own words where nobody knows better."""
    return next((words for pattern, words in REASONS if re.search(pattern, said)), " ".join(said.split())[-200:])


def last_words_of(log: Path) -> str:
    """The last line of a log, for a message."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


def tunnel_part(arguments: list[str]) -> None:
    """The tunnel's process: KIND SESSION_FOLDER PORT. Says its link, and why there is none, in tunnel.json."""
    kind, session, port = arguments[0], Path(arguments[1]), int(arguments[2])

    def say(**what: Any) -> None:
        Session(session).tunnel.note(**what)

    token = os.environ.pop("ONECLICK_SHARE_TOKEN")
    try:
        if kind == "gradio":
            url, process = start_gradio(session, port, token)
        else:
            url, process = start_cloudflared(session, port)
    except Exception as error:
        cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        say(error=f"{type(error).__name__}: {str(error).strip()[-400:]}{cause}")
        raise
    say(url=url.strip().rstrip("/"), port=port, program=process.pid)
    keep_log_short(process.stdout, print)
    process.wait()
    sys.exit("the tunnel has ended")


def start_gradio(session: Path, port: int, token: str) -> tuple[str, "subprocess.Popen[bytes]"]:
    """gradio's share tunnel. Its own start waits for ever for a silent server, hence the watchdog."""
    tunnel = new_tunnel(session, port, token)
    watchdog = threading.Timer(START_PATIENCE, lambda: tunnel.proc and tunnel.proc.kill())
    watchdog.daemon = True
    watchdog.start()
    url = str(tunnel.start_tunnel())
    watchdog.cancel()
    return url, tunnel.proc


def start_cloudflared(session: Path, port: int) -> tuple[str, "subprocess.Popen[bytes]"]:
    """Cloudflare's quick tunnel: no account; the link stands in a box in what it prints."""
    program = shutil.which("cloudflared") or str(bring_cloudflared(session))
    return start_and_read(
        [program, "tunnel", "--no-autoupdate", "--url", f"http://127.0.0.1:{port}"], r"\|\s+(https?://\S+)\s+\|"
    )


def bring_cloudflared(session: Path) -> Path:
    """cloudflared from its releases page."""
    path = session / "cloudflared"
    if not path.exists():
        answer = requests.get(CLOUDFLARED_URL, timeout=60)
        answer.raise_for_status()
        write_safely(path, answer.content, 0o700)
    return path


def start_and_read(command: list[str], link: str) -> tuple[str, "subprocess.Popen[bytes]"]:
    """Start a program and wait until it prints its link. It stays in our process group and ends with us."""
    process = subprocess.Popen(
        command,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    watchdog = threading.Timer(START_PATIENCE, process.kill)
    watchdog.daemon = True
    watchdog.start()
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line.decode(errors="replace")
        found = re.search(link, said)
        if found:
            watchdog.cancel()
            return found[1], process
    raise RuntimeError(said.strip()[-300:] or f"it ended with {process.wait()}")


def keep_log_short(lines: Any, tell: Callable[[str], None]) -> None:
    """Read frpc's output to its end: it stops reconnecting when its pipe is full."""
    told = 0
    for line in lines:
        told += len(line)
        if told < 1_000_000:  # a line for every request while the door is away
            tell(line.decode(errors="replace").rstrip())


if __name__ == "__main__":
    tunnel_part(sys.argv[1:])
