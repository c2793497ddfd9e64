"""A lock of toy packages on an index of our own, and a kernel's Python that has some of them."""

import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.core.tools import Pin
from launcher.python import environment, lock
from launcher.python.lock import ALL_PINS, BUILD_PINS
from tests.world.index import Index, wheel, wheel_name

REQUIREMENTS = b"torch\n"  # requirements_versions.txt of the A1111 that the toy lock is for
LIBRARY = 1_200_000  # bytes: large enough to be linked
CUDNN, CUBLAS, OLD_CUDNN = "nvidia-cudnn-cu12", "nvidia-cublas-cu12", "9.10.2.21"
# What the inspection asks of torch. Without a card it says why, as the real one does.
TORCH = """
NO_CARD = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver"
class properties:
    name, total_memory = "Tesla T4", 15642329088
class cuda:
    is_available = staticmethod(lambda: {card})
    get_device_properties = staticmethod(lambda number: properties)
    synchronize = staticmethod(lambda: None)
    def init():
        raise RuntimeError(NO_CARD)
{more}"""
# One that computes rightly, where `{{harm}}` does not keep it from that.
COMPUTES = """
import os
float16 = None
def ones(*shape, **more):
    {harm}
    return T()
class T:
    __truediv__ = lambda self, by: self
    __matmul__ = lambda self, by: T(64)
    __init__ = lambda self, value=1: setattr(self, "value", value)
    __float__ = lambda self: float(self.value)
    __getitem__ = lambda self, place: self
    mean = lambda self: self
class nn:
    class functional:
        conv2d = staticmethod(lambda *a, **k: T())
        scaled_dot_product_attention = staticmethod(lambda *a: T())
"""


def toy_torch(*, card: bool = True, harm: str = "pass", why: str = "") -> dict[str, bytes]:
    """The files of a torch that sees a card or says `why` not, and whose computation meets this `harm`."""
    text = TORCH.format(card=card, more=COMPUTES.format(harm=harm))
    return {"torch.py": f"{text}{f'NO_CARD = {why!r}' if why else ''}\n".encode()}


def nvidia_files(name: str, version: str) -> dict[str, bytes]:
    part = name.split("-")[1]
    library = f"{name} {version} ".encode() * (LIBRARY // (len(name) + len(version) + 2) + 1)
    return {
        "nvidia/__init__.py": b"",
        f"nvidia/{part}/__init__.py": b"",
        f"nvidia/{part}/lib/lib{part}.so.9": library,
        f"nvidia/{part}/include/{part}.h": b"/* small */\n",
    }


class ToyLock:
    """Puts a small lock in the place of the real one."""

    def __init__(self, root: Path, index: Index, patch: pytest.MonkeyPatch) -> None:
        self.root, self.index, self.patch = root, index, patch
        self.folder = Folder(root / "drive" / "asd1111" / "stable-diffusion-webui", root / "machine")
        self.folder.machine.mkdir(parents=True)
        self.kernel = root / "kernel-site"
        self.kernel.mkdir()
        self.table: dict[str, Pin] = {}
        needs = (f"{CUDNN}==9.10.2.21", "triton==3.4.0", "plain")
        self.add("plain", "1.0")
        self.add("torch", "2.8.0", toy_torch(card=False), requires=needs)
        self.add(CUDNN, OLD_CUDNN, nvidia_files(CUDNN, OLD_CUDNN))
        self.add(CUBLAS, "12.8.4.1", nvidia_files(CUBLAS, "12.8.4.1"))
        for seed in ("pip", "setuptools", "wheel", "packaging"):
            index.add(seed, "26.0")
        index.add("triton", "3.4.0")
        index.add("ultralytics", "8.0", requires=("torch>=1.8",))
        patch.setenv("UV_DEFAULT_INDEX", index.url)
        patch.setenv("PIP_INDEX_URL", index.url)
        patch.setenv("UV_CACHE_DIR", str(root / "uv-cache"))
        patch.syspath_prepend(str(self.kernel))

    def add(
        self, name: str, version: str, files: dict[str, bytes] | None = None, requires: tuple[str, ...] = ()
    ) -> None:
        """One more package of the lock."""
        sha256 = self.index.add(name, version, files, requires=requires)
        size = len(self.index.files[wheel_name(name, version)])
        self.table = {**self.table, name: Pin(name, version, sha256, size)}
        everything = {pin.requirement: pin for pin in self.table.values()}
        for table, wanted in ((ALL_PINS, everything), (BUILD_PINS, dict[str, Pin]())):
            for requirement in table.keys() - wanted.keys():
                self.patch.delitem(table, requirement)
            for requirement, pin in wanted.items():
                self.patch.setitem(table, requirement, pin)
        # The rest of the lock is no table that could be filled with something else.
        self.patch.setattr(lock, "LOCKED_PACKAGES", tuple(everything))
        self.patch.setattr(lock, "LOCKED_REQUIREMENTS", hashlib.sha256(REQUIREMENTS).hexdigest())
        self.patch.setattr(environment, "CONSTRAINTS", "plain==1.0\n")

    @property
    def packages(self) -> list[str]:
        return [pin.requirement for pin in self.table.values()]

    def kernel_has(self, name: str, version: str) -> None:
        """Install a toy of NVIDIA's among the kernel's packages."""
        made = wheel(name, version, nvidia_files(name, version))
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            archive.extractall(self.kernel)

    def kernel_files(self) -> dict[str, tuple[bytes, int]]:
        """All the kernel's files, byte for byte."""
        files = [path for path in self.kernel.rglob("*") if path.is_file()]
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    def sent(self, part: str) -> int:
        """Bytes of all wheels whose name begins so that the index sent."""
        return sum(size for name, size in self.index.sent.items() if name.startswith(part))


@contextmanager
def toy_lock(root: Path, patch: pytest.MonkeyPatch) -> Iterator[ToyLock]:
    with Index() as index:
        patch.setenv("PATH", f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}")  # Colab has uv on it
        yield ToyLock(root, index, patch)
