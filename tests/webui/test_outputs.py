"""Wherever A1111's settings lead its images, they end on Drive; settings it cannot start with are set aside."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.core.folder import Folder
from launcher.drive.sync import Sync
from launcher.webui.outputs import SUBFOLDERS, OutputFolders
from launcher.webui.settings_files import (
    blame_page_settings,
    check_page_settings,
    check_settings_file,
    declared_settings,
    read_settings,
)

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
        self.outputs = OutputFolders(self.folder, self.said.append)
        self.sync = Sync(
            self.folder.data,
            self.folder.kept,
            lambda text: None,
            say=self.said.append,
            elsewhere=self.outputs.elsewhere,
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
        ("samples/2023", "outputs/2023/a.png"),
        ("modules/pictures", "outputs/pictures/a.png"),  # below a folder of A1111's own
        ("~/pictures", "outputs/pictures/a.png"),  # A1111 does not know what ~ means
        ("D:\\pictures", "outputs/D:\\pictures/a.png"),  # from a Windows machine
        ("{root}/machine/data/asd1111/outputs/txt2img-images", "outputs/txt2img-images/a.png"),  # another drive_folder
        ("{root}/gdrive/MyDrive/sd/outputs/txt2img-images", "outputs/txt2img-images/a.png"),  # another launcher
        ("{root}/pictures", "outputs/pictures/a.png"),
        ("{root}/machine/data/mine/cache/pictures", "outputs/pictures/a.png"),
        ("../pictures", "outputs/pictures/a.png"),
        ("{root}/drive/elsewhere", ""),  # on Drive already
        ("/proc/pictures", "outputs/pictures/a.png"),
        ("{root}/a-file/pictures", "outputs/pictures/a.png"),
        ("", "outputs/default/a.png"),
    ],
)
@pytest.mark.parametrize("when", ["before the start", "while it runs"])
def test_images_end_on_drive_wherever_the_settings_lead(person: Person, place: str, kept: str, when: str) -> None:
    (person.root / "a-file").write_text("a file where a folder should be")
    place = place.format(root=person.root)
    if when == "while it runs":
        person.sets()
        person.outputs.prepare()
        person.sync.poll(settled=0)
    person.sets(**{"another": "setting", LAST: place})
    if when == "before the start":
        person.outputs.prepare()
    person.sync.poll(settled=0)
    if place.startswith(("/proc", f"{person.root}/a-file")) and when == "while it runs":
        assert any("The web UI cannot write to" in text and LAST in text for text in person.said)
        return
    person.paints()
    person.sync.poll(settled=0)
    assert person.on_drive() == ([kept] if kept else [])
    if not kept:
        assert (person.root / "drive" / "elsewhere" / "a.png").exists()
    settings = read_settings(person.folder.data)
    assert settings is not None and settings["another"] == "setting"
    own_name = kept.startswith(("outputs/2023", "outputs/pictures", "outputs/D:"))
    assert own_name == any(place in text for text in person.said if place) or when == "while it runs"


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
    person.paints()
    assert (person.folder.data / "outputs" / "txt2img-images" / "a.png").exists()


def test_settings_that_name_another_drive_folders_images_take_none_of_them(person: Person, tmp_path: Path) -> None:
    person.sets()
    person.outputs.prepare()
    person.paints()
    person.sync.poll(settled=0)
    other = Folder(tmp_path / "drive" / "other" / "stable-diffusion-webui", person.folder.machine)
    other.prepare()
    (other.data / "config.json").write_text(json.dumps({LAST: str(person.folder.data / "outputs" / "default")}))
    outputs = OutputFolders(other, person.said.append)
    outputs.prepare()
    settings = read_settings(other.data)
    assert settings is not None
    (Path(settings[LAST]) / "b.png").parent.mkdir(parents=True, exist_ok=True)
    (Path(settings[LAST]) / "b.png").write_bytes(b"other")
    Sync(other.data, other.kept, lambda text: None, elsewhere=outputs.elsewhere).poll(settled=0)
    person.sync.poll(settled=0)
    assert [p.name for p in other.kept.rglob("*.png")] == ["b.png"]
    assert person.on_drive() == ["outputs/default/a.png"]


@pytest.mark.parametrize("pattern", ["{root}/days/[date]", "../../../days/[date]"])
def test_a_pattern_for_subfolders_that_leads_out_is_followed_and_set_back_at_the_next_start(
    person: Person, pattern: str
) -> None:
    person.sets()
    person.outputs.prepare()
    person.sets(directories_filename_pattern=pattern.format(root=person.root), **{LAST: "outputs/x"})
    days = person.root / "days" if "root" in pattern else person.folder.data.parent / "days"
    (days / "2026-11-25").mkdir(parents=True)
    (days / "2026-11-25" / "1.png").write_bytes(b"image")
    person.sync.poll(settled=0)
    assert person.on_drive() == ["outputs/days/2026-11-25/1.png"]
    person.outputs.prepare()
    assert read_settings(person.folder.data) == {LAST: str(person.folder.data / "outputs" / "x")}
    assert any("directories_filename_pattern led to" in text for text in person.said)


def test_while_drive_is_away_nothing_is_made_in_its_place(person: Person) -> None:
    away = person.folder.drive.rename(person.folder.drive.with_name("away"))
    person.sets(outdir_samples=str(person.folder.drive / "pictures"))
    person.outputs.elsewhere()
    assert not person.folder.drive.exists()
    away.rename(person.folder.drive)


def test_what_is_deleted_in_a_folder_outside_stays_on_drive(person: Person) -> None:
    person.sets()
    person.outputs.prepare()
    person.sets(**{LAST: f"{person.root}/pictures"})
    person.paints()
    person.sync.poll(settled=0)
    (person.root / "pictures" / "a.png").unlink()
    for _ in range(3):
        person.sync.poll(settled=0)
    assert person.on_drive() == ["outputs/pictures/a.png"]


def test_what_was_written_before_the_settings_named_another_folder_is_kept_all_the_same(person: Person) -> None:
    person.sets()
    person.outputs.prepare()
    person.sets(**{LAST: f"{person.root}/first"})
    person.sync.poll(settled=0)
    person.paints()
    person.sets(**{LAST: f"{person.root}/second"})
    person.sync.poll(settled=0)
    person.paints("b.png")
    person.outputs.prepare()
    person.paints("c.png")
    person.sync.poll(settled=0)
    assert person.on_drive() == ["outputs/first/a.png", "outputs/second/b.png", "outputs/second/c.png"]


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
    outputs = OutputFolders(new, person.said.append)
    sync = Sync(new.data, new.kept, lambda text: None, elsewhere=outputs.elsewhere)
    sync.restore()
    outputs.prepare()
    assert (new.code / "interrogate" / "artists.txt").read_text() == "Monet"
    sync.poll(settled=0)
    assert person.on_drive(".txt") == ["interrogate/artists.txt"]


def test_the_settings_are_found_in_a1111s_own_list(person: Person) -> None:
    found = declared_settings(person.folder.code)
    assert isinstance("pictures", found["outdir_save"]) and not isinstance(3, found["outdir_save"])
    assert isinstance(1.5, found["img_max_size_mp"]) and not isinstance("1.5", found["img_max_size_mp"])
    (person.folder.code / "modules" / "shared_options.py").write_text("this is no Python (")
    assert declared_settings(person.folder.code) == {}
    person.sets(outdir_new_kind="pictures")
    person.outputs.prepare()
    person.paints(setting="outdir_new_kind")
    person.sync.poll(settled=0)
    assert person.on_drive() == ["outputs/pictures/a.png"], "the names tell"


@pytest.mark.parametrize(
    "content", ["null", "[1]", "3", '"text"', "true", '{"half": ', "", "[" * 100_000, b"\xff\xfe", '{"a": "\\ud800"}']
)
def test_a_settings_file_that_holds_no_settings_is_set_aside_and_said(person: Person, content: str | bytes) -> None:
    data = person.folder.data
    (data / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    told = check_settings_file(data, person.folder.code)
    assert told and "They are kept as config.broken-" in told
    assert read_settings(data) == {}
    aside = next(data.glob("config.broken-*.json"))
    assert aside.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert check_settings_file(data, person.folder.code) is None


@pytest.mark.parametrize("encoding", ("utf-8-sig", "utf-16", "cp1252"))
def test_settings_in_another_encoding_are_used_and_written_as_a1111_reads_them(person: Person, encoding: str) -> None:
    path = person.folder.data / "config.json"
    path.write_bytes(before := '{"outdir_samples": "bücher"}'.encode(encoding))
    assert check_settings_file(person.folder.data, person.folder.code) is None
    assert json.loads(path.read_text(encoding="utf-8")) == {"outdir_samples": "bücher"}
    assert next(person.folder.data.glob("config.before-*.json")).read_bytes() == before


def test_two_broken_settings_files_in_one_second_are_both_kept(person: Person) -> None:
    for content in ("null", "[]"):
        (person.folder.data / "config.json").write_text(content)
        check_settings_file(person.folder.data, person.folder.code)
    assert sorted(p.read_text() for p in person.folder.data.glob("config.broken-*")) == ["[]", "null"]


def test_a_settings_file_that_is_a_folder_is_set_aside(person: Person) -> None:
    (person.folder.data / "config.json").mkdir()
    assert "They are kept as" in str(check_settings_file(person.folder.data, person.folder.code))


def test_settings_of_the_wrong_kind_are_taken_out_and_the_others_stay(person: Person) -> None:
    good = {"outdir_grids": "", "img_max_size_mp": 1.5, "save_to_dirs": 0, "of an extension": {"any": ["thing"]}}
    good |= {"outdir_txt2img_samples": None}
    bad: dict[str, Any] = {
        "outdir_save": 3,
        "disabled_extensions": None,
        "grid_save_to_dirs": [],
        "outdir_samples": ["x"],
    }
    bad |= {"postprocessing_operation_order": None}  # A1111 has some names in single quotes
    bad |= {"quicksettings_list": [["x"]], "sd_model_checkpoint": ["x"]}  # A1111 looks for them in a table
    person.sets(**good, **bad)
    told = check_settings_file(person.folder.data, person.folder.code)
    assert told and all(name in told for name in bad)
    assert read_settings(person.folder.data) == good
    assert json.loads(next(person.folder.data.glob("config.before-*")).read_text()) == good | bad
    assert check_settings_file(person.folder.data, person.folder.code) is None


@pytest.mark.parametrize("value", ("y" * 300, "a\0b", "/z" * 1500, f"/{'y' * 300}/[date]", "/a\0/[date]"))
@pytest.mark.parametrize("name", (LAST, SUBFOLDERS))
def test_what_cannot_be_a_folder_is_reset_and_keeps_nothing_else_from_drive(
    person: Person, name: str, value: str
) -> None:
    person.sets()
    person.outputs.prepare()
    person.sets(**{name: value, LAST if name != LAST else "another": "outputs/x"})
    (person.folder.data / "params.txt").write_text("a dog")
    person.sync.poll(settled=0)
    assert (person.folder.kept / "params.txt").exists() and not person.sync.fault
    told = check_settings_file(person.folder.data, person.folder.code)
    assert told and name in told
    person.outputs.prepare()
    assert name not in (read_settings(person.folder.data) or {name: None})


def test_a_web_ui_that_lies_directly_in_drive_makes_nothing_else_a_part_of_drive(tmp_path: Path) -> None:
    """Where Drive is no mount of its own, its top is told from the folder's place."""
    folder = Folder(tmp_path / "drive" / "StableDiffusion", tmp_path / "machine", my_drive=tmp_path / "drive")
    (tmp_path / "drive").mkdir()
    folder.prepare()
    outputs = OutputFolders(folder, lambda text: None)
    settings = {LAST: str(tmp_path / "machine" / "pictures"), "outdir_grids": str(tmp_path / "drive" / "grids")}
    (folder.data / "config.json").write_text(json.dumps(settings))
    outputs.prepare()
    assert read_settings(folder.data) == {
        LAST: str(folder.data / "outputs" / "pictures"), "outdir_grids": str(tmp_path / "drive" / "grids"),
    }  # fmt: skip


