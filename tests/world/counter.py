"""A proxy on loopback that counts the bytes that come through it: what an installer really fetched."""

import os
import socket
import socketserver
import threading
from typing import Any, Final

AT_ONCE: Final = 1 << 20  # bytes the kernel moves from one connection to the other, without a copy of them here


class Counter:
    """Knows CONNECT only, as HTTPS needs it; `came` counts what servers sent."""

    def __init__(self) -> None:
        self.came = 0
        self._lock, self._addresses = threading.Lock(), dict[str, str]()
        counter = self

        class Handler(socketserver.StreamRequestHandler):
            rbufsize = 0  # what follows the request belongs to the server

            def handle(self) -> None:
                method, target, *_ = self.rfile.readline().decode("latin-1").split()
                while self.rfile.readline().strip():
                    pass
                if method != "CONNECT":
                    self.wfile.write(b"HTTP/1.1 405 Only CONNECT\r\n\r\n")
                    return
                host, _, port = target.rpartition(":")
                with socket.create_connection((counter.address_of(host), int(port)), timeout=30) as server:
                    server.settimeout(None)
                    self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                    up = threading.Thread(target=counter.move, args=(self.connection, server, False), daemon=True)
                    up.start()
                    counter.move(server, self.connection, True)
                    up.join()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address = True, True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def address_of(self, host: str) -> str:
        """Asked once: a resolver that is asked fifty times at once answers some of them with a failure."""
        with self._lock:
            if host not in self._addresses:
                self._addresses[host] = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
            return self._addresses[host]

    def move(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        """All that `source` sends, until it ends or the other one does not want it any more."""
        out, into = os.pipe()
        try:
            while count := os.splice(source.fileno(), into, AT_ONCE):
                if counts:
                    with self._lock:
                        self.came += count
                while count:
                    count -= os.splice(out, target.fileno(), count)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one of the two went away: the other one hears of it
            for one in (source, target):
                hang_up(one)
        finally:
            os.close(out)
            os.close(into)

    def environment(self) -> dict[str, str]:
        """Leads pip and uv here."""
        return {"HTTPS_PROXY": self.url, "https_proxy": self.url, "NO_PROXY": "", "no_proxy": ""}

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, *error: Any) -> None:
        self.server.shutdown()
        self.server.server_close()


def hang_up(one: socket.socket) -> None:
    """End both directions; it may have ended already."""
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
