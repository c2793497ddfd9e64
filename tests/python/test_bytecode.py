"""Bytecode kept on Drive: the next machine uses it where the source is the same, and never otherwise."""

import importlib.util
import marshal
import os
import py_compile
import subprocess
import sys
import zipfile
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.python.bytecode import ARCHIVE, discard_bytecode, keep_bytecode, put_bytecode, unpack_bytecode

PACKAGES = ["toy==1.0"]
SOURCES = {"toy/__init__.py": "", "toy/one.py": "told = 'one'\n", "toy/two.py": "told = 'two'\n"}


def machine(root: Path, kept: Path, dated: int) -> Folder:
    """A machine with an environment whose files have that date."""
    folder = Folder(kept, root)
    site = folder.python / "lib"
    for name, text in SOURCES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
        os.utime(site / name, (dated, dated))
    (folder.python / "bin").mkdir()
    (folder.python / "bin" / "python").symlink_to(sys.executable)
    return folder


@pytest.fixture
def first(tmp_path: Path) -> Folder:
    """A machine that has compiled everything, and kept it."""
    (tmp_path / "drive").mkdir()
    folder = machine(tmp_path / "first", tmp_path / "drive", 1_000_000_000)
    for name in SOURCES:
        py_compile.compile(str(folder.python / "lib" / name), doraise=True)
    keep_bytecode(folder, PACKAGES)
    return folder


@pytest.fixture
def second(first: Folder, tmp_path: Path) -> Folder:
    return machine(tmp_path / "second", first.kept, 2_000_000_000)


def compiled(folder: Folder, name: str) -> Path:
    return Path(cache_from_source(str(folder.python / "lib" / name)))


def told(folder: Folder, name: str) -> str:
    """What that module of the toy says, imported by a Python that compiles if it must."""
    code = f"from toy.{name} import told; print(told)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": str(folder.python / "lib")}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_next_machine_compiles_nothing(second: Folder) -> None:
    unpack_bytecode(second)
    put_bytecode(second)
    before = {name: compiled(second, name).stat().st_mtime_ns for name in SOURCES}
    assert told(second, "one") == "one"
    assert {name: compiled(second, name).stat().st_mtime_ns for name in SOURCES} == before
    assert sorted(path.name for path in second.machine.iterdir()) == ["python"], "nothing is left beside it"


def test_another_source_is_compiled_anew(second: Folder) -> None:
    (second.python / "lib" / "toy" / "one.py").write_text("told = 'another'\n")
    unpack_bytecode(second)
    put_bytecode(second)
    assert (told(second, "one"), told(second, "two")) == ("another", "two")


def test_what_was_compiled_from_an_older_source_is_not_kept(first: Folder, second: Folder) -> None:
    (first.python / "lib" / "toy" / "one.py").write_text("told = 'newer'\n")
    keep_bytecode(first, ["toy==1.1"])
    unpack_bytecode(second)
    put_bytecode(second)
    assert not compiled(second, "toy/one.py").exists()
    assert compiled(second, "toy/two.py").exists()


def test_what_a_tool_left_under_a_name_of_its_own_stops_nothing(first: Folder, second: Folder) -> None:
    compiled(first, "toy/one.py").with_name("one.cpython-311-pytest-7.4.0.pyc").write_bytes(b"a tool's own")
    keep_bytecode(first, ["toy==1.1"])
    unpack_bytecode(second)
    put_bytecode(second)
    assert {path.name for path in compiled(second, "toy/one.py").parent.iterdir()} == {
        compiled(second, name).name for name in SOURCES
    }


def test_only_what_has_a_source_is_put_and_nothing_is_replaced(second: Folder) -> None:
    (second.python / "lib" / "toy" / "two.py").unlink()
    mine = compiled(second, "toy/one.py")
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    unpack_bytecode(second)
    put_bytecode(second)
    assert mine.read_bytes() == b"mine"
    assert not compiled(second, "toy/two.py").exists()


def test_it_is_written_once_for_the_same_packages(first: Folder) -> None:
    kept = first.kept / ARCHIVE
    kept.chmod(0o400)
    keep_bytecode(first, list(reversed(PACKAGES)))
    assert kept.stat().st_mode & 0o777 == 0o400, "it was written again"
    keep_bytecode(first, [*PACKAGES, "more==2.0"])
    assert kept.stat().st_mode & 0o777 != 0o400
    assert sorted(path.name for path in first.kept.iterdir()) == [ARCHIVE]


