"""The public link, with gradio's real frpc and a share server that can fail in every known way."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from launcher.access.tunnel import Tunnel, answers
from launcher.core.problem import Problem
from tests.world.share import FakeShare
from tests.world.wait import wait


class Local(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"User-agent: *\nDisallow: /\n")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Local)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def tunnel(tmp_path: Path) -> Iterator[Tunnel]:
    session = tmp_path / "session"
    session.mkdir()
    made = Tunnel(session)
    yield made
    made.close()


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeShare]]:
    made: list[FakeShare] = []

    def start(mode: str = "ok", through_api: bool = True) -> FakeShare:
        server = FakeShare(mode=mode)
        made.append(server)
        if through_api:  # as in the world: api.gradio.app over TLS, and TLS to the share server
            for name, value in {**server.env(), "REQUESTS_CA_BUNDLE": str(server.dir / "ca.pem")}.items():
                monkeypatch.setenv(name, value)
        else:
            monkeypatch.setenv("GRADIO_SHARE_SERVER_ADDRESS", f"127.0.0.1:{server.frps_port}")
        return server

    yield start
    for server in made:
        server.close()


def test_a_link_through_gradios_own_api_and_tls(tunnel: Tunnel, share: Callable[..., FakeShare], port: int) -> None:
    server = share()
    url = tunnel.open("gradio", port)
    assert answers(url)
    assert any("GET /v3/tunnel-request" in line for line in server.lines)
    assert any("frps connection TLS" in line for line in server.lines)
    assert (tunnel.url, tunnel.port) == (url, port)


FAILURES = {
    "login_error": "it refused the connection",
    "proxy_error": "it refused to make one",
    "expired_cert": "its certificate is not valid",
    "wrong_host": "its certificate is not valid",
    "api_500": "its address could not be asked for",
    "api_refuse": "its address could not be asked for",
    "silent": "it did not answer in time",
    "proxy_silent": "it did not answer in time",
}


@pytest.mark.parametrize("mode", FAILURES)
def test_every_failure_ends_in_a_sentence_within_a_minute(
    tunnel: Tunnel, share: Callable[..., FakeShare], port: int, mode: str
) -> None:
    share(mode)
    began = time.monotonic()
    with pytest.raises(Problem, match=f"gradio's share server gave no link: {FAILURES[mode]}"):
        tunnel.open("gradio", port)
    assert time.monotonic() - began < 60
    assert not tunnel.running


def test_a_dropped_connection_comes_back_with_the_same_link(
    tunnel: Tunnel, share: Callable[..., FakeShare], port: int
) -> None:
    server = share(through_api=False)
    url = tunnel.open("gradio", port)
    server.drop()
    assert answers(url, patience=30)


def test_a_share_server_that_was_restarted_is_found_again(
    tunnel: Tunnel, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FakeShare()
    monkeypatch.setenv("GRADIO_SHARE_SERVER_ADDRESS", f"127.0.0.1:{first.frps_port}")
    url = tunnel.open("gradio", port)
    first.drop()
    first.close()
    assert not answers(url, patience=0)
    second = FakeShare(port=first.frps_port, links=first.links)
    assert answers(url, patience=60)
    assert tunnel.running
    second.close()


def test_an_expired_link_is_noticed_and_a_new_one_has_the_same_address(
    tunnel: Tunnel, share: Callable[..., FakeShare], port: int
) -> None:
    server = share(through_api=False)
    url = tunnel.open("gradio", port)
    server.kill_clients()
    wait(lambda: not tunnel.running, 20, "the tunnel to end")
    assert tunnel.url == ""
    assert tunnel.open("gradio", port) == url


def test_a_killed_frpc_ends_the_helper_too(tunnel: Tunnel, share: Callable[..., FakeShare], port: int) -> None:
    share(through_api=False)
    url = tunnel.open("gradio", port)
    os.kill(tunnel._said()["program"], signal.SIGKILL)
    wait(lambda: not tunnel.running, 20, "the tunnel to end")
    assert tunnel.open("gradio", port) == url


def test_a_flood_of_failed_requests_does_not_stop_it(
    tunnel: Tunnel, share: Callable[..., FakeShare], port: int
) -> None:
    """frpc writes a line for each; a full pipe would keep it from reconnecting."""
    server = share(through_api=False)
    closed = 9
    url = tunnel.open("gradio", closed)
    for _ in range(400):
        with pytest.raises(requests.RequestException):
            requests.get(url, timeout=5)
    before = len(server.lines)
    server.drop()
    wait(lambda: any("login" in line for line in server.lines[before:]), 20, "frpc to come back")
    assert tunnel.running


def test_the_share_token_stays_on_the_machine_and_out_of_the_log(
    tunnel: Tunnel, share: Callable[..., FakeShare], port: int
) -> None:
    share(through_api=False)
    tunnel.open("gradio", port)
    token = (tunnel.session / "tunnel.token").read_text()
    assert (tunnel.session / "tunnel.token").stat().st_mode & 0o077 == 0
    assert token not in tunnel.log.read_text()
    assert token not in tunnel.part.said_file.read_text()