# ---- the defaults of the page's fields


NO_DEFAULTS = {"null": "null", "a list": "[]", "a number": "3", "a text": '"x"', "empty": "", "cut": '{"a": '}
NO_DEFAULTS |= {"zeros": "\0" * 30, "deep": "[" * 100_000}


@pytest.mark.parametrize("content", NO_DEFAULTS.values(), ids=NO_DEFAULTS)
def test_defaults_of_the_page_that_are_none_are_set_aside_and_said(person: Person, content: str) -> None:
    path = person.folder.data / "ui-config.json"
    path.write_text(content)
    told = check_page_settings(person.folder.data)
    assert told and "ui-config.json" in told and "They are kept as ui-config.broken-" in told
    assert not path.exists()
    assert next(person.folder.data.glob("ui-config.broken-*.json")).read_text() == content
    assert check_page_settings(person.folder.data) is None


def test_defaults_of_the_page_of_the_wrong_kind_are_taken_out_and_the_others_stay(person: Person) -> None:
    good = {
        "txt2img/Prompt/visible": True,
        "txt2img/Prompt/value": "a cat",
        "txt2img/Styles/value": ["one", "two"],
        "txt2img/Width/value": 512,
        "txt2img/Width/minimum": 64.0,
        "txt2img/Width/step": None,
        "txt2img/Seed/value": -1,
    }
    bad = {
        "txt2img/Prompt2/visible": "yes",
        "txt2img/Prompt2/value": {"a": 1},
        "txt2img/Styles2/value": [["one"]],
        "txt2img/Height/value": "tall",
        "txt2img/Height/minimum": [],
        "img2img/Tabs@mode/selected": {},
    }
    path = person.folder.data / "ui-config.json"
    path.write_text(json.dumps(good | bad))
    told = check_page_settings(person.folder.data)
    assert told and all(name in told for name in bad)
    assert json.loads(path.read_text()) == good
    assert json.loads(next(person.folder.data.glob("ui-config.before-*")).read_text()) == good | bad
    assert check_page_settings(person.folder.data) is None


