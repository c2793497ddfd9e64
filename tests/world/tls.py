"""Servers with TLS under names like gradio's: the way to a door, and a site of somebody else."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.world.share import make_pki


def certificates(folder: Path) -> ssl.SSLContext:
    """For *.gradio.live. Nobody trusts them: browsers are told not to mind."""
    folder.mkdir(parents=True, exist_ok=True)
    context = make_pki(folder)[1]
    assert isinstance(context, ssl.SSLContext)
    return context


@contextmanager
def relay(port: int, context: ssl.SSLContext, old_browser: bool = False) -> Iterator[int]:
    """Passes what comes over TLS on to `port`, as a share server does; its own port.

    With `old_browser` the headers Sec-Fetch-… get a name that nobody knows: browsers before 2023 do not send them.
    """
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bool) -> None:
        with suppress(OSError):
            while piece := await reader.read(1 << 16):
                writer.write(piece.replace(b"Sec-Fetch-", b"X-Unknown-") if first and old_browser else piece)
                await writer.drain()
        writer.close()

    async def visitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_door, from_door = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, from_door, True), pump(to_door, writer, False))

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    starting = asyncio.start_server(visitor, "127.0.0.1", 0, ssl=context)
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(10)
    yield server.sockets[0].getsockname()[1]

    async def end() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


class Site:
    """Somebody else's site: empty pages that set the cookies one puts into `cookies`, and what its visitors sent."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.cookies: list[str] = []
        self.seen: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.seen.append(str(self.headers.get("Cookie", "")))
                self.send_response(200)
                for cookie in site.cookies:
                    self.send_header("Set-Cookie", cookie)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>theirs</title><body></body>")

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
