"""The web UI's packages, one file each, and what nobody may move."""

import hashlib
import re
from pathlib import Path
from typing import Final

from launcher.core.tools import Pin, read_pins

# A1111 v1.10.1, and the fingerprint of its requirements_versions.txt: what this lock was resolved for.
LOCKED_VERSION: Final = "v1.10.1"
LOCKED_COMMIT: Final = "82a973c04367123ae98bd9abdf80d9eda9b910e2"
LOCKED_REQUIREMENTS: Final = "76d90436b579f3d7a5f6ff55657ffc56476e2dd0c2c79f09e2ceedc122d5db48"
# A1111's launch.py installs these itself, from addresses that are gone or not locked.
BESIDE_TORCH: Final = ("torchvision", "clip-anytorch==2.6.0")
BUILD_CONSTRAINTS: Final = "setuptools<82\n"  # old setup.py files import pkg_resources
# Names under which others ask for what is installed: an empty distribution of that name says that it is there.
ALSO_CALLED: Final = {
    "opencv-python-headless": "opencv-python",
    "opencv-contrib-python-headless": "opencv-contrib-python",
}

_FOLDER: Final = Path(__file__).parent
# Made by `make lock`. Each line: name==version, SHA-256, bytes.
LOCK: Final = (_FOLDER / "lock.txt").read_text()
CONTROLNET_LOCK: Final = (_FOLDER / "lock-controlnet.txt").read_text()
BUILD_TOOLS: Final = (_FOLDER / "lock-build.txt").read_text()
# What no extension's installer may move, and how far it may move the rest: the widest ranges in which the requirements
# of the extensions in docs/extensions.md resolve together. With numpy 2 or protobuf 7 the next start dies; opencv 4.12
# needs numpy 2.
CONSTRAINTS: Final = (_FOLDER / "constraints.txt").read_text()
BUILD_PINS: Final = read_pins(BUILD_TOOLS)
ALL_PINS: Final[dict[str, Pin]] = {pin.requirement: pin for pin in read_pins(LOCK + CONTROLNET_LOCK).values()}
LOCKED_PACKAGES: Final = tuple(pin.requirement for pin in read_pins(LOCK).values())
CONTROLNET_PACKAGES: Final = tuple(pin.requirement for pin in read_pins(CONTROLNET_LOCK).values())


def packages_for(requirements: bytes, controlnet: bool = False) -> list[str]:
    """The lock if requirements_versions.txt is the one it was made for, byte by byte; else what stands in it. With
    `controlnet` the packages of that extension too.
    """
    if hashlib.sha256(requirements).hexdigest() == LOCKED_REQUIREMENTS:
        return [*LOCKED_PACKAGES, *(CONTROLNET_PACKAGES if controlnet else ())]
    lines = [line.split("#")[0].strip() for line in requirements.decode().splitlines()]
    packages = [line for line in lines if line]
    return [*packages, *(BESIDE_TORCH if any(re.match(r"torch\b", package) for package in packages) else ())]
