"""The web UI's packages: the lock, and what happens when the index no longer has it whole."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from launcher.core import tools
from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError, run
from launcher.core.tools import install_tool
from launcher.python.environment import prepare_python
from launcher.python.install import install
from launcher.python.metadata import forget_half_installed
from launcher.python.pins import ALSO_CALLED, CONSTRAINTS, CONTROLNET_PACKAGES, LOCKED_PACKAGES
from launcher.python.uv import installed_packages, site_packages
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


def test_a_version_that_is_gone_from_the_index_is_replaced_by_the_newest_before_it(tmp_path: Path) -> None:
    folder, heard = Folder(tmp_path / "drive" / "a" / "b", tmp_path / "machine"), Heard()
    subprocess.run([UV, "venv", "--quiet", "--python", "3.11", folder.python], check=True)
    (folder.python / "constraints.txt").write_text("markupsafe!=2.1.5\n")
    (folder.python / "build-constraints.txt").write_text("")
    install(
        str(UV),
        folder,
        ["markupsafe==2.1.999", "six==1.16.0"],
        locked=True,
        step=heard,
    )
    assert "markupsafe==2.1.999 is no longer in the package index; another version is used" in heard.said
    assert installed_packages(folder) == {"markupsafe": "2.1.4", "six": "1.16.0"}


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


def test_a_package_that_a_killed_installer_left_half_is_installed_anew(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "drive", tmp_path / "machine")
    place = site_packages(folder)
    whole = {"METADATA": "Name: x", "RECORD": "", "INSTALLER": "uv"}
    for name, parts in {
        "cut-1.0": {"RECORD": ""},  # killed while its files were put in place
        "not_quite-1.0": {"METADATA": "Name: x", "RECORD": ""},
        "lent-1.0": {"METADATA": "Name: x"},  # the kernel's own
        "whole-1.0": whole,
    }.items():
        (place / f"{name}.dist-info").mkdir(parents=True)
        for part, text in parts.items():
            (place / f"{name}.dist-info" / part).write_text(text)
    forget_half_installed(folder, {"lent"})
    assert set(installed_packages(folder)) == {"lent", "whole"}


def test_what_a_killed_installation_of_a_tool_left_is_not_taken_over(tmp_path: Path) -> None:
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
