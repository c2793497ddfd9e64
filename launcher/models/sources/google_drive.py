"""Links to files shared on Google Drive."""

import re
from dataclasses import replace
from html import unescape
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from launcher.core.problem import Problem
from launcher.models.http import probe
from launcher.models.refusals import GOOGLE_DRIVE
from launcher.models.remote import Refused, Remote
from launcher.models.sources.direct import named

HOSTS: Final = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
DOWNLOAD: Final = "https://drive.usercontent.google.com/download"


def detect(link: str) -> str | None:
    return link if urlsplit(link).hostname in HOSTS else None


def resolve(link: str, token: str) -> Remote:
    """A file shared on Google Drive. Large ones have a page in between, which its direct address leaves out."""
    page = f"https://drive.google.com/file/d/{file_id(link)}/view"
    asked = Remote(download_address(link), "", page=page, place=GOOGLE_DRIVE)
    try:
        return named(probe(asked))
    except Refused as refused:
        address = address_in_form(refused.answer.page)
        if not address:
            raise
        return named(probe(replace(asked, url=address)))


def address_in_form(text: str) -> str | None:
    """Where the form leads that stands before a large file, in its page."""
    form = text.partition("<form")[2].partition("</form>")[0]
    action = re.search(rf'\baction="(https://(?:{"|".join(map(re.escape, HOSTS))})/[^"<>?]{{1,300}})', form)
    hidden = re.findall(r'<input[^<>]{0,100}?name="([^"<>]{1,100})"[^<>]{0,100}?value="([^"<>]{0,300})"', form)
    return f"{unescape(action[1])}?{urlencode(hidden)}" if hidden and action else None


def file_id(link: str) -> str:
    """The file's id, however the link was made. Raises `Problem` for a folder."""
    parts = urlsplit(link)
    in_path = re.search(r"/file/(?:u/\d+/)?d/([^/]+)", parts.path)
    found = in_path[1] if in_path else dict(parse_qsl(parts.query)).get("id", "")
    if "/folders" in parts.path or "/folderview" in parts.path:
        what, do = "a folder of Google Drive", "Open the folder and copy the link of the model file."
    elif not re.fullmatch(r"[\w-]{3,200}", found):
        what, do = "a page of Google Drive", "Press **Share** next to the file there, and copy its link."
    else:
        return found
    raise Problem(f"The link leads to {what}, not to a file.", do)


def download_address(link: str) -> str:
    """The file itself; older links need their resource key, too."""
    asked = {"id": file_id(link), "export": "download", "confirm": "t"}
    key = dict(parse_qsl(urlsplit(link).query)).get("resourcekey", "")
    return f"{DOWNLOAD}?{urlencode(asked | ({'resourcekey': key} if key else {}))}"
