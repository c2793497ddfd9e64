"""Links to a file on any server: straight to it, to a page of it, or to what is shared on Google Drive."""

import re
from dataclasses import replace
from html import unescape
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from launcher.core.problem import Problem
from launcher.models.http import probe
from launcher.models.identify import WEIGHTS
from launcher.models.pasted import bare_link, safe_name
from launcher.models.refusals import BY_HAND, GOOGLE_DRIVE
from launcher.models.remote import Refused, Remote

DRIVE_HOSTS: Final = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
MODEL_NAME: Final = re.compile(r"\.(safetensors|sft|ckpt|pth?|bin|zip)\s*$", re.IGNORECASE)
# Names that leave no doubt that the file is of no use, whatever is written into `file_name`.
OTHER_NAME: Final = re.compile(
    r"(?i)\.(rar|7z|tar|t?gz|bz2|xz|zst|00\d|gguf|onnx|msgpack|pkl|h5|torrent|json|ya?ml|txt|md|csv|pdf|exe|py|ipynb"
    r"|png|jpe?g|webp|avif|gif|mp4|webm)\s*$"
)
# A page of a file -> the file itself. GitHub leads on from its own to where a file is: of a large one (Git LFS)
# raw.githubusercontent.com has only a pointer (nextstrain/nextstrain.org#215).
FILE_PAGES: Final = (
    (r"github\.com/([^/]+/[^/]+)/(?:blob|raw)/([^?]+).*", r"github.com/\1/raw/\2"),
    (r"raw\.githubusercontent\.com/([^/]+/[^/]+)/([^?]+).*", r"github.com/\1/raw/\2"),
    (r"gitlab\.com/(.+)/-/blob/([^?]+).*", r"gitlab.com/\1/-/raw/\2"),
    (r"codeberg\.org/([^/]+/[^/]+)/src/([^?]+).*", r"codeberg.org/\1/raw/\2"),
    (r"pixeldrain\.com/u/(\w+).*", r"pixeldrain.com/api/file/\1"),
    (r"(modelscope\.(?:cn|ai)/models/.+)/file/view/([^/?]+)(?:/|\?fileName=)([^?&]+).*", r"\1/resolve/\2/\3"),
)
# Sites that give a file only to a browser, but for the direct links of some, which have its name at their end.
BROWSERS_ONLY: Final = (
    *("mega.nz", "mega.io", "mega.co.nz", "gofile.io", "1drv.ms", "onedrive.live.com", "sharepoint.com"),
    *("wetransfer.com", "we.tl", "mediafire.com", "terabox.com", "1024terabox.com", "pan.baidu.com", "icloud.com"),
    *("box.com", "workupload.com", "krakenfiles.com", "4shared.com", "sendspace.com", "proton.me", "transfernow.net"),
    *("disk.yandex.com", "disk.yandex.ru", "yadi.sk", "pcloud.link", "1fichier.com"),
)  # fmt: skip
# Sites with models of their own, which give them to people who are logged in.
GALLERIES: Final = (
    *("tensor.art", "tusiart.com", "seaart.ai", "liblib.art", "liblib.ai", "liblibai.com", "shakker.ai", "pixai.art"),
)  # fmt: skip


