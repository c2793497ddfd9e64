"""Versions of A1111: which started and which did not (`versions.json` on Drive), and which a launch tries, in order."""

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Final

from launcher.core.fields import LAST_GOOD, NEWEST
from launcher.core.folder import Folder, write_safely
from launcher.core.outside import printable
from launcher.core.problem import Problem
from launcher.core.process import PACKAGE
from launcher.core.session import read_object
from launcher.core.status import Step
from launcher.source.checkout import WEBUI_URL
from launcher.source.git import answer
from launcher.source.kept import pull_history, used_commit

VERSIONS: Final = "versions.json"
OLD_NOTES: Final = "oneclick.json"  # launchers before this one noted {"last_good": commit} there
LONGEST_REASON: Final = 300  # characters


class Stage(Enum):
    """What a version must get through, and how the panel says that it failed there."""

    SOURCE = "its source could not be downloaded"
    PACKAGES = "its packages could not be installed"
    START = "it did not start"


class Versions:
    """The one owner of `versions.json` in the folder on Drive. Nothing else reads or writes it.

    good: the commit that started last. wanted: what names in the field `version` meant when GitHub last answered.
    failed: commits that failed while another one worked, why, and with which launcher: with other pins one may work.
    """

    def __init__(self, kept: Path) -> None:
        self.file = kept / VERSIONS
        found = read_object(self.file)
        self.good = commit_in(found.get("good")) or commit_in(read_object(kept / OLD_NOTES).get("last_good"))
        tables = (found.get("wanted"), found.get("failed"))
        self._wanted, self._failed = (one if isinstance(one, dict) else {} for one in tables)

    def failure(self, commit: str) -> str | None:
        """Why that commit should not be tried again."""
        found = self._failed.get(commit)
        if isinstance(found, dict) and found.get("launcher") == PACKAGE.name:
            return printable(str(found.get("why")))[:LONGEST_REASON]
        return None

    def meant_by(self, name: str) -> str | None:
        """The commit that a branch or tag meant when GitHub last said so."""
        return commit_in(self._wanted.get(name))

    def release_of(self, commit: str) -> str | None:
        """The name of the release that this commit is, as far as GitHub has said so."""
        names = (name for name in self._wanted if re.fullmatch(r"v\d[\w.-]*", name))
        return next((name for name in names if self.meant_by(name) == commit), None)

    def note_wanted(self, name: str, commit: str) -> None:
        """A branch or tag means this commit now."""
        if self.meant_by(name) != commit:
            self._wanted[name] = commit
            self._write()

    def note_good(self, commit: str, failed: dict[str, str]) -> None:
        """That commit has started, and those failed (commit to the reason) before it did."""
        self.good = commit
        self._failed.pop(commit, None)
        self._failed |= {other: {"why": why, "launcher": PACKAGE.name} for other, why in failed.items()}
        self._write()

    def _write(self) -> None:
        noted = {"good": self.good, "wanted": self._wanted, "failed": self._failed}
        write_safely(self.file, json.dumps(noted, indent=1))


def commit_in(value: object) -> str | None:
    """What a file on Drive says is a commit, if it is one: git gets it as an argument."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40}", value) else None


class Tries:
    """The versions one launch may use, best first: `reach` goes on to the next when one fails. A failure is noted on
    Drive only once a later version has worked: if none does, the versions are not to blame.
    """

    def __init__(self, versions: Versions, commits: tuple[str, ...]) -> None:
        self.versions, self.commits = versions, commits
        self.failed: dict[str, str] = {}
        self._done: set[Stage] = set()  # by the version that is used now

    @property
    def commit(self) -> str:
        return self.commits[len(self.failed)]

    def reach(self, stage: Stage, works: Mapping[Stage, Callable[[str], object]], step: Step) -> None:
        """Do the work for each stage up to this one, in their order, with the first version for which all succeed. What
        is done for a version already is not done again. Raises the `Problem` of the last version.
        """
        while True:
            try:
                for at in Stage:
                    if at not in self._done:
                        works[at](self.commit)
                        self._done.add(at)
                    if at is stage:
                        return
            except Problem as problem:
                if self.commit == self.commits[-1]:
                    raise
                failed = self.commit
                self.failed[failed] = f"{at.value}: {problem.what}"
                self._done.clear()  # files and packages are about to be another version's
                step.notice(
                    f"AUTOMATIC1111 {failed[:8]} is not used, because {at.value}: {problem.what} "
                    f"The version that worked last ({self.commit[:8]}) is used instead."
                )

    def worked(self) -> None:
        """The version has started: from now on it is the one that worked last."""
        self.versions.note_good(self.commit, self.failed)


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
    if version in (NEWEST, LAST_GOOD):
        commit = (kept if version == LAST_GOOD else None) or newest or newest_commit()
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
    if not commit and kept:
        raise Problem(
            f"GitHub is not answering, and does not say what the version {version} is.",
            f"Wait a minute and press ▶ again, or choose {LAST_GOOD} as **version** under **Choices**.",
        )
    if not commit:
        raise Problem(
            "GitHub is not answering, and no version of AUTOMATIC1111 is kept on Drive yet.",
            "Check that the runtime is connected to the internet, wait a minute, and press ▶ again.",
        )
    return Tries(versions, tuple(dict.fromkeys(found for found in (commit, good) if found)))


def newest_commit(url: str = WEBUI_URL, ref: str = "refs/heads/master") -> str | None:
    """The commit that a branch is at now, if the host says so."""
    return (answer("ls-remote", "--", url, ref) or "").partition("\t")[0] or None


def named_commit(versions: Versions, name: str) -> str | None:
    """The commit that a branch, tag or (part of a) commit of A1111 means; None where GitHub does not answer and never
    did. Raises `Problem` for a name that A1111 does not have.
    """
    if commit_in(name):
        return name
    commit = resolve_ref(WEBUI_URL, name)
    if commit:
        versions.note_wanted(name, commit)
    return commit or versions.meant_by(name)


def resolve_ref(url: str, name: str) -> str | None:
    """The same, as that host has it now; None where it does not answer."""
    listed = answer("ls-remote", "--heads", "--tags", "--", url)
    if not listed:
        return None
    refs = {ref: commit for commit, _, ref in (line.partition("\t") for line in listed.splitlines())}
    tags = (name, f"v{name.lower().removeprefix('v')}")  # people write 1.9.4 for v1.9.4
    # ^{}: what a signed tag is for
    for ref in (*(f"refs/tags/{tag}{end}" for tag in tags for end in ("^{}", "")), f"refs/heads/{name}"):
        if ref in refs:
            return refs[ref]
    starts = {commit for commit in refs.values() if len(name) >= 7 and commit.startswith(name)}
    if len(starts) == 1:
        return starts.pop()
    raise Problem(
        f"AUTOMATIC1111 has no version called {name}.",
        "Write a version such as v1.10.1, a branch such as dev, or all 40 digits of a commit into **version** "
        "under **Choices**, press **Apply**, and then ▶.",
    )
