"""The second day is one press: the notebook in a real kernel, another machine, the same Drive."""

import json
import os
from collections.abc import Callable

import pytest

from launcher.core.fields import DEFAULTS
from tests.conftest import COLAB_PYTHON
from tests.whole.stage import plain
from tests.world import MODEL_LINK, safetensors
from tests.world.kernel import Kernel, cell_source
from tests.world.page import CONSENT
from tests.world.place import Place, wait_ready
from tests.world.wait import wait

Kernels = Callable[..., Kernel]
FOLDER = "stable-diffusion-webui"


def pressed(place: Place, kernels: Kernels, **fields: object) -> Kernel:
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", **fields))
    wait_ready(kernel)
    return kernel


def notes(place: Place, folder: str) -> dict[str, object]:
    path = place.drive / folder / FOLDER / "oneclick.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def test_untouched_on_the_next_day_it_is_the_same_folder_and_choices_and_nothing_is_downloaded(
    place: Place, kernels: Kernels
) -> None:
    first = pressed(
        place, kernels, drive_folder="art", checkpoint=MODEL_LINK, link="none", api=True, give_back_after=90
    )
    chosen = {"link": "none", "api": True, "give_back_after": 90}
    wait(lambda: notes(place, "art").get("choices") == chosen, 30, "the choices on Drive")
    assert "paint.safetensors" not in json.dumps(notes(place, "art")["choices"])
    first.interrupt()
    first.run(cell_source("stop"), 120)
    first.shutdown()
    place.lose_machine()
    place.world.hub.log.clear()
    place.world.git.log.clear()
    second = pressed(place, kernels)
    assert "My Drive/art/stable-diffusion-webui" in second.html()
    assert len(second.page.asked_for(CONSENT)) == 1
    assert (place.world.hub.sent(), place.world.git.fetches()) == (0, [])
    assert not (place.drive / "asd1111").exists()
    arguments = json.loads((place.session / "webui.json").read_text())["arguments"]
    assert "--ckpt" not in arguments, "the web UI goes on with what it showed last"
    settings = json.loads((place.session / "launch.json").read_text())["settings"]
    assert {name: settings[name] for name in chosen} == chosen
    assert json.loads((place.session / "forward.json").read_text())["api"] is True
    second.press_button("Forget my choices")
    wait(lambda: notes(place, "art").get("choices") == {}, 30, "them to be forgotten")
    second.interrupt()
    second.run(cell_source("stop"), 120)


def test_an_untouched_form_takes_the_web_ui_of_another_launcher_with_its_models(place: Place, kernels: Kernels) -> None:
    models = place.drive / "sd" / FOLDER / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    (models / "mine.safetensors").write_bytes(safetensors(60_000))
    kernel = pressed(place, kernels, link="none")
    assert "My Drive/sd/stable-diffusion-webui" in kernel.html()
    assert place.world.hub.sent("paint.safetensors") == 0
    assert [path.name for path in models.iterdir() if path.suffix == ".safetensors"] == ["mine.safetensors"]
    assert not (place.drive / "asd1111").exists()
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)


def test_a_folder_with_models_only_may_be_named_and_is_named_again(place: Place, kernels: Kernels) -> None:
    models = place.drive / "AI" / "models"
    models.mkdir(parents=True)
    (models / "mine.safetensors").write_bytes(safetensors(60_000))
    fields = {"link": "none", "drive_folder": "/content/drive/MyDrive/AI/models"}
    first = pressed(place, kernels, **fields)
    webui = place.pid("webui")
    assert "My Drive/asd1111/stable-diffusion-webui" in first.html()
    assert place.world.hub.sent("paint.safetensors") == 0
    assert [path.name for path in models.iterdir()] == ["mine.safetensors"]
    pressed(place, kernels, **fields)
    assert place.pid("webui") == webui, "it is what runs"


