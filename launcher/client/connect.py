"""Finding the service of this machine and this version; starting it where there is none."""

import asyncio
import signal
import time
from http.client import HTTPException
from typing import Any, Final

from launcher.core.process import PACKAGE, end_process, running_pid, send_signal, start_part
from launcher.core.session import Session
from launcher.core.unix_http import request

VERSION: Final = PACKAGE.name  # the hash that names the package's folder
CONNECT_PATIENCE: Final = 20.0  # seconds
SAVE_PATIENCE: Final = 60.0  # seconds in which another version's service saves what is to be saved
PRESS_PATIENCE: Final = 10.0  # seconds in which a button of a cell that has ended is heard


def service_version(session: Session) -> str:
    return str(session.service.said.get("version", "")) if running_pid(session.service.pid_file) else ""


def start_service(session: Session) -> None:
    """Start it. It runs this kernel's Python, finds its packages where the kernel does, and knows no token."""
    session.prepare()
    start_part(session.service, "launcher.service", str(session.place))


async def connect(session: Session) -> None:
    """Have a service of this version; start one, which outlives us, if there is none. Raises `OSError`."""
    if service_version(session) not in ("", VERSION):
        await asyncio.to_thread(end_other_version, session)
    end, started = time.monotonic() + CONNECT_PATIENCE, False
    while True:
        try:
            request(session.notebook_socket, "GET", "/link", patience=PRESS_PATIENCE)
            return
        except (FileNotFoundError, ConnectionRefusedError):
            if not started or not running_pid(session.service.pid_file):
                start_service(session)
                started = True
            if time.monotonic() > end and not running_pid(session.keeper.pid_file):  # which saves its files first
                raise
            await asyncio.sleep(0.01)


def end_other_version(session: Session) -> None:
    """Another version's service saves what is to be saved, and ends; where it does not, it is ended."""
    send_signal(session.service.pid_file, signal.SIGTERM)
    end = time.monotonic() + SAVE_PATIENCE
    while running_pid(session.service.pid_file) and time.monotonic() < end:
        time.sleep(0.05)
    end_process(session.service.pid_file)


def ask_anyway(session: Session, method: str, path: str) -> tuple[int, dict[str, Any]]:
    """Ask for something from a cell that has ended; start the service where it has ended, too. Raises `OSError`."""
    end = time.monotonic() + PRESS_PATIENCE
    while True:
        try:
            return request(session.notebook_socket, method, path, {}, PRESS_PATIENCE)
        except (OSError, HTTPException):
            if time.monotonic() > end:
                raise
            if not running_pid(session.service.pid_file):
                start_service(session)
            time.sleep(0.05)
