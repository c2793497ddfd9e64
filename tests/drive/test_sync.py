"""What the web UI writes is on Drive soon after, whole; settings come back."""

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from launcher.drive import records
from launcher.drive import sync as drive_sync
from launcher.drive.records import UNFINISHED
from launcher.drive.sync import Sync
from tests.world.wait import wait


@pytest.fixture
def sync(tmp_path: Path) -> Sync:
    (tmp_path / "data").mkdir()
    (tmp_path / "kept").mkdir()
    return Sync(tmp_path / "data", tmp_path / "kept", lambda text: None)


def write(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_new_image_is_on_drive_within_ten_seconds(sync: Sync) -> None:
    sync.start()
    write(sync.data / "outputs" / "txt2img-images" / "a.png", b"image")
    target = sync.drive_dir / "outputs" / "txt2img-images" / "a.png"
    wait(target.exists, 10, "the image")
    assert target.read_bytes() == b"image"
    sync.stop()
    assert sync.summary() == "1 image kept in outputs"


def test_one_that_was_stopped_can_be_started_again(sync: Sync) -> None:
    """A restart for another version ends the web UI, whose last files are saved, and goes on with the same folder."""
    sync.start()
    sync.stop()
    sync.start()
    assert sync.running
    write(sync.data / "outputs" / "a.png", b"image")
    wait((sync.drive_dir / "outputs" / "a.png").exists, 10, "the image")
    sync.stop()
    assert not sync.running


def test_nothing_is_made_where_drive_should_be_and_what_waits_is_counted(sync: Sync) -> None:
    """An unmounted Drive is an empty folder of the machine: what is written there is lost."""
    write(sync.data / "outputs" / "old.png")
    sync.poll(settled=0)
    sync.drive_dir.rename(sync.drive_dir.with_name("elsewhere"))
    write(sync.data / "outputs" / "a" / "new.png", b"image")
    (sync.data / "outputs" / "old.png").unlink()
    for _ in range(3):
        sync.poll(settled=0)
    assert not sync.drive_dir.exists()
    assert (
        sync.summary() == "1 image kept in outputs, 1 file not saved yet "
        "(Google Drive is not accepting files: your folder cannot be found)"
    )
    sync.drive_dir.with_name("elsewhere").rename(sync.drive_dir)
    for _ in range(3):
        sync.poll(settled=0)
    assert [p.name for p in sync.drive_dir.rglob("*.png")] == ["new.png"], "what was deleted meanwhile is deleted now"


def test_a_file_that_is_still_written_waits(sync: Sync) -> None:
    write(sync.data / "outputs" / "a.png")
    sync.poll(settled=60)
    assert not (sync.drive_dir / "outputs" / "a.png").exists()
    assert sync.waiting == 1
    sync.poll(settled=0)
    assert (sync.drive_dir / "outputs" / "a.png").exists()


def test_a_changed_file_is_copied_again_and_an_unchanged_one_is_not(sync: Sync) -> None:
    write(sync.data / "config.json", b"1")
    sync.poll(settled=0)
    (sync.drive_dir / "config.json").unlink()
    sync.poll(settled=0)
    assert not (sync.drive_dir / "config.json").exists(), (
        "what is deleted on Drive is not brought back without a change"
    )
    write(sync.data / "config.json", b"22")
    sync.poll(settled=0)
    assert (sync.drive_dir / "config.json").read_bytes() == b"22"


def test_models_caches_and_half_files_are_not_copied(sync: Sync, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write(tmp_path / "models" / "m.safetensors")
    (sync.data / "models").symlink_to(tmp_path / "models")
    for name in ("cache/x.db", "tmp/x", "a.part", "a.lock", "outputs/__pycache__/x.pyc"):
        write(sync.data / name)
    sync.poll(settled=0)
    assert [p for p in sync.drive_dir.rglob("*") if p.is_file()] == []


def test_settings_and_embeddings_come_back_and_images_do_not(sync: Sync) -> None:
    for name in (
        "config.json",
        "ui-config.json",
        "styles.csv",
        "embeddings/e.pt",
        "huggingface/hub/vocab.json",
        "outputs/a.png",
        "package.json",
    ):
        write(sync.drive_dir / name, b"{}")
    assert sync.restore() == 5
    assert sorted(str(p.relative_to(sync.data)) for p in sync.data.rglob("*") if p.is_file()) == [
        "config.json", "embeddings/e.pt", "huggingface/hub/vocab.json", "styles.csv", "ui-config.json",
    ]  # fmt: skip
    sync.poll(settled=0)
    assert sync.images == 0


def test_a_file_that_is_newer_on_the_machine_is_not_replaced(sync: Sync) -> None:
    write(sync.drive_dir / "config.json", b"old")
    os.utime(sync.drive_dir / "config.json", (1, 1))
    write(sync.data / "config.json", b"new")
    sync.restore()
    assert (sync.data / "config.json").read_bytes() == b"new"
    sync.poll(settled=0)
    assert (sync.drive_dir / "config.json").read_bytes() == b"new"


def test_what_is_changed_here_is_newer_than_what_came_even_from_a_clock_that_is_ahead(sync: Sync) -> None:
    write(sync.drive_dir / "config.json", b'{"old": 1}')
    os.utime(sync.drive_dir / "config.json", (4e9, 4e9))
    sync.restore()
    write(sync.data / "config.json", b'{"new": 1}')
    sync.restore()
    sync.poll(settled=0)
    assert (sync.drive_dir / "config.json").read_bytes() == b'{"new": 1}'


def test_what_an_earlier_kernel_kept_is_not_copied_again(sync: Sync) -> None:
    write(sync.data / "outputs" / "a.png", b"image")
    sync.poll(settled=0)
    before = inodes(sync)
    again = Sync(sync.data, sync.drive_dir, lambda text: None)
    again.poll(settled=0)
    assert again.waiting == 0
    assert inodes(sync) == before


def inodes(sync: Sync) -> dict[str, tuple[int, int]]:
    """What is kept: (inode, time of its last change of any kind). A file that is copied again has another inode."""
    found = {name: (sync.drive_dir / name).stat() for name in kept(sync)}
    return {name: (info.st_ino, info.st_ctime_ns) for name, info in found.items()}


def kept(sync: Sync) -> list[str]:
    return sorted(str(p.relative_to(sync.drive_dir)) for p in sync.drive_dir.rglob("*") if p.is_file())


def test_what_is_deleted_in_the_web_ui_is_deleted_on_drive_at_the_second_look(sync: Sync) -> None:
    write(sync.data / "outputs" / "a.png")
    write(sync.data / "outputs" / "b.png")
    sync.poll(settled=0)
    (sync.data / "outputs" / "a.png").unlink()
    sync.poll(settled=0)
    assert kept(sync) == ["outputs/a.png", "outputs/b.png"]
    sync.poll(settled=0)
    assert kept(sync) == ["outputs/b.png"]


def test_a_renamed_folder_is_renamed_on_drive_and_nothing_is_copied(sync: Sync) -> None:
    for number in range(3):
        write(sync.data / "outputs" / "old" / f"{number}.png", bytes([number]))
    sync.poll(settled=0)
    before = {os.path.basename(name): inode for name, (inode, _) in inodes(sync).items()}
    (sync.data / "outputs" / "old").rename(sync.data / "outputs" / "new")
    sync.poll(settled=0)
    assert {os.path.basename(name): inode for name, (inode, _) in inodes(sync).items()} == before, "copied again"
    assert kept(sync) == ["outputs/new/0.png", "outputs/new/1.png", "outputs/new/2.png"]


def test_what_somebody_changed_on_drive_is_not_deleted_with_the_machines_copy(sync: Sync) -> None:
    write(sync.data / "styles.csv", b"old")
    sync.poll(settled=0)
    write(sync.drive_dir / "styles.csv", b"changed on Drive")
    (sync.data / "styles.csv").unlink()
    for _ in range(3):
        sync.poll(settled=0)
    assert (sync.drive_dir / "styles.csv").read_bytes() == b"changed on Drive"


def test_a_file_beside_the_folders_that_is_deleted_is_deleted_on_drive_and_does_not_come_back(sync: Sync) -> None:
    write(sync.data / "user.css", b"body{}")
    write(sync.data / "styles.csv", b"name,prompt,negative_prompt\n")
    sync.poll(settled=0)
    (sync.data / "user.css").unlink()
    for _ in range(3):
        sync.poll(settled=0)
    assert kept(sync) == ["styles.csv"]


def test_a_machine_whose_folder_is_gone_deletes_nothing_on_drive(sync: Sync) -> None:
    write(sync.data / "outputs" / "a.png")
    sync.poll(settled=0)
    shutil.rmtree(sync.data)
    for _ in range(3):
        sync.poll(settled=0)
    assert kept(sync) == ["outputs/a.png"]


def test_a_data_directory_that_is_made_anew_or_loses_a_whole_folder_deletes_nothing_on_drive(sync: Sync) -> None:
    write(sync.data / "outputs" / "a.png")
    write(sync.data / "log" / "images" / "b.png")
    sync.poll(settled=0)
    shutil.rmtree(sync.data / "log")
    for _ in range(3):
        sync.poll(settled=0)
    for number in range(12):
        write(sync.data / "embeddings" / f"{number}.pt")
    sync.poll(settled=0)
    for number in range(12):
        (sync.data / "embeddings" / f"{number}.pt").unlink()
    for _ in range(3):
        sync.poll(settled=0)
    assert len(list((sync.drive_dir / "embeddings").iterdir())) == 12
    shutil.rmtree(sync.drive_dir / "embeddings")
    before = sync.data.rename(sync.data.with_name("before"))  # it stays, so that the new one has another inode
    sync.data.mkdir()
    write(sync.data / "outputs" / "c.png")
    for _ in range(3):
        sync.poll(settled=0)
    assert before.is_dir()
    assert kept(sync) == ["log/images/b.png", "outputs/a.png", "outputs/c.png"]
    assert sync.summary() == "1 image kept in outputs"


def test_copies_that_a_kill_cut_off_are_swept_away_at_the_next_start(sync: Sync) -> None:
    write(sync.drive_dir / UNFINISHED / "1-a.png", b"ha")
    sync.restore()
    assert kept(sync) == []


def test_two_folders_that_are_kept_under_one_name_lose_no_image_of_the_same_size(sync: Sync, tmp_path: Path) -> None:
    other = tmp_path / "other" / "outputs"
    sync.elsewhere = lambda: {other: "outputs"}
    write(other / "a.png", b"one")
    sync.poll(settled=0)
    write(sync.data / "outputs" / "a.png", b"two")
    sync.poll(settled=0)
    assert {path.read_bytes() for path in sync.drive_dir.rglob("*.png")} == {b"one", b"two"}


def test_a_folder_of_images_inside_the_data_directory_is_kept_once_under_a_name_of_its_own(sync: Sync) -> None:
    own = sync.data / "mine"
    sync.elsewhere = lambda: {own: "outputs/mine"}
    write(own / "a.png")
    write(own / "notes.md")
    sync.poll(settled=0)
    assert kept(sync) == ["outputs/mine/a.png"]
    (own / "a.png").unlink()
    for _ in range(3):
        sync.poll(settled=0)
    assert kept(sync) == ["outputs/mine/a.png"], "what is deleted there stays on Drive"


def test_a_folder_that_becomes_one_of_images_later_loses_nothing_on_drive(sync: Sync) -> None:
    write(sync.drive_dir / "embeddings" / "brought.pt")
    sync.restore()
    write(sync.data / "embeddings" / "mine.pt")
    write(sync.data / "embeddings" / "preview.png")
    sync.poll(settled=0)
    before = kept(sync)
    sync.elsewhere = lambda: {sync.data / "embeddings": "outputs/embeddings"}
    for _ in range(3):
        sync.poll(settled=0)
    (sync.data / "embeddings" / "preview.png").unlink()
    for _ in range(3):
        sync.poll(settled=0)
    assert set(before) == {"embeddings/brought.pt", "embeddings/mine.pt", "embeddings/preview.png"} <= set(kept(sync))


@pytest.mark.parametrize("runs", [True, False])
def test_for_a_drive_that_hangs_no_stop_waits_for_ever_and_what_came_since_counts(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    over, hung = threading.Event(), threading.Event()
    stat = Path.stat

    def hang(path: Path, **how: Any) -> os.stat_result:
        if path == sync.drive_dir and not over.is_set():
            hung.set()
            over.wait(120)
        return stat(path, **how)

    monkeypatch.setattr(drive_sync, "HANGS_AFTER", 3.0)  # two minutes
    write(sync.data / "outputs" / "a.png")
    sync.poll(settled=0)
    monkeypatch.setattr(Path, "stat", hang)
    if runs:
        sync.start()
        assert hung.wait(20)
    write(sync.data / "outputs" / "b.png")
    began = time.monotonic()
    sync.stop()
    assert time.monotonic() - began < 60
    assert sync.hangs
    assert sync.waiting == 1, "nobody may take it for saved"
    over.set()


def test_a_large_file_may_take_longer_than_a_drive_that_hangs(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive_sync, "HANGS_AFTER", 0.0)
    monkeypatch.setattr(drive_sync, "SLOWEST", 0.1)
    write(sync.data / "outputs" / "a.png", b"large")
    copied = records.copy_to_drive

    def slowly(*arguments: Any) -> None:
        time.sleep(3)
        copied(*arguments)

    monkeypatch.setattr(records, "copy_to_drive", slowly)
    sync.start()
    wait(lambda: sync.waiting, 10, "the file to be seen")
    sync.stop()
    assert kept(sync) == ["outputs/a.png"]


def test_a_data_directory_that_comes_after_the_sync_began_is_kept_soon_after(sync: Sync) -> None:
    sync.data.rmdir()
    sync.start()
    wait(lambda: sync.heartbeat, 10, "the first look")
    write(sync.data / "outputs" / "a.png")
    wait((sync.drive_dir / "outputs" / "a.png").exists, 10, "the image")
    sync.stop()


def test_what_was_new_while_saving_failed_is_kept_soon_after(sync: Sync) -> None:
    def broken() -> dict[Path, str]:
        raise UnicodeError("nobody foresaw it")

    sync.start()
    write(sync.data / "outputs" / "1.png")
    wait((sync.drive_dir / "outputs" / "1.png").exists, 10, "an image")
    sync.elsewhere = broken
    write(sync.data / "outputs" / "2.png")
    wait(lambda: sync.fault, 10, "the fault")
    sync.elsewhere = dict
    wait((sync.drive_dir / "outputs" / "2.png").exists, 10, "the image that came meanwhile")
    sync.stop()
