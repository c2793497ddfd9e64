"""The door: every request from the link comes here. Login, then on to the web UI; a waiting page while it starts.

It runs in a process of its own, so that neither ■ nor a crash of the kernel or the web UI shuts it. What it knows
of the launch it reads from two files: the login, and the board as the kernel last wrote it.
"""

import asyncio
import base64
import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from launcher.access.login import COOKIE, Login, Patience
from launcher.access.pages import OWN, STYLE, WAITING_SCRIPT, control_page, login_page, waiting_page
from launcher.core.folder import write_safely
from launcher.core.session import Session

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import web, web_response
    from multidict import CIMultiDict
    from yarl import URL


FORM_LIMIT: Final = 4096  # bytes of a login form
REQUEST_LINE_LIMIT: Final = 16 << 10  # bytes, as in A1111's own uvicorn
USE_NOTED_EVERY: Final = 5.0  # seconds
PIECE_OF_BODY: Final = 256 << 10
BETWEEN_HOPS: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-connection",
    }
)
API_PATHS: Final = ("/sdapi", "/docs", "/redoc", "/openapi.json")


class Door:
    """One door. `session` is the folder with login.json and board.json; `api` whether plug-ins may use /sdapi."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.login = Login.of_this_launch(session.login)
        self.patience = Patience()
        self.used_tickets: dict[str, float] = {}
        self._use_noted = -USE_NOTED_EVERY
        self._board: dict[str, Any] = {}
        self._board_mark = 0
        self._client: aiohttp.ClientSession | None = None

    @property
    def board(self) -> dict[str, Any]:
        """The board as the kernel last wrote it."""
        path = self.session.board
        try:
            mark = path.stat().st_mtime_ns
            if mark != self._board_mark:
                self._board, self._board_mark = json.loads(path.read_text()), mark
        except FileNotFoundError:
            self._board = {}
        return self._board

    def application(self) -> "web.Application":
        """The aiohttp application."""
        app = web.Application(client_max_size=FORM_LIMIT)
        app.cleanup_ctx.append(self._with_client)
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def _with_client(self, app: "web.Application") -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        connector = aiohttp.TCPConnector(limit=0, force_close=False, keepalive_timeout=30)
        self._client = aiohttp.ClientSession(
            timeout=timeout,
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=PIECE_OF_BODY,
        )
        yield
        await self._client.close()

    # ---- who comes

    async def handle(self, request: "web.Request") -> "web.StreamResponse":
        """Every request: the few things a stranger may have, then the login, then the web UI."""
        if request.path == "/robots.txt" and request.method in ("GET", "HEAD"):
            return web.Response(text="User-agent: *\nDisallow: /\n")
        if request.path == f"{OWN}style.css" and request.method in ("GET", "HEAD"):
            return web.Response(text=STYLE, content_type="text/css", headers={"Cache-Control": "max-age=3600"})
        if request.path == f"{OWN}login" and request.method == "POST":
            return await self.log_in(request)
        if request.path.startswith(f"{OWN}enter/") and request.method == "GET":
            return self.enter(request)
        if not await self.is_known(request):
            return self.turn_away(request)
        if comes_from_elsewhere(request):
            return web.Response(status=403, text="This request comes from another web site.\n")
        self.note_use()
        if request.path.startswith(OWN):
            return await self.own_page(request)
        return await self.to_webui(request)

    def note_use(self) -> None:
        """Leave a mark of the last use, every few seconds at most: an unused machine may be given back."""
        if time.monotonic() - self._use_noted > USE_NOTED_EVERY:
            self._use_noted = time.monotonic()
            self.session.last_use.touch()

    async def is_known(self, request: "web.Request") -> bool:
        """Whether the request carries this launch's cookie, or the right user and password."""
        if secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), self.login.cookie.encode()):
            return True
        header = request.headers.get("Authorization", "")
        right = self.login.basic_is_right(header)
        if right is None:
            return False
        place = place_of(request)
        if not await self.patience.my_turn(place):
            return False
        self.patience.was(right, place)
        return right

    def turn_away(self, request: "web.Request", message: str = "", status: int = 401) -> "web.Response":
        """The login page for a person, 401 for a program."""
        headers = {"Cache-Control": "no-store"} | SAFE_HEADERS
        if wants_html(request):
            return web.Response(status=status, text=login_page(message), content_type="text/html", headers=headers)
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="one-click launcher", charset="UTF-8"'
        return web.Response(status=status, text="Log in first.\n", headers=headers)

    async def log_in(self, request: "web.Request") -> "web.Response":
        """The login form was sent."""
        if comes_from_elsewhere(request) or request.content_length is None or request.content_length > FORM_LIMIT:
            return self.turn_away(request, "Please log in on this page.", 400)
        try:
            form = await request.post()
        except (ValueError, web.HTTPException):
            return self.turn_away(request, "Please log in on this page.", 400)
        place = place_of(request)
        if not await self.patience.my_turn(place):
            return self.turn_away(request, "Too many wrong tries. Wait a minute, then try again.", 429)
        right = self.login.is_right(str(form.get("user", "")), str(form.get("password", "")))
        self.patience.was(right, place)
        if not right:
            return self.turn_away(request, "That was not right. User and password stand on the card in the notebook.")
        return self.let_in(request)

    def enter(self, request: "web.Request") -> "web.Response":
        """The card's link: a ticket that opens once."""
        ticket, now = request.path.removeprefix(f"{OWN}enter/"), time.time()
        self.used_tickets = {used: until for used, until in self.used_tickets.items() if until > now}
        if ticket not in self.used_tickets and self.login.ticket_is_good(ticket):
            self.used_tickets[ticket] = float(ticket.partition(".")[0])
            return self.let_in(request)
        if secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), self.login.cookie.encode()):
            return self.let_in(request)
        return self.turn_away(
            request,
            "This link has opened once already, or is older than ten minutes. Log in with the password, or press the button in the notebook again.",
        )

    def let_in(self, request: "web.Request") -> "web.Response":
        """Give the cookie and show the web UI. It ends with the browser's session or the launch."""
        answer = web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
        answer.set_cookie(COOKIE, self.login.cookie, httponly=True, secure=True, samesite="Lax", path="/")
        return answer

    async def own_page(self, request: "web.Request") -> "web.Response":
        """The door's pages for people who are in."""
        if request.path == OWN and request.method in ("GET", "HEAD"):
            return web.Response(
                text=control_page(self.board),
                content_type="text/html",
                headers={"Cache-Control": "no-store"} | SAFE_HEADERS,
            )
        if request.path == f"{OWN}board" and request.method == "GET":
            return web.json_response(self.board, headers={"Cache-Control": "no-store"})
        if request.path == f"{OWN}restart" and request.method == "POST":
            write_safely(self.session.restart_wanted, str(time.time()), 0o600)
            return web.Response(status=303, headers={"Location": "/"})
        return web.Response(status=404, text="There is nothing here.\n")

    # ---- on to the web UI

    async def to_webui(self, request: "web.Request") -> "web.StreamResponse":
        """Pass the request on, or show the waiting page: nothing reaches a web UI that is not ready."""
        port = self.board.get("webui_port", 0)
        if not port:
            return self.not_yet(request)
        if (
            request.path.startswith(API_PATHS)
            and not self.board.get("api")
            and request.path not in ("/sdapi/v1/loras", "/sdapi/v1/refresh-loras")
        ):
            return web.Response(
                status=404, text="The API is off. Set the field api in the notebook and press ▶ again.\n"
            )
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self.pass_websocket(request, port)
            answer = await self.ask_webui(request, port)
        except (TimeoutError, aiohttp.ClientConnectionError):
            return self.not_yet(request)
        async with answer:
            return await self.pass_answer(request, answer)

    def not_yet(self, request: "web.Request") -> "web.Response":
        """The web UI is not ready."""
        headers = {"Cache-Control": "no-store", "Retry-After": "2"} | SAFE_HEADERS
        if wants_html(request):
            return web.Response(status=503, text=waiting_page(self.board), content_type="text/html", headers=headers)
        return web.json_response({"detail": "The web UI is starting."}, status=503, headers=headers)

    async def ask_webui(self, request: "web.Request", port: int) -> "aiohttp.ClientResponse":
        """Send the visitor's request to the web UI, its body streamed; return the answer once its headers are there."""
        assert self._client is not None
        body = request.content.iter_chunked(PIECE_OF_BODY) if request.body_exists else None
        headers = forwarded_headers(request)
        if request.content_length is not None and request.body_exists:
            headers["Content-Length"] = str(request.content_length)
        url = URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)
        skip = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        return await self._client.request(
            request.method, url, data=body, headers=headers, allow_redirects=False, skip_auto_headers=skip
        )

    async def pass_answer(self, request: "web.Request", answer: "aiohttp.ClientResponse") -> "web.StreamResponse":
        """Pass the web UI's answer on piece by piece: memory does not grow with its size."""
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in BETWEEN_HOPS and name.lower() != "server":
                response.headers.add(name, value)
        await response.prepare(request)
        if request.method != "HEAD":
            try:
                async for piece in answer.content.iter_any():
                    await response.write(piece)
            except (TimeoutError, aiohttp.ClientError):
                if request.transport is not None:
                    request.transport.close()  # the visitor must see that the answer is not whole
                raise
        await response.write_eof()
        return response

    async def pass_websocket(self, request: "web.Request", port: int) -> "web.StreamResponse":
        """A WebSocket, both ways, until either side closes."""
        assert self._client is not None
        wanted = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
        headers = forwarded_headers(request)
        for name in [n for n in headers if n.lower().startswith("sec-websocket")]:
            headers.popall(name, None)
        url = URL(f"ws://127.0.0.1:{port}{request.raw_path}", encoded=True)
        try:
            upstream = await self._client.ws_connect(
                url, headers=headers, protocols=wanted, max_msg_size=0, autoping=False, compress=0
            )
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        visitor = web.WebSocketResponse(
            protocols=[upstream.protocol] if upstream.protocol else [], max_msg_size=0, autoping=False, compress=False
        )
        await visitor.prepare(request)
        ways = [asyncio.create_task(pump(visitor, upstream)), asyncio.create_task(pump(upstream, visitor))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await upstream.close()
            await visitor.close()
        return visitor


SAFE_HEADERS: Final = {
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'none'; connect-src 'self'; "
        f"script-src 'sha256-{base64.b64encode(hashlib.sha256(WAITING_SCRIPT.encode()).digest()).decode()}'"
    ),
}


