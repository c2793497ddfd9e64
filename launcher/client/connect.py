"""Asking the service of this machine; starting one of this version where there is none."""

import time
from http.client import HTTPException
from typing import Any, Final

from launcher.core.process import PACKAGE, end_process, running_pid, start_part
from launcher.core.session import Session, request

CONNECT_PATIENCE: Final = 20.0  # seconds
SAVE_PATIENCE: Final = 60.0  # seconds in which another version's service saves what is to be saved
PRESS_PATIENCE: Final = 10.0  # seconds in which a button of a cell that has ended is heard


def service_version(session: Session) -> str | None:
    """The version of the service that runs; None where there is none, or where it has not said so yet."""
    version = session.service.said.get("version") if running_pid(session.service.pid_file) else None
    return version if isinstance(version, str) else None


def connect(session: Session) -> None:
    """Have a service of this version; start one, which outlives us, if there is none. Raises `OSError`.

    It runs this kernel's Python, finds its packages where the kernel does, and knows no token.
    """
    part = session.service
    if service_version(session) not in (None, PACKAGE.name):
        end_process(part.pid_file, SAVE_PATIENCE)
    end, started = time.monotonic() + CONNECT_PATIENCE, False
    while True:
        try:
            request(session.notebook_socket, "GET", "/link", patience=PRESS_PATIENCE)
            return
        except (FileNotFoundError, ConnectionRefusedError):
            if not started or not running_pid(part.pid_file):
                session.prepare()
                start_part(part, "launcher.service", str(session.place))
                started = True
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def ask(
    session: Session, method: str, path: str, body: dict[str, Any] | None = None, patience: float = PRESS_PATIENCE
) -> tuple[int, dict[str, Any]]:
    """(HTTP status, the object in the answer) of the service that runs; (0, {}) where none answers."""
    try:
        return request(session.notebook_socket, method, path, body, patience)
    except (OSError, HTTPException):  # it has just ended
        return 0, {}
