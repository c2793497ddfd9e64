"""What comes from outside is read with a bound and a shape, and no name of it leads out of its folder."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.core.outside import (
    Damaged,
    decoded,
    joined,
    limited,
    parsed_json,
    read_json,
    read_note,
    set_aside,
)
from launcher.core.problem import Problem

DAMAGED = {
    "empty": b"",
    "cut": b'{"good": "9f',
    "zeros": bytes(5000),
    "another shape": b"[]",
    "null": b"null",
    "deep": b"[" * 200_000,
    "deep and whole": b'{"a":' * 900 + b"1" + b"}" * 900,
    "deep behind a quote": b'{"a\\"": ' + b"[" * 900 + b"]" * 900 + b"}",
    "half a letter": b'{"a": "\\ud800"}',
    "no number": b'{"a": NaN}',
    "a number without end": b'{"a": 1e999}',
    "a number too long": b'{"a": ' + b"9" * 400 + b"}",
    "two": b"{}{}",
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_object_of_json_is_damaged_and_nothing_else(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "versions.json").write_bytes(data)
    with pytest.raises(Damaged, match=r"versions\.json"):
        read_json(tmp_path / "versions.json")


def test_json_in_the_encodings_of_editors_is_read() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        assert parsed_json('{"ä": "[[{\\"\\\\"}'.encode(encoding)) == {"ä": '[[{"\\'}


def test_emoji_written_as_two_halves_are_whole() -> None:
    assert parsed_json(b'["\\ud83d\\ude00"]', list) == ["😀"]


def test_a_file_that_is_not_there_is_none_and_a_folder_of_its_name_is_damaged(tmp_path: Path) -> None:
    assert read_json(tmp_path / "x.json") is None
    (tmp_path / "dead.json").symlink_to(tmp_path / "gone")
    assert read_json(tmp_path / "dead.json") is None
    (tmp_path / "x.json").mkdir()
    with pytest.raises(Damaged):
        read_json(tmp_path / "x.json")
    assert read_json(tmp_path / "x.json" / "y.json") is None


def test_no_more_than_the_bound_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").symlink_to("/dev/zero")
    with pytest.raises(Damaged, match="far too large"):
        read_json(tmp_path / "x.json", most=1 << 20)


@settings(deadline=None)
@given(st.binary() | st.text(alphabet='[]{}":,\\ud8e9-.').map(str.encode))
def test_whatever_the_bytes_are_only_damaged_is_raised(data: bytes) -> None:
    try:
        found = parsed_json(data, object)
    except Damaged:
        return
    json.dumps(found, ensure_ascii=False).encode()  # it can be written again


def test_texts_are_read_as_what_they_are() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        assert decoded("Grün,blümchen".encode(encoding)) == "Grün,blümchen"
    assert decoded(b"\x81\xff") == "�ÿ"
    assert decoded("Grün,bl".encode("utf-8-sig") + b"\xc3") == "Grün,bl�", "it says that it is UTF-8, and is cut"


def test_a_damaged_note_is_set_aside_under_a_free_name_and_said(tmp_path: Path) -> None:
    note, said = tmp_path / "versions.json", list[str]()
    assert read_note(note, said.append) is None
    assert said == []
    for content in ("one", "two"):
        note.write_text(content)
        assert read_note(note, said.append) is None
        assert not note.exists()
    aside = sorted(path for path in tmp_path.iterdir())
    assert {path.read_text() for path in aside} == {"one", "two"}
    assert all(path.name in " ".join(said) for path in aside)
    note.write_text('{"good": 1}')
    assert read_note(note, said.append) == {"good": 1}
    assert len(said) == 2


def test_a_folder_can_be_set_aside(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    assert set_aside(tmp_path / "x.json").is_dir()
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a\0b", "a\nb", "x" * 256, "\ud800", "gpj.\u202eexe",
     "out/x", "out"],
)  # fmt: skip
def test_no_name_leads_out_of_its_folder(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(Problem, match="not the name"):
        joined(root, name)


def test_usual_names_are_joined(tmp_path: Path) -> None:
    (tmp_path / "in").symlink_to(tmp_path / "real")
    for parts in (("a.safetensors",), ("Lora", "モデル　1.pt"), ("a/b c/é.png",), ("..a", "b.."), ("in", "x")):
        assert joined(tmp_path, *parts) == tmp_path.joinpath(*parts)


@settings(deadline=None)
@given(st.lists(st.text(), max_size=4))
def test_whatever_the_parts_are_the_path_is_inside(parts: list[str]) -> None:
    try:
        path = joined(Path("/nowhere/root"), *parts)
    except Problem:
        return
    assert os.path.normpath(path).startswith("/nowhere/root/")


def test_a_stream_ends_with_a_sentence_once_it_is_too_long() -> None:
    came = list[bytes]()
    with pytest.raises(Problem, match="far too much"):
        came.extend(limited(iter([b"x" * 400_000] * 9), 1_000_000))
    assert list(limited([b"ab", b"c"], 3)) == [b"ab", b"c"]
