"""A1111's source: kept on Drive as history, files on the machine; mends itself and is never fetched twice."""

import shutil
import subprocess
from pathlib import Path

import pytest

from launcher.core.fields import LAST_GOOD, NEWEST
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.extensions.address import head_commit
from launcher.source.checkout import (
    check_out_sub_repositories,
    check_out_version,
    keep_edits_on_drive,
    sub_repositories,
)
from launcher.source.git import fetch_commit, restore_missing
from launcher.source.kept import BUNDLE
from launcher.source.versions import newest_commit, resolve_ref, versions_to_try
from tests.world import WEBUI, World
from tests.world.githost import git
from tests.world.heard import Heard

SEED_EDIT = "print('my own change')\n"


@pytest.fixture
def folder(folder_with_git: Folder) -> Folder:
    return folder_with_git


def bring(folder: Folder, update: bool = True, commit: str = "") -> tuple[str, list[str]]:
    heard = Heard()
    tries = versions_to_try(folder, commit or (NEWEST if update else LAST_GOOD), heard)
    check_out_version(folder, tries.commit, heard)
    check_out_sub_repositories(folder, heard)
    tries.worked()
    return tries.commit, heard.notices


def test_the_history_is_on_drive_without_files_and_the_files_are_on_the_machine(world: World, folder: Folder) -> None:
    commit, told = bring(folder)
    assert commit == world.git.tip(WEBUI)
    assert sorted(p.name for p in folder.kept.iterdir()) == [
        ".source",
        "extensions",
        "models",
        "repositories",
        "versions.json",
    ]
    assert (folder.code / "launch.py").exists()
    for name in (
        "k-diffusion",
        "BLIP",
        "generative-models",
        "stable-diffusion-stability-ai",
        "stable-diffusion-webui-assets",
    ):
        assert (folder.code / "repositories" / name / "README").exists()
    assert told == []


def test_the_second_time_nothing_is_fetched_also_on_a_new_machine(world: World, folder: Folder, tmp_path: Path) -> None:
    bring(folder)
    world.git.log.clear()
    bring(folder)
    new = Folder(folder.kept, tmp_path / "new machine")
    bring(new)
    assert (new.code / "launch.py").exists()
    assert world.git.fetches() == []


def test_an_update_comes_and_without_the_field_it_does_not(world: World, folder: Folder) -> None:
    first, _ = bring(folder)
    newer = world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"new"})
    assert bring(folder, update=False)[0] == first
    assert bring(folder, update=True)[0] == newer
    assert (folder.code / "launch.py").read_text() == "new"


def test_an_earlier_version_can_be_taken_again(world: World, folder: Folder) -> None:
    first, _ = bring(folder)
    world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"broken"})
    bring(folder)
    assert bring(folder, update=False, commit=first)[0] == first
    assert (folder.code / "launch.py").read_text() != "broken"


def test_without_network_the_version_on_drive_is_used_and_that_is_said(world: World, folder: Folder) -> None:
    first, _ = bring(folder)
    world.git.down = True
    commit, told = bring(folder)
    assert commit == first
    assert "GitHub did not answer, so the version kept on Drive is used" in told[0]


def test_without_network_and_without_history_it_is_said_what_to_do(world: World, folder: Folder) -> None:
    world.git.down = True
    with pytest.raises(
        Problem, match=r"GitHub is not answering, and no version .* is kept on Drive yet.*press ▶ again"
    ):
        bring(folder)


def test_the_original_of_a_dead_repository_is_never_missed(world: World, folder: Folder) -> None:
    bring(folder)
    assert not any("Stability-AI/stablediffusion" in entry for entry in world.git.log)
    assert any("w-e-w/stablediffusion" in entry for entry in world.git.log)


def test_the_next_mirror_is_tried_when_the_first_is_gone(world: World, folder: Folder) -> None:
    commit = world.git.add("NUROISEA/stablediffusion", {"README": b"w-e-w/stablediffusion, a stand-in\n"})
    git(
        "fetch",
        "-q",
        str(world.git.root / "w-e-w/stablediffusion.git"),
        "master:refs/heads/copy",
        at=world.git.root / "NUROISEA/stablediffusion.git",
    )
    world.git.gone.add("w-e-w/stablediffusion")
    bring(folder)
    assert commit
    assert (folder.code / "repositories" / "stable-diffusion-stability-ai" / "README").exists()


def test_stale_locks_and_a_clone_cut_in_half_mend_themselves(world: World, folder: Folder) -> None:
    commit, _ = bring(folder)
    history = folder.history(folder.kept)
    for repository in (history, history / "repositories" / "BLIP", folder.code):
        for lock in ("index.lock", "shallow.lock", "config.lock", "HEAD.lock"):
            (repository / ".git" / lock).touch()
    (history / ".git" / "objects" / "pack" / "tmp_pack_abc").write_bytes(b"half")
    world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"new"})
    assert bring(folder)[0] != commit
    assert not list(history.rglob("tmp_pack*"))


def test_a_history_with_missing_objects_is_fetched_again(world: World, folder: Folder, tmp_path: Path) -> None:
    bring(folder)
    (folder.kept / BUNDLE).unlink()
    again = Folder(folder.kept, tmp_path / "new machine")
    assert bring(again)[0] == world.git.tip(WEBUI)


