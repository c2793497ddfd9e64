"""The notebook that a cell runs in: how its kernel hears buttons and ■ meanwhile, whether somebody is there, and the
dialogs, which only the page and the person at it can answer.
"""

import ast
import asyncio
import getpass
import importlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from launcher.core.fields import DEFAULTS

TOGETHER: Final = 1.0  # seconds in which "Run all" sends all its cells
OTHER_CELLS: Final = 4  # of the notebook, beside the first
TURNS: Final = 3  # of the event loop, from ■ until the cell is told: ipykernel takes two
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


def running_kernel() -> Any:
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None)


@contextmanager
def ended_by_stop() -> Iterator[None]:
    """■ raises `KeyboardInterrupt` here at once: ipykernel's own handler would only end the cell after the dialog."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def kernel_pump() -> Callable[[], Awaitable[None]]:
    """A function to await in a loop, which lets the kernel hear buttons while this cell runs.

    ipykernel 6 must be asked to look at its messages; 7.4 and later does so whenever the cell awaits. Without giving
    the parent back, the cell would never show as finished (ipython/ipykernel#758), and what `set_parent` takes with it,
    whom to ask for input, has no public way out: without `_parent_ident` only a typed token would be missed.
    """
    kernel = running_kernel()
    step = getattr(kernel, "do_one_iteration", None)
    if not step:
        acknowledge_inputs(kernel)
        return lambda: asyncio.sleep(0)
    parent, identity = kernel.get_parent("shell"), getattr(kernel, "_parent_ident", {}).get("shell")

    async def pump() -> None:
        # A ■ that has come ends this cell before the next one begins within it: that one would be ended in its place.
        for _ in range(TURNS):
            await asyncio.sleep(0)
        await step()
        kernel.set_parent(identity, parent, channel="shell")

    return pump


def acknowledge_inputs(kernel: Any) -> None:
    """Tell the page that what was typed was taken. It sends no further change of a field before, and ipykernel 7.4 does
    not say so while a cell runs (ipython/ipykernel#1565).
    """
    handlers: dict[str, Any] = getattr(kernel, "shell_handlers", {})
    take: Any = handlers.get("comm_msg")

    def acknowledged(stream: Any, identity: Any, message: dict[str, Any]) -> Any:
        taken = take(stream, identity, message)
        idle = {"execution_state": "idle"}
        kernel.session.send(kernel.iopub_socket, "status", idle, parent=message, ident=b"status")
        return taken

    if take and take.__name__ != acknowledged.__name__:
        handlers["comm_msg"] = acknowledged


def waits_for_cells() -> bool:
    """True where other cells wait until this one ends; ipykernel 6 runs them meanwhile."""
    return running_kernel() is not None and not hasattr(running_kernel(), "do_one_iteration")


def cells_that_wait() -> int:
    """How many, where ipykernel 7 tells. It has no public way (ipython/ipykernel#696 would make it needless); where
    this one is gone, a cell that is run again is seen only after ■.
    """
    return len(getattr(getattr(running_kernel(), "_main_asyncio_lock", None), "_waiters", None) or ())


def watch_for_cells() -> Callable[[], bool]:
    """True once a cell was run that waits for this one, such as this very cell again, whose panel is gone then.

    "Run all" sends all the others within a second. If fewer come, it was this one.
    """
    began, together = time.monotonic(), 0

    def somebody_waits() -> bool:
        nonlocal together
        waiting = cells_that_wait()
        if time.monotonic() - began < TOGETHER:
            together = max(together, waiting)
            return False
        return waiting > (together if together >= OTHER_CELLS else 0)

    return somebody_waits


def somebody_answers() -> bool:
    """False for programs that run a notebook (nbclient, papermill): they say that nobody types anything."""
    kernel = running_kernel()
    return bool(kernel and kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


# ---- dialogs: in the kernel's main thread, where ■ ends them with `KeyboardInterrupt`. Each takes plain data and gives
# plain data, for it is asked through a socket.


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
        if told := NO_SECRET.get(kind, f"Colab's secrets could not be read ({kind}).").format(name=name):
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
    try:
        nodes = ast.parse(first.partition("async def oneclick")[0]).body
    except SyntaxError:
        return {}
    return {
        node.targets[0].id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id in DEFAULTS
    }


DIALOGS: Final[dict[str, Callable[..., dict[str, Any]]]] = {"mount": mount, "token": token, "proxy": proxy}
