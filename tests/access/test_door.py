"""The door: not one byte without login, and everything as it is directly with it."""

import asyncio
import base64
import gzip
import http.client
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import websocket
from aiohttp import web
from PIL import Image

from launcher.access.auth import COOKIE, LETTERS, Login
from launcher.access.own_pages import STATUS_LIFE
from launcher.core.folder import write_safely
from launcher.core.status import Row
from tests.conftest import ROOT
from tests.world.service import FakeService
from tests.world.wait import wait

CLOSES = {"bye": 4001, "restart": 1012, "end": 1000}
HTML = {"Accept": "text/html,application/xhtml+xml"}


class Upstream:
    """What stands behind the door in these tests: a small server that tells what it got."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.cancelled = 0
        self.closed: list[int | None] = []  # WebSockets, by the codes they ended with
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self._run, args=(ready,), daemon=True).start()
        ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        app = web.Application(client_max_size=1 << 40)
        app.router.add_get("/ws", self.socket)
        app.router.add_get("/slow", self.slow)
        app.router.add_get("/big", self.big)
        app.router.add_get("/events", self.events)
        app.router.add_get("/file", self.file)
        app.router.add_get("/many-headers", self.many_headers)
        app.router.add_route("*", "/cached", self.cached)
        app.router.add_get("/gone", self.gone)
        app.router.add_route("*", "/{rest:.*}", self.tell)
        runner = self.runner = web.AppRunner(app, handler_cancellation=True, auto_decompress=False)
        self.loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self.loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        ready.set()
        self.loop.run_forever()

    async def tell(self, request: web.Request) -> web.Response:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        told = {"method": request.method, "path": request.raw_path, "size": size, "headers": dict(request.headers)}
        assert request.transport
        self.seen.append(told | {"from": request.transport.get_extra_info("peername")})
        if "text/html" in request.headers.get("Accept", ""):  # a browser that shows it asks for the script, too
            return web.Response(text='<!doctype html><script src="/shown.js"></script>', content_type="text/html")
        response = web.json_response(told, headers={"X-Upstream": "yes"})
        response.set_cookie("theirs", "1")
        return response

    async def big(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(int(request.query["mb"])):
            await response.write(bytes(1 << 20))
        return response

    async def file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(__file__)

    async def many_headers(self, request: web.Request) -> web.Response:
        return web.Response(headers={f"X-{number}": "a" for number in range(200)} | {"X-Long": "a" * 20_000})

    async def cached(self, request: web.Request) -> web.Response:
        return web.Response(headers={"Cache-Control": "max-age=60"})

    async def gone(self, request: web.Request) -> web.WebSocketResponse:
        """A WebSocket that ends as in a crash: the connection is gone, without a close frame."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        assert request.transport is not None
        request.transport.abort()
        return socket

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            await response.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.3)
        return response

    async def slow(self, request: web.Request) -> web.Response:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return web.Response()

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.data in CLOSES:
                await socket.close(code=CLOSES[message.data])
            elif message.data == "no code":
                assert request.transport is not None
                request.transport.write(b"\x88\x00")  # a close frame without anything in it
            elif message.type == aiohttp.WSMsgType.TEXT:
                await socket.send_str("echo:" + message.data)
            else:
                await socket.send_bytes(message.data)
        self.closed.append(socket.close_code)
        return socket


