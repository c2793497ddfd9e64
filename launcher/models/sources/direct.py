"""Links straight to a file, on any server."""

import re
from dataclasses import replace
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from launcher.models.http import probe, read_range
from launcher.models.identify import WEIGHTS
from launcher.models.pasted import bare_link, safe_name
from launcher.models.remote import Remote

POINTER: Final = re.compile(rb"oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,15})")
POINTER_MOST: Final = 1024  # bytes


def detect(link: str) -> str | None:
    """Every link is one; GitHub's and Dropbox's pages of a file lead to the file itself."""
    parts = urlsplit(link)
    github = re.fullmatch(r"/([^/]+/[^/]+)/(?:blob|raw)/(.+)", parts.path)
    if parts.hostname in ("github.com", "www.github.com") and github:
        return f"https://raw.githubusercontent.com/{github[1]}/{github[2]}"
    if (parts.hostname or "").endswith("dropbox.com"):
        return re.sub(r"([?&])dl=0\b", r"\1dl=1", link)
    return link


def resolve(address: str, token: str) -> Remote:
    """A file behind any https link; name and size from the server where it tells them."""
    found = probe(Remote(address, name_in(address), page=bare_link(address)))
    if found.host == "raw.githubusercontent.com" and 0 < found.size < POINTER_MOST:
        found = behind_pointer(found, read_range(found, 0, found.size))
    return named(found)


def behind_pointer(remote: Remote, content: bytes) -> Remote:
    """GitHub has a pointer for a large file (Git LFS): it states size and checksum, and the file is elsewhere."""
    pointer = POINTER.search(content)
    if not pointer:
        return remote
    address = f"https://media.githubusercontent.com/media{quote(unquote(urlsplit(remote.url).path))}"
    return replace(remote, url=address, size=int(pointer[2]), sha256=pointer[1].decode(), validator="")


def name_in(address: str) -> str:
    """The file name at the end of an address; also one in its query, as some servers have it."""
    parts = urlsplit(address)
    last = unquote(parts.path.rpartition("/")[2])
    if last.lower().endswith(WEIGHTS):
        return last
    inside = re.search(r"(?:^|[&/=])([^&/=]+\.(?:safetensors|ckpt|pth?))(?:&|$)", unquote(parts.query), re.IGNORECASE)
    return inside[1] if inside else last


def named(remote: Remote) -> Remote:
    """With a safe name, or none where the server has no name that a model could have: `file_name` may have one."""
    has_ending = re.search(r"\.(?!\d+$)[A-Za-z0-9]{1,12}$", remote.name)
    return replace(remote, name=safe_name(remote.name) if has_ending else "")
