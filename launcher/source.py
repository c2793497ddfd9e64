"""A1111's source: its history kept on Drive, its files on the machine. Knows nothing of Python packages."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.folder import Folder, write_safely
from launcher.history import OUR_BRANCHES, OUR_REF, pull_history, push_history
from launcher.problem import Problem
from launcher.process import CommandError, run

WEBUI_URL: Final = "https://github.com/AUTOMATIC1111/stable-diffusion-webui.git"
WEBUI_BRANCH: Final = "master"
SILENCE: Final = 120.0  # seconds git may say nothing

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


@dataclass(frozen=True)
class Repository:
    """One repository: its folder below the web UI's, the addresses in order, and what to run of it."""

    folder: str  # "" for the web UI itself
    urls: tuple[str, ...]
    wanted: str  # a branch, or a commit of 40 hex digits

    @property
    def pinned(self) -> bool:
        """True if `wanted` is a commit, which never changes."""
        return bool(re.fullmatch(r"[0-9a-f]{40}", self.wanted))


def git(*arguments: str, at: Path | None = None, on_line: Callable[[str], None] = lambda line: None) -> str:
    """Run git without ever asking for a password, and without cleaning up behind our back."""
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GCM_INTERACTIVE": "never", "LC_ALL": "C"}
    where = ["-C", str(at)] if at else []
    options = ["-c", "fetch.unpackLimit=1", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.fileMode=false", "-c", "advice.detachedHead=false"]
    return run(["git", *where, *options, *arguments], env=env, on_line=on_line, timeout=SILENCE).strip()


def newest_commit(url: str = WEBUI_URL, branch: str = WEBUI_BRANCH) -> str:
    """The commit at a branch's tip now ("HEAD": of the main branch), or "" if the host does not say so."""
    try:
        return git("ls-remote", url, branch if branch == "HEAD" else f"refs/heads/{branch}").partition("\t")[0]
    except CommandError:
        return ""


def bring_webui(folder: Folder, update: bool, say: Callable[[str], None], notice: Callable[[str], None], commit: str = "", newest: str = "") -> str:
    """Bring A1111 itself to the machine, by way of Drive; return its commit.

    With `commit` that very commit is used; `newest` is the newest one where somebody has asked already.
    Raises `Problem` if neither the network nor Drive has it.
    """
    say("asking GitHub for the newest version" if update and not commit else "reading the version kept on Drive")
    webui = Repository("", (WEBUI_URL,), commit or WEBUI_BRANCH)
    return bring(folder, webui, folder.code, refresh=update, notice=notice, say=say, newest=newest)


def bring_sub_repositories(folder: Folder, say: Callable[[str], None], notice: Callable[[str], None]) -> None:
    """Bring the five repositories A1111 needs, side by side, by way of Drive; fetch only what Drive has not."""
    repositories = sub_repositories(folder.code)
    ready = 0

    def one(repository: Repository) -> None:
        bring(folder, repository, folder.code / repository.folder, refresh=False, notice=notice, say=lambda text: None)

    with ThreadPoolExecutor(len(repositories) or 1) as pool:
        for future in as_completed([pool.submit(one, repository) for repository in repositories]):
            future.result()
            ready += 1
            say(f"{ready} of {len(repositories)} parts ready")


def bring(
    folder: Folder, repository: Repository, files: Path, *, refresh: bool, notice: Callable[[str], None], say: Callable[[str], None], newest: str = ""
) -> str:
    """Bring a repository's files to the machine, and keep its history on Drive; return the commit. See `keep_history`."""
    kept = folder.kept / repository.folder
    history = pull_history(folder, kept)
    commit = keep_history(history, repository, refresh=refresh, notice=notice, say=say, newest=newest)
    push_history(folder, kept)
    if put_files(history, commit, files, notice):
        push_history(folder, kept)
    return commit


def keep_history(history: Path, repository: Repository, *, refresh: bool, notice: Callable[[str], None], say: Callable[[str], None], newest: str = "") -> str:
    """Make sure that a history has what is wanted; return the commit.

    Only `.git` is written, and no branch of a person is moved. Every step may be cut and done again.
    """
    mend(history)
    have = wanted_commit(history, repository)
    if have and (repository.pinned or not refresh):
        if not repository.pinned:
            git("update-ref", OUR_REF, have, at=history)
        return have
    if not (history / ".git" / "HEAD").exists():
        begin_history(history, repository.urls[-1])
    failures: list[str] = []
    for url in repository.urls:
        try:
            if have and not repository.pinned and have == (newest or newest_commit(url, repository.wanted)):
                return have
            fetch(history, url, repository.wanted, say)
            commit = git("rev-parse", "--verify", "FETCH_HEAD^{commit}", at=history)
            git("update-ref", OUR_REF, commit, at=history)
            return commit
        except CommandError as error:
            failures.append(f"{url}: {last_words(error)}")
    if have:
        notice(f"GitHub did not answer, so the version kept on Drive is used ({last_line(failures)}).")
        return have
    name = repository.folder or "AUTOMATIC1111"
    raise Problem(
        f"The source of {name} could not be fetched: {last_line(failures)}.",
        "Check that the runtime is connected to the internet, wait a minute, and press ▶ again.",
    )


def begin_history(history: Path, url: str) -> None:
    """An empty history, with settings that suit Drive too: it is kept there."""
    for name in ("objects", "refs"):
        (history / ".git" / name).mkdir(parents=True, exist_ok=True)
    settings = f'[core]\n\trepositoryformatversion = 0\n\tfilemode = false\n\tbare = false\n[remote "origin"]\n\turl = {url}\n'
    write_safely(history / ".git" / "config", settings)
    write_safely(history / ".git" / "HEAD", "ref: refs/heads/master\n")  # last: with it the history counts as begun


def wanted_commit(history: Path, repository: Repository) -> str:
    """The commit to use if the history has it whole, else ""."""
    if not (history / ".git" / "HEAD").exists():
        return ""
    names = [repository.wanted] if repository.pinned else [OUR_REF, "HEAD"]
    for name in names:
        try:
            commit = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", at=history)
            git("rev-list", "--objects", "--quiet", "--max-count=1", commit, at=history)
            return commit
        except CommandError:
            continue
    return ""


def fetch(history: Path, url: str, wanted: str, say: Callable[[str], None]) -> None:
    """Fetch one branch or commit. A history that is whole stays whole; a new one is shallow (2 MB, not 40)."""
    whole = (history / ".git" / "HEAD").exists() and not (history / ".git" / "shallow").exists() and bool(used_or_head(history))
    depth = [] if whole else ["--depth=1"]

    def on_line(line: str) -> None:
        found = re.search(r"Receiving objects:\s+(\d+)%.*?(, [\d.]+ \w+ \| [\d.]+ \w+/s)?$", line)
        if found:
            say(f"fetching: {found[1]} %{found[2] or ''}")

    git("fetch", "--progress", "--no-tags", "--no-write-commit-graph", "--force", *depth, url, wanted, at=history, on_line=on_line)


def used_or_head(history: Path) -> str:
    """The commit of the history, whatever it is, or ""."""
    try:
        return git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", at=history)
    except CommandError:
        return ""


def put_files(history: Path, commit: str, files: Path, notice: Callable[[str], None]) -> str:
    """Check `commit` out at `files`, from the history. HEAD moves last, so HEAD tells. Returns the branch with a person's changes, if any."""
    mend(files)
    busy, branch = files / ".git" / "oneclick-busy", ""
    if used_or_head(files) == commit and not busy.exists():
        return branch
    if not busy.exists():  # a checkout that was cut off in the middle looks like changes of a person
        branch = keep_edits(files, history, notice)
    if not (files / ".git" / "HEAD").exists():
        files.mkdir(parents=True, exist_ok=True)
        git("init", "--quiet", "--template=", str(files))
    busy.touch()
    git("fetch", "--quiet", "--no-tags", "--depth=1", f"file://{history}", commit, at=files)
    git("checkout", "--quiet", "--force", "--detach", commit, at=files)
    busy.unlink()
    return branch


def changed_files(checkout: Path) -> list[str]:
    """The files that git knows and that somebody changed or deleted, relative to the checkout."""
    if not used_or_head(checkout) or not (checkout / ".git" / "index").exists():
        return []
    told = git("--no-optional-locks", "diff", "--name-only", "-z", "--no-renames", "HEAD", at=checkout)
    return [name for name in told.split("\0") if name]


def restore_missing(checkout: Path) -> list[str]:
    """Bring back files that somebody deleted from a checkout; return their names."""
    lost = [name for name in changed_files(checkout) if not os.path.lexists(checkout / name)]
    if lost:
        mend(checkout)
        git("checkout", "--quiet", "HEAD", "--", *lost, at=checkout)
    return lost


def keep_edits(files: Path, history: Path, notice: Callable[[str], None]) -> str:
    """Put changes people made to a checkout's files into a branch of a history; return its name, or "" if there are none.

    `files` may be the folder on Drive itself. Nothing in it changes. The branch is named by its content, so that it is made once.
    """
    mend(files)
    changed = [name for name in changed_files(files) if (files / name).exists()]
    if not changed:
        return ""
    who = ("-c", "user.name=one-click launcher", "-c", "user.email=launcher@localhost")
    commit = git(*who, "stash", "create", "changes kept by the one-click launcher", at=files)
    branch = f"{OUR_BRANCHES}{git('rev-parse', f'{commit}^{{tree}}', at=files)[:8]}"
    if git("for-each-ref", f"refs/heads/{branch}", at=history):
        return branch
    git("update-ref", f"refs/heads/{branch}", commit, at=files)
    if files != history:
        git("fetch", "--quiet", "--no-tags", f"file://{files}", f"refs/heads/{branch}:refs/heads/{branch}", at=history)
    names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    notice(f"{files.name} has changes of yours ({names}). They are kept in its branch {branch}; the web UI uses the files as they were published.")
    return branch


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


def mend(repository: Path) -> None:
    """Take away what a killed git leaves behind: lock files and unfinished packs. No other git runs here."""
    inside = repository / ".git"
    if not inside.is_dir():
        return
    for pattern in ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*", "objects/pack/*.lock"):
        for stale in inside.glob(pattern):
            stale.unlink(missing_ok=True)


def last_words(error: CommandError) -> str:
    """The line in which git says what is wrong."""
    lines = [line.strip() for line in error.output.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (told or lines or [f"git ended with {error.code}"])[0]


def last_line(failures: list[str]) -> str:
    """The last failure, short."""
    return failures[-1][:200] if failures else "no address"
