"""What a Colab machine finds beside it on loopback: its manager (POST /unassign gives the machine back, which leaves a
mark beside Drive), and the metadata server that hands Google's Drive program a token once the person has allowed it.
"""

import time
from pathlib import Path
from typing import Any

from tests.world.listen import end, listen, reply


class Manager:
    """Answers `status`; 200 means that the machine was given back. `marks` are the files to leave then."""

    def __init__(self) -> None:
        self.status, self.asked, self.marks = 200, 0, set[Path]()
        self.asked_at: list[float] = []  # time.time() of each POST /unassign
        self.allowed = False  # Google Drive
        self.server = listen(self._handle, "GET", "POST", version="HTTP/1.0")
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def _handle(self, request: Any) -> None:
        status, body = 404, b""
        match request.command, request.path:
            case "GET", path if "/computeMetadata/" in path and self.allowed:
                status, body = 200, b'{"access_token": "stand-in", "expires_in": 3600}'
            case "POST", "/consent":
                self.allowed, status = True, 200
            case "POST", "/unassign":
                self.asked += 1
                self.asked_at.append(time.time())
                status = self.status
                for mark in self.marks if status == 200 else ():
                    mark.touch()
        reply(request, status, {}, body)

    def close(self) -> None:
        end(self.server)
