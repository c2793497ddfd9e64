"""Extensions: kept on Drive as history, files on the machine, and none can break the web UI."""

import html
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import requests

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.session import Session, request
from launcher.core.status import Step
from launcher.drive.restore import COMES_BACK
from launcher.drive.sync import Sync
from launcher.extensions import address as addresses
from launcher.extensions.address import Address, checked_address
from launcher.extensions.extension import (
    Extension,
    extensions_on_drive,
    put_extensions,
    suspects,
    switch,
    switched_off,
)
from launcher.extensions.manage import Change, add_extension, change_one
from launcher.models.catalog import CONTROL_FAMILIES, chosen_controls
from tests.conftest import COLAB_PYTHON, new_folder
from tests.source.test_kept import as_1_2_0_kept_it
from tests.world import MODEL_LINK, World, safetensors
from tests.world.githost import git
from tests.world.heard import Heard
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, wait_problem, wait_ready
from tests.world.wait import wait

NICE = "person/sd-nice"
ADDRESS = f"https://github.com/{NICE}"
Kernels = Callable[..., Kernel]


@pytest.fixture
def folder(world: World, folder_with_git: Folder) -> Folder:
    world.git.add(NICE, {"scripts/nice.py": b"one\n", "README": b"nice\n"})
    return folder_with_git


def change(folder: Folder, action: str, what: str = "") -> tuple[str, list[str]]:
    heard = Heard()
    if action == "add":
        return add_extension(folder, what, heard).message, heard.notices
    return change_one(folder, action, what, heard).message, heard.notices


def drive_dir(folder: Folder, name: str) -> Path:
    return Extension(folder, name).drive_dir


def names_on_drive(folder: Folder) -> list[str]:
    return [extension.name for extension in extensions_on_drive(folder)]


# ---- adding, updating, removing


def test_an_extension_is_found_beside_a1111s_code_too(folder: Folder) -> None:
    folder.code.mkdir(parents=True, exist_ok=True)
    change(folder, "add", ADDRESS)
    put_extensions(folder, Heard())
    beside = folder.code / "extensions" / "sd-nice"
    assert (beside / "scripts/nice.py").read_text() == "one\n", "Deforum looks for ControlNet there"
    change(folder, "remove", "sd-nice")
    put_extensions(folder, Heard())
    assert not os.path.lexists(beside)


def test_what_is_newer_on_the_machine_stays_and_an_edit_of_the_same_size_comes_back(
    folder: Folder, tmp_path: Path
) -> None:
    change(folder, "add", ADDRESS)
    own, sync = folder.data / "extensions/sd-nice/wildcards.txt", Sync(folder.data, folder.kept, lambda text: None)
    own.write_text("cat\n")
    (own.parent / "README").write_text("mine\n")  # as long as "nice\n"
    sync.poll(settled=0)
    own.write_text("cat\ndog\n")  # Drive is full, or the restart comes first
    put_extensions(folder, Heard())
    assert own.read_text() == "cat\ndog\n"
    new = Folder(folder.kept, tmp_path / "new machine")
    new.prepare()
    put_extensions(new, Heard())
    assert (new.data / "extensions/sd-nice/README").read_text() == "mine\n"


def test_one_that_was_renamed_is_up_to_date_and_on_its_own_branch(world: World, folder: Folder) -> None:
    world.git.moved["person/old-name"] = NICE
    git("branch", "-m", "master", "main", at=world.git.root / f"{NICE}.git")
    change(folder, "add", "https://github.com/person/old-name")
    assert git("symbolic-ref", "--short", "HEAD", at=folder.data / "extensions/old-name") == "main"
    assert change(folder, "update all")[0] == "everything is up to date"


def test_what_its_authors_removed_does_not_come_back_from_an_old_folder(world: World, folder: Folder) -> None:
    old = drive_dir(folder, "sd-nice")
    git("clone", "-q", f"{world.git.url}{NICE}.git", str(old))
    (old / "wildcards.txt").write_text("cat\n")
    world.git.add(NICE, {"scripts/better.py": b"two\n"})
    assert "updated from" in change(folder, "update all")[0]
    files = folder.data / "extensions/sd-nice"
    assert sorted(p.name for p in files.rglob("*.*") if ".git" not in p.parts) == ["better.py", "wildcards.txt"]
    assert (old / "scripts/nice.py").exists(), "nothing in the old folder changes"


