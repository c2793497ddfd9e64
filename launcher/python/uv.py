"""uv, which makes the web UI's Python environment and fills it: where it is, how far it is, and why it failed."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from launcher.core.child_environment import PROXIES, also_look_at, child_environment
from launcher.core.folder import GB, Folder, can_be_written, free_bytes, write_safely
from launcher.core.problem import NEW_MACHINE, Problem
from launcher.core.process import CommandError, run
from launcher.core.status import Step
from launcher.core.tools import install_tool, installer_environment
from launcher.python.lock import ALL_PINS, BUILD_PINS, LOCKED_VERSION

PYTHON_VERSION: Final = "3.11"  # Pillow 9.5 and others have no wheels for 3.12 and later
OLDEST_UV: Final = (0, 5, 0)  # before it some of the options and variables we use are unknown
UV_SILENCE: Final = 120.0  # seconds in which uv may say nothing and no byte arrive
COMPLETE: Final = "complete.json"  # in a finished environment; one that an installer was ended in is made anew
UNPACKED: Final = 1.9  # bytes on the disk for each byte of a wheel (7.7 GB of 4.1 measured)
CONFLICT: Final = re.compile(r"No solution found|unsatisfiable|incompatible|conflict")  # packages exclude each other
# uv's words where it has no interpreter: its archive cannot be had, or downloads are switched off.
NO_PYTHON: Final = re.compile(r"cpython-\d|[Nn]o interpreter found|Python download")
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
    for place in filter(None, (shutil.which("uv", path=child_environment()["PATH"]), str(own))):
        with suppress(CommandError, OSError, Problem):  # a pyenv shim, for one, exists without what it stands for
            found = re.search(r"uv (\d+)\.(\d+)\.(\d+)", run([place, "--version"], timeout=60))
            if found and tuple(map(int, found.groups())) >= OLDEST_UV:
                return place
    try:
        install_tool("uv", folder.tools / "uv")
    except CommandError as error:
        raise uv_problem(folder, error, "package index", "uv, the installer that the launcher uses") from error
    return str(own)


def uv_environment(folder: Folder) -> dict[str, str]:
    """What uv gets. Its cache is in the launcher's folder, as its Pythons are, unless a person names another."""
    env = installer_environment()
    asked = env.get("UV_CACHE_DIR")
    cache = asked if asked and can_be_written(Path(asked)) else str(folder.machine / "cache-of-uv")
    return env | {"UV_CACHE_DIR": cache, "UV_PYTHON_INSTALL_DIR": str(folder.machine / "pythons")}


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


class Arrivals:
    """How much has arrived, by uv's words and by the files it writes; tells the step."""

    def __init__(self, cache: Path, packages: list[str], step: Step) -> None:
        self.cache, self.step, self.whole, self.most = cache, step, 0, 0
        self.sizes = {pin.name: pin.size for package in packages if (pin := ALL_PINS.get(package))}

    def on_line(self, line: str) -> None:
        """uv has said something."""
        if starts := re.match(r"\s*Downloading (\S+) (\(\S+\))", line):
            self.step.say(f"downloading {starts[1]} {starts[2]}")
        elif ends := re.match(r"\s*Downloaded (\S+)", line):
            self.whole += self.sizes.get(canonicalize_name(ends[1]), 0)
        elif line.startswith("Prepared "):
            self.step.say("downloaded; installing the packages")

    def measure(self) -> int:
        """Bytes on the disk of what is on its way; a sign of life."""
        written = bytes_on_the_way([self.cache])
        if total := sum(self.sizes.values()):
            self.most = max(self.most, min(total, self.whole + int(written / UNPACKED)))
            self.step.progress(self.most, total)
        return written


def bytes_on_the_way(folders: list[Path]) -> int:
    """Bytes of all that uv unpacks in these folders: in temporary ones, which may change meanwhile."""
    total = 0
    for where, _, names in (one for folder in folders for part in folder.glob(".t*mp*") for one in os.walk(part)):
        for name in names:
            with suppress(OSError):  # it went away
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def make_environment(uv: str, folder: Folder, step: Step) -> None:
    """An empty environment with pip (`--seed`: extensions call `python -m pip`), of an interpreter that uv finds on the
    machine or fetches from its releases on GitHub. Raises `Problem`.
    """
    step.say(f"preparing Python {PYTHON_VERSION}")
    shutil.rmtree(folder.python, ignore_errors=True)
    env = uv_environment(folder)
    coming = [Path(env["UV_CACHE_DIR"]), Path(env["UV_PYTHON_INSTALL_DIR"])]  # to where uv unpacks what comes
    command = [uv, "venv", "--seed", "--python", PYTHON_VERSION, str(folder.python)]
    try:
        run(command, env=env, timeout=UV_SILENCE, signs_of_life=lambda: bytes_on_the_way(coming))
    except CommandError as error:
        # Once it has an interpreter it says that it makes the environment.
        place, what = "package index", "pip"
        if "Creating virtual environment" not in error.output and (error.silent or NO_PYTHON.search(error.output)):
            place, what = "place Python comes from (GitHub)", f"Python {PYTHON_VERSION}"
        raise uv_problem(folder, error, place, what) from error


def install(
    uv: str, folder: Folder, packages: list[str], step: Step, *, with_needs: bool = False, reinstall: bool = False
) -> None:
    """Install these packages, and what they need unless all of it is among them. Raises `Problem`, also where the
    checksum of one of the lock's is not right.
    """
    (folder.python / COMPLETE).unlink(missing_ok=True)
    wanted, build = folder.python / "requirements.txt", folder.python / "build-requirements.txt"
    lines = [pin.line if (pin := ALL_PINS.get(package)) else package for package in packages]
    write_safely(wanted, "\n".join(lines) + "\n")
    write_safely(build, "".join(f"{pin.line}\n" for pin in BUILD_PINS.values()))
    env = uv_environment(folder)
    arrivals = Arrivals(Path(env["UV_CACHE_DIR"]), packages, step)
    command = [uv, "pip", "install", "--python", python_path(folder), "--requirement", str(wanted)]
    command += ["--constraint", str(folder.python / "constraints.txt"), "--build-constraint", str(build)]
    command += [*([] if with_needs else ["--no-deps"]), *(["--reinstall"] if reinstall else [])]
    try:
        run(command, env=env, on_line=arrivals.on_line, timeout=UV_SILENCE, signs_of_life=arrivals.measure)
    except CommandError as error:
        gone = re.search(r"there is no version of ([^\s,]+)", re.sub(r"\s+", " ", error.output))
        if gone and gone[1] in ALL_PINS:
            raise Problem(
                f"The package index does not have {gone[1]}, which the web UI needs.",
                "If this network has a mirror of its own, try without it. Otherwise please report it: the launcher "
                "needs a new list of packages.",
            ) from error
        problem = uv_problem(folder, error, "package index", "the web UI's packages")
        if with_needs and CONFLICT.search(error.output):  # A1111 up to v1.7.0 asks for numpy 1.23.5, for example
            raise Problem(
                "The launcher cannot install this version of AUTOMATIC1111: it asks for other packages than those the "
                f"launcher works with. {problem.what}",
                f"Write {LOCKED_VERSION} into **version** under **Choices**, press **Apply**, and then ▶.",
            ) from error
        raise problem from error
