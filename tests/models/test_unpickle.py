"""Old files of weights can carry programs: what real ones hold is taken, everything else is refused."""

import json
import os
import re
import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from launcher.models.identify import identify
from launcher.models.kinds import contents_of
from launcher.models.unpickle import ALLOWED, LONGEST_TENSOR_NAME, NAMES_MOST, main
from tests.conftest import ROOT
from tests.models.old_files import (
    DETECTORS,
    NO_DETECTORS,
    REFUSED_ALTHOUGH_SOUND,
    SOUND,
    Program,
    crafted,
    torch_zip,
    zipped,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a name twice in a zip is meant
    CRAFTED = crafted()
A1111 = "82a973c04367123ae98bd9abdf80d9eda9b910e2"  # v1.10.1
HUNGRY = [name for name in CRAFTED if "billion" in name or "gigabytes" in name]  # never in the tests' own process


def test_there_are_more_than_sixty_crafted_files_and_a_dozen_sound_kinds() -> None:
    assert len(CRAFTED) >= 60
    assert len(SOUND) >= 12


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_old_file_is_taken_for_what_it_is(tmp_path: Path, name: str) -> None:
    content, kind = SOUND[name]
    (tmp_path / "file").write_bytes(content)
    told = main(str(tmp_path / "file"), whole=True)
    assert told["fault"] is None
    assert contents_of({name: tuple(shape) for name, shape in told["tensors"].items()}).kind == kind


@pytest.mark.parametrize("name", [*DETECTORS, *NO_DETECTORS])
def test_a_detector_may_name_a_method_of_its_head_and_nothing_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes((DETECTORS | NO_DETECTORS)[name])
    told = main(str(tmp_path / "file"), whole=True)
    assert (told["fault"] is None, bool(told["detector"])) == (name in DETECTORS,) * 2


@pytest.mark.parametrize("name", REFUSED_ALTHOUGH_SOUND)
def test_what_a1111_itself_would_refuse_is_refused_before_it_has_to(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(REFUSED_ALTHOUGH_SOUND[name][0])
    assert main(str(tmp_path / "file"), whole=False)["fault"]
    assert not safe_of_a1111(tmp_path / "file")


@pytest.mark.parametrize("name", SOUND)
def test_what_is_taken_a1111_itself_would_load(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(SOUND[name][0])
    assert safe_of_a1111(tmp_path / "file")


@pytest.mark.parametrize("name", [name for name in CRAFTED if name not in HUNGRY])
def test_a_crafted_old_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(CRAFTED[name])
    assert main(str(tmp_path / "file"), whole=False)["fault"]


@pytest.mark.parametrize("name", ["calls os.system", "a message in JSON", *HUNGRY])
def test_an_old_file_is_looked_through_in_a_process_of_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(CRAFTED[name])
    assert identify(tmp_path / "file").fault


def test_what_is_told_of_a_file_is_bounded(tmp_path: Path) -> None:
    sides = Program().raw(b"}").text("a").named("torch._utils", "_rebuild_tensor_v2").raw(b"(NN(" + b"K\x01" * 100_000)
    (tmp_path / "file").write_bytes(torch_zip(sides.raw(b"tNtRs").done(), {}))
    assert main(str(tmp_path / "file"), whole=False)["tensors"] == {"a": [1] * 8}
    (tmp_path / "file").write_bytes(zipped({"x" * 100_000: (1,), "y": (1,), **{str(at): (0,) for at in range(21_000)}}))
    names = main(str(tmp_path / "file"), whole=False)["tensors"]
    assert len(names) == NAMES_MOST
    assert max(map(len, names)) <= LONGEST_TENSOR_NAME


def test_a_damaged_tensor_is_noticed_where_no_checksum_is_known(tmp_path: Path) -> None:
    content = bytearray(SOUND["pruned, half precision"][0])
    content[content.index(b"archive/data/0") + 20] ^= 1
    (tmp_path / "file").write_bytes(content)
    assert main(str(tmp_path / "file"), whole=False)["fault"] is None
    assert main(str(tmp_path / "file"), whole=True)["fault"] == "it is damaged"


def test_no_token_is_in_the_environment_of_the_process_that_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text(
        f"import json, os; open({str(tmp_path / 'seen')!r}, 'w').write(json.dumps(dict(os.environ)))\n"
        + 'print(\'{"fault": "x", "tensors": {}}\')'
    )
    monkeypatch.setattr("launcher.models.identify.UNPICKLE", spy)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / "file").write_bytes(SOUND["LoRA (.pt)"][0])
    identify(tmp_path / "file")
    assert "hf_secret" not in json.dumps(json.loads((tmp_path / "seen").read_text()))


def test_every_name_that_is_allowed_stands_in_the_page_with_its_reason() -> None:
    page = (ROOT / "docs" / "dev" / "old-files.md").read_text()
    for module, names in ALLOWED.items():
        for name in names:
            assert re.search(rf"\b{re.escape(name)}\b", page), f"{module}.{name}"


def a1111s_file(name: str) -> str:
    """One of A1111's own files, where UPSTREAMS names a folder with its repository; else a skip."""
    upstream = Path(os.environ.get("UPSTREAMS", "")) / "AUTOMATIC1111" / "stable-diffusion-webui.git"
    if not os.environ.get("UPSTREAMS") or not upstream.exists():
        pytest.skip("AUTOMATIC1111's repository is not here")
    command = ["git", "-C", str(upstream), "show", f"{A1111}:{name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Anything(dict[Any, Any]):
    """Stands for every class of torch and NumPy: A1111's check only asks which may be named."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__()

    def __call__(self, *arguments: Any, **more: Any) -> "Anything":
        return Anything()

    def __setstate__(self, state: Any) -> None:
        pass


class Module(types.ModuleType):
    """A module that has whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}", Anything)


def safe_of_a1111(path: Path) -> bool:
    """What A1111's own modules/safe.py says of a file; torch, NumPy and Lightning are stand-ins."""
    names = (
        *("torch", "torch.storage", "torch._utils", "torch.nn", "torch.nn.modules", "torch.nn.modules.container"),
        *("numpy", "numpy.core", "numpy.core.multiarray", "modules", "modules.errors"),
        *("pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"),
    )
    with mock.patch.dict(sys.modules, {name: Module(name) for name in names}):
        made: dict[str, Any] = {"__name__": "safe"}
        exec(compile(a1111s_file("modules/safe.py"), "safe.py", "exec"), made)
        try:
            made["check_pt"](str(path), None)
        except Exception as error:
            return "forbidden" not in str(error) and "bad file" not in str(error) and pytest.fail(str(error))
        return True


def test_nothing_is_allowed_that_a1111_itself_would_not_load() -> None:
    text = a1111s_file("modules/safe.py")
    for module, names in ALLOWED.items():
        for name in names:
            assert f"'{name}'" in text, f"{module}.{name}"
