"""On a new machine the images of all days are where the web UI and its extensions look for them."""

import datetime
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.folder import copy_whole
from launcher.drive import restore
from launcher.drive.restore import show_earlier_images
from launcher.drive.sync import Sync
from tests.world.mounted import MountedDrive
from tests.world.wait import wait

TODAY = datetime.date.today().isoformat()
IMAGES = "outputs/txt2img-images"


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[MountedDrive]:
    with MountedDrive(tmp_path) as mounted:
        yield mounted


class NewMachine:
    """A machine that has nothing yet, and a Drive with what others made."""

    def __init__(self, drive: MountedDrive, root: Path) -> None:
        self.data, self.kept, self.said = root / "data", drive.mydrive / "kept", list[str]()
        self.behind = drive.behind / "MyDrive" / "kept"
        self.data.mkdir()
        self.behind.mkdir()
        self.sync = Sync(self.data, self.kept, lambda text: None, say=self.said.append)

    def others_made(self, *names: str) -> None:
        for name in names:
            (self.behind / name).parent.mkdir(parents=True, exist_ok=True)
            (self.behind / name).write_bytes(name.encode())

    def shows(self) -> None:
        show_earlier_images(self.data, self.kept, self.said.append, lambda: False)

    def seen(self, below: str = "outputs") -> list[str]:
        """The files that an extension finds, which follows links."""
        top = self.data / below
        found = (Path(where, name) for where, _, names in os.walk(top, followlinks=True) for name in names)
        return sorted(str(path.relative_to(top)) for path in found)

    def next_number(self, folder: str) -> int:
        """As modules/images.py counts: from the names in the folder."""
        path = self.data / folder
        path.mkdir(parents=True, exist_ok=True)
        return max((int(name.split("-")[0]) for name in os.listdir(path)), default=-1) + 1


@pytest.fixture
def machine(drive: MountedDrive, tmp_path: Path) -> NewMachine:
    return NewMachine(drive, tmp_path)


def test_days_before_today_are_links_and_today_comes_back_as_files(machine: NewMachine) -> None:
    machine.others_made(
        f"{IMAGES}/2026-01-02/00000-1.png",
        f"{IMAGES}/2026-01-03/00007-2.png",
        f"{IMAGES}/{TODAY}/00011-3.png",
        f"{IMAGES}/{TODAY}/upscaled/00001-4.png",
        f"{IMAGES}/{TODAY}/00012-5.png.tmp",
        f"{IMAGES}/portraits/00000-6.png",
        "outputs/2026-01-02/00000-7.png",
        "log/images/2026-01-02/00000-8.png",
        "models/2026-01-02/m.safetensors",
    )
    machine.shows()
    assert machine.seen() == [
        "2026-01-02/00000-7.png",
        "txt2img-images/2026-01-02/00000-1.png",
        "txt2img-images/2026-01-03/00007-2.png",
        f"txt2img-images/{TODAY}/00011-3.png",
        f"txt2img-images/{TODAY}/upscaled/00001-4.png",
    ]
    assert machine.seen("log") == ["images/2026-01-02/00000-8.png"]
    assert (machine.data / IMAGES / "2026-01-02").is_symlink()
    assert not (machine.data / IMAGES / TODAY).is_symlink()
    assert not (machine.data / "models").exists()
    assert machine.said == []


def test_the_numbering_goes_on_from_the_images_on_drive(machine: NewMachine) -> None:
    machine.others_made(f"{IMAGES}/{TODAY}/00041-3.png", f"{IMAGES}/2026-01-03/00099-2.png")
    machine.shows()
    assert machine.next_number(f"{IMAGES}/{TODAY}") == 42


def test_nothing_is_copied_to_drive_again_and_a_new_image_is(machine: NewMachine) -> None:
    machine.others_made(f"{IMAGES}/2026-01-02/00000-1.png", f"{IMAGES}/{TODAY}/00000-2.png")
    before = {path: path.stat().st_ino for path in machine.behind.rglob("*.png")}
    machine.shows()
    machine.sync.poll(settled=0)
    assert machine.sync.waiting == 0
    assert {path: path.stat().st_ino for path in machine.behind.rglob("*.png")} == before
    (machine.data / IMAGES / TODAY / "00001-9.png").write_bytes(b"new")
    machine.sync.poll(settled=0)
    assert (machine.behind / IMAGES / TODAY / "00001-9.png").read_bytes() == b"new"


