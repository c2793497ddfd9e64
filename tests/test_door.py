"""The door: not one byte without login, and everything as it is directly with it."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from aiohttp import web

from launcher.access.login import FREE_TRIES, LETTERS, Login, Patience
from launcher.core.folder import write_safely
from tests.conftest import ROOT
from tests.world.wait import wait

HTML = {"Accept": "text/html,application/xhtml+xml"}


class Upstream:
    """What stands behind the door in these tests: a small server that tells what it got."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.cancelled = 0
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
        app.router.add_route("*", "/{rest:.*}", self.tell)
        runner = web.AppRunner(app, handler_cancellation=True)
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
        self.seen.append(told)
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
            if message.data == "bye":
                await socket.close(code=4001)
            elif message.type == aiohttp.WSMsgType.TEXT:
                await socket.send_str("echo:" + message.data)
            else:
                await socket.send_bytes(message.data)
        return socket


class OpenDoor:
    """The real door process in front of an upstream."""

    def __init__(self, session: Path, upstream: Upstream | None, api: bool = True, port: int = 0) -> None:
        session.mkdir(mode=0o700)
        self.session, self.login = session, Login.of_this_launch(session / "login.json")
        self.board: dict[str, Any] = {
            "webui_port": upstream.port if upstream else 0,
            "api": api,
            "steps": [],
            "notices": [],
        }
        self.write_board()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "launcher.access.door", str(session), str(port)], cwd=ROOT
        )
        wait((session / "door.json").exists, 20, "the door")
        self.port = json.loads((session / "door.json").read_text())["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.cookie = {"Cookie": f"oneclick={self.login.cookie}"}

    def write_board(self, **changed: Any) -> None:
        self.board |= changed
        write_safely(self.session / "board.json", json.dumps(self.board))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


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
    """The one door most tests share; one of its own for a test marked `own_door`, which guesses or changes what it reads."""
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
        "/oneclick/board",
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
    assert asyncio.run(join({"Cookie": "oneclick=guess"})) == 401
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
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "Secure", "SameSite=Lax"))
    assert door.login.password not in cookie
    assert requests.get(f"{door.url}/x", headers=door.cookie, timeout=10).headers["X-Upstream"] == "yes"


def test_a_typed_password_may_have_spaces_capitals_and_no_dashes(door: OpenDoor) -> None:
    typed = f" {door.login.password.replace('-', ' ').upper()} "
    answer = requests.post(
        f"{door.url}/oneclick/login", data={"user": "User", "password": typed}, allow_redirects=False, timeout=10
    )
    assert answer.status_code == 303


@pytest.mark.own_door
def test_a_wrong_password_is_said_on_the_login_page(door: OpenDoor) -> None:
    answer = requests.post(
        f"{door.url}/oneclick/login", data={"user": "user", "password": "guess"}, headers=HTML, timeout=10
    )
    assert answer.status_code == 401
    assert "That was not right" in answer.text


def test_a_ticket_opens_once(door: OpenDoor) -> None:
    ticket = f"{door.url}/oneclick/enter/{door.login.new_ticket()}"
    assert requests.head(ticket, allow_redirects=False, timeout=10).status_code == 401, "a preview does not use it up"
    assert requests.get(ticket, allow_redirects=False, timeout=10).status_code == 303
    again = requests.get(ticket, headers=HTML, allow_redirects=False, timeout=10)
    assert again.status_code == 401
    assert "has opened once already" in again.text
    assert requests.get(ticket, headers=door.cookie, allow_redirects=False, timeout=10).status_code == 303, (
        "who is in stays in"
    )


@pytest.mark.own_door
def test_an_old_or_forged_ticket_does_not_open(door: OpenDoor) -> None:
    old, forged = door.login.new_ticket(now=time.time() - 601), Login.new().new_ticket()
    for ticket in (old, forged, "x", "..", f"{int(time.time()) + 999}.a.b", "9" * 5000):
        assert requests.get(f"{door.url}/oneclick/enter/{ticket}", allow_redirects=False, timeout=10).status_code in (
            401,
            400,
        )


