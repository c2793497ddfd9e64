"""The names of code in the documents: which backticked texts count as one, and whether the repository has it.

What counts, in this order; any other text in backticks is a person's file, an address, or a word:

- a command: `make TARGET`, `make TARGET NAME=value` and `python -m MODULE`, also in a block of commands; and
  `NAME=value` in capitals: what the Makefile can be told;
- a path that begins with a folder of this repository, or has a `/` and ends in `.py`, from the root or from
  `launcher/`; behind `::`, a function in it. Paths below `modules/` are AUTOMATIC1111's;
- a dotted name that begins with `launcher`, `tests`, or a package of the launcher, and is no file's or host's name;
- a call, or a name with an underscore or with a capital behind its first letter: a word of the sources.
"""

import ast
import importlib
import re
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path

from tests.conftest import ROOT

PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name != "CHANGELOG.md"),  # what was once stays said
    *sorted((ROOT / ".github").glob("*.md")),
]
FENCE = re.compile(r"(?ms)^[ \t]*```(\w*)\n(.*?)^[ \t]*```[ \t]*$")
FOLDERS = ("launcher/", "tests/", "docs/", ".github/", ".ci/")
PACKAGES = {path.name for path in (ROOT / "launcher").iterdir() if path.is_dir() and path.name != "__pycache__"}
ELSEWHERE = "modules/"  # A1111's own sources
NO_NAMES = ("com", "ipynb", "json", "py", "sock", "txt")  # how hosts and files end
NOT_WORDS = ROOT / "tests" / "docs" / "test_names.py"  # it names what is not there


def code_names(page: str) -> list[str]:
    """The texts of a page that may name code: all in backticks, and the commands in blocks that are of no language."""
    found = [
        line.partition(" #")[0].strip()
        for language, block in FENCE.findall(page)
        if not language
        for line in block.splitlines()
        if re.match(r"\s*(make|python3?|\.venv\S*/python) ", line)
    ]
    paragraphs = re.split(r"\n[ \t]*\n", FENCE.sub("", page))
    return found + [" ".join(text.split()) for part in paragraphs for text in re.findall(r"`([^`]+)`", part)]


def fault(name: str) -> str:
    """What is wrong with a name of code; "" if the repository has it, or if it names no code."""
    commands = [words for part in name.split("&&") if is_command(words := part.split())]
    if commands:
        return next((said for words in commands if (said := fault_of_command(words))), "")
    if re.fullmatch(r"[A-Z_]+=\S+", name):
        return fault_of_variable(name)
    path, _, inside = name.partition("::")
    if is_path(path):
        return fault_of_path(path, inside)
    if is_dotted(name):
        return fault_of_dotted(name.removesuffix("()"))
    word = called(name) or (name if re.fullmatch(r"(?=.*_|.+[A-Z])[A-Za-z]\w+", name) else "")
    if word and word not in words_of_the_sources():
        return "no source in launcher/ or tests/, and not the Makefile, has this word"
    return ""


def is_command(words: list[str]) -> bool:
    return words[:1] == ["make"] or (len(words) > 1 and re.search(r"(^|/)python3?$", words[0]) is not None)


def fault_of_command(words: list[str]) -> str:
    if words[0] == "make":
        return next((said for word in words[1:] if (said := fault_of_target(word))), "")
    for before, word in pairwise(words):
        if before == "-m" and word.partition(".")[0] in ("launcher", "tests") and (said := fault_of_dotted(word)):
            return said
        path, _, inside = word.partition("::")
        if is_path(path) and (said := fault_of_path(path, inside)):
            return said
    return ""


def fault_of_target(word: str) -> str:
    if "=" in word:
        return fault_of_variable(word)
    return "" if word in targets() else "the Makefile has no such target"


def fault_of_variable(word: str) -> str:
    variable = word.partition("=")[0]
    return "" if f"$({variable})" in (ROOT / "Makefile").read_text() else f"the Makefile does not use {variable}"


def targets() -> set[str]:
    """What `make` can be asked for."""
    return set(re.findall(r"(?m)^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text()))


def is_dotted(name: str) -> bool:
    """`core.fields.FIELDS`, and not `colab.research.google.com`."""
    return (
        re.fullmatch(r"\w+(\.\w+)+(\(\))?", name) is not None
        and name.partition(".")[0] in {"launcher", "tests", *PACKAGES}
        and name.rpartition(".")[2] not in NO_NAMES
    )


def called(name: str) -> str:
    """The function that is called, if it is a call."""
    try:
        node = ast.parse(name, mode="eval").body
    except SyntaxError:
        return ""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def is_path(name: str) -> bool:
    if name.startswith(ELSEWHERE) or not re.fullmatch(r"[\w./-]+", name):
        return False
    return name.startswith(FOLDERS) or ("/" in name and name.endswith(".py"))


def fault_of_path(name: str, inside: str) -> str:
    path = next((path for path in (ROOT / name, ROOT / "launcher" / name) if path.exists()), None)
    if path is None:
        return "there is no such path"
    if inside and not any(getattr(node, "name", "") == inside for node in ast.walk(ast.parse(path.read_text()))):
        return f"it has no {inside}"
    return ""


def fault_of_dotted(name: str) -> str:
    """A module, or what is found in one by its name: `launcher.cells`, `core.fields.FIELDS`."""
    parts = name.split(".")
    if parts[0] in PACKAGES:
        parts.insert(0, "launcher")
    for length in range(len(parts), 1, -1):
        if (ROOT.joinpath(*parts[:length])).is_dir() or ROOT.joinpath(*parts[:length]).with_suffix(".py").is_file():
            break
    else:
        return "there is no such module"
    if length == len(parts):
        return ""
    module = ".".join(parts[:length])
    found: object = importlib.import_module(module)
    for part in parts[length:]:
        if part in getattr(found, "__annotations__", {}):
            return ""
        if not hasattr(found, part):
            return f"{module} has no {'.'.join(parts[length:])}"
        found = getattr(found, part)
    return ""


@cache
def files() -> tuple[Path, ...]:
    """The files of the repository, also those that are not yet committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


@cache
def words_of_the_sources() -> frozenset[str]:
    """Every word of launcher/, of tests/ and of the Makefile."""
    sources = [path for path in files() if path.suffix == ".py" and path != NOT_WORDS]
    return frozenset(re.findall(r"\w+", "\n".join(path.read_text() for path in (*sources, ROOT / "Makefile"))))
