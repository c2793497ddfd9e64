"""What the page is asked for: the values of the first cell's form, as they stand there."""

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from launcher.client.kernel import first_cells_values
from tests.world.kernel import cell_source
from tests.world.page import NOTEBOOK


def test_the_first_cells_values_are_those_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    book = json.loads(NOTEBOOK.read_text())
    first = next(cell for cell in book["cells"] if cell["id"] == "launch")
    first["source"] = cell_source("launch", drive_folder="art").splitlines(keepends=True)
    page: Any = ModuleType("google.colab._message")
    page.blocking_request = lambda what, timeout_sec: {"ipynb": book}
    monkeypatch.setitem(sys.modules, "google.colab._message", page)
    assert first_cells_values()["drive_folder"] == "art"
