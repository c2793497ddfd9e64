"""A company's HTTP proxy: it counts who is asked for, and knows the stand-ins by names outside of this machine."""

import contextlib
import select
import socket
import threading
from collections.abc import Mapping
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import MappingProxyType
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


class Proxy:
    """Passes on what it is asked for. `names`: hosts that are in truth ports of this machine are asked here; `ports`:
    domains that are in truth one port of it.
    """

    def __init__(self, *names: str, ports: Mapping[str, int] = MappingProxyType({})) -> None:
        self.names, self.ports = set(names), ports
        self.asked: list[str] = []  # the hosts, in their order
        proxy = self

        class Handler(StreamRequestHandler):
            rbufsize = 0  # what comes after the head is left for `pump`

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # whoever goes away in the middle is gone
                    proxy.pass_on(self)

        class Server(ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def pass_on(self, request: StreamRequestHandler) -> None:
        """One connection: CONNECT, or one request by its whole address."""
        method, target, version = request.rfile.readline().decode("latin1").split()
        head = []
        while (line := request.rfile.readline()) not in (b"\r\n", b"\n", b""):
            if not line.lower().startswith((b"proxy-", b"connection:")):
                head.append(line)
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = parts.hostname or "", parts.port or 80
        self.asked.append(host)
        if own := self.ports.get(host.partition(".")[2]):
            host, port = "127.0.0.1", own
        with socket.create_connection(("127.0.0.1" if host in self.names else host, port), timeout=30) as there:
            if method == "CONNECT":
                request.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = parts._replace(scheme="", netloc="").geturl() or "/"
                first = f"{method} {path} {version}\r\nConnection: close\r\n".encode()
                there.sendall(b"".join([first, *head, b"\r\n"]))
            there.settimeout(None)
            pump(request.connection, there)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def pump(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways until either side ends."""
    while True:
        for end in select.select([one, other], [], [])[0]:
            data = end.recv(65536)
            if not data:
                return
            (other if end is one else one).sendall(data)