@pytest.mark.parametrize("page", ["tree/other/scripts", "commit/e41ee47", "releases/tag/24.1.2"])
def test_a_link_to_a_version_adds_the_main_branch_and_says_so(folder: Folder, page: str) -> None:
    assert change(folder, "add", f"{ADDRESS}/{page}")[0].endswith("added from its main branch")


def test_a_repository_that_its_host_took_down_is_said(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: str, **options: object) -> str:
        raise CommandError(["git"], 128, "remote: Access to this repository has been disabled by GitHub Staff\n")

    monkeypatch.setattr(addresses, "git", refuse)
    with pytest.raises(Problem, match="was taken down by its host"):
        change(folder, "add", ADDRESS)


def test_an_added_extension_is_on_drive_as_history_and_on_the_machine_as_files(folder: Folder) -> None:
    told, _ = change(folder, "add", ADDRESS)
    assert re.fullmatch(r"sd-nice: version \w{8} of \d{4}-\d\d-\d\d, added", told)
    assert [p.name for p in drive_dir(folder, "sd-nice").iterdir()] == [".source"]
    assert (folder.data / "extensions/sd-nice/scripts/nice.py").read_text() == "one\n"


def test_adding_it_twice_is_said_and_brings_it_up_to_date(world: World, folder: Folder) -> None:
    change(folder, "add", ADDRESS)
    assert change(folder, "add", ADDRESS + ".git/")[0].endswith("already there and up to date")
    newer = world.git.add(NICE, {"scripts/nice.py": b"two\n"})
    assert change(folder, "add", ADDRESS)[0].startswith(f"sd-nice: version {newer[:8]}")
    assert (folder.data / "extensions/sd-nice/scripts/nice.py").read_text() == "two\n"
    assert not (folder.data / "extensions/sd-nice/README").exists()


def test_updating_one_with_local_edits_keeps_them_in_a_folder_that_is_named(world: World, folder: Folder) -> None:
    change(folder, "add", ADDRESS)
    (folder.data / "extensions/sd-nice/scripts/nice.py").write_text("mine\n")
    world.git.add(NICE, {"scripts/nice.py": b"two\n"})
    _, told = change(folder, "update all")
    aside = re.search(r"kept-changes/sd-nice-\w{8}", told[0])
    assert aside, told
    assert "scripts/nice.py" in told[0]
    assert (folder.kept / aside[0] / "scripts/nice.py").read_text() == "mine\n"
    assert (folder.data / "extensions/sd-nice/scripts/nice.py").read_text() == "two\n"


def test_what_changes_nothing_says_so_shortly_and_asks_for_no_restart(world: World, folder: Folder) -> None:
    for name in ("a", "b"):
        world.git.add(f"person/{name}", {"x": b"x"})
        assert add_extension(folder, f"https://github.com/person/{name}", Heard()).new
    assert change_one(folder, "update all", "", Heard()) == Change("everything is up to date", new=False)
    newer = world.git.add("person/a", {"x": b"y"})
    some = change_one(folder, "update all", "", Heard())
    assert some.new
    assert re.fullmatch(rf"a: version {newer[:8]} of [\d-]+, updated from \w+; 1 already up to date", some.message)
    assert not add_extension(folder, "https://github.com/person/a", Heard()).new
    assert not change_one(folder, "list", "", Heard()).new
    assert change_one(folder, "switch off", "a", Heard()).new
    assert change_one(folder, "switch off", "a", Heard()) == Change("a is switched off already", new=False)
    assert change_one(folder, "switch on", "a", Heard()).new
    assert change_one(folder, "remove", "a", Heard()).new
    world.git.gone.add("person/b")
    assert change_one(folder, "update all", "", Heard()) == Change("nothing was updated", new=False)


