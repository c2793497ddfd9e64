"""A launch with the toy lock, whose web UI is a program of the test's own; and an nvidia-smi of its own."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.colab.machine import look_at_machine
from launcher.core.status import Status
from launcher.launch.launch import Launch
from launcher.launch.steps import STEPS
from tests.world.toy_lock import REQUIREMENTS, ToyLock


def launch_of(toys: ToyLock, program: str) -> Launch:
    """A launch with the toy lock and a web UI that is this program."""
    toys.folder.code.mkdir(parents=True)
    toys.folder.session.mkdir(parents=True, exist_ok=True)
    (toys.folder.code / "launch.py").write_text(program)
    (toys.folder.code / "requirements_versions.txt").write_bytes(REQUIREMENTS)
    status = Status("Starting")
    for name, title in STEPS:
        status.add(name, title)
    machine = replace(look_at_machine(), base=toys.folder.machine.parent)
    launch = Launch({}, machine, status, lambda kind: {})
    assert launch.folder == toys.folder
    return launch


def nvidia_smi(root: Path, patch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program of that name first on PATH."""
    program = root / "nvidia" / "nvidia-smi"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    patch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
