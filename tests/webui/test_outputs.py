"""Wherever A1111's settings lead its images, they end on Drive; settings it cannot start with are set aside."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from launcher.core.folder import Folder
from launcher.drive.sync import Sync
from launcher.webui.outputs import OutputPlaces
from launcher.webui.own_settings import output_settings, own_settings
from launcher.webui.settings_file import check_settings_file, read_settings

STAND_IN = Path(__file__).parents[1] / "world" / "webui"
LAST = "outdir_samples"


class Person:
    """A folder on Drive, a machine, A1111's code, and what the launcher says."""

    def __init__(self, root: Path) -> None:
        (root / "drive").mkdir()
        self.root, self.folder = root, Folder(root / "drive" / "mine" / "stable-diffusion-webui", root / "machine")
        self.folder.prepare()
        (self.folder.code / "modules").mkdir(parents=True)
        for name in ("shared_options.py",):
            (self.folder.code / "modules" / name).write_text((STAND_IN / "modules" / name).read_text())
        self.said: list[str] = []
        self.outputs = OutputPlaces(self.folder.code, self.folder.data, self.folder.kept, self.said.append)
        self.sync = Sync(
            self.folder.data, self.folder.kept, lambda text: None, say=self.said.append, elsewhere=self.outputs.look
        )

    def sets(self, **settings: Any) -> None:
        (self.folder.data / "config.json").write_text(json.dumps(settings))

    def paints(self, name: str = "a.png", setting: str = LAST) -> None:
        """As A1111 does it: relative to its code folder, no `~`, every folder is made."""
        value = json.loads((self.folder.data / "config.json").read_text()).get(setting) or "outputs/default"
        below = self.folder.data if value == "outputs/default" else self.folder.code
        place = Path(os.path.join(below, value))
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(f"{setting} {name}".encode())

    def on_drive(self, suffix: str = ".png") -> list[str]:
        found = (p for p in self.folder.kept.rglob(f"*{suffix}") if p.is_file())
        return sorted(str(p.relative_to(self.folder.kept)) for p in found)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("outputs/txt2img-images", "outputs/txt2img-images/a.png"),
        ("log/images", "log/images/a.png"),
        ("samples/2023", "outputs/samples/2023/a.png"),
        ("modules/pictures", "outputs/modules/pictures/a.png"),  # below a folder of A1111's own
        ("~/pictures", "outputs/~/pictures/a.png"),  # A1111 does not know what ~ means
        ("D:\\pictures", "outputs/D:\\pictures/a.png"),  # from a Windows machine
        ("{root}/machine/data/asd1111/outputs/txt2img-images", "outputs/txt2img-images/a.png"),  # another drive_folder
        ("{root}/gdrive/MyDrive/sd/outputs/txt2img-images", "outputs/txt2img-images/a.png"),  # another launcher
        ("{root}/pictures", "outputs{root}/pictures/a.png"),
        ("{root}/machine/data/mine/cache/pictures", "outputs{root}/machine/data/mine/cache/pictures/a.png"),
        ("../pictures", "outputs{root}/machine/pictures/a.png"),
        ("{root}/drive/elsewhere", ""),  # on Drive already
        ("/proc/pictures", "outputs/default/a.png"),
        ("{root}/a-file/pictures", "outputs/default/a.png"),
        ("", "outputs/default/a.png"),
    ],
)
@pytest.mark.parametrize("when", ["before the start", "while it runs"])
def test_images_end_on_drive_wherever_the_settings_lead(person: Person, place: str, kept: str, when: str) -> None:
    (person.root / "a-file").write_text("a file where a folder should be")
    place, kept = place.format(root=person.root), kept.format(root=person.root)
    before = {"another": "setting", LAST: place}
    if when == "while it runs":
        person.sets()
        person.outputs.prepare()
        person.sync.poll(settled=0)
    person.sets(**before)
    if when == "before the start":
        person.outputs.prepare()
    person.sync.poll(settled=0)
    if "default" in kept and place and when == "while it runs":
        assert any("The web UI cannot write to" in text and LAST in text for text in person.said)
        return
    person.paints()
    person.sync.poll(settled=0)
    assert person.on_drive() == ([kept] if kept else [])
    if not kept:
        assert (person.root / "drive" / "elsewhere" / "a.png").exists()
    elif "default" not in kept:
        assert json.loads((person.folder.data / "config.json").read_text()) == before, "another launcher reads it, too"