def test_the_list_has_commit_and_date(folder: Folder) -> None:
    assert change(folder, "list")[0] == "there are no extensions"
    change(folder, "add", ADDRESS)
    assert re.fullmatch(r"sd-nice: version \w{8} of \d{4}-\d\d-\d\d", change(folder, "list")[0])


def test_a_removed_extension_is_gone_and_kept_aside(folder: Folder) -> None:
    change(folder, "add", ADDRESS)
    told, _ = change(folder, "remove", "SD-Nice")
    assert "kept as removed-extensions/sd-nice-" in told
    assert names_on_drive(folder) == []
    assert not (folder.data / "extensions/sd-nice").exists()
    assert list((folder.kept / "removed-extensions").glob("sd-nice-*/.source"))


def test_while_drive_is_away_nothing_is_made_in_its_place(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    shutil.rmtree(folder.kept)
    with pytest.raises(OSError, match="Google Drive is not there"):
        Extension(folder, "nice").put_aside(folder.machine, folder.kept)
    assert not folder.kept.exists()


def test_one_that_cannot_be_updated_does_not_keep_the_others_from_it(world: World, folder: Folder) -> None:
    world.git.add("person/a-dead-one", {"x": b"x"})
    change(folder, "add", "https://github.com/person/a-dead-one")
    change(folder, "add", ADDRESS)
    world.git.gone.add("person/a-dead-one")
    newer = world.git.add(NICE, {"scripts/nice.py": b"two\n"})
    told, notices = change(folder, "update all")
    assert newer[:8] in told
    assert "a-dead-one was left as it is. There is no git repository at" in notices[0]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (
            "https://github.com/person/nothing-here",
            "There is no git repository at https://github.com/person/nothing-here.git.",
        ),
        (
            "https://github.com/person/private",
            "https://github.com/person/private.git asks for a login, or does not exist.",
        ),
        ("https://someone:secret@github.com/person/x", "The address has a user name or a password in it"),
        ("git@github.com:person/private.git", "https://github.com/person/private.git asks for a login"),
        ("sd-nice", '"sd-nice" is not the address of a git repository'),
        ("ftp://github.com/person/x", "is not the address of a git repository"),
        ("https://127.0.0.1:9/person/x", "https://127.0.0.1:9/person/x.git does not answer."),
        ("https://github.com/person/..", '".." cannot be the name of a folder'),
    ],
)
def test_an_address_that_does_not_work_is_said_in_one_sentence(
    world: World, folder: Folder, address: str, says: str
) -> None:
    world.git.add("person/private", {"x": b"x"})
    world.git.private.add("person/private")
    with pytest.raises(Problem) as caught:
        change(folder, "add", address)
    assert says in caught.value.what
    assert "secret" not in str(caught.value)
    assert names_on_drive(folder) == [], "nothing half-made is left"


def test_a_page_of_the_repository_is_as_good_as_its_address() -> None:
    for spelling in (
        ADDRESS,
        f"{ADDRESS}.git",
        f"{ADDRESS}/",
        f"{ADDRESS}/tree/main/scripts",
        f"{ADDRESS}/blob/main/README.md",
        f"{ADDRESS}?tab=readme-ov-file",
        f"{ADDRESS}#readme",
        f"{ADDRESS}/issues/12",
        ADDRESS.replace("https:", "http:"),
        ADDRESS.removeprefix("https://"),
        "git@github.com:person/sd-nice.git",
        "ssh://git@github.com/person/sd-nice.git",
        ADDRESS.replace("https:", "git:"),
        f"<{ADDRESS}>",
    ):
        address = checked_address(spelling)
        assert (address.url, address.name) == (f"{ADDRESS}.git", "sd-nice"), spelling
    address = checked_address("https://gitlab.com/group/below/name/-/tree/new/look")
    assert address == Address("https://gitlab.com/group/below/name.git", "name", "new/look")
    assert checked_address(ADDRESS).page is None
    for page in ("codeberg.org/o/n/src/branch/main", "bitbucket.org/o/n/src/master/", "gitlab.com/g/src/n/-/tree/main"):
        host, *words = page.split("/")
        assert checked_address(f"https://{page}").url == f"https://{host}/{'g/src' if 'g' in words else 'o'}/n.git"


