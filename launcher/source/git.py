"""Commands of git on one repository of the machine, or on one at an address."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from launcher.core.child_environment import GIT, child_environment
from launcher.core.process import CommandError, run
from launcher.core.status import Step

COMMITS: Final = "refs/oneclick/commits/"  # in a history: each commit that was fetched has a name of its own below it
# Settings that lie around would change the ends of lines, sign commits or run programs; a broken file stops git. What
# a repository on Drive lacks is not fetched by the address and the program that it names (git before 2.45 did).
NO_SETTINGS: Final = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_NO_LAZY_FETCH": "1"}
NEVER_ASK: Final = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GCM_INTERACTIVE": "never", "LC_ALL": "C"}
# Addresses come from Drive and from strangers: those that run programs (ext::, ssh) are refused.
PROTOCOLS: Final = {"GIT_ALLOW_PROTOCOL": "file:http:https"}
# No cleaning up behind our back, no programs that a repository names, no modes of files: Drive knows none.
OPTIONS: Final = (
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.unpackLimit=1", "-c", "core.fileMode=false"),
    *("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "advice.detachedHead=false"),
)
SILENCE: Final = 120.0  # seconds git may say nothing
PLACED_MARK: Final = "oneclick-placed"  # in a checkout's .git: its history is kept on Drive; the commit we put there
BUSY_MARK: Final = "oneclick-busy"  # in a checkout's .git while its files are put there


def git(*arguments: str, at: Path | None = None, on_line: Callable[[str], None] = lambda line: None) -> str:
    """Run git without ever asking for a password. Raises `CommandError`."""
    env = child_environment(*GIT) | NEVER_ASK | NO_SETTINGS | PROTOCOLS
    where = ["-C", str(at)] if at else []
    if at:  # where git cannot read that repository it would take the one around it
        env["GIT_CEILING_DIRECTORIES"] = str(at.parent)
    said = run(["git", *where, *OPTIONS, *arguments], env=env, on_line=on_line, timeout=SILENCE)
    return re.sub(r"\A(?:warning: redirecting to .*\n)+", "", said).strip()  # the repository has another name now


def fetch_commit(history: Path, url: str, wanted: str, step: Step | None = None) -> str:
    """Fetch one branch, tag or commit, without those before it (2 MB of A1111, not 40). Raises `CommandError`."""

    def on_line(line: str) -> None:
        found = re.search(r"Receiving objects:\s+(\d+)%.*?(, [\d.]+ \w+ \| [\d.]+ \w+/s)?$", line)
        if found and step:
            step.say(f"downloading: {found[1]}%{found[2] or ''}")

    git("fetch", "--progress", "--no-tags", "--force", "--depth=1", "--", url, wanted, at=history, on_line=on_line)
    commit = git("rev-parse", "--verify", "FETCH_HEAD^{commit}", at=history)
    git("update-ref", f"{COMMITS}{commit}", commit, at=history)
    return commit


def answer(*arguments: str, at: Path | None = None) -> str | None:
    """What git prints, or None where it fails."""
    try:
        return git(*arguments, at=at)
    except CommandError:
        return None


def holds(history: Path, commit: str) -> bool:
    """True if a history has that commit whole: only then it has a name there."""
    return answer("rev-parse", "--verify", "--quiet", f"{COMMITS}{commit}", at=history) is not None


def is_sound(git_dir: Path) -> bool:
    """False where it cannot be read, or lacks something; authors' faults do not count. Takes as long as it is large."""
    return answer(f"--git-dir={git_dir}", "fsck", "--no-progress", "--connectivity-only") is not None


def head_of(checkout: Path) -> str | None:
    return answer("rev-parse", "--verify", "--quiet", "HEAD^{commit}", at=checkout)


def setting(repository: Path, name: str) -> str | None:
    return answer("config", "--get", name, at=repository)


def changed_files(checkout: Path, git_dir: Path | None = None) -> list[str]:
    """The files that git knows and that somebody changed or deleted, relative to the checkout. `git_dir` stands for a
    `.git` whose settings are not to be trusted: they may name a program for each file.
    """
    there = git_dir or checkout / ".git"
    at = (f"--git-dir={there}", f"--work-tree={checkout}", "--no-optional-locks")
    if not (there / "index").exists() or not answer(*at, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"):
        return []
    listed = git(*at, "diff", "--name-only", "-z", "--no-renames", "--ignore-submodules", "HEAD")
    return [name for name in listed.split("\0") if name]


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
    for pattern in ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*", "objects/pack/*.lock"):
        for stale in (repository / ".git").glob(pattern):
            stale.unlink(missing_ok=True)


def last_words(error: CommandError) -> str:
    """The line in which git says what is wrong."""
    lines = [line.strip() for line in error.output.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (named or lines or [f"git ended with {error.code}"])[0][:200]