def test_choices_of_another_day_that_cannot_be_any_more_are_left_out_and_said(place: Place, kernels: Kernels) -> None:
    models = place.drive / "art" / FOLDER / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    (models / "mine.safetensors").write_bytes(safetensors(60_000))
    gone = {"version": "a-branch-that-is-gone", "extra_arguments": "--thmee", "link": "none"}
    (models.parents[1] / "oneclick.json").write_text(json.dumps({"choices": gone, "used_at": 5.0}))
    kernel = pressed(place, kernels)
    told = plain(kernel.html())
    assert "AUTOMATIC1111 has no version called a-branch-that-is-gone. So version is not as you chose it" in told
    assert "has --thmee, which the web UI does not know. So extra_arguments is not as you chose it last time" in told
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)


def test_a_call_with_all_nine_fields_works_as_it_did(place: Place, kernels: Kernels) -> None:
    models = place.kept / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    (models / "mine.safetensors").write_bytes(safetensors(60_000))
    (place.drive / "art" / FOLDER / "models" / "Stable-diffusion").mkdir(parents=True)
    nine = DEFAULTS | {"checkpoint": "Stable Diffusion 1.5", "drive_folder": "asd1111", "link": "none"}
    kernel = pressed(place, kernels, **nine)
    assert "My Drive/asd1111/stable-diffusion-webui" in kernel.html()
    assert place.world.hub.sent("paint.safetensors") == 0
    wait(lambda: notes(place, "asd1111").get("choices") == {"link": "none"}, 30, "the choices on Drive")
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)


@pytest.mark.parametrize("person", [True, False])
def test_where_there_are_several_web_uis_a_button_says_which_and_without_a_person_it_is_the_newest(
    place: Place, kernels: Kernels, person: bool
) -> None:
    for when, name in enumerate(("old", "new"), start=1):
        models = place.drive / name / FOLDER / "models" / "Stable-diffusion"
        models.mkdir(parents=True)
        (models / f"{name}.safetensors").write_bytes(safetensors(60_000))
        os.utime(models.parents[1], (when * 1e9, when * 1e9))
    text = {} if person else {"ONECLICK_PANEL": "text"}
    kernel = kernels(COLAB_PYTHON, {**place.environment, **text}, place.machine)
    kernel.start(cell_source("launch"))
    if person:
        kernel.wait(lambda: "Whose models, images and settings shall be used?" in kernel.html(), 60, "the question")
        assert "Link and login" in kernel.html()
        assert not (place.session / "door.pid").exists(), "the link waits for the choices of that folder"
        kernel.wait(lambda: "old" in kernel.buttons(), 10, "the buttons")
        kernel.press_button("old")
        wait_ready(kernel)
        assert "Whose models" not in kernel.html()
    else:
        kernel.wait_for_text("Ready after", 120)
        assert "new, the newest, is used" in kernel.text
    used = "old" if person else "new"
    wait(lambda: notes(place, used).get("used_at"), 30, "the use to be noted")
    assert [path.name for path in place.drive.iterdir() if path.name not in ("old", "new")] == []
    assert place.world.hub.sent("paint.safetensors") == 0
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)


def test_nothing_on_drive_is_for_this_machine_only(place: Place, kernels: Kernels) -> None:
    fields = {"link": "none", "checkpoint": MODEL_LINK}
    first = pressed(place, kernels, **fields, keep_on_drive="nothing")
    first.interrupt()
    first.run(cell_source("stop"), 120)
    first.widgets.clear()
    first.start(cell_source("launch"))
    wait_ready(first)
    assert "Nothing is kept on Google Drive, as you chose" in first.html()
    assert not first.page.asked_for(CONSENT)
    first.interrupt()
    first.run(cell_source("stop"), 120)
    first.shutdown()
    place.lose_machine()
    second = pressed(place, kernels, **fields)
    assert len(second.page.asked_for(CONSENT)) == 1
    assert "My Drive/asd1111/stable-diffusion-webui" in second.html()
    second.interrupt()
    second.run(cell_source("stop"), 120)
