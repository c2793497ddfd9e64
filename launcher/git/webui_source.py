"""A1111's source: its history kept on Drive, its files on the machine. Knows nothing of Python packages."""

import os
import re
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder
from launcher.core.reporter import Reporter
from launcher.git.repository import WEBUI_BRANCH, WEBUI_URL, Repository, bring

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


def bring_webui(
    folder: Folder,
    update: bool,
    reporter: Reporter,
    commit: str = "",
    newest: str = "",
) -> str:
    """Bring A1111 itself to the machine, by way of Drive; return its commit.

    With `commit` that very commit is used; `newest` is the newest one where somebody has asked already.
    Raises `Problem` if neither the network nor Drive has it.
    """
    reporter.say(
        "asking GitHub for the newest version" if update and not commit else "reading the version kept on Drive"
    )
    webui = Repository("", (WEBUI_URL,), commit or WEBUI_BRANCH)
    return bring(folder, webui, folder.code, refresh=update, reporter=reporter, newest=newest)


def bring_sub_repositories(folder: Folder, reporter: Reporter) -> None:
    """Bring the five repositories A1111 needs, side by side, by way of Drive; fetch only what Drive has not."""
    repositories = sub_repositories(folder.code)
    ready = 0

    def one(repository: Repository) -> None:
        bring(folder, repository, folder.code / repository.folder, refresh=False, reporter=reporter)

    with ThreadPoolExecutor(len(repositories) or 1) as pool:
        for future in as_completed([pool.submit(one, repository) for repository in repositories]):
            future.result()
            ready += 1
            reporter.say(f"{ready} of {len(repositories)} parts ready")


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
