"""Histories are kept on Drive as whole files; git works on the machine's copy."""

from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.git.history import pull_history, push_history
from launcher.git.repository import Repository, check_out
from tests.conftest import new_folder
from tests.world import World
from tests.world.githost import git
from tests.world.heard import Heard

NICE = "somebody/nice"


@pytest.fixture
def folder(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    for name, value in world.git.environment().items():
        monkeypatch.setenv(name, value)
    world.git.add(NICE, {"one": b"1\n", "two": b"2\n"})
    return new_folder(tmp_path)


def fetched(folder: Folder) -> str:
    repository = Repository("extensions/nice", (f"https://github.com/{NICE}.git",), "HEAD")
    return check_out(
        folder,
        repository,
        folder.data / "extensions" / "nice",
        refresh=True,
        step=Heard(),
    )


def test_what_is_kept_is_a_sound_repository(folder: Folder) -> None:
    commit, kept = fetched(folder), folder.kept / "extensions" / "nice"
    assert git("fsck", "--strict", at=kept) == ""
    assert git("rev-parse", "refs/oneclick/used", at=kept) == commit
    assert git("ls-tree", "--name-only", commit, at=kept).split() == ["one", "two"]


def test_nothing_of_gits_own_work_is_left_on_drive(folder: Folder) -> None:
    fetched(folder)
    names = {path.name for path in (folder.kept / "extensions" / "nice" / ".git").rglob("*")}
    assert not [
        name
        for name in names
        if name.endswith((".lock", ".part")) or name.startswith("tmp_") or name in ("FETCH_HEAD", "index", "hooks")
    ]


def test_a_pack_whose_index_did_not_come_does_not_count(folder: Folder, tmp_path: Path) -> None:
    fetched(folder)
    packs = folder.kept / "extensions" / "nice" / ".git" / "objects" / "pack"
    next(packs.glob("*.idx")).unlink()  # as if the machine had gone between the two
    new = Folder(folder.kept, tmp_path / "new machine")
    assert not list((pull_history(new, folder.kept / "extensions" / "nice") / ".git" / "objects" / "pack").iterdir())
    fetched(new)
    assert git("fsck", "--strict", at=folder.kept / "extensions" / "nice") == ""


def test_what_drive_lost_comes_back_from_the_machine_without_the_network(world: World, folder: Folder) -> None:
    fetched(folder)
    kept = folder.kept / "extensions" / "nice"
    for path in (kept / ".git" / "objects" / "pack").iterdir():
        path.unlink()
    world.git.log.clear()
    fetched(folder)
    assert world.git.fetches() == []
    assert git("fsck", "--strict", at=kept) == ""


def test_what_a_killed_git_left_half_written_is_swept_away(world: World, folder: Folder) -> None:
    fetched(folder)
    packs = folder.kept / "extensions" / "nice" / ".git" / "objects" / "pack"
    (packs / "tmp_pack_abc").write_bytes(b"half")
    (packs.parents[1] / "shallow.lock").write_bytes(b"half")
    world.git.add(NICE, {"one": b"new\n"})
    fetched(folder)
    assert not list(packs.glob("tmp_*"))
    assert not (packs.parents[1] / "shallow.lock").exists()


def test_a_persons_own_head_and_settings_stay(folder: Folder) -> None:
    kept = folder.kept / "extensions" / "nice"
    git("clone", "-q", f"https://github.com/{NICE}.git", str(kept))
    git("checkout", "-q", "-b", "mine", at=kept)
    settings = (kept / ".git" / "config").read_bytes()
    fetched(folder)
    push_history(folder, kept)
    assert git("symbolic-ref", "HEAD", at=kept) == "refs/heads/mine"
    assert (kept / ".git" / "config").read_bytes() == settings
    assert git("status", "--porcelain", at=kept) == ""