def test_changes_on_the_machine_are_kept_on_drive_before_an_update_replaces_them(world: World, folder: Folder) -> None:
    bring(folder)
    (folder.code / "launch.py").write_text(SEED_EDIT)
    newer = world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"new"})
    commit, told = bring(folder)
    assert commit == newer
    assert (folder.code / "launch.py").read_text() == "new"
    aside = next(word for word in told[0].split() if word.startswith("kept-changes/"))
    assert (folder.kept / aside / "launch.py").read_text() == SEED_EDIT
    assert bring(folder)[1] == [], "said once"


def test_what_a_link_in_a_checkout_leads_to_is_never_copied_to_drive(
    world: World, folder: Folder, tmp_path: Path
) -> None:
    bring(folder)
    secrets = tmp_path / "secrets"
    (secrets / "modules").mkdir(parents=True)
    for name in ("launch.py", "modules/launch_utils.py"):
        (secrets / name).write_text("the password")
    (folder.code / "launch.py").unlink()
    (folder.code / "launch.py").symlink_to(secrets / "launch.py")
    shutil.rmtree(folder.code / "modules")
    (folder.code / "modules").symlink_to(secrets / "modules")
    world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"new"})
    bring(folder)
    assert (folder.code / "launch.py").read_text() == "new"
    assert not [path for path in folder.kept.rglob("*") if path.is_file() and b"the password" in path.read_bytes()]
    assert (secrets / "launch.py").read_text() == "the password"


def test_a_checkout_cut_off_in_the_middle_is_no_change_of_a_person(world: World, folder: Folder) -> None:
    bring(folder)
    (folder.code / "launch.py").write_text("half of a new")
    (folder.code / ".git" / "oneclick-busy").touch()
    world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"new"})
    assert bring(folder)[1] == []
    assert (folder.code / "launch.py").read_text() == "new"


def test_files_somebody_deleted_come_back(world: World, folder: Folder) -> None:
    bring(folder)
    (folder.code / "launch.py").unlink()
    assert restore_missing(folder.code) == ["launch.py"]
    assert (folder.code / "launch.py").exists()


def test_an_existing_seed_folder_is_taken_over_and_nothing_in_it_changes(world: World, folder: Folder) -> None:
    shutil.rmtree(folder.kept)
    git("clone", "-q", f"{world.git.url}{WEBUI}.git", str(folder.kept))
    folder.prepare()
    (folder.kept / "launch.py").write_text(SEED_EDIT)
    (folder.kept / "model.ckpt").write_bytes(b"weights")
    (folder.kept / "models" / "mine.txt").write_text("mine")
    head = git("rev-parse", "HEAD", at=folder.kept)
    newer = world.git.add(WEBUI, {"modules/launch_utils.py": b"", "launch.py": b"new"})
    before = {p: p.read_bytes() for p in folder.kept.rglob("*") if p.is_file() and ".git" not in p.parts}
    assert bring(folder)[0] == newer
    after = {p: p.read_bytes() for p in folder.kept.rglob("*") if p.is_file() and ".git" not in p.parts}
    ours = folder.kept / "versions.json"
    assert after.pop(ours)
    assert {path: content for path, content in after.items() if ".source" not in path.parts} == before
    assert git("rev-parse", "HEAD", at=folder.kept) == head
    heard = Heard()
    repository = {p: p.read_bytes() for p in (folder.kept / ".git").rglob("*") if p.is_file()}
    for _ in range(2):  # said once
        keep_edits_on_drive(folder, heard)
    assert len(heard.notices) == 1
    assert "launch.py" in heard.notices[0]
    assert {p: p.read_bytes() for p in (folder.kept / ".git").rglob("*") if p.is_file()} == repository
    assert git("log", "--oneline", at=folder.kept)
    assert subprocess.run(["git", "-C", folder.kept, "diff", "--quiet"], check=False).returncode == 1, (
        "the local edit is still there"
    )


def test_looking_for_a_persons_changes_runs_no_program_that_a_repository_on_drive_names(
    world: World, folder: Folder, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    shutil.rmtree(folder.kept)
    git("clone", "-q", f"{world.git.url}{WEBUI}.git", str(folder.kept))
    for name in ("filter.x.clean", "filter.x.process", "diff.x.command", "diff.external", "core.fsmonitor"):
        git("config", name, f"touch {ran};", at=folder.kept)
    (folder.kept / ".gitattributes").write_text("* filter=x diff=x\n")
    (folder.kept / "launch.py").write_text(SEED_EDIT)
    heard = Heard()
    keep_edits_on_drive(folder, heard)
    assert not ran.exists()
    assert "launch.py" in heard.notices[0]


def test_an_address_that_looks_like_an_option_is_not_one(tmp_path: Path) -> None:
    """A repository's address comes from a file on Drive; git runs the program that `--upload-pack` names."""
    ran, history = tmp_path / "ran", tmp_path / "history"
    git("init", "-q", str(history))
    for address in (f"--upload-pack=touch {ran};", f"-u touch {ran};"):
        newest_commit(address, "HEAD")
        newest_commit(address, "main")
        resolve_ref(address, "main")
        with pytest.raises(Problem):
            head_commit(address)
        with pytest.raises(CommandError):
            fetch_commit(history, address, "HEAD", Heard())
    assert not ran.exists()


def test_a_version_from_before_it_had_such_a_list_is_too_old(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="too old for the launcher"):
        sub_repositories(tmp_path)
