"""Old files of weights can carry programs: what real ones hold is taken, everything else is refused."""

import json
import os
import re
import warnings
from pathlib import Path

import pytest

from launcher.models.kinds import contents_of
from launcher.models.model_file import look_at
from launcher.models.unpickle import ALLOWED, main
from tests.conftest import ROOT
from tests.old_files import SOUND, crafted

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a name twice in a zip is meant
    CRAFTED = crafted()
HUNGRY = [name for name in CRAFTED if "billion" in name or "gigabytes" in name]  # never in the tests' own process


def test_there_are_more_than_sixty_crafted_files_and_a_dozen_sound_kinds() -> None:
    assert len(CRAFTED) >= 60
    assert len(SOUND) >= 12


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_old_file_is_taken_for_what_it_is(tmp_path: Path, name: str) -> None:
    content, kind = SOUND[name]
    (tmp_path / "file").write_bytes(content)
    told = main(str(tmp_path / "file"), whole=True)
    assert told["fault"] == ""
    assert contents_of({name: tuple(shape) for name, shape in told["tensors"].items()}).kind == kind


@pytest.mark.parametrize("name", [name for name in CRAFTED if name not in HUNGRY])
def test_a_crafted_old_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(CRAFTED[name])
    assert main(str(tmp_path / "file"), whole=False)["fault"]


@pytest.mark.parametrize("name", ["calls os.system", "a message in JSON", *HUNGRY])
def test_an_old_file_is_looked_through_in_a_process_of_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(CRAFTED[name])
    assert look_at(tmp_path / "file").fault


def test_a_damaged_tensor_is_noticed_where_no_checksum_is_known(tmp_path: Path) -> None:
    content = bytearray(SOUND["pruned, half precision"][0])
    content[content.index(b"archive/data/0") + 20] ^= 1
    (tmp_path / "file").write_bytes(content)
    assert main(str(tmp_path / "file"), whole=False)["fault"] == ""
    assert main(str(tmp_path / "file"), whole=True)["fault"] == "it is damaged"


def test_no_token_is_in_the_environment_of_the_process_that_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text(
        f"import json, os; open({str(tmp_path / 'seen')!r}, 'w').write(json.dumps(dict(os.environ)))\n"
        + 'print(\'{"fault": "x", "tensors": {}}\')'
    )
    monkeypatch.setattr("launcher.models.model_file.UNPICKLE", spy)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / "file").write_bytes(SOUND["LoRA (.pt)"][0])
    look_at(tmp_path / "file")
    assert "hf_secret" not in json.dumps(json.loads((tmp_path / "seen").read_text()))


def test_every_name_that_is_allowed_stands_in_the_page_with_its_reason() -> None:
    page = (ROOT / "docs" / "old-files.md").read_text()
    for module, names in ALLOWED.items():
        for name in names:
            assert re.search(rf"\b{re.escape(name)}\b", page), f"{module}.{name}"


def test_nothing_is_allowed_that_a1111_itself_would_not_load() -> None:
    upstream = Path(os.environ.get("UPSTREAMS", "/work/upstreams")) / "AUTOMATIC1111" / "stable-diffusion-webui.git"
    if not upstream.exists():
        pytest.skip("AUTOMATIC1111's repository is not here")
    import subprocess

    text = subprocess.run(
        ["git", "-C", upstream, "show", "v1.10.1:modules/safe.py"], capture_output=True, text=True, check=True
    ).stdout
    for module, names in ALLOWED.items():
        for name in names:
            assert f"'{name}'" in text, f"{module}.{name}"
