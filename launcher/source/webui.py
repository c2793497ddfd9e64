"""A1111's source with the repositories it needs. Knows nothing of Python packages."""

import os
import re
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from launcher.core.fields import LAST_GOOD, NEWEST
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.source.checkout import Repository, check_out
from launcher.source.git import answer, resolve_ref
from launcher.source.kept import pull_history, used_commit
from launcher.source.versions import Tries, Versions

WEBUI_URL: Final = "https://github.com/AUTOMATIC1111/stable-diffusion-webui.git"
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


def versions_to_try(folder: Folder, version: str, step: Step, newest: str | None = None) -> Tries:
    """The versions this launch may use, best first: what the field `version` says, then the one that worked last.

    `version` is `NEWEST`, `LAST_GOOD`, or the name of a branch, a tag or a commit; `newest` is the newest commit where
    somebody has asked for it already. Raises `Problem` where there is none: a name that A1111 does not have, no network
    and nothing kept.
    """
    versions = Versions(folder.kept)
    good = versions.good
    step.say("reading the version kept on Drive" if version == LAST_GOOD else "asking GitHub for the version")
    kept = good or used_commit(pull_history(folder, folder.kept, step))  # a folder of others has no notes of ours
    if version == LAST_GOOD:
        commit = kept or newest or newest_commit()
    elif version == NEWEST:
        commit = newest or newest_commit()
    else:
        commit = named_commit(versions, version)
    if version == NEWEST and kept and not commit:
        step.notice(f"GitHub did not answer, so the version kept on Drive is used ({kept[:8]}).")
        commit = kept
    if version == NEWEST and commit and good and commit != good and (why := versions.failure(commit)):
        step.notice(
            f"The newest AUTOMATIC1111 ({commit[:8]}) did not work before ({why.rstrip('.')}), so the version that "
            f"worked last ({good[:8]}) is used until there is a newer one."
        )
        commit = good
    if not commit:
        raise Problem(
            "GitHub is not answering, and no version of AUTOMATIC1111 is kept on Drive yet.",
            "Check that the runtime is connected to the internet, wait a minute, and press ▶ again.",
        )
    return Tries(versions, tuple(dict.fromkeys(found for found in (commit, good) if found)), version)


def newest_commit(url: str = WEBUI_URL, ref: str = "refs/heads/master") -> str | None:
    """The commit that a branch is at now, if the host says so."""
    return (answer("ls-remote", "--", url, ref) or "").partition("\t")[0] or None


def named_commit(versions: Versions, name: str) -> str | None:
    """The commit that a branch, tag or (part of a) commit of A1111 means; None where GitHub does not answer and never
    did.

    Raises `Problem` for a name that A1111 does not have.
    """
    if re.fullmatch(r"[0-9a-f]{40}", name):
        return name
    try:
        commit = resolve_ref(WEBUI_URL, name)
    except LookupError as error:
        raise Problem(
            f"AUTOMATIC1111 has no version called {name}.",
            "Write a version such as v1.10.1, a branch such as dev, or all 40 digits of a commit in the field "
            "**version**.",
        ) from error
    if commit:
        versions.note_wanted(name, commit)
    return commit or versions.meant_by(name)


def check_out_version(folder: Folder, commit: str, step: Step) -> None:
    """Check that very commit of A1111 out on the machine. Raises `Problem` if neither Drive nor GitHub has it."""
    check_out(folder, Repository(".", (WEBUI_URL,), commit), folder.code, step)


def check_out_sub_repositories(folder: Folder, step: Step) -> None:
    """Check out the five repositories A1111 needs, side by side, by way of Drive; fetch only what Drive has not."""
    repositories = sub_repositories(folder.code)
    with ThreadPoolExecutor(len(repositories) or 1) as pool:
        waiting = [pool.submit(check_out, folder, one, folder.code / one.folder, step) for one in repositories]
        for ready, future in enumerate(as_completed(waiting), 1):
            future.result()
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
