"""The web UI's packages: the lock, and what happens when the index no longer has it whole."""

import json
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from launcher.core import tools
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.core.tools import install_tool
from launcher.python.environment import prepare_python, read_finished
from launcher.python.lock import ALSO_CALLED, CONSTRAINTS, CONTROLNET_PACKAGES, LOCKED_PACKAGES
from launcher.python.uv import COMPLETE, site_packages
from tests.world.heard import Heard
from tests.world.index import Index, wheel, wheel_name
from tests.world.tls import certificates, relay
from tests.world.toy_lock import toy_lock

UV = Path(sys.prefix) / "bin" / "uv"


def test_the_lock_keeps_the_constraints_and_names_each_package_once() -> None:
    locked = dict(package.split("==") for package in (*LOCKED_PACKAGES, *CONTROLNET_PACKAGES))
    assert len(locked) == len(LOCKED_PACKAGES) + len(CONTROLNET_PACKAGES)
    called = {other: name for name, other in ALSO_CALLED.items()}
    kept = set()
    for constraint in map(Requirement, CONSTRAINTS.split()):
        told = canonicalize_name(constraint.name)
        name = called.get(told, str(told))
        if name in locked:
            kept.add(name)
            assert constraint.specifier.contains(locked[name]), constraint
    assert {"torch", "numpy", "gradio", "protobuf", "pillow", "transformers"} <= kept


def test_a_version_of_the_lock_that_is_gone_from_the_index_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with toy_lock(tmp_path, monkeypatch) as toys:
        del toys.index.files[wheel_name("plain", "1.0")]
        toys.index.add("plain", "1.1")
        with pytest.raises(Problem) as told:
            prepare_python(toys.folder, toys.packages, Heard())
        assert told.value.what == "The package index does not have plain==1.0, which the web UI needs."
        assert read_finished(toys.folder) is None


def test_a_package_that_is_another_than_the_locks_stops_the_installation_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with toy_lock(tmp_path, monkeypatch) as toys:
        name = wheel_name("plain", "1.0")
        right = toys.index.files[name]
        toys.index.files[name] = wheel("plain", "1.0", {"plain.py": b"yes = False\n"})
        with pytest.raises(Problem) as told:
            prepare_python(toys.folder, toys.packages, Heard())
        assert str(told.value).startswith(
            "The package plain==1.0 is not the one this launcher was made with: its checksum is different."
        )
        assert not (site_packages(toys.folder) / "plain.py").exists()
        toys.index.files[name] = right
        prepare_python(toys.folder, toys.packages, Heard())
        assert (site_packages(toys.folder) / "plain.py").read_text() == "yes = True\n"


def test_an_environment_that_a_killed_installer_left_is_made_anew_and_nothing_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with toy_lock(tmp_path, monkeypatch) as toys:
        prepare_python(toys.folder, toys.packages, Heard())
        sent = [toys.sent(name.replace("-", "_")) for name in toys.table]
        assert all(sent)
        (toys.folder.python / COMPLETE).unlink()  # as while packages are put in place
        (site_packages(toys.folder) / "plain.py").unlink()
        assert prepare_python(toys.folder, toys.packages, Heard())
        assert (site_packages(toys.folder) / "plain.py").read_text() == "yes = True\n"
        assert [toys.sent(name.replace("-", "_")) for name in toys.table] == sent


def test_an_environment_of_a_launcher_that_noted_less_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with toy_lock(tmp_path, monkeypatch) as toys:
        prepare_python(toys.folder, toys.packages, Heard())
        noted = json.loads((toys.folder.python / COMPLETE).read_text())
        of_before = {"rules": "a hash", "wanted": noted["wanted"], "packages": noted["packages"]}
        for less in (of_before, of_before | {"linked": []}, ["no object"]):
            (toys.folder.python / COMPLETE).write_text(json.dumps(less))
            assert prepare_python(toys.folder, toys.packages, Heard())


def test_what_a_killed_installation_of_a_tool_left_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = "2abb3d4959a7ee9ccb1e1296db7c56f624bf6d345b93a0a9cf4185bc650dc2fd"
    monkeypatch.setitem(tools.TOOL_PINS, "picklescan", tools.Pin("picklescan", "1.0.5", sha256, 24059))
    target = tmp_path / "picklescan"
    left = target.with_name(f".{target.name}.part") / "picklescan" / "half.py"
    left.parent.mkdir(parents=True)
    left.write_text("raise SystemExit")
    install_tool("picklescan", target)
    assert (target / "picklescan").is_dir()
    assert not (target / "picklescan" / "half.py").exists()


def test_an_authority_that_only_the_system_knows_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/nowhere")
    with Index() as index, relay(index.server.server_address[1], certificates(tmp_path)) as port:
        index.add("plain", "1.0")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"https://localhost:{port}/simple")
        command = [
            str(UV),
            "pip",
            "install",
            "--no-cache",
            "--python",
            sys.executable,
            "--target",
            str(tmp_path / "to"),
        ]
        monkeypatch.setattr(tools, "SYSTEMS_CERTIFICATES", "/nowhere")  # this machine's own stay as they are
        with pytest.raises(CommandError, match="UnknownIssuer"):
            run([*command, "plain"], env=tools.installer_environment())
        monkeypatch.setattr(tools, "SYSTEMS_CERTIFICATES", str(tmp_path / "ca.pem"))
        run([*command, "plain"], env=tools.installer_environment())
    assert (tmp_path / "to" / "plain.py").exists()
