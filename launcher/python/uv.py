"""uv, which makes the web UI's Python environment: where it is, what it gets, and what its failures mean."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from launcher.core.child_environment import CARD, HUB, PACKAGES, PROXIES, also_look_at, child_environment
from launcher.core.folder import GB, Folder, can_be_written, free_bytes, point
from launcher.core.problem import NEW_MACHINE, Problem
from launcher.core.process import CommandError, run
from launcher.core.tools import install_tool, installer_environment

PYTHON_VERSION: Final = "3.11"  # Pillow 9.5 and others have no wheels for 3.12 and later
DRIVER: Final = "libcuda.so.1"  # comes with the card's driver, on Colab in /usr/lib64-nvidia
DRIVERS_OWN: Final = r"lib(cuda\.|cudadebugger|nvidia|nvcuvid|nvoptix)"  # how the names of its files begin
OLDEST_UV: Final = (0, 5, 0)  # before it some of the options and variables we use are unknown
UV_SILENCE: Final = 120.0  # seconds in which uv may say nothing and no byte arrive
REPORT: Final = "If it fails again, please report it."
WAIT_AND_PRESS: Final = "Wait a few minutes and press ▶ again; packages that arrived whole are kept."
CHANGED: Final = "Press ▶ again. If it fails again, something on the way is changing the files: please report it."
LEAD_THERE: Final = (*PROXIES, "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_PYTHON_INSTALL_MIRROR", "PIP_INDEX_URL")
# What uv says -> what happened, and what to do. The first that fits. {0}: what its group holds. Where something stands
# in the way, it may be what the variables say.
ON_THE_WAY: Final = (
    (
        r"there are no versions of (pip|setuptools|wheel)\b",
        "What answers in place of the {place} is something else: it does not have {0}.",
        "If this network has a login page, log in there. If it has a mirror of its own, set UV_DEFAULT_INDEX to the "
        "mirror's address. Then press ▶ again.",
    ),
    (
        r"UnknownIssuer|invalid peer certificate|CertificateRequired|certificate verify failed",
        "The connection to the {place} is not trusted: its certificate is signed by an authority this machine "
        "does not know.",
        "If you are behind a company's proxy, set SSL_CERT_FILE to its certificate and press ▶ again.",
    ),
    (
        r"dns error|failed to lookup|Connection refused|tcp connect|Network is unreachable|[Cc]onnect(?:ion)? error"
        r"|error sending request|client error \(Connect\)",
        "The {place} cannot be reached from this runtime.",
        "Check that the runtime is connected to the internet and press ▶ again.",
    ),
)
FAILURES: Final = (
    (
        r"([\w.-]+==[\w.!+-]+)\W.{0,40}[Hh]ash",
        "The package {0} is not the one this launcher was made with: its checksum is different.",
        CHANGED,
    ),
    (r"[Hh]ash mismatch", "What the {place} sent is not what it should be: its checksum is different.", CHANGED),
    (r"HTTP status server error \((\d+)", "The {place} is not working right now (it answers {0}).", WAIT_AND_PRESS),
    (
        r"HTTP status client error \((\d+)|returned an? (\d+) |(429) Too Many Requests",
        "The {place} refuses the download (it answers {0}).",
        f"Wait a few minutes and press ▶ again. {REPORT}",
    ),
    (
        r"[Uu]nexpected HTML|[Uu]nsupported [Cc]ontent-?[Tt]ype|expected.*(?:json|JSON)|invalid gzip|zlib"
        r"|unexpected (?:end of file|EOF)|IncompleteMessage|error decoding response|end of file before|body error"
        r"|Failed to (?:extract|unzip|untar)|[Mm]ismatched content length|missing end of central directory"
        r"|decompression",
        "The download from the {place} arrived damaged or incomplete.",
        WAIT_AND_PRESS,
    ),
    (r"[Tt]imed? ?out|said nothing for too long", "The {place} stopped sending.", WAIT_AND_PRESS),
)


def find_uv(folder: Folder) -> str:
    """The path of uv; installs it beside our things (never into the kernel's packages) if it is missing."""
    own = folder.tools / "uv" / "bin" / "uv"
    for place in (shutil.which("uv", path=child_environment()["PATH"]), str(own)):
        if place and uv_version(place) >= OLDEST_UV:
            return place
    try:
        install_tool("uv", folder.tools / "uv")
    except CommandError as error:
        raise uv_problem(folder, error, "package index", "uv, the installer that the launcher uses") from error
    return str(own)


def uv_version(program: str) -> tuple[int, ...]:
    """The version of that uv, () if it does not start."""
    try:
        found = re.search(r"uv (\d+)\.(\d+)\.(\d+)", run([program, "--version"], timeout=60))
    except (CommandError, OSError, Problem):  # a pyenv shim, for one, exists without what it stands for
        return ()
    return tuple(map(int, found.groups())) if found else ()


def uv_environment(folder: Folder) -> dict[str, str]:
    """What uv gets. Its cache is in the launcher's folder, as its Pythons are, unless a person names another."""
    env = installer_environment()
    asked = env.get("UV_CACHE_DIR")
    cache = asked if asked and can_be_written(Path(asked)) else str(folder.machine / "cache-of-uv")
    return env | {"UV_CACHE_DIR": cache, "UV_PYTHON_INSTALL_DIR": str(folder.machine / "pythons")}


def webui_environment(folder: Folder) -> dict[str, str]:
    """The environment for the web UI and whatever it starts: the short list, with the constraints always set.

    No token is in it. Both PIP_CONSTRAINT and PIP_BUILD_CONSTRAINT are needed: pip 23 reads the first for build
    environments, pip 26 only the second (measured).
    """
    env = child_environment(*PACKAGES, *HUB, *CARD) | installer_environment() | driver_of_card(folder)
    return env | {
        "PATH": f"{folder.python / 'bin'}{os.pathsep}{env['PATH']}",
        "VIRTUAL_ENV": str(folder.python),
        "MPLBACKEND": "Agg",  # the kernel's inline backend is not there: TheLastBen#3125
        "PYTHONUNBUFFERED": "1",
        "PIP_CONSTRAINT": str(folder.python / "constraints.txt"),
        "PIP_BUILD_CONSTRAINT": str(folder.python / "build-constraints.txt"),
        "UV_CONSTRAINT": str(folder.python / "constraints.txt"),
        "UV_BUILD_CONSTRAINT": str(folder.python / "build-constraints.txt"),
        # Checkpoints of old carry pickled callbacks, which torch >= 2.6 refuses; A1111's own check of pickles stays.
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    }


def driver_of_card(folder: Folder) -> dict[str, str]:
    """LD_LIBRARY_PATH with the card's driver, and nothing else of the folder it leads to: a cuDNN there would be loaded
    in place of the environment's own. Empty where the system finds the driver by itself.
    """
    named = [Path(place) for place in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if place]
    places = [place for place in named if (place / DRIVER).exists()]
    if not places or system_finds(DRIVER):
        return {}
    links = folder.machine / "driver"
    links.mkdir(parents=True, exist_ok=True)
    for file in places[0].iterdir():
        if re.match(DRIVERS_OWN, file.name):
            point(links / file.name, file)
    return {"LD_LIBRARY_PATH": str(links)}


def system_finds(library: str) -> bool:
    try:
        return library in run(["ldconfig", "-p"], timeout=60)
    except (CommandError, Problem):
        return False


def site_packages(folder: Folder) -> Path:
    return folder.python / "lib" / f"python{PYTHON_VERSION}" / "site-packages"


def distributions_of(folder: Folder) -> Iterator[tuple[str, str, Path]]:
    """Name (as packaging writes it), version and .dist-info of all that is in the environment."""
    for info in site_packages(folder).glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        yield canonicalize_name(name), version, info


def installed_packages(folder: Folder) -> dict[str, str]:
    """Name to version, of all that is in the environment."""
    return {name: version for name, version, _ in distributions_of(folder)}


def python_path(folder: Folder) -> str:
    return str(folder.python / "bin" / "python")


def uv_problem(folder: Folder, error: CommandError, place: str, what: str) -> Problem:
    """What to tell a person about uv's failure: `place` did not give `what`."""
    said = re.sub(r"\s+", " ", error.output)
    if re.search(r"No space left|os error 28|Disk quota exceeded", said):
        free = free_bytes(folder.machine) / GB
        return Problem(
            f"The runtime's disk filled up while {what} was installed: {free:.1f} GB are free.",
            f"Delete what you do not need under Files on the left, or {NEW_MACHINE}; then press ▶ again.",
        )
    for pattern, happened, remedy in (*ON_THE_WAY, *FAILURES):
        if found := re.search(pattern, said):
            groups = [group for group in found.groups() if group]
            more = also_look_at(LEAD_THERE) if (pattern, happened, remedy) in ON_THE_WAY else ""
            return Problem(happened.format(*groups, place=place), remedy + more)
    lines = [line.strip(" ╰─▶×│├") for line in error.output.splitlines() if re.search(r"[×╰│]|error|cause", line)]
    words = " ".join(line.removeprefix("error: ") for line in lines if line).replace(" cause: ", ": ")[:400]
    words = words or error.output.strip()[-300:] or "the installer said nothing"
    return Problem(
        f"{what[0].upper()}{what[1:]} could not be installed: {words}",
        f"Wait a minute and press ▶ again. {REPORT}",
    )
