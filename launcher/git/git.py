"""Commands of git on one history or checkout."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from launcher.core.child_environment import GIT, child_environment
from launcher.core.folder import write_safely
from launcher.core.process import CommandError, run
from launcher.core.status import Step

OUR_REF: Final = "refs/oneclick/used"  # the commit we run; the person's own branches are never moved
OUR_BRANCHES: Final = "kept-changes-"  # branches with what people changed in files
# Settings that lie around would change the ends of lines, sign commits or run programs; a broken file stops git.
NO_SETTINGS: Final = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
NEVER_ASK: Final = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GCM_INTERACTIVE": "never", "LC_ALL": "C"}
SILENCE: Final = 120.0  # seconds git may say nothing
PLACED_MARK: Final = "oneclick-placed"  # in a checkout's .git: its history is kept on Drive; the commit we put there
BUSY_MARK: Final = "oneclick-busy"  # in a checkout's .git while its files are put there


def git(*arguments: str, at: Path | None = None, on_line: Callable[[str], None] = lambda line: None) -> str:
    """Run git without ever asking for a password, and without cleaning up behind our back."""
    env = child_environment(*GIT) | NEVER_ASK | NO_SETTINGS
    where = ["-C", str(at)] if at else []
    options = [
        "-c",
        "fetch.unpackLimit=1",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
        "-c",
        "core.fileMode=false",
        "-c",
        "advice.detachedHead=false",
    ]
    return run(["git", *where, *options, *arguments], env=env, on_line=on_line, timeout=SILENCE).strip()


def begin_history(history: Path, url: str, branch: str = "master", followed: str = "") -> None:
    """An empty history, with settings that suit Drive too: it is kept there.

    `branch` is what its checkouts are on; `followed` is one that a person chose in place of the main one.
    """
    for name in ("objects", "refs"):
        (history / ".git" / name).mkdir(parents=True, exist_ok=True)
    settings = (
        f'[core]\n\trepositoryformatversion = 0\n\tfilemode = false\n\tbare = false\n[remote "origin"]\n\turl = {url}\n'
    )
    if followed:
        settings += f"[oneclick]\n\tbranch = {followed}\n"
    write_safely(history / ".git" / "config", settings)
    write_safely(history / ".git" / "HEAD", f"ref: refs/heads/{branch}\n")  # last: with it the history counts as begun


def fetch(history: Path, url: str, wanted: str, step: Step) -> None:
    """Fetch one branch or commit. A history that is whole stays whole; a new one is shallow (2 MB, not 40)."""
    whole = (
        (history / ".git" / "HEAD").exists()
        and not (history / ".git" / "shallow").exists()
        and bool(used_or_head(history))
    )
    depth = [] if whole else ["--depth=1"]

    def on_line(line: str) -> None:
        found = re.search(r"Receiving objects:\s+(\d+)%.*?(, [\d.]+ \w+ \| [\d.]+ \w+/s)?$", line)
        if found:
            step.say(f"downloading: {found[1]}%{found[2] or ''}")

    git(
        "fetch",
        "--progress",
        "--no-tags",
        "--no-write-commit-graph",
        "--force",
        *depth,
        "--",
        url,
        wanted,
        at=history,
        on_line=on_line,
    )


def main_branch(url: str) -> str:
    """The name of a repository's main branch, or "" if the host does not say so."""
    try:
        found = re.match(r"ref: refs/heads/(\S+)\tHEAD", git("ls-remote", "--symref", "--", url, "HEAD"))
    except CommandError:
        return ""
    return found[1] if found else ""


def branches(url: str) -> list[str]:
    """The names of all branches at an address. Raises `CommandError`."""
    told = git("ls-remote", "--heads", "--", url).splitlines()
    return [line.partition("\trefs/heads/")[2] for line in told]


def branch_of(history: Path) -> str:
    """The branch that a history's checkouts are on."""
    try:
        return git("symbolic-ref", "--short", "--quiet", "HEAD", at=history)
    except CommandError:  # a person's own history, on no branch
        return "master"


def setting(repository: Path, name: str) -> str:
    """A setting of a repository's own, or ""."""
    try:
        return git("config", "--get", name, at=repository)
    except CommandError:
        return ""


class NoSuchName(Exception):
    """A repository has no branch, tag or commit of that name."""


def resolve_ref(url: str, name: str) -> str:
    """The commit that a branch, a tag, or the first digits of a commit mean at an address; "" if the host does not
    answer.

    Raises `NoSuchName` where the host answers that there is none.
    """
    try:
        told = git("ls-remote", "--heads", "--tags", "--", url)
    except CommandError:
        return ""
    refs = {ref: commit for commit, _, ref in (line.partition("\t") for line in told.splitlines())}
    for ref in (
        f"refs/tags/{name}^{{}}",
        f"refs/tags/{name}",
        f"refs/heads/{name}",
    ):  # ^{}: what a signed tag stands for
        if ref in refs:
            return refs[ref]
    starts = {commit for commit in refs.values() if len(name) >= 7 and commit.startswith(name)}
    if len(starts) != 1:
        raise NoSuchName(name)
    return starts.pop()


def used_or_head(history: Path) -> str:
    """The commit of the history, whatever it is, or ""."""
    try:
        return git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", at=history)
    except CommandError:
        return ""


def changed_files(checkout: Path) -> list[str]:
    """The files that git knows and that somebody changed or deleted, relative to the checkout."""
    if not used_or_head(checkout) or not (checkout / ".git" / "index").exists():
        return []
    told = git(
        "--no-optional-locks", "diff", "--name-only", "-z", "--no-renames", "--ignore-submodules", "HEAD", at=checkout
    )
    return [name for name in told.split("\0") if name]


def unchanged_files(checkout: Path) -> list[str]:
    """The files of a checkout that are as git has them: nothing need be kept of those but the history."""
    changed, found = set(changed_files(checkout)), []
    for entry in git("ls-files", "--stage", "-z", at=checkout).split("\0"):
        about, _, name = entry.partition("\t")
        if about.startswith("160000 ") and (checkout / name / ".git" / "index").exists():
            found += [f"{name}/{inside}" for inside in unchanged_files(checkout / name)]
        elif name and name not in changed:
            found.append(name)
    return found


def restore_missing(checkout: Path) -> list[str]:
    """Bring back files that somebody deleted from a checkout; return their names."""
    lost = [name for name in changed_files(checkout) if not os.path.lexists(checkout / name)]
    if lost:
        clear_stale_locks(checkout)
        git("checkout", "--quiet", "HEAD", "--", *lost, at=checkout)
    return lost


def clear_stale_locks(repository: Path) -> None:
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
