"""Servers with TLS under names like gradio's: the way to a door, and a site of somebody else."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.world.share import make_pki

Visitor = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def certificates(folder: Path, *hosts: str) -> ssl.SSLContext:
    """For *.gradio.live and these hosts. Only who is given the folder's `ca.pem` trusts them; browsers are told not to
    mind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = make_pki(folder, hosts=hosts)[1]
    assert isinstance(context, ssl.SSLContext)
    return context


@contextmanager
def relay(port: int, context: ssl.SSLContext, old_browser: bool = False) -> Iterator[int]:
    """Passes what comes over TLS on to `port`, as a share server does; its own port.

    With `old_browser` the headers Sec-Fetch-… get a name that nobody knows: browsers before 2023 do not send them.
    """

    async def visitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pass_on(port, reader, writer, (b"Sec-Fetch-", b"X-Unknown-") if old_browser else (b"", b""))

    with serving(visitor, context) as there:
        yield there


async def pass_on(
    port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other_word: tuple[bytes, bytes] = (b"", b"")
) -> None:
    """Bytes both ways between a visitor and `port`; one word of what the visitor says is another there."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: tuple[bytes, bytes]) -> None:
        with suppress(OSError):
            while piece := await reader.read(1 << 16):
                writer.write(piece.replace(*word) if word[0] else piece)
                await writer.drain()
        writer.close()

    try:
        to_there, from_there = await asyncio.open_connection("127.0.0.1", port)
    except OSError:  # nobody is there: the visitor sees the connection end
        writer.close()
        return
    await asyncio.gather(pump(reader, from_there, other_word), pump(to_there, writer, (b"", b"")))


@contextmanager
def serving(visitor: Visitor, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server in a thread that does this for each visitor; its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    starting = asyncio.start_server(visitor, "127.0.0.1", 0, ssl=context)
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(end_all(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


async def end_all(server: asyncio.Server) -> None:
    """End the server and all its visits."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


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
