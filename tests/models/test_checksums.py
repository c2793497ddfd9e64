"""What A1111 found out about model files is kept on Drive, and told to a new machine's A1111."""

import sys
from pathlib import Path
from typing import Any

import pytest
from diskcache import Cache

from launcher.core.folder import Folder
from launcher.core.outside import Damaged
from launcher.core.process import CommandError
from launcher.models.checksums import CHECKSUMS_FILE, LARGEST_ENTRY, note_checksum, read_kept, sync_checksums
from tests.conftest import new_folder


def with_python(folder: Folder, does: str = f'exec {sys.executable} "$@"') -> Folder:
    """The folder with a Python of the web UI that does this."""
    (folder.python / "bin").mkdir(parents=True, exist_ok=True)
    python = folder.python / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{does}\n")
    python.chmod(0o755)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return with_python(new_folder(tmp_path))


def a1111_knows(folder: Folder, section: str = "hashes") -> dict[str, Any]:
    with Cache(folder.machine / "cache" / section) as cache:
        return {title: cache[title] for title in cache}


def test_a_checksum_computed_while_fetching_is_told_to_a1111(folder: Folder) -> None:
    path = folder.models / "Stable-diffusion" / "mine" / "m.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    note_checksum(folder, path, "abc")
    sync_checksums(folder)
    assert a1111_knows(folder) == {"checkpoint/mine/m.safetensors": {"mtime": path.stat().st_mtime, "sha256": "abc"}}


def test_other_kinds_of_model_are_left_to_a1111(folder: Folder) -> None:
    path = folder.models / "Lora" / "l.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    note_checksum(folder, path, "abc")
    assert read_kept(folder) == {}


def test_what_a1111_found_out_comes_to_the_next_machine(folder: Folder, tmp_path: Path) -> None:
    told = {"mtime": 5.0, "value": {"ss_tag": "x"}}
    with Cache(folder.machine / "cache" / "safetensors-metadata") as cache:
        cache["lora/l"], cache["lora/book"] = told, {"mtime": 5.0, "value": "x" * LARGEST_ENTRY}
    sync_checksums(folder)
    new = with_python(Folder(folder.kept, tmp_path / "new machine"))
    sync_checksums(new)
    assert a1111_knows(new, "safetensors-metadata") == {"lora/l": told}


def test_what_is_newer_wins(folder: Folder) -> None:
    path = folder.models / "Stable-diffusion" / "m.safetensors"
    path.write_bytes(b"weights")
    with Cache(folder.machine / "cache" / "hashes") as cache:
        cache["checkpoint/m.safetensors"] = {"mtime": 1.0, "sha256": "old"}
    note_checksum(folder, path, "new")
    sync_checksums(folder)
    assert a1111_knows(folder)["checkpoint/m.safetensors"]["sha256"] == "new"
    with Cache(folder.machine / "cache" / "hashes") as cache:
        cache["checkpoint/m.safetensors"] = {"mtime": path.stat().st_mtime + 1, "sha256": "newest"}
    sync_checksums(folder)
    assert read_kept(folder)["hashes"]["checkpoint/m.safetensors"]["sha256"] == "newest"


def test_a_start_tells_a1111_what_is_new_and_does_not_start_its_python_for_nothing(folder: Folder) -> None:
    path = folder.models / "Stable-diffusion" / "m.safetensors"
    path.write_bytes(b"weights")
    sync_checksums(folder, only_news=True)
    assert not (folder.machine / "cache").exists(), "Drive has nothing to tell"
    note_checksum(folder, path, "abc")
    with pytest.raises(CommandError):
        sync_checksums(with_python(folder, "exit 3"), only_news=True)
    with_python(folder)
    sync_checksums(folder, only_news=True)
    assert a1111_knows(folder)["checkpoint/m.safetensors"]["sha256"] == "abc", "what failed was not told"
    sync_checksums(with_python(folder, "exit 3"), only_news=True)
    with pytest.raises(CommandError):
        sync_checksums(folder)


def test_an_exchange_that_leaves_half_a_list_changes_nothing_on_drive(folder: Folder) -> None:
    path = folder.models / "Stable-diffusion" / "m.safetensors"
    path.write_bytes(b"weights")
    note_checksum(folder, path, "abc")
    before = read_kept(folder)
    overwrites = 'for path; do [ -f "$path" ] && printf "{" > "$path"; done; exit 0'
    with pytest.raises(Damaged):
        sync_checksums(with_python(folder, overwrites))
    assert read_kept(folder) == before


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00half"])
def test_a_damaged_list_is_begun_anew(folder: Folder, content: bytes) -> None:
    (folder.kept / CHECKSUMS_FILE).write_bytes(content)
    sync_checksums(folder)
    assert read_kept(folder) == {"hashes": {}, "hashes-addnet": {}, "safetensors-metadata": {}}
