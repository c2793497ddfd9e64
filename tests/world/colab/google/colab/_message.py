"""Requests to the page: published as `colab_request`, answered on the kernel's stdin."""

import itertools
import time

import zmq
from google.colab import errors
from IPython import get_ipython

LOOK_EVERY = 0.025  # seconds
numbers = itertools.count(1)


class MessageError(errors.Error):
    """The page answered with an error."""


def send_request(kind, request, parent=None, expect_reply=True):
    """Publish a request for the tab whose cell runs; its number, or None if no answer is wanted."""
    kernel = get_ipython().kernel
    number = next(numbers) if expect_reply else None
    metadata = {"colab_request_type": kind} | ({"colab_msg_id": number} if expect_reply else {})
    if parent is None and kernel.shell.parent_header:
        parent = {"header": {"session": kernel.shell.parent_header["header"]["session"]}}
    app = kernel.parent
    message = app.session.msg("colab_request", content={"request": request}, metadata=metadata, parent=parent)
    app.session.send(app.iopub_socket, message)
    return number


def read_reply_from_input(number, timeout_sec=None):
    """The answer's data, None when the time is over. Whatever else comes meanwhile is thrown away."""
    end = time.time() + timeout_sec if timeout_sec else None
    while end is None or time.time() < end:
        value = read_stdin()
        if not isinstance(value, dict):
            time.sleep(LOOK_EVERY)
        elif value.get("type") == "colab_reply" and value.get("colab_msg_id") == number:
            if "error" in value:
                raise MessageError(value["error"])
            return value.get("data")
    return None


def read_stdin():
    """The value of the next message on the kernel's stdin; None where there is none, or one that cannot be read."""
    kernel = get_ipython().kernel
    try:
        _, message = kernel.session.recv(kernel.stdin_socket, zmq.NOBLOCK)
    except Exception:
        return None
    return message["content"].get("value", "") if message else None


def blocking_request(request_type, request="", timeout_sec=5, parent=None):
    """Ask the page and wait; None when the time is over."""
    return read_reply_from_input(send_request(request_type, request, parent), timeout_sec)