def test_images_that_an_earlier_launcher_left_below_the_code_are_kept_and_none_replaces_another(person: Person) -> None:
    person.sets(**{LAST: "outputs/txt2img-images"})
    for folder, content in (
        (person.folder.code, b"in the code folder"),
        (person.folder.data, b"in the data directory"),
    ):
        (folder / "outputs" / "txt2img-images" / "day").mkdir(parents=True)
        (folder / "outputs" / "txt2img-images" / "day" / "1.png").write_bytes(content)
    person.outputs.prepare()
    person.sync.poll(settled=0)
    assert person.on_drive() == ["outputs/txt2img-images/day/1 (2).png", "outputs/txt2img-images/day/1.png"]
    assert (person.folder.code / "outputs" / "txt2img-images").resolve().is_relative_to(person.folder.data.resolve())


def test_links_made_for_another_drive_folder_or_a_data_directory_that_is_gone_are_made_anew(
    person: Person, tmp_path: Path
) -> None:
    person.sets(**{LAST: "outputs/x"})
    person.outputs.prepare()
    person.paints()
    other = Folder(tmp_path / "drive" / "other" / "stable-diffusion-webui", person.folder.machine)
    other.prepare()
    (other.data / "config.json").write_text(json.dumps({LAST: "outputs/x"}))
    OutputPlaces(other.code, other.data, other.kept, person.said.append).prepare()
    (other.code / "outputs" / "x" / "b.png").parent.mkdir(parents=True, exist_ok=True)
    (other.code / "outputs" / "x" / "b.png").write_bytes(b"other")
    Sync(other.data, other.kept, lambda text: None).poll(settled=0)
    person.sync.poll(settled=0)
    assert [p.name for p in other.kept.rglob("*.png")] == ["b.png"]
    assert person.on_drive() == ["outputs/x/a.png"]
    shutil.rmtree(person.folder.data / "outputs")
    person.outputs.prepare()
    person.paints("c.png")
    person.sync.poll(settled=0)
    assert "outputs/x/c.png" in person.on_drive()


def test_a_pattern_for_subfolders_that_leads_out_is_followed(person: Person) -> None:
    person.sets(directories_filename_pattern=f"{person.root}/days/[date]", **{LAST: "outputs/x"})
    person.outputs.prepare()
    (person.root / "days" / "2026-11-25").mkdir(parents=True)
    (person.root / "days" / "2026-11-25" / "1.png").write_bytes(b"image")
    person.sync.poll(settled=0)
    assert person.on_drive() == [f"outputs{person.root}/days/2026-11-25/1.png"]


def test_what_is_deleted_in_a_place_outside_stays_on_drive(person: Person) -> None:
    person.sets(**{LAST: f"{person.root}/pictures"})
    person.outputs.prepare()
    person.paints()
    person.sync.poll(settled=0)
    (person.root / "pictures" / "a.png").unlink()
    for _ in range(3):
        person.sync.poll(settled=0)
    assert person.on_drive() == [f"outputs{person.root}/pictures/a.png"]


def test_what_was_written_before_the_settings_named_another_place_is_kept_all_the_same(person: Person) -> None:
    person.sets(**{LAST: f"{person.root}/first"})
    person.outputs.prepare()
    person.sync.poll(settled=0)
    person.paints()
    person.sets(**{LAST: f"{person.root}/second"})
    person.sync.poll(settled=0)
    person.paints("b.png")
    person.sync.poll(settled=0)
    assert person.on_drive() == [f"outputs{person.root}/first/a.png", f"outputs{person.root}/second/b.png"]