# ---- branches, repositories inside it, and A1111's own tab


def test_a_link_to_a_page_of_a_branch_adds_the_main_one_and_says_so(folder: Folder) -> None:
    assert change(folder, "add", f"{ADDRESS}/tree/other/scripts")[0].endswith("added from its main branch")


def test_one_that_was_once_added_from_a_branch_is_updated_from_that_branch(world: World, folder: Folder) -> None:
    bare = world.git.root / f"{NICE}.git"
    git("branch", "new/look", at=bare)
    as_1_2_0_kept_it(drive_dir(folder, "sd-nice"), world.git.url, NICE)
    git("config", "oneclick.branch", "new/look", at=drive_dir(folder, "sd-nice"))
    newer = git("commit-tree", "-p", "new/look", "-m", "newer", "new/look^{tree}", at=bare)
    git("update-ref", "refs/heads/new/look", newer, at=bare)
    assert change(folder, "update all")[0].startswith(f"sd-nice: version {newer[:8]}")


def test_a_repository_inside_it_comes_with_it_and_is_not_fetched_twice(
    world: World, folder: Folder, tmp_path: Path
) -> None:
    inner = world.git.add("person/inner", {"inner.py": b"1\n"})
    add_submodules(world, {"lib/inner": ("../inner.git", inner), "../out": ("../inner.git", inner)})
    change(folder, "add", ADDRESS)
    assert (folder.data / "extensions/sd-nice/lib/inner/inner.py").read_text() == "1\n"
    assert not (folder.data / "extensions/out").exists(), "nothing is put beside it"
    sync = Sync(folder.data, folder.kept, lambda text: None)
    sync.poll(settled=0)
    on_drive = [path.name for path in drive_dir(folder, "sd-nice").iterdir()]
    assert on_drive == [".source"], "what git has is not copied"
    inside = folder.data / "extensions/sd-nice/lib/inner"
    assert git("config", "remote.origin.url", at=inside) == "https://github.com/person/inner.git", (
        "openOutpaint goes by it"
    )
    fetched = len(world.git.fetches())
    again = Folder(folder.kept, tmp_path / "another machine")
    again.prepare()
    put_extensions(again, Heard())
    assert (again.data / "extensions/sd-nice/lib/inner/inner.py").read_text() == "1\n"
    assert len(world.git.fetches()) == fetched
    newer = world.git.add("person/inner", {"inner.py": b"2\n"})
    add_submodules(world, {"lib/inner": ("../inner.git", newer)})
    change(again, "update all")
    assert (again.data / "extensions/sd-nice/lib/inner/inner.py").read_text() == "2\n"


def test_a_repository_inside_it_that_is_gone_is_said_and_the_rest_is_there(world: World, folder: Folder) -> None:
    add_submodules(world, {"lib/gone": ("https://github.com/person/gone.git", "1" * 40)})
    told, notices = change(folder, "add", ADDRESS)
    assert told.endswith("added")
    assert any("A part of sd-nice could not be downloaded (lib/gone)" in notice for notice in notices)
    assert (folder.data / "extensions/sd-nice/README").exists()


