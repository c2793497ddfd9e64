"""Pages made from the sources equal them, and links between files lead somewhere."""

import json
import re
from contextlib import suppress

import pytest

from launcher import __version__
from launcher.access.pages import status_page
from launcher.core.problem import Problem
from launcher.core.status import Snapshot
from launcher.models.pasted import one_link
from launcher.models.sources import SOURCES
from launcher.ui.render import foot_html
from tests.conftest import ROOT
from tests.docs.pages import PAGES
from tests.models.link_rows import ROWS

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / ".github").glob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_a_made_page_equals_its_source(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run `make docs`"


def test_every_place_models_come_from_is_in_the_list_and_has_links_on_the_page() -> None:
    files = {path.stem for path in (ROOT / "launcher" / "models" / "sources").glob("*.py")} - {"__init__"}
    names = [source.__name__.rpartition(".")[2] for source in SOURCES]
    assert set(names) == files
    assert names[-1] == "direct", "it takes every link: no source behind it is asked"
    first = set()
    for row in ROWS:
        with suppress(Problem):
            first.add(next(source for source in SOURCES if source.detect(one_link(row.link)) is not None))
    assert first == set(SOURCES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_files_lead_somewhere(document: object) -> None:
    leads = r"(?:\]\(|src(?:set)?=\")(?!https?://|#)([^)#\"]+)"
    for target in re.findall(leads, document.read_text()):  # type: ignore[attr-defined]
        assert (document.parent / target).exists(), target  # type: ignore[attr-defined]


def test_every_picture_is_on_a_page() -> None:
    pages = "".join(page.read_text() for page in DOCUMENTS)
    shown = [path.name for path in (ROOT / "docs").rglob("*.*") if path.suffix in (".png", ".webp")]
    assert [name for name in shown if f"pictures/{name}" not in pages] == []


def test_every_command_of_the_readme_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"(?m)(?:^|`)make (\w+)", (ROOT / "README.md").read_text()))
    assert {"run", "test"} <= commands
    for command in commands:
        assert re.search(rf"(?m)^{command}:", makefile), command


def test_the_version_is_the_changelogs_and_is_shown_where_people_look() -> None:
    changelog = (ROOT / "docs" / "CHANGELOG.md").read_text()
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert f"To become {__version__}." in changelog or f"## [{__version__}] - " in changelog
    notebook = json.loads((ROOT / "OneClickLauncher.ipynb").read_text())
    title = next("".join(cell["source"]) for cell in notebook["cells"] if cell["id"] == "title")
    foot = foot_html(Snapshot("Starting"), False)
    for shown in (title, foot, status_page(None)):
        assert f"Version {__version__}" in shown
