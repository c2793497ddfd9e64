"""Links to files shared on Google Drive."""

import re
from html import unescape
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from launcher.core.problem import Problem
from launcher.models.http import probe
from launcher.models.remote import Refused, Remote
from launcher.models.sources.direct import named

HOSTS: Final = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
DOWNLOAD: Final = "https://drive.usercontent.google.com/download"


def detect(link: str) -> str | None:
    return link if urlsplit(link).hostname in HOSTS else None


def resolve(link: str, token: str) -> Remote:
    """A file shared on Google Drive. Large ones have a page in between, which its direct address leaves out."""
    page = f"https://drive.google.com/file/d/{file_id(link)}/view"
    try:
        try:
            return named(probe(Remote(download_address(link), "", page=page)))
        except Refused as refused:
            address = address_in_form(refused.text)
            if not address:
                raise
            return named(probe(Remote(address, "", page=page)))
    except Refused as refused:
        raise drive_problem(refused, page) from refused


def address_in_form(text: str) -> str | None:
    """Where the form leads that stands before a large file, in its page."""
    form = re.search(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', text, re.S)
    hidden = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form[2])) if form else {}
    action = unescape(form[1]).partition("?")[0] if form else ""
    return f"{action}?{urlencode(hidden)}" if hidden and urlsplit(action).hostname in HOSTS else None


def file_id(link: str) -> str:
    """The file's id, however the link was made. Raises `Problem` for a folder."""
    parts = urlsplit(link)
    in_path = re.search(r"/file/(?:u/\d+/)?d/([^/]+)", parts.path)
    found = in_path[1] if in_path else dict(parse_qsl(parts.query)).get("id", "")
    if "/folders" in parts.path or "/folderview" in parts.path:
        raise Problem(
            "The link leads to a folder of Google Drive, not to a file.",
            "Open the folder and copy the link of the model file.",
        )
    if not re.fullmatch(r"[\w-]{3,200}", found):
        raise Problem(
            "The link leads to a page of Google Drive, not to a file.",
            "Press **Share** next to the file there, and copy its link.",
        )
    return found


def download_address(link: str) -> str:
    """The file itself; older links need their resource key, too."""
    asked = {"id": file_id(link), "export": "download", "confirm": "t"}
    key = dict(parse_qsl(urlsplit(link).query)).get("resourcekey", "")
    return f"{DOWNLOAD}?{urlencode(asked | ({'resourcekey': key} if key else {}))}"


def drive_problem(refused: Refused, page: str) -> Problem:
    """Google Drive's refusals, each in a sentence."""
    said = re.sub(r"<[^>]*>|\s+", " ", refused.text).lower()
    if "quota" in said or "too many users have viewed or downloaded" in said:
        return Problem(
            "Too many people have downloaded this file from Google Drive today.",
            f"Open {page}, choose **Make a copy**, and move the copy to your models folder. Or wait a day.",
        )
    if refused.status in (401, 403) or "accounts.google.com" in (refused.store or "") or "you need access" in said:
        return Problem(
            "The file on Google Drive is private.",
            f"Ask its owner to share it ({page}); if it is yours, press **Share** there and choose **Anyone with "
            "the link**.",
        )
    if refused.status == 404:
        return Problem("The file is no longer on Google Drive.", "Choose another source.")
    return refused
