"""Styles, the Save button's list and the last prompt: what people wrote is read as what it is, and nothing is lost."""

import csv
from pathlib import Path

import pytest

from launcher.webui.settings_files import check_texts

ROWS = [["name", "prompt", "negative_prompt"], ["Grün", 'a "quoted", prompt', ""], ["Два", "line\nline", "no; yes"]]


def text_with(separator: str) -> str:
    quoted = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in ROWS]
    return "\r\n".join(quoted) + "\r\n"


def styles(path: Path) -> list[list[str]]:
    """As A1111 v1.10.1 reads them (modules/styles.py)."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [
            list(ROWS[0]),
            *([row[name] for name in ROWS[0]] for row in csv.DictReader(file, skipinitialspace=True)),
        ]


@pytest.mark.parametrize("separator", (",", ";", "\t"))
@pytest.mark.parametrize("encoding", ("utf-8", "utf-8-sig", "utf-16"))
def test_styles_in_another_encoding_or_with_other_separators_are_read_as_what_they_are(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    path = tmp_path / "styles.csv"
    path.write_bytes(before := text_with(separator).encode(encoding))
    said = check_texts(tmp_path)
    assert styles(path) == ROWS
    if separator == "," and encoding != "utf-16":
        assert (said, path.read_bytes()) == ([], before)
        return
    aside = next(tmp_path.glob("styles.before-*.csv"))
    assert aside.read_bytes() == before
    assert aside.name in said[0]
    assert check_texts(tmp_path) == []


def test_styles_in_the_encoding_of_windows_are_read(tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_bytes("name,prompt,negative_prompt\nGrün,“é”,\n".encode("cp1252"))
    assert len(check_texts(tmp_path)) == 1
    assert styles(tmp_path / "styles.csv")[1:] == [["Grün", "“é”", ""]]


def test_a_row_without_a_name_hides_no_style(tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_text("prompt,name\na,first\nb\nc,last\n")
    check_texts(tmp_path)
    with (tmp_path / "styles.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["first", "last"]


@pytest.mark.parametrize("name", ("styles.csv", "styles_integrated.csv", "params.txt", "log/images/log.csv"))
@pytest.mark.parametrize("content", (b"", bytes(400), b"\xff\xfe", b"PK\3\4\0\0" * 40))
def test_what_is_no_text_is_set_aside_once_and_said(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    said = check_texts(tmp_path)
    assert not path.exists()
    aside = next(path.parent.glob(f"{path.stem}.broken-*"))
    assert aside.read_bytes() == content
    assert path.name in said[0] and aside.name in said[0]
    assert check_texts(tmp_path) == []


@pytest.mark.parametrize("content", (b"<html>not found</html>", b"name,prompt\n" + b"x" * 200_000 + b",y\n"))
def test_styles_that_are_none_are_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "styles.csv").write_bytes(content)
    assert "styles.broken-" in check_texts(tmp_path)[0]


def test_a_folder_of_that_name_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "styles.csv").mkdir()
    assert "styles.broken-" in check_texts(tmp_path)[0]
    assert not (tmp_path / "styles.csv").exists()


def test_the_save_buttons_list_in_another_encoding_is_mended(tmp_path: Path) -> None:
    (tmp_path / "log" / "images").mkdir(parents=True)
    listed = tmp_path / "log" / "images" / "log.csv"
    listed.write_bytes("prompt,seed\ngrün,1\n".encode("cp1252"))
    assert len(check_texts(tmp_path)) == 1
    assert listed.read_text(encoding="utf-8") == "prompt,seed\ngrün,1\n"


def test_tables_of_a_person_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_bytes(b"\xff\xff")
    assert check_texts(tmp_path) == []
