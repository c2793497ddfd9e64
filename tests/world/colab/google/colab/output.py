"""Scripts run by the page, and the clearing of what a cell shows."""

import sys

from google.colab import _message
from IPython import get_ipython


def eval_js(script, ignore_result=False, timeout_sec=None):
    """Have the page run a script. Without `timeout_sec` this waits for ever if the tab is closed."""
    kernel = get_ipython().kernel
    number = _message.send_request("cell_javascript_eval", {"script": script}, parent=kernel.shell.parent_header)
    return None if ignore_result else _message.read_reply_from_input(number, timeout_sec)


def clear(wait=False, output_tags=()):
    """Clear what bears these tags. Front ends that do not know tags clear all the cell shows."""
    tags = (output_tags,) if isinstance(output_tags, str) else tuple(output_tags)
    sys.stdout.flush()
    publisher = get_ipython().kernel.shell.display_pub
    publisher.session.send(
        publisher.pub_socket,
        "clear_output",
        {"wait": wait, "output_tags": tags},
        parent=publisher.parent_header,
        ident=publisher.topic,
    )
