"""What a catalog entry or a pasted link means: a file to download. Knows nothing of disks."""

from urllib.parse import urlsplit

from launcher.core.problem import Problem
from launcher.models.kinds import Found
from launcher.models.sources.civitai import CIVITAI_HOSTS, resolve_civitai
from launcher.models.sources.direct import resolve_direct
from launcher.models.sources.google_drive import resolve_google_drive
from launcher.models.sources.hugging_face import HUB_HOSTS, resolve_hub_link


def resolve_link(link: str, token: str) -> Found:
    """What a pasted link leads to; raises `Problem` or `TokenNeeded`. The first source that knows the link has it."""
    if link.startswith("urn:air:"):
        return resolve_civitai(link, token)
    parts = urlsplit(link)
    host = (parts.hostname or "").removeprefix("www.")
    if parts.scheme != "https":
        raise Problem(f"The link {link[:80]!r} is not encrypted.", "Use a link that starts with https://.")
    if host in HUB_HOSTS:
        return resolve_hub_link(link, token)
    if host in CIVITAI_HOSTS:
        return resolve_civitai(link, token)
    if host == "drive.google.com":
        return resolve_google_drive(link)
    return resolve_direct(link)