def test_what_a1111_fetches_into_its_own_folder_is_kept_and_found_again_on_a_new_machine(
    person: Person, tmp_path: Path
) -> None:
    person.outputs.prepare()
    (person.folder.code / "interrogate_tmp").mkdir()
    (person.folder.code / "interrogate_tmp" / "artists.txt").write_text("Monet")
    (person.folder.code / "interrogate_tmp").rename(person.folder.code / "interrogate")  # as A1111 does it
    person.sync.poll(settled=0)
    assert person.on_drive(".txt") == ["interrogate/artists.txt"]
    new = Folder(person.folder.kept, tmp_path / "new machine")
    new.prepare()
    new.code.mkdir()
    outputs = OutputPlaces(new.code, new.data, new.kept, person.said.append)
    sync = Sync(new.data, new.kept, lambda text: None, elsewhere=outputs.look)
    sync.restore()
    outputs.prepare()
    assert (new.code / "interrogate" / "artists.txt").read_text() == "Monet"
    sync.poll(settled=0)
    assert person.on_drive(".txt") == ["interrogate/artists.txt"]


def test_the_settings_are_found_in_a1111s_own_list(person: Person) -> None:
    assert "outdir_save" in output_settings(person.folder.code)
    assert {s.name: s.kind for s in own_settings(person.folder.code)}["img_max_size_mp"] is int
    (person.folder.code / "modules" / "shared_options.py").write_text("this is no Python (")
    assert output_settings(person.folder.code) == ()
    person.sets(outdir_new_kind="pictures")
    person.outputs.prepare()
    person.paints(setting="outdir_new_kind")
    person.sync.poll(settled=0)
    assert person.on_drive() == ["outputs/pictures/a.png"], "without the list the names tell"


@pytest.mark.parametrize(
    "content", ["null", "[1]", "3", '"text"', "true", '{"half": ', "", "[" * 100_000, b"\xff\xfe", '\ufeff{"a": 1}']
)
def test_a_settings_file_that_holds_no_settings_is_set_aside_and_said(person: Person, content: str | bytes) -> None:
    data = person.folder.data
    (data / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    told = check_settings_file(data, person.folder.code)
    assert "They are kept as config.broken-" in told
    assert read_settings(data) == {}
    aside = next(data.glob("config.broken-*.json"))
    assert aside.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert check_settings_file(data, person.folder.code) == ""


def test_two_broken_settings_files_in_one_second_are_both_kept(person: Person) -> None:
    for content in ("null", "[]"):
        (person.folder.data / "config.json").write_text(content)
        check_settings_file(person.folder.data, person.folder.code)
    assert sorted(p.read_text() for p in person.folder.data.glob("config.broken-*")) == ["[]", "null"]


def test_a_settings_file_that_is_a_folder_is_set_aside(person: Person) -> None:
    (person.folder.data / "config.json").mkdir()
    assert "They are kept as" in check_settings_file(person.folder.data, person.folder.code)


def test_settings_of_the_wrong_kind_are_taken_out_and_the_others_stay(person: Person) -> None:
    good = {"outdir_grids": "", "img_max_size_mp": 1.5, "save_to_dirs": 0, "of an extension": {"any": ["thing"]}}
    good |= {"outdir_txt2img_samples": None}
    bad = {"outdir_save": 3, "disabled_extensions": None, "grid_save_to_dirs": [], "outdir_samples": ["x"]}
    person.sets(**good, **bad)
    told = check_settings_file(person.folder.data, person.folder.code)
    assert all(name in told for name in bad)
    assert read_settings(person.folder.data) == good
    assert json.loads(next(person.folder.data.glob("config.before-*")).read_text()) == good | bad
    assert check_settings_file(person.folder.data, person.folder.code) == ""