class OpenDoor:
    """The real door process in front of an upstream."""

    def __init__(self, session: Path, upstream: Upstream | None, api: bool = True, port: int = 0) -> None:
        session.mkdir(mode=0o700)
        self.upstream = upstream
        self.session, self.login = session, Login.of_this_launch(session / "login.json")
        self.forward: dict[str, Any] = {"port": upstream.port if upstream else 0, "api": api, "images": []}
        self.lead_to()
        self.service = FakeService(session)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "launcher.access.proxy", str(session), str(port)], cwd=ROOT
        )
        wait((session / "door.json").exists, 20, "the door")
        self.port = json.loads((session / "door.json").read_text())["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.cookie = {"Cookie": f"{COOKIE}={self.login.cookie}"}
        self.by_our_page = self.cookie | {"X-Oneclick": "1"}

    def lead_to(self, **changed: Any) -> None:
        self.forward |= changed
        write_safely(self.session / "forward.json", json.dumps(self.forward))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.service.close()


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture(scope="module")
def standing_door(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[OpenDoor]:
    made = OpenDoor(tmp_path_factory.mktemp("door") / "session", upstream)
    yield made
    made.close()


@pytest.fixture
def door(request: pytest.FixtureRequest, tmp_path: Path, upstream: Upstream) -> Iterator[OpenDoor]:
    """The one door most tests share; one of its own for a test marked `own_door`, which guesses or changes what it
    reads.
    """
    upstream.seen.clear()
    if request.node.get_closest_marker("own_door") is None:
        yield request.getfixturevalue("standing_door")
        return
    made = OpenDoor(tmp_path / "session", upstream)
    yield made
    made.close()


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# ---- strangers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/internal/sysinfo",
        "/sdapi/v1/loras",
        "/file=/etc/passwd",
        "/oneclick/api/status",
        "/oneclick/api/restart",
        "/oneclick/api/launch",
        "/oneclick/restart",
        "/%2e%2e/x",
        "//x",
    ],
)
def test_a_stranger_gets_the_login_page_or_401(door: OpenDoor, upstream: Upstream, method: str, path: str) -> None:
    person = requests.request(method, door.url + path, headers=HTML, timeout=10)
    program = requests.request(method, door.url + path, timeout=10)
    assert person.status_code == program.status_code == 401
    assert program.text == "Log in first.\n"
    if method in ("GET", "POST"):
        assert "<form method" in person.text
    assert upstream.seen == []


def test_a_stranger_gets_nothing_else_than_the_style_and_robots_txt(door: OpenDoor) -> None:
    assert requests.get(f"{door.url}/robots.txt", timeout=10).text == "User-agent: *\nDisallow: /\n"
    assert "--ink" in requests.get(f"{door.url}/oneclick/style.css", timeout=10).text


@pytest.mark.own_door
def test_a_strangers_websocket_is_refused(door: OpenDoor, upstream: Upstream) -> None:
    async def join(headers: dict[str, str]) -> int:
        async with aiohttp.ClientSession() as client:
            try:
                async with client.ws_connect(f"{door.url}/ws", headers=headers):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    assert asyncio.run(join({})) == 401
    assert asyncio.run(join({"Cookie": f"{COOKIE}=guess"})) == 401
    assert asyncio.run(join({**door.cookie, "Origin": "https://evil.example"})) == 403
    assert asyncio.run(join({**door.cookie, "Origin": door.url})) == 101


def test_no_version_and_no_trace_is_told(door: OpenDoor) -> None:
    answer = requests.get(door.url, headers=HTML, timeout=10)
    assert "Traceback" not in answer.text
    assert "aiohttp" not in answer.text
    assert not any("aiohttp" in value.lower() or "python" in value.lower() for value in answer.headers.values())


# ---- logging in


def test_the_password_is_readable_and_has_128_bits_and_more(door: OpenDoor) -> None:
    letters = door.login.password.replace("-", "")
    assert set(letters) <= set(LETTERS)
    assert not set("0o1li") & set(LETTERS)
    assert len(LETTERS) ** len(letters) >= 2**128
    assert len({Login.new().password for _ in range(100)}) == 100


