"""Links to files shared on Google Drive."""

import re

from launcher.core.problem import Problem
from launcher.models.kinds import Found
from launcher.models.sources.direct import resolve_direct


def resolve_google_drive(link: str) -> Found:
    """A file shared on Google Drive. Large ones have a page in between, which its direct address leaves out."""
    match = re.search(r"/file/d/([\w-]+)", link) or re.search(r"[?&]id=([\w-]+)", link)
    if not match:
        raise Problem(
            "The link leads to a folder of Google Drive, not to a file.",
            "Open the folder and copy the link of the model file.",
        )
    direct = f"https://drive.usercontent.google.com/download?id={match[1]}&export=download&confirm=t"
    return resolve_direct(direct, page=link)
