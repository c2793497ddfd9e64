"""A free name harms no other file; a copy is whole, or not there."""

import errno
import os
import re
import shutil
from pathlib import Path

import pytest

from launcher.core.folder import LONGEST_FREE_NAME, WEBUI_FOLDER, Folder, copy_whole, free_path


@pytest.mark.parametrize("name", ["AI #1", "SD [old]", "100% art", "a*b"])
def test_the_data_folder_has_a_name_that_can_stand_in_an_address_and_in_a_pattern(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / "MyDrive" / name / "stable-diffusion-webui", tmp_path / "machine")
    assert re.fullmatch(r"[\w .()-]+", folder.data.name)


def test_a_free_path_is_one_that_nobody_has_not_even_a_dead_link(tmp_path: Path) -> None:
    path = tmp_path / "a.b.png"
    assert free_path(path) == path
    path.write_bytes(b"x")
    (tmp_path / "a.b (2).png").symlink_to("nowhere")
    assert free_path(path) == tmp_path / "a.b (3).png"
    long = tmp_path / ("é" * 125 + ".png")  # 254 bytes: there is no room for a number
    long.write_bytes(b"x")
    free = free_path(long)
    assert free != long and len(os.fsencode(free.name)) < LONGEST_FREE_NAME
    free.write_bytes(b"y")
    assert free_path(long) not in (free, long)


def test_a_copy_has_its_content_and_its_time(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    os.utime(source, (1, 2))
    copy_whole(source, target)
    assert (target.read_bytes(), target.stat().st_mtime) == (b"new", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.parametrize("fault", ["loses bytes", "fails"])
def test_a_copy_that_is_not_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new content")
    target.write_bytes(b"old")

    def copied(read: Path, write: Path) -> None:
        write.write_bytes(read.read_bytes()[:4])
        if fault == "fails":
            raise OSError(errno.EIO, "no")

    monkeypatch.setattr(shutil, "copyfile", copied)
    with pytest.raises(OSError):
        copy_whole(source, target)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.parametrize("name", ["画像" * 60, "/".join(["a" * 110] * 3)])
def test_a_folder_on_drive_whose_name_this_machine_cannot_take_has_a_shorter_one_here(
    tmp_path: Path, name: str
) -> None:
    kept = tmp_path / "drive" / name / WEBUI_FOLDER
    here, other = (Folder(one, tmp_path / "machine", my_drive=tmp_path / "drive") for one in (kept, kept / "x"))
    here.data.mkdir(parents=True)
    assert here.data != other.data
    assert Folder(kept, tmp_path / "machine", my_drive=tmp_path / "drive").data == here.data
