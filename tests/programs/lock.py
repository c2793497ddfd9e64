"""`make lock [UPSTREAMS=DIR] [UPGRADE=yes]`: make launcher/python/lock*.txt and the table of core/tools.py anew.

uv resolves A1111's and ControlNet's own requirements (from the bare repositories in DIR, else from github.com) under
the launcher's constraints. A version that still fits stays; with UPGRADE all but the pinned ones move to the newest.
For each package one file is named: the wheel that fits CPython 3.11 on Linux best, else the sdist. The package index
tells sizes and SHA-256.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from launcher.core.tools import TOOLS
from launcher.python.lock import (
    BUILD_CONSTRAINTS,
    BUILD_TOOLS,
    CONSTRAINTS,
    CONTROLNET_LOCK,
    LOCK,
    LOCKED_COMMIT,
    LOCKED_REQUIREMENTS,
)
from tests.programs.real import CONTROLNET, CONTROLNET_COMMIT

WEBUI: Final = "AUTOMATIC1111/stable-diffusion-webui"
# What A1111 installs beside its requirements file, torch for T4 to Blackwell, and what takes another's place:
# - clip-anytorch in place of CLIP's zip, which no longer builds (AUTOMATIC1111#17284: setup.py imports pkg_resources,
#   gone from setuptools 82);
# - opencv's headless build: the other needs libGL.so.1, a system library that a bare machine lacks.
BESIDE: Final = "torch==2.8.0\ntorchvision==0.23.0\nclip-anytorch==2.6.0\nopencv-python-headless\n"
# What ControlNet v1.1.455 wants beside them, of versions that live with numpy 1.26. mediapipe 0.10.15 is the newest
# that ADetailer takes too; it needs protobuf 4.25, where A1111 itself names 3.20 and works with both (extensions.md).
BESIDE_CONTROLNET: Final = "opencv-contrib-python-headless\nonnxruntime-gpu\nmediapipe==0.10.15\n"
# What is asked for and not needed: other builds of opencv; triton (156 MB), which only `torch.compile` uses, and A1111
# never calls that (it ran without); what facexlib follows a face through a video with (64 MB).
LEFT_OUT: Final = ("opencv-python", "opencv-contrib-python", "triton", "numba", "llvmlite", "filterpy")
OVERRIDES: Final = "protobuf>=3.20,<5\n" + "".join(f"{name}; sys_platform == 'never'\n" for name in LEFT_OUT)
FOR: Final = ("--no-config", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_35")

ROOT: Final = Path(__file__).resolve().parents[2]
PLATFORMS: Final = [*(f"manylinux_2_{minor}_x86_64" for minor in range(35, 4, -1)), "manylinux2014_x86_64"]
TAGS: Final = [*cpython_tags((3, 11), platforms=PLATFORMS), *compatible_tags((3, 11), "cp311", PLATFORMS)]
RANK: Final[dict[Tag, int]] = {tag: number for number, tag in reversed(list(enumerate(TAGS)))}
TOOLS_MODULE: Final = ROOT / "launcher/core/tools.py"


def pins(names: list[str]) -> str:
    """The lines of a table for these requirements ("name==version")."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, answer = Path(folder, "wanted.txt"), Path(folder, "pylock.toml")
        wanted.write_text("\n".join(names) + "\n")
        uv_compile("--no-deps", "--format", "pylock.toml", "--output-file", str(answer), str(wanted))
        found = tomllib.loads(answer.read_text())["packages"]
    return "\n".join(sorted(f"{one['name']}=={one['version']} {digest_and_size(one)}" for one in found))


def digest_and_size(package: dict[str, Any]) -> str:
    """SHA-256 and bytes of the file that is installed."""
    wheels = [(rank(wheel["url"].rpartition("/")[2]), wheel) for wheel in package.get("wheels", [])]
    fitting = [(number, wheel) for number, wheel in wheels if number is not None]
    chosen = min(fitting, key=lambda one: one[0])[1] if fitting else package["sdist"]
    return f"{chosen['hashes']['sha256']} {chosen['size']}"


def rank(name: str) -> int | None:
    """How well a wheel fits; a small number is better, None does not fit."""
    numbers = [RANK[tag] for tag in parse_wheel_filename(name)[3] if tag in RANK]
    return min(numbers) if numbers else None


