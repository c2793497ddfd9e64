"""Is there a newer launcher? Who opens a copy of the notebook never learns of it otherwise."""

import re
from typing import Final

import requests

from launcher import BRANCH, COLAB_LINK, OWNER, REPOSITORY, __version__
from launcher.core.outside import limited
from launcher.core.problem import Problem
from launcher.core.status import Status
from launcher.source.git import answer

HOME: Final = f"https://github.com/{OWNER}/{REPOSITORY}"
PATIENCE: Final = 10.0  # seconds
LONGEST_MODULE: Final = 20_000  # bytes of what is asked for
STATED: Final = re.compile(r'^__version__ = "(\d{1,4}(?:\.\d{1,4}){1,3})"', re.MULTILINE)


def say_if_newer(status: Status) -> None:
    if newer := newer_version():
        status.notice(f"Version {newer} of the launcher is there; this one is {__version__}. Open it: {COLAB_LINK}")


def newer_version() -> str | None:
    """The version that the badge opens, if it is newer than this one; None also where GitHub does not say.

    Whoever has git look for GitHub elsewhere (`insteadOf`: a mirror) has it looked for there. Nothing of the answer is
    believed but a number.
    """
    home = answer("ls-remote", "--get-url", "--", HOME) or HOME
    try:
        with requests.get(f"{home}/raw/{BRANCH}/launcher/__init__.py", stream=True, timeout=PATIENCE) as response:
            response.raise_for_status()
            text = b"".join(limited(response.iter_content(1024), LONGEST_MODULE)).decode(errors="replace")
    except (requests.RequestException, Problem):
        return None
    found = STATED.search(text)
    return found[1] if found and numbers(found[1]) > numbers(__version__) else None


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
