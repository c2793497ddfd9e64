"""What the tests of sources share: a server, a folder, and a fetcher that remembers what it was told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.models.fetcher import Fetcher
from tests.conftest import new_folder
from tests.world.heard import Heard
from tests.world.web import Web


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    made = Web()
    monkeypatch.setattr("launcher.models.sources.civitai.api", lambda host, path: f"{made.url}/{host}/{path}")
    monkeypatch.setattr("launcher.models.probe.WAITS", (0.01, 0.01))
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
