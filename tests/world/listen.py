"""Servers on loopback, as the stand-ins need them."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def listen(answer: Callable[[Any], None], *methods: str, version: str = "HTTP/1.1") -> ThreadingHTTPServer:
    """A server whose requests with these methods are answered by `answer`, each in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = version

        def log_message(self, *arguments: object) -> None:
            pass

        def do(self) -> None:
            answer(self)

    for method in methods:
        setattr(Handler, f"do_{method}", Handler.do)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def end(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


def reply(request: Any, status: int, headers: dict[str, str], body: bytes) -> None:
    """A whole answer."""
    request.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