def add_submodules(world: World, places: dict[str, tuple[str, str]]) -> None:
    """A commit of the nice extension with links to other repositories."""
    text = "".join(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n' for path, (url, _) in places.items())
    commit = world.git.add(NICE, {"README": b"nice\n", ".gitmodules": text.encode()})
    bare = world.git.root / f"{NICE}.git"
    index = {"GIT_INDEX_FILE": str(bare / "made")}
    with mock.patch.dict("os.environ", index):
        git("read-tree", commit, at=bare)
        for path, (_, pinned) in places.items():
            if ".." not in path:
                git("update-index", "--add", "--cacheinfo", f"160000,{pinned},{path}", at=bare)
        made = git("commit-tree", "-p", commit, "-m", "inner", git("write-tree", at=bare), at=bare)
    git("update-ref", "refs/heads/master", made, at=bare)


def test_a1111_can_read_it_and_what_its_tab_updates_stays_updated(world: World, folder: Folder, tmp_path: Path) -> None:
    change(folder, "add", ADDRESS)
    files = folder.data / "extensions/sd-nice"
    assert git("symbolic-ref", "--short", "HEAD", at=files) == "master"
    assert git("config", "remote.origin.url", at=files) == f"{ADDRESS}.git"
    assert git("rev-parse", "origin/master", at=files) == git("rev-parse", "HEAD", at=files)
    newer = world.git.add(NICE, {"scripts/nice.py": b"two\n"})
    git("fetch", "--all", at=files)  # these two are what A1111's button does (modules/extensions.py)
    git("reset", "--hard", "origin/master", at=files)
    put_extensions(folder, Heard())
    assert git("rev-parse", "HEAD", at=files) == newer
    again = Folder(folder.kept, tmp_path / "another machine")
    again.prepare()
    put_extensions(again, Heard())
    assert (again.data / "extensions/sd-nice/scripts/nice.py").read_text() == "two\n"


def test_one_whose_history_is_elsewhere_is_loaded_as_plain_files(folder: Folder) -> None:
    part = drive_dir(folder, "part-of-another")
    part.mkdir(parents=True)
    (part / ".git").write_text("gitdir: ../../.git/modules/part-of-another\n")
    (part / "part.py").write_text("1\n")
    beside = folder.data / "extensions" / "beside"
    beside.mkdir(parents=True)
    (beside / ".git").write_text("gitdir: /nowhere\n")
    put_extensions(folder, Heard())
    assert (folder.data / "extensions/part-of-another/part.py").read_text() == "1\n"
    assert "part-of-another: version" in change(folder, "list")[0]


# ---- its own files, and what was there before


def test_an_extensions_own_files_and_edits_come_back_on_a_new_machine(folder: Folder, tmp_path: Path) -> None:
    change(folder, "add", ADDRESS)
    sync = Sync(folder.data, folder.kept, lambda text: None)
    sync.poll(settled=0)
    assert [p.name for p in drive_dir(folder, "sd-nice").iterdir()] == [".source"], "what git has is not copied"
    (folder.data / "extensions/sd-nice/wildcards.txt").write_text("cat\n")
    (folder.data / "extensions/sd-nice/README").write_text("changed\n")
    sync.poll(settled=0)
    new = Folder(folder.kept, tmp_path / "new machine")
    new.prepare()
    put_extensions(new, Heard())
    assert (new.data / "extensions/sd-nice/wildcards.txt").read_text() == "cat\n"
    assert (new.data / "extensions/sd-nice/README").read_text() == "changed\n"
    assert (new.data / "extensions/sd-nice/scripts/nice.py").read_text() == "one\n"


def test_an_extension_taken_away_on_drive_stays_away_and_its_files_on_the_machine_are_put_aside(folder: Folder) -> None:
    change(folder, "add", ADDRESS)
    own = folder.data / "extensions/sd-nice/wildcards.txt"
    own.write_text("cat\n")
    drive_dir(folder, "sd-nice").rename(folder.kept / "taken away")
    sync = Sync(folder.data, folder.kept, lambda text: None)
    for _ in range(2):
        sync.poll(settled=0)
        put_extensions(folder, Heard())
    assert names_on_drive(folder) == []
    assert not own.parent.exists()
    assert next((folder.machine / "removed-extensions").rglob("wildcards.txt")).read_text() == "cat\n"
    assert change(folder, "add", ADDRESS)[0].endswith("added"), "it may come back"


def test_what_a1111s_own_tab_installed_gets_its_history_on_drive_though_it_has_own_files_there(
    world: World, folder: Folder
) -> None:
    git("clone", "-q", f"{world.git.url}{NICE}.git", str(folder.data / "extensions" / "sd-nice"))
    (folder.data / "extensions/sd-nice/wildcards.txt").write_text("cat\n")
    Sync(folder.data, folder.kept, lambda text: None).poll(settled=0)
    assert [p.name for p in drive_dir(folder, "sd-nice").iterdir()] == ["wildcards.txt"]
    put_extensions(folder, Heard())
    assert (drive_dir(folder, "sd-nice") / ".source" / "commits.bundle").exists()
    assert extensions_on_drive(folder)[0].url == f"{world.git.url}{NICE}.git"


def test_an_extension_of_an_old_folder_is_loaded_with_its_large_files_linked(world: World, folder: Folder) -> None:
    old = drive_dir(folder, "sd-nice")
    git("clone", "-q", f"{world.git.url}{NICE}.git", str(old))
    (old / "models").mkdir()
    with (old / "models" / "big.pth").open("wb") as file:
        file.truncate(COMES_BACK + 1)
    (old / "README").write_text("an edit of 2023\n")
    put_extensions(folder, Heard())
    placed = folder.data / "extensions/sd-nice"
    assert (placed / "models/big.pth").resolve() == (old / "models/big.pth").resolve()
    assert (placed / "README").read_text() == "nice\n"
    assert (old / "README").read_text() == "an edit of 2023\n", "nothing in the old folder changes"


def test_a_folder_without_history_is_loaded_too(folder: Folder) -> None:
    (drive_dir(folder, "by-hand") / "scripts").mkdir(parents=True)
    (drive_dir(folder, "by-hand") / "scripts" / "x.py").write_text("x\n")
    put_extensions(folder, Heard())
    assert (folder.data / "extensions/by-hand/scripts/x.py").read_text() == "x\n"
    told, notices = change(folder, "update all")
    assert told == "nothing was updated"
    assert notices == ["by-hand was left as it is. It was not installed by git, so it cannot be updated."]


def test_one_that_git_cannot_read_keeps_no_other_from_being_updated(world: World, folder: Folder) -> None:
    for name in ("a", "b"):
        world.git.add(f"person/{name}", {"x": b"x"})
        change(folder, "add", f"https://github.com/person/{name}")
    newer, put = world.git.add("person/b", {"x": b"newer"}), Extension.put

    def fails(extension: Extension, step: Step) -> None:
        if extension.name == "a":
            raise CommandError(["git"], 128, "fatal: bad object HEAD\n")
        put(extension, step)

    with mock.patch.object(Extension, "put", fails):
        told, notices = change(folder, "update all")
    assert told.startswith(f"b: version {newer[:8]}")
    assert notices == ["a was left as it is. fatal: bad object HEAD."]


# ---- who is to blame


def test_the_one_in_the_last_words_is_blamed_else_the_new_ones_else_all(world: World, folder: Folder) -> None:
    for name in ("a", "b", "c"):
        world.git.add(f"person/{name}", {"x": b"x"})
        change(folder, "add", f"https://github.com/person/{name}")
    versions = {extension.name: str(extension.commit) for extension in extensions_on_drive(folder)}
    assert suspects(folder, 'File "/content/oneclick/data/asd1111/extensions/b/scripts/x.py", line 3', {}) == ["b"]
    assert suspects(folder, "nothing to see", {**versions, "c": "0" * 40}) == ["c"]
    assert suspects(folder, "nothing to see", versions) == ["c", "b", "a"], "the newest first"
    switch(folder, off={"a", "b"})
    assert switched_off(folder) == {"a", "b"}
    assert suspects(folder, "nothing to see", versions) == ["c"]
    switch(folder, on={"a"})
    assert switched_off(folder) == {"b"}


# ---- ControlNet's models


def test_the_choice_of_controls_means_files() -> None:
    def names(family: str, controls: str) -> list[str]:
        return [model.sources[0].saved_name for model in chosen_controls(family, controls)]

    assert names("Stable Diffusion 1.5", "essentials") == [
        "control_v11p_sd15_canny_fp16.safetensors", "control_v11f1p_sd15_depth_fp16.safetensors",
        "control_v11p_sd15_openpose_fp16.safetensors",
    ]  # fmt: skip
    assert len(names("Stable Diffusion 1.5", "all")) == 14
    assert names("Stable Diffusion XL", "canny, depth") == ["controlnet-union-sdxl-1.0-promax.safetensors"], (
        "one file for all controls"
    )
    assert names("Stable Diffusion 2.1", "hed,canny") == [
        "control_v11p_sd21_hed.safetensors",
        "control_v11p_sd21_canny.safetensors",
    ]
    assert names("Stable Diffusion 1.5", "control_canny-fp16") == ["control_canny-fp16.safetensors"], (
        "the old names are kept as choices"
    )
    assert len(names(", ".join(CONTROL_FAMILIES), "essentials")) == 7
    with pytest.raises(Problem, match=r"There is no ControlNet model 'cany' for Stable Diffusion 1.5"):
        names("Stable Diffusion 1.5", "cany")


# ---- in the notebook, with extensions that misbehave

GREEDY = b"""
import os, subprocess, sys, time
free = {name: value for name, value in os.environ.items() if not name.startswith("PIP_CONSTRAINT")}
pip = subprocess.Popen([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "-U", "numpy==1.26.4"], env=free)
while pip.poll() is None:  # it is at work, not silent: another one in this test hangs
    print("still installing", flush=True)
    time.sleep(0.5)
assert pip.returncode == 0
"""
DELETES = b"""
import pathlib, sys
code = pathlib.Path.cwd()
(code / "launch.py").unlink()
(code / "repositories" / "BLIP" / "README").unlink()
import markupsafe
pathlib.Path(markupsafe.__file__).unlink()
"""
MISBEHAVE = {
    "upgrades-numpy": (
        {"install.py": GREEDY},
        r"The extension upgrades-numpy changed packages the web UI needs \(numpy 1.26.4\); the right ones were "
        r"put back",
    ),
    "raises": (
        {"install.py": b"raise RuntimeError('no such wheel')"},
        r"The extension raises could not install everything it needs: its last message was: RuntimeError: no such "
        r"wheel",
    ),
    "hangs": (
        {"install.py": b"import time\ntime.sleep(999)"},
        r"The extension hangs could not install everything it needs: it did nothing for 4 seconds and was stopped",
    ),
    "deletes-files": (
        {"install.py": DELETES},
        r"The extension deletes-files deleted 2 of the web UI's files .*launch.py",
    ),
    "cannot-load": (
        {"scripts/x.py": b"import no_such_part"},
        r"These extensions did not load completely: cannot-load \(the Python package no_such_part is missing\)",
    ),
    "crashes": (
        {"scripts/x.py": b"import os\nprint('bye', flush=True)\nos._exit(3)"},
        r"The extension crashes kept the web UI from starting and was switched off",
    ),
}


@pytest.mark.parametrize(
    "names", [[name for name in MISBEHAVE if name != "crashes"], ["crashes"]], ids=["installers", "crashes"]
)
def test_the_web_ui_comes_up_and_the_culprit_is_named(place: Place, kernels: Kernels, names: list[str]) -> None:
    for name in names:
        place.world.git.add(f"person/{name}", MISBEHAVE[name][0])
    place.world.git.add(NICE, {"scripts/nice.py": b"print('nice')"})
    kernel = kernels(COLAB_PYTHON, {**place.environment, "ONECLICK_INSTALLER_SILENCE": "4"}, place.machine)
    for address in (ADDRESS, *(f"https://github.com/person/{name}" for name in names)):
        kernel.run(cell_source("add-extension", what=address), 60)
        assert "It takes effect at the next start" in kernel.html()
    kernel.widgets.clear()
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK, api=True))
    _, url, password = wait_ready(kernel)
    shown = html.unescape(kernel.html())
    for name in names:
        assert re.search(MISBEHAVE[name][1], shown), shown[shown.index('class="oneclick told"') :]
    assert requests.get(f"{url}/sdapi/v1/sd-models", auth=("user", password), timeout=10).ok
    log = (place.session / "webui.log").read_text()
    if "crashes" not in names:
        assert "Extension sd-nice loaded" in log
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.run(cell_source("stop"), 120)
    noted = (
        json.loads((place.kept / "config.json").read_text()).get("disabled_extensions", [])
        if (place.kept / "config.json").exists()
        else []
    )
    assert noted == [name for name in names if name == "crashes"], "only the one that stops it is switched off"
    assert all((place.kept / "extensions" / name / ".source").exists() for name in names), "kept"


