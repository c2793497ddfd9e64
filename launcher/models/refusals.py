"""What a server or a disk refuses, in words."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests

from launcher.core.folder import to_be_emptied
from launcher.core.problem import Problem
from launcher.models.remote import Remote

LONGEST_WAIT: Final = 60.0  # seconds
ADDRESS_RAN_OUT: Final = (400, 401, 403, 404, 410)  # from a store behind a redirect: its signed address is too old


class Refused(Exception):
    """The server answered, and the answer is no. `retry_after` in seconds, 0.0 where it does not say.

    `store` is the host a redirect led to, or "" where the source itself refused.
    """

    def __init__(self, status: int, retry_after: float, store: str = "") -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.retry_after, self.store = status, retry_after, store

    @property
    def may_pass(self) -> bool:
        """True if asking again may help."""
        ran_out = bool(self.store) and self.status in ADDRESS_RAN_OUT
        return ran_out or self.status in (408, 425, 429) or self.status >= 500


def store_of(answer: requests.Response, source: str) -> str:
    """The host that answered, if it is not the one that was asked at first."""
    there, asked = urlsplit(answer.url), urlsplit(source)
    return there.hostname or "" if there.netloc != asked.netloc else ""


def check_status(answer: requests.Response, source: str) -> None:
    """Raise `Refused` unless bytes follow. `source` is the address that was asked at first."""
    if answer.status_code in (200, 206):
        return
    told = seconds_to_wait(answer.headers.get("Retry-After", ""))
    raise Refused(answer.status_code, told, store_of(answer, source))


def seconds_to_wait(value: str) -> float:
    """What a Retry-After asks for; 0.0 where there is none (a date is rare and counts as one minute)."""
    if not value:
        return 0.0
    digits = value.isascii() and value.replace(".", "", 1).isdigit()
    return min(LONGEST_WAIT, float(value)) if digits else LONGEST_WAIT


def refused_problem(remote: Remote, error: Refused) -> Problem:
    """What the server's answer means for a person."""
    page = remote.page or "its page"
    if error.store and error.status in ADDRESS_RAN_OUT:
        return Problem(
            f"{remote.host} redirects the download to {error.store}, which refuses it (HTTP {error.status}).",
            "The problem is on their side: wait a few minutes and press ▶ again, or choose another source.",
        )
    meanings = {
        401: (f"{remote.host} requires a login for "
            f"{remote.name}.", f"Open {page} and see what it asks for; then save a "
            "token as a Colab secret."),
        403: (f"{remote.host} denies you access to {remote.name}.", f"Open {page} and accept its conditions, then "
            "press ▶ again."),
        404: (f"{remote.name} is no longer there.", "Choose another model, or another source of this one."),
        410: (f"{remote.name} was removed by its owner.", "Choose another model."),
        429: (f"{remote.host} says there were too many downloads.", "Wait a few minutes and press ▶ "
            f"again{goes_on(remote)}."),
        451: (f"{remote.host} is not available in the country this runtime is in.", "Choose another source of the "
            "model."),
    }  # fmt: skip
    what, do = meanings.get(
        error.status,
        (
            f"{error.store or remote.host} has a problem of its own (HTTP {error.status}).",
            f"Wait a few minutes and press ▶ again{goes_on(remote)}.",
        ),
    )
    return Problem(what, do)


def goes_on(remote: Remote) -> str:
    """Said only where it is so."""
    return "; the download continues where it stopped" if remote.can_go_on else ""


def disk_problem(error: OSError, where: str, part: Path, remote: Remote) -> Problem:
    """A write that failed, in words."""
    if error.errno == 28:
        return Problem(
            f"{where} is full.",
            f"Free some space on {to_be_emptied(where)} and press ▶ again{goes_on(remote)}.",
        )
    if error.errno in (5, 107):
        return Problem(
            f"{where} no longer answers.",
            f"Press ▶ again to reconnect it{'; the download then continues' if remote.can_go_on else ''}.",
        )
    return Problem(f"{part.name} could not be written: {error.strerror or error}.", "Press ▶ again.")
