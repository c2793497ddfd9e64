"""What a server or a disk refuses, in words."""

import errno
from pathlib import Path
from typing import Final

from launcher.core.folder import to_be_emptied
from launcher.core.problem import Problem
from launcher.models.remote import Remote

ADDRESS_RAN_OUT: Final = (400, 401, 403, 404, 410)  # from a store behind a redirect: its signed address is too old


class Refused(Problem):
    """The server answered, and the answer is no: `status`, and what it said as `text`.

    `retry_after` in seconds, 0.0 where it does not say. `store` is the host a redirect led to, if that one refused.
    """

    def __init__(
        self, remote: Remote, status: int, retry_after: float = 0.0, store: str | None = None, text: str = ""
    ) -> None:
        super().__init__(*meaning(remote, status, store))
        self.status, self.retry_after, self.store, self.text = status, retry_after, store, text

    @property
    def may_pass(self) -> bool:
        ran_out = self.store is not None and self.status in ADDRESS_RAN_OUT
        return ran_out or self.status in (408, 425, 429) or self.status >= 500


def meaning(remote: Remote, status: int, store: str | None) -> tuple[str, str]:
    """What the server's answer means for a person, and what to do."""
    page = remote.page or "its page"
    if status < 300:
        return (
            "The link leads to a web page, not to a model file.",
            "Copy the link of the page's download button instead.",
        )
    if store and status in ADDRESS_RAN_OUT:
        return (
            f"{remote.host} redirects the download to {store}, which refuses it (HTTP {status}).",
            "The problem is on their side: wait a few minutes and press ▶ again, or choose another source.",
        )
    meanings = {
        401: (f"{remote.host} requires a login for {remote.name}.", f"Open {page} and see what it asks for; then save "
            "a token as a Colab secret."),
        403: (f"{remote.host} denies you access to {remote.name}.", f"Open {page} and accept its conditions, then "
            "press ▶ again."),
        404: (f"{remote.name} is no longer there.", "Choose another model, or another source of this one."),
        410: (f"{remote.name} was removed by its owner.", "Choose another model."),
        429: (f"{remote.host} says there were too many downloads.", "Wait a few minutes and press ▶ "
            f"again{goes_on(remote)}."),
        451: (f"{remote.host} is not available in the country this runtime is in.", "Choose another source of the "
            "model, for example Hugging Face."),
    }  # fmt: skip
    own_problem = (
        f"{store or remote.host} has a problem of its own (HTTP {status}).",
        f"Wait a few minutes and press ▶ again{goes_on(remote)}.",
    )
    return meanings.get(status, own_problem)


def goes_on(remote: Remote) -> str:
    """Said only where it is so."""
    return "; the download continues where it stopped" if remote.can_go_on else ""


def disk_problem(error: OSError, where: str, part: Path, remote: Remote) -> Problem:
    """A write that failed, in words."""
    if error.errno == errno.ENOSPC:
        return Problem(
            f"{where} is full.",
            f"Free some space on {to_be_emptied(where)} and press ▶ again{goes_on(remote)}.",
        )
    if error.errno in (errno.EIO, errno.ENOTCONN):
        return Problem(f"{where} no longer answers.", f"Press ▶ again to reconnect it{goes_on(remote)}.")
    return Problem(f"{part.name} could not be written: {error.strerror or error}.", "Press ▶ again.")
