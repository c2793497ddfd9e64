"""Where an extension comes from: those that can be added by their name, what people paste, what its host answers."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.models.identify import WEIGHTS
from launcher.models.pasted import without_secrets
from launcher.models.sources import civitai, direct, hugging_face
from launcher.source.git import git, last_words

EXAMPLE: Final = "Paste an address like https://github.com/owner/name."
# What git says about an address -> what a person is told.
ADDRESS_FAILURES: Final = (
    (
        r"has been disabled|unavailable due to|error: 451",
        "{url} was taken down by its host.",
        "Look for the extension's new page, and paste its address.",
    ),
    (
        r"could not read Username|Authentication failed|terminal prompts disabled|error: 40[13]|not granted",
        "{url} asks for a login, or does not exist.",
        "Check the address. The launcher fetches public extensions only.",
    ),
    (
        r"not found|does not exist|error: 404|not valid: is this a git repository|dumb http|info/refs",
        "There is no git repository at {url}.",
        "Open the extension's main page, and copy its address from your browser.",
    ),
    (
        r"Could not resolve host|Failed to connect|Connection refused|timed out|error: 5\d\d",
        "{url} does not answer.",
        "Check the address, or wait a minute and try again.",
    ),
)
MODEL_HOSTS: Final = (*hugging_face.HOSTS, *civitai.HOSTS, *direct.DRIVE_HOSTS)
GIT_HOSTS: Final = ("github.com", "gitlab.com", "codeberg.org", "bitbucket.org", "gitee.com")
# On these hosts, what is a file and no repository.
NO_REPOSITORY: Final = re.compile(
    rf"/(?:raw|releases/download|files/\d+)/|(?:{'|'.join(re.escape(one) for one in WEIGHTS)})$", re.IGNORECASE
)
# Those that can be added by their name: each was used on the real AUTOMATIC1111 (docs/extensions.md).
# NAME IN WORDS | OWNER/NAME on GitHub
KNOWN_TABLE: Final = """
ControlNet | Mikubill/sd-webui-controlnet
ADetailer | Bing-su/adetailer
Tag completion | DominikDoom/a1111-sd-webui-tagcomplete
Image browser | AlUlkesh/stable-diffusion-webui-images-browser
Infinite image browsing | zanllp/sd-webui-infinite-image-browsing
Civitai browser | BlafKing/sd-civitai-browser-plus
Civitai Helper | butaixianran/Stable-Diffusion-Webui-Civitai-Helper
Dynamic prompts | adieyal/sd-dynamic-prompts
Regional prompter | hako-mikan/sd-webui-regional-prompter
Tiled diffusion | pkuliyi2015/multidiffusion-upscaler-for-automatic1111
Ultimate SD upscale | Coyote-A/ultimate-upscale-for-automatic1111
WD14 tagger | picobyte/stable-diffusion-webui-wd14-tagger
Remove background | AUTOMATIC1111/stable-diffusion-webui-rembg
Segment anything | continue-revolution/sd-webui-segment-anything
OpenPose editor | huchenlei/sd-webui-openpose-editor
Style selector | ahgsql/StyleSelectorXL
Dataset tag editor | toshiaki1729/stable-diffusion-webui-dataset-tag-editor
AnimateDiff | continue-revolution/sd-webui-animatediff
LoRA block weight | hako-mikan/sd-webui-lora-block-weight
Dynamic thresholding | mcmonkeyprojects/sd-dynamic-thresholding
Cutoff | hnmr293/sd-webui-cutoff
Inpaint anything | Uminosachi/sd-webui-inpaint-anything
"""
KNOWN_EXTENSIONS: Final = {
    name.strip(): f"https://github.com/{repository.strip()}.git"
    for name, _, repository in (line.partition("|") for line in KNOWN_TABLE.strip().splitlines())
}
# What one press adds, beside the upscaler.
USUAL_EXTENSIONS: Final = ("ADetailer", "Tag completion", "Image browser", "Civitai browser")
USUAL_MODELS: Final = ("4x-UltraSharp",)


@dataclass(frozen=True)
class Address:
    """Where an extension comes from."""

    url: str  # for git
    name: str
    page: str | None = None  # what the link said behind /tree/: the main branch is installed all the same


def is_repository(text: str, git_first: bool = False) -> bool:
    """True for the address of a repository that may be an extension, not of a model or a file. `git_first`: one on a
    host that is known for neither is taken for a repository.
    """
    if re.match(r"(?:ssh://)?git@", text):
        return not any(f"@{host}" in text for host in MODEL_HOSTS)
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return False
    if host in MODEL_HOSTS or parts.scheme not in ("http", "https", "ssh", "git") or NO_REPOSITORY.search(parts.path):
        return False
    return (host in GIT_HOSTS and parts.path.strip("/").count("/") > 0) or git_first or parts.path.endswith(".git")


def checked_address(text: str) -> Address:
    """What a person pasted: an address for git, or of a page about the repository, in any of its spellings. Raises
    `Problem` for what is none, and for one with a password in it.
    """
    link = re.sub(r"^(?:ssh://)?git@([\w.-]+)[:/]", r"https://\1/", text.strip().strip("<>\"'` "))
    link = re.sub(r"(?i)^(?:https?|git)://(?:www\.)?", "https://", re.sub(r"[?#].*$", "", link))
    if re.match(r"[\w-]+(?:\.[\w-]+)+/[\w.-]", link):
        link = f"https://{link}"
    found = re.fullmatch(
        r"https://(?P<login>[^/@\s]*@)?(?P<repository>[\w.-]+(?::\d+)?(?:/[\w.~+-]+)+?)/?(?:/-)?"
        r"(?:/(?:tree|blob|commit|releases/tag|src(?=/(?:branch|commit|tag|main|master)\b))/(?P<page>\S*))?"
        r"(?:/(?:releases|issues|wiki|pulls?|commits?|actions|discussions)\b\S*)?",
        link,
    )
    if not found:
        raise Problem(f'"{without_secrets(text.strip())[:100]}" is not the address of a git repository.', EXAMPLE)
    if found["login"]:
        raise Problem(
            "The address has a user name or a password in it, which would end up on Google Drive.",
            "Paste it without the part before the @.",
        )
    host, *words = found["repository"].split("/")
    words = words[:2] if host.lower() == "github.com" else words
    repository = "/".join((host.lower(), *words)).removesuffix(".git")
    name = repository.rpartition("/")[2]
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise Problem(f'"{name}" cannot be the name of a folder.', EXAMPLE)
    return Address(f"https://{repository}.git", name, found["page"])


def head_commit(url: str, ref: str = "HEAD") -> str:
    """The newest commit at an address; raises `Problem` with one sentence if there is none to be had."""
    try:
        response = git("ls-remote", "--", url, ref)
    except CommandError as error:
        for pattern, what, do in ADDRESS_FAILURES:
            if re.search(pattern, error.output, re.IGNORECASE):
                raise Problem(what.format(url=url), do) from error
        raise Problem(f"{url} could not be read: {last_words(error)}.", "Check the address, and try again.") from error
    if not response:
        lost = f"has no branch called {ref.removeprefix('refs/heads/')} any more" if ref != "HEAD" else "is empty"
        raise Problem(f"The repository at {url} {lost}.", "Check the address.")
    return response.split()[0]