@pytest.mark.parametrize("at", [0.0, 0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_one_is_not_used_and_made_anew(first: Folder, second: Folder, damage: str, at: float) -> None:
    kept = second.kept / ARCHIVE
    whole = kept.read_bytes()
    place = int(len(whole) * at)
    kept.write_bytes(whole[:place] if damage == "cut" else whole[:place] + bytes(40) + whole[place + 40 :])
    unpack_bytecode(second)
    put_bytecode(second)
    assert not compiled(second, "toy/one.py").exists()
    assert (told(second, "one"), told(second, "two")) == ("one", "two")
    assert sorted(path.name for path in second.machine.iterdir()) == ["python"]
    keep_bytecode(first, PACKAGES)
    assert kept.read_bytes() == whole


def packed(kept: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(kept / ARCHIVE, "w", method) as made:
        for name, content in entries.items():
            made.writestr(name, content)


HOSTILE = {
    "../../session/login.json": zipfile.ZIP_STORED,
    "/etc/oneclick-test": zipfile.ZIP_STORED,
    "lib/" + "x" * 300: zipfile.ZIP_STORED,
    "lib/a\nb": zipfile.ZIP_STORED,
    "lib/toy": zipfile.ZIP_STORED,
    "lib/toy/__pycache__/one.cpython-311.pyc/below": zipfile.ZIP_STORED,
    "lib/toy/__pycache__/one.cpython-311.pyc/far/below": zipfile.ZIP_STORED,
    "lib/bz2": zipfile.ZIP_BZIP2,
    "lib/lzma": zipfile.ZIP_LZMA,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_was_not_made_here_is_thrown_away_and_said(second: Folder, name: str) -> None:
    packed(second.kept, {"lib/toy/__pycache__/one.cpython-311.pyc": b"x", name: b"theirs"}, HOSTILE[name])
    before, said = {*second.machine.rglob("*")}, list[str]()
    unpack_bytecode(second, said.append)
    assert said == [f"{ARCHIVE} on your Drive was damaged: a new one is made."]
    assert not (second.kept / ARCHIVE).exists()
    assert {*second.machine.rglob("*")} == before
    assert not Path("/etc/oneclick-test").exists()


def test_an_archive_that_unpacks_to_too_much_is_thrown_away(second: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.python.bytecode.LARGEST_UNPACKED", 1_000_000)
    packed(second.kept, {"lib/zeros": bytes(1_000_001)}, zipfile.ZIP_DEFLATED)
    said = list[str]()
    unpack_bytecode(second, said.append)
    assert len(said) == 1 and not (second.machine / "bytecode").exists()


def test_a_folder_in_its_place_is_set_aside_and_a_new_one_is_made(first: Folder, second: Folder) -> None:
    (second.kept / ARCHIVE).unlink()
    (second.kept / ARCHIVE / "deep").mkdir(parents=True)
    said = list[str]()
    unpack_bytecode(second, said.append)
    assert said == [f"{ARCHIVE} on your Drive was damaged: a new one is made."]
    keep_bytecode(first, PACKAGES)
    assert zipfile.is_zipfile(first.kept / ARCHIVE)
    assert [path for path in first.kept.iterdir() if (path / "deep").is_dir()], "what was in its place is still there"


def code_that_says(text: str, source: Path, flags: int) -> bytes:
    """Bytecode of something else than its source, with the right hash of it: nobody can tell it from good one."""
    about = importlib.util.source_hash(source.read_bytes())
    code = marshal.dumps(compile(f"told = {text!r}", str(source), "exec"))
    return importlib.util.MAGIC_NUMBER + flags.to_bytes(4, "little") + about + code


@pytest.mark.parametrize("flags", (0b00, 0b01))
def test_bytecode_that_python_would_not_compare_with_its_source_is_left_out(second: Folder, flags: int) -> None:
    name = str(compiled(second, "toy/one.py").relative_to(second.python))
    packed(second.kept, {name: code_that_says("forged", second.python / "lib/toy/one.py", flags)})
    unpack_bytecode(second)
    put_bytecode(second)
    assert told(second, "one") == "one"


def test_after_a_start_that_failed_what_came_from_drive_is_thrown_away_there_and_here(
    first: Folder, second: Folder
) -> None:
    name = str(compiled(second, "toy/one.py").relative_to(second.python))
    packed(second.kept, {name: code_that_says("forged", second.python / "lib/toy/one.py", 0b11)})
    unpack_bytecode(second)
    put_bytecode(second)
    assert told(second, "one") == "forged", "as trusted as an extension"
    assert discard_bytecode(second)
    assert told(second, "one") == "one"
    assert not (second.kept / ARCHIVE).exists()
    assert not discard_bytecode(second)
    assert not discard_bytecode(first), "none of its own came from Drive"
    keep_bytecode(first, PACKAGES)
    assert zipfile.is_zipfile(second.kept / ARCHIVE), "a good one takes its place"


def test_without_any_nothing_happens(tmp_path: Path) -> None:
    folder = machine(tmp_path / "machine", tmp_path / "drive", 1_000_000_000)
    unpack_bytecode(folder)
    put_bytecode(folder)
    assert told(folder, "one") == "one"
