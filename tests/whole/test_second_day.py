"""The second day is one press: the notebook in a real kernel, another machine, the same Drive."""

import json
import shutil
from collections.abc import Callable

from tests.conftest import COLAB_PYTHON
from tests.world import MODEL_LINK, safetensors
from tests.world.kernel import Kernel, cell_source
from tests.world.page import CONSENT
from tests.world.place import Place, wait_ready
from tests.world.wait import wait

Kernels = Callable[..., Kernel]
FOLDER = "stable-diffusion-webui"


def next_day(place: Place) -> None:
    """Colab takes the machine away. Only what is installed anew each time is left, for it takes half of a launch."""
    place.end_processes()
    place.unmount()
    place.world.manager.allowed = False
    for path in (place.machine / "oneclick").iterdir():
        if path.name not in ("python", "program"):
            shutil.rmtree(path)


def pressed(place: Place, kernels: Kernels, **fields: object) -> Kernel:
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", **fields))
    wait_ready(kernel)
    return kernel


def notes(place: Place, folder: str) -> dict[str, object]:
    return dict(json.loads((place.drive / folder / FOLDER / "oneclick.json").read_text()))


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
    next_day(place)
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
    next_day(place)
    second = pressed(place, kernels, **fields)
    assert len(second.page.asked_for(CONSENT)) == 1
    assert "My Drive/asd1111/stable-diffusion-webui" in second.html()
    second.interrupt()
    second.run(cell_source("stop"), 120)
