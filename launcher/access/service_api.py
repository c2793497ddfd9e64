"""The proxy's side of the launcher's service: its status for the pages, and what they ask for.

One poll serves all pages. Nothing here may hold up who only wants the web UI: without a service the proxy leads on to
it as `forward.json` says, and starts a service when a page needs one.
"""

import asyncio
import os
import time
from typing import Any, Final

import aiohttp
from aiohttp import web

from launcher.core.process import running_pid, start_part
from launcher.core.session import Session
from launcher.core.snapshot import Snapshot

NEEDED_FOR: Final = 30.0  # seconds after a page was shown in which the status is kept up to date
FIRST_STATUS: Final = 2.0  # seconds in which a page waits for one
PAGES_WAIT: Final = 20.0  # seconds for which a page waits for a newer one
LONGEST_BODY: Final = 1 << 20  # bytes, as the service has it
PAUSE: Final = 0.5  # seconds between two tries
USE_SENT_EVERY: Final = 5.0  # seconds
NOT_STORED: Final = {"Cache-Control": "no-store"}
AWAY: Final = {"what": "The launcher does not answer. Try again in a moment."}
NO_ANSWER: Final = (aiohttp.ClientError, OSError, TimeoutError)


class ServiceApi:
    def __init__(self, session: Session) -> None:
        self.session = session
        # Its path may be too long for the system, so that it goes by a descriptor of its folder.
        path = f"/proc/self/fd/{os.open(session.place, os.O_PATH)}/{session.page_socket.name}"
        connector = aiohttp.UnixConnector(path, force_close=True, limit=0)
        self._client = aiohttp.ClientSession("http://launcher", connector=connector)
        self._status: dict[str, Any] | None = None
        self._changed = asyncio.Condition()
        self._needed, self._sent = 0.0, -USE_SENT_EVERY
        self._poll: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None

    async def snapshot(self) -> Snapshot | None:
        """The status for a page; None where there is none for a while."""
        found = await self.status()
        return Snapshot.from_json(found) if found else None

    async def status(self, seen: str | None = None, patience: float = FIRST_STATUS) -> dict[str, Any] | None:
        """The status once it is another version than what a page has `seen`; None where there is none in time."""
        self._needed = time.monotonic()
        if not self._poll or self._poll.done():
            self._status = None
            self._poll = asyncio.create_task(self._keep_up_to_date())
        async with self._changed:
            try:
                async with asyncio.timeout(patience):
                    await self._changed.wait_for(lambda: self._status and self._status["version"] != seen)
            except TimeoutError:
                return None
        return self._status

    async def _keep_up_to_date(self) -> None:
        while time.monotonic() - self._needed < NEEDED_FOR:
            after = {"after": self._status["version"]} if self._status else {}
            try:
                async with self._client.get("/status", params=after) as response:
                    found = await response.json() if response.status == 200 else self._status
            except NO_ANSWER:
                found = None
                if not running_pid(self.session.service.pid_file):  # it will go by the variables of the last launch
                    place = str(self.session.place)
                    await asyncio.to_thread(start_part, self.session.service, "launcher.service", place)
                await asyncio.sleep(PAUSE)
            async with self._changed:
                self._status = found
                self._changed.notify_all()

    async def forward(self, request: web.BaseRequest, path: str) -> web.Response:
        """Ask the service what a page asks; which of it a page may ask, the service says."""
        if request.method == "GET" and path == "/status":
            found = await self.status(request.query.get("after"), PAGES_WAIT)
            return web.json_response(found, headers=NOT_STORED) if found else web.Response(status=204)
        body = b""
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > LONGEST_BODY:
                return web.Response(status=413)
        await self.status()  # which starts a service where there is none
        try:
            async with self._client.request(request.method, path, data=body or b"{}") as response:
                content, kind = await response.read(), "application/json"
                return web.Response(status=response.status, body=content, content_type=kind, headers=NOT_STORED)
        except NO_ANSWER:
            return web.json_response(AWAY, status=503)

    def note_use(self) -> None:
        """Somebody used the web UI: an unused machine may be given back."""
        if time.monotonic() - self._sent > USE_SENT_EVERY:
            self._sent = time.monotonic()
            self._sending = asyncio.create_task(self._send_use())

    async def _send_use(self) -> None:
        try:
            async with self._client.post("/used", json={"ago": 0}):
                pass
        except NO_ANSWER:
            self._sent = -USE_SENT_EVERY  # there is none just now: the next use is sent