DIED = """Traceback (most recent call last):
  File "/content/oneclick/stable-diffusion-webui/modules/ui_loadsave.py", line 60, in apply_field
    saved_value = float(saved_value)
TypeError: float() argument must be a string or a real number, not 'list'
"""


def test_defaults_that_a1111_died_of_are_set_aside_after_the_start(person: Person) -> None:
    path = person.folder.data / "ui-config.json"
    path.write_text('{"txt2img/Seed/value": [1]}')
    assert blame_page_settings(person.folder.data, DIED.replace("ui_loadsave", "sd_models")) is None
    told = blame_page_settings(person.folder.data, DIED)
    assert told and "ui-config.broken-" in told
    assert not path.exists()
    assert blame_page_settings(person.folder.data, DIED) is None


# ---- no secret gets onto Drive


SECRET = "hunter2-of-this-test"
CLOSED = (
    "{root}/machine/session",
    "{root}/machine/session/below",
    "{root}/machine/tools",
    "{root}/machine/python",
    "{root}/machine",
    "{root}",
    "/",
    "{root}/link-to-session",
    "{root}/home",
    "{root}/home/.cache/huggingface",
    "{root}/home/pictures/.hidden",
    "{root}/link-to-hidden",
    "{root}/program/launcher",
)


def with_secrets(root: Path, home: Path) -> None:
    """Files with a secret wherever there are some, also under the names of texts."""
    places = [f"machine/{name}" for name in ("session", "session/below", "tools", "python")]
    places += ["home", "home/.cache/huggingface", "home/pictures/.hidden", "program/launcher"]
    for place in places:
        (root / place).mkdir(parents=True, exist_ok=True)
        for name in ("login.json", ".netrc", "token", "launcher.txt", "tunnel.csv"):
            (root / place / name).write_text(SECRET)
    (root / "link-to-session").symlink_to(root / "machine" / "session")
    (root / "link-to-hidden").symlink_to(home / ".cache")


