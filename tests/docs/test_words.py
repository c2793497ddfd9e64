"""The words people read: one name a thing (docs/dev/words.md), and figures that the code agrees with."""

import ast
import json
import re
import subprocess

import pytest

from launcher.access.auth import TICKET_LIFE
from launcher.core.fields import FIELDS
from launcher.core.tools import read_pins
from launcher.models.catalog import CHECKPOINT_NAMES, MODELS
from launcher.models.ranges import CONNECTIONS
from launcher.python.link import KIND
from launcher.python.lock import LOCK
from tests.conftest import ROOT

WORDS = ROOT / "docs" / "dev" / "words.md"
GB = 1e9


def dropped_words() -> list[str]:
    """What docs/dev/words.md says that we do not say: the quoted words of a row's last column, or of its first."""
    rows = [line.split("|")[1:-1] for line in WORDS.read_text().splitlines() if line.startswith("|")]
    return [word for row in rows for word in re.findall(r'"([^"]+)"', row[-1] if len(row) == 3 else row[0])]


def sentences(source: str) -> list[str]:
    """The texts of a module that are no docstrings, each f-string as one, with … for what is filled in."""
    tree, found = ast.parse(source), []
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            found.append(node.value)
    return [text for text in found if " " in text.strip()]


def read_by_people() -> dict[str, str]:
    """Each file that people read, or the texts in it."""
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.yml")]
    found = {str(path.relative_to(ROOT)): path.read_text() for path in documents if path != WORDS}
    del found["docs/CHANGELOG.md"]  # what was once said stays as it was
    for path in (ROOT / "launcher").rglob("*.py"):
        found[str(path.relative_to(ROOT))] = "\n".join(sentences(path.read_text()))
    return found


def test_no_dropped_word_is_said() -> None:
    dropped = dropped_words()
    assert len(dropped) > 40
    said = re.compile(
        r"(?<![\w-])(" + "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in dropped) + r")(?!\w)",
        re.IGNORECASE,
    )
    found = {name: said.findall(text) for name, text in read_by_people().items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_the_check_finds_a_dropped_word_in_a_sentence_and_not_in_a_docstring() -> None:
    source = (
        'def f(x):\n    """if it stays so"""\n    return f"{x} ends, and if it "\\\n        "stays so, report it"\n'
    )
    assert sentences(source) == ["… ends, and if it stays so, report it"]
    assert "if it stays so" in dropped_words()


def test_there_is_no_guillemet_anywhere() -> None:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    marks = re.compile("[\xab\xbb\u2039\u203a]")
    for name in filter(None, files.split("\0")):
        path = ROOT / name
        if path.suffix not in (".png", ".webp", ".gz") and path.is_file():
            assert not marks.search(path.read_text(errors="replace")), name


def test_every_problem_ends_as_a_sentence() -> None:
    """What is said with a full stop at its end, and so is what to do."""
    for path in (ROOT / "launcher").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Problem":
                for said in (argument for argument in call.args[:2] if isinstance(argument, ast.Constant)):
                    assert str(said.value)[-1] in ".?!", f"{path}:{said.lineno}: {said.value!r}"


def figures(pattern: str, document: str) -> list[float]:
    """The numbers that a document states where `pattern` stands; a failure where it does not say so any more."""
    text = re.sub(r"\s+", " ", (ROOT / document).read_text())
    found = re.search(pattern, text)
    assert found, f"{document} no longer says {pattern!r}"
    return [float(number) for number in found.groups()]


@pytest.mark.parametrize("document", ["README.md", "docs/guide.md"])
def test_the_sizes_in_the_documents_are_those_of_the_lock_and_the_catalogue(document: str) -> None:
    pins = read_pins(LOCK)
    borrowed = sum(pin.size for name, pin in pins.items() if name.startswith(KIND))
    fetched = sum(pin.size for pin in pins.values()) - borrowed
    default = next(model for model in MODELS if model.name == CHECKPOINT_NAMES[0])
    checkpoint = default.sources[0].size
    stated = figures(r"downloads ([\d.]+) GB of packages and a model of ([\d.]+) GB", document)
    assert stated == [round(fetched / GB, 1), round(checkpoint / GB, 1)]


def test_the_sizes_of_models_lie_between_those_of_the_catalogue() -> None:
    sizes = [model.sources[0].size / GB for model in MODELS if model.name in CHECKPOINT_NAMES]
    assert figures(r"models \(each ([\d.]+) to ([\d.]+) GB\)", "docs/guide.md") == [
        round(min(sizes)),
        round(max(sizes)),
    ]


def test_how_it_works_states_the_figures_of_the_code() -> None:
    page = "docs/dev/how-it-works.md"
    assert figures(r"python: 3\.11 and (\d+) locked packages", page) == [len(read_pins(LOCK))]
    assert figures(r"ticket that opens once and for (\d+) minutes", page) == [TICKET_LIFE / 60]
    assert figures(r"(\d+) connections write into one unfinished file", page) == [CONNECTIONS]


def test_the_guide_names_every_field_and_cell() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text()
    for field in FIELDS:
        assert f"**{field.name}**" in guide, field.name
    notebook = json.loads((ROOT / "OneClickLauncher.ipynb").read_text())
    titles = [re.match(r"#@title ▶ (.+?) \{", "".join(cell["source"])) for cell in notebook["cells"]]
    for title in filter(None, titles):
        assert f"**{title[1]}**" in guide, title[1]


def test_pictures_have_texts_that_say_what_is_seen() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        page = document.read_text()
        tags = re.findall(r'<img alt="([^"]*)" src="([^"]+)"', page)
        assert len(tags) == page.count("<img"), document.name
        for text, target in [*re.findall(r"!\[([^\]]*)\]\((?!https?:)([^)]+)\)", page), *tags]:
            assert len(text.split()) >= 3, f"{document.name}: {target}"
