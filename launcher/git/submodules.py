"""The repositories inside a repository: found in a commit, checked out below it, their histories kept on Drive too."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urljoin

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.status import Step
from launcher.git.git import git
from launcher.git.repository import Repository, check_out

DEEPEST: Final = 3  # repositories in repositories in repositories


@dataclass(frozen=True)
class Submodule:
    """One repository inside another: its folder, where it comes from, and its commit."""

    path: str  # relative to the repository around it
    url: str
    commit: str


def submodules(history: Path, commit: str, origin: str) -> Iterator[Submodule]:
    """The submodules of a commit. `origin` is the address that relative ones start from.

    Only https addresses, and folders below the repository, are given: `.gitmodules` is written by strangers.
    """
    places = dict(gitlinks(history, commit))
    if not places:
        return
    named: dict[str, dict[str, str]] = {}
    try:
        told = git("config", "--blob", f"{commit}:.gitmodules", "--null", "--list", at=history)
    except CommandError:  # there are links to commits, and nothing that says where they can be had
        return
    for key, _, value in (entry.partition("\n") for entry in told.split("\0")):
        found = re.fullmatch(r"submodule\.(.+)\.(path|url)", key, re.DOTALL)
        if found:
            named.setdefault(found[1], {})[found[2]] = value
    for one in named.values():
        path, url = one.get("path", ""), absolute(one.get("url", ""), origin)
        inside = PurePosixPath(path)
        if path in places and url and not inside.is_absolute() and not {"..", ".git"} & set(inside.parts):
            yield Submodule(path, url, places[path])


def gitlinks(history: Path, commit: str) -> Iterator[tuple[str, str]]:
    """(folder, commit) of each link to another repository in a commit's tree."""
    for entry in git("ls-tree", "-r", "-z", commit, at=history).split("\0"):
        mode, _, rest = entry.partition(" ")
        if mode == "160000":
            kind_and_commit, _, path = rest.partition("\t")
            yield path, kind_and_commit.rpartition(" ")[2]


def absolute(url: str, origin: str) -> str:
    """A submodule's address as one for https, or "". A relative one starts from the repository around it."""
    if url.startswith(("./", "../")):
        url = urljoin(f"{origin.removesuffix('/')}/", url)
    url = re.sub(r"^(?:ssh://)?git@([\w.-]+)[:/]", r"https://\1/", url)
    url = re.sub(r"^(?:http|git)://", "https://", url)
    return url if re.fullmatch(r"https://[\w.-]+(?::\d+)?(?:/[\w.~+-]+)+/?", url) else ""


def check_out_submodules(
    folder: Folder,
    around: str,
    history: Path,
    files: Path,
    commit: str,
    origin: str,
    step: Step,
    depth: int = 0,
) -> None:
    """Check out what lies inside the repository whose folder on Drive is `around`. One that cannot be had is said."""
    for one in submodules(history, commit, origin):
        place = f"{around}/{one.path}"
        try:
            check_out(folder, Repository(place, (one.url,), one.commit), files / one.path, refresh=False, step=step)
        except Problem as problem:
            step.notice(
                f"A part of {PurePosixPath(around).name} could not be downloaded ({one.path}): {problem.what}",
                about=place,
            )
            continue
        if depth < DEEPEST:
            inner = folder.history(folder.kept / place)
            check_out_submodules(folder, place, inner, files / one.path, one.commit, one.url, step, depth + 1)
