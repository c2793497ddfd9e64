"""What is added while the web UI runs is listed there, and is gone once it is undone."""

from collections.abc import Callable
from typing import Any

import requests

from launcher.core.session import Session, request
from tests.conftest import COLAB_PYTHON
from tests.world import MODEL_LINK, safetensors
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, wait_ready
from tests.world.wait import wait

LINK = "https://huggingface.co/own/model/blob/main/second.safetensors"
EXTENSION = "https://github.com/person/sd-nice"


def test_what_the_page_adds_is_listed_and_gone_once_it_is_undone_but_never_while_it_is_loaded(
    place: Place, kernels: Callable[..., Kernel]
) -> None:
    place.world.hub.add("own/model", "second.safetensors", safetensors(50_000))
    place.world.git.add("person/sd-nice", {"scripts/nice.py": b"print('nice')"})
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", checkpoint=MODEL_LINK, drive_folder="asd1111"))
    wait_ready(kernel)
    session = Session(place.session)
    webui = f"http://127.0.0.1:{session.webui.port}/sdapi/v1"

    def ask(method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return request(session.page_socket, method, path, body, 60)

    def ended(number: int) -> dict[str, Any]:
        job: dict[str, Any] = {}

        def over() -> bool:
            job.update(request(session.page_socket, "GET", "/status")[1]["jobs"][str(number)])
            return bool(job["over"])

        wait(over, 60, "the end of the job")
        return job

    def listed() -> list[str]:
        return [model["title"] for model in requests.get(f"{webui}/sd-models", timeout=10).json()]

    number = ask("POST", "/add", {"what": f"{LINK}\n{EXTENSION}"})[1]["job"]
    job = ended(number)
    assert "choose it in the web UI" in job["steps"][0]["note"]
    assert "Add it in the notebook" in job["steps"][1]["remedy"]
    assert "second.safetensors" in listed()
    assert job["can_undo"]

    requests.post(f"{webui}/options", json={"sd_model_checkpoint": "second.safetensors"}, timeout=10)
    assert ask("DELETE", f"/jobs/{number}", {"undo": True})[0] == 202
    assert "second.safetensors is loaded in the web UI." in ended(number)["steps"][0]["problem"]
    assert "second.safetensors" in listed()

    requests.post(f"{webui}/options", json={"sd_model_checkpoint": "paint.safetensors"}, timeout=10)
    assert ask("DELETE", f"/jobs/{number}", {"undo": True})[0] == 202
    assert "taken away: second.safetensors" in ended(number)["steps"][0]["note"]
    assert "second.safetensors" not in listed()
    assert not list(place.kept.rglob("second*"))
    assert "paint.safetensors" in listed()
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)
    place.wait_until_nothing_runs()
