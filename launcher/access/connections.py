"""The proxy's connections: how many, how long, how much may be sent, and that nothing of it gets into the log.

A connection counts as unauthenticated until a request on it showed a login, and again from one on that shows none. All
bounds are on bytes and seconds of one connection, and on the number of all; nothing is remembered about who or where
anybody is. What of it the tunnels let through is said in docs/dev/attacks.md.
"""

import asyncio
import logging
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

MOST_UNAUTHENTICATED: Final = 640  # connections; for one more, the oldest that does not wait for its turn is dropped
MOST_WAITING: Final = 256  # of them wait for their turn; one more is dropped: who is logged in finds a place
UNAUTHENTICATED_TIME: Final = 20.0  # seconds from the connection to the end of the response
HEAD_LIMIT: Final = 64 << 10  # bytes, of one header line and of a whole unauthenticated request
KEEP_ALIVE: Final = 120.0  # seconds; longer than the 90 of cloudflared's pool, so that this side never closes first
PAUSE: Final = 0.002  # seconds between two unauthenticated requests
LINES_A_MINUTE: Final = 20
TOO_LARGE: Final = (
    "Your browser sent more cookies than this page accepts. Delete the cookies for this site, or use a private "
    "window, and open the link again.\n"
)


class Server(web.Server):
    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler, handler_cancellation=True)  # a visitor who leaves ends the web UI's work for them
        self.unauthenticated: dict[Connection, asyncio.TimerHandle] = {}  # the oldest first; when its time is over
        self._turn = asyncio.Lock()

    def __call__(self) -> "Connection":
        return Connection(self)

    async def wait_turn(self, connection: "Connection") -> None:
        """Its request is whole: wait until it may be answered. A flood leaves time between to who is logged in."""
        if sum(one.waits for one in self.unauthenticated) >= MOST_WAITING:
            connection.drop()  # and this task with it
        connection.waits = True
        async with self._turn:
            await asyncio.sleep(PAUSE)
        connection.waits = False


class Connection(web.RequestHandler):
    def __init__(self, server: Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,  # unpacking a stranger's zeros would keep everybody waiting
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=1.0,
            max_line_size=HEAD_LIMIT,
            max_field_size=HEAD_LIMIT,
        )
        self.unauthenticated = server.unauthenticated
        self.waits = False  # its request is whole, and is answered in its turn
        self.set_bounds()

    def set_bounds(self, *, asked: bool = False) -> None:
        """A stranger's request came, maybe where somebody was logged in: the servers before us share connections out.

        If there are too many, one goes that keeps others waiting rather than waits.
        """
        self._asked = asked  # the head of its request is whole
        if self in self.unauthenticated:
            return
        self._received = self._dropped = 0
        self.unauthenticated[self] = asyncio.get_running_loop().call_later(UNAUTHENTICATED_TIME, self.drop)
        if len(self.unauthenticated) > MOST_UNAUTHENTICATED:
            next(one for one in self.unauthenticated if not one.waits).drop()

    def data_received(self, data: bytes) -> None:
        if self in self.unauthenticated:
            self._received += len(data)
            if self._received - len(data) > HEAD_LIMIT:
                if not self._asked:
                    self.drop()
                self._dropped += len(data)
                return  # what more there is of a body is not kept
        super().data_received(data)

    async def take_rest(self, request: web.BaseRequest) -> None:
        """The answer is on the way: let the body come to its end, within a stranger's time.

        Programs that ask without a password first send all of it before they read why not.
        """
        size, content = request.content_length, request.content
        while self in self.unauthenticated and not content.is_eof():
            if size is not None and content.total_bytes + self._dropped >= size:
                return
            await asyncio.sleep(0.05)

    def drop(self) -> None:
        self.lift_bounds()
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lift_bounds()
        super().connection_lost(exc)

    def lift_bounds(self) -> None:
        if late := self.unauthenticated.pop(self, None):
            late.cancel()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """A request that cannot be read, or a fault of ours: a sentence, without a word of what was sent."""
        if exc is not None and status >= 500 and not isinstance(exc, ConnectionError):
            logging.getLogger("proxy").error("a fault", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun already")
        text = "This request could not be read.\n" if status < 500 else "Something went wrong on the login page.\n"
        if "bytes" in str(message) or type(exc).__name__ == "LineTooLong":
            status, text = 431, TOO_LARGE
        response = web.Response(status=status, text=text)
        response.force_close()
        return response


class ShortLog(logging.Handler):
    """What went wrong and where, without the words that went with it, and not more than so many lines a minute."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._minute, self._lines = 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        minute = int(time.time() // 60)
        self._lines = self._lines + 1 if minute == self._minute else 0
        self._minute = minute
        if self._lines >= LINES_A_MINUTE:
            return
        kind, place = record.levelname, f"{record.filename}:{record.lineno}"
        if record.exc_info and record.exc_info[1]:
            kind = type(record.exc_info[1]).__name__
            frames = traceback.extract_tb(record.exc_info[2])
            place = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[:-4:-1])
        print(time.strftime("%H:%M:%S"), record.name, kind, place, file=sys.stderr, flush=True)
