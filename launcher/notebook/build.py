"""Builds `OneClickLauncher.ipynb` from `launcher/`: many files for people who edit, one for people who press ▶."""

import ast
import hashlib
import io
import json
import re
import sys
import tokenize
from pathlib import Path
from typing import Any, Final

from launcher import NOTEBOOK
from launcher.notebook.cells import BADGE, CODE_CELLS, TITLE

PACKAGE_DIR: Final = Path(__file__).resolve().parent.parent
CARRIED: Final = (".css", ".js", ".py")
NOT_IN_THE_NOTEBOOK: Final = "notebook"  # the package that builds it


def package_files() -> dict[str, str]:
    """The package as the notebook carries it, without comments: path -> text.

    Raises `SystemExit` for a text that a cell cannot hold.
    """
    files = {}
    for path in sorted(path for path in PACKAGE_DIR.rglob("*") if path.suffix in CARRIED):
        name = path.relative_to(PACKAGE_DIR.parent).as_posix()
        if name.startswith(f"launcher/{NOT_IN_THE_NOTEBOOK}/"):
            continue
        text = path.read_text()
        if "'''" in text or re.search(r"(?m)^\s*#\s*@", text):
            raise SystemExit(f"{name} has three single quotes in a row, or a line that Colab takes for a form field")
        if text and not text.endswith("\n"):
            raise SystemExit(f"{name} does not end with a new line")
        files[name] = without_comments(text) if path.suffix == ".py" else text
    return files


def without_comments(text: str) -> str:
    """A module's text with empty lines for those that are nothing but a comment or a docstring of a function or class.

    Every other line stays what it was, and where: a traceback names the line of the repository.
    """
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and lines[token.start[0] - 1].lstrip().startswith("#"):
            lines[token.start[0] - 1] = "\n"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node):
            docstring, *others = node.body
            end = docstring.end_lineno or docstring.lineno
            if others and others[0].lineno > end:
                lines[docstring.lineno - 1 : end] = ["\n"] * (end - docstring.lineno + 1)
    return "".join(lines)


def package_digest(files: dict[str, str]) -> str:
    """The hash that names the package's folder, as `unpack.oneclick` computes it."""
    return hashlib.sha256("".join(f"{name}\0{files[name]}\0" for name in sorted(files)).encode()).hexdigest()[:16]


def unpacking() -> str:
    text = (PACKAGE_DIR / NOT_IN_THE_NOTEBOOK / "unpack.py").read_text()
    return text[text.index("async def oneclick") :].strip() + "\n"


def code_text(identity: str, function: str, form: str, files: dict[str, str]) -> str:
    """A code cell: its form, the function that unpacks, the call with its fields, and in the first the files."""
    names = re.findall(r"(?m)^(\w+) = .*#@param", form)
    fields = ", ".join(f'"{name}": {name}' for name in names)
    sources = "".join(f"'{name}': r'''{text}''',\n" for name, text in files.items())
    carried = f", {{\n{sources}}}" if identity == "launch" else ""
    call = f'await oneclick("{function}", "{package_digest(files)}", {{{fields}}}{carried})'
    return f"{form.rstrip()}\n\n{unpacking()}\n\n{call}\n"


def cell(kind: str, identity: str, text: str, **metadata: Any) -> dict[str, Any]:
    """One cell, with an id that does not change from build to build."""
    built = {"cell_type": kind, "id": identity, "metadata": metadata, "source": text.rstrip().splitlines(keepends=True)}
    return built | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def notebook() -> dict[str, Any]:
    files = package_files()
    folded = {"cellView": "form", "jupyter": {"source_hidden": True}}
    return {
        "cells": [
            cell("markdown", "view-in-github", BADGE, id="view-in-github", colab_type="text"),
            cell("markdown", "title", TITLE, id="title"),
            *(cell("code", i, code_text(i, function, form, files), id=i, **folded) for i, function, form in CODE_CELLS),
        ],
        "metadata": {
            "accelerator": "GPU",
            "colab": {"gpuType": "T4", "include_colab_link": True, "private_outputs": True, "provenance": []},
            "kernelspec": {"display_name": "Python 3", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def notebook_text() -> str:
    """The file's text: the same for the same sources, byte by byte."""
    return json.dumps(notebook(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE_DIR.parent / NOTEBOOK
    target.write_text(notebook_text())
    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")