def notices(place: Place) -> list[str]:
    """The sentences on the first panel."""
    return list(request(Session(place.session).page_socket, "GET", "/status")[1]["notices"])


# Brings a second cuDNN into the web UI's process, at its first start only.
SECOND_CUDNN = """
import mmap, os, sys
library = os.path.dirname(__file__) + "/libcudnn.so.8"
if not os.path.exists(library):
    with open(library, "wb") as file:
        file.write(bytes(8192))
    with open(library, "rb") as file:
        sys.second_cudnn = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
"""


def test_an_extension_added_while_it_runs_counts_after_the_offered_restart_and_what_was_said_of_the_start_before_goes(
    place: Place, kernels: Kernels
) -> None:
    place.world.git.add(NICE, {"scripts/nice.py": b"print('nice')"})
    place.world.git.add("person/mapper", {"scripts/x.py": SECOND_CUDNN.encode()})
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.run(cell_source("add-extension", what="https://github.com/person/mapper"), 60)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    wait_ready(kernel)
    facts = request(Session(place.session).page_socket, "GET", "/status")[1]["facts"]
    assert "mapper/scripts/libcudnn.so.8" in dict(facts)["CUDA libraries from elsewhere"]
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    before = set(kernel.widgets)
    kernel.run(cell_source("add-extension", what=ADDRESS), 60)
    assert "added. It takes effect at the next start." in kernel.html()
    changed = "Extensions have changed. Press Restart the web UI for that to take effect."
    wait(lambda: changed in notices(place), 10, "the notice on the first panel")
    webui = place.pid("webui")
    for identity in before:
        kernel.widgets[identity].pop("description", None)  # the button of the second cell is meant
    kernel.press_button("Restart the web UI")
    kernel.wait(lambda: place.pid("webui") not in (0, webui), 60, "the restart")
    kernel.wait(lambda: "Extension sd-nice loaded" in (place.session / "webui.log").read_text(), 60, "the extension")
    wait(lambda: changed not in notices(place), 10, "the end of the notice: it has taken effect")
    kernel.widgets.clear()
    kernel.run(cell_source("add-extension", action="update all"), 60)
    assert "everything is up to date" in kernel.html()
    assert "takes effect" not in kernel.html(), "nothing is new: no restart is asked for"
    kernel.run(cell_source("stop"), 120)
    place.wait_until_nothing_runs()