def test_what_a_person_deletes_or_renames_on_any_day_is_so_on_drive(machine: NewMachine) -> None:
    machine.others_made(*(f"{IMAGES}/{day}/{name}.png" for day in ("2026-01-02", TODAY) for name in ("a", "b", "c")))
    machine.shows()
    machine.sync.poll(settled=0)
    for day in ("2026-01-02", TODAY):
        (machine.data / IMAGES / day / "a.png").unlink()
        (machine.data / IMAGES / day / "b.png").rename(machine.data / IMAGES / day / "best.png")
    for _ in range(2):
        machine.sync.poll(settled=0)
    names = sorted(path.name for path in machine.behind.rglob("*.png"))
    assert names == ["best.png", "best.png", "c.png", "c.png"]


def test_a_link_that_is_taken_away_deletes_nothing_on_drive(machine: NewMachine) -> None:
    machine.others_made(f"{IMAGES}/2026-01-02/a.png")
    machine.shows()
    machine.sync.poll(settled=0)
    (machine.data / IMAGES / "2026-01-02").unlink()
    for _ in range(3):
        machine.sync.poll(settled=0)
    assert (machine.behind / IMAGES / "2026-01-02" / "a.png").exists()


def test_a_folder_that_the_machine_has_stays_as_it_is(machine: NewMachine) -> None:
    machine.others_made(f"{IMAGES}/2026-01-02/theirs.png", f"{IMAGES}/{TODAY}/theirs.png")
    for day in ("2026-01-02", TODAY):
        (machine.data / IMAGES / day).mkdir(parents=True)
        (machine.data / IMAGES / day / "ours.png").write_bytes(b"ours")
    machine.shows()
    assert machine.seen() == ["txt2img-images/2026-01-02/ours.png", f"txt2img-images/{TODAY}/ours.png"]


def test_the_sync_watches_no_folder_behind_a_link(machine: NewMachine) -> None:
    """It would go through all images on Drive, again and again."""
    machine.others_made(*(f"{IMAGES}/2026-01-{day:02}/{day}.png" for day in range(1, 20)))
    machine.shows()
    (machine.data / IMAGES / TODAY).mkdir()
    machine.sync.start()
    for name in ("first.png", "second.png"):
        (machine.data / IMAGES / "2026-01-02" / name).write_bytes(b"by a person")
        (machine.data / IMAGES / TODAY / name).write_bytes(b"by the web UI")
        wait((machine.behind / IMAGES / TODAY / name).exists, 15, "the image")
    machine.sync.stop()
    paths = machine.sync._records.traces()
    assert str(machine.data / IMAGES / TODAY) in paths
    assert [path for path in paths if "2026-01-" in path] == []


def test_a_folder_that_is_new_is_watched_too(machine: NewMachine) -> None:
    machine.sync.start()
    for name in ("a/a.png", "a/b/b.png", "a/b/c/d/d.png"):
        path = machine.data / "outputs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"image")
        wait((machine.behind / "outputs" / name).exists, 15, "the image")
    (machine.data / "config.json").write_text("{}")
    wait((machine.behind / "config.json").exists, 15, "the settings")
    machine.sync.stop()


def test_a_folder_that_drive_does_not_list_is_said_and_hides_no_other(machine: NewMachine, drive: MountedDrive) -> None:
    machine.others_made(*(f"outputs/many/{number}.png" for number in range(30)), f"{IMAGES}/2026-01-02/a.png")
    drive.manners(big_folder=20)
    machine.shows()
    assert machine.seen() == ["txt2img-images/2026-01-02/a.png"]
    assert machine.said == [
        "outputs/many on your Drive cannot be read, so its images of earlier days are not seen in the web UI."
    ]


def test_a_drive_that_goes_away_is_told(machine: NewMachine, drive: MountedDrive) -> None:
    machine.others_made(f"{IMAGES}/2026-01-02/a.png")
    drive.drop()
    with pytest.raises(OSError, match="not connected"):
        machine.shows()


def test_an_image_of_today_that_drive_does_not_give_is_named_and_the_others_come(
    machine: NewMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(source: Path, target: Path) -> None:
        if source.name == "00002.png":
            raise OSError(errno.EIO, "the copy is incomplete")
        copy_whole(source, target)

    machine.others_made(*(f"{IMAGES}/{TODAY}/{number:05}.png" for number in range(4)))
    monkeypatch.setattr(restore, "copy_whole", copy)
    machine.shows()
    assert machine.seen() == [f"txt2img-images/{TODAY}/{number:05}.png" for number in (0, 1, 3)]
    assert [text.partition(" on ")[0] for text in machine.said] == [f"{IMAGES}/{TODAY}/00002.png"]
