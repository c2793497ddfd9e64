"""What the lock was made for, and what nobody may move. The lock itself (lock.py) is made from this by `make lock`."""

from typing import Final

from launcher.core.tools import Pin, read_pins
from launcher.python.lock import BUILD_TOOLS, CONTROLNET_LOCK, LOCK

# A1111 v1.10.1, and the fingerprint of its requirements_versions.txt: what this lock was resolved for.
LOCKED_VERSION: Final = "v1.10.1"
LOCKED_COMMIT: Final = "82a973c04367123ae98bd9abdf80d9eda9b910e2"
LOCKED_REQUIREMENTS: Final = "76d90436b579f3d7a5f6ff55657ffc56476e2dd0c2c79f09e2ceedc122d5db48"
# Every package for that file, torch 2.8.0 (T4 to Blackwell), with three differences:
# - clip-anytorch in place of CLIP's zip, which no longer builds (AUTOMATIC1111#17284: setup.py imports pkg_resources,
# gone   from setuptools 82);
# - opencv's headless build: the other needs libGL.so.1, a system library that a bare machine lacks;
# - no triton (156 MB): torch asks for it, but only `torch.compile` uses it, and A1111 never calls that (it ran
# without);
# - no numba, llvmlite (64 MB) and filterpy: facexlib asks for them, but only to follow a face through a video, which
# nothing of A1111's does.
LOCK_PINS: Final = read_pins(LOCK)
# What ControlNet v1.1.455 wants beside them, of versions that live with numpy 1.26. mediapipe 0.10.15 is the newest
# that ADetailer takes too; it needs protobuf 4.25, where A1111 itself names 3.20 and works with both
# (docs/extensions.md).
CONTROLNET_PINS: Final = read_pins(CONTROLNET_LOCK)
BUILD_PINS: Final = read_pins(BUILD_TOOLS)
LOCKED_PACKAGES: Final = tuple(pin.requirement for pin in LOCK_PINS.values())
CONTROLNET_PACKAGES: Final = tuple(pin.requirement for pin in CONTROLNET_PINS.values())
ALL_PINS: Final[dict[str, Pin]] = {pin.requirement: pin for pin in (*LOCK_PINS.values(), *CONTROLNET_PINS.values())}
# Names under which others ask for what is installed: an empty distribution of that name says that it is there.
ALSO_CALLED: Final = {
    "opencv-python-headless": "opencv-python",
    "opencv-contrib-python-headless": "opencv-contrib-python",
}
# What no extension's installer may move, and how far it may move the rest: the widest ranges in which the requirements
# of the extensions in docs/extensions.md resolve together. With numpy 2 or protobuf 7 the next start dies; opencv 4.12
# needs numpy 2.
CONSTRAINTS: Final = """\
setuptools==69.5.1
torch==2.8.0
torchvision==0.23.0
numpy==1.26.2
protobuf>=3.20,<5
Pillow==9.5.0
pydantic==1.10.17
fastapi==0.94.0
gradio==3.41.2
transformers==4.30.2
httpx==0.24.1
httpcore==0.15
opencv-python>=4.7,<4.12
opencv-contrib-python>=4.7,<4.12
opencv-contrib-python-headless>=4.7,<4.12
opencv-python-headless>=4.7,<4.12
timm<=0.9.5
mediapipe>=0.10.9,<=0.10.15
triton==3.4.0
"""
BUILD_CONSTRAINTS: Final = "setuptools<82\n"  # old setup.py files import pkg_resources