@pytest.mark.own_door
def test_programs_log_in_with_basic(door: OpenDoor) -> None:
    assert requests.get(f"{door.url}/x", headers=basic("user", door.login.password), timeout=10).status_code == 200
    wrong = requests.get(f"{door.url}/x", headers=basic("user", "guess"), timeout=10)
    assert (wrong.status_code, wrong.headers["WWW-Authenticate"].startswith("Basic")) == (401, True)
    for header in ("Basic", "Basic ???", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Bearer x"):
        assert requests.get(f"{door.url}/x", headers={"Authorization": header}, timeout=40).status_code == 401


def test_another_site_cannot_use_the_browser_of_somebody_who_is_in(door: OpenDoor, upstream: Upstream) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.gradio.live"},
    ):
        assert requests.post(f"{door.url}/x", headers={**door.cookie, **headers}, timeout=10).status_code == 403
        assert (
            requests.post(
                f"{door.url}/x", headers={**basic("user", door.login.password), **headers}, timeout=10
            ).status_code
            == 403
        )
    assert upstream.seen == []
    assert requests.post(f"{door.url}/x", headers={**door.cookie, "Origin": door.url}, timeout=10).status_code == 200


def test_a_forged_host_changes_nothing(door: OpenDoor) -> None:
    answer = requests.get(door.url, headers={**HTML, "Host": "evil.example"}, timeout=10)
    assert "evil.example" not in answer.text
    assert "evil.example" not in str(answer.headers)


# ---- guessing


@pytest.mark.own_door
def test_guesses_get_slower_and_somebody_else_gets_in_meanwhile(door: OpenDoor) -> None:
    over, answered = threading.Event(), []

    def guess() -> None:
        while not over.is_set():
            try:
                answer = requests.post(
                    f"{door.url}/oneclick/login",
                    data={"user": "user", "password": "guess"},
                    headers={"X-Forwarded-For": "6.6.6.6"},
                    timeout=60,
                )
                answered.append(answer.status_code)
            except requests.RequestException:
                continue

    crowd = [threading.Thread(target=guess, daemon=True) for _ in range(20)]
    began = time.monotonic()
    for one in crowd:
        one.start()
    wait(lambda: answered.count(401) >= FREE_TRIES, 60, "the crowd to use up the free tries")
    right = requests.post(
        f"{door.url}/oneclick/login",
        data={"user": "user", "password": door.login.password},
        headers={"X-Forwarded-For": "7.7.7.7"},
        allow_redirects=False,
        timeout=120,
    )
    took = time.monotonic() - began
    over.set()
    assert right.status_code == 303
    assert answered.count(401) <= FREE_TRIES + took, f"{answered.count(401)} guesses were answered in {took:.0f} s"


def test_how_many_guesses_an_hour_get_an_answer() -> None:
    """The clock is turned, not waited for: Patience sleeps, and this counts what it slept."""
    slept = 0.0
    patience = Patience()

    async def attack() -> None:
        nonlocal slept
        real_sleep = asyncio.sleep

        async def sleep(seconds: float) -> None:
            nonlocal slept
            slept += seconds
            await real_sleep(0)

        asyncio.sleep = sleep  # type: ignore[assignment]
        try:
            while slept < 3600:
                if await patience.my_turn("one place"):
                    patience.was(False, "one place")
        finally:
            asyncio.sleep = real_sleep

    asyncio.run(attack())
    print(f"guesses answered in an hour: {patience.answered}")
    assert patience.answered <= 140


def test_who_was_in_before_is_not_kept_waiting_by_others() -> None:
    async def story() -> None:
        patience = Patience()
        assert await patience.my_turn("mine")
        patience.was(True, "mine")
        for _ in range(FREE_TRIES + 6):
            patience.was(False, "theirs")
        assert patience.pause >= 30
        waiting = asyncio.create_task(patience.my_turn("theirs"))
        await asyncio.sleep(0)
        assert await asyncio.wait_for(patience.my_turn("mine"), 1), "it waited with the others"
        assert not waiting.done()
        for _ in range(FREE_TRIES):
            patience.was(False, "mine")
        with pytest.raises(TimeoutError):  # after mistakes of its own it waits too
            await asyncio.wait_for(patience.my_turn("mine"), 0.3)
        waiting.cancel()

    asyncio.run(story())


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
    requests.get(f"{door.url}/x", headers={"Cookie": f"a=1; oneclick={door.login.cookie}; b=2"}, timeout=10)
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