def detect(link: str) -> Remote:
    """Every link is one; the page of a file leads to the file itself. Raises `Problem` for sites that have no links."""
    parts = urlsplit(link)
    if parts.hostname in DRIVE_HOSTS:
        return shared_on_drive(parts)
    site = site_among(parts.hostname, (*BROWSERS_ONLY, *GALLERIES))
    if site and not MODEL_NAME.search(parts.path):
        to_whom = "people who are logged in there" if site in GALLERIES else "a browser"
        raise Problem(f"{site} gives its files only to {to_whom}.", BY_HAND.format(page=page_of(link)))
    if site_among(parts.hostname, ("dropbox.com",)):
        if re.match(r"/(?:scl/fo|sh)/", parts.path) and not MODEL_NAME.search(parts.path):
            what = "The link leads to a folder of Dropbox, not to a file."
            raise Problem(what, "Open the folder, press **Share** next to the file, and copy that link.")
        query = [pair for pair in parse_qsl(parts.query) if pair[0] not in ("dl", "raw")]
        parts = parts._replace(query=urlencode([*query, ("dl", "1")]))
    for page, address in FILE_PAGES:
        found = re.fullmatch(rf"https://(?:www\.)?{page}", link)
        if found and "token=" not in parts.query:  # of a private repository
            parts = urlsplit(f"https://{found.expand(address)}")
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    return Remote(plain, name_in(plain), page=page_of(plain))


def site_among(host: str | None, sites: tuple[str, ...]) -> str | None:
    return next((site for site in sites if f".{host}".endswith(f".{site}")), None)


def shared_on_drive(parts: SplitResult) -> Remote:
    """A file shared on Google Drive, however the link was made. Raises `Problem` for a folder.

    Large ones have a page in between, which the direct address leaves out.
    """
    asked, in_path = dict(parse_qsl(parts.query)), re.search(r"/file/(?:u/\d+/)?d/([^/]+)", parts.path)
    number = in_path[1] if in_path else asked.get("id", "")
    if "/folders" in parts.path or "/folderview" in parts.path:
        what, do = "a folder of Google Drive", "Open the folder and copy the link of the model file."
    elif not re.fullmatch(r"[\w-]{3,200}", number):
        what, do = "a page of Google Drive", "Press **Share** next to the file there, and copy its link."
    else:
        key = {name: value for name, value in asked.items() if name == "resourcekey"}  # older links need theirs
        query = urlencode({"id": number, "export": "download", "confirm": "t"} | key)
        page = f"https://drive.google.com/file/d/{number}/view"
        return Remote(f"https://drive.usercontent.google.com/download?{query}", "", page=page, place=GOOGLE_DRIVE)
    raise Problem(f"The link leads to {what}, not to a file.", do)


def resolve(asked: Remote, token: str) -> Remote:
    """The file; name and size from the server where it tells them. Raises `Problem` for what is no model.

    It has no name where that is a program's or a page's (get.php): the field `file_name` may have one.
    """
    try:
        found = probe(asked)
    except Refused as refused:
        address = address_in_form(refused.answer.page) if asked.place == GOOGLE_DRIVE else None
        if not address:
            raise
        found = probe(replace(asked, url=address))
    tells = any(names.search(found.name[-50:]) for names in (MODEL_NAME, OTHER_NAME))
    return replace(found, name=safe_name(found.name) if tells else "")


def address_in_form(text: str) -> str | None:
    """Where the form leads that stands before a large file on Google Drive, in its page."""
    form = text.partition("<form")[2].partition("</form>")[0]
    action = re.search(rf'\baction="(https://(?:{"|".join(map(re.escape, DRIVE_HOSTS))})/[^"<>?]{{1,300}})', form)
    hidden = re.findall(r'<input[^<>]{0,100}?name="([^"<>]{1,100})"[^<>]{0,100}?value="([^"<>]{0,300})"', form)
    return f"{unescape(action[1])}?{urlencode(hidden)}" if hidden and action else None


def page_of(link: str) -> str:
    """What a person opens in a browser: without its secrets and keys, an address may lead elsewhere."""
    return link if bare_link(link) == link else "the link that you pasted"


def name_in(address: str) -> str:
    """The file name at the end of an address; also one in its query, as some servers have it."""
    parts = urlsplit(address)
    last = unquote(parts.path.rpartition("/")[2])
    inside = re.search(r"(?i)(?:^|[&/=])([^&/=]+\.(?:safetensors|sft|ckpt|pth?))(?:&|$)", unquote(parts.query))
    return inside[1] if inside and not last.lower().endswith(WEIGHTS) else last
