"""Pages made from the sources equal them, and links between files lead somewhere."""

import re

import pytest

from tests.conftest import ROOT
from tests.pages import LINKS, PAGES, what_becomes_of

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_a_made_page_equals_its_source(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run `.venv/bin/python -m tests.pages`"


def test_a_dozen_kinds_of_link_are_understood() -> None:
    understood = [link for link in LINKS if not what_becomes_of(link).startswith("«")]
    assert len(understood) >= 12


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_files_lead_somewhere(document: object) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):  # type: ignore[attr-defined]
        assert (document.parent / target).exists(), target  # type: ignore[attr-defined]


def test_every_command_of_the_readme_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"(?m)(?:^|`)make (\w+)", (ROOT / "README.md").read_text()))
    assert {"run", "test"} <= commands
    for command in commands:
        assert re.search(rf"(?m)^{command}:", makefile), command
