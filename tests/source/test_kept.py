"""Histories are kept on Drive as one file each; whatever Drive makes of it, a launch goes on, and mends it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.core.fields import NEWEST
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.drive.records import sweep_unfinished
from launcher.extensions.extension import put_extensions
from launcher.extensions.manage import add_extension
from launcher.source.checkout import Repository, check_out, check_out_sub_repositories, check_out_version
from launcher.source.kept import BUNDLE, ORIGIN, pull_history, push_history, used_commit
from launcher.source.versions import versions_to_try
from tests.world import WEBUI, World
from tests.world.githost import git, opened
from tests.world.heard import Heard

NICE = "somebody/nice"
ADDRESS = f"https://github.com/{NICE}.git"


@pytest.fixture
def folder(world: World, folder_with_git: Folder) -> Folder:
    world.git.add(NICE, {"one": b"1\n", "two": b"2\n"})
    return folder_with_git


def another(folder: Folder) -> Folder:
    """A new machine with the same Drive."""
    number = len(list(folder.machine.parent.glob("machine*")))
    made = Folder(folder.kept, folder.machine.parent / f"machine {number}")
    made.prepare()
    return made


def fetched(folder: Folder) -> str:
    return check_out(
        folder, Repository("extensions/nice", (ADDRESS,), "HEAD"), folder.data / "extensions" / "nice", Heard()
    )


def test_what_is_kept_is_a_sound_repository_of_one_file_and_its_address(folder: Folder) -> None:
    commit, kept = fetched(folder), folder.kept / "extensions" / "nice"
    there = opened(kept)
    assert git("fsck", "--strict", at=there) == ""
    assert git("for-each-ref", "--format=%(refname)", at=there) == f"refs/oneclick/commits/{commit}"
    assert git("ls-tree", "--name-only", commit, at=there).split() == ["one", "two"]
    assert {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()} == {BUNDLE, ORIGIN}


def test_what_drive_lost_comes_back_from_the_machine_without_the_network(world: World, folder: Folder) -> None:
    add_extension(folder, ADDRESS, Heard())
    kept = folder.kept / "extensions" / "nice"
    (kept / BUNDLE).unlink()
    world.git.log.clear()
    put_extensions(folder, Heard())
    assert world.git.fetches() == []
    assert git("fsck", "--strict", at=opened(kept)) == ""


def test_what_sweeps_up_unfinished_copies_leaves_histories_alone(world: World, folder: Folder) -> None:
    add_extension(folder, ADDRESS, Heard())
    bring(folder)
    sweep_unfinished(folder.kept)
    world.git.log.clear()
    assert bring(another(folder)) == []
    assert world.git.fetches() == []


def test_what_two_machines_keep_is_kept_of_both(world: World, folder: Folder) -> None:
    first, other = fetched(folder), another(folder)
    pull_history(other, folder.kept / "extensions" / "nice")
    world.git.add(NICE, {"one": b"new\n"})
    second = fetched(folder)
    world.git.add(NICE, {"one": b"newest\n"})
    third = fetched(other)
    there = git("for-each-ref", "--format=%(objectname)", at=opened(folder.kept / "extensions" / "nice"))
    assert set(there.split()) == {first, second, third}


def test_a_persons_own_repository_is_read_and_nothing_in_it_is_written(world: World, folder: Folder) -> None:
    kept = folder.kept / "extensions" / "nice"
    git("clone", "-q", f"{world.git.url}{NICE}.git", str(kept))
    git("checkout", "-q", "-b", "mine", at=kept)
    before = {path: path.read_bytes() for path in (kept / ".git").rglob("*") if path.is_file()}
    world.git.log.clear()
    put_extensions(folder, Heard())
    assert world.git.fetches() == [], "what the folder holds is not fetched"
    assert (folder.data / "extensions/nice/one").read_text() == "1\n"
    assert git("symbolic-ref", "--short", "HEAD", at=folder.data / "extensions/nice") == "mine"
    world.git.add(NICE, {"one": b"new\n"})
    fetched(folder)
    assert {path: path.read_bytes() for path in (kept / ".git").rglob("*") if path.is_file()} == before
    assert git("status", "--porcelain", at=kept) == "?? .source/"


# ---- a folder of 1.2.0


def as_1_2_0_kept_it(kept: Path, url: str, name: str) -> str:
    """A repository on Drive as launchers up to 1.2.0 kept it: no files, no branch, one name; the commit."""
    (kept / ".git").mkdir(parents=True)
    git("init", "-q", "--template=", str(kept))
    one_pack = ("-c", "fetch.unpackLimit=1")
    git(*one_pack, "fetch", "-q", "--no-tags", "--depth=1", f"{url}{name}.git", "HEAD", at=kept)
    commit = git("rev-parse", "FETCH_HEAD", at=kept)
    git("update-ref", "refs/oneclick/used", commit, at=kept)
    git("config", "remote.origin.url", f"https://github.com/{name}.git", at=kept)
    (kept / ".git" / "FETCH_HEAD").unlink()
    return commit


def test_of_a_folder_by_1_2_0_nothing_is_fetched_again(world: World, folder: Folder) -> None:
    commit = as_1_2_0_kept_it(folder.kept, world.git.url, WEBUI)
    as_1_2_0_kept_it(folder.kept / "extensions" / "nice", world.git.url, NICE)
    for name, upstream in PARTS.items():
        as_1_2_0_kept_it(folder.kept / "repositories" / name, world.git.url, upstream)
    as_1_2_0_kept_it(folder.history(folder.kept / "extensions" / "nice"), world.git.url, NICE)  # it ran here
    world.git.log.clear()
    bring(folder)
    world.git.down = True
    assert world.git.fetches() == []
    for machine in (folder, another(folder)):
        told = bring(machine)
        assert git("rev-parse", "HEAD", at=machine.code) == commit
        assert told == [f"GitHub did not answer, so the version kept on Drive is used ({commit[:8]})."]
        assert (machine.data / "extensions/nice/one").read_text() == "1\n"
        assert git("config", "remote.origin.url", at=machine.data / "extensions/nice") == ADDRESS


# ---- damaged on Drive

PARTS = {
    "k-diffusion": "crowsonkb/k-diffusion",
    "BLIP": "salesforce/BLIP",
    "generative-models": "Stability-AI/generative-models",
    "stable-diffusion-stability-ai": "w-e-w/stablediffusion",
    "stable-diffusion-webui-assets": "AUTOMATIC1111/stable-diffusion-webui-assets",
}
HOLDERS = (".", "repositories/BLIP", "extensions/nice")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def zeroed_at_its_end(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))


def one_bit_flipped_in_each_line(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(10, len(content), 40):
        content[at] ^= 1
    path.write_bytes(content)


def a_name_of_another_commit(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b"commits/") + len("commits/")
    path.write_bytes(content[:at] + b"f" * 40 + content[at + 40 :])


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\xfe<html>gitdir: ../../..\n" * 40)


def nested(path: Path) -> None:
    path.write_bytes(b"[" * 60_000 + b"\n")


def a_link_of_gits(path: Path) -> None:
    path.write_text("{}\ngitdir: /etc\n")


def a_folder(path: Path) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)


def a_dead_shortcut(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def gone(path: Path) -> None:
    path.unlink()


DAMAGES = (
    emptied,
    cut,
    zeroed,
    zeroed_at_its_end,
    one_bit_flipped_in_each_line,
    a_name_of_another_commit,
    garbage,
    nested,
    a_link_of_gits,
    a_folder,
    a_dead_shortcut,
    gone,
)


def bring(folder: Folder) -> list[str]:
    """What a launch does with sources; what was said."""
    heard = Heard()
    tries = versions_to_try(folder, NEWEST, heard)
    check_out_version(folder, tries.commit, heard)
    check_out_sub_repositories(folder, heard)
    tries.worked()
    put_extensions(folder, heard)
    return heard.notices


def running(folder: Folder) -> list[bool]:
    places = (folder.code / "launch.py", folder.code / "repositories/BLIP/README", folder.data / "extensions/nice/one")
    return [place.exists() for place in places]


# `make garbled` has the others, as it has each file of 1.2.0 with each damage.
@pytest.mark.parametrize("damage", [one for one in DAMAGES if one not in (emptied, zeroed, garbage, nested)])
def test_whatever_becomes_of_kept_histories_a_launch_on_a_new_machine_goes_on_and_mends_them(
    world: World, folder: Folder, damage: Callable[[Path], None]
) -> None:
    add_extension(folder, ADDRESS, Heard())
    bring(folder)
    places = [folder.kept / holder for holder in HOLDERS]
    commits = [used_commit(folder.history(place)) for place in places]
    for place in places:
        damage(place / BUNDLE)
    machine = another(folder)
    told = bring(machine)
    assert running(machine) == [True] * 3
    assert commits == [used_commit(machine.history(place)) for place in places], "the versions are those that were used"
    known = ["nice"] if damage in (gone, a_dead_shortcut) else ["stable-diffusion-webui", "BLIP", "nice"]
    assert [one.split(" on Google Drive was damaged")[0] for one in told] == [f"The copy of {name}" for name in known]
    assert [git("fsck", "--strict", at=opened(place)) for place in places] == [""] * 3
    world.git.log.clear()
    last = another(folder)
    assert bring(last) == []
    assert running(last) == [True] * 3
    assert world.git.fetches() == [], "Drive holds a good one"


@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage is not a_name_of_another_commit])
def test_the_file_with_an_extensions_address_may_be_damaged(
    world: World, folder: Folder, damage: Callable[[Path], None]
) -> None:
    add_extension(folder, ADDRESS, Heard())
    origin = folder.kept / "extensions" / "nice" / ORIGIN
    content = json.loads(origin.read_text())
    damage(origin)
    machine, heard = another(folder), Heard()
    put_extensions(machine, heard)
    unseen = damage is one_bit_flipped_in_each_line  # it is an address still
    assert ["not known any more" in text for text in heard.notices] == [True] * (not unseen)
    assert (machine.data / "extensions/nice/one").exists()
    put_extensions(folder, Heard())
    assert json.loads(origin.read_text()) == content, "the machine that has it mends it"


@pytest.mark.parametrize("damage", (garbage, one_bit_flipped_in_each_line))
def test_the_machine_that_has_it_mends_drive_without_the_network(
    world: World, folder: Folder, damage: Callable[[Path], None]
) -> None:
    add_extension(folder, ADDRESS, Heard())
    bring(folder)
    for place in HOLDERS:
        damage(folder.kept / place / BUNDLE)
    world.git.down = True
    told = bring(folder)
    assert len([sentence for sentence in told if "was damaged: it is replaced." in sentence]) == 3
    last = another(folder)
    assert not [sentence for sentence in bring(last) if "damaged" in sentence]
    assert running(last) == [True] * 3


GITS_OWN = (
    ("HEAD", emptied),
    ("config", garbage),
    ("shallow", garbage),
    ("objects/pack/*.pack", emptied),
    ("refs/**/[0-9a-f]*", emptied),
    ("refs/heads/master", emptied),
    ("origin.json", emptied),
    ("oneclick-placed", garbage),
)


@pytest.mark.parametrize(("name", "damage"), GITS_OWN)
def test_what_a_full_disk_or_a_cut_left_of_a_machines_repositories_is_made_anew_from_drive(
    world: World, folder: Folder, name: str, damage: Callable[[Path], None]
) -> None:
    add_extension(folder, ADDRESS, Heard())
    bring(folder)
    there = {path: path.read_bytes() for path in folder.kept.rglob(".source/*")}
    world.git.log.clear()
    places = (folder.code, folder.data / "extensions/nice", *(folder.history(folder.kept / one) for one in HOLDERS))
    for path in [path for place in places for path in place.glob(f".git/{name}") if path.is_file()]:
        path.chmod(0o644)
        damage(path)
    assert bring(folder) == [], "it is no fault of Drive's"
    assert running(folder) == [True] * 3
    assert world.git.fetches() == []
    assert {path: path.read_bytes() for path in folder.kept.rglob(".source/*")} == there


def test_without_a_network_a_damaged_a1111_is_one_sentence_and_a_damaged_extension_stops_nothing(
    world: World, folder: Folder
) -> None:
    add_extension(folder, ADDRESS, Heard())
    bring(folder)
    emptied(folder.kept / "extensions/nice" / BUNDLE)
    world.git.down = True
    machine = another(folder)
    told = bring(machine)
    assert any("copy of nice on Google Drive was damaged: it could not be downloaded again" in one for one in told)
    assert running(machine) == [True, True, False]
    world.git.down = False
    bring(machine)
    assert running(machine) == [True] * 3, "the next start tries it once more"
    emptied(folder.kept / BUNDLE)
    world.git.down = True
    with pytest.raises(Problem, match="The source of AUTOMATIC1111 could not be downloaded"):
        bring(another(folder))


def test_an_extension_whose_two_files_are_damaged_is_named(world: World, folder: Folder) -> None:
    add_extension(folder, ADDRESS, Heard())
    for name in (BUNDLE, ORIGIN):
        emptied(folder.kept / "extensions/nice" / name)
    machine, heard = another(folder), Heard()
    put_extensions(machine, heard)
    assert "nobody knows where it came from. Remove the extension, and add it again." in heard.notices[0]


GIT_FILES = ("HEAD", "config", "shallow", "refs/oneclick/used", "objects/pack/*.pack", "objects/pack/*.idx")


@pytest.mark.parametrize(("name", "damage"), [*zip(GIT_FILES, (emptied, garbage, a_folder) * 2, strict=True)])
def test_whatever_became_of_a_folder_by_1_2_0_a_launch_goes_on_and_keeps_a_good_one(
    world: World, folder: Folder, name: str, damage: Callable[[Path], None]
) -> None:
    for place, upstream in ((folder.kept, WEBUI), (folder.kept / "repositories/BLIP", PARTS["BLIP"])):
        as_1_2_0_kept_it(place, world.git.url, upstream)
        paths = list((place / ".git").glob(name))
        assert paths
        for path in paths:
            damage(path)
    bring(folder)
    world.git.log.clear()
    last = another(folder)
    assert bring(last) == []
    assert running(last)[:2] == [True, True]
    assert world.git.fetches() == []


@pytest.mark.parametrize(
    "head", ("ref: ../../..", "ref: refs/heads/../../../../../../session/login.json", "ref: refs/heads/-f")
)
def test_no_text_of_a_repository_on_drive_becomes_a_path(world: World, folder: Folder, head: str) -> None:
    kept = folder.kept / "extensions" / "nice"
    as_1_2_0_kept_it(kept, world.git.url, NICE)
    login = folder.session / "login.json"
    login.write_text("mine")
    (kept / ".git" / "HEAD").write_text(f"{head}\n")
    (folder.kept / "session").mkdir()
    (folder.kept / "session" / "login.json").write_text("theirs")
    (kept / ".git" / "session").mkdir()
    (kept / ".git" / "session" / "login.json").write_text("theirs")
    before = {path for path in folder.machine.rglob("*") if "extensions" not in path.parts}
    put_extensions(folder, Heard())
    assert login.read_text() == "mine"
    after = {path for path in folder.machine.rglob("*") if "extensions" not in path.parts}
    assert {path for path in after - before if "history" not in path.parts} == set()


def test_hostile_settings_in_a_kept_file_run_nothing_and_stop_nothing(
    world: World, folder: Folder, tmp_path: Path
) -> None:
    add_extension(folder, ADDRESS, Heard())
    ran, kept = tmp_path / "ran", folder.kept / "extensions/nice"
    hostile = {
        "url": f"ext::sh -c touch% {ran}",
        "branch": f"--upload-pack=touch {ran}",
        "followed": "../../x",
        "used": f"--output={ran}",
    }
    (kept / ORIGIN).write_text(json.dumps(hostile))
    emptied(kept / BUNDLE)
    machine, heard = another(folder), Heard()
    put_extensions(machine, heard)
    assert not ran.exists()
    assert "on Google Drive was damaged: it could not be downloaded again" in heard.notices[0]
    (kept / ORIGIN).write_text(json.dumps(hostile | {"url": ADDRESS, "used": None}))
    put_extensions(machine, heard)
    assert (machine.data / "extensions/nice/one").exists()
    assert git("symbolic-ref", "--short", "HEAD", at=machine.data / "extensions/nice") == "master"
    assert not ran.exists()


def test_a_push_that_was_cut_is_done_again(folder: Folder) -> None:
    fetched(folder)
    kept = folder.kept / "extensions" / "nice"
    part = kept / f"{BUNDLE}.part"
    shutil.move(kept / BUNDLE, part)
    cut(part)
    push_history(folder, kept)
    assert git("fsck", "--strict", at=opened(kept)) == ""
    assert not part.exists()
