"""HTTP on a Unix socket, the client's half: one request, one connection, JSON both ways."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any


@contextmanager
def address_of(place: Path) -> Iterator[str]:
    """An address for the socket at `place` that is short enough: the system allows 107 bytes."""
    folder = os.open(place.parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)


def request(
    place: Path, method: str, path: str, body: dict[str, Any] | None = None, patience: float = 30.0
) -> tuple[int, dict[str, Any]]:
    """(HTTP status, the object in the answer). Raises `OSError` or `http.client.HTTPException` where none comes."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(patience)
        with address_of(place) as address:
            line.connect(address)
        connection = HTTPConnection("launcher")
        connection.sock = line
        connection.request(method, path, json.dumps(body).encode() if body is not None else None)
        with connection.getresponse() as response:
            content = response.read()
            return response.status, json.loads(content) if content else {}
