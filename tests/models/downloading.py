"""What the tests of downloads share: a hub with one model, and a step that remembers the progress."""

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.models.download import download
from launcher.models.fetch import receive
from launcher.models.remote import Remote
from tests.conftest import ROOT
from tests.models.fetching import a_fetcher
from tests.world import safetensors
from tests.world.heard import Heard
from tests.world.hub import Hub

SIZE = 40_000_000
OWN = Path(tempfile.mkdtemp())  # the private folder of all downloads in a process of tests
atexit.register(shutil.rmtree, OWN, ignore_errors=True)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path / "hub")
    made.add("own/model", "model.safetensors", safetensors(SIZE))
    yield made
    made.close()


def remote(
    hub: Hub, token: str = "", name: str = "model.safetensors", size: int | None = None, sha256: str | None = None
) -> Remote:
    path = hub.root / "own/model" / name
    return Remote(
        f"{hub.url}/own/model/resolve/main/{name}",
        name,
        path.stat().st_size if size is None else size,
        hub.sha256(path) if sha256 is None else sha256,
        "https://huggingface.co/own/model",
        token,
    )


class Watcher(Heard):
    """Remembers the progress, and presses ■ once so many bytes are there."""

    def __init__(self, stop_beyond: int | None = None) -> None:
        super().__init__()
        object.__setattr__(self, "seen", [])
        object.__setattr__(self, "stop_beyond", stop_beyond)

    def progress(self, done: int, total: int) -> None:
        self.seen.append(done)  # type: ignore[attr-defined]
        if self.stop_beyond is not None and done > self.stop_beyond:  # type: ignore[attr-defined]
            self.stop.set()


def fetch(what: Remote, target: Path, kind: str = "") -> list[int]:
    watcher = Watcher()
    received = functools.partial(receive, a_fetcher(target.parent), kind=kind, whole=not what.sha256)
    download(what, target, where="Google Drive", own=OWN, step=watcher, receive=received)
    return watcher.seen  # type: ignore[attr-defined, no-any-return]


def in_another_process(what: Remote, target: Path) -> subprocess.Popen[bytes]:
    """The same download in a process of its own, which can be killed."""
    script = (
        "from pathlib import Path; from launcher.models.download import Remote, download; from tests.world.heard "
        "import Heard\n"
        f"download(Remote({what.url!r}, {what.name!r}, {what.size}, {what.sha256!r}), Path({str(target)!r}), "
        f"where='Drive', own=Path({str(OWN)!r}), step=Heard())"
    )
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)


def more_was_sent(hub: Hub, count: int) -> bool:
    return hub.sent() >= count
