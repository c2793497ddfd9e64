"""Always a way back: a version of A1111 counts once it has started; whatever fails with a new one, the last good one is
used.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.core.fields import LAST_GOOD, NEWEST
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.python import uv
from launcher.python.lock import CONSTRAINTS, LOCKED_VERSION
from launcher.source import versions
from launcher.source.checkout import check_out_sub_repositories, check_out_version
from launcher.source.versions import Stage, Tries, Versions, versions_to_try
from tests.world import WEBUI, World
from tests.world.githost import git
from tests.world.heard import Heard

FAILURES = ("source", "part", "package", "start")
NOWHERE = "f" * 40  # a commit that GitHub tells of and then does not have


@pytest.fixture
def folder(world: World, folder_with_git: Folder) -> Folder:
    world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"first"})  # without sub-repositories: faster
    return folder_with_git


class OneLaunch:
    """What a launch does with versions, less the packages and the web UI: those fail for the commits in `broken`."""

    def __init__(self, folder: Folder, broken: dict[str, str]) -> None:
        self.folder, self.broken = folder, broken
        self.heard, self.did = Heard(), list[tuple[str, str]]()

    def run(self, version: str, newest: str = "") -> str:
        tries = versions_to_try(self.folder, version, self.heard, newest)
        self._stages(tries)
        tries.worked()
        return tries.commit

    def _stages(self, tries: Tries) -> None:
        works = {Stage.SOURCE: self.bring, Stage.PACKAGES: self.doing("package"), Stage.START: self.doing("start")}
        for stage in works:  # the launch's steps: source, packages, web UI
            tries.reach(stage, works, self.heard)

    def bring(self, commit: str) -> None:
        self.did.append(("source", commit))
        check_out_version(self.folder, commit, self.heard)
        check_out_sub_repositories(self.folder, self.heard)

    def doing(self, what: str) -> Callable[[str], None]:
        def work(commit: str) -> None:
            self.did.append((what, commit))
            if self.broken.get(commit) == what:
                raise Problem(f"The {what} is broken.", "Press ▶ again.")

        return work


def publish(world: World, failure: str) -> tuple[str, str]:
    """A new version whose use fails so; (its commit, what GitHub says the newest is)."""
    files = {"modules/launch_utils.py": b"", "launch.py": failure.encode()}
    if failure == "part":
        files["modules/launch_utils.py"] = (
            b'x = os.environ.get("BLIP_REPO", "https://github.com/nobody/gone.git")\n'
            b'y = os.environ.get("BLIP_COMMIT_HASH", "' + b"a" * 40 + b'")\n'
        )
    commit = world.git.add(WEBUI, files)
    return (NOWHERE, NOWHERE) if failure == "source" else (commit, commit)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_new_version_that_fails_is_replaced_by_the_last_good_one_and_not_tried_again_until_there_is_a_newer(
    world: World, folder: Folder, failure: str
) -> None:
    good = OneLaunch(folder, {}).run(NEWEST)
    bad, newest = publish(world, failure)

    first = OneLaunch(folder, {bad: failure})
    assert first.run(NEWEST, newest) == good
    assert git("rev-parse", "HEAD", at=folder.code) == good
    assert first.did[-1] == ("start", good), "the good one was started in the same launch"
    assert len(first.heard.notices) == 1
    assert f"{bad[:8]} is not used" in first.heard.notices[0]
    assert f"({good[:8]}) is used instead" in first.heard.notices[0]

    again = OneLaunch(folder, {bad: failure})
    assert again.run(NEWEST, newest) == good
    assert {commit for _, commit in again.did} == {good}, "the bad one is left alone"
    assert "did not work before" in again.heard.notices[0]

    newer = world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"mended"})
    last = OneLaunch(folder, {bad: failure})
    assert last.run(NEWEST, newer) == newer
    assert last.heard.notices == []
    assert Versions(folder.kept).good == newer


@pytest.mark.parametrize("failure", FAILURES)
def test_whoever_wants_the_one_that_worked_last_never_meets_the_new_one(
    world: World, folder: Folder, failure: str
) -> None:
    good = OneLaunch(folder, {}).run(NEWEST)
    bad, newest = publish(world, failure)
    for _ in range(2):
        launch = OneLaunch(folder, {bad: failure})
        assert launch.run(LAST_GOOD) == good
        assert {commit for _, commit in launch.did} == {good}
        assert launch.heard.notices == []
    assert OneLaunch(folder, {bad: failure}).run(NEWEST, newest) == good
    assert OneLaunch(folder, {}).run(LAST_GOOD) == good


BY_NAME = "by its name"  # a branch, a tag or a commit in the field `version`
FIRST, LATER, ELSEWHERE = "the very first launch", "a later one", "a later one on a new machine"
SENTENCE = "one sentence"
# What fails with the new version × what the field says × when -> what runs in the end, and how much is said meanwhile.
ORDERS = {
    (failure, version, when): (SENTENCE, 0)
    if when == FIRST
    else ("the one that worked last", 0 if version == LAST_GOOD else 1)
    for failure in FAILURES
    for version in (NEWEST, LAST_GOOD, BY_NAME)
    for when in (FIRST, LATER, ELSEWHERE)
}


@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_every_order_of_failures_ends_in_a_running_web_ui_or_at_first_in_one_sentence(
    world: World, folder: Folder, tmp_path: Path, order: tuple[str, str, str]
) -> None:
    failure, version, when = order
    ends_in, sentences = ORDERS[order]
    good = None if when == FIRST else OneLaunch(folder, {}).run(NEWEST)
    bad, newest = publish(world, failure)
    if when == ELSEWHERE:
        folder = Folder(folder.kept, tmp_path / "new machine")
        folder.prepare()
    launch = OneLaunch(folder, {bad: failure})
    field = bad if version == BY_NAME else version
    if ends_in == SENTENCE:
        with pytest.raises(Problem) as caught:
            launch.run(field, newest)
        assert caught.value.what.count(". ") == 0
        assert caught.value.do
        assert Versions(folder.kept).failure(bad) is None, "the next ▶ tries it again: there is no other"
    else:
        assert launch.run(field, newest) == good
        assert git("rev-parse", "HEAD", at=folder.code) == good
        assert launch.did[-1] == ("start", good)
    assert len(launch.heard.notices) == sentences
    assert Versions(folder.kept).good == good, "only what has started counts"
    mended = world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"mended"})
    last = OneLaunch(folder, {bad: failure})
    assert last.run(NEWEST, mended) == mended, "a newer one is tried at once"
    assert last.heard.notices == []


def test_the_one_that_worked_last_needs_nothing_of_github(world: World, folder: Folder, tmp_path: Path) -> None:
    good = OneLaunch(folder, {}).run(NEWEST)
    new = Folder(folder.kept, tmp_path / "new machine")
    new.prepare()
    world.git.down = True
    assert OneLaunch(new, {}).run(LAST_GOOD) == good


def test_when_the_good_one_fails_too_the_new_one_is_not_to_blame(world: World, folder: Folder) -> None:
    good = OneLaunch(folder, {}).run(NEWEST)
    new, newest = publish(world, "start")
    with pytest.raises(Problem, match="The package is broken"):
        OneLaunch(folder, {new: "package", good: "package"}).run(
            NEWEST, newest
        )  # the network is away, or the disk is full
    assert OneLaunch(folder, {}).run(NEWEST, newest) == new


def test_another_launcher_tries_a_version_that_failed_once_more(
    world: World, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    OneLaunch(folder, {}).run(NEWEST)
    bad, newest = publish(world, "package")
    OneLaunch(folder, {bad: "package"}).run(NEWEST, newest)
    heard = Heard()
    monkeypatch.setattr(versions, "PACKAGE", Path("with other pins"))
    tries = versions_to_try(folder, NEWEST, heard, newest)
    assert (tries.commit, heard.notices) == (bad, [])


def test_the_version_may_be_a_tag_a_branch_or_a_commit(world: World, folder: Folder) -> None:
    first = world.git.tip(WEBUI)
    bare = world.git.root / f"{WEBUI}.git"
    git("tag", "-a", "v1.0", "-m", "signed", first, at=bare)
    git("update-ref", "refs/heads/dev", first, at=bare)
    newer = world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"new"})
    assert OneLaunch(folder, {}).run(NEWEST) == newer
    for name in ("v1.0", "1.0", "V1.0", "dev", first, first[:8]):
        assert OneLaunch(folder, {}).run(name) == first
        assert git("rev-parse", "HEAD", at=folder.code) == first
    assert OneLaunch(folder, {first: "start"}).run(newer) == newer
    world.git.down = True
    launch = OneLaunch(folder, {})
    assert launch.run("dev") == first, "GitHub is away: what the name meant before"
    with pytest.raises(Problem, match="does not say what the version v8 is"):
        versions_to_try(folder, "v8", Heard())
    with pytest.raises(Problem, match="no version of AUTOMATIC1111 is kept"):
        versions_to_try(Folder(folder.kept.parent / "empty", folder.machine / "empty"), "v9", Heard())


def test_a_version_that_is_asked_for_by_name_and_fails_leads_back_as_well(world: World, folder: Folder) -> None:
    git("update-ref", "refs/heads/dev", world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"dev"}),
        at=world.git.root / f"{WEBUI}.git")  # fmt: skip
    dev = world.git.tip(WEBUI)
    good = world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"newest"})
    assert OneLaunch(folder, {}).run(NEWEST) == good
    for _ in range(2):
        launch = OneLaunch(folder, {dev: "start"})
        assert launch.run("dev") == good
        assert ("start", dev) in launch.did, "whoever asks for it by name has it tried each time"


def test_a_name_that_a1111_does_not_have_is_said(world: World, folder: Folder) -> None:
    with pytest.raises(Problem, match=r"no version called v9\.9\. Write .* into \*\*version\*\* under \*\*Choices\*\*"):
        versions_to_try(folder, "v9.9", Heard())


def test_an_old_a1111_whose_packages_exclude_the_launchers_is_named_with_the_remedy(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A1111 v1.6.0 and v1.7.0 ask for numpy 1.23.5. The real uv says how it and the launcher's limits exclude each
    other; no index is asked for that."""
    wanted, limits = tmp_path / "requirements_versions.txt", tmp_path / "limits.txt"
    wanted.write_text("numpy==1.23.5\n")
    limits.write_text(CONSTRAINTS)
    command = [
        str(Path(sys.prefix, "bin", "uv")),
        "pip",
        "compile",
        "--offline",
        "--python-version",
        "3.11",
        "--constraint",
        str(limits),
        str(wanted),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    def refuse(*arguments: object, **options: object) -> str:
        raise CommandError(command, done.returncode, done.stderr)

    monkeypatch.setattr(uv, "run", refuse)
    folder.python.mkdir(parents=True)
    with pytest.raises(Problem, match=r"numpy==1\.23\.5 and numpy==1\.26\.2") as caught:
        uv.install("uv", folder, ["numpy==1.23.5"], Heard(), with_needs=True)
    assert "cannot install this version of AUTOMATIC1111" in caught.value.what
    assert caught.value.do.startswith(f"Write {LOCKED_VERSION} into **version** under **Choices**")
    assert not re.search("error|cause:", caught.value.what), "its own marks are no English"
    with pytest.raises(Problem) as caught:
        uv.install("uv", folder, ["numpy==1.26.2"], Heard())
    assert LOCKED_VERSION not in caught.value.do, "it is that version already"


def test_what_launchers_before_noted_counts(world: World, folder: Folder) -> None:
    old = world.git.tip(WEBUI)
    (folder.kept / "oneclick.json").write_text(json.dumps({"last_good": old}))
    world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"new"})
    assert OneLaunch(folder, {}).run(LAST_GOOD) == old