def test_a_visitor_who_leaves_is_cancelled_upstream(door: OpenDoor, upstream: Upstream) -> None:
    before = upstream.cancelled
    with pytest.raises(requests.Timeout):
        requests.get(f"{door.url}/slow", headers=door.cookie, timeout=0.5)
    wait(lambda: upstream.cancelled > before, 5, "the upstream to be told")
    assert upstream.cancelled == before + 1


@pytest.mark.own_door
def test_with_the_api_off_programs_get_none(door: OpenDoor, upstream: Upstream) -> None:
    door.write_board(api=False)
    answer = requests.get(f"{door.url}/sdapi/v1/options", headers=door.cookie, timeout=10)
    assert answer.status_code == 404
    assert "Set the field api" in answer.text
    assert upstream.seen == []


# ---- while the web UI is away


@pytest.mark.own_door
def test_a_web_ui_that_is_not_ready_is_not_asked_anything(door: OpenDoor, upstream: Upstream) -> None:
    step = {
        "title": "Web UI",
        "state": "running",
        "note": "almost <there>",
        "fraction": 0.5,
        "problem": "",
        "remedy": "",
    }
    door.write_board(webui_port=0, steps=[step])
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
    door.write_board(webui_port=9)
    assert requests.get(f"{door.url}/", headers={**HTML, **door.cookie}, timeout=10).status_code == 503


@pytest.mark.own_door
def test_a_restart_can_be_asked_for_by_people_who_are_in(door: OpenDoor) -> None:
    requests.post(f"{door.url}/oneclick/restart", headers=door.cookie, allow_redirects=False, timeout=10)
    assert (door.session / "restart.wanted").exists()
    assert "Restart the web UI" in requests.get(f"{door.url}/oneclick/", headers=door.cookie, timeout=10).text


@pytest.mark.own_door
def test_use_is_noted_and_strangers_do_not_count(door: OpenDoor) -> None:
    requests.get(door.url, timeout=10)
    assert not (door.session / "last-use").exists()
    requests.get(f"{door.url}/x", headers=door.cookie, timeout=10)
    assert (door.session / "last-use").exists()


# ---- bad manners


BAD_REQUESTS = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET " + b"/a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: 1\r\n" % i for i in range(50_000)) + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /internal/sysinfo HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /oneclick/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nuser=a",
    b"POST /oneclick/login HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Type: multipart/form-data\r\n\r\nuser",
    b"GET /\xff\xfe%00%zz HTTP/1.1\r\nHost: x\r\nCookie: oneclick=\xff\xfe\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    os.urandom(4096),
]


@pytest.mark.own_door
def test_bad_requests_and_slow_clients_do_not_disturb_somebody_who_is_in(door: OpenDoor, upstream: Upstream) -> None:
    for bad in BAD_REQUESTS:
        with socket.create_connection(("127.0.0.1", door.port), timeout=5) as connection:
            connection.settimeout(1)
            try:
                connection.sendall(bad)
                answer = connection.recv(65536)
            except OSError:
                answer = b""
            assert b"X-Upstream" not in answer
            assert not answer.startswith(b"HTTP/1.1 500")
    assert upstream.seen == []
    slow = [socket.create_connection(("127.0.0.1", door.port), timeout=5) for _ in range(1000)]
    try:
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow")
        answers = [requests.get(f"{door.url}/x", headers=door.cookie, timeout=10) for _ in range(20)]
        assert all(answer.status_code == 200 for answer in answers)
    finally:
        for connection in slow:
            connection.close()
    assert door.process.poll() is None


def test_a_door_whose_port_is_taken_opens_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = OpenDoor(tmp_path / "session", None, port=taken.getsockname()[1])
        assert made.port != taken.getsockname()[1]
        assert requests.get(made.url, timeout=10).status_code == 401
        made.close()
