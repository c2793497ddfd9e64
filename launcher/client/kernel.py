"""The Jupyter kernel that a cell runs in: how it hears buttons and ■ meanwhile, and whether somebody is there."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

TOGETHER: Final = 1.0  # seconds in which "Run all" sends all its cells
OTHER_CELLS: Final = 4  # of the notebook, beside the first
TURNS: Final = 3  # of the event loop, from ■ until the cell is told: ipykernel takes two


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
