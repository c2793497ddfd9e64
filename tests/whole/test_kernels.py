"""A launch in kernels as people use them: names taken, pressed twice, two at once."""

import html
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.conftest import COLAB_PYTHON, CURRENT_PYTHON, ROOT
from tests.world import MODEL_LINK, MODEL_REPO, safetensors
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, wait_ready, web_ui_answers

STACKS = [pytest.param(COLAB_PYTHON, id="colab"), pytest.param(CURRENT_PYTHON, id="current")]
Kernels = Callable[..., Kernel]
TAKEN = "run = git = page = stop = launch = os = sys = Path = running = json = asyncio = 1"
OUTSIDE = ("service", "webui", "door", "tunnel")


# A cell like ours in a kernel that is as busy as one that draws a panel while much else runs.
BUSY = f"""
import asyncio, sys, time
sys.path.insert(0, {str(ROOT)!r})
from launcher.client.kernel import kernel_pump
try:
    pump = kernel_pump()
    for _ in range(20):
        time.sleep(0.5)
        await pump()
        print("LOOKED")
except asyncio.CancelledError:
    print("FIRST STOPPED")
"""
NEXT = """
try:
    await asyncio.sleep(0.5)
    print("NEXT DONE")
except asyncio.CancelledError:
    print("NEXT STOPPED")
"""
# A cell like ours with a field in its panel.
WRITES = f"""
import asyncio, sys, ipywidgets
sys.path.insert(0, {str(ROOT)!r})
from launcher.client.kernel import kernel_pump
field, pump = ipywidgets.Text(description="field"), kernel_pump()
while field.value != "abc":
    await pump()
    await asyncio.sleep(0.05)
"""


def pids(place: Place) -> dict[str, int]:
    return {name: place.pid(name) for name in OUTSIDE}


def done(kernel: Kernel, cell: str) -> None:
    """■, and the cell has ended."""
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    assert kernel.errors == []
    kernel.widgets.clear()


def address(kernel: Kernel, patience: float = 120) -> tuple[str, str]:
    """(link, password) of the login box."""
    return wait_ready(kernel, patience)[1:]


def test_two_kernels_share_one_launch_and_a_second_press_lets_go_of_nothing(place: Place, kernels: Kernels) -> None:
    source = cell_source("launch", checkpoint=MODEL_LINK)
    pair = [kernels(COLAB_PYTHON, place.environment, place.machine) for _ in range(2)]
    cells = [kernel.start(source) for kernel in pair]
    one, other = (address(kernel) for kernel in pair)
    assert one == other
    before, noted = pids(place), (place.session / "launch.json").stat().st_mtime_ns
    assert all(before.values())

    # ▶ in the first, whose panel is closed; the second's stays open
    done(pair[0], cells[0])
    pressed, cell = time.monotonic(), pair[0].start(source)
    assert address(pair[0]) == one
    print(f"▶ again to the login box: {time.monotonic() - pressed:.2f} s")
    assert pids(place) == before
    assert (place.session / "launch.json").stat().st_mtime_ns == noted, "no launch was begun anew"
    assert cells[1] not in pair[1].idle

    # a changed field in the second: what need not be started anew is not, and both show the same
    pair[1].interrupt()
    pair[1].wait_done(cells[1], 60)
    pair[1].widgets.clear()
    pair[1].start(cell_source("launch", checkpoint=MODEL_LINK, api=True))
    assert address(pair[1]) == one
    pair[1].wait(
        lambda: requests.get(f"{one[0]}/sdapi/v1/options", auth=("user", one[1]), timeout=60).ok, 30, "the API"
    )
    assert address(pair[0]) == one
    assert cell not in pair[0].idle

    # a new kernel for the first
    pair[0].kill()
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK, api=True))
    assert address(kernel) == one
    assert place.pid("service") == before["service"]

    # the Stop cell of one ends the cells of both
    done(kernel, cell)
    kernel.run(cell_source("stop"), 120)
    pair[1].wait(lambda: "Everything is off" in pair[1].html(), 60, "the other panel to say so")
    place.wait_until_nothing_runs()


