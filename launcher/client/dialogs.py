"""What only the notebook's page and the person at it can answer, in the kernel's main thread; ■ ends it with
`KeyboardInterrupt`. Each dialog takes plain data and gives plain data, for it is asked through a socket.
"""

import ast
import getpass
import importlib
import os
import time
from collections.abc import Callable
from typing import Any, Final

from launcher.core.fields import DEFAULTS

PAGE_PATIENCE: Final = 5  # seconds
COLABS_LINK_PATIENCE: Final = 15  # seconds
# Why Colab gives no secret (google.colab/userdata.py) -> what to say; nothing where there is none, as most have none.
NO_SECRET: Final = {
    "SecretNotFoundError": "",
    "NotebookAccessError": "This notebook may not read your Colab secret {name}. To allow it, press the key symbol on "
    "the left and switch on Notebook access.",
    "TimeoutException": "Colab did not say in time whether this notebook may read your secret {name}.",
}
TRIES_AT_A_TOKEN: Final = 5  # answers that were none: a late reply to Colab's own question, for example


def mount(mountpoint: str) -> dict[str, Any]:
    """Mount Google Drive, which asks for permission; {} or {"error": text, "types": names, "seconds": float}."""
    began = time.monotonic()
    try:
        importlib.import_module("google.colab.drive").mount(mountpoint)
    except Exception as error:  # pexpect's, too (googlecolab/colabtools#5964)
        types = [kind.__name__ for kind in type(error).__mro__]
        return {"error": str(error)[:1000], "types": types, "seconds": time.monotonic() - began}
    return {}


def token(name: str, reason: str) -> dict[str, Any]:
    """{"token": a token, or ""}: from Colab's secrets, else the environment; else typed, where there is a reason to."""
    found = secret(name) or os.environ.get(name, "").strip()
    return {"token": found or (typed(name, reason) if reason else "")}


def secret(name: str) -> str:
    """One of Colab's secrets; "" where there is none, or none for this notebook, or nobody answered."""
    try:
        value = importlib.import_module("google.colab.userdata").get(name)
    except ModuleNotFoundError:  # no Colab
        return ""
    except Exception as error:  # Colab's share no base class (google.colab/userdata.py)
        kind = type(error).__name__
        told = NO_SECRET.get(kind, f"Colab's secrets could not be read ({kind}).").format(name=name)
        if told:
            print(told)
        return ""
    return value.strip() if isinstance(value, str) else ""


def typed(name: str, reason: str) -> str:
    """A token typed without showing it; "" where nobody can be asked.

    Colab's late reply to the question for a secret reaches the prompt as a dictionary: by then the secret can be had.
    """
    for _ in range(TRIES_AT_A_TOKEN):
        try:
            answer: Any = getpass.getpass(f"{reason} Paste your token ({name}) and press Enter: ")
        except (EOFError, OSError, NotImplementedError):  # the last: ipykernel without a person in front of it
            return ""
        if isinstance(answer, str):
            return answer.strip()
        if late := secret(name):
            return late
    return ""


def proxy(port: int) -> dict[str, Any]:
    """Colab's own address for a port of this machine; {"url": ""} where it gives none, perhaps with an "error"."""
    try:
        output: Any = importlib.import_module("google.colab.output")
        link = output.eval_js(f"google.colab.kernel.proxyPort({port})", timeout_sec=COLABS_LINK_PATIENCE)
    except Exception as error:  # a MessageError with the page's words, mostly
        return {"url": "", "error": f"{type(error).__name__}: {error}"[:300]}
    return {"url": str(link or "")}


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


DIALOGS: Final[dict[str, Callable[..., dict[str, Any]]]] = {"mount": mount, "token": token, "proxy": proxy}
