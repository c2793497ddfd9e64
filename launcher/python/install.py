"""The installation of packages by uv: checksums, how far it is, and what to say where it fails."""

import re
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, write_safely
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.core.status import Step
from launcher.python.packages import note_replaced
from launcher.python.pins import ALL_PINS, BUILD_PINS
from launcher.python.uv import UV_SILENCE, plain_name, uv_environment, uv_problem

MOST_GONE: Final = 5  # versions that may be gone from the index; where it lacks more it is the index that is broken
UNPACKED: Final = 1.9  # bytes on the disk for each byte of a wheel (7.7 GB of 4.1 measured)


class Arrivals:
    """What has arrived, by uv's words and by the files it writes; tells the step."""

    def __init__(self, cache: Path, packages: list[str], step: Step) -> None:
        self.cache, self.step = cache, step
        self.sizes = {pin.name: pin.size for package in packages if (pin := ALL_PINS.get(package))}
        self.total, self.whole, self.most = sum(self.sizes.values()), 0, 0
        self.coming: dict[str, str] = {}  # name -> size in words

    def on_line(self, line: str) -> None:
        """uv has said something."""
        starts = re.match(r"\s*Downloading (\S+) \(([\d.]+\w+)\)", line)
        ends = re.match(r"\s*Downloaded (\S+)", line)
        if starts:
            self.coming[starts[1]] = starts[2]
        elif ends:
            self.coming.pop(ends[1], None)
            self.whole += self.sizes.get(plain_name(ends[1]), 0)
        elif re.search(r"Prepared \d+ packages?", line):
            self.coming = {}
            self.step.say("downloaded; installing the packages")
            return
        if (starts or ends) and self.coming:
            last = list(self.coming.items())[-3:]
            self.step.say("downloading " + ", ".join(f"{name} ({size})" for name, size in last))

    def measure(self) -> int:
        """Bytes on the disk of what is on its way; a sign of life."""
        written = sum(bytes_below(part) for part in self.cache.glob(".tmp*"))
        if self.total:
            self.most = max(self.most, min(self.total, self.whole + int(written / UNPACKED)))
            self.step.progress(self.most, self.total)
        return written


def bytes_below(folder: Path) -> int:
    """Bytes of all files in a folder, which may change meanwhile."""
    return sum(size_of(path) for path in folder.rglob("*"))


def size_of(path: Path) -> int:
    """Bytes of a file that may go away meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def install(uv: str, folder: Folder, packages: list[str], *, locked: bool, step: Step) -> None:
    """Install the packages with uv. Where a package is one of the lock's, its checksum must be right.

    A version of the lock that is gone from the index is replaced by the newest before it that the constraints allow,
    without a checksum, and said. Raises `Problem`.
    """
    loosened: list[str] = []
    while True:
        try:
            run_uv(uv, folder, packages, loosened, locked, step)
            return
        except CommandError as error:
            said = re.sub(r"\s+", " ", error.output)
            gone = re.search(r"there is no version of (\S+?)==(\S+?),? ", said)
            pin = f"{gone[1]}=={gone[2]}" if gone else ""
            if locked and pin in packages and pin not in loosened and len(loosened) < MOST_GONE:
                step.say(f"{pin} is no longer in the package index; another version is used")
                loosened.append(pin)
                continue
            raise installation_problem(folder, error, loosened) from error


def installation_problem(folder: Folder, error: CommandError, loosened: list[str]) -> Problem:
    """What to tell a person."""
    if len(loosened) >= MOST_GONE:
        return Problem(
            f"The package index has lost {len(loosened)} and more of the web UI's packages "
            f"({', '.join(loosened[:3])} …).",
            "If this network has a login page or a mirror of its own, use another network; otherwise wait an hour and "
            "press ▶ again.",
        )
    return uv_problem(folder, error, "package index", "the web UI's packages")


def run_uv(uv: str, folder: Folder, packages: list[str], loosened: list[str], locked: bool, step: Step) -> None:
    """One run of uv. Raises `CommandError`."""
    wanted, build = folder.python / "requirements.txt", folder.python / "build-requirements.txt"
    lines = [
        package.replace("==", "<=") if package in loosened else pin.line if (pin := ALL_PINS.get(package)) else package
        for package in packages
    ]
    write_safely(wanted, "\n".join(lines) + "\n")
    write_safely(build, "".join(f"{pin.line}\n" for pin in BUILD_PINS.values()))
    env = uv_environment(folder)
    arrivals = Arrivals(Path(env["UV_CACHE_DIR"]), packages, step)
    command = [
        uv,
        "pip",
        "install",
        "--python",
        str(folder.python / "bin" / "python"),
        *(["--no-deps"] if locked else []),
    ]
    command += ["--constraint", str(folder.python / "constraints.txt"), "--build-constraint", str(build)]
    run(
        [*command, "--requirement", str(wanted)],
        env=env,
        on_line=arrivals.on_line,
        timeout=UV_SILENCE,
        signs_of_life=arrivals.measure,
    )
    for package in loosened:
        note_replaced(folder, package.partition("==")[0])
