"""A1111's source: its history kept on Drive, its files on the machine. Knows nothing of Python packages."""

import os
import re
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from launcher.core.fields import LAST_GOOD, NEWEST
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.git.git import OUR_REF, NoSuchName, git, resolve_ref
from launcher.git.history import pull_history, push_history
from launcher.git.repository import WEBUI_URL, Repository, check_out, newest_commit, wanted_commit
from launcher.git.versions import Tries, Versions

# Where to look when a repository is not at the address A1111 v1.10.1 has for it.
MIRRORS: Final = {
    # Gone from GitHub since December 2025 (AUTOMATIC1111#17204); A1111's own dev branch uses w-e-w's copy (#17207).
    "stable-diffusion-stability-ai": (
        "https://github.com/w-e-w/stablediffusion.git",
        "https://github.com/NUROISEA/stablediffusion.git",
    ),
}
# A1111's name of the variable -> the folder below repositories/ (modules/launch_utils.py, v1.10.1).
SUB_REPOSITORIES: Final = {
    "ASSETS": "stable-diffusion-webui-assets",
    "STABLE_DIFFUSION": "stable-diffusion-stability-ai",
    "STABLE_DIFFUSION_XL": "generative-models",
    "K_DIFFUSION": "k-diffusion",
    "BLIP": "BLIP",
}


def versions_to_try(
    folder: Folder, version: str, step: Step, newest: str = "", versions: Versions | None = None
) -> Tries:
    """The versions this launch may use, best first: what the field `version` says, then the one that worked last.

    `version` is `NEWEST`, `LAST_GOOD`, or the name of a branch, a tag or a commit; `newest` is the newest commit where
    somebody has asked for it already. Raises `Problem` where there is none: a name that A1111 does not have, no network
    and nothing kept.
    """
    versions = versions or Versions(folder.kept)
    good = versions.good
    if version == LAST_GOOD:
        step.say("reading the version kept on Drive")
        commit = good or kept_commit(folder) or newest or newest_commit()
    else:
        step.say("asking GitHub for the version")
        commit = (newest or newest_commit()) if version == NEWEST else named_commit(versions, version)
    if version == NEWEST and not commit and (commit := good or kept_commit(folder)):
        step.notice(f"GitHub did not answer, so the version kept on Drive is used ({commit[:8]}).")
    why = versions.failure(commit) if version == NEWEST and good not in ("", commit) else ""
    if why:
        step.notice(
            f"The newest AUTOMATIC1111 ({commit[:8]}) did not work before ({why.rstrip('.')}), so the version "
            "that worked "
            f"last ({good[:8]}) is used until there is a newer one."
        )
        commit = good
    if not commit:
        raise Problem(
            "GitHub is not answering, and no version of AUTOMATIC1111 is kept on Drive yet.",
            "Check that the runtime is connected to the internet, wait a minute, and press ▶ again.",
        )
    return Tries(versions, tuple(dict.fromkeys(found for found in (commit, good) if found)), version)


def named_commit(versions: Versions, name: str) -> str:
    """The commit that a branch, tag or (part of a) commit of A1111 means, or "" where GitHub does not answer and never
    did.

    Raises `Problem` for a name that A1111 does not have.
    """
    if re.fullmatch(r"[0-9a-f]{40}", name):
        return name
    try:
        commit = resolve_ref(WEBUI_URL, name)
    except NoSuchName as error:
        raise Problem(
            f"AUTOMATIC1111 has no version called {name}.",
            "Write a version such as v1.10.1, a branch such as dev, or all 40 digits of a commit in the field "
            "**version**.",
            field="version",
        ) from error
    if commit:
        versions.note_wanted(name, commit)
    return commit or versions.meant_by(name)


def kept_commit(folder: Folder) -> str:
    """The version in a folder that no launcher has noted anything about: what stands in its history, or ""."""
    return wanted_commit(pull_history(folder, folder.kept), Repository("", (), "HEAD"))


def check_out_version(folder: Folder, commit: str, step: Step) -> None:
    """Check that very commit of A1111 out on the machine. Raises `Problem` if neither Drive nor GitHub has it."""
    check_out(folder, Repository("", (WEBUI_URL,), commit), folder.code, refresh=False, step=step, used=False)


def keep_as_good(folder: Folder, tries: Tries) -> None:
    """The version has started: it is the one that worked last, and the history on Drive says so too."""
    history = pull_history(folder, folder.kept)
    git("update-ref", OUR_REF, tries.commit, at=history)
    push_history(folder, folder.kept)
    tries.worked()


def check_out_sub_repositories(folder: Folder, step: Step) -> None:
    """Check out the five repositories A1111 needs, side by side, by way of Drive; fetch only what Drive has not."""
    repositories = sub_repositories(folder.code)
    ready = 0

    def one(repository: Repository) -> None:
        check_out(folder, repository, folder.code / repository.folder, refresh=False, step=step)

    with ThreadPoolExecutor(len(repositories) or 1) as pool:
        for future in as_completed([pool.submit(one, repository) for repository in repositories]):
            future.result()
            ready += 1
            step.say(f"{ready} of {len(repositories)} parts ready")


def sub_repositories(code: Path) -> list[Repository]:
    """The repositories A1111 would clone itself, read from its own `modules/launch_utils.py`.

    The same variables as A1111's override them (STABLE_DIFFUSION_REPO, STABLE_DIFFUSION_COMMIT_HASH …).
    """
    text = (code / "modules" / "launch_utils.py").read_text()
    found = []
    for variable, name in SUB_REPOSITORIES.items():
        url = re.search(rf"""environ\.get\(['"]{variable}_REPO['"],\s*['"]([^'"]+)['"]\)""", text)
        commit = re.search(rf"""environ\.get\(['"]{variable}_COMMIT_HASH['"],\s*['"]([0-9a-f]{{40}})['"]\)""", text)
        if not url or not commit:
            continue
        chosen = os.environ.get(f"{variable}_REPO")
        urls = (chosen,) if chosen else (*MIRRORS.get(name, ()), url[1])
        found.append(Repository(f"repositories/{name}", urls, os.environ.get(f"{variable}_COMMIT_HASH", commit[1])))
    return found
