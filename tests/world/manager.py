"""The manager of a Colab machine: POST /unassign gives the machine back, which leaves a mark beside Drive."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Manager:
    """Answers `status`; 200 means that the machine was given back. `marks` are the files to leave then."""

    def __init__(self) -> None:
        self.status, self.asked, self.marks = 200, 0, set[Path]()
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                manager.asked += self.path == "/unassign"
                if self.path == "/unassign" and manager.status == 200:
                    for mark in manager.marks:
                        mark.touch()
                self.send_response(manager.status if self.path == "/unassign" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
