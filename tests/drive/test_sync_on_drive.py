"""The sync on a real FUSE mount with Drive's faults: each file by itself, nothing a person owns is harmed."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub
import pytest

from launcher.core.folder import Folder, write_safely
from launcher.core.problem import Problem
from launcher.drive.records import UNFINISHED
from launcher.drive.restore import HUB_CHECKSUMS
from launcher.drive.sync import Sync
from launcher.source.git import PLACED_MARK
from tests.drive.test_sync import kept, write
from tests.world.githost import git
from tests.world.mounted import MountedDrive
from tests.world.wait import wait


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[MountedDrive]:
    with MountedDrive(tmp_path) as made:
        yield made


@pytest.fixture
def sync(drive: MountedDrive, tmp_path: Path) -> Sync:
    (drive.mydrive / "asd1111" / "stable-diffusion-webui").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    said: list[str] = []
    made = Sync(
        tmp_path / "data", drive.mydrive / "asd1111" / "stable-diffusion-webui", lambda text: None, say=said.append
    )
    made.said = said  # type: ignore[attr-defined]
    return made


def said(sync: Sync) -> str:
    return "\n".join(sync.said)  # type: ignore[attr-defined]


def soon(condition: Callable[[], object], patience: float = 10) -> None:
    wait(condition, patience, "what should be there soon")


def test_the_save_buttons_folder_and_folders_with_any_name_below_outputs_are_kept(sync: Sync) -> None:
    names = [
        "log/images/2026/1.png", "log/images/log.csv", "outputs/log/1.png", "outputs/tmp/1.png", "outputs/cache/1.png",
        "outputs/models/1.png", "outputs/txt2img-images/.hidden.png", "output/models/tmp/1.jpg",
    ]  # fmt: skip
    for name in names:
        write(sync.data / name)
    sync.poll(settled=0)
    assert kept(sync) == sorted(names)
    assert sync.summary() == "7 images kept in log and output and outputs"


def test_files_that_drive_does_not_take_keep_no_others_back_and_get_a_name_that_it_takes(
    sync: Sync, drive: MountedDrive
) -> None:
    long = "夜" * 80 + ".png"  # 244 bytes
    for number in range(31):
        write(sync.data / "outputs" / f"{number:02}.png", bytes([number]))
    write(sync.data / "outputs" / long, b"long")
    write(sync.data / "outputs" / "what?.png", b"odd")
    write(sync.data / "outputs" / "folder" / "1.png", b"behind a file")
    (sync.data / "outputs" / "dead.png").symlink_to("nowhere")
    write(sync.drive_dir / "outputs" / "folder", b"a file where a folder should be")
    drive.manners(longest_name=200, refuses="?")
    sync.poll(settled=0)
    found = kept(sync)
    assert len([name for name in found if name.startswith("outputs/")]) == 31 + 3 + 1
    assert (sync.drive_dir / "outputs" / "folder").read_bytes() == b"a file where a folder should be"
    assert (sync.drive_dir / "outputs" / "folder (2)" / "1.png").read_bytes() == b"behind a file"
    short = next(name for name in found if "~" in name and "what" not in name)
    assert (sync.drive_dir / short).read_bytes() == b"long"
    assert short.endswith(".png")
    assert f"outputs/{long} is kept on your Drive as {short}." in said(sync)
    sync.stop()
    assert sync.waiting == 0, "Stop ends"
    assert kept(sync) == found, "and nothing is copied twice"


def test_a_file_that_drive_does_not_take_at_all_is_named_and_stop_ends(sync: Sync, drive: MountedDrive) -> None:
    for number in range(5):
        write(sync.data / "outputs" / f"{number}.png")
    write(sync.data / "outputs" / "shared" / "1.png")
    (sync.drive_dir / "outputs" / "shared").mkdir(parents=True)
    drive.manners(read_only="/MyDrive/asd1111/stable-diffusion-webui/outputs/shared")
    sync.poll(settled=0)
    assert len(kept(sync)) == 5
    sync.stop()
    assert sync.waiting == 0
    assert "Google Drive does not accept outputs/shared/1.png (Permission denied). It stays on this machine." in said(
        sync
    )
    assert "1 that Google Drive does not accept (1.png)" in sync.summary()


def test_stop_pressed_again_once_drive_is_back_keeps_everything_and_leaves_no_half_copy(
    sync: Sync, drive: MountedDrive
) -> None:
    for number in range(30):
        write(sync.data / "outputs" / f"{number}.png", b"%d" % number)
    drive.manners(latency=0.1)
    half = drive.behind / "MyDrive" / "asd1111" / "stable-diffusion-webui" / UNFINISHED
    sync.start()
    soon(lambda: half.is_dir() and list(half.iterdir()))
    drive.drop()
    sync.stop()
    assert sync.waiting and list(half.iterdir()), "what was half copied is still there"
    drive.mount()
    drive.manners()
    sync.stop()
    assert kept(sync) == sorted(f"outputs/{number}.png" for number in range(30))


def test_an_image_never_replaces_another_one_that_is_on_drive(sync: Sync, tmp_path: Path) -> None:
    """A new machine numbers from 0 again: with the same seed the name is the same on the same day."""
    write(sync.drive_dir / "outputs" / "00000-1.png", b"of the machine before")
    write(sync.data / "outputs" / "00000-1.png", b"of this machine, longer")
    sync.poll(settled=0)
    assert (sync.drive_dir / "outputs" / "00000-1.png").read_bytes() == b"of the machine before"
    assert (sync.drive_dir / "outputs" / "00000-1 (2).png").read_bytes() == b"of this machine, longer"
    again = Sync(sync.data, sync.drive_dir, lambda text: None)
    again.poll(settled=0)
    assert kept(sync) == ["outputs/00000-1 (2).png", "outputs/00000-1.png"], "the next service knows its copy"
    (sync.data / "outputs" / "00000-1.png").unlink()
    for _ in range(3):
        again.poll(settled=0)
    assert kept(sync) == ["outputs/00000-1.png"]


def test_images_are_counted_and_texts_and_overwritten_ones_are_not(sync: Sync) -> None:
    for name in ("1.png", "1.txt", "2.webp"):
        write(sync.data / "outputs" / name)
    write(sync.data / "extensions" / "e" / "icon.png")
    sync.poll(settled=0)
    write(sync.data / "outputs" / "1.png", b"again")
    sync.poll(settled=0)
    assert (sync.images, sync.summary()) == (2, "2 images kept in outputs")
    again = Sync(sync.data, sync.drive_dir, lambda text: None)
    again.poll(settled=0)
    assert again.images == 2, "the next ▶ counts what this machine made"


def test_a_full_drive_takes_the_small_ones_and_the_rest_when_there_is_room(sync: Sync, drive: MountedDrive) -> None:
    for number in range(4):
        write(sync.data / "outputs" / f"{number}.png", b"x" * 10_000)
    write(sync.data / "outputs" / "big.png", b"x" * 900_000)
    drive.manners(free=200_000)
    sync.poll(settled=0)
    assert sync.full
    assert "it is full" in sync.summary()
    assert (sync.waiting, sync.waiting_bytes, sync.images) == (1, 900_000, 4)
    drive.manners()
    sync.poll(settled=0)
    assert not sync.full
    assert sync.summary() == "5 images kept in outputs"
    assert [name for name in kept(sync) if name.startswith(".")] == [], "no half copy stays"


def test_a_drive_that_answers_nothing_but_errors_is_said_and_no_file_is_given_up(
    sync: Sync, drive: MountedDrive
) -> None:
    for number in range(6):
        write(sync.data / "outputs" / f"{number}.png")
    drive.manners(errors=1.0)
    for _ in range(4):
        sync.poll(settled=0)
    assert (
        sync.summary()
        == "0 images kept, 6 files not saved yet (Google Drive is not accepting files: it reports errors)"
    )
    drive.manners(errors=0.3)
    for _ in range(4):
        sync.poll(settled=0)
    drive.manners()
    sync.stop()
    assert (sync.waiting, sync.images + sync.unkept) == (0, 6)
    assert len(kept(sync)) == sync.images


def test_while_drive_is_away_files_wait_and_follow_later(sync: Sync, drive: MountedDrive) -> None:
    names = [f"outputs/{number}.png" for number in range(3)]
    for name in names:
        write(sync.data / name, name.encode())
    drive.drop()
    sync.poll(settled=0)
    away = "0 images kept, 3 files not saved yet (Google Drive is not accepting files: it was disconnected)"
    assert sync.summary() == away
    drive.mount()
    sync.poll(settled=0)
    assert sync.summary() == "3 images kept in outputs"
    assert kept(sync) == names


def test_a_copy_that_is_not_whole_is_never_named(sync: Sync, drive: MountedDrive) -> None:
    write(sync.data / "outputs" / "a.png", b"image")
    drive.manners(loses=2)
    sync.poll(settled=0)
    assert sync.waiting == 1
    assert kept(sync) == []
    drive.manners()
    sync.poll(settled=0)
    assert (sync.drive_dir / "outputs" / "a.png").read_bytes() == b"image"


def test_the_thread_outlives_whatever_goes_wrong_and_says_it(sync: Sync) -> None:
    broken = threading.Event()

    def elsewhere() -> dict[Path, str]:
        if broken.is_set():
            raise UnicodeError("nobody foresaw it")
        return {}

    sync.elsewhere = elsewhere
    broken.set()
    sync.start()
    try:
        write(sync.data / "outputs" / "1.png")
        soon(lambda: "nobody foresaw it" in sync.summary())
        assert "Saving your files failed (UnicodeError)" in said(sync)
        beat = sync.heartbeat
        soon(lambda: sync.heartbeat > beat)
        broken.clear()
        soon(lambda: sync.summary() == "1 image kept in outputs")
    finally:
        broken.clear()
        sync.stop()


def test_one_broken_extension_keeps_nothing_else_back(sync: Sync) -> None:
    for name in ("broken", "sound"):
        checkout = sync.data / "extensions" / name
        write(checkout / "code.py")
        git("init", "-q", str(checkout))
        git("add", "code.py", at=checkout)
        git("commit", "-qm", "first", at=checkout)
        write(checkout / "own.txt")
    write(sync.data / "extensions" / "broken" / ".git" / "index", b"\0" * 40)
    write(sync.data / "outputs" / "1.png")
    sync.poll(settled=0)
    assert kept(sync) == ["extensions/sound/own.txt", "outputs/1.png"]
    assert "Changes in the extension broken are not kept" in said(sync)
    sync.stop()
    assert sync.waiting == 0


def test_an_extension_that_somebody_took_away_on_drive_is_not_pushed_back(sync: Sync) -> None:
    checkout = sync.data / "extensions" / "gone"
    write(checkout / ".git" / PLACED_MARK)
    write(checkout / "cache.json")
    sync.poll(settled=0)
    assert kept(sync) == []
    assert sync.waiting == 0
    (sync.drive_dir / "extensions" / "gone").mkdir(parents=True)
    sync.poll(settled=0)
    assert kept(sync) == ["extensions/gone/cache.json"]


def test_a_new_image_is_seen_at_once_in_new_folders_too_and_a_kept_one_costs_nothing(sync: Sync) -> None:
    sync.start()
    try:
        soon(lambda: sync.heartbeat)
        for day in range(3):
            write(sync.data / "outputs" / "txt2img-images" / f"2026-11-{day}" / "1.png", b"%d" % day)
        soon(lambda: sync.images == 3)
        for number in range(20):
            write(sync.data / "outputs" / "new" / f"{number}" / "deep" / "1.png")
        soon(lambda: sync.images == 23)
        (sync.data / "outputs" / "new").rename(sync.data / "outputs" / "renamed")
        soon(lambda: len(list((sync.drive_dir / "outputs" / "renamed").rglob("*.png"))) == 20)
        soon(lambda: not list((sync.drive_dir / "outputs" / "new").rglob("*.png")))
        (sync.data / "outputs" / "renamed" / "3" / "deep" / "1.png").unlink()
        soon(lambda: sync.images == 22)
    finally:
        sync.stop()


def test_a_deletion_during_a_copy_is_not_missed_when_a_new_folder_appears_as_well(
    sync: Sync, drive: MountedDrive
) -> None:
    write(sync.data / "outputs" / "gone.png")
    sync.start()
    try:
        soon(lambda: sync.images == 1)
        drive.manners(latency=0.1)
        for number in range(10):
            write(sync.data / "outputs" / f"{number}.png", b"%d" % number)
        half = drive.behind / "MyDrive" / "asd1111" / "stable-diffusion-webui" / UNFINISHED
        soon(lambda: half.is_dir() and list(half.iterdir()))
        (sync.data / "outputs" / "gone.png").unlink()
        write(sync.data / "log" / "images" / "1.png")
        drive.manners()
        soon((sync.drive_dir / "log" / "images" / "1.png").exists)
        soon(lambda: not (sync.drive_dir / "outputs" / "gone.png").exists())
    finally:
        sync.stop()


def test_names_of_any_bytes_are_kept(sync: Sync) -> None:
    names = [
        b"new\nline.png", b"tab\t.png", b"-rf.png", b" .png", b"...png", b"'\"`$(x).png", b"a|b&c;d.png", b"%s%n.png",
        b"\xff\xfe.png", b"\xe2\x80\xae.png", "é.png".encode(), "e\u0301.png".encode(), "😀.png".encode(),
        "夜".encode() * 83 + b".png", b"CON.png", b"a:b.png", b"x" * 251 + b".png", b"#.png", b"<b>.png", b"\x01.png",
    ]  # fmt: skip
    (sync.data / "outputs").mkdir()
    sync.start()
    try:
        for name in names:
            Path(os.fsdecode(os.path.join(os.fsencode(sync.data / "outputs"), name))).write_bytes(name)
        soon(lambda: sync.images == len(names), 15)
    finally:
        sync.stop()
    found = {path.read_bytes() for path in (sync.drive_dir / "outputs").iterdir()}
    assert found == set(names)


@pytest.mark.parametrize("when", ["before the first look", "while it looks"])
def test_what_the_hubs_client_fetched_is_found_again_on_a_new_machine(sync: Sync, tmp_path: Path, when: str) -> None:
    words = b'{"a</w>": 1}'
    hub = sync.data / "huggingface" / "hub"

    def fetch() -> None:  # as huggingface_hub 0.36 does it
        write(hub / "models--openai--clip" / "blobs" / "1234", words)
        write(hub / "models--openai--clip" / "refs" / "main", b"aaaa")
        (hub / "models--openai--clip" / "snapshots" / "aaaa").mkdir(parents=True)
        (hub / "models--openai--clip" / "snapshots" / "aaaa" / "vocab.json").symlink_to("../../blobs/1234")

    if when == "before the first look":
        fetch()
    sync.start()
    try:
        soon(lambda: sync.heartbeat)
        if when == "while it looks":
            fetch()
        soon(lambda: any("vocab.json" in name for name in kept(sync)))
    finally:
        sync.stop()
    below = "huggingface/hub/models--openai--clip"
    assert kept(sync) == [f"{below}/refs/main", f"{below}/snapshots/aaaa/vocab.json", HUB_CHECKSUMS]
    new = Sync(tmp_path / "new machine", sync.drive_dir, lambda text: None)
    new.restore()
    cache = tmp_path / "new machine" / "huggingface" / "hub"
    found = huggingface_hub.try_to_load_from_cache("openai/clip", "vocab.json", cache_dir=cache)
    assert isinstance(found, str) and Path(found).read_bytes() == words
    new.poll(settled=0)
    assert kept(sync) == [f"{below}/refs/main", f"{below}/snapshots/aaaa/vocab.json", HUB_CHECKSUMS]


# ---- the folder itself


def folder_on(drive: MountedDrive, root: Path, name: str = "asd1111") -> Folder:
    return Folder(drive.mydrive / name / "stable-diffusion-webui", root / "machine")


def test_cells_that_prepare_the_folder_and_write_a_file_at_once_do_not_hinder_each_other(
    drive: MountedDrive, tmp_path: Path
) -> None:
    drive.manners(latency=0.005)
    folder = folder_on(drive, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: folder.prepare(), range(8)))
        list(pool.map(lambda number: write_safely(folder.kept / "notes", str(number) * 1000), range(8)))
    assert (folder.kept / "notes").read_text() in {str(number) * 1000 for number in range(8)}
    assert [path for path in folder.kept.rglob("*") if path.name.endswith(".part")] == []


def test_a_folder_on_drive_that_cannot_be_used_is_explained_in_one_sentence(
    drive: MountedDrive, tmp_path: Path
) -> None:
    behind = drive.behind / "MyDrive"
    (behind / "file").write_text("a file")
    with pytest.raises(Problem, match="file on your Drive is a file, but the launcher needs a folder"):
        folder_on(drive, tmp_path, "file").prepare()
    assert (behind / "file").read_text() == "a file"
    (behind / "inside" / "stable-diffusion-webui").mkdir(parents=True)
    (behind / "inside" / "stable-diffusion-webui" / "models").write_text("a file")
    with pytest.raises(Problem, match="inside/stable-diffusion-webui/models on your Drive is a file"):
        folder_on(drive, tmp_path, "inside").prepare()
    (behind / "dead").symlink_to(drive.mountpoint / ".shortcut-targets-by-id" / "gone")
    with pytest.raises(Problem, match="dead on your Drive is a shortcut to a folder that no longer exists"):
        folder_on(drive, tmp_path, "dead").prepare()
    folder_on(drive, tmp_path).prepare()
    (behind / "empty").mkdir()
    drive.manners(read_only="/MyDrive/")
    for name in ("empty", "asd1111"):  # in the latter all folders are there, and yet nothing could be kept
        with pytest.raises(Problem, match=f"{name} on your Drive is read-only"):
            folder_on(drive, tmp_path, name).prepare()
    drive.manners(free=0)
    folder_on(drive, tmp_path).prepare()  # a full Drive still has what is on it


def test_a_folder_reached_by_a_shortcut_is_used(drive: MountedDrive, tmp_path: Path) -> None:
    (drive.behind / ".shortcut-targets-by-id" / "x" / "theirs").mkdir(parents=True)
    (drive.behind / "MyDrive" / "asd1111").symlink_to(drive.mountpoint / ".shortcut-targets-by-id" / "x" / "theirs")
    folder_on(drive, tmp_path).prepare()
    assert (drive.behind / ".shortcut-targets-by-id" / "x" / "theirs" / "stable-diffusion-webui" / "models").is_dir()


def test_dead_shortcuts_are_left_out_and_named(drive: MountedDrive, tmp_path: Path) -> None:
    folder = folder_on(drive, tmp_path)
    folder.prepare()
    behind = drive.behind / "MyDrive" / "asd1111" / "stable-diffusion-webui"
    dead = ["models/Stable-diffusion/dead.safetensors", "embeddings/dead.pt", "styles.csv", "extensions/dead"]
    for name in dead:
        (behind / name).parent.mkdir(parents=True, exist_ok=True)
        (behind / name).symlink_to(drive.mountpoint / "gone")
    write(behind / "embeddings" / "sound.pt")
    write(behind / "models" / "Stable-diffusion" / "sound.safetensors")
    told: list[str] = []
    assert Sync(folder.data, folder.kept, lambda text: None, say=told.append).restore() == 1
    assert [path.name for path in folder.checkpoints()] == ["sound.safetensors"]
    assert folder.dead_shortcuts() == sorted(dead)
    assert told == ["These files on your Drive cannot be read and were skipped: styles.csv, embeddings/dead.pt."]
