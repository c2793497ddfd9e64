"""A server whose answers are written by each test."""

from collections.abc import Callable
from typing import Any

from tests.world.listen import end, listen, reply

Answer = tuple[int, dict[str, str], bytes]


class Web:
    """A server whose answers are written by each test: `answer(path, headers) -> (status, headers, body)`.

    Where it answers for a site of the internet (`tests.world.internet`), the path begins with the site's name.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []  # (path with query, Authorization)
        self.answer: Callable[[str, Any], Answer] = lambda path, headers: (404, {}, b"")
        self.server = listen(self._handle, "GET", version="HTTP/1.0")
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _handle(self, request: Any) -> None:
        host = request.headers.get("Host", "")
        path = request.path if host.startswith("127.0.0.1") else f"/{host}{request.path}"
        self.asked.append((path, request.headers.get("Authorization", "")))
        status, headers, body = self.answer(path, request.headers)
        wanted = request.headers.get("Range", "").removeprefix("bytes=").split("-")
        if status == 200 and len(wanted) == 2 and "text/html" not in headers.get("Content-Type", ""):
            start, last = int(wanted[0]), min(int(wanted[1]), len(body) - 1)
            headers |= {"Content-Range": f"bytes {start}-{last}/{len(body)}"}
            status, body = 206, body[start : last + 1]
        reply(request, status, headers, body)

    def close(self) -> None:
        end(self.server)
