"""What a Colab machine finds beside it on loopback: its manager (POST /unassign gives the machine back, which leaves a
mark beside Drive), and the metadata server that hands Google's Drive program a token once the person has allowed it.
"""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Manager:
    """Answers `status`; 200 means that the machine was given back. `marks` are the files to leave then."""

    def __init__(self) -> None:
        self.status, self.asked, self.marks = 200, 0, set[Path]()
        self.asked_at: list[float] = []  # time.time() of each POST /unassign
        self.allowed = False  # Google Drive
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = b'{"access_token": "stand-in", "expires_in": 3600}'
                has_token = "/computeMetadata/" in self.path and manager.allowed
                self.reply(200 if has_token else 404, token if has_token else b"")

            def do_POST(self) -> None:
                if self.path == "/consent":
                    manager.allowed = True
                    self.reply(200)
                elif self.path == "/unassign":
                    manager.asked += 1
                    manager.asked_at.append(time.time())
                    if manager.status == 200:
                        for mark in manager.marks:
                            mark.touch()
                    self.reply(manager.status)
                else:
                    self.reply(404)

            def reply(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
