"""Connections of strangers: how many, how long, how much they may send, and that nothing of it gets into the log.

A stranger is whoever has not shown on this connection to be in. All bounds are on bytes and seconds of one connection,
and on the number of all; nothing is remembered about who or where anybody is.
"""

import asyncio
import contextlib
import logging
import resource
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

MOST_STRANGERS: Final = 384  # connections; for one more, the oldest that has not sent its request yet is dropped
STRANGERS_TIME: Final = 20.0  # seconds from the connection to the end of the answer
HEAD_LIMIT: Final = 64 << 10  # bytes, of one header line and of a stranger's whole request
READ_AT_ONCE: Final = 16 << 10  # bytes, of strangers; asyncio's own 256 kB for those who are in
KEEP_ALIVE: Final = 120.0  # seconds; longer than the 90 of cloudflared's pool, so that this side never closes first
PAUSE: Final = 0.002  # seconds between two strangers' requests
ACCEPTED_AT_ONCE: Final = 1  # connections a round of the event loop: whoever is in comes between any two
WAITING_TO_BE_ACCEPTED: Final = 1024
LINES_A_MINUTE: Final = 20
OPEN_FILES: Final = 65536
TOO_LARGE: Final = (
    "Your browser sent more cookies than this page accepts. Delete the cookies for this site, or use a private "
    "window, and open the link again.\n"
)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    def __init__(self, server: "Server", **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self.strangers = server.strangers
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.max_size = READ_AT_ONCE  # type: ignore[attr-defined]
        super().connection_made(transport)
        self.strangers.add(self)

    def is_in(self) -> None:
        """It is no stranger's."""
        self.strangers.forget(self)
        if self.transport is not None and "max_size" in vars(self.transport):
            del self.transport.max_size  # type: ignore[attr-defined]

    def connection_lost(self, exc: BaseException | None) -> None:
        self.strangers.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a stranger are counted until their request is whole."""
        if self.strangers.still_sends(self):
            if self._received > HEAD_LIMIT:
                self.drop()
                return
            self._received += len(data)
        super().data_received(data)

    def drop(self) -> None:
        self.strangers.forget(self)
        if self.transport is not None:
            self.transport.abort()

    def log_exception(self, *_: Any, **__: Any) -> None:
        """Faults are logged where they are answered."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A request that cannot be read, or a fault of ours: a sentence, without a word of what was sent."""
        if exc is not None and status >= 500 and not isinstance(exc, ConnectionError):
            logging.getLogger("door").error("a fault", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        text = "This request could not be read.\n" if status < 500 else "Something went wrong on the login page.\n"
        if "bytes" in str(message) or type(exc).__name__ == "LineTooLong":
            status, text = 431, TOO_LARGE
        answer = web.Response(status=status, text=text)
        answer.force_close()
        return answer

    def _make_error_handler(self, err_info: Any) -> Handler:
        """A request that cannot be read waits for its turn like every stranger's."""

        async def refuse(request: web.BaseRequest) -> web.StreamResponse:
            await self.strangers.wait_turn(self)
            return self.handle_error(request, err_info.status, err_info.exc, err_info.message)

        return refuse


class Strangers:
    """The connections of strangers, oldest first, and one turn after the other for their requests."""

    def __init__(self) -> None:
        self._since: dict[Connection, float] = {}
        self._sending: dict[Connection, None] = {}  # their request is not whole yet; the oldest first
        self._one_at_a_time = asyncio.Lock()

    def add(self, connection: Connection) -> None:
        """A new connection. If there are too many, one goes that keeps others waiting rather than waits."""
        self._since[connection] = time.monotonic()
        self._sending[connection] = None
        if len(self._since) > MOST_STRANGERS:
            next(iter(self._sending)).drop()

    def forget(self, connection: Connection) -> None:
        """It is over, or it is no stranger's."""
        self._since.pop(connection, None)
        self._sending.pop(connection, None)

    def still_sends(self, connection: Connection) -> bool:
        return connection in self._sending

    async def wait_turn(self, connection: Connection) -> None:
        """Its request is whole: wait until it may be answered, so that a flood leaves time between to who is in."""
        self._sending.pop(connection, None)
        async with self._one_at_a_time:
            await asyncio.sleep(PAUSE)

    async def look_after(self) -> None:
        """Drop those whose time is over, for ever."""
        while True:
            await asyncio.sleep(1)
            for connection in [c for c, since in self._since.items() if time.monotonic() - since > STRANGERS_TIME]:
                connection.drop()


class Server(web.Server):
    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, handler_cancellation=True)  # a visitor who leaves ends the web UI's work for them
        self.strangers = Strangers()

    def __call__(self) -> Connection:
        """A new connection. Bodies pass as they are: unpacking a stranger's zeros would keep everybody waiting."""
        return Connection(
            self,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=1.0,
            max_line_size=HEAD_LIMIT,
            max_field_size=HEAD_LIMIT,
        )


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


def keep_log_short() -> None:
    """From now on all that is logged in this process goes through `ShortLog`."""
    logging.basicConfig(handlers=[ShortLog()], level=logging.WARNING, force=True)


def allow_many_files() -> None:
    """Many systems start programs with 1,024 open files although they allow more."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):  # the system knows why; `MOST_STRANGERS` fits into 1,024
        most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
