"""The web UI's packages: the lock, and what happens when the index no longer has it whole."""

import dataclasses
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
from launcher.python.install import install
from launcher.python.metadata import forget_half_installed
from launcher.python.pins import ALL_PINS, ALSO_CALLED, CONSTRAINTS, CONTROLNET_PACKAGES, LOCKED_PACKAGES
from launcher.python.uv import installed_packages, site_packages
from tests.world.heard import Heard
from tests.world.index import Index
from tests.world.tls import certificates, relay

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


def test_a_flipped_digit_of_a_checksum_stops_the_installation_and_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path / "drive" / "a" / "b", tmp_path / "machine")
    subprocess.run([UV, "venv", "--quiet", "--python", "3.11", folder.python], check=True)
    for name in ("constraints.txt", "build-constraints.txt"):
        (folder.python / name).write_text("")
    pin = next(pin for pin in ALL_PINS.values() if pin.name == "filelock")
    flipped = ("1" if pin.sha256[0] == "0" else "0") + pin.sha256[1:]
    monkeypatch.setitem(ALL_PINS, pin.requirement, dataclasses.replace(pin, sha256=flipped))
    with pytest.raises(Problem) as told:
        install(str(UV), folder, [pin.requirement], locked=True, step=Heard())
    assert str(told.value).startswith(
        f"The package {pin.requirement} is not the one this launcher was made with: its checksum is different."
    )
    assert not installed_packages(folder)
    monkeypatch.setitem(ALL_PINS, pin.requirement, pin)
    install(str(UV), folder, [pin.requirement], locked=True, step=Heard())
    assert "filelock" in installed_packages(folder)


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
        monkeypatch.setattr(tools, "SYSTEMS_CERTIFICATES", "/nowhere")
        with pytest.raises(CommandError, match="UnknownIssuer"):
            run([*command, "plain"], env=tools.installer_environment())
        monkeypatch.setattr(tools, "SYSTEMS_CERTIFICATES", str(tmp_path / "ca.pem"))
        run([*command, "plain"], env=tools.installer_environment())
    assert (tmp_path / "to" / "plain.py").exists()
