"""What people paste, and what servers call their files, read as they mean it."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from launcher.core.problem import Problem
from launcher.models.identify import WEIGHTS

UNSEEN: Final = "\u200b\u2060\ufeff"  # what browsers copy along; the joiners of other scripts stay
AROUND: Final = " \t\r\n<>\"'`“”‘’\xab\xbb„()[]{}\xa0" + UNSEEN
BEHIND: Final = ".,;:!?)]}>\"'`”’\xbb*~|…）】」』》\ufe0f"
# Civitai's names for its models may begin with urn:air:, air:, or what follows (developer.civitai.com/site/guide/air).
AIR: Final = r"(?:urn:air:|(?<![\w:-])(?:[\w-]{1,20}:){0,4}civitai:(?=\d))"
BEGINS: Final = rf"(?:(?:https?|ftp|hf|ssh|git|s3|gs|ipfs|ed2k|thunder)://|magnet:\?|{AIR})"
# Inside of a link; the comma between two links is not.
LETTER: Final = rf"(?:(?![,;|]+{BEGINS})[^\s<>\"`“”\xab\xbb，；、。{UNSEEN}])"
LINK: Final = re.compile(rf"{BEGINS}{LETTER}+", re.IGNORECASE)
FILE_ENDING: Final = rf"(?:{'|'.join(re.escape(ending) for ending in (*WEIGHTS, '.zip'))})"
# What cannot go on behind a space: a file's whole name, a question, a page of a model or of a repository.
WHOLE_LINK: Final = re.compile(
    rf"{FILE_ENDING}(?!\w)|\?|^(?:urn|civitai|ssh):|//(?:www\.)?(?:civitai\.\w+/|(?:huggingface\.co|hf\.co)/[^/]+/[^/]+/?$)",
    re.IGNORECASE,
)
OPTION: Final = r"--?[A-Za-z][\w-]*[ \t]"  # of a command: -O x.safetensors
WORDS: Final = rf"(?:[ \t]+(?!{OPTION}|{BEGINS}){LETTER}+?)"
TO_ENDING: Final = re.compile(rf"{WORDS}{{1,12}}?{FILE_ENDING}(?=[\s,;)\]}}>\"'?#]|$)(?:[?#]{LETTER}*)?", re.IGNORECASE)
IN_FOLDER: Final = re.compile(r"/(?:tree|blob|resolve)/[^/\s]+/[^\s]+$")
TO_LINE_END: Final = re.compile(r"(?:[ \t]+[\w.()\[\]&'+-]+)+(?=[ \t]*(?:\n|$))")
# user:password@host, also without https://
LOGIN: Final = re.compile(r"(?<![^\s/\"'(<])[^\s/@:\"']*:[^\s/@]+@(?=[\w-]+\.)")
# A key in a command: after the word for it, or known by its looks.
KEY: Final = re.compile(
    r"(?i)((?:\bbearer |--token[ =]|(?:token|key|password)[=:] *)[\"']?)[^\s\"',;]+|\b(?:hf_\w{4,}|[0-9a-f]{32}\b)"
)
# What a link may say of itself where others can read it. Everything else behind a `?` may be a key.
HARMLESS: Final = (
    "modelversionid", "type", "format", "size", "fp", "fileid", "id", "resourcekey", "export", "download", "dl"
)  # fmt: skip
NAME_BYTES: Final = 200  # bytes; Drive and Linux take 255, and an unfinished download has a longer name
UNPACK: Final = (
    "Unpack it on your computer, see what it holds, and put the model into your models folder on Google Drive."
)
UNPACK_FIRST: Final = re.compile(r"(?i)\.(rar|7z|tar|t?gz|bz2|xz|zst|00\d)$")
WITHOUT_SCHEME: Final = re.compile(r"(?i)(?<![\w/.-])(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?/\S+")
# What stands in pages, chats and commands -> the link that is meant.
SPELLINGS: Final[tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]] = (
    (r"&amp;", "&"),
    (r"<a\s(?:[^<>]{1,200}\s)?href=([^<>]*)>[^<>]*</a>", r" \1 "),
    (r"\[[^\[\]\n]*\]\((?=https?://)", "("),  # its label is no second thing
    (r"(?<=[\w)])(?=https?://)", " "),  # one behind the other
    (r"\bcivitai: *(\d+) *@ *(\d+)", r"civitai:\1@\2"),  # as its page shows it
    (r"\b(?:huggingface-cli|hf) download ([\w.-]+/[\w.-]+)(?: (?!-)(\S+))?", r"https://huggingface.co/\1/blob/main/\2"),
    (r"\bgdown (?:--id[ =])?([\w-]{25,})(?!\S)", r"https://drive.google.com/uc?id=\1"),
    (r"(?<=://)([\w-]+)-(com|co|red)\.translate\.goog(?=/)", r"\1.\2"),  # Google's translation of a page
    (  # the page of a search or a chat that stands before the one that is meant
        r"https?://(?:www\.google\.[\w.]+/url|www\.youtube\.com/redirect|l\.facebook\.com/l\.php)\?(?:\S*?&)?"
        r"(?:url|q|u)=(https?(?::|%3A)[^\s&]+)\S*",
        lambda found: unquote(found[1]),
    ),
)


def untangled(text: str) -> str:
    """The text with its links as they are meant, by themselves."""
    for pattern, meant in SPELLINGS:
        text = re.sub(rf"(?i){pattern}", meant, text)
    return text


def links_in(text: str) -> list[str]:
    """All links in a pasted text, in their order, each once, without what stands around them."""
    return list(dict.fromkeys(trimmed(text[start:end]) for start, end in places_of_links(text)))


def places_of_links(text: str) -> Iterator[tuple[int, int]]:
    """Where each link begins and ends. A space belongs to one if only with it there is the name of a file or folder."""
    for match in LINK.finditer(text):
        end = match.end()
        if not WHOLE_LINK.search(match[0]):
            more = TO_ENDING.match(text, end) or (IN_FOLDER.search(match[0]) and TO_LINE_END.match(text, end))
            end = more.end() if more else end
        yield match.start(), end


def trimmed(link: str) -> str:
    """Without the punctuation of the sentence it stood in; a bracket that belongs to the link stays.

    A shell's backslashes go, and spaces are written as links have them.
    """
    link = link.replace("\\", "")
    while link and (link[-1] in BEHIND or unicodedata.category(link[-1]) in ("So", "Sk")):  # emoji
        if link[-1] in ")]" and link.count(link[-1]) <= link.count({")": "(", "]": "["}[link[-1]]):
            break
        link = link[:-1]
    return re.sub(r"[ \t]", "%20", link)


def one_link(text: str) -> str:
    """The one link in a pasted text, its scheme and host in lower case. Raises `Problem` for anything else."""
    links, bare = links_in(re.sub(r"(?i)\bhf://", "https://huggingface.co/", untangled(text))), text.strip(AROUND)
    if not links and WITHOUT_SCHEME.match(bare):
        links = [f"https://{bare}"]
    if len(links) > 1:
        raise Problem(
            f"There are {len(links)} links, but only one is needed.",
            "Paste only one, or use the cell **Add a model** for several.",
        )
    if not links:
        raise Problem(f"{without_secrets(bare)[:60]!r} is not a link.", "Paste one that starts with https://.")
    link = links[0]
    if re.match(AIR, link, re.IGNORECASE):
        return link
    scheme = link.partition(":")[0].lower()
    if scheme in ("http", "ftp"):
        raise Problem("The link is not encrypted.", "Use a link that starts with https://.")
    if scheme != "https":
        raise Problem(
            f"The launcher cannot download by a link that starts with {scheme}:.",
            "Use a link that starts with https://.",
        )
    try:
        parts = urlsplit(link)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not re.fullmatch(r"[\w.-]+", host):
        raise Problem("The link is incomplete.", "Copy it again, from your browser's address bar.")
    token = re.search(r"\bhf_\w+", parts.netloc.rpartition("@")[0], re.ASCII)  # of the hub, as git has it in a link
    where = f"{f'{token[0]}@' if token else ''}{host.lower()}{f':{port}' if port else ''}"
    return urlunsplit(("https", where, *parts[2:]))


def without_secrets(text: str) -> str:
    """With every link reduced to what may be shown, logged and written down: no keys, no signatures, no names."""
    shown, done = "", 0
    for start, end in (*places_of_links(text), (len(text), len(text))):
        around = WITHOUT_SCHEME.sub(lambda link: bare_link(f"//{link[0]}")[2:], text[done:start])
        shown += KEY.sub(r"\1…", LOGIN.sub("", around)) + bare_link(text[start:end])
        done = end
    return shown


def bare_link(link: str) -> str:
    if re.match(AIR, link, re.IGNORECASE):
        return link
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
    except ValueError:
        return link.partition("?")[0].rpartition("@")[2]
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name.lower() in HARMLESS]
    return urlunsplit((parts.scheme, host, parts.path, urlencode(kept), ""))


def safe_name(name: str) -> str:
    """A file name without any path, dot at the front, control character, or too many bytes.

    Raises `Problem` if it is not a model file. Brackets, emoji and spaces stay.
    """
    sound = name.encode("utf-8", "replace").decode()
    last = unicodedata.normalize("NFC", sound).replace("\\", "/").rpartition("/")[2]
    spaced = re.sub(r"\s", " ", last)
    shown = "".join(c for c in spaced if c == "\u200d" or unicodedata.category(c)[0] != "C")
    clean = re.sub(r"(?i)\.sft$", ".safetensors", re.sub(r'[<>:"|?*]', "_", shown).strip(". "))
    file, lower = clean if len(clean) <= 60 else f"{clean[:57]}…", clean.lower()
    ending = next((ending for ending in (*WEIGHTS, ".zip") if lower.endswith(ending)), "")
    stem = clean[: -len(ending)].encode()[: NAME_BYTES - len(ending)].decode("utf-8", "ignore").rstrip()
    for wrong, what, do in (
        (not clean, "The link does not tell what the file is called.",
            "Add it with the cell **Add a model**, and write a name like x.safetensors into its field **file_name**."),
        (UNPACK_FIRST.search(clean), f"{file!r} is an archive.", UNPACK),
        (lower.endswith(".gguf"), f"{file!r} is a GGUF file, which AUTOMATIC1111 cannot load.",
            "Choose a .safetensors file of a model for Stable Diffusion 1.5, 2.1 or XL."),
        (not ending or not stem.strip(". \u200d"), f"{file!r} is not the name of a model file.",
            f"Use a link to a file that ends in {', '.join(WEIGHTS)}."),
    ):  # fmt: skip
        if wrong:
            raise Problem(what, do)
    return stem + clean[-len(ending) :]
