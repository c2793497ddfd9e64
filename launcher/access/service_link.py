"""The door's line to the launcher's service: its status for the pages, and what they ask for.

One poll serves all pages. Nothing here may hold up who only wants the web UI: without a service the door leads on to
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

NEEDED_FOR: Final = 30.0  # seconds after a page was shown in which the status is kept up to date
FIRST_STATUS: Final = 2.0  # seconds in which a page waits for one
PAGES_WAIT: Final = 20.0  # seconds for which a page waits for a newer one
LONGEST_BODY: Final = 1 << 20  # bytes, as the service has it
PAUSE: Final = 0.5  # seconds between two tries
START_EVERY: Final = 10.0  # seconds between two starts of a service
USE_TOLD_EVERY: Final = 5.0  # seconds
NOT_STORED: Final = {"Cache-Control": "no-store"}
AWAY: Final = {"what": "The launcher does not answer. Try again in a moment."}


class ServiceLink:
    """The page's socket of the service."""

    def __init__(self, session: Session) -> None:
        self.session = session
        # Its path may be too long for the system, so that it goes by a descriptor of its folder.
        folder = os.open(session.place, os.O_PATH)
        connector = aiohttp.UnixConnector(path=f"/proc/self/fd/{folder}/page.sock", force_close=True, limit=0)
        self._client = aiohttp.ClientSession("http://launcher", connector=connector, raise_for_status=False)
        self._status: dict[str, Any] = {}
        self._changed = asyncio.Condition()
        self._needed, self._started, self._told = 0.0, -START_EVERY, -USE_TOLD_EVERY
        self._poll: asyncio.Task[None] | None = None

    async def status(self) -> dict[str, Any]:
        """The status as it is now; empty where there is no service yet."""
        self._need()
        if not self._status:
            await self._newer("", FIRST_STATUS)
        return self._status

    async def wait(self, version: str) -> dict[str, Any] | None:
        """A status of another version than a page has seen; None where there is none for a while."""
        self._need()
        return self._status if await self._newer(version, PAGES_WAIT) else None

    async def _newer(self, version: str, seconds: float) -> bool:
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(lambda: self._status.get("version", "") != version)
            except TimeoutError:
                return False
        return True

    def _need(self) -> None:
        self._needed = time.monotonic()
        if not self._poll or self._poll.done():
            self._status = {}
            self._poll = asyncio.create_task(self._keep_up_to_date())

    async def _keep_up_to_date(self) -> None:
        while time.monotonic() - self._needed < NEEDED_FOR:
            after = self._status.get("version", "")
            try:
                async with self._client.get("/status", params={"after": after}) as response:
                    found = await response.json() if response.status == 200 else None
            except (aiohttp.ClientError, OSError, TimeoutError):
                found = {}
                await self._start()
                await asyncio.sleep(PAUSE)
            if found is not None:
                async with self._changed:
                    self._status = found
                    self._changed.notify_all()

    async def _start(self) -> None:
        """Start a service, which goes by the variables of the last launch."""
        if time.monotonic() - self._started > START_EVERY and not running_pid(self.session.service.pid_file):
            self._started = time.monotonic()
            await asyncio.to_thread(start_part, self.session.service, "launcher.service", str(self.session.place))

    async def forward(self, request: web.BaseRequest, path: str) -> web.Response:
        """Ask the service what a page asks; which of it a page may ask, the service says."""
        if request.method == "GET" and path == "/status":
            found = await self.wait(request.query.get("after", ""))
            return web.json_response(found, headers=NOT_STORED) if found else web.Response(status=204)
        body = await request.content.read(LONGEST_BODY + 1) if request.body_exists else b""
        while len(body) <= LONGEST_BODY and (more := await request.content.read(LONGEST_BODY)):
            body += more
        if len(body) > LONGEST_BODY:
            return web.Response(status=413)
        for again in (True, False):
            try:
                async with self._client.request(request.method, path, data=body or b"{}") as response:
                    content = await response.read()
                    return web.Response(
                        status=response.status,
                        body=content or None,
                        content_type="application/json",
                        headers=NOT_STORED,
                    )
            except (aiohttp.ClientError, OSError):
                if again:
                    await self._start()
                    await self.status()
        return web.json_response(AWAY, status=503)

    def is_used(self) -> None:
        """Somebody used the web UI: an unused machine may be given back."""
        if time.monotonic() - self._told > USE_TOLD_EVERY:
            self._told = time.monotonic()
            self._telling = asyncio.create_task(self._tell_use())

    async def _tell_use(self) -> None:
        try:
            async with self._client.post("/used", json={"ago": 0}):
                pass
        except (aiohttp.ClientError, OSError, TimeoutError):
            self._told = -USE_TOLD_EVERY  # there is none just now: the next use is told
