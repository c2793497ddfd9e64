""" "Ready" means that an image can be painted: what the log says stands on both faces."""

from dataclasses import replace
from pathlib import Path

import pytest
import requests

from launcher.colab.machine import look_at_machine
from launcher.core.status import DONE, FAILED, Row, State, Status
from launcher.launch import start
from launcher.launch.launch import Launch
from launcher.launch.start import show_models, use_model
from launcher.launch.watch import check_painting
from launcher.models.catalog import CHECKPOINT_NAMES
from launcher.webui.process import WebUI
from tests.webui.test_running import BEGINS, LOADED, NO_ROOM, PAINTED, READY, SHAPES, failing, image


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """A launch whose web UI has just said that it is ready."""
    machine = replace(look_at_machine(), base=tmp_path)
    made = Launch({}, machine, Status("Ready"), lambda kind: {})
    (tmp_path / "drive").mkdir()
    made.folder.prepare()
    made.prepare()
    says(made, BEGINS, READY)
    made.steps.of("model").done("merge.safetensors")
    made.status.show(state=State.READY)
    return made


def says(launch: Launch, *parts: str) -> None:
    with launch.webui.log.open("a") as log:
        log.write("".join(parts))


def row(launch: Launch) -> Row:
    return next(row for row in launch.status.now.steps if row.name == "model")


def model(launch: Launch, name: str) -> None:
    (launch.folder.models / "Stable-diffusion" / name).write_bytes(b"x")


def test_the_headline_and_the_flag_follow_the_log(launch: Launch) -> None:
    check_painting(launch)
    assert (launch.status.now.title, launch.status.now.can_paint) == ("The model is still being loaded", False)
    assert not launch.webui.says.needs_another, "what is added now does not take the place of the one that is loading"
    says(launch, LOADED)
    check_painting(launch)
    assert (launch.status.now.title, launch.status.now.can_paint) == ("Your image generator is ready", True)
    launch.status.show(state=State.RESTARTING)
    assert not launch.status.now.can_paint


def test_a_model_that_does_not_load_fails_its_step_and_others_are_offered(launch: Launch) -> None:
    for name in ("merge.safetensors", "other.safetensors"):
        model(launch, name)
    says(launch, failing(SHAPES))
    check_painting(launch)
    check_painting(launch)
    now = launch.status.now
    assert now.state == State.READY and not now.can_paint
    assert now.title == "The web UI runs, but its model did not load"
    assert launch.webui.says.needs_another
    assert row(launch).state == FAILED and "do not fit together" in row(launch).problem
    assert row(launch).options == (("Use other.safetensors", "other.safetensors"),)
    says(launch, f"Loading weights [a] from {launch.folder.models}/other.safetensors\n", LOADED)
    check_painting(launch)
    assert launch.status.now.can_paint
    assert (row(launch).state, row(launch).note) == (DONE, "other.safetensors")


def test_without_another_model_the_usual_one_is_offered(launch: Launch) -> None:
    says(launch, failing(SHAPES))
    check_painting(launch)
    assert row(launch).options == ((f"Download {CHECKPOINT_NAMES[0]}", CHECKPOINT_NAMES[0]),)


def test_a_full_card_is_a_notice_until_the_next_image(launch: Launch) -> None:
    says(launch, LOADED, image(NO_ROOM))
    check_painting(launch)
    assert launch.status.now.can_paint
    assert "was not enough for the last image" in launch.status.now.notices[0]
    says(launch, PAINTED)
    check_painting(launch)
    assert launch.status.now.notices == ()


@pytest.mark.parametrize(("answers", "starts_again"), [(True, False), (False, True)])
def test_a_model_that_is_used_instead_is_loaded_and_where_that_fails_the_web_ui_starts_again(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, answers: bool, starts_again: bool
) -> None:
    def choose_checkpoint(webui: WebUI, name: str) -> None:
        if not answers:
            raise requests.HTTPError("500")
        says(launch, LOADED)

    monkeypatch.setattr(WebUI, "choose_checkpoint", choose_checkpoint)
    says(launch, failing(SHAPES))
    use_model(launch, "other.safetensors")
    assert launch.restart_wanted.is_set() == starts_again
    assert launch.checkpoint == "other.safetensors"


def test_a_web_ui_that_is_painting_is_neither_started_again_nor_is_its_silence_a_fault(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*about: object) -> None:
        raise requests.ReadTimeout

    restored: list[bool] = []
    for name in ("choose_checkpoint", "refresh_checkpoints"):
        monkeypatch.setattr(WebUI, name, busy)
    monkeypatch.setattr(WebUI, "ready", True)
    monkeypatch.setattr(start, "sync_checksums", lambda folder: None)
    monkeypatch.setattr(launch.sync, "restore", lambda: restored.append(True))
    says(launch, READY, LOADED)
    show_models(launch)
    assert (launch.status.now.notices, restored) == ((), [True])
    use_model(launch, "other.safetensors")
    assert not launch.restart_wanted.is_set()
    assert "has not loaded other.safetensors yet" in launch.status.now.notices[0]
