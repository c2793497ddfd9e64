"""Archives that nobody believes: what is taken out of one, and what the others cost."""

import io
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models.archive import open_zip
from launcher.models.fetch import MOST_COLLECTED, receive
from launcher.models.identify import BEGINNING, identify
from tests.models.fetching import a_fetcher, fetcher, folder
from tests.models.old_files import SOUND
from tests.models.test_identify import packed, tensors
from tests.models.test_properties import quick
from tests.world import safetensors
from tests.world.heard import Heard

__all__ = ["folder"]

EMBEDDING = tensors({"emb_params": (2, 768)})
ZEROS = 3_000_000


def zipped_files(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


def many_entries(count: int) -> bytes:
    """An archive of one file whose list names it `count` times."""
    one = zipped_files({"model.safetensors": b"x"}, zipfile.ZIP_STORED)
    at = one.index(b"PK\x01\x02")
    entry = one[at : one.index(b"PK\x05\x06")]
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(entry) * count, at, 0)
    return one[:at] + entry * count + end


def far_away() -> bytes:
    """An archive whose list says that its file begins where no file system has a byte."""
    one = zipped_files({"m.safetensors": safetensors(900)}, zipfile.ZIP_STORED)
    at, extra = one.index(b"PK\x01\x02"), struct.pack("<HHQ", 1, 8, 2**62)
    entry = bytearray(one[at : one.index(b"PK\x05\x06")] + extra)
    entry[30:32], entry[42:46] = struct.pack("<H", len(extra)), b"\xff" * 4
    return one[:at] + entry + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), at, 0)


def bad_deflate() -> bytes:
    content = safetensors(5000)
    made = bytearray(zipped_files({"m.safetensors": content}))
    at = made.index(zlib.compress(content)[2:20])
    made[at : at + 40] = b"\xff" * 40
    return bytes(made)


def changed(mark: bytes, at: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive with one bit changed, so far behind the mark."""
    made = bytearray(zipped_files({"m.safetensors": safetensors(900)}, method))
    made[made.index(mark) + at] ^= 1
    return bytes(made)


def received(folder: Folder, content: bytes, kind: str = "checkpoint", *, free: bool = False) -> tuple[Path, Heard]:
    made, heard, _ = fetcher(folder)
    place = folder.models / "Stable-diffusion"
    part = place / "m.zip.part"
    part.write_bytes(content)
    try:
        return receive(made, part, place / "m.zip", kind=kind, free=free), heard
    finally:
        assert not list(place.glob("*.part"))


BAD = {
    "bad deflate": bad_deflate(),
    "bzip2": zipped_files({"m.safetensors": safetensors(900)}, zipfile.ZIP_BZIP2),
    "LZMA, which may ask for gigabytes": zipped_files({"m.safetensors": safetensors(900)}, zipfile.ZIP_LZMA),
    "a wrong checksum": changed(b"PK\x01\x02", -1, zipfile.ZIP_STORED),
    "a list of 100,000 files": many_entries(100_000),
    "a file that begins nowhere": far_away(),
    "encrypted": changed(b"PK\x01\x02", 8),
    "an archive in an archive": zipped_files({"m.ckpt": zipped_files({"m.safetensors": safetensors(900)})}),
    "a name with a zero in it": zipped_files({"m.safetensors": b"x"}).replace(b"m.safetensors", b"m\0safetensors"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_an_archive_that_cannot_be_unpacked_is_one_sentence(folder: Folder, what: str) -> None:
    with pytest.raises(Problem, match=r"is not a usable model file|holds no model"):
        received(folder, BAD[what])
    assert not list((folder.models / "Stable-diffusion").iterdir())


def test_a_long_list_of_files_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.zip").write_bytes(many_entries(100_000))
    with pytest.raises(zipfile.BadZipFile, match="list of files"), open_zip(tmp_path / "m.zip"):
        pass


@pytest.mark.parametrize("content", [bytes(ZEROS), b"<html>" + b" " * ZEROS, b"GGUF" + bytes(ZEROS)])
def test_the_beginning_of_what_is_packed_is_looked_at_first(
    folder: Folder, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, real = list[int](), zipfile.ZipExtFile.read

    def read(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        given.append(len(data := real(self, n)))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", read)
    with pytest.raises(Problem, match=r"nothing but zeros|web page|GGUF"):
        received(folder, packed(["m.safetensors"], content))
    assert sum(given) <= BEGINNING


def test_each_model_of_an_archive_goes_where_its_kind_belongs(folder: Folder) -> None:
    files = {"x/m.safetensors": safetensors(900), "x/bad_hands.safetensors": EMBEDDING, "x/preview.png": b"x"}
    received(folder, zipped_files(files), "", free=True)
    assert (folder.models / "Stable-diffusion/m.safetensors").exists()
    assert (folder.kept / "embeddings/bad_hands.safetensors").exists()


def test_all_embeddings_of_an_archive_are_taken(folder: Folder) -> None:
    bad = {"a/bad_hands.safetensors": EMBEDDING, "b/easy.pt": SOUND["embedding of 2022"][0], "readme.txt": b"hello"}
    first, heard = received(folder, zipped_files(bad), "embedding", free=True)
    assert first.name == "bad_hands.safetensors"
    assert sorted(path.name for path in first.parent.iterdir()) == ["bad_hands.safetensors", "easy.pt"]
    assert "bad_hands.safetensors, easy.pt" in heard.notices[-1]
    received(folder, zipped_files(bad), "embedding", free=True)
    assert len(list(first.parent.iterdir())) == 2, "what is there already is not kept twice"


def test_an_archive_of_several_is_taken_whole_or_not_at_all(folder: Folder) -> None:
    for files, says in (
        ({"a.safetensors": EMBEDDING, "b.safetensors": tensors({"odd": (4, 4, 4)})}, "cannot tell what m.zip is"),
        ({f"{number}.pt": b"x" for number in range(MOST_COLLECTED + 1)}, "holds 201 models"),
    ):
        with pytest.raises(Problem, match=says):
            received(folder, zipped_files(files), "", free=True)
        assert not list((folder.models / "Stable-diffusion").iterdir())
        assert not (folder.kept / "embeddings").exists()


@quick
@given(st.binary(max_size=400), st.integers(0, 5000), st.booleans())
def test_any_archive_is_unpacked_or_one_sentence(change: bytes, at: int, stored: bool) -> None:
    content = bytearray(zipped_files({"m.safetensors": safetensors(900)}, 0 if stored else zipfile.ZIP_DEFLATED))
    at %= len(content)
    content[at : at + len(change) % 9] = change[:9]
    with tempfile.TemporaryDirectory() as root:
        part = Path(root, "m.zip.part")
        part.write_bytes(content)
        try:
            receive(a_fetcher(Path(root)), part, Path(root, "m.zip"), kind="checkpoint")
        except Problem:
            assert not list(Path(root).iterdir())


def test_an_archive_of_torchs_is_no_archive_to_unpack(tmp_path: Path) -> None:
    (tmp_path / "m.ckpt").write_bytes(SOUND["pruned, half precision"][0])
    assert identify(tmp_path / "m.ckpt").kind == "checkpoint"
