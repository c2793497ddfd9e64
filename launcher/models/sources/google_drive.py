"""Links to files shared on Google Drive."""

import re
from html import unescape
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from launcher.core.problem import Problem
from launcher.models.link_target import LinkTarget
from launcher.models.probe import Probe, probe, raise_refusal
from launcher.models.remote import Remote
from launcher.models.sources.direct import named

HOSTS: Final = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
DOWNLOAD: Final = "https://drive.usercontent.google.com/download"
ID: Final = re.compile(r"[\w-]{3,200}")


def detect(link: str) -> str | None:
    """Any link to Google Drive."""
    return link if urlsplit(link).hostname in HOSTS else None


def resolve(link: str, token: str) -> LinkTarget:
    """A file shared on Google Drive. Large ones have a page in between, which its direct address leaves out."""
    page = f"https://drive.google.com/file/d/{file_id(link)}/view"
    found = probe(Remote(download_address(link), "", page=page))
    if found.is_page and (form := re.search(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', found.text, re.S)):
        hidden = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form[2]))
        action = unescape(form[1])
        if hidden and urlsplit(action).hostname in HOSTS:
            found = probe(Remote(f"{action.partition('?')[0]}?{urlencode(hidden)}", "", page=page))
    refuse(found, page)
    return LinkTarget(named(found.remote))


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
    if not ID.fullmatch(found):
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


def refuse(found: Probe, page: str) -> None:
    """Google Drive's refusals, each in a sentence."""
    said = re.sub(r"<[^>]*>|\s+", " ", found.text).lower()
    if "quota" in said or "too many users have viewed or downloaded" in said:
        raise Problem(
            "Too many people have downloaded this file from Google Drive today.",
            f"Open {page}, choose **Make a copy**, and move the copy to your models folder. Or wait a day.",
        )
    if found.status in (401, 403) or "accounts.google.com" in found.store or "you need access" in said:
        raise Problem(
            "The file on Google Drive is private.",
            f"Ask its owner to share it ({page}); if it is yours, press **Share** there and choose **Anyone with "
            "the link**.",
        )
    if found.status == 404:
        raise Problem("The file is no longer on Google Drive.", "Choose another source.")
    raise_refusal(found)
