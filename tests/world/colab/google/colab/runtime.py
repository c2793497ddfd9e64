"""Giving the machine back: one POST to its manager, then word to the page."""

import os
import urllib.error
import urllib.request

from google.colab import errors, output


class RuntimeManagementError(errors.Error):
    """The manager does not do it."""


def unassign():
    address = os.environ.get("TBE_RUNTIME_ADDR")
    if not address:
        raise RuntimeManagementError("Unable to find the runtime management service.")
    try:
        urllib.request.urlopen(urllib.request.Request(f"http://{address}/unassign", method="POST")).close()
    except urllib.error.HTTPError as error:
        raise RuntimeManagementError("Unable to request VM unassignment.") from error
    output.eval_js("google.colab.kernel.disconnect();", ignore_result=True)
