"""Where an extension comes from: what people paste, and what its host answers."""

import re
from dataclasses import dataclass
from typing import Final

from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.source.git import git, last_words, main_branch

# What git says about an address -> what a person is told.
ADDRESS_FAILURES: Final = (
    (
        r"could not read Username|Authentication failed|terminal prompts disabled|error: 40[13]|not granted",
        "{url} asks for a login, or does not exist.",
        "Check the address. The launcher fetches public extensions only.",
    ),
    (
        r"not found|does not exist|error: 404|not valid: is this a git repository|dumb http|info/refs",
        "There is no git repository at {url}.",
        "Open the extension's main page, copy its address from your browser, and press ▶ again.",
    ),
    (
        r"Could not resolve host|Failed to connect|Connection refused|timed out|error: 5\d\d",
        "{url} does not answer.",
        "Check the address, wait a minute, and press ▶ again.",
    ),
)


@dataclass(frozen=True)
class Address:
    """Where an extension comes from. `inside` is what the link said behind /tree/: a branch, perhaps with a folder."""

    url: str  # for git
    name: str
    inside: str = ""


def checked_address(text: str) -> Address:
    """What a person pasted: an address for git, or of a page about the repository, in any of its spellings.

    Raises `Problem` for what is none, and for one with a password in it.
    """
    link = re.sub(r"^(?:ssh://)?git@([\w.-]+)[:/]", r"https://\1/", text.strip().strip("<>\"'` "))
    link = re.sub(r"^http://", "https://", re.sub(r"[?#].*$", "", link))
    if re.match(r"[\w-]+(?:\.[\w-]+)+/[\w.-]", link):
        link = f"https://{link}"
    found = re.fullmatch(
        r"https://(?P<login>[^/@\s]*@)?(?P<place>[\w.-]+(?::\d+)?(?:/[\w.~+-]+)+?)/?(?:/-)?"
        r"(?:/(?:tree|blob)/(?P<inside>\S*))?(?:/(?:releases|issues|wiki|pulls|commits)\b\S*)?",
        link,
    )
    if not found:
        raise Problem(
            f'"{text.strip()[:100]}" is not the address of a git repository.',
            "Paste an address like https://github.com/owner/name.",
            field="what",
        )
    if found["login"]:
        raise Problem(
            "The address has a user name or a password in it, which would end up on Google Drive.",
            "Paste it without the part before the @.",
            field="what",
        )
    place = found["place"].removesuffix(".git")
    name = place.rpartition("/")[2]
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise Problem(
            f'"{name}" cannot be the name of a folder.',
            "Paste an address like https://github.com/owner/name.",
            field="what",
        )
    return Address(f"https://{place}.git", name, (found["inside"] or "").strip("/"))


def branch_meant(address: Address) -> str:
    """The branch that a link to a page of one means, or "" for the main one. Raises `Problem` if there is none."""
    if not address.inside:
        return ""
    listed = git("ls-remote", "--heads", "--", address.url).splitlines()
    there = [line.partition("\trefs/heads/")[2] for line in listed]
    meant = [name for name in there if f"{address.inside}/".startswith(f"{name}/")]
    if not meant:
        raise Problem(
            f"{address.url} has no branch called {address.inside.partition('/')[0]}.",
            "Paste the address of the repository's front page, or of one of its branches.",
            field="what",
        )
    branch = max(meant, key=len)
    return "" if branch == main_branch(address.url) else branch


def head_commit(url: str, ref: str = "HEAD") -> str:
    """The newest commit at an address; raises `Problem` with one sentence if there is none to be had."""
    try:
        told = git("ls-remote", "--", url, ref)
    except CommandError as error:
        for pattern, what, do in ADDRESS_FAILURES:
            if re.search(pattern, error.output, re.IGNORECASE):
                raise Problem(what.format(url=url), do, field="what") from error
        raise Problem(
            f"{url} could not be read: {last_words(error)}.", "Check the address and press ▶ again.", field="what"
        ) from error
    if not told:
        lost = f"has no branch called {ref.removeprefix('refs/heads/')} any more" if ref != "HEAD" else "is empty"
        raise Problem(f"The repository at {url} {lost}.", "Check the address.", field="what")
    return told.split()[0]


def same_address(one: str, other: str) -> bool:
    """True for two spellings of one address."""
    return one.lower().removesuffix("/").removesuffix(".git") == other.lower().removesuffix("/").removesuffix(".git")
