"""Whatever strangers send, the owner's page, WebSocket and login work, memory stays, and nothing of it is in the log."""

import asyncio
import socket

import psutil
import pytest

from tests.attacks import ATTACKS, ODD, Owner

SECONDS = 2.0


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> "Owner":  # type: ignore[misc]
    made = Owner(tmp_path_factory.mktemp("owner"), files=512)
    yield made
    made.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_the_owner_notices_nothing_of(owner: Owner, name: str) -> None:
    noticed = owner.during(name, SECONDS)
    assert noticed.failed == 0
    assert noticed.login < float("inf"), "the right password did not open"
    assert noticed.memory < 150
    assert noticed.log_a_minute < 10_000


@pytest.mark.parametrize("request_", ODD, ids=lambda sent: repr(sent[:40]))
def test_odd_bytes_get_an_answer_and_leave_no_trace(owner: Owner, request_: bytes) -> None:
    before = owner.log.read_bytes()
    with socket.create_connection(("127.0.0.1", owner.port), timeout=5) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:  # what it still sent was not read
            answer = b""
    assert b" 500 " not in answer[:20]
    assert b"xxxx" not in answer, "the web UI was asked"
    assert owner.log.read_bytes() == before


def test_a_fault_of_ours_is_logged_by_kind_and_place_only(capsys: pytest.CaptureFixture[str]) -> None:
    from launcher.access.connections import LINES_A_MINUTE, ShortLog

    handler = ShortLog()
    for _ in range(100):
        try:
            bytes("secret \udcff", "utf-8")
        except UnicodeEncodeError as error:
            import logging
            import sys

            record = logging.LogRecord("x", logging.ERROR, __file__, 1, "secret %s", (error,), sys.exc_info())
            handler.emit(record)
    told = capsys.readouterr().err
    assert told.count("UnicodeEncodeError test_strangers.py:") == len(told.splitlines()) == LINES_A_MINUTE
    assert "secret" not in told


def test_silent_connections_are_dropped_after_a_while_and_the_oldest_first(owner: Owner) -> None:
    from launcher.access.connections import MOST_STRANGERS

    async def story() -> tuple[bool, bool]:
        first, _ = await asyncio.open_connection("127.0.0.1", owner.port)
        crowd = [await asyncio.open_connection("127.0.0.1", owner.port) for _ in range(MOST_STRANGERS)]
        gone = await asyncio.wait_for(first.read(1), 10) == b""
        alive = not crowd[-1][0].at_eof()
        for _, writer in crowd:
            writer.close()
        return gone, alive

    assert asyncio.run(story()) == (True, True)
    assert psutil.Process(owner._door.pid).num_fds() < 512
