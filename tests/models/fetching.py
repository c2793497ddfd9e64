"""What the tests of sources share: stand-ins for the sites, a folder, and a fetcher that remembers what it was told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.models.fetch import Fetcher
from tests.conftest import new_folder
from tests.world import safetensors
from tests.world.heard import Heard
from tests.world.hub import Hub
from tests.world.internet import internet
from tests.world.web import Web

SITES = (
    *("civitai.com", "civitai.red", "civitai.green", "example.com", "github.com", "huggingface.co"),
    *("drive.google.com", "drive.usercontent.google.com", "docs.google.com", "raw.githubusercontent.com"),
)
HUB, STORE = "huggingface.co", "cdn-lfs.hf.co"


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds between two tries are a hundredth: how often who is asked, and for what, stays as it is."""
    monkeypatch.setattr("launcher.models.http.WAITS", (0.01, 0.02))


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """All sites at once; paths begin with the site's name."""
    hurry(monkeypatch)
    made = Web()
    port = made.server.server_port
    with internet(tmp_path / "certificates", monkeypatch, dict.fromkeys(SITES, port)):
        yield made
    made.close()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Hugging Face, with one model."""
    hurry(monkeypatch)
    made = Hub(tmp_path / "hub")
    made.add("own/model", "model.safetensors", safetensors(100_000))
    made.cdn = f"https://{STORE}"
    with internet(tmp_path / "certificates", monkeypatch, {HUB: made.port, STORE: made.cdn_port}):
        yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return new_folder(tmp_path)


def fetcher(folder: Folder, token: str = "") -> tuple[Fetcher, Heard, list[str]]:
    heard, asked = Heard(), list[str]()

    def ask(name: str, reason: str) -> str:
        asked.append(name)
        return token

    return Fetcher(folder, "Google Drive", ask, heard), heard, asked


def a_fetcher(root: Path) -> Fetcher:
    """One for what only inspects and names files: nothing is below its folder."""
    return fetcher(Folder(root / "drive" / "asd1111" / "stable-diffusion-webui", root / "machine"))[0]
