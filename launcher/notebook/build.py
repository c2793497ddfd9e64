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

from launcher import BRANCH, COLAB_LINK, NOTEBOOK, OWNER, REPOSITORY, __version__
from launcher.core.fields import AS_LAST_TIME, FIELDS, Field
from launcher.extensions.manage import EXTENSION_ACTIONS
from launcher.models.catalog import (
    ALL_CONTROLS,
    CHECKPOINT_NAMES,
    CONTROL_FAMILIES,
    ESSENTIALS,
    MODELS,
    OLD_CONTROL_MODELS,
)
from launcher.models.kinds import KIND_FOLDERS

# ---- the cells

BADGE_IMAGE: Final = "https://colab.research.google.com/assets/colab-badge.svg"
BADGE: Final = f'<a href="{COLAB_LINK}" target="_parent"><img src="{BADGE_IMAGE}" alt="Open In Colab"/></a>'

TITLE: Final = f"""\
# One-click Stable Diffusion

Press ▶ on the cell below, allow Google Drive, and a few minutes later press **Open the web UI**: \
your own AUTOMATIC1111, with a password.
Models, images and settings stay on your Drive; the next start downloads none of them again.
Help and the source: [github.com/{OWNER}/{REPOSITORY}](https://github.com/{OWNER}/{REPOSITORY}) · Version {__version__}

> **What Google says:** on runtimes that are free of charge, Colab does not allow "bypassing the notebook UI to \
interact primarily via a web UI", and may end such a runtime at any time without warning. \
With a positive balance of compute units this restriction does not apply. \
[Colab's FAQ](https://research.google.com/colaboratory/faq.html#limitations-and-restrictions)"""


def choices(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def line_of(field: Field) -> str:
    """A field's lines in the form, as Colab reads them."""
    names = CHECKPOINT_NAMES if field.name == "checkpoint" else field.choices
    if names:
        kind = choices((str(field.untouched), *names)) + (" {allow-input: true}" if field.free else "")
    else:
        kind = f'{{type:"string", placeholder:"{AS_LAST_TIME}"}}'
    return f"{field.name} = {json.dumps(field.untouched)} #@param {kind}\n#@markdown {field.about}\n"


LAUNCH_FORM: Final = f"""\
#@title ▶ Start {{ display-mode: "form" }}
# Below is the launcher without its comments; with them it is in https://github.com/{OWNER}/{REPOSITORY}/tree/{BRANCH}/launcher
{"".join(line_of(field) for field in FIELDS if field.in_form)}"""

ADD_MODEL: Final = f"""\
#@title ▶ Add a model {{ display-mode: "form" }}
what = "" #@param {choices(("", *(model.name for model in MODELS)))} {{allow-input: true}}
#@markdown A model from the list, or links separated by spaces: Hugging Face, Civitai, Google Drive, GitHub, \
or any https link to a model file.
kind = "detect" #@param {choices(("detect", *KIND_FOLDERS))}
#@markdown What kind of file it is. **detect** finds out.
file_name = "" #@param {{type:"string"}}
#@markdown A new name for the file. Leave it empty to keep its own name.
"""

OLD_FILES: Final = (file for files in OLD_CONTROL_MODELS.values() for file in files)
CONTROLS: Final = (ESSENTIALS, ALL_CONTROLS, "canny, depth, openpose", *OLD_FILES)
ADD_CONTROLNET: Final = f"""\
#@title ▶ Add ControlNet {{ display-mode: "form" }}
for_models = "{CONTROL_FAMILIES[0]}" #@param {choices((*CONTROL_FAMILIES, ", ".join(CONTROL_FAMILIES)))}
#@markdown The kind of checkpoint you use: each has its own ControlNet models.
controls = "{ESSENTIALS}" #@param {choices(CONTROLS)} {{allow-input: true}}
#@markdown Which controls to install. **{ESSENTIALS}** is canny, depth and openpose (2.2 GB for Stable Diffusion 1.5, \
2.5 GB for XL). You can also write names, separated by commas.
"""

ADD_EXTENSION: Final = f"""\
#@title ▶ Add or update an extension {{ display-mode: "form" }}
action = "add" #@param {choices(EXTENSION_ACTIONS)}
#@markdown **add** also updates one that is there; **update all** and **list** need no address.
what = "" #@param {{type:"string", placeholder:"https://github.com/owner/name"}}
#@markdown The address of the extension's page, or for the last three actions its name. \
An extension is a program: add only those you trust.
"""

STOP: Final = """\
#@title ▶ Stop { display-mode: "form" }
give_back_the_machine = False #@param {type:"boolean"}
#@markdown Ends the web UI and its link once your last image is saved. \
Tick the box to give the machine and its GPU back to Google, too.
"""

# Each code cell: its id, what it asks for, its form.
CODE_CELLS: Final = (
    ("launch", "launch", LAUNCH_FORM),
    ("add-model", "add_model", ADD_MODEL),
    ("add-controlnet", "add_controlnet", ADD_CONTROLNET),
    ("add-extension", "change_extensions", ADD_EXTENSION),
    ("stop", "stop", STOP),
)


# ---- the file

PACKAGE_DIR: Final = Path(__file__).resolve().parent.parent
CARRIED: Final = (".css", ".js", ".py", ".txt")
NOT_IN_THE_NOTEBOOK: Final = "notebook"  # the package that builds it


def package_files() -> dict[str, str]:
    """Path -> text, without comments, as the notebook carries it. Raises `SystemExit` for what a cell cannot hold."""
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
    """A module's text without its comments, and with empty lines for its docstrings. All else stays what it was, and
    where: a traceback names the line of the repository.
    """
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            number, column = token.start
            lines[number - 1] = f"{lines[number - 1][:column].rstrip()}\n"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.body:
            docstring, *others = node.body
            end = docstring.end_lineno or docstring.lineno
            if ast.get_docstring(node) and others and others[0].lineno > end:
                lines[docstring.lineno - 1 : end] = ["\n"] * (end - docstring.lineno + 1)
    return "".join(lines)


def code_text(identity: str, function: str, form: str, files: dict[str, str]) -> str:
    """A code cell: its form, the function that unpacks, the call with its fields, and in the first the files."""
    names = re.findall(r"(?m)^(\w+) = .*#@param", form)
    fields = ", ".join(f'"{name}": {name}' for name in names)
    sources = "".join(f"'{name}': r'''{text}''',\n" for name, text in files.items())
    carried = f", {{\n{sources}}}" if identity == "launch" else ""
    # It names the package's folder, as `unpack.oneclick` computes it.
    digest = hashlib.sha256("".join(f"{name}\0{files[name]}\0" for name in sorted(files)).encode()).hexdigest()[:16]
    call = f'await oneclick("{function}", "{digest}", {{{fields}}}{carried})'
    unpacking = (PACKAGE_DIR / NOT_IN_THE_NOTEBOOK / "unpack.py").read_text().partition("# fmt: off\n")[2]
    return f"{form.rstrip()}\n\n{unpacking}\n\n{call}\n"


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
