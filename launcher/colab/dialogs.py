"""What only a person at the notebook can answer: secrets, a hidden prompt, Colab's own link."""

import getpass
import importlib
import importlib.util
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from launcher.colab.machine import Machine
from launcher.core.problem import Problem

T = TypeVar("T")


class MainThread:
    """Work for the main thread, where Colab's dialogs and questions must run; workers wait for its result."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def call(self, work: Callable[[], T]) -> T:
        """From a worker: have `work` done in the main thread; return or raise what it does."""
        return work() if threading.current_thread() is threading.main_thread() else self.submit(work).result()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Have `work` done in the main thread some time: it waits while no cell of ours runs."""
        future: Future[T] = Future()
        self._work.put((work, future))
        return future

    def serve(self) -> None:
        """From the main thread: do what waits."""
        while not self._work.empty():
            work, future = self._work.get()
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
            except BaseException:  # ■ while a dialog was open
                future.set_exception(Problem("It was stopped while a question was open.", "Press ▶ again."))
                raise


def find_secret(machine: Machine, name: str) -> str:
    """A token from Colab's secrets, else from the environment, else "". Main thread only.

    Colab answers «no such secret», «no access» and «nobody answered» with exceptions that share no base
    class (google.colab/userdata.py), so any of them means: not there.
    """
    if machine.colab:
        userdata = importlib.import_module("google.colab.userdata")
        names = ("SecretNotFoundError", "NotebookAccessError", "TimeoutException")
        known = tuple(getattr(userdata, n) for n in names if hasattr(userdata, n))
        try:
            value = str(userdata.get(name) or "").strip()
        except known:
            value = ""
        if value:
            return value
    return os.environ.get(name, "").strip()


def ask_hidden(prompt: str, ask: Callable[[str], str] = getpass.getpass) -> str:
    """Ask for a token without showing it. Main thread only. "" where nobody can be asked."""
    try:
        return ask(prompt).strip()
    except (EOFError, OSError) as error:
        raise Problem(
            f"A token is needed, but nobody could be asked for it here ({error}).",
            "Save it as a Colab secret (the key symbol at the left), or set it in the environment, and press ▶ again.",
        ) from error
    except Exception as error:
        if type(error).__name__ == "StdinNotImplementedError":  # ipykernel without a person in front of it
            return ""
        raise


def private_link(port: int) -> str:
    """Colab's own address for a port of this machine: it works only for this person, in this browser."""
    output: Any = importlib.import_module("google.colab.output")
    link = output.eval_js(f"google.colab.kernel.proxyPort({port})", timeout_sec=20)
    return str(link or "")
