"""The proxy's side of the launcher's service: its status for the pages, and what they ask for.

Nothing here may hold up who only wants the web UI: without a service the proxy leads on to it as `forward.json` says,
and starts a service when a page needs one.
"""

import asyncio
import json
import os
import time
from contextlib import suppress
from typing import Any, Final

import aiohttp
from aiohttp import web
from yarl import URL

from launcher.core.process import running_pid, start_part
from launcher.core.session import Session
from launcher.core.status import Snapshot

SERVICE_PATIENCE: Final = 2.0  # seconds in which a page waits for a service to start, and for its status
STATUS_LIFE: Final = 0.5  # seconds in which all pages have the same status, so that a crowd costs what one page does
RETRY_EVERY: Final = 0.5  # seconds
USE_SENT_EVERY: Final = 5.0  # seconds
OUR_PAGE: Final = "X-Oneclick"  # a header of our page's own requests: no other site's page can send it
AWAY: Final = {"what": "The launcher does not answer. Try again in a moment."}


class ServiceApi:
    def __init__(self, session: Session) -> None:
        self.session = session
        # Its path may be too long for the system, so that it goes by a descriptor of its folder.
        path = f"/proc/self/fd/{os.open(session.place, os.O_PATH)}/{session.page_socket.name}"
        connector = aiohttp.UnixConnector(path, force_close=True, limit=0)
        self._client = aiohttp.ClientSession("http://launcher", connector=connector)
        self._status: Snapshot | None = None
        self._status_ends = 0.0  # time.monotonic() from which on it is asked for anew
        self._asking = asyncio.Lock()
        self._use_sent = -USE_SENT_EVERY
        self._sending: asyncio.Task[Any] | None = None

    async def snapshot(self) -> Snapshot | None:
        """The status for a page; None where there is none in time. The service is asked once for all pages."""
        async with self._asking:
            if time.monotonic() > self._status_ends:
                answer = None
                with suppress(TimeoutError):
                    answer = await asyncio.wait_for(self.ask("GET", URL("/status")), SERVICE_PATIENCE)
                self._status = Snapshot.from_json(json.loads(answer[1])) if answer and answer[0] == 200 else None
                self._status_ends = time.monotonic() + STATUS_LIFE
            return self._status

    async def forward(self, request: web.BaseRequest, path: str) -> web.Response:
        """Ask the service what our page asks; which of it a page may ask, the service says."""
        if request.method != "GET" and OUR_PAGE not in request.headers:
            return web.json_response({"what": "Only the launcher's own page may ask for that."}, status=403)
        answer = await self.ask(request.method, URL.build(path=path, query=request.query), await request.read())
        self._status_ends = 0.0  # the next page sees what came of it
        if not answer:
            return web.json_response(AWAY, status=503)
        headers = {"Cache-Control": "no-store"}
        return web.Response(status=answer[0], body=answer[1], content_type="application/json", headers=headers)

    async def ask(self, method: str, url: URL, body: bytes = b"", start: bool = True) -> tuple[int, bytes] | None:
        """(HTTP status, JSON) of the answer; None where no service answers. `start`: start one then."""
        end = time.monotonic() + SERVICE_PATIENCE
        while True:
            try:
                async with self._client.request(method, url, data=body) as response:
                    return response.status, await response.read()
            except aiohttp.ClientConnectorError:  # nobody listens: what is asked has not been sent
                if not start or time.monotonic() > end:
                    return None
                if not running_pid(self.session.service.pid_file):  # it will go by the variables of the last launch
                    place = str(self.session.place)
                    await asyncio.to_thread(start_part, self.session.service, "launcher.service", place)
                await asyncio.sleep(RETRY_EVERY)
            except (aiohttp.ClientError, OSError):
                return None

    def note_use(self) -> None:
        """Somebody used the web UI: an unused machine may be given back."""
        if time.monotonic() - self._use_sent > USE_SENT_EVERY:
            self._use_sent = time.monotonic()
            self._sending = asyncio.create_task(self.ask("POST", URL("/used"), b'{"ago": 0}', start=False))
