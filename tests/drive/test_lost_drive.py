"""Drive drops, Drive is full, an old folder is taken over. On a real FUSE mount."""

import errno
import json
import os
import re
import shutil
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import requests

from launcher.core.folder import Folder
from launcher.core.status import Status
from launcher.launch.steps import Steps
from launcher.launch.watch import while_drive_is_there
from tests.conftest import COLAB_PYTHON
from tests.models.old_files import SOUND
from tests.world import MODEL_LINK, MODEL_REPO, WEBUI, World, safetensors
from tests.world.githost import git
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, wait_problem, wait_ready
from tests.world.wait import wait

Kernels = Callable[..., Kernel]


def launched(place: Place, kernels: Kernels, **fields: object) -> tuple[Kernel, str]:
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    message = kernel.start(cell_source("launch", checkpoint=MODEL_LINK, **fields))
    wait_ready(kernel)
    return kernel, message


def stopped(kernel: Kernel, message: str) -> None:
    kernel.interrupt()
    kernel.wait_done(message, 60)
    kernel.run(cell_source("stop"), 120)


def png(number: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack("<I", number) + bytes([number % 251]) * (2000 + number)


def write_images(folder: Path, first: int, last: int) -> None:
    """Images as A1111 writes them, a few a second at most."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        (folder / f"{number:05}.png").write_bytes(png(number))
        time.sleep(0.02)


def test_the_web_ui_goes_on_while_drive_is_gone(place: Place, kernels: Kernels) -> None:
    kernel, message = launched(place, kernels, api=True)
    _, url, password = wait_ready(kernel)
    webui = place.pid("webui")
    kernel.interrupt()  # ■: nobody may ask Google now
    kernel.wait_done(message, 60)
    place.drop_drive()
    assert requests.post(f"{url}/sdapi/v1/txt2img", json={"prompt": "x"}, auth=("user", password), timeout=30).ok
    kernel.wait(
        lambda: (
            "1 file not saved yet" in json.dumps(list(kernel.widgets.values())) or not list(place.kept.rglob("*.png"))
        ),
        20,
        "the image to wait",
    )
    message = kernel.start(cell_source("launch", checkpoint=MODEL_LINK, api=True))
    kernel.wait(lambda: list((place.kept / "outputs").rglob("*.png")), 60, "the image to follow after ▶")
    assert place.pid("webui") == webui
    stopped(kernel, message)


@pytest.mark.parametrize(("code", "said"), [(errno.ENOTCONN, False), (errno.EINVAL, True), (errno.ENOSPC, True)])
def test_work_beside_waits_for_a_drive_that_is_away_and_says_any_other_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: bool
) -> None:
    monkeypatch.setattr("launcher.launch.watch.DRIVE_PAUSE", 0.01)
    tries, status, over = list[int](), Status(""), threading.Event()
    steps = Steps(status, tmp_path / "log", over)
    folder = Folder(tmp_path, tmp_path)
    launch = mock.Mock(status=status, steps=steps, over=over, folder=folder)

    def work() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(code, "no")

    while_drive_is_there(launch, "saving", work)
    assert len(tries) == (1 if said else 3)
    assert bool(status.now.notices) is said


def test_a_full_drive_is_said_with_numbers_and_what_can_go(place: Place, kernels: Kernels) -> None:
    kernel, message = launched(place, kernels)
    place.manners(free=1_000_000)
    (place.data / "outputs").mkdir(exist_ok=True)
    (place.data / "outputs" / "big.png").write_bytes(b"x" * 12_000_000)
    kernel.wait(
        lambda: "Google Drive is full: 0.01 GB of new files wait on this machine" in kernel.html(), 30, "the notice"
    )
    assert "models/Stable-diffusion/paint.safetensors" in kernel.html()
    place.manners()
    kernel.wait((place.kept / "outputs" / "big.png").exists, 30, "it to follow when there is room")
    stopped(kernel, message)


def test_stop_says_what_could_not_be_kept_and_goes_on_when_pressed_again(place: Place, kernels: Kernels) -> None:
    kernel, message = launched(place, kernels)
    kernel.interrupt()
    kernel.wait_done(message, 60)
    place.manners(free=0)
    (place.data / "outputs").mkdir(exist_ok=True)
    (place.data / "outputs" / "a.png").write_bytes(png(1))
    kernel.widgets.clear()
    kernel.run(cell_source("stop"), 120)
    assert "files could not be saved on Google Drive" in wait_problem(kernel)
    place.manners()
    kernel.run(cell_source("stop"), 120)
    assert (place.kept / "outputs" / "a.png").read_bytes() == png(1)


def test_what_is_deleted_and_renamed_in_the_web_ui_follows(place: Place, kernels: Kernels) -> None:
    kernel, message = launched(place, kernels)
    folder, kept = place.data / "outputs", place.kept / "outputs"
    write_images(folder, 0, 3)
    kernel.wait(lambda: kept.exists() and len(list(kept.glob("*.png"))) == 3, 20, "three images")
    (folder / "00000.png").unlink()
    (folder / "00001.png").rename(folder / "better.png")
    (kept / "00002.png").unlink()  # deleted on Drive from elsewhere
    kernel.wait(lambda: [p.name for p in kept.glob("*.png")] == ["better.png"], 20, "Drive to follow")
    assert (folder / "00002.png").exists(), "deletions on Drive never delete on the machine"
    stopped(kernel, message)


@pytest.mark.parametrize(
    "manners",
    [{"latency": 0.02, "rate": 80e6}, {"big_folder": 30}, {"appears_after": 5.0}],
    ids=["slow", "big folders fail", "files appear late"],
)
def test_a_launch_lives_with_drives_manners(place: Place, kernels: Kernels, manners: dict[str, float]) -> None:
    (place.kept / "models" / "Stable-diffusion").mkdir(parents=True)
    shutil.copy(
        place.world.hub.root / MODEL_REPO / "paint.safetensors",
        place.kept / "models" / "Stable-diffusion" / "paint.safetensors",
    )
    (place.kept / "outputs" / "txt2img-images").mkdir(parents=True)
    for number in range(50):
        (place.kept / "outputs" / "txt2img-images" / f"{number:05}.png").write_bytes(png(number))
    old = time.time() - 100
    for path in place.kept.rglob("*"):
        os.utime(path, (old, old))
    newest = max(path.stat().st_ctime for path in place.kept.rglob("*"))
    wait(lambda: time.time() - newest > manners.get("appears_after", 0.0), 10, "this Drive to show the old files")
    place.manners(**manners)
    kernel, message = launched(place, kernels)
    (place.data / "outputs" / "txt2img-images").mkdir(parents=True)
    (place.data / "outputs" / "txt2img-images" / "new.png").write_bytes(png(1))
    kernel.wait((place.kept / "outputs" / "txt2img-images" / "new.png").exists, 30, "the image")
    assert place.world.hub.sent("paint.safetensors") == 0
    stopped(kernel, message)


def test_a_folder_of_2023_is_taken_over_nothing_is_deleted_and_what_is_broken_is_named(
    world: World, place: Place, kernels: Kernels
) -> None:
    kept = place.kept
    kept.parent.mkdir(parents=True)
    git("clone", "-q", f"{world.git.url}{WEBUI}.git", str(kept))
    (kept / "launch.py").write_text("print('my own change')\n")
    models = kept / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    (models / "good.safetensors").write_bytes(safetensors(100_000))
    (models / "half.safetensors").write_bytes(safetensors(100_000)[:50_000])
    (models / "other.safetensors.crdownload").write_bytes(b"half")
    (kept / "model.ckpt").write_bytes(SOUND["SD 1.4 as published (Lightning, before torch 1.6)"][0])
    control = kept / "extensions" / "sd-webui-controlnet" / "models"
    control.mkdir(parents=True)
    (control / "control_canny.safetensors").write_bytes(b"<!doctype html><html>404</html>")
    (kept / "outputs").mkdir()
    (kept / "outputs" / "old.png").write_bytes(png(7))
    before = {p: p.read_bytes() for p in kept.rglob("*") if p.is_file() and ".git" not in p.parts}
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    message = kernel.start(cell_source("launch"))
    wait_ready(kernel)
    kernel.wait(lambda: "Damaged files in your folder" in kernel.html(), 30, "what is broken")
    told = kernel.html()
    assert re.search(r"models/Stable-diffusion/half.safetensors \([^)]+\)", told)
    assert "other.safetensors.crdownload (it is only partly downloaded)" in told
    assert "extensions/sd-webui-controlnet/models/control_canny.safetensors (it is a web page)" in told
    assert "good.safetensors (" not in told
    kernel.wait(
        lambda: "contains changes you made (launch.py). They are kept in kept-changes/" in kernel.html(),
        30,
        "the changes",
    )
    assert world.hub.sent("paint.safetensors") == 0, "a checkpoint was there"
    stopped(kernel, message)
    assert {p: p.read_bytes() for p in before} == before


def test_the_one_checkpoint_beside_a1111s_files_is_used(world: World, place: Place, kernels: Kernels) -> None:
    place.kept.mkdir(parents=True)
    (place.kept / "model.ckpt").write_bytes(SOUND["SD 1.4 as published (Lightning, before torch 1.6)"][0])
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    message = kernel.start(cell_source("launch"))
    wait_ready(kernel)
    assert (
        "model.ckpt" in json.loads((place.session / "webui.json").read_text())["arguments"][-1]
        or "--ckpt" in (place.session / "webui.log").read_text()
    )
    stopped(kernel, message)
