"""Builds `OneClickLauncher.ipynb` from `launcher/`: many files for people who edit, one for people who press ▶."""

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any, Final

from launcher.core.process import RUN_LINE
from launcher.notebook.cells import (
    ADD_CONTROLNET,
    ADD_EXTENSION,
    ADD_MODEL,
    BADGE,
    CHECK_PACKAGES,
    LAUNCH_CALL,
    LAUNCH_FORM,
    NOTEBOOK,
    STOP,
    TITLE,
)

SOURCES: Final = Path(__file__).resolve().parent.parent

# In the order in which they may be read: each needs only those before it.
ROOMS: Final = (
    "problem", "settings", "board", "folder", "process", "explain", "runtime", "history", "source", "lock", "python_env", "known", "catalog", "controls", "download",
    "links", "models", "webui", "login", "door", "tunnel", "entrance", "mirror", "care", "extensions", "panel", "launch", "calls",
)  # fmt: skip

OUR_IMPORT: Final = re.compile(r"^from launcher\.\w+ import (\([^)]*\)|[^\n]*)\n", re.MULTILINE)


def room_text(room: str) -> str:
    """A module as it stands in the notebook: under a ruler, without the imports of other rooms."""
    text = OUR_IMPORT.sub("", (SOURCES / f"{room}.py").read_text())
    return f"# {'=' * 30} {room} {'=' * (48 - len(room))}\n{text.strip()}\n"


def program_text() -> str:
    """The launch cell: the form, the rooms, and what ▶ runs."""
    check_names()
    rooms = "\n\n".join(room_text(room) for room in ROOMS)
    return f"{LAUNCH_FORM}\n{CHECK_PACKAGES}\n\n{rooms}\n\n{RUN_LINE}\n{LAUNCH_CALL}"


def check_names() -> None:
    """Raise if two rooms give the same name to different things: in one cell the later would replace the earlier."""
    owner: dict[str, str] = {}
    for room in ROOMS:
        for node in ast.parse((SOURCES / f"{room}.py").read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [getattr(node, "name", None), *(getattr(target, "id", None) for target in targets)]
            for name in filter(None, names):
                if name in owner and owner[name] != room:
                    raise SystemExit(f"{name} is defined in both {owner[name]}.py and {room}.py")
                owner[name] = room


def cell(kind: str, identity: str, text: str, **metadata: Any) -> dict[str, Any]:
    """One cell, with an id that does not change from build to build."""
    built: dict[str, Any] = {
        "cell_type": kind,
        "id": identity,
        "metadata": metadata,
        "source": text.rstrip().splitlines(keepends=True),
    }
    if kind == "code":
        built |= {"execution_count": None, "outputs": []}
    return built


def notebook() -> dict[str, Any]:
    """The whole notebook."""
    return {
        "cells": [
            cell("markdown", "view-in-github", BADGE, id="view-in-github", colab_type="text"),
            cell("markdown", "title", TITLE, id="title"),
            cell("code", "launch", program_text(), id="launch", cellView="form", jupyter={"source_hidden": True}),
            cell("code", "add-model", ADD_MODEL, id="add-model", cellView="form"),
            cell("code", "add-controlnet", ADD_CONTROLNET, id="add-controlnet", cellView="form"),
            cell("code", "add-extension", ADD_EXTENSION, id="add-extension", cellView="form"),
            cell("code", "stop", STOP, id="stop", cellView="form"),
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
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCES.parent / NOTEBOOK
    target.write_text(notebook_text())
    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")
