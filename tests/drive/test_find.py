"""A person's Drive as it is: web UIs of other launchers, models anywhere, shortcuts; and what launches note on it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.drive.find import NOTES, Remembered, kept_folder, models_elsewhere, path_on_drive, webui_folders
from tests.world.mounted import MountedDrive


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[MountedDrive]:
    with MountedDrive(tmp_path) as mounted:
        yield mounted


def make(drive: MountedDrive, *names: str) -> None:
    """Files on My Drive, put there from elsewhere; a name that ends in a slash is a folder."""
    for name in names:
        path = drive.behind / "MyDrive" / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(b"weights")


def note_used(drive: MountedDrive, folder: str, text: str) -> None:
    (drive.behind / "MyDrive" / folder / "oneclick.json").write_text(text)


def test_web_uis_of_all_launchers_are_found_at_the_top_of_drive_the_one_used_last_first(drive: MountedDrive) -> None:
    web_uis = ("sd/stable-diffusion-webui", "StableDiffusion", "art/stable-diffusion-webui", "stable-diffusion-webui")
    make(drive, *(f"{name}/models/Stable-diffusion/" for name in web_uis))
    make(drive, "AI/models/x.safetensors", "a.pdf", "deep/er/stable-diffusion-webui/models/Stable-diffusion/")
    (drive.behind / "Shareddrives" / "Team" / "web").mkdir(parents=True)
    (drive.behind / "Shareddrives" / "Team" / "web" / "models" / "Stable-diffusion").mkdir(parents=True)
    (drive.behind / "MyDrive" / "team").symlink_to(drive.mountpoint / "Shareddrives" / "Team" / "web")
    (drive.behind / "MyDrive" / "dead").symlink_to(drive.mountpoint / "gone")
    note_used(drive, "art/stable-diffusion-webui", '{"used_at": 2000000000}')
    note_used(drive, "StableDiffusion", json.dumps({"used_at": 1e9}))
    note_used(drive, "stable-diffusion-webui", '{"used_at": ')  # damaged: it was written when the web UI was used
    found = [str(folder.relative_to(drive.mydrive)) for folder in webui_folders(drive.mydrive)]
    assert found == ["art/stable-diffusion-webui", "stable-diffusion-webui", "StableDiffusion",
                     "sd/stable-diffusion-webui", "team"]  # fmt: skip


def test_a_folder_that_drive_cannot_list_hides_no_other(drive: MountedDrive) -> None:
    make(drive, "art/stable-diffusion-webui/models/Stable-diffusion/", *(f"big/{number}" for number in range(30)))
    drive.manners(big_folder=20)
    assert [folder.parent.name for folder in webui_folders(drive.mydrive)] == ["art"]
    drive.manners(big_folder=1)
    assert webui_folders(drive.mydrive) == (), "My Drive itself, which has two"


@pytest.mark.parametrize(
    ("there", "named", "kept"),
    [
        ((), "asd1111", "asd1111/stable-diffusion-webui"),
        (("art/pictures/", "art/data.bin"), "art", "art/stable-diffusion-webui"),
        (("sd/stable-diffusion-webui/models/Stable-diffusion/",), "sd", "sd/stable-diffusion-webui"),
        (("StableDiffusion/models/Stable-diffusion/",), "StableDiffusion", "StableDiffusion"),
        (("AI/web/models/Stable-diffusion/m.ckpt",), "AI/web", "AI/web"),
        (
            ("art/stable-diffusion-webui/oneclick.json", "art/stable-diffusion-webui/embeddings/e.safetensors"),
            "art",
            "art/stable-diffusion-webui",
        ),
        (("AI/models/x.safetensors",), "AI", None),
        (("AI/models/x.safetensors",), "AI/models", None),
        (("AI/models/x.safetensors",), "AI/models/x.safetensors", None),
        (("AI/models/Lora/mine/x.ckpt",), "/content/drive/MyDrive/AI", None),
    ],
)
def test_a_web_ui_gets_no_second_one_inside_and_models_alone_get_none(
    drive: MountedDrive, there: tuple[str, ...], named: str, kept: str | None
) -> None:
    make(drive, *there)
    found = kept_folder(drive.mydrive, named)
    assert found == (drive.mydrive / kept if kept else None)


@pytest.mark.parametrize(
    "text",
    [
        "AI/models", "/AI/models/", "MyDrive/AI/models", "My Drive/AI/models", "/content/drive/MyDrive/AI/models",
        "/content/gdrive/My Drive/AI/models", "AI\\models", "G:\\My Drive\\AI\\models", ' "AI/models" ',
    ],
)  # fmt: skip
def test_a_path_is_understood_as_people_write_it(drive: MountedDrive, text: str) -> None:
    make(drive, "AI/models/x.safetensors")
    assert path_on_drive(drive.mydrive, text) == drive.mydrive / "AI" / "models"


@pytest.mark.parametrize("text", ["", "/", "MyDrive", "nowhere", "../google", "AI/../../google.json", "dead", "out",
                                  "a lighthouse " * 30, "a\0b", "\ud800"])  # fmt: skip
def test_what_is_not_there_or_leads_off_drive_is_no_path(drive: MountedDrive, text: str) -> None:
    make(drive, "AI/models/x.safetensors")
    (drive.behind / "MyDrive" / "dead").symlink_to(drive.mountpoint / "gone")
    (drive.behind / "MyDrive" / "out").symlink_to(drive.mountpoint.parent)
    assert path_on_drive(drive.mydrive, text) is None


def test_a_drive_that_is_away_is_not_taken_for_one_without_the_file(drive: MountedDrive) -> None:
    make(drive, "AI/models/x.safetensors")
    drive.drop()
    with pytest.raises(OSError, match="not connected"):
        path_on_drive(drive.mydrive, "AI/models")


def test_models_that_lie_elsewhere_are_found_before_others_are_downloaded(drive: MountedDrive) -> None:
    make(
        drive,
        "AI/models/x.safetensors",
        "loras/y.safetensors",
        "sd/stable-diffusion-webui/models/Stable-diffusion/z.ckpt",
    )
    make(
        drive,
        "StableDiffusion/models/Stable-diffusion/z.ckpt",
        "art/stable-diffusion-webui/models/Stable-diffusion/own.ckpt",
    )
    make(drive, "pictures/a.png", "x.safetensors", "empty/models/Stable-diffusion/")
    found = models_elsewhere(drive.mydrive, drive.mydrive / "art" / "stable-diffusion-webui")
    assert found == ["AI/models", "StableDiffusion", "loras", "sd"]


# ---- what launches note for those after them


def test_what_is_noted_is_read_back_and_what_others_noted_stays(tmp_path: Path) -> None:
    (tmp_path / NOTES).write_text(json.dumps({"last_good": "a" * 40, "looked_at": ["a"]}))
    Remembered.write(tmp_path, choices={"api": True}, used_at=5.5)
    assert Remembered.read(tmp_path) == Remembered({"api": True}, 5.5, looked_at=("a",))
    assert json.loads((tmp_path / NOTES).read_text())["last_good"] == "a" * 40


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "\0" * 400, '{"choices": [], "used_at": true, "extensions": 1, "looked_at": {}}',
     "[" * 100_000, '{"used_at": NaN}', '{"looked_at": [[], 1]}'],
)  # fmt: skip
def test_a_garbled_note_is_none_and_a_new_one_takes_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / NOTES).write_text(text)
    assert Remembered.read(tmp_path) == Remembered()
    Remembered.write(tmp_path, used_at=1.0)
    assert Remembered.read(tmp_path).used_at == 1.0


def test_a_folder_that_has_the_notes_name_is_set_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / NOTES).mkdir()
    said: list[str] = []
    assert Remembered.read(tmp_path, said.append) == Remembered()
    assert "was damaged" in said[0]
    Remembered.write(tmp_path, used_at=1.0)
    assert Remembered.read(tmp_path).used_at == 1.0


def test_a_name_that_is_no_text_costs_no_other_note(tmp_path: Path) -> None:
    Remembered.write(tmp_path, choices={"api": True}, looked_at=["models/\udcff.safetensors"])
    said: list[str] = []
    assert Remembered.read(tmp_path, said.append).choices == {"api": True}
    assert not said
