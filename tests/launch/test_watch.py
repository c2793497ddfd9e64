"""What is looked after while the web UI runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.colab.machine import look_at_machine
from launcher.core.problem import Problem
from launcher.core.status import Status
from launcher.launch import watch
from launcher.launch.launch import Launch
from launcher.webui.process import WebUI


def nobody(kind: str, **about: Any) -> dict[str, Any]:
    raise Problem("Nobody is there.", "Press ▶.")


def test_a_web_ui_that_ends_because_drive_dropped_is_not_started_before_drive_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = replace(look_at_machine(), base=tmp_path, mountpoint=tmp_path / "drive")
    launch = Launch({}, machine, Status("Ready"), nobody)
    launch.prepare()
    looks: list[bool] = []

    def running(webui: WebUI) -> bool:
        """It runs at the first look; at the next ones it and Drive are gone."""
        looks.append(not looks)
        if len(looks) > 5:
            launch.finish()
        return looks[-1]

    def start_again(launch: Launch, note: str) -> None:
        raise AssertionError("it was started although Drive is away")

    monkeypatch.setattr(WebUI, "running", property(running))
    monkeypatch.setattr(watch, "drive_is_mounted", lambda machine: len(looks) < 2)
    monkeypatch.setattr(watch, "start_again", start_again)
    monkeypatch.setattr(watch, "WATCH_EVERY", 0.01)
    watch.watch(launch)
    assert launch.drive_away
