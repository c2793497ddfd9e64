"""A server whose answers are written by each test."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


class Web:
    """A server whose answers are written by each test: `answer(path, headers) -> (status, headers, body)`.

    Where it answers for a site of the internet (`tests.world.internet`), the path begins with the site's name.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []  # (path with query, Authorization)
        self.answer: Callable[[str, Any], Answer] = lambda path, headers: (404, {}, b"")
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.headers.get("Host", "")
                path = self.path if host.startswith("127.0.0.1") else f"/{host}{self.path}"
                web.asked.append((path, self.headers.get("Authorization", "")))
                status, headers, body = web.answer(path, self.headers)
                wanted = self.headers.get("Range", "").removeprefix("bytes=").split("-")
                if status == 200 and len(wanted) == 2 and "text/html" not in headers.get("Content-Type", ""):
                    start, end = int(wanted[0]), min(int(wanted[1]), len(body) - 1)
                    headers |= {"Content-Range": f"bytes {start}-{end}/{len(body)}"}
                    status, body = 206, body[start : end + 1]
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
