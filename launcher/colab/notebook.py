"""The open notebook's own text, which only Colab's page knows."""

import ast
import importlib
from typing import Any, Final

from launcher.core.fields import DEFAULTS

PAGE_PATIENCE: Final = 5  # seconds


def first_cells_values() -> dict[str, Any]:
    """The values of the first cell's form as they stand in the page; {} where nobody says."""
    try:  # google.colab has no public way to it
        message: Any = importlib.import_module("google.colab._message")
        cells = message.blocking_request("get_ipynb", timeout_sec=PAGE_PATIENCE)["ipynb"]["cells"]
        sources = ["".join(cell.get("source", "")) for cell in cells if cell.get("cell_type") == "code"]
    except ModuleNotFoundError:  # no Colab
        return {}
    except Exception as error:  # Colab's errors share no base class, and an answer may have any shape
        print(
            f"Colab did not say what is in the fields of the first cell ({type(error).__name__}), so those of the last "
            "launch, or the usual ones, are used."
        )
        return {}
    first = next((text for text in sources if 'await oneclick("launch"' in text), "")
    return values_in(first.partition("async def oneclick")[0])


def values_in(form: str) -> dict[str, Any]:
    """The fields' values in the text of a form; without those that are none of ours."""
    try:
        nodes = ast.parse(form).body
    except SyntaxError:
        return {}
    return {
        node.targets[0].id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id in DEFAULTS
    }
