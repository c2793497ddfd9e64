"""A service of the test's own, in this process, behind its two sockets."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.core.session import Session, request
from launcher.service import server
from launcher.service.service import Service


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("ONECLICK_HOME", str(tmp_path))
    made = Session(tmp_path / "machine" / "session")
    made.prepare()
    return made


@pytest.fixture
def service(session: Session) -> Iterator[Service]:
    made = Service(session)
    places = {session.notebook_socket: False, session.page_socket: True}
    servers = [server.UnixServer(place, made.routes, made.fault, page=page) for place, page in places.items()]
    before = dict(os.environ)  # a launch takes over the environment of who pressed ▶
    yield made
    os.environ.clear()
    os.environ.update(before)
    for one in servers:
        one.shutdown()
        one.server_close()


def ask(service: Service, method: str, path: str, body: dict[str, Any] | None = None, page: bool = False) -> Any:
    place = service.session.page_socket if page else service.session.notebook_socket
    return request(place, method, path, body, 30)
