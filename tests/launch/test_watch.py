"""What is looked after while the web UI runs."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.access.link import PublicLink
from launcher.colab.machine import look_at_machine
from launcher.core.problem import Problem
from launcher.core.status import Status, Step
from launcher.drive.linked import join_models, link_models
from launcher.launch import start, watch
from launcher.launch.launch import Launch
from launcher.webui.process import WebUI
from tests.world import safetensors


def nobody(kind: str, **about: Any) -> dict[str, Any]:
    raise Problem("Nobody is there.", "Press ▶.")


def test_a_restart_opens_the_link_that_was_chosen_since_and_goes_on_without_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = Launch({}, replace(look_at_machine(), base=tmp_path, mountpoint=None), Status("Ready"), nobody)
    launch.prepare()
    opened: list[str] = []

    def open_link(link: PublicLink, port: int, step: Step) -> str:
        opened.append(link.wanted)
        if link.wanted == "cloudflared":
            raise Problem("cloudflared gave no link.", "Choose another.")
        return "https://a.gradio.live"

    monkeypatch.setattr(PublicLink, "_open_proxy", lambda link, goes_on: 1)
    monkeypatch.setattr(PublicLink, "_open_tunnel", lambda link, kind, port, step: open_link(link, port, step))
    monkeypatch.setattr(start, "start_web_ui", lambda launch, checkpoint: None)
    monkeypatch.setattr(Launch, "be_ready", lambda launch: None)
    for link in ("automatic", "gradio", "gradio", "cloudflared"):
        launch.choose({"link": link})
        watch.start_again(launch, "restarting")
    assert opened == ["gradio", "cloudflared"], "one that is as it was stays open"
    rows = {row.name: row for row in launch.status.now.steps}
    assert (rows["link"].problem, rows["webui"].state) == ("cloudflared gave no link.", "done")


def test_a_folder_that_was_renamed_is_said_as_what_it_is(tmp_path: Path) -> None:
    launch = Launch({}, replace(look_at_machine(), base=tmp_path, mountpoint=None), Status("Ready"), nobody)
    for trouble, said in ((errno.ENOENT, True), (None, False)):
        launch.sync.trouble = trouble
        watch.say_how_drive_is(launch)
        assert any("it was renamed, moved or deleted" in one for one in launch.status.now.notices) == said


def test_why_drive_was_not_connected_is_said_with_what_to_do(tmp_path: Path) -> None:
    machine = replace(look_at_machine(), base=tmp_path, mountpoint=tmp_path / "drive")
    launch = Launch({}, machine, Status("Ready"), nobody)
    launch.prepare()
    watch.reconnect_drive(launch)
    launch._threads[watch.CONNECTING].join()
    assert any("Press ▶." in one for one in launch.status.now.notices)


def test_a_restart_lists_what_came_into_a_folder_of_models_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = replace(look_at_machine(), colab=True, base=tmp_path, mountpoint=tmp_path / "drive")
    machine.drive.mkdir(parents=True)
    launch = Launch({"drive_folder": "asd1111"}, machine, Status("Ready"), nobody)
    launch.prepare()
    launch.folder.prepare()
    models = launch.machine.drive / "AI"
    models.mkdir()
    (models / "old.safetensors").write_bytes(safetensors(100))
    join_models(launch.folder.kept, "AI")
    link_models(launch.folder, lambda text: None)
    (models / "new.safetensors").write_bytes(safetensors(100))
    monkeypatch.setattr(start, "start_web_ui", lambda launch, checkpoint: None)
    monkeypatch.setattr(Launch, "be_ready", lambda launch: None)
    watch.start_again(launch, "restarting")
    assert {path.name for path in launch.folder.checkpoints()} >= {"old.safetensors", "new.safetensors"}


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