@pytest.mark.parametrize(
    ("setting", "place"),
    [(LAST, place) for place in (*CLOSED, "../session", "outputs/../../session")]
    + [(SUBFOLDERS, f"{place}/[date]") for place in (*CLOSED, "../../../../session")]
    + [(SUBFOLDERS, "[date]/../../../../../session")],
)
@pytest.mark.parametrize("when", ("before the start", "while it runs"))
def test_no_setting_brings_a_secret_to_drive(
    person: Person, monkeypatch: pytest.MonkeyPatch, place: str, setting: str, when: str
) -> None:
    monkeypatch.setenv("HOME", str(person.root / "home"))
    monkeypatch.setattr("launcher.webui.outputs.PACKAGE", person.root / "program")
    with_secrets(person.root, person.root / "home")
    (person.folder.code / "outputs").mkdir()
    value = place.format(root=person.root)
    if when == "while it runs":
        person.sets()
        person.outputs.prepare()
        person.sync.poll(settled=0)
    person.sets(**{setting: value})
    if when == "before the start":
        person.outputs.prepare()
        settings = read_settings(person.folder.data)
        assert settings is not None and settings.get(setting) != value, "it is set back"
    for _ in range(2):
        person.sync.poll(settled=0)
    found = [path for path in (person.root / "drive").rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert found == []
    assert any(setting in text for text in person.said)


def test_of_a_folder_of_images_elsewhere_nothing_but_images_and_texts_is_kept(person: Person) -> None:
    person.sets()
    person.outputs.prepare()
    person.sets(**{LAST: f"{person.root}/pictures"})
    person.paints()
    for name in ("a.txt", "log.csv", "key.json", ".env", "id_rsa", ".hidden/b.png", ".c.png"):
        (person.root / "pictures" / name).parent.mkdir(exist_ok=True)
        (person.root / "pictures" / name).write_text(name)
    person.sync.poll(settled=0)
    kept = [name for name in person.on_drive("") if name.startswith("outputs/")]
    assert kept == ["outputs/pictures/a.png", "outputs/pictures/a.txt", "outputs/pictures/log.csv"]


def test_a_link_in_the_hubs_cache_brings_nothing_from_elsewhere(person: Person) -> None:
    (person.folder.session / "login.json").write_text(SECRET)
    (person.folder.data / "huggingface" / "hub").mkdir(parents=True)
    (person.folder.data / "huggingface" / "hub" / "words.json").symlink_to(person.folder.session / "login.json")
    person.sync.poll(settled=0)
    assert person.on_drive("words.json") == []
