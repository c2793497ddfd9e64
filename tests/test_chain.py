"""What a launch waits for, what it does not, and what it looks at once the web UI is there."""

import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from launcher.colab.machine import look_at_machine
from launcher.core.fields import DEFAULT_CHECKPOINT
from launcher.core.settings import Settings
from launcher.core.status import Status
from launcher.launch.launch import Launch
from launcher.models.taken_over import STRETCH, read_ahead
from tests.world import safetensors
from tests.world.wait import wait


def nothing_to_wait_for() -> "Future[None]":
    done: Future[None] = Future()
    done.set_result(None)
    return done


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """A launch that is not begun, on a machine whose Drive is a folder with one checkpoint."""
    (tmp_path / "drive").mkdir()
    monkeypatch.setenv("ONECLICK_HOME", str(tmp_path))
    settings = Settings.from_form({}, (DEFAULT_CHECKPOINT,))
    made = Launch(settings, look_at_machine(), Status("A test"), lambda kind, **about: {}, lambda: True)
    made.prepare()
    made.folder.prepare()
    (made.folder.models / "Stable-diffusion" / "mine.safetensors").write_bytes(safetensors(5 * STRETCH))
    return made


def test_the_web_ui_does_not_wait_until_the_checkpoint_is_read_from_drive(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive_answers, was_read = threading.Event(), threading.Event()

    def slow(path: Path, over: object) -> None:
        drive_answers.wait(60)
        was_read.set()

    monkeypatch.setattr("launcher.launch.launch.read_ahead", slow)
    assert launch._model(nothing_to_wait_for()) == "mine.safetensors"
    assert not was_read.is_set()
    drive_answers.set()
    wait(was_read.is_set, 20, "the checkpoint to be read all the same")


def test_a_drive_that_fails_while_the_checkpoint_is_read_ahead_ends_nothing_and_is_said(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(path: Path, over: object) -> None:
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.setattr("launcher.launch.launch.read_ahead", gone)
    assert launch._model(nothing_to_wait_for()) == "mine.safetensors"
    wait(lambda: "reading the checkpoint ahead" in str(launch.status.now), 20, "it to be said")


def test_a_checkpoint_is_not_read_on_once_the_launch_is_over(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def over() -> bool:
        asked.append(1)
        return len(asked) > 3

    monkeypatch.setattr("launcher.models.taken_over.READERS", 1)
    read_ahead(launch.folder.models / "Stable-diffusion" / "mine.safetensors", over)
    assert len(asked) == 3 + 6, "three pieces, then one look for each of the six stretches"


def test_a_second_cudnn_in_the_web_ui_is_said_until_it_is_gone(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = ["/usr/lib/libcudnn.so.8", "/lib/libc.so.6"]
    monkeypatch.setattr("launcher.launch.start_web_ui.loaded_libraries", lambda pid: loaded)
    launch.starter._say_foreign_libraries()
    assert "has loaded /usr/lib/libcudnn.so.8" in str(launch.status.now)
    del loaded[0]
    launch.starter._say_foreign_libraries()
    assert "libcudnn" not in str(launch.status.now)