def test_controlnet_and_a_model_come_with_one_cell(place: Place, kernels: Kernels) -> None:
    place.world.git.add("Mikubill/sd-webui-controlnet", {"scripts/controlnet.py": b"print('control')"})
    place.world.hub.add("webui/ControlNet-modules-safetensors", "control_canny-fp16.safetensors", safetensors(50_000))
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.run(cell_source("add-controlnet", controls="control_canny-fp16"), 60)
    assert (place.kept / "models/ControlNet/control_canny-fp16.safetensors").stat().st_size > 50_000
    assert names_on_drive(Folder(place.kept, place.machine)) == ["sd-webui-controlnet"]
    place.world.hub.log.clear()
    place.world.git.log.clear()
    kernel.run(cell_source("add-controlnet", controls="control_canny-fp16"), 60)
    assert (place.world.hub.sent(), place.world.git.fetches()) == (0, [])
    kernel.widgets.clear()
    kernel.run(cell_source("add-controlnet", controls="cany"), 60)
    assert "There is no ControlNet model 'cany'" in wait_problem(kernel)


def test_controlnet_that_does_not_fit_is_refused_before_the_first_byte(place: Place, kernels: Kernels) -> None:
    place.world.git.add("Mikubill/sd-webui-controlnet", {"x": b"x"})
    place.manners(free=1_000_000_000)
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.run(cell_source("add-controlnet", controls="essentials"), 60)
    assert "What you are adding (3 models) needs 2.2 GB, but Google Drive has only 1.0 GB free" in wait_problem(kernel)
    assert place.world.hub.sent() == 0
