"""What the web UI writes is on Drive soon after, whole; settings come back."""

import os
import shutil
from pathlib import Path

import pytest

from launcher.drive.copying import UNFINISHED
from launcher.drive.mirror import Mirror
from tests.world.wait import wait


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    (tmp_path / "data").mkdir()
    (tmp_path / "kept").mkdir()
    return Mirror(tmp_path / "data", tmp_path / "kept", lambda text: None)


def write(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_new_image_is_on_drive_within_ten_seconds(mirror: Mirror) -> None:
    mirror.start()
    write(mirror.data / "outputs" / "txt2img-images" / "a.png", b"image")
    target = mirror.kept / "outputs" / "txt2img-images" / "a.png"
    wait(target.exists, 10, "the image")
    assert target.read_bytes() == b"image"
    mirror.stop()
    assert mirror.summary() == "1 image kept in outputs"


def test_nothing_is_made_where_drive_should_be_and_what_waits_is_counted(mirror: Mirror) -> None:
    """An unmounted Drive is an empty folder of the machine: what is written there is lost."""
    write(mirror.data / "outputs" / "old.png")
    mirror.look(settled=0)
    mirror.kept.rename(mirror.kept.with_name("elsewhere"))
    write(mirror.data / "outputs" / "a" / "new.png", b"image")
    (mirror.data / "outputs" / "old.png").unlink()
    for _ in range(3):
        mirror.look(settled=0)
    assert not mirror.kept.exists()
    assert (
        mirror.summary()
        == "1 image kept in outputs, 1 file not saved yet (Google Drive is not accepting files: it was disconnected)"
    )
    mirror.kept.with_name("elsewhere").rename(mirror.kept)
    for _ in range(3):
        mirror.look(settled=0)
    assert [p.name for p in mirror.kept.rglob("*.png")] == ["new.png"], "what was deleted meanwhile is deleted now"


def test_a_file_that_is_still_written_waits(mirror: Mirror) -> None:
    write(mirror.data / "outputs" / "a.png")
    mirror.look(settled=60)
    assert not (mirror.kept / "outputs" / "a.png").exists()
    assert mirror.waiting == 1
    mirror.look(settled=0)
    assert (mirror.kept / "outputs" / "a.png").exists()


def test_a_changed_file_is_copied_again_and_an_unchanged_one_is_not(mirror: Mirror) -> None:
    write(mirror.data / "config.json", b"1")
    mirror.look(settled=0)
    (mirror.kept / "config.json").unlink()
    mirror.look(settled=0)
    assert not (mirror.kept / "config.json").exists(), "what is deleted on Drive is not brought back without a change"
    write(mirror.data / "config.json", b"22")
    mirror.look(settled=0)
    assert (mirror.kept / "config.json").read_bytes() == b"22"


def test_models_caches_and_half_files_are_not_copied(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write(tmp_path / "models" / "m.safetensors")
    (mirror.data / "models").symlink_to(tmp_path / "models")
    for name in ("cache/x.db", "tmp/x", "a.part", "a.lock", "outputs/__pycache__/x.pyc"):
        write(mirror.data / name)
    mirror.look(settled=0)
    assert [p for p in mirror.kept.rglob("*") if p.is_file()] == []


def test_settings_and_embeddings_come_back_and_images_do_not(mirror: Mirror) -> None:
    for name in (
        "config.json",
        "ui-config.json",
        "styles.csv",
        "embeddings/e.pt",
        "huggingface/hub/vocab.json",
        "outputs/a.png",
        "package.json",
    ):
        write(mirror.kept / name)
    assert mirror.restore() == 5
    assert sorted(str(p.relative_to(mirror.data)) for p in mirror.data.rglob("*") if p.is_file()) == [
        "config.json", "embeddings/e.pt", "huggingface/hub/vocab.json", "styles.csv", "ui-config.json",
    ]  # fmt: skip
    mirror.look(settled=0)
    assert mirror.images == 0


def test_a_file_that_is_newer_on_the_machine_is_not_replaced(mirror: Mirror) -> None:
    write(mirror.kept / "config.json", b"old")
    os.utime(mirror.kept / "config.json", (1, 1))
    write(mirror.data / "config.json", b"new")
    mirror.restore()
    assert (mirror.data / "config.json").read_bytes() == b"new"
    mirror.look(settled=0)
    assert (mirror.kept / "config.json").read_bytes() == b"new"


def test_what_an_earlier_kernel_kept_is_not_copied_again(mirror: Mirror) -> None:
    write(mirror.data / "outputs" / "a.png", b"image")
    mirror.look(settled=0)
    before = inodes(mirror)
    again = Mirror(mirror.data, mirror.kept, lambda text: None)
    again.look(settled=0)
    assert again.waiting == 0
    assert inodes(mirror) == before


def inodes(mirror: Mirror) -> dict[str, tuple[int, int]]:
    """What is kept: (inode, time of its last change of any kind). A file that is copied again has another inode."""
    found = {name: (mirror.kept / name).stat() for name in kept_now(mirror)}
    return {name: (info.st_ino, info.st_ctime_ns) for name, info in found.items()}


def kept_now(mirror: Mirror) -> list[str]:
    return sorted(str(p.relative_to(mirror.kept)) for p in mirror.kept.rglob("*") if p.is_file())


def test_what_is_deleted_in_the_web_ui_is_deleted_on_drive_at_the_second_look(mirror: Mirror) -> None:
    write(mirror.data / "outputs" / "a.png")
    write(mirror.data / "outputs" / "b.png")
    mirror.look(settled=0)
    (mirror.data / "outputs" / "a.png").unlink()
    mirror.look(settled=0)
    assert kept_now(mirror) == ["outputs/a.png", "outputs/b.png"]
    mirror.look(settled=0)
    assert kept_now(mirror) == ["outputs/b.png"]


def test_a_renamed_folder_is_renamed_on_drive_and_nothing_is_copied(mirror: Mirror) -> None:
    for number in range(3):
        write(mirror.data / "outputs" / "old" / f"{number}.png", bytes([number]))
    mirror.look(settled=0)
    before = {os.path.basename(name): inode for name, (inode, _) in inodes(mirror).items()}
    (mirror.data / "outputs" / "old").rename(mirror.data / "outputs" / "new")
    mirror.look(settled=0)
    assert {os.path.basename(name): inode for name, (inode, _) in inodes(mirror).items()} == before, "copied again"
    assert kept_now(mirror) == ["outputs/new/0.png", "outputs/new/1.png", "outputs/new/2.png"]


def test_what_somebody_changed_on_drive_is_not_deleted_with_the_machines_copy(mirror: Mirror) -> None:
    write(mirror.data / "styles.csv", b"old")
    mirror.look(settled=0)
    write(mirror.kept / "styles.csv", b"changed on Drive")
    (mirror.data / "styles.csv").unlink()
    for _ in range(3):
        mirror.look(settled=0)
    assert (mirror.kept / "styles.csv").read_bytes() == b"changed on Drive"


def test_a_machine_whose_folder_is_gone_deletes_nothing_on_drive(mirror: Mirror) -> None:
    write(mirror.data / "outputs" / "a.png")
    mirror.look(settled=0)
    shutil.rmtree(mirror.data)
    for _ in range(3):
        mirror.look(settled=0)
    assert kept_now(mirror) == ["outputs/a.png"]


def test_a_data_directory_that_is_made_anew_or_loses_a_whole_folder_deletes_nothing_on_drive(mirror: Mirror) -> None:
    write(mirror.data / "outputs" / "a.png")
    write(mirror.data / "log" / "images" / "b.png")
    mirror.look(settled=0)
    shutil.rmtree(mirror.data / "log")
    for _ in range(3):
        mirror.look(settled=0)
    for number in range(12):
        write(mirror.data / "embeddings" / f"{number}.pt")
    mirror.look(settled=0)
    for number in range(12):
        (mirror.data / "embeddings" / f"{number}.pt").unlink()
    for _ in range(3):
        mirror.look(settled=0)
    assert len(list((mirror.kept / "embeddings").iterdir())) == 12
    shutil.rmtree(mirror.kept / "embeddings")
    before = mirror.data.rename(mirror.data.with_name("before"))  # it stays, so that the new one has another inode
    mirror.data.mkdir()
    write(mirror.data / "outputs" / "c.png")
    for _ in range(3):
        mirror.look(settled=0)
    assert before.is_dir()
    assert kept_now(mirror) == ["log/images/b.png", "outputs/a.png", "outputs/c.png"]
    assert mirror.summary() == "1 image kept in outputs"


def test_copies_that_a_kill_cut_off_are_swept_away_at_the_next_start(mirror: Mirror) -> None:
    write(mirror.kept / UNFINISHED / "1-a.png", b"ha")
    mirror.restore()
    assert kept_now(mirror) == []
