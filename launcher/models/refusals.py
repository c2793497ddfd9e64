"""What a server or a disk refuses, in words."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests

from launcher.core.problem import Problem
from launcher.models.remote import Remote

LONGEST_WAIT: Final = 60.0  # seconds


class Refused(Exception):
    """The server answered, and the answer is no. `retry_after` in seconds, 0.0 where it does not say."""

    def __init__(self, status: int, retry_after: float) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.retry_after = status, retry_after


def check_status(answer: requests.Response) -> None:
    """Raise `Refused` unless bytes follow."""
    if answer.status_code in (200, 206):
        return
    raise Refused(answer.status_code, retry_after(answer.headers.get("Retry-After", "")))


def retry_after(value: str) -> float:
    """Seconds the server asks to wait; 0.0 where it does not say (a date is rare and counts as one minute)."""
    if not value:
        return 0.0
    return min(LONGEST_WAIT, float(value)) if value.replace(".", "", 1).isdigit() else LONGEST_WAIT


def refused_problem(remote: Remote, error: Refused) -> Problem:
    """What the server's answer means for a person."""
    host = urlsplit(remote.url).hostname
    meanings = {
        401: (f"{host} wants a login for {remote.name}.", f"Open {remote.page or 'its page'} and see what it asks for; then save a token as a Colab secret."),
        403: (f"{host} does not let you have {remote.name}.", f"Open {remote.page or 'its page'} and accept its conditions, then press ▶ again."),
        404: (f"{remote.name} is not there any more.", "Choose another model, or another source of this one."),
        410: (f"{remote.name} was taken away by its owner.", "Choose another model."),
        429: (f"{host} says that too many downloads were asked for.", "Wait some minutes and press ▶ again; it goes on where it stopped."),
        451: (f"{host} does not serve the country this runtime is in.", "Choose another source of the model."),
    }  # fmt: skip
    what, do = meanings.get(
        error.status,
        (
            f"{host} has a fault of its own (HTTP {error.status}).",
            "Wait some minutes and press ▶ again; it goes on where it stopped.",
        ),
    )
    return Problem(what, do)


def disk_problem(error: OSError, where: str, part: Path) -> Problem:
    """A write that failed, in words."""
    if error.errno == 28:
        return Problem(
            f"{where} is full.",
            f"Free some space on {where} (empty its bin too) and press ▶ again; what is fetched stays.",
        )
    if error.errno in (5, 107):
        return Problem(
            f"{where} does not answer any more.",
            "Press ▶ again; it is connected anew, and the download goes on where it stopped.",
        )
    return Problem(f"{part.name} could not be written: {error.strerror or error}.", "Press ▶ again.")
