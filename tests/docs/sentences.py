"""The sentences of the launcher's problems, read from its source: what happened, and what to do."""

import ast
import importlib
import re
from typing import Any

from tests.conftest import ROOT

# room -> what a person was doing
ROOMS = {
    "core": "The fields, the folder and the disk",
    "drive": "Google Drive",
    "colab": "Colab",
    "source": "AUTOMATIC1111's source",
    "python": "The web UI's packages",
    "models": "Models",
    "extensions": "Extensions",
    "access": "The link and the login",
    "webui": "The web UI",
    "launch": "Starting and stopping",
    "service": "Adding models and extensions",
    "notebook": "The notebook",
}
SAID_BY = ("Problem", "Offered", "RefusalRow", "KnownFault", "KnownProblem")


def placeholder(node: ast.expr) -> str:
    """What is filled in, by its last name: `{remote.host}` and `{len(hosts)}` are HOST and HOSTS."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("strip", "partition"):
        return placeholder(node.func.value)
    if isinstance(node, ast.Call) and node.args:
        return placeholder(node.args[0])
    if isinstance(node, ast.Subscript):
        return placeholder(node.value)
    if isinstance(node, ast.Call):
        return placeholder(node.func)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "…"
    return name.upper().replace("_", " ")


def added(node: ast.expr) -> bool:
    """True for what is said only sometimes: `why`, a call of `goes_on`, or a text or nothing."""
    if isinstance(node, ast.Name) and node.id == "why":
        return True
    sometimes = isinstance(node, ast.IfExp) and isinstance(node.orelse, ast.Constant) and not node.orelse.value
    return sometimes or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "goes_on")


def text_of(node: ast.expr, names: dict[str, Any]) -> str:
    """The text of an expression as far as the source tells it, or ""."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and isinstance(names.get(node.id), str):
        return str(names[node.id])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left, names) + text_of(node.right, names)
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.FormattedValue) else part for part in node.values)
        return "".join(text_of(part, names) or ("" if added(part) else placeholder(part)) for part in parts)
    return ""


def pairs(tree: ast.AST, names: dict[str, Any]) -> list[tuple[str, str]]:
    """What happened and what to do: of a `Problem`, or of a row of a table whose last two columns are sentences."""
    found = []
    for node in ast.walk(tree):
        two: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAID_BY:
            named = {keyword.arg: keyword.value for keyword in node.keywords}
            two = [named[name] for name in ("what", "do") if name in named] or [
                one for one in node.args if text_of(one, names)[-1:] in (".", "?")
            ][:2]
        elif isinstance(node, ast.Tuple) and len(node.elts) in (2, 3):
            two = node.elts[-2:]
        said = [text_of(one, names) for one in two]
        if len(said) == 2 and all(re.fullmatch(r"[^a-z\s(].* .*[.?]", one, re.DOTALL) for one in said):
            found.append((said[0], said[1]))
    return found


def problems() -> dict[str, list[tuple[str, str]]]:
    """All of them, by what a person was doing, each once and in the order of the source."""
    found: dict[str, list[tuple[str, str]]] = {}
    for room, title in ROOMS.items():
        said: dict[tuple[str, str], None] = {}
        for path in sorted((ROOT / "launcher" / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            source = path.read_text()
            names = vars(importlib.import_module(module)) if any(word in source for word in SAID_BY) else {}
            said |= dict.fromkeys(pairs(ast.parse(source), names))
        remedies = {do for _, do in said}
        found[title] = [(what, do) for what, do in said if what not in remedies]
    return found
