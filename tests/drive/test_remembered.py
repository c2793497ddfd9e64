"""What launches note on Drive for those after them."""

import json
from pathlib import Path

import pytest

from launcher.drive.remembered import NOTES, Remembered


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
