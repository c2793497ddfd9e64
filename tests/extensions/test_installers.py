"""What extensions want: installed so that a person sees it live, and named when it fails."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

from launcher.core.folder import Folder
from launcher.extensions import install
from launcher.extensions.install import MOST_RUNS, run_installers
from launcher.python.lock import BUILD_CONSTRAINTS, CONSTRAINTS
from launcher.webui.explain import not_loaded
from tests.conftest import ROOT, new_folder
from tests.world.heard import Heard

UV = ROOT / ".venv" / "bin" / "uv"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = new_folder(tmp_path)
    made.code.mkdir(parents=True, exist_ok=True)
    made.python.mkdir(parents=True)
    (made.python / "constraints.txt").write_text(CONSTRAINTS)  # both as `prepare_python` writes them
    (made.python / "build-constraints.txt").write_text(BUILD_CONSTRAINTS)
    subprocess.run([UV, "venv", "--allow-existing", "--quiet", "--python", "3.11", made.python], check=True)
    return made


def put_installer(folder: Folder, name: str, source: str) -> Path:
    script = folder.data / "extensions" / name / "install.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(source)
    return script


def test_an_installer_is_told_where_the_data_is(folder: Folder) -> None:
    put_installer(
        folder,
        "faces",
        "import argparse, os, pathlib, shlex\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--data-dir')\n"  # as A1111's modules/paths_internal.py reads it
        "data = parser.parse_known_args(shlex.split(os.environ['COMMANDLINE_ARGS']))[0].data_dir\n"
        "pathlib.Path(data, 'models', 'insightface').mkdir(parents=True)\n",
    )
    heard = Heard()
    assert run_installers(folder, heard) == 1
    assert heard.notices == []
    assert (folder.data / "models" / "insightface").is_dir()
    assert run_installers(folder, Heard()) == 0, "once is enough"


def test_each_is_named_at_work_and_that_it_takes_minutes_is_said_all_the_while(folder: Folder) -> None:
    for name in ("one", "two"):
        put_installer(folder, name, "print('compiling')")
    heard = Heard()
    run_installers(folder, heard)
    assert heard.said == [
        "installing one (1 of 2, may take minutes)",
        "installing one (1 of 2, may take minutes): compiling",
        "installing two (2 of 2, may take minutes)",
        "installing two (2 of 2, may take minutes): compiling",
    ]


def test_one_that_computes_and_prints_nothing_shows_that_it_lives(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "SILENT", 0.0)
    monkeypatch.setattr(install, "INSTALLER_SILENCE", 2.0)
    seen = tmp_path / "seen"
    put_installer(folder, "compiles", f"import os\nwhile not os.path.exists({str(seen)!r}):\n    pass\n")

    class Looks(Heard):
        def say(self, text: str) -> None:
            super().say(text)
            if sum("running for" in one for one in self.said) == 5:  # longer than its patience: it counts as alive
                seen.touch()

    heard = Looks()
    run_installers(folder, heard)
    assert heard.notices == []
    assert heard.said[1].startswith("installing compiles (may take minutes): running for ")


def test_a_version_that_is_none_is_not_allowed() -> None:
    for old in (False, InvalidVersion("Invalid version: 'unknown'")):  # what packaging says, and said before 26
        with mock.patch.object(SpecifierSet, "contains", side_effect=[old]):
            assert not install.allowed("numpy", "unknown")


def test_a_process_that_ended_beside_it_does_not_hide_that_it_computes(tmp_path: Path) -> None:
    script = tmp_path / "install.py"
    script.write_text("input()\n")
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE) as installer:
            assert [pid for pid, _ in install.time_used(script)] == [installer.pid]
            installer.communicate(b"\n")


def test_what_pip_could_not_find_is_named_and_the_next_starts_try_again_a_few_times(folder: Folder) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "no-such-thing==9"]
    put_installer(folder, "wants", f"import subprocess\nsubprocess.run({pip!r}, check=True)\n")
    for number in range(1, MOST_RUNS + 1):
        heard = Heard()
        assert run_installers(folder, heard) == 1
        assert heard.notices[0].startswith(
            "The extension wants could not install everything it needs: no-such-thing==9 has no suitable version in "
            "the package index."
        )
        assert ("The next start tries again" in heard.notices[0]) == (number < MOST_RUNS), "no promise that is not kept"
    assert run_installers(folder, Heard()) == 0
    put_installer(folder, "wants", "print('mended')")
    heard = Heard()
    assert run_installers(folder, heard) == 1, "a new version is tried"
    assert heard.notices == []


TOLD = """\
*** Error loading script: x.py
    Traceback (most recent call last):
      File "/content/oneclick/stable-diffusion-webui/modules/scripts.py", line 515, in load_scripts
        script_module = script_loading.load_module(scriptfile.path)
      File "/content/oneclick/data/asd1111/extensions/odd/scripts/x.py", line 1, in <module>
        import somelib
    {}

---
Startup time: 3.2s (import torch: 1.0s).
"""


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("ModuleNotFoundError: No module named 'somelib'", "the Python package somelib is missing"),
        (  # Python names the first that is missing: the package itself is there
            "ModuleNotFoundError: No module named 'torchvision.transforms.functional_tensor'",
            "a part of a Python package is missing (torchvision.transforms.functional_tensor)",
        ),
        ("ModuleNotFoundError: No module named 'modules.sd_samplers_compvis'", "it is made for another version of the"),
        ("ModuleNotFoundError: No module named 'modules_forge.forge_sampler'", "it is made for another version of the"),
        ("ImportError: cannot import name 'a' from 'modules.paths' (/x/paths.py)", "it is made for another version of"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'a.onnx'", "a file of it is missing"),
        ("AttributeError: 'x' has no attribute 'y'", "AttributeError: 'x' has no attribute 'y'"),
        (
            "AttributeError: no 'float'.\n    `np.float` was deprecated\n    The aliases were; see:",
            "AttributeError: no 'float'",
        ),
    ],
)
def test_an_extension_that_did_not_load_is_named_with_the_reason(last: str, reason: str) -> None:
    found = not_loaded(TOLD.format(last))
    assert list(found) == ["odd"]
    assert found["odd"].startswith(reason)
    assert not_loaded("Startup time: 3.2s\n") == {}
