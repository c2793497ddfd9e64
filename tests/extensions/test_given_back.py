"""What lies in an extension's folder on Drive reaches no place but its own, and stops no other extension."""

import shutil
from pathlib import Path
from unittest import mock

import pytest

from launcher.core.folder import Folder
from launcher.drive.find import Remembered
from launcher.extensions.extension import put_extensions, switch, switched_off
from launcher.launch.start import keep_switched_off
from launcher.source.git import PLACED_MARK
from launcher.source.kept import pull_history
from launcher.webui.process import check_arguments
from tests.world import World
from tests.world.githost import git
from tests.world.heard import Heard


@pytest.fixture
def folder(world: World, folder_with_git: Folder) -> Folder:
    return folder_with_git


def repository(path: Path, files: dict[str, str], links: dict[str, str]) -> str:
    """A person's repository with these files and links in it; the commit."""
    path.mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main", at=path)
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    for name, target in links.items():
        (path / name).symlink_to(target)
    git("add", "--all", at=path)
    git("commit", "--quiet", "-m", "first", at=path)
    return git("rev-parse", "HEAD", at=path)


def put_there(folder: Folder, made: Path, own: dict[str, str]) -> Path:
    """That repository's history and files of its own in the folder of the extension `nice` on Drive."""
    kept = folder.kept / "extensions" / "nice"
    kept.mkdir()
    shutil.copytree(made / ".git", kept / ".git")
    (kept / ".git" / "index").unlink()
    for name, text in own.items():
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        (kept / name).write_text(text)
    return kept


@pytest.mark.parametrize("off", (False, True))
@pytest.mark.parametrize("link", ("out", "a/out"))
def test_no_link_of_a_repository_leads_a_file_on_drive_out_of_it(
    folder: Folder, tmp_path: Path, link: str, off: bool
) -> None:
    (folder.session / "login.json").write_text("mine")
    repository(tmp_path / "made", {"one": "1", "a/two": "2"}, {link: str(folder.session), "deep": "a"})
    put_there(folder, tmp_path / "made", {f"{link}/login.json": "theirs", f"{link}/new": "theirs", "deep/own": "own"})
    if off:
        switch(folder, off=["nice"])
    heard = Heard()
    put_extensions(folder, heard)
    assert [(path.name, path.read_text()) for path in folder.session.iterdir()] == [("login.json", "mine")]
    files = folder.data / "extensions" / "nice"
    assert (files / "one").read_text() == "1"
    assert (files / "a" / "own").read_text() == "own", "a link inside is as good as a folder"
    assert any("cannot be used and were skipped" in text and "login.json" in text for text in heard.notices)


def test_a_file_called_git_leads_nobody_to_another_repository(folder: Folder, tmp_path: Path) -> None:
    kept = folder.kept / "extensions" / "plain"
    (kept / "below").mkdir(parents=True)
    for place in (kept, kept / "below"):
        (place / ".git").write_text("gitdir: ../../../elsewhere\n")
        (place / "own.py").write_text("own")
    put_extensions(folder, Heard())
    files = folder.data / "extensions" / "plain"
    assert sorted(str(path.relative_to(files)) for path in files.rglob("*") if path.is_file()) == [
        "below/own.py", "own.py",
    ]  # fmt: skip


@pytest.mark.parametrize("lost", (False, True))
def test_a_repository_that_says_where_its_lost_objects_are_runs_nothing(
    folder: Folder, tmp_path: Path, lost: bool
) -> None:
    ran, made = tmp_path / "ran", tmp_path / "made"
    repository(made, {"one": "1"}, {})
    if lost:
        blob = git("rev-parse", "HEAD:one", at=made)
        (made / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for name, value in (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"file://{tmp_path}/nowhere"),
        ("remote.origin.uploadpack", f"touch {ran};"),
        ("core.fsmonitor", f"touch {ran};"),
        ("core.alternateRefsCommand", f"touch {ran};"),
        ("uploadpack.packObjectsHook", f"touch {ran};"),
    ):
        git("config", name, value, at=made)
    with (made / ".git" / "config").open("a") as config:
        config.write("[[ no git reads this\n")
    put_there(folder, made, {})
    put_extensions(folder, Heard())
    assert not ran.exists()
    assert (folder.data / "extensions" / "nice" / "one").exists() == (not lost), "its settings are not asked"


def test_whatever_is_wrong_with_one_extension_the_others_are_there(folder: Folder) -> None:
    for name in ("bad", "nice"):
        (folder.kept / "extensions" / name).mkdir()
        (folder.kept / "extensions" / name / "own.py").write_text(name)
    real = pull_history

    def refused(folder: Folder, kept: Path, *more: object) -> Path:
        if kept.name == "bad":
            raise PermissionError(13, "Permission denied")
        return real(folder, kept, *more)  # type: ignore[arg-type]

    heard = Heard()
    with mock.patch("launcher.extensions.extension.pull_history", refused):
        put_extensions(folder, heard)
    assert (folder.data / "extensions" / "nice" / "own.py").exists()
    assert "The extension bad could not be brought to this machine whole" in heard.notices[0]


@pytest.mark.parametrize("kind", ("folder on the machine", "a file where a folder was"))
def test_a_file_of_its_own_that_cannot_be_put_there_hides_no_other(folder: Folder, kind: str) -> None:
    kept, files = folder.kept / "extensions" / "nice", folder.data / "extensions" / "nice"
    (kept / "sub").mkdir(parents=True)
    (kept / "sub" / "inside.py").write_text("x")
    (kept / "last.py").write_text("x")
    if kind == "folder on the machine":
        (files / "sub" / "inside.py").mkdir(parents=True)
    else:
        files.mkdir(parents=True)
        (files / "sub").write_text("a file")
    heard = Heard()
    put_extensions(folder, heard)
    assert (files / "last.py").exists()
    assert "sub/inside.py" in heard.notices[0]


def test_what_is_in_the_way_of_a_history_on_drive_is_set_aside(world: World, folder: Folder) -> None:
    checkout = folder.data / "extensions" / "mine"
    repository(checkout, {"one": "1"}, {})
    git("config", "remote.origin.url", "https://github.com/somebody/mine.git", at=checkout)
    kept = folder.kept / "extensions" / "mine"
    kept.mkdir()
    (kept / ".source").write_text("a file")
    put_extensions(folder, Heard())
    assert (kept / ".source" / "commits.bundle").exists()
    assert next(kept.glob(".source.broken-*")).read_text() == "a file"
    assert (checkout / ".git" / PLACED_MARK).exists()


@pytest.mark.parametrize("content", (b"\xff\xfe\0", b"\0" * 50, b"def (", b"(" * 5000, b""))
def test_a_garbled_preload_of_an_extension_stops_no_launch(folder: Folder, content: bytes) -> None:
    (folder.data / "extensions" / "nice").mkdir(parents=True)
    (folder.data / "extensions" / "nice" / "preload.py").write_bytes(content)
    check_arguments(folder.code, folder.data, ("--medvram",))


def test_an_extension_that_was_off_stays_off_when_drive_lost_the_settings(folder: Folder) -> None:
    switch(folder, off=["nice", "other"])
    Remembered.write(folder.kept, switched_off=["nice", "other"], extensions={})
    (folder.data / "config.json").unlink()
    keep_switched_off(folder)
    assert switched_off(folder) == {"nice", "other"}
    switch(folder, on=["nice"])
    keep_switched_off(folder)
    assert switched_off(folder) == {"other"}, "what a person switched on since stays on"