def names(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines() if line.strip()]


def uv_compile(*options: str) -> None:
    """`uv pip compile` for the web UI's Python."""
    command = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "compile", "--quiet", *FOR, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def resolved(requirements: str, kept: list[str], fixed: list[str], *, upgrade: bool) -> list[str]:
    """What `requirements` need ("name==version"), `fixed` aside; `kept` versions stay where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"wanted": requirements, "constraints": CONSTRAINTS + "\n".join(fixed), "overrides": OVERRIDES}
        files |= {"build": BUILD_CONSTRAINTS, "answer": "\n".join([*kept, *fixed])}
        for name, text in files.items():
            Path(folder, name).write_text(text + "\n")
        options = ["--no-annotate", "--no-header", "--no-emit-index-url", "--output-file", f"{folder}/answer"]
        options += ["--constraint", f"{folder}/constraints", "--override", f"{folder}/overrides"]
        options += ["--build-constraint", f"{folder}/build", *(["--upgrade"] if upgrade else [])]
        uv_compile(*options, f"{folder}/wanted")
        lines = Path(folder, "answer").read_text().splitlines()
    return [line for line in lines if line and line not in fixed]


def requirements_of(repository: str, commit: str, name: str, upstreams: Path | None) -> str:
    """A file of a repository at a commit."""
    with tempfile.TemporaryDirectory() as folder:
        place = upstreams / f"{repository}.git" if upstreams else Path(folder)
        git = ["git", "--git-dir", str(place)]
        if not upstreams:
            subprocess.run([*git, "init", "--quiet", "--bare"], check=True)
            address = f"https://github.com/{repository}"
            subprocess.run([*git, "fetch", "--quiet", "--depth", "1", "--", address, commit], check=True)
        return subprocess.run([*git, "show", f"{commit}:{name}"], check=True, capture_output=True).stdout.decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstreams", type=Path)
    parser.add_argument("--upgrade", action="store_true")
    options = parser.parse_args()
    webui = requirements_of(WEBUI, LOCKED_COMMIT, "requirements_versions.txt", options.upstreams)
    if hashlib.sha256(webui.encode()).hexdigest() != LOCKED_REQUIREMENTS:
        sys.exit("A1111's requirements_versions.txt is not the one named in launcher/python/lock.py")
    controlnet = requirements_of(CONTROLNET, CONTROLNET_COMMIT, "requirements.txt", options.upstreams)
    lock = resolved(webui + BESIDE, names(LOCK), [], upgrade=options.upgrade)
    beside = resolved(controlnet + BESIDE_CONTROLNET, names(CONTROLNET_LOCK), lock, upgrade=options.upgrade)
    tables = {
        "lock.txt": (LOCK, lock),
        "lock-controlnet.txt": (CONTROLNET_LOCK, beside),
        "lock-build.txt": (BUILD_TOOLS, names(BUILD_TOOLS)),
        "tools": (TOOLS, names(TOOLS)),
    }
    for name, (before, wanted) in tables.items():
        lines = pins(wanted)
        print(f"{name}: {len(lines.splitlines())} packages" + told_changes(before, lines))
        if name == "tools":
            TOOLS_MODULE.write_text(with_table(TOOLS_MODULE.read_text(), "TOOLS", lines))
        else:
            (ROOT / "launcher/python" / name).write_text(f"{lines}\n")


def with_table(source: str, name: str, lines: str) -> str:
    """A module's text with another table of that name."""
    return re.sub(rf'(?ms)(^{name}: Final = """\\\n).*?"""', lambda found: f'{found[1]}{lines}\n"""', source)


def told_changes(before: str, after: str) -> str:
    """What is different in a table, a line each."""
    old, new = ({line.split("==")[0]: line for line in text.split("\n") if line} for text in (before, after))
    moved = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    said = [f"\n  {version(old.get(name))} -> {version(new.get(name))}" for name in moved]
    return "".join(said) or ", nothing changed"


def version(line: str | None) -> str:
    """A line of a table without the file's size; "nothing" where there is none."""
    return " ".join(line.split()[:2]) if line else "nothing"


if __name__ == "__main__":
    main()
