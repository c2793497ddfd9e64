"""What a launch waits for, and what it does not."""

import datetime
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from launcher.core.folder import Folder
from launcher.models.checksums import note_checksum
from tests.conftest import COLAB_PYTHON
from tests.world import World, safetensors
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, card, wait_ready
from tests.world.wait import wait


@pytest.fixture
def place(world: World, tmp_path: Path) -> Iterator[Place]:
    with Place(world, tmp_path) as made:
        yield made


def test_the_web_ui_does_not_wait_until_the_checkpoint_is_read_from_drive_nor_for_a_drive_that_fails_at_it(
    place: Place, kernels: Callable[..., Kernel], tmp_path: Path
) -> None:
    checkpoints = place.kept / "models" / "Stable-diffusion"
    checkpoints.mkdir(parents=True)
    (checkpoints / "mine.safetensors").write_bytes(safetensors(60_000_000))
    # The web UI knows its checksum, so that it does not read it itself.
    note_checksum(Folder(place.kept, tmp_path / "before"), checkpoints / "mine.safetensors", "a" * 64)
    place.manners(holds="mine.safetensors")
    kernel, held = kernels(COLAB_PYTHON, place.environment, place.machine), Path(f"{place.google}.json.held")
    message = kernel.start(cell_source("launch"))
    kernel.wait(lambda: card(kernel)[0] and "still being loaded" in kernel.html(), 120, "the way in, without the model")
    wait(held.exists, 20, "the checkpoint to be read all the same")
    assert "Calculating sha256" not in (place.session / "webui.log").read_text()
    place.manners()
    kernel.wait(lambda: "reading the checkpoint ahead" in kernel.html(), 30, "it to be said that Drive failed")
    wait_ready(kernel)
    assert not re.search('class="trouble"', kernel.html())
    kernel.interrupt()
    kernel.wait_done(message, 60)
    kernel.run(cell_source("stop"), 120)


def test_models_elsewhere_and_images_of_earlier_days_are_there_when_the_web_ui_is(
    place: Place, kernels: Callable[..., Kernel]
) -> None:
    images, today = place.kept / "outputs" / "txt2img-images", datetime.date.today().isoformat()
    for path in (images / "2026-01-02" / "00007-1.png", images / today / "00041-1.png"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"of another machine")
    (place.drive / "AI" / "models").mkdir(parents=True)
    (place.drive / "AI" / "models" / "mine.safetensors").write_bytes(safetensors(1000))
    (place.kept / "oneclick.json").write_text(json.dumps({"model_folders": ["AI/models"]}))
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    message = kernel.start(cell_source("launch", api=True))
    _, url, password = wait_ready(kernel)
    api, login = f"{url}/sdapi/v1", ("user", password)
    assert [one["title"] for one in requests.get(f"{api}/sd-models", auth=login, timeout=20).json()] == [
        "mine.safetensors"
    ]
    here = place.data / "outputs" / "txt2img-images"
    wait((here / today / "00041-1.png").exists, 20, "today's images")
    assert (here / "2026-01-02" / "00007-1.png").read_bytes() == b"of another machine"
    requests.post(f"{api}/txt2img", auth=login, json={"prompt": "a lighthouse"}, timeout=60).raise_for_status()
    wait(lambda: list((images / today).glob("00042-*.png")), 20, "the new image on Drive")
    kernel.interrupt()
    kernel.wait_done(message, 60)
    kernel.run(cell_source("stop"), 120)
    assert [path.name for path in place.kept.rglob("*.safetensors")] == []
    assert sorted(path.name for path in images.rglob("0*.png"))[:2] == ["00007-1.png", "00041-1.png"]


def test_models_alone_are_said_before_another_is_downloaded_and_used_when_they_are_named(
    place: Place, kernels: Callable[..., Kernel]
) -> None:
    (place.drive / "AI" / "models").mkdir(parents=True)
    (place.drive / "AI" / "models" / "mine.safetensors").write_bytes(safetensors(1000))
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    message = kernel.start(cell_source("launch", link="none"))
    kernel.wait(lambda: "There are models on your Drive in AI/models." in kernel.html(), 60, "the word")
    kernel.interrupt()
    kernel.wait_done(message, 60)
    kernel.run(cell_source("stop"), 120)
    message = kernel.start(cell_source("launch", drive_folder="AI/models", link="none"))
    wait_ready(kernel)
    assert "AI/models on your Drive has only models in it: they are used where they are" in kernel.html()
    assert "My Drive/asd1111/stable-diffusion-webui" in kernel.html()
    assert "/models/Stable-diffusion/mine.safetensors" in (place.session / "webui.log").read_text()
    kernel.interrupt()
    kernel.wait_done(message, 60)
    kernel.run(cell_source("stop"), 120)
    assert [path.name for path in place.drive.rglob("*.safetensors")] == ["mine.safetensors"]
    assert [path.name for path in (place.drive / "AI").rglob("*")] == ["models", "mine.safetensors"]


def test_a_web_ui_that_lies_directly_in_my_drive_gets_no_second_one_inside(
    place: Place, kernels: Callable[..., Kernel]
) -> None:
    theirs = place.drive / "StableDiffusion"
    for name, content in (("models/Stable-diffusion/own.safetensors", safetensors(1000)), ("webui.py", b"theirs")):
        (theirs / name).parent.mkdir(parents=True, exist_ok=True)
        (theirs / name).write_bytes(content)
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    message = kernel.start(cell_source("launch", api=True))
    _, url, password = wait_ready(kernel)
    answer = requests.post(f"{url}/sdapi/v1/txt2img", auth=("user", password), json={"prompt": "a"}, timeout=60)
    answer.raise_for_status()
    wait(lambda: list((theirs / "outputs").rglob("*.png")), 20, "the image on Drive")
    kernel.interrupt()
    kernel.wait_done(message, 60)
    kernel.run(cell_source("stop"), 120)
    assert sorted(path.name for path in place.drive.iterdir()) == ["StableDiffusion"]
    assert not (theirs / "stable-diffusion-webui").exists()
    assert (theirs / "webui.py").read_bytes() == b"theirs"
    assert [path.name for path in place.drive.rglob("*.safetensors")] == ["own.safetensors"]