async def pump(source: Any, target: Any) -> None:
    """Pass messages on, and the close with its code."""
    async for message in source:
        if message.type == aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type == aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type == aiohttp.WSMsgType.PING:
            await target.ping(message.data)
        elif message.type == aiohttp.WSMsgType.PONG:
            await target.pong(message.data)
        else:
            break
    await target.close(
        code=source.close_code if source.close_code and source.close_code not in (1005, 1006, 1015) else 1000
    )


def forwarded_headers(request: "web.Request") -> "CIMultiDict[str]":
    """The visitor's headers for the web UI: without our cookie, the password, and what belongs to one hop."""
    named = {word.strip().lower() for word in request.headers.get("Connection", "").split(",")}
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.items():
        lower = name.lower()
        if lower in BETWEEN_HOPS or lower in named or lower in ("content-length", "cookie"):
            continue
        if lower == "authorization" and value.lower().startswith("basic "):
            continue
        headers.add(name, value)
    cookies = [c.strip() for c in "; ".join(request.headers.getall("Cookie", [])).split(";")]
    others = [c for c in cookies if c and c.partition("=")[0] != COOKIE]
    if others:
        headers["Cookie"] = "; ".join(others)
    return headers


def comes_from_elsewhere(request: "web.Request") -> bool:
    """True for a request that another site's page makes this browser send (CSRF, WebSocket hijacking)."""
    harmless = request.method in ("GET", "HEAD", "OPTIONS") and "upgrade" not in request.headers
    if harmless:
        return False
    site = request.headers.get("Sec-Fetch-Site", "")
    if site:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin", "")
    if not origin:
        return False
    host = origin.partition("://")[2]
    return host not in (request.headers.get("Host", ""), request.headers.get("X-Forwarded-Host", ""))


