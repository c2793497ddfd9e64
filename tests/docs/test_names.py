"""The documents name no code that is not there."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs import names


@pytest.mark.parametrize("page", names.PAGES, ids=lambda page: page.name)
def test_a_page_names_only_code_that_is_there(page: Path) -> None:
    wrong = [
        f"{page.relative_to(ROOT)} names `{name}`: {said}"
        for name in names.code_names(page.read_text())
        if (said := names.fault(name))
    ]
    assert not wrong, "\n".join(["", *wrong])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("launcher/access/tunnel.py", "there is no such path"),
        ("core/field.py", "there is no such path"),
        ("tests/colab/", "there is no such path"),
        ("tests/access/test_door.py::test_no_such_thing", "it has no test_no_such_thing"),
        ("python -m tests.floors --write", "there is no such module"),
        (".venv/bin/python -m tests.pages", "there is no such module"),
        (".venv/bin/python -m pytest tests/test_door.py", "there is no such path"),
        ("launcher.core.fieldz", "launcher.core has no fieldz"),
        ("core.fields.NO_SUCH", "launcher.core.fields has no NO_SUCH"),
        ("core.fields.Settings.gone", "launcher.core.fields has no Settings.gone"),
        ("make nothing-of-this", "the Makefile has no such target"),
        ("make notebook && make tset", "the Makefile has no such target"),
        ("make docs EVERYTHING=yes", "the Makefile does not use EVERYTHING"),
        ("WORKER=4", "the Makefile does not use WORKER"),
        ("TENSOR_KINDS", "has this word"),
        ("LinkTargets", "has this word"),
        ('Trouble("what happened.")', "has this word"),
        ("test_a_download_cut_in_half_goes_on_where_it_stopped", "has this word"),
    ],
)
def test_what_is_not_there_is_found(name: str, says: str) -> None:
    assert says in names.fault(name)


@pytest.mark.parametrize(
    "name",
    [
        "launcher/models/sources/", "core/fields.py", "docs/guide.md", "tests/access/test_tunnel.py",
        "tests/docs/test_names.py::test_what_is_not_there_is_found", "launcher.cells", "core.fields.FIELDS",
        "launcher.core.fields.Settings.from_form()", "core.fields.Settings.api", "make real UPSTREAMS=DIR",
        ".venv/bin/python -m tests.programs.mutate --seed 1", "make notebook && make test", "WORKERS=4",
        "KIND_FOLDERS", 'Problem("what happened.", "What to do.")',
        "colab.research.google.com", "modules/api/api.py", "models/Stable-diffusion/", "safe.py", "a lighthouse",
    ],
)  # fmt: skip
def test_what_is_there_and_what_is_not_ours_is_left_alone(name: str) -> None:
    assert names.fault(name) == ""


def test_names_are_found_in_sentences_over_two_lines_and_in_blocks_of_commands() -> None:
    sentence = "See `core.fields`, `make\ntest`.\n\n"
    commands = "```\nmake run   # a link\n.venv/bin/python -m pytest tests\ncd x\n```\n"
    page = f"{sentence}{commands}```python\n`no`\n```\n"
    assert names.code_names(page) == [
        "make run", ".venv/bin/python -m pytest tests", "core.fields", "make test",
    ]  # fmt: skip
