"""On to the web UI: what people who are logged in ask for, and what it answers, as it is."""

import asyncio
import posixpath
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from launcher.access.auth import COOKIE

PIECE_OF_BODY: Final = 256 << 10  # bytes
HEADERS_OF_AN_ANSWER: Final = 1000
HEADER_LINE_OF_AN_ANSWER: Final = 256 << 10  # bytes
OTHER_COOKIES: Final = 4 << 10  # bytes; uvicorn refuses a head of 16 kB, and other sites can set cookies here
# RFC 9110, 7.6.1, and what older proxies send: it belongs to one connection and is not passed on.
CONNECTION_HEADERS: Final = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "proxy-connection",
})  # fmt: skip
LORA_PATHS: Final = ("/sdapi/v1/loras", "/sdapi/v1/refresh-loras")  # the web UI's own page uses these
# The first parts of all routes that A1111 1.10.1 with gradio 3.41.2 has without --api. All others are extensions'.
WEB_UI_PARTS: Final = frozenset({
    "", "api", "app_id", "assets", "config", "favicon.ico", "file", "info", "internal", "login", "login_check", "proxy",
    "queue", "reset", "robots.txt", "run", "sd_extra_networks", "startup-events", "static", "stream", "theme.css",
    "token", "upload", "user", "webui-assets",
})  # fmt: skip


class NotReady(Exception):
    """The web UI does not answer."""


class Upstream:
    def __init__(self) -> None:
        # A connection for each request: gradio's server closes idle ones after 5 s, and a POST that meets one that is
        # just being closed is lost. On one machine a new connection costs 0.1 ms.
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=PIECE_OF_BODY,
            max_line_size=HEADER_LINE_OF_AN_ANSWER,
            max_field_size=HEADER_LINE_OF_AN_ANSWER,
            max_headers=HEADERS_OF_AN_ANSWER,
        )

    async def pass_on(self, request: web.BaseRequest, port: int, headers: Mapping[str, str]) -> web.StreamResponse:
        """Pass the request on, and its answer back with more `headers`. Raises `NotReady`."""
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._join(request, port)
            answer = await self._ask(request, port)
        except (TimeoutError, aiohttp.ClientConnectionError) as error:
            raise NotReady from error
        async with answer:
            return await pass_back(request, answer, headers)

    async def _ask(self, request: web.BaseRequest, port: int) -> aiohttp.ClientResponse:
        """Send the visitor's request, its body streamed; return the answer once its headers are there."""
        headers = forwarded_headers(request)
        body = None
        if request.body_exists:
            body = request.content.iter_chunked(PIECE_OF_BODY)
            if request.content_length is not None:
                headers["Content-Length"] = str(request.content_length)
            if headers.pop("Expect", "").lower() == "100-continue":  # the web UI may not know it; this proxy does
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0
        return await self._client.request(
            request.method,
            URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True),
            data=body,
            headers=headers,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def _join(self, request: web.BaseRequest, port: int) -> web.StreamResponse:
        """A WebSocket, both ways, until either side ends it; the other then ends in the same way."""
        wanted = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
        headers = forwarded_headers(request)
        url = URL(f"ws://127.0.0.1:{port}{request.raw_path}", encoded=True)
        try:
            upstream = await self._client.ws_connect(
                url, headers=headers, protocols=wanted, max_msg_size=0, autoping=False, compress=0
            )
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        protocols = [upstream.protocol] if upstream.protocol else []
        visitor = web.WebSocketResponse(protocols=protocols, max_msg_size=0, autoping=False, compress=False)
        await visitor.prepare(request)
        from_web_ui = asyncio.create_task(pass_messages(upstream, visitor))
        from_visitor = asyncio.create_task(pass_messages(visitor, upstream))
        try:
            await asyncio.wait([from_web_ui, from_visitor], return_when=asyncio.FIRST_COMPLETED)
            if from_web_ui.done() and not from_web_ui.result() and request.transport is not None:
                request.transport.abort()  # only then does gradio's page say "Connection errored out"
        finally:
            for way in (from_web_ui, from_visitor):
                way.cancel()
            await asyncio.gather(from_web_ui, from_visitor, return_exceptions=True)
            await upstream.close()
            await visitor.close()
        return visitor


async def pass_back(
    request: web.BaseRequest, answer: aiohttp.ClientResponse, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Pass the web UI's answer on piece by piece: memory does not grow with its size."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() not in CONNECTION_HEADERS and name.lower() != "server":
            response.headers.add(name, value)
    response.headers.extend(headers)
    response.headers.setdefault("Cache-Control", "private")  # no cache on the way keeps anybody's pictures
    response.headers.add("Content-Security-Policy", "frame-ancestors 'self'")
    await response.prepare(request)
    if request.method != "HEAD":
        try:
            async for piece in answer.content.iter_any():
                await response.write(piece)
        except (TimeoutError, aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if request.transport is not None:
                request.transport.close()  # the visitor must see that the answer is not whole
            return response
    await response.write_eof()
    return response


async def pass_messages(source: Any, target: Any) -> bool:
    """Pass messages on until a close frame comes, and that with its code. False if it ended without one."""
    kinds = aiohttp.WSMsgType
    send = {kinds.TEXT: target.send_str, kinds.BINARY: target.send_bytes, kinds.PING: target.ping}
    send[kinds.PONG] = target.pong
    while (message := await source.receive()).type in send:
        await send[message.type](message.data)
    if message.type == kinds.CLOSE:
        await target.close(code=message.data or aiohttp.WSCloseCode.OK)  # 0: a close frame without a code
    return bool(message.type == kinds.CLOSE)


def forwarded_headers(request: web.BaseRequest) -> "CIMultiDict[str]":
    """The visitor's headers for the web UI: without our cookie, the password, and what belongs to one connection."""
    named = {word.strip().lower() for word in request.headers.get("Connection", "").split(",")}
    left_out = CONNECTION_HEADERS | named | {"content-length", "cookie"}
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.items():
        lower = name.lower()
        password = lower == "authorization" and value.lower().split()[:1] == ["basic"]
        if not (password or lower in left_out or lower.startswith("sec-websocket-")):
            headers.add(name, value)
    cookies = [c.strip() for c in "; ".join(request.headers.getall("Cookie", [])).split(";")]
    others = "; ".join(c for c in cookies if c and c.partition("=")[0] != COOKIE)
    if others and len(others) <= OTHER_COOKIES:
        headers["Cookie"] = others
    return headers


def is_api(raw_path: str, by_a_page: bool) -> bool:
    """Whether a path belongs to an API, A1111's own or an extension's, and no page of the web UI itself asks for it."""
    path = posixpath.normpath("/" + unquote(raw_path.partition("?")[0]).lstrip("/"))
    part = path.split("/")[1].partition("=")[0]  # gradio has /file=PATH and /proxy=URL
    return not by_a_page and path not in LORA_PATHS and part not in WEB_UI_PARTS
