"""One repository: its history kept on Drive, its files on the machine."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.status import Step
from launcher.git.git import (
    BUSY_MARK,
    OUR_BRANCHES,
    OUR_REF,
    PLACED_MARK,
    begin_history,
    branch_of,
    changed_files,
    clear_stale_locks,
    fetch,
    git,
    last_line,
    last_words,
    main_branch,
    used_or_head,
)
from launcher.git.history import pull_history, push_history

WEBUI_URL: Final = "https://github.com/AUTOMATIC1111/stable-diffusion-webui.git"
WEBUI_BRANCH: Final = "master"


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


def newest_commit(url: str = WEBUI_URL, branch: str = WEBUI_BRANCH) -> str:
    """The commit at a branch's tip now ("HEAD": of the main branch), or "" if the host does not say so."""
    try:
        return git("ls-remote", "--", url, branch if branch == "HEAD" else f"refs/heads/{branch}").partition("\t")[0]
    except CommandError:
        return ""


def check_out(
    folder: Folder,
    repository: Repository,
    files: Path,
    *,
    refresh: bool,
    step: Step,
    newest: str = "",
    used: bool = True,
) -> str:
    """Check a repository out on the machine, and keep its history on Drive; return the commit. See `keep_history`."""
    kept = folder.kept / repository.folder
    history = pull_history(folder, kept)
    commit = keep_history(history, repository, refresh=refresh, step=step, newest=newest, used=used)
    push_history(folder, kept)
    if put_files(history, commit, files, step):
        push_history(folder, kept)
    return commit


def keep_history(
    history: Path,
    repository: Repository,
    *,
    refresh: bool,
    step: Step,
    newest: str = "",
    used: bool = True,
) -> str:
    """Make sure that a history has what is wanted; return the commit.

    Only `.git` is written, and no branch of a person is moved. Every step may be cut and done again. Unless `used`, the
    name of the commit that is used (`OUR_REF`) stays where it is: whoever wants a version that may yet fail moves it
    later.
    """
    clear_stale_locks(history)
    have = wanted_commit(history, repository)
    if have and (repository.pinned or not refresh):
        if not repository.pinned:
            git("update-ref", OUR_REF, have, at=history)
        return have
    if not (history / ".git" / "HEAD").exists():
        followed = "" if repository.wanted == "HEAD" or repository.pinned else repository.wanted
        branch = followed or ("" if repository.pinned else main_branch(repository.urls[0])) or WEBUI_BRANCH
        begin_history(history, repository.urls[-1], branch, followed)
    failures: list[str] = []
    for url in repository.urls:
        try:
            if have and not repository.pinned and have == (newest or newest_commit(url, repository.wanted)):
                return have
            fetch(history, url, repository.wanted, step)
            commit = git("rev-parse", "--verify", "FETCH_HEAD^{commit}", at=history)
            if used:
                git("update-ref", OUR_REF, commit, at=history)
            return commit
        except CommandError as error:
            failures.append(f"{url}: {last_words(error)}")
    if have:
        step.notice(f"GitHub did not answer, so the version kept on Drive is used ({last_line(failures)}).")
        return have
    name = repository.folder or "AUTOMATIC1111"
    raise Problem(
        f"The source of {name} could not be downloaded: {last_line(failures)}.",
        "Check that the runtime is connected to the internet, wait a minute, and press ▶ again.",
    )


def wanted_commit(history: Path, repository: Repository) -> str:
    """The commit to use if the history has it whole, else ""."""
    if not (history / ".git" / "HEAD").exists():
        return ""
    names = [repository.wanted] if repository.pinned else [OUR_REF, "HEAD"]
    for name in names:
        try:
            parse = ("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            commit = name if repository.pinned else git(*parse, at=history)
            git("rev-list", "--objects", "--quiet", "--max-count=1", f"{commit}^{{commit}}", at=history)
            return commit
        except CommandError:
            continue
    return ""


def put_files(history: Path, commit: str, files: Path, step: Step) -> str:
    """Check `commit` out at `files`, from the history. HEAD moves last, so HEAD tells. Returns the branch with a
    person's changes, if any.
    """
    clear_stale_locks(files)
    busy, placed, branch = files / ".git" / BUSY_MARK, files / ".git" / PLACED_MARK, ""
    if used_or_head(files) == commit and not busy.exists():
        placed.write_text(commit)
        return branch
    if not busy.exists():  # a checkout that was cut off in the middle looks like changes of a person
        branch = keep_edits(files, history, step)
    if not (files / ".git" / "HEAD").exists():
        files.mkdir(parents=True, exist_ok=True)
        git("init", "--quiet", "--template=", str(files))
    busy.touch()
    git("fetch", "--quiet", "--no-tags", "--depth=1", f"file://{history}", commit, at=files)
    # On a branch: A1111 cannot read an extension that is on none (modules/extensions.py asks for the active branch).
    git("checkout", "--quiet", "--force", "-B", branch_of(history), commit, at=files)
    placed.write_text(commit)
    busy.unlink()
    return branch


def keep_edits(files: Path, history: Path, step: Step) -> str:
    """Put changes people made to a checkout's files into a branch of a history; return its name, or "" if there are
    none.

    `files` may be the folder on Drive itself. Nothing in it changes. The branch is named by its content, so that it is
    made once.
    """
    clear_stale_locks(files)
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
    step.notice(
        f"{files.name} contains changes you made ({names}). They are kept in the branch {branch}; the web UI uses the "
        "published files."
    )
    return branch