@pytest.mark.parametrize("python", STACKS)
def test_stop_ends_the_cell_it_was_pressed_for_and_not_the_one_that_is_run_next(
    kernels: Kernels, tmp_path: Path, python: Path
) -> None:
    """■ and ▶ on another cell reach a busy kernel together. Perhaps the other is **Stop**: what was to end would go on,
    and nobody would be told.
    """
    kernel = kernels(python, {}, tmp_path)
    first = kernel.start(BUSY)
    kernel.wait_for_text("^LOOKED", 30)
    kernel.interrupt()
    kernel.run(NEXT, 30)
    kernel.wait_done(first, 30)
    told = [line for line in kernel.text.splitlines() if line != "LOOKED"]
    assert told == ["FIRST STOPPED", "NEXT DONE"]


@pytest.mark.parametrize("python", STACKS)
def test_what_is_typed_reaches_a_cell_that_runs_letter_by_letter(
    kernels: Kernels, tmp_path: Path, python: Path
) -> None:
    """A page sends the next change of a field only after the kernel has said that it is done with the last one."""
    kernel = kernels(python, {}, tmp_path)
    cell = kernel.start(WRITES)
    fields = kernel.wait(lambda: [one for one, has in list(kernel.widgets.items()) if "description" in has], 30, "it")
    for value in ("a", "ab", "abc"):
        content = {"comm_id": fields[0], "data": {"method": "update", "state": {"value": value}}}
        message = kernel.client.session.msg("comm_msg", content)
        kernel.client.shell_channel.send(message)
        kernel.wait(lambda sent=message: sent["header"]["msg_id"] in kernel.idle, 30, f"{value} to be taken")
    kernel.wait_done(cell, 30)
    assert kernel.errors == []


def test_with_common_names_taken_every_cell_and_button_works(place: Place, kernels: Kernels) -> None:
    world = place.world
    world.hub.add(MODEL_REPO, "more.safetensors", safetensors(60_000, 2))
    world.hub.add("webui/ControlNet-modules-safetensors", "control_canny-fp16.safetensors", safetensors(50_000))
    world.git.add("Mikubill/sd-webui-controlnet", {"scripts/controlnet.py": b"print('control')"})
    world.git.add("person/sd-nice", {"scripts/nice.py": b"one\n"})
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.run(TAKEN)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK, api=True))
    url, password = address(kernel)
    webui = place.pid("webui")
    kernel.press_button("Restart the web UI")
    kernel.wait(lambda: place.pid("webui") not in (0, webui), 60, "the restart")
    kernel.wait(lambda: web_ui_answers(url, password), 90, "it is back")
    address(kernel)  # its model is loaded, too: without Drive it could not be
    place.drop_drive()
    kernel.wait(lambda: "connected again" in kernel.html(), 60, "Drive to be asked for")
    kernel.press_button("Connect Google Drive")
    done(kernel, cell)

    link = MODEL_LINK.replace("paint.", "more.")
    for identity, fields, says in (
        ("add-model", {"what": link, "kind": "checkpoint"}, "more.safetensors: choose it in the web UI"),
        ("add-controlnet", {"controls": "control_canny-fp16"}, "control_canny-fp16.safetensors: choose it in"),
        ("add-extension", {"what": "https://github.com/person/sd-nice"}, ", added"),
        ("add-extension", {"action": "list"}, "sd-nice: version"),
    ):
        kernel.run(cell_source(identity, **fields), 120)
        assert says in html.unescape(kernel.html()), identity
        assert kernel.errors == []
        kernel.widgets.clear()
    models = requests.get(f"{url}/sdapi/v1/sd-models", auth=("user", password), timeout=60).json()
    assert "more.safetensors" in [model["title"] for model in models], "without a restart"

    kernel.start(cell_source("launch", checkpoint=MODEL_LINK, api=True))
    address(kernel)
    kernel.stop_everything()
    place.wait_until_nothing_runs(60)
    kernel.wait(lambda: "may use compute units until" in kernel.html(), 10, "what is still to be paid for")
    kernel.widgets.clear()
    kernel.run(cell_source("stop"), 60)
    assert "the web UI and its link are off" in kernel.html()
    assert "may use compute units until" in kernel.html()
    kernel.run(f"print('STILL', {', '.join(TAKEN.split(' = ')[:-1])})")
    kernel.wait_for_text(rf"^STILL( 1){{{TAKEN.count('=')}}}$", 10)
