"""`make lock`: write launcher/python/lock.py and launcher/core/tool_pins.py anew, and say what changed.

For each package one file: the wheel that fits CPython 3.11 on Linux best, else the sdist. Nothing is downloaded: the
package index tells sizes and SHA-256.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from launcher.core.tool_pins import TOOLS
from launcher.python.lock import BUILD_TOOLS, CONTROLNET_LOCK, LOCK

ROOT: Final = Path(__file__).resolve().parent.parent
PLATFORMS: Final = [*(f"manylinux_2_{minor}_x86_64" for minor in range(35, 4, -1)), "manylinux2014_x86_64"]
TAGS: Final = [*cpython_tags((3, 11), platforms=PLATFORMS), *compatible_tags((3, 11), "cp311", PLATFORMS)]
RANK: Final[dict[Tag, int]] = {tag: number for number, tag in reversed(list(enumerate(TAGS)))}
# Files for any Python 3: they run on the kernel's, whichever that is.
HEADERS: Final = {
    "launcher/python/lock.py": (
        "The web UI's packages, one file each: name==version, SHA-256, bytes. Made by `make lock`.",
        ("LOCK", "CONTROLNET_LOCK", "BUILD_TOOLS"),
    ),
    "launcher/core/tool_pins.py": (
        "Programs the launcher itself needs: name==version, SHA-256, bytes. Made by `make lock`.",
        ("TOOLS",),
    ),
}


def pins(names: list[str]) -> str:
    """The lines of a table for these requirements ("name==version")."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, answer = Path(folder, "wanted.txt"), Path(folder, "pylock.toml")
        wanted.write_text("\n".join(names) + "\n")
        command = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "compile", "--quiet", "--no-config", "--no-deps"]
        command += ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_35", "--format", "pylock.toml"]
        subprocess.run([*command, "--output-file", str(answer), str(wanted)], check=True, stdout=subprocess.DEVNULL)
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


def main() -> None:
    tables = {"LOCK": LOCK, "CONTROLNET_LOCK": CONTROLNET_LOCK, "BUILD_TOOLS": BUILD_TOOLS, "TOOLS": TOOLS}
    for path, (title, holds) in HEADERS.items():
        text = f'"""{title}"""\n\nfrom typing import Final\n'
        for name in holds:
            lines = pins(names(tables[name]))
            changed = set(lines.splitlines()) ^ set(tables[name].splitlines()) - {""}
            print(f"{name}: {len(lines.splitlines())} packages, {len(changed)} lines changed")
            text += f'\n{name}: Final = """\\\n{lines}\n"""\n'
        (ROOT / path).write_text(re.sub(r"\n{3,}", "\n\n", text))


if __name__ == "__main__":
    main()
