""" "Ready" means that an image can be painted: what goes wrong in a running web UI is on the panel and on the page."""

import html
import re
from collections.abc import Callable
from typing import Any

import requests

from launcher.core.session import Session, request
from tests.conftest import COLAB_PYTHON
from tests.world import MODEL_LINK, MODEL_REPO, safetensors
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, card, wait_problem, wait_ready
from tests.world.wait import wait

Kernels = Callable[..., Kernel]
TWO_MODELS = safetensors(3_000_000, parts="of two models")
NO_MODEL = "The web UI runs, but its model did not load"


def pressed(place: Place, kernels: Kernels, **fields: object) -> Kernel:
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", **{"checkpoint": MODEL_LINK, "link": "none", "api": True} | fields))
    return kernel


def status(place: Place, *, page: bool = False) -> dict[str, Any]:
    """What the panel draws, or the page behind the door."""
    session = Session(place.session)
    return request(session.page_socket if page else session.notebook_socket, "GET", "/status")[1]


def on_page(kernel: Kernel) -> str:
    """What the page behind the door says."""
    _, url, password = card(kernel)
    found = requests.get(f"{url}/oneclick/", auth=("user", password), headers={"Accept": "text/html"}, timeout=60).text
    return html.unescape(re.sub(r"<[^>]+>", " ", found))


def painted(kernel: Kernel, **size: int) -> int:
    _, url, password = card(kernel)
    asked = {"prompt": "a lighthouse", **size}
    return requests.post(f"{url}/sdapi/v1/txt2img", json=asked, auth=("user", password), timeout=60).status_code


def test_a_model_that_does_not_load_is_said_on_both_faces_and_another_is_one_press_away(
    place: Place, kernels: Kernels
) -> None:
    place.world.hub.add(MODEL_REPO, "paint.safetensors", TWO_MODELS)
    other = place.kept / "models" / "Stable-diffusion" / "other.safetensors"
    other.parent.mkdir(parents=True)
    other.write_bytes(safetensors(100_000))
    kernel = pressed(place, kernels)
    said = wait_problem(kernel)
    assert "The parts of the model paint.safetensors do not fit together" in said
    assert NO_MODEL in kernel.html() and card(kernel)[0], "the way in is there all the same"
    assert NO_MODEL in on_page(kernel)
    now = status(place)
    assert (now["state"], now["can_paint"]) == ("ready", False)
    (option,) = [row["options"] for row in now["steps"] if row["name"] == "model"]
    assert option == [["Use other.safetensors", "other.safetensors"]]
    request(Session(place.session).notebook_socket, "POST", "/add", {"what": option[0][1]})
    wait_ready(kernel)
    assert status(place)["can_paint"]
    assert painted(kernel) == 200


def test_a_damaged_list_of_words_is_said_and_a_restart_has_it_downloaded_anew(place: Place, kernels: Kernels) -> None:
    place.world.hub.add("openai/clip-vit-large-patch14", "vocab.json", b'{"half": ')
    kernel = pressed(place, kernels)
    said = wait_problem(kernel)
    assert "The list of words that every model needs (vocab.json) is damaged" in said
    place.world.hub.add("openai/clip-vit-large-patch14", "vocab.json", b"{}")
    request(Session(place.session).notebook_socket, "POST", "/restart", {})
    wait_ready(kernel)


def test_an_image_too_large_for_the_card_is_a_notice_until_the_next_one(place: Place, kernels: Kernels) -> None:
    kernel = pressed(place, kernels)
    wait_ready(kernel)
    assert painted(kernel, width=4096, height=4096) == 500
    full = "The graphics card's memory (14.74 GiB) was not enough for the last image"
    kernel.wait(lambda: full in html.unescape(kernel.html()), 20, "the notice")
    assert full in str(status(place, page=True)["notices"])
    assert painted(kernel, width=512, height=512) == 200
    wait(lambda: full not in str(status(place)["notices"]), 20, "the notice to be gone")


def test_a_setting_that_switches_all_extensions_off_is_said_and_the_step_says_none(
    place: Place, kernels: Kernels
) -> None:
    (place.kept / "extensions" / "hello" / "scripts").mkdir(parents=True)
    (place.kept / "extensions" / "hello" / "scripts" / "x.py").write_text("print('hello')\n")
    (place.kept / "config.json").write_text('{"disable_all_extensions": "extra"}')
    kernel = pressed(place, kernels)
    wait_ready(kernel)
    now = status(place)
    assert next(row["note"] for row in now["steps"] if row["name"] == "extensions") == "none"
    assert any("None of your extensions is loaded: a setting" in text for text in now["notices"])
    assert "Extension hello loaded" not in (place.session / "webui.log").read_text()
