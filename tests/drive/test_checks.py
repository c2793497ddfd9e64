"""What Drive emptied, cut or garbled does not come back: it is set aside and said, and a good one takes its place."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.core.folder import Folder
from launcher.core.outside import Damaged, unpacked
from launcher.drive.restore import HUB_CHECKSUMS, check_file
from launcher.drive.sync import Sync
from launcher.models.checksums import CHECKSUMS_FILE, known_checksum, note_checksum, parsed_known
from launcher.source.versions import VERSIONS, Versions
from launcher.webui.outputs import OutputFolders
from launcher.webui.settings_files import check_page_settings, check_settings_file, check_texts, read_settings

MODEL = "huggingface/hub/models--openai--clip-vit-large-patch14"
SNAPSHOT = f"{MODEL}/snapshots/{'a' * 40}"
WORDS = {f"word{number}</w>": number for number in range(3000)}
MERGES = "#version: 0.2\n" + "".join(f"w {number}\n" for number in range(2500))
GOOD = {
    f"{SNAPSHOT}/vocab.json": json.dumps(WORDS),
    f"{SNAPSHOT}/merges.txt": MERGES,
    f"{SNAPSHOT}/tokenizer_config.json": '{"model_max_length": 1000000000000000019884624838656}',
    f"{MODEL}/refs/main": "a" * 40,
    f"{MODEL}/.no_exist/{'a' * 40}/added_tokens.json": "",
    "interrogate/artists.txt": "Monet\nManet\n",
    "interrogate/mediums.txt": "oil\n",
    "config.json": '{"a": 1}',
    "ui-config.json": '{"txt2img/Width/value": 512}',
    "styles.csv": "name,prompt\na,b\n",
    "params.txt": "a cat",
    "user.css": "a {}",
    "log/images/log.csv": "prompt\na cat\n",
    "config_states/1.json": '{"created_at": 1700000000.5}',
    "embeddings/e.pt": "not looked into",
}
FETCHED = [name for name in GOOD if name.startswith(MODEL) and ".no_exist" not in name]


class Person:
    """A folder on Drive with good files, kept there by a machine of before, and a new machine."""

    def __init__(self, root: Path) -> None:
        self.drive, self.said = root / "drive", list[str]()
        self.drive.mkdir()
        before = self.machine(root / "before")
        for name, content in GOOD.items():
            (before.data / name).parent.mkdir(parents=True, exist_ok=True)
            (before.data / name).write_text(content)
        before.poll(settled=0)
        self.sync = self.machine(root / "machine")

    def machine(self, data: Path) -> Sync:
        data.mkdir()
        return Sync(data, self.drive, lambda line: None, say=self.said.append)

    def came(self) -> set[str]:
        data = self.sync.data
        return {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}

    def aside(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.drive.rglob("*.broken-*") if path.is_file()}


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


def test_all_that_is_good_comes_back(person: Person) -> None:
    assert person.sync.restore() == len(GOOD)
    assert (person.came(), person.said) == ({*GOOD}, [])


def test_what_an_older_launcher_kept_comes_back_without_checksums(person: Person) -> None:
    (person.drive / HUB_CHECKSUMS).unlink()
    assert person.sync.restore() == len(GOOD)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def zeroed(content: bytes) -> bytes:
    return bytes(len(content))


def other(content: bytes) -> bytes:
    return os.urandom(len(content))


def nested(content: bytes) -> bytes:
    return b"[" * 100_000


DAMAGES = (lambda content: b"", cut, zeroed, other, nested)


@pytest.mark.parametrize("name", FETCHED)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("known", (True, False))
def test_what_the_hub_gave_is_fetched_anew_when_it_is_not_what_was_kept(
    person: Person, name: str, damage: Callable[[bytes], bytes], known: bool
) -> None:
    if not known:
        (person.drive / HUB_CHECKSUMS).unlink()
    (person.drive / name).write_bytes(bad := damage(GOOD[name].encode()))
    person.sync.restore()
    assert person.came() == {*GOOD} - {name}
    assert [*person.aside().values()] == [bad]
    assert os.path.basename(name) in person.said[0] and next(iter(person.aside())) in person.said[0]
    (person.sync.data / name).write_text(GOOD[name])  # as the hub's client does it
    person.sync.poll(settled=0)
    assert (person.drive / name).read_text() == GOOD[name]
    assert person.machine(person.drive.parent / "next").restore() == len(GOOD)
    assert len(person.said) == 1, "the next machine has nothing to say"


@pytest.mark.parametrize(
    "name", ("config.json", "ui-config.json", "styles.csv", "params.txt", "user.css", "config_states/1.json")
)
@pytest.mark.parametrize("content", (b"", b"\0" * 40))
def test_a_damaged_setting_does_not_replace_a_good_one_of_the_machine(
    person: Person, name: str, content: bytes
) -> None:
    person.sync.restore()
    person.sync.poll(settled=0)
    (person.drive / name).write_bytes(content)
    os.utime(person.drive / name, (2e9, 2e9))
    person.sync.restore()
    assert (person.sync.data / name).read_text() == GOOD[name]
    person.sync.poll(settled=0)
    assert (person.drive / name).read_text() == GOOD[name], "and Drive has a good one again"
    assert [*person.aside().values()] == [content]


@pytest.mark.parametrize("made", ("7", '"then"', "null", "1e30", "-1e9", "{}"))
def test_a_state_of_extensions_whose_date_is_none_does_not_come_back(person: Person, made: str) -> None:
    (person.drive / "config_states/1.json").write_text(f'{{"created_at": {made}}}')
    person.sync.restore()
    assert ("config_states/1.json" in person.came()) == (made == "7")


@pytest.mark.parametrize("name", ("config.json", "ui-config.json", "styles.csv", f"{SNAPSHOT}/vocab.json"))
@pytest.mark.parametrize("shape", ("folder", "dead shortcut"))
def test_what_is_no_file_makes_way_for_one(person: Person, name: str, shape: str) -> None:
    (person.drive / name).unlink()
    if shape == "folder":
        (person.drive / name / "deep").mkdir(parents=True)
    else:
        (person.drive / name).symlink_to("nowhere")
    person.sync.restore()
    (person.sync.data / name).write_text(GOOD[name])
    person.sync.poll(settled=0)
    assert (person.drive / name).read_text() == GOOD[name]
    assert person.sync.unkept == 0


def test_a_file_where_a_folder_must_be_makes_way(person: Person) -> None:
    (person.drive / "config_states" / "1.json").unlink()
    (person.drive / "config_states").rmdir()
    (person.drive / "config_states").write_text("a file")
    person.sync.restore()
    (person.sync.data / "config_states").mkdir()
    (person.sync.data / "config_states" / "2.json").write_text("{}")
    person.sync.poll(settled=0)
    assert (person.drive / "config_states" / "2.json").read_text() == "{}"
    assert [*person.aside().values()] == [b"a file"]


def test_a_file_in_place_of_the_folder_for_copies_keeps_nothing_from_drive(person: Person) -> None:
    (person.drive / ".oneclick").rmdir()
    (person.drive / ".oneclick").write_text("")
    person.sync.restore()
    (person.sync.data / "outputs").mkdir()
    (person.sync.data / "outputs" / "1.png").write_bytes(b"image")
    person.sync.poll(settled=0)
    assert (person.drive / "outputs" / "1.png").exists()


def test_with_one_damaged_list_the_interrogator_fetches_all_its_lists_anew(person: Person, tmp_path: Path) -> None:
    (person.drive / "interrogate/artists.txt").write_bytes(b"")
    person.sync.restore()
    assert not (person.sync.data / "interrogate").exists(), "A1111 fetches lists only where there is no folder"
    folder = Folder(person.drive, tmp_path / "new", my_drive=person.drive.parent)
    folder.data, code = person.sync.data, folder.code
    code.mkdir(parents=True)
    outputs = OutputFolders(folder, person.said.append)
    person.sync.elsewhere = outputs.elsewhere
    outputs.prepare()
    (code / "interrogate").mkdir()
    for name in ("artists", "mediums"):
        (code / "interrogate" / f"{name}.txt").write_text(f"new {name}\n")
    person.sync.poll(settled=0)
    assert (person.drive / "interrogate/artists.txt").read_text() == "new artists\n"
    assert (person.drive / "interrogate/mediums.txt").read_text() == "new mediums\n"


def test_a_link_of_the_machine_to_a_file_on_drive_stays(person: Person) -> None:
    link = person.sync.data / "embeddings" / "e.pt"
    link.parent.mkdir()
    link.symlink_to(person.drive / "embeddings" / "e.pt")
    person.sync.restore()
    assert (link.is_symlink(), person.said) == (True, [])


@pytest.mark.parametrize("name", ("embeddings/a\nb.pt", "embeddings/\x1b[2J.pt"))
def test_a_name_that_no_file_should_have_is_left_out_and_said(person: Person, name: str) -> None:
    (person.drive / name).write_text("x")
    person.sync.restore()
    assert name not in person.came()
    assert "were skipped: embeddings/" in person.said[0] and person.said[0].isprintable()


# ---- our own notes


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "drive").mkdir()
    made = Folder(tmp_path / "drive" / "mine" / "stable-diffusion-webui", tmp_path / "machine")
    made.prepare()
    return made


@pytest.mark.parametrize("name", (VERSIONS, "oneclick.json", HUB_CHECKSUMS, CHECKSUMS_FILE))
@pytest.mark.parametrize("content", (b"", b"null", b"[]", b"[" * 200_000, b"\0" * 90, b'{"a": ', None))
def test_a_damaged_note_is_set_aside_and_said_once(folder: Folder, name: str, content: bytes | None) -> None:
    said = list[str]()
    if content is None:
        (folder.kept / name / "deep").mkdir(parents=True)
    else:
        (folder.kept / name).write_bytes(content)
    Sync(folder.data, folder.kept, lambda line: None, say=said.append).restore()
    assert len(said) == 1
    assert said[0].startswith(f"{name} on your Drive was damaged. It is kept as ")
    assert not (folder.kept / name).exists()
    Sync(folder.data, folder.kept, lambda line: None, say=said.append).restore()
    assert len(said) == 1


@pytest.mark.parametrize("content", ('{"good": {}, "wanted": [], "failed": 5, "unfinished": {"a": [1]}}', "[]", None))
def test_whatever_stands_in_the_notes_of_versions_a_new_one_is_noted(folder: Folder, content: str | None) -> None:
    if content is None:
        (folder.kept / VERSIONS).mkdir()
    else:
        (folder.kept / VERSIONS).write_text(content)
    versions = Versions(folder.kept)
    assert (versions.good, versions.meant_by("master"), versions.failure("a")) == (None, None, None)
    versions.note_good("a" * 40, {"b" * 40: "it did not start"})
    assert Versions(folder.kept).good == "a" * 40


def test_no_reason_in_the_notes_of_versions_is_longer_than_a_sentence(folder: Folder) -> None:
    Versions(folder.kept).note_good("a" * 40, {"b" * 40: "\x1b[31m" + "x" * 100_000})
    reason = Versions(folder.kept).failure("b" * 40)
    assert reason is not None and len(reason) <= 300 and reason.isprintable()


KNOWN = (
    '{"hashes": []}',
    '{"hashes": {"checkpoint/a.safetensors": 5}}',
    '{"hashes": {"checkpoint/a.safetensors": {"mtime": "x", "sha256": "y"}}}',
    '{"hashes": {"checkpoint/a.safetensors": {"mtime": 1e9, "sha256": 7}}}',
    '{"safetensors-metadata": {"a": {"mtime": 1, "value": []}}, "of another": 3}',
)


@pytest.mark.parametrize("content", KNOWN)
def test_what_a1111_could_not_have_written_is_not_known(folder: Folder, content: str) -> None:
    (folder.kept / CHECKSUMS_FILE).write_bytes(gzip.compress(content.encode()))
    path = folder.models / "Stable-diffusion" / "a.safetensors"
    path.write_bytes(b"weights")
    assert known_checksum(folder, path) is None
    note_checksum(folder, path, "5" * 64)
    assert known_checksum(folder, path) == "5" * 64


def test_a_bomb_of_checksums_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(1 << 20))
    assert unpacked(bomb, 1 << 20, "a note") == bytes(1 << 20)
    with pytest.raises(Damaged, match="too large"):
        unpacked(bomb, (1 << 20) - 1, "a note")


# ---- whatever the bytes are


def parse_as(name: str, data: bytes) -> Callable[[Path], object]:
    def parse(folder: Path) -> None:
        (folder / "part").write_bytes(data)
        check_file(folder / "part", name, None, folder)

    return parse


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.text(alphabet='[]{}":,\\;name\t\npromptud8-.0').map(str.encode))
def test_whatever_the_bytes_are_nothing_but_damaged_is_raised(tmp_path: Path, data: bytes) -> None:
    names = [*GOOD, "oneclick-known.json.gz"]
    readers = [parse_as(name, data) for name in names]
    readers += [lambda folder: parsed_known(gzip.compress(data)), lambda folder: parsed_known(data)]
    for read in readers:
        try:
            read(tmp_path)
        except Damaged:
            continue
    for name in ("styles.csv", "params.txt"):
        (tmp_path / name).write_bytes(data)
    for name in ("config.json", "ui-config.json"):
        (tmp_path / name).write_bytes(data)
    check_texts(tmp_path)
    check_page_settings(tmp_path)
    check_settings_file(tmp_path)
    settings_read = read_settings(tmp_path)
    assert settings_read is not None