def test_the_right_password_opens_and_the_cookie_is_kept_from_scripts(door: OpenDoor, upstream: Upstream) -> None:
    answer = requests.post(
        f"{door.url}/oneclick/login",
        data={"user": "user", "password": door.login.password},
        headers=HTML,
        allow_redirects=False,
        timeout=10,
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/oneclick/entered")
    kept = requests.get(f"{door.url}/oneclick/entered", headers=door.cookie, allow_redirects=False, timeout=10)
    assert (kept.status_code, kept.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("__Host-", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"))
    assert "Domain" not in cookie
    assert door.login.password not in cookie
    assert requests.get(f"{door.url}/x", headers=door.cookie, timeout=10).headers["X-Upstream"] == "yes"


@pytest.mark.parametrize("size", [200_000, 5_000_000])
@pytest.mark.parametrize("auth", [None, ("user", "wrong")])
def test_a_large_request_without_the_password_is_told_so(door: OpenDoor, size: int, auth: Any) -> None:
    answer = requests.post(f"{door.url}/sdapi/v1/img2img", data=bytes(size), auth=auth, timeout=30)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.own_door
def test_a_wrong_password_is_said_on_the_login_page(door: OpenDoor) -> None:
    answer = requests.post(
        f"{door.url}/oneclick/login", data={"user": "user", "password": "guess"}, headers=HTML, timeout=10
    )
    assert answer.status_code == 401
    assert "Wrong user name or password" in answer.text


def test_a_ticket_opens_once_and_looking_at_it_uses_nothing_up(door: OpenDoor) -> None:
    ticket = f"{door.url}/oneclick/enter/{door.login.new_ticket()}"
    for method in ("HEAD", "GET", "GET"):  # a chat's preview
        seen = requests.request(method, ticket, headers=HTML, allow_redirects=False, timeout=10)
        assert "Set-Cookie" not in seen.headers
    assert "<form method" in seen.text, "a button where there are no scripts"
    assert "submit()" not in seen.text, "a mail scanner runs scripts"
    by_the_button = {**HTML, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert "document.forms[0].submit()" in requests.get(ticket, headers=by_the_button, timeout=10).text
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert requests.post(ticket, headers=elsewhere, allow_redirects=False, timeout=10).status_code == 400
    entered = requests.post(ticket, headers={"Origin": door.url}, allow_redirects=False, timeout=10)
    assert (entered.status_code, door.login.cookie in entered.headers["Set-Cookie"]) == (303, True)
    again = requests.post(ticket, headers=HTML, allow_redirects=False, timeout=10)
    assert again.status_code == 401
    assert "has been used or has expired" in again.text
    stays = requests.get(ticket, headers=door.cookie, allow_redirects=False, timeout=10)
    assert (stays.status_code, stays.headers["Location"]) == (303, "/"), "who is in stays in"


def test_a_cookie_that_is_not_kept_is_said(door: OpenDoor) -> None:
    answer = requests.get(f"{door.url}/oneclick/entered", headers=HTML, timeout=10)
    assert answer.status_code == 401
    assert "did not save the login cookie" in answer.text


def test_one_fitting_cookie_of_several_counts(door: OpenDoor, upstream: Upstream) -> None:
    """Another site under the same domain may have set one of the same name."""
    cookies = f"{COOKIE}=theirs; a=1; {COOKIE}={door.login.cookie}; {COOKIE}=\xff"
    answer = requests.get(f"{door.url}/x", headers={"Cookie": cookies.encode("latin-1")}, timeout=10)
    assert answer.status_code == 200
    assert upstream.seen[0]["headers"]["Cookie"] == "a=1"
    without_prefix = {"Cookie": f"oneclick={door.login.cookie}"}
    assert requests.get(f"{door.url}/x", headers=without_prefix, timeout=10).status_code == 401


def test_gradios_own_client_logs_in(door: OpenDoor, upstream: Upstream) -> None:
    """gradio_client's `auth=(user, password)` sends this, and its cookie with all that follows."""
    form = {"username": "user", "password": door.login.password}
    right = requests.post(f"{door.url}/login", data=form, timeout=10)
    assert (right.status_code, right.json()) == (200, {"success": True})
    cookie = {"Cookie": "; ".join(f"{c.name}={c.value}" for c in right.cookies)}
    assert requests.get(f"{door.url}/config", headers=cookie, timeout=10).status_code == 200
    wrong = requests.post(f"{door.url}/login", data=form | {"password": "guess"}, timeout=10)
    assert (wrong.status_code, wrong.json()) == (401, {"detail": "Incorrect credentials."})
    assert [seen["path"] for seen in upstream.seen] == ["/config"]


@pytest.mark.own_door
def test_an_old_or_forged_ticket_does_not_open(door: OpenDoor) -> None:
    old, forged = door.login.new_ticket(now=time.time() - 601), Login.new().new_ticket()
    before = door.login.new_ticket(now=time.time() - 300)  # this door's start: it may have been used at another
    for ticket in (old, forged, before, "x", "..", f"{int(time.time()) + 999}.a.b", "9" * 5000):
        assert requests.get(f"{door.url}/oneclick/enter/{ticket}", allow_redirects=False, timeout=10).status_code in (
            401,
            400,
        )


@pytest.mark.own_door
def test_programs_log_in_with_basic(door: OpenDoor) -> None:
    assert requests.get(f"{door.url}/x", headers=basic("user", door.login.password), timeout=10).status_code == 200
    wrong = requests.get(f"{door.url}/x", headers=basic("user", "guess"), timeout=10)
    assert (wrong.status_code, wrong.headers["WWW-Authenticate"].startswith("Basic")) == (401, True)
    tab = basic("user", door.login.password)["Authorization"].replace(" ", "\t")
    told = requests.get(f"{door.url}/x", headers={"Authorization": tab}, timeout=10)
    assert (told.status_code, "Authorization" in told.json()["headers"]) == (200, False)
    for header in ("Basic", "Basic ???", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Bearer x"):
        assert requests.get(f"{door.url}/x", headers={"Authorization": header}, timeout=40).status_code == 401


def test_another_site_cannot_use_the_browser_of_somebody_who_is_in(door: OpenDoor, upstream: Upstream) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.gradio.live"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
        {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://tauri.localhost.evil.example"},
    ):
        assert requests.post(f"{door.url}/x", headers={**door.cookie, **headers}, timeout=10).status_code == 403
        assert (
            requests.post(
                f"{door.url}/x", headers={**basic("user", door.login.password), **headers}, timeout=10
            ).status_code
            == 403
        )
    assert upstream.seen == []
    for headers in ({"Origin": door.url}, {"Sec-Fetch-Site": "same-origin", "Origin": "null"}, {}):
        assert requests.post(f"{door.url}/x", headers={**door.cookie, **headers}, timeout=10).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_frame_or_load_anything_and_may_link_here(door: OpenDoor, site: str) -> None:
    def get(mode: str, dest: str) -> int:
        marks = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        return requests.get(f"{door.url}/x", headers={**door.cookie, **marks}, timeout=10).status_code

    assert get("navigate", "document") == 200
    assert {get("navigate", "iframe"), get("no-cors", "image"), get("no-cors", "script"), get("cors", "empty")} == {403}


def test_proxied_pages_cannot_be_framed_and_are_kept_by_no_cache_on_the_way(door: OpenDoor) -> None:
    answer = requests.get(f"{door.url}/x", headers=door.cookie, timeout=10)
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert answer.headers["Cache-Control"] == "private"
    said = requests.get(f"{door.url}/cached", headers=door.cookie, timeout=10)
    assert said.headers["Cache-Control"] == "max-age=60", "what the web UI says stays"


def test_a_forged_host_changes_nothing(door: OpenDoor) -> None:
    answer = requests.get(door.url, headers={**HTML, "Host": "evil.example"}, timeout=10)
    assert "evil.example" not in answer.text
    assert "evil.example" not in str(answer.headers)


# ---- passing on


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
def test_with_login_every_method_answers_as_directly(door: OpenDoor, upstream: Upstream, method: str) -> None:
    for path in ("/a%2Fb?c=d%20e&f", "/file=/content/x y.png", "/x//y", "/?__theme=dark"):
        body = b"some body" if method not in ("GET", "HEAD") else None
        through = requests.request(method, door.url + path, headers=door.cookie, data=body, timeout=10)
        direct = requests.request(method, f"http://127.0.0.1:{upstream.port}{path}", data=body, timeout=10)
        assert (through.status_code, len(through.content) > 0) == (direct.status_code, len(direct.content) > 0)
        mine, theirs = upstream.seen[-2:]
        assert (mine["method"], mine["path"], mine["size"]) == (theirs["method"], theirs["path"], theirs["size"])


def test_neither_cookie_nor_password_nor_ticket_reaches_the_web_ui(door: OpenDoor, upstream: Upstream) -> None:
    requests.get(f"{door.url}/x", headers={"Cookie": f"a=1; {COOKIE}={door.login.cookie}; b=2"}, timeout=10)
    requests.get(f"{door.url}/x", headers=basic("user", door.login.password), timeout=10)
    assert upstream.seen[0]["headers"]["Cookie"] == "a=1; b=2"
    assert "Authorization" not in upstream.seen[1]["headers"]
    assert door.login.cookie not in json.dumps(upstream.seen)


def test_the_web_uis_own_headers_and_cookies_come_through(door: OpenDoor) -> None:
    answer = requests.get(f"{door.url}/x", headers=door.cookie, timeout=10)
    assert answer.headers["X-Upstream"] == "yes"
    assert answer.cookies["theirs"] == "1"


def test_a_range_of_a_file_is_served(door: OpenDoor) -> None:
    answer = requests.get(f"{door.url}/file", headers={**door.cookie, "Range": "bytes=0-9"}, timeout=10)
    assert (answer.status_code, len(answer.content)) == (206, 10)


def test_events_come_one_by_one(door: OpenDoor) -> None:
    with requests.get(f"{door.url}/events", headers=door.cookie, stream=True, timeout=10) as answer:
        first = next(answer.iter_content(None))
        assert first == b"data: 0\n\n", "it waited for all of them"


@pytest.mark.own_door
def test_large_up_and_downloads_pass_in_constant_memory(door: OpenDoor, upstream: Upstream) -> None:
    def memory() -> int:
        status = Path(f"/proc/{door.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])

    requests.get(f"{door.url}/big?mb=20", headers=door.cookie, timeout=60)
    before = memory()
    with requests.get(f"{door.url}/big?mb=300", headers=door.cookie, stream=True, timeout=60) as answer:
        assert sum(len(piece) for piece in answer.iter_content(1 << 20)) == 300 << 20

    def pieces() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(1 << 20)

    assert requests.post(f"{door.url}/x", headers=door.cookie, data=pieces(), timeout=60).json()["size"] == 200 << 20
    assert memory() - before < 40_000, "kB more than before"


def test_websockets_pass_text_bytes_and_the_close_code(door: OpenDoor) -> None:
    async def talk() -> tuple[str, int, int | None]:
        async with (
            aiohttp.ClientSession(headers=door.cookie) as client,
            client.ws_connect(f"{door.url}/ws", max_msg_size=0) as socket,
        ):
            await socket.send_str("hello")
            text = await socket.receive_str()
            await socket.send_bytes(bytes(10 << 20))
            size = len(await socket.receive_bytes())
            await socket.send_str("bye")
            await socket.receive()
            return text, size, socket.close_code

    assert asyncio.run(talk()) == ("echo:hello", 10 << 20, 4001)


def close_code(door: OpenDoor, path: str, word: str) -> int:
    """How a WebSocket ends for a browser after a word."""
    socket = websocket.create_connection(f"ws://127.0.0.1:{door.port}{path}", header=door.cookie, timeout=10)
    socket.send(word)
    try:
        code, payload = socket.recv_data()
    except (websocket.WebSocketConnectionClosedException, ConnectionResetError):
        return 1006  # what a browser says of a connection without a close frame
    assert code == websocket.ABNF.OPCODE_CLOSE
    return int.from_bytes(payload[:2], "big")


def test_a_websocket_that_dies_dies_for_the_visitor_too(door: OpenDoor) -> None:
    """gradio's page goes on "processing" for ever after a clean close, and says "Connection errored out" after this."""
    assert close_code(door, "/gone", "x") == 1006
    assert [close_code(door, "/ws", word) for word in ("restart", "end", "no code")] == [1012, 1000, 1000]


def test_a_visitors_close_without_a_code_reaches_the_web_ui(door: OpenDoor, upstream: Upstream) -> None:
    """A browser's `socket.close()` sends none."""
    socket = websocket.create_connection(f"ws://127.0.0.1:{door.port}/ws", header=door.cookie, timeout=10)
    upstream.closed.clear()
    socket.send(b"", opcode=websocket.ABNF.OPCODE_CLOSE)
    wait(lambda: upstream.closed == [1000], 10, "the web UI to be told")


def test_other_sites_cookies_keep_nobody_out(door: OpenDoor, upstream: Upstream) -> None:
    """Any site under a shared domain can set them; the web UI's server would refuse so long a head."""
    crowd = "; ".join(f"c{number}={'a' * 1000}" for number in range(20))
    cookies = {"Cookie": f"{crowd}; {COOKIE}={door.login.cookie}"}
    assert requests.get(f"{door.url}/x", headers=cookies, timeout=10).status_code == 200
    assert "Cookie" not in upstream.seen[0]["headers"]
    too_many = requests.get(f"{door.url}/x", headers={"Cookie": "a" * 70_000}, timeout=10)
    assert (too_many.status_code, "Delete the cookies for this site" in too_many.text) == (431, True)


def test_a_zipped_body_passes_as_it_is(door: OpenDoor, upstream: Upstream) -> None:
    body = gzip.compress(bytes(1 << 20))
    headers = {**door.cookie, "Content-Encoding": "gzip"}
    told = requests.post(f"{door.url}/zipped", data=body, headers=headers, timeout=10).json()
    assert (told["size"], told["headers"]["Content-Encoding"]) == (len(body), "gzip")


def test_long_and_many_headers_of_an_answer_come_through(door: OpenDoor) -> None:

    async def ask() -> tuple[int, str, int]:  # requests itself takes no more than a hundred
        async with (
            aiohttp.ClientSession(headers=door.cookie, max_field_size=1 << 20, max_headers=1000) as client,
            client.get(f"{door.url}/many-headers") as answer,
        ):
            return answer.status, answer.headers["X-199"], len(answer.headers["X-Long"])

    assert asyncio.run(ask()) == (200, "a", 20_000)


def test_expect_100_continue_is_answered_by_the_door(door: OpenDoor) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        head = f"POST /x HTTP/1.1\r\nHost: x\r\nCookie: {door.cookie['Cookie']}\r\n"
        connection.sendall(f"{head}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"hello")
        answer = b""
        while b'"size": 5' not in answer:
            piece = connection.recv(65536)
            assert piece, answer
            answer += piece


def test_a_post_after_a_pause_is_not_lost(door: OpenDoor) -> None:
    """gradio's server closes idle connections after five seconds, so no connection to it is used twice."""
    assert door.upstream is not None
    with requests.Session() as person:
        person.headers.update(door.cookie)
        for _ in range(10):
            assert person.post(f"{door.url}/x", data=b"x", timeout=10).status_code == 200
    assert len({told["from"] for told in door.upstream.seen}) == 10


def test_a_visitor_who_leaves_is_cancelled_upstream(door: OpenDoor, upstream: Upstream) -> None:
    before = upstream.cancelled
    with pytest.raises(requests.Timeout):
        requests.get(f"{door.url}/slow", headers=door.cookie, timeout=0.5)
    wait(lambda: upstream.cancelled > before, 5, "the upstream to be told")
    assert upstream.cancelled == before + 1


@pytest.mark.own_door
def test_with_the_api_off_programs_get_none(door: OpenDoor, upstream: Upstream) -> None:
    door.lead_to(api=False)
    answer = requests.get(f"{door.url}/sdapi/v1/options", headers=door.cookie, timeout=10)
    assert answer.status_code == 404
    assert "Tick api under Choices" in answer.text
    assert upstream.seen == []


API = [
    "/sdapi/v1/options", "//sdapi/v1/options", "/./sdapi/v1/options", "/x/../sdapi/v1/options", "/%73dapi/v1/txt2img",
    "/%2e/sdapi/v1/txt2img", "/docs", "/openapi.json?x=1", "/controlnet/model_list", "/tacapi/v1/refresh",
]  # fmt: skip
WEB_UI = [
    "/", "/?__theme=dark", "/config", "/run/predict", "/file=/content/x.png", "/file/x.png", "/internal/ping",
    "/sdapi/v1/loras", "/sdapi/v1/refresh-loras", "/queue/status", "/webui-assets/x.js", "/theme.css",
]  # fmt: skip


@pytest.mark.parametrize("path", API + WEB_UI)
def test_with_the_api_off_a_program_gets_the_web_uis_own_paths_only(door: OpenDoor, path: str) -> None:
    door.lead_to(api=False)
    with closing(
        http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)
    ) as connection:  # requests would tidy it
        connection.request("GET", path, headers=door.cookie)
        assert connection.getresponse().status == (404 if path in API else 200)


def test_with_the_api_off_the_pages_of_extensions_work(door: OpenDoor) -> None:
    door.lead_to(api=False)
    page = {**door.cookie, "Sec-Fetch-Site": "same-origin"}
    assert requests.get(f"{door.url}/tacapi/v1/refresh", headers=page, timeout=10).status_code == 200
    assert requests.get(f"{door.url}/sdapi/v1/options", headers=page, timeout=10).status_code == 200
    assert requests.get(f"{door.url}/sdapi/v1/options", headers=door.cookie, timeout=10).status_code == 404


# ---- while the web UI is away


@pytest.mark.own_door
def test_a_web_ui_that_is_not_ready_is_not_asked_anything(door: OpenDoor, upstream: Upstream) -> None:
    row = Row("webui", "Web UI", "running", "almost <there>", done=1, total=2)
    door.service.status |= {"state": "starting", "steps": [asdict(row)]}
    door.lead_to(port=0)
    page = requests.get(f"{door.url}/", headers={**HTML, **door.cookie}, timeout=10)
    assert page.status_code == 503
    assert "almost &lt;there&gt;" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert requests.post(f"{door.url}/run/predict", headers=door.cookie, timeout=10).json() == {
        "detail": "The web UI is starting."
    }
    assert upstream.seen == []
    assert requests.get(f"{door.url}/", headers=HTML, timeout=10).status_code == 401, "strangers do not see the steps"


@pytest.mark.own_door
def test_a_web_ui_that_died_gives_the_waiting_page(door: OpenDoor) -> None:
    door.lead_to(port=9)
    assert requests.get(f"{door.url}/", headers={**HTML, **door.cookie}, timeout=10).status_code == 503


@pytest.mark.own_door
def test_a_restart_can_be_asked_for_by_people_who_are_in(door: OpenDoor) -> None:
    answer = requests.post(f"{door.url}/oneclick/api/restart", headers=door.by_our_page, json={}, timeout=10)
    assert (answer.status_code, answer.json()["answer"]) == (202, "done")
    assert door.service.asked == ["POST /restart"]
    door.service.status |= {"buttons": ["restart"]}
    assert "Restart the web UI" in requests.get(f"{door.url}/oneclick/", headers=door.cookie, timeout=10).text


@pytest.mark.own_door
def test_a_crowd_of_open_pages_costs_the_service_what_one_does_and_a_restart_is_seen_at_once(door: OpenDoor) -> None:
    async def crowd() -> set[str]:
        async with aiohttp.ClientSession(headers=door.cookie) as client:

            async def look() -> str:
                async with client.get(f"{door.url}/oneclick/") as answer:
                    return await answer.text()

            return set(await asyncio.gather(*(look() for _ in range(50))))

    began = time.monotonic()
    assert len(asyncio.run(crowd())) == 1
    assert 0 < door.service.status_asked <= 1 + (time.monotonic() - began) / STATUS_LIFE
    door.service.status |= {"state": "restarting", "title": "Restarting"}
    requests.post(f"{door.url}/oneclick/api/restart", headers=door.by_our_page, json={}, timeout=10)
    assert 'data-state="restarting"' in requests.get(f"{door.url}/oneclick/", headers=door.cookie, timeout=10).text


@pytest.mark.own_door
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "restart"), ("POST", "add"), ("POST", "stop"), ("DELETE", "jobs/1")]
)
def test_what_our_page_did_not_send_is_refused_whoever_is_logged_in(door: OpenDoor, method: str, path: str) -> None:
    address = f"{door.url}/oneclick/api/{path}"
    assert requests.request(method, address, headers=door.cookie, json={}, timeout=10).status_code == 403
    assert door.service.asked == []
    assert requests.request(method, address, headers=door.by_our_page, json={}, timeout=10).status_code == 202
    assert door.service.asked == [f"{method} /{path}"]


@pytest.mark.own_door
def test_a_page_that_has_the_newest_status_gets_nothing_and_holds_no_connection(door: OpenDoor) -> None:
    def look(after: str) -> requests.Response:
        return requests.get(f"{door.url}/oneclick/?after={after}", headers=door.cookie, timeout=5)

    assert (look("1.1").status_code, look("1.1").content) == (204, b"")
    assert "A test" in look("1.0").text
    door.service.status |= {"title": "Another title", "version": "1.2"}
    wait(lambda: "Another title" in look("1.1").text, 5, "the change")


def test_who_wants_our_page_comes_to_it_by_the_login(door: OpenDoor) -> None:
    page = requests.get(f"{door.url}/oneclick/", headers=HTML, timeout=10).text
    assert 'name="to" value="launcher"' in page
    assert 'href="/oneclick/"' in requests.get(door.url, headers=HTML, timeout=10).text
    form = {"user": "user", "password": door.login.password, "to": "launcher"}
    answer = requests.post(f"{door.url}/oneclick/login", data=form, allow_redirects=False, timeout=10)
    kept = requests.get(door.url + answer.headers["Location"], headers=door.cookie, allow_redirects=False, timeout=10)
    assert kept.headers["Location"] == "/oneclick/"
    wrong = requests.post(f"{door.url}/oneclick/login", data=form | {"password": "x"}, headers=HTML, timeout=10)
    assert 'name="to" value="launcher"' in wrong.text, "the second try leads there, too"


@pytest.mark.own_door
def test_the_newest_images_are_small_pictures_and_nothing_else_can_be_had(door: OpenDoor, tmp_path: Path) -> None:
    images = tmp_path / "outputs"
    (images / "2026-11-25").mkdir(parents=True)
    for number in range(14):
        path = images / "2026-11-25" / f"{number:05}.png"
        Image.new("RGB", (640, 512), (number * 10, 0, 0)).save(path)
        os.utime(path, (number, number))
    (images / "secret.txt").write_text("x")
    (images / "link.png").symlink_to(images / "secret.txt")
    (images / "half.png").write_bytes(b"\x89PNG half")
    door.lead_to(images=[str(images)])
    page = requests.get(f"{door.url}/oneclick/", headers=door.cookie, timeout=10).text
    names = re.findall(r'alt="([^"]+)"', page)
    assert names == ["half.png", *(f"{number:05}.png" for number in range(13, 2, -1))]
    addresses = re.findall(r'<img src="([^"]+)"', page)
    small = requests.get(door.url + addresses[1], headers=door.cookie, timeout=10)
    assert small.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(small.content)).size == (320, 256)
    whole = requests.get(door.url + addresses[1].partition("?")[0], headers=door.cookie, timeout=10)
    assert (whole.headers["Content-Type"], whole.content) == (
        "image/png",
        (images / "2026-11-25" / "00013.png").read_bytes(),
    )
    half = requests.get(door.url + addresses[0].partition("?")[0], headers=door.cookie, timeout=10)
    assert half.content == b"\x89PNG half", "what Pillow cannot read is sent as it is"
    assert requests.get(door.url + addresses[0], headers=door.cookie, timeout=10).status_code == 404
    assert requests.get(door.url + addresses[1], timeout=10).status_code == 401
    for name in ("..%2f..%2flogin.json", "secret.txt", "2026-11-25/00013.png", ""):
        found = requests.get(f"{door.url}/oneclick/images/{name}", headers=door.cookie, timeout=10)
        assert found.status_code == 404, name


@pytest.mark.own_door
def test_all_images_can_be_downloaded_as_one_zip(door: OpenDoor, tmp_path: Path) -> None:
    images = tmp_path / "outputs"
    (images / "2026-11-25").mkdir(parents=True)
    for number in range(3):
        (images / "2026-11-25" / f"{number}.png").write_bytes(os.urandom(3 << 20))
    (images / "2026-11-25" / ".3.png").write_bytes(b"not finished")
    (images / "notes.json").write_text("{}")
    (images / "gone.png").symlink_to(tmp_path / "nowhere")
    door.lead_to(images=[str(images), str(tmp_path / "none")])
    assert requests.get(f"{door.url}/oneclick/images.zip", timeout=10).status_code == 401
    answer = requests.get(f"{door.url}/oneclick/images.zip", headers=door.cookie, timeout=20)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"outputs/2026-11-25/{number}.png" for number in range(3)]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("outputs/2026-11-25/1.png") == (images / "2026-11-25" / "1.png").read_bytes()
    assert "Download my images" in requests.get(f"{door.url}/oneclick/", headers=door.cookie, timeout=10).text


@pytest.mark.own_door
def test_many_who_download_all_images_and_do_not_read_on_keep_nobody_waiting(door: OpenDoor, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "0.png").write_bytes(bytes(20 << 20))
    door.lead_to(images=[str(tmp_path / "outputs")])
    with ExitStack() as open_downloads:
        for _ in range(min(32, (os.cpu_count() or 1) + 4) + 1):  # the threads that asyncio has, and one more
            answer = requests.get(f"{door.url}/oneclick/images.zip", headers=door.cookie, stream=True, timeout=10)
            open_downloads.enter_context(answer)
        assert requests.get(f"{door.url}/oneclick/", headers=door.cookie, timeout=10).status_code == 200


@pytest.mark.own_door
def test_use_is_noted_and_strangers_do_not_count(door: OpenDoor) -> None:
    requests.get(door.url, timeout=10)
    requests.get(f"{door.url}/oneclick/", headers=door.cookie, timeout=10)
    assert door.service.asked == [], "a page that is open is no use of the web UI"
    requests.get(f"{door.url}/sdapi/v1/progress", headers=door.cookie, timeout=10)
    assert door.service.asked == [], "nor is a program that only looks"
    requests.get(f"{door.url}/", headers=door.cookie, timeout=10)
    wait(lambda: door.service.asked == ["POST /used"], 10, "it to be told")


def test_a_door_whose_port_is_taken_opens_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = OpenDoor(tmp_path / "session", None, port=taken.getsockname()[1])
        assert made.port != taken.getsockname()[1]
        assert requests.get(made.url, timeout=10).status_code == 401
        made.close()
