"""Cloudflare's quick tunnel: no account; the link stands in a box in what its program prints."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from launcher.access.tunnels import NOT_STARTED, OFFLINE, Reason, TunnelService, fetched
from launcher.core.folder import write_safely

VERSION: Final = "2026.9.3"
PROGRAM_URL: Final = f"https://github.com/cloudflare/cloudflared/releases/download/{VERSION}/cloudflared-linux-amd64"
# What GitHub's API calls the digest of that file, as six public repositories that pin it have it; they agree.
PROGRAM_MOST: Final = 200 << 20  # bytes; it has 40 MB
SHA256: Final = "77e26d8d900e0b8469f416239d14b5f296525fdf79fee6f511ef55609e3fbac2"
# What cloudflared says; the status codes come from api.trycloudflare.com.
REASONS: Final = (
    Reason(r"\b1015\b|429 Too Many", "too many links were requested from here; try again in an hour"),
    Reason(r"HTTPError|certificate verify failed.*github", "its program could not be downloaded"),
    Reason(r"checksum|too much", "what was downloaded is not its program"),
    OFFLINE,
    NOT_STARTED,
    Reason(r":7844.*(i/o timeout|refused)|quic.*timeout", "the port it needs (7844) is blocked here"),
    Reason(r"deadline exceeded|Timeout|i/o timeout", "it did not answer in time"),
    Reason(r"connection refused|ConnectionError|ProxyError|connection reset", "it could not be reached"),
    Reason(r"\b1101\b|500 Internal|50\d |unmarshal|invalid character", "its service is not working properly"),
)


def command(session: Path, port: int, token: str) -> list[str]:
    program = shutil.which("cloudflared") or str(fetch_program(session))
    configuration = session / "cloudflared.yml"  # an empty one of its own: one that lies around would be obeyed
    write_safely(configuration, "")
    # http2 from the start: where UDP is blocked, QUIC is given up only after minutes.
    options = ["--config", str(configuration), "--no-autoupdate", "--protocol", "http2"]
    return [program, "tunnel", *options, "--url", f"http://127.0.0.1:{port}"]


def fetch_program(session: Path) -> Path:
    program = session / "cloudflared"
    if not program.exists():
        content = fetched(PROGRAM_URL, PROGRAM_MOST)
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise RuntimeError(f"{program.name} came with another checksum")
        write_safely(program, content, 0o700)
    return program


# Its link is worth something only once it is registered: the box comes before its port was tried. And its name is known
# up to four seconds after that (fastagent-sh/fastagent#437).
REGISTERED: Final = r"(?s)\|\s+(https?://\S+)\s+\|.*\b[Rr]egistered\b"
SERVICE: Final = TunnelService("Cloudflare's quick tunnel", command, REGISTERED, REASONS, patience=60.0, settles=5.0)
