"""Links straight to a file."""

import re
from dataclasses import replace
from typing import Final
from urllib.parse import unquote, urlsplit

import requests

from launcher.core.problem import Problem
from launcher.models.download import TIMEOUT
from launcher.models.kinds import Found, TokenNeeded, safe_name
from launcher.models.refusals import Refused, refused_problem
from launcher.models.remote import USER_AGENT, Remote

CIVITAI_KEYS: Final = "https://civitai.com/user/account"


def civitai_problem(status: int, with_token: bool) -> Problem | TokenNeeded:
    """Civitai's refusals (facts/models.md §6), each in a sentence."""
    if status == 401 and not with_token:
        return TokenNeeded("CIVITAI_TOKEN", "Civitai gives this model only to people who are logged in.", CIVITAI_KEYS)
    meanings = {
        0: ("Civitai does not answer.", "Wait some minutes and press ▶ again."),
        401: ("Civitai does not know your key.", f"Make a new one at {CIVITAI_KEYS}, save it as the secret CIVITAI_TOKEN, and press ▶ again."),
        403: ("Civitai does not let you have this model: it may be in early access.", "Look at its page."),
        404: ("This model is not on Civitai any more.", "Choose another model."),
        410: ("This model was archived by its owner.", "Choose another model."),
        429: ("Civitai says that too many downloads were asked for.", "Wait some minutes and press ▶ again."),
        451: ("Civitai does not serve the country this runtime is in.", "Choose another source of the model, for example Hugging Face."),
    }  # fmt: skip
    return Problem(
        *meanings.get(
            status, (f"Civitai has a fault of its own (HTTP {status}).", "Wait some minutes and press ▶ again.")
        )
    )


def resolve_direct(link: str, page: str = "") -> Found:
    """A file behind any https link; name and size from the server where it tells them."""
    return Found(with_size(Remote(link, unquote(urlsplit(link).path.rpartition("/")[2]), page=page or link)))


def with_size(remote: Remote) -> Remote:
    """Ask the server for the size, and for the name if the link has none. A token goes to the link's own host only."""
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Range": "bytes=0-0"}
    if remote.token:
        headers["Authorization"] = f"Bearer {remote.token}"
    try:
        with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            status, told = answer.status_code, answer.headers
    except requests.RequestException as error:
        raise Problem(
            f"{urlsplit(remote.url).hostname} does not answer.", "Check the link, and press ▶ again."
        ) from error
    if "civitai" in (urlsplit(remote.url).hostname or "") and status in (401, 403):
        raise civitai_problem(status, bool(remote.token))
    if status >= 400:
        raise refused_problem(remote, Refused(status, 0.0))
    if "text/html" in told.get("Content-Type", ""):
        raise Problem(
            "The link leads to a web page, not to a model file.", "Copy the link of the page's download button instead."
        )
    named = re.search(r"filename\*?=(?:UTF-8'')?\"?([^\";]+)", told.get("Content-Disposition", ""))
    whole = re.search(r"/(\d+)$", told.get("Content-Range", "")) if status == 206 else None
    name = safe_name(unquote(named[1]) if named else remote.name)
    return replace(remote, name=name, size=int(whole[1]) if whole else 0)
