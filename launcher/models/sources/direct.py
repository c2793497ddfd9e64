"""Links straight to a file, on any server."""

import re
from dataclasses import replace
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from launcher.models.identify import WEIGHTS
from launcher.models.link_target import LinkTarget, safe_name
from launcher.models.pasted import bare_link
from launcher.models.probe import Probe, probe, raise_refusal
from launcher.models.remote import Remote

POINTER: Final = re.compile(r"oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,15})")


def detect(link: str) -> str | None:
    """Every link is one."""
    return file_address(link)


def resolve(address: str, token: str) -> LinkTarget:
    """A file behind any https link; name and size from the server where it tells them."""
    found = probe(Remote(address, name_in(address), page=bare_link(address)))
    raise_refusal(found)
    return LinkTarget(named(behind_pointer(found)))


def file_address(link: str) -> str:
    """GitHub's and Dropbox's pages of a file lead to the file itself."""
    parts = urlsplit(link)
    github = re.fullmatch(r"/([^/]+/[^/]+)/(?:blob|raw)/(.+)", parts.path)
    if parts.hostname in ("github.com", "www.github.com") and github:
        return f"https://raw.githubusercontent.com/{github[1]}/{github[2]}"
    if (parts.hostname or "").endswith("dropbox.com"):
        return re.sub(r"([?&])dl=0\b", r"\1dl=1", link)
    return link


def behind_pointer(found: Probe) -> Remote:
    """GitHub answers with a pointer for a large file (Git LFS): it states size and checksum, and the file is
    elsewhere.
    """
    pointer = POINTER.search(found.text)
    parts = urlsplit(found.remote.url)
    if not pointer or parts.hostname != "raw.githubusercontent.com":
        return found.remote
    address = f"https://media.githubusercontent.com/media{quote(unquote(parts.path))}"
    return replace(found.remote, url=address, size=int(pointer[2]), sha256=pointer[1], validator="")


def name_in(address: str) -> str:
    """The file name at the end of an address; also one in its query, as some servers have it."""
    parts = urlsplit(address)
    last = unquote(parts.path.rpartition("/")[2])
    if last.lower().endswith((*WEIGHTS, ".zip")):
        return last
    inside = re.search(r"(?:^|[&/=])([^&/=]+\.(?:safetensors|ckpt|pth?))(?:&|$)", unquote(parts.query), re.IGNORECASE)
    return inside[1] if inside else last


def named(remote: Remote) -> Remote:
    """With a safe name, or none where the server has no name that a model could have: `file_name` may have one."""
    has_ending = re.search(r"\.(?!\d+$)[A-Za-z0-9]{1,12}$", remote.name)
    return replace(remote, name=safe_name(remote.name) if has_ending else "")
