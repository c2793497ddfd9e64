"""What people paste, read as they mean it."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from launcher.core.problem import Problem

AROUND: Final = " \t\r\n<>\"'`“”‘’\xab\xbb„()[]{}"
BEHIND: Final = ".,;:!?)]}>\"'`”’\xbb"
LINK: Final = re.compile(r"(?:https?://|ftp://|urn:air:)[^\s<>\"`“”\xab\xbb]+", re.IGNORECASE)
# What a link may say of itself where others can read it. Everything else behind a `?` may be a key.
HARMLESS: Final = (
    "modelversionid", "type", "format", "size", "fp", "fileid", "id", "resourcekey", "export", "download", "dl"
)  # fmt: skip


def links_in(text: str) -> list[str]:
    """All links in a pasted text, in their order, each once, without what stands around them."""
    return list(dict.fromkeys(trimmed(match) for match in LINK.findall(text)))


def trimmed(link: str) -> str:
    """Without the punctuation of the sentence it stood in; a bracket that belongs to the link stays."""
    while link and link[-1] in BEHIND:
        if link[-1] in ")]" and link.count(link[-1]) <= link.count({")": "(", "]": "["}[link[-1]]):
            break
        link = link[:-1]
    return link


def one_link(text: str) -> str:
    """The one link in a pasted text, its scheme and host in lower case. Raises `Problem` for anything else."""
    links = links_in(text)
    if len(links) > 1:
        raise Problem(
            f"There are {len(links)} links, but only one is needed.",
            "Paste only one, or use the cell **Add a model** for several.",
        )
    bare = text.strip(AROUND)
    if not links and re.search(r"(^|/)(content/drive|MyDrive|My Drive)/", bare):
        raise Problem(
            "That is a file on Google Drive, not a link.",
            "Move it to the folder models/Stable-diffusion of the web UI on your Drive; it then appears in the web "
            "UI's list.",
        )
    if not links and re.match(r"(www\.)?(huggingface\.co|civitai\.(com|red|green)|drive\.google\.com)/", bare):
        links = [f"https://{bare}"]
    if not links:
        raise Problem(f"{bare[:60]!r} is not a link.", "Paste one that starts with https://.")
    link = links[0]
    if link.lower().startswith("urn:air:"):
        return link
    try:
        parts = urlsplit(link)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or not re.fullmatch(r"[\w.-]+", host):
        raise Problem("The link is incomplete.", "Copy it again, from your browser's address bar.")
    if parts.scheme.lower() != "https":
        raise Problem("The link is not encrypted.", "Use a link that starts with https://.")
    return urlunsplit(("https", f"{host.lower()}{f':{port}' if port else ''}", *parts[2:]))


def without_secrets(text: str) -> str:
    """The same with every link reduced to what may be shown, logged and written down: no keys, no signatures, no
    names.
    """
    return LINK.sub(lambda match: bare_link(match[0]), text)


def bare_link(link: str) -> str:
    """One link without what may be a secret."""
    if link.lower().startswith("urn:air:"):
        return link
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
    except ValueError:
        return link.partition("?")[0].rpartition("@")[2]
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name.lower() in HARMLESS]
    return urlunsplit((parts.scheme, host, parts.path, urlencode(kept), ""))
