"""Whatever strangers send: the owner's page, WebSocket and login work, memory stays, and the log has nothing of it."""

import asyncio
import contextlib
import logging
import socket
import sys
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from launcher.access import connections
from launcher.access.connections import LINES_A_MINUTE, MOST_UNAUTHENTICATED, Connection, Server, ShortLog
from launcher.access.proxy import AuthProxy
from launcher.core.session import Session
from tests.programs.attacks import ATTACKS, HANDSHAKE, ODD, Owner, login_form

pytestmark = pytest.mark.xdist_group("owner")  # one web UI for all of them

SECONDS = 1.0  # `make attacks` has fifteen


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> "Owner":  # type: ignore[misc]
    made = Owner(tmp_path_factory.mktemp("owner"), files=1024)
    yield made
    made.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_the_owner_notices_nothing_of(owner: Owner, name: str) -> None:
    noticed = owner.during(name, SECONDS)
    assert noticed.failed == 0
    assert noticed.image < float("inf"), "the WebSocket of an image did not last"
    assert noticed.login < float("inf"), "the right password did not open"
    assert noticed.memory < 150
    assert noticed.log_a_minute < 10_000


@pytest.mark.parametrize("request_", ODD, ids=lambda sent: repr(sent[:40]))
def test_odd_bytes_get_an_answer_and_leave_no_trace(owner: Owner, request_: bytes) -> None:
    before = owner.log.read_bytes()
    with socket.create_connection(("127.0.0.1", owner.port), timeout=5) as connection:
        connection.sendall(request_)
        try:
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except OSError:  # the door closed first, and what it sent was not read
            answer = b""
    assert b" 500 " not in answer[:20]
    assert b"xxxx" not in answer, "the web UI was asked"
    assert owner.log.read_bytes() == before


def test_a_fault_of_ours_is_logged_by_kind_and_place_only(capsys: pytest.CaptureFixture[str]) -> None:
    handler = ShortLog()
    for _ in range(100):
        try:
            bytes("secret \udcff", "utf-8")
        except UnicodeEncodeError as error:
            record = logging.LogRecord("x", logging.ERROR, __file__, 1, "secret %s", (error,), sys.exc_info())
            handler.emit(record)
    told = capsys.readouterr().err
    assert told.count(f"UnicodeEncodeError {Path(__file__).name}:") == len(told.splitlines()) == LINES_A_MINUTE
    assert "secret" not in told


def test_the_oldest_silent_connection_goes_first(owner: Owner) -> None:
    async def story() -> tuple[bool, bool]:
        first, _ = await asyncio.open_connection("127.0.0.1", owner.port)
        crowd = [await asyncio.open_connection("127.0.0.1", owner.port) for _ in range(MOST_UNAUTHENTICATED)]
        gone = await asyncio.wait_for(first.read(1), 10) == b""
        alive = not crowd[-1][0].at_eof()
        for _, writer in crowd:
            writer.close()
        return gone, alive

    assert asyncio.run(story()) == (True, True)
    assert psutil.Process(owner._door.pid).num_fds() < 1024


async def opened(port: int, request: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    return reader, writer


def test_who_is_logged_in_or_logs_in_finds_a_place_among_strangers_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PAUSE", 600.0)  # nobody's turn comes

    async def story() -> list[bytes]:
        proxy = AuthProxy(Session(tmp_path))
        listening = await asyncio.get_running_loop().create_server(proxy.server, "127.0.0.1", 0)
        port, login = listening.sockets[0].getsockname()[1], proxy.login
        guess = login_form(b"user=user&password=x")
        crowd = [await opened(port, guess) for _ in range(MOST_UNAUTHENTICATED + 50)]
        cookie = f"GET /robots.txt HTTP/1.1\r\nHost: x\r\nCookie: {login.cookie_header['Set-Cookie']}\r\n\r\n".encode()
        right = login_form(f"user=user&password={login.password}".encode())
        ticket = f"POST /oneclick/enter/{login.new_ticket()} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        owner = [await opened(port, one) for one in (cookie, right, ticket)]
        answers = [await reader.readline() for reader, _ in owner]
        for _, writer in crowd + owner:
            writer.close()
        listening.close()
        return answers

    assert [one.split()[1:2] for one in asyncio.run(story())] == [[b"200"], [b"303"], [b"303"]]


def test_websockets_that_say_nothing_give_way_to_the_owner(owner: Owner) -> None:
    async def story() -> float:
        held = list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
        for _ in range(4):
            request = b"GET /oneclick/alive HTTP/1.1\r\n" + HANDSHAKE
            held += [await opened(owner.port, request) for _ in range(MOST_UNAUTHENTICATED // 4)]
            assert b" 101 " in await held[-1][0].readline()
        seconds = await asyncio.to_thread(owner.page)
        for _, writer in held:
            writer.close()
        return seconds

    assert asyncio.run(story())


def test_a_strangers_time_ends_on_a_connection_where_somebody_was_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share server keeps connections, and sends the next visitor's request on the same one."""
    monkeypatch.setattr(connections, "UNAUTHENTICATED_TIME", 1.0)

    async def story() -> None:
        proxy = AuthProxy(Session(tmp_path))
        listening = await asyncio.get_running_loop().create_server(proxy.server, "127.0.0.1", 0)
        cookie = proxy.login.cookie_header["Set-Cookie"]
        request = f"GET /oneclick/style.css HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"
        reader, writer = await opened(listening.sockets[0].getsockname()[1], request.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.write(login_form(b"x").replace(b"Length: 1", b"Length: 2"))
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 20)  # to its end
        writer.close()
        listening.close()

    asyncio.run(story())


def test_a_strangers_time_ends_and_that_of_who_is_in_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNAUTHENTICATED_TIME", 1.0)

    async def let_in(request: web.BaseRequest) -> web.Response:
        assert isinstance(request.protocol, Connection)
        request.protocol.lift_bounds()
        return web.Response()

    async def story() -> None:
        server = Server(let_in)
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        owner, silent, slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        owner[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await owner[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        slow[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for reader, _ in (silent, slow):
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(1), 20) == b"", "it was answered"
        owner[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await owner[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        listening.close()

    asyncio.run(story())