def wants_html(request: "web.Request") -> bool:
    """True for a person's browser that opens a page."""
    return request.method in ("GET", "HEAD", "POST") and "text/html" in request.headers.get("Accept", "")


def place_of(request: "web.Request") -> str:
    """Where a request comes from, as far as the tunnel's servers tell.

    gradio's is a web server in front of frps: each adds one address to X-Forwarded-For, so the last two are theirs.
    """
    passed = request.headers.get("X-Forwarded-For", "").split(",")[-2:]
    return " ".join([request.remote or "", *(address.strip()[:45] for address in passed)])


async def serve(session: Session, port: int, stop: Callable[[], Awaitable[None]]) -> None:
    """Serve on `port` (0: any) until `stop` returns. Only this machine can connect: the tunnel does."""
    web_response.SERVER_SOFTWARE = "door"  # type: ignore[attr-defined]  # strangers are told no versions, not even with a 400
    runner = web.AppRunner(
        Door(session).application(),
        access_log=None,
        handler_cancellation=True,  # a visitor who leaves ends the web UI's work for them
        max_line_size=REQUEST_LINE_LIMIT,
        max_field_size=REQUEST_LINE_LIMIT,
        keepalive_timeout=75,
        shutdown_timeout=2,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=512).start()
    except OSError:  # somebody else has it now: any other will do
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    address = runner.addresses[0]
    session.door.note(port=address[1], pid=os.getpid())
    await stop()
    await runner.cleanup()


async def forever() -> None:
    """Until the process is ended."""
    await asyncio.Event().wait()


def load_web_server() -> None:
    """Bring in what only the door's own process needs: 0.3 s for which ▶ need not wait."""
    global aiohttp, web, web_response, CIMultiDict, URL
    import aiohttp
    from aiohttp import web, web_response
    from multidict import CIMultiDict
    from yarl import URL


def door_part(arguments: list[str]) -> None:
    """The door's process: SESSION_FOLDER PORT."""
    load_web_server()
    asyncio.run(serve(Session(Path(arguments[0])), int(arguments[1]), forever))


if __name__ == "__main__":
    door_part(sys.argv[1:])
