"""The notebook file itself in real kernels, from ▶ to an image and back, in Colab's stand-in."""

import html
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from launcher.core.process import end_process
from launcher.models.ranges import CHUNK, CONNECTIONS
from tests.conftest import COLAB_PYTHON, CURRENT_PYTHON, ROOT
from tests.world import MODEL_LINK, MODEL_REPO, WEBUI, World, safetensors
from tests.world.browser import chromium, images, paint, press_link
from tests.world.kernel import Kernel, cell_source
from tests.world.page import CONSENT, Reply
from tests.world.place import Place, wait_problem, wait_ready, web_ui_answers
from tests.world.wait import lives

STACKS = [pytest.param(COLAB_PYTHON, id="colab"), pytest.param(CURRENT_PYTHON, id="current")]
Kernels = Callable[..., Kernel]


def test_the_kernels_are_what_they_are_called(kernels: Kernels, tmp_path: Path) -> None:
    told = {}
    for python in (COLAB_PYTHON, CURRENT_PYTHON):
        kernel = kernels(python, {}, tmp_path)
        kernel.run(
            "import sys, ipykernel, IPython, ipywidgets; print(sys.executable, ipykernel.__version__, "
            "IPython.__version__, ipywidgets.__version__)"
        )
        kernel.wait(lambda k=kernel: k.text, 10, "the versions")
        told[python] = kernel.text.split()
    assert told[COLAB_PYTHON] == [str(COLAB_PYTHON), "6.17.1", "7.34.0", "7.7.1"]
    assert told[CURRENT_PYTHON][0] == str(CURRENT_PYTHON)
    assert int(told[CURRENT_PYTHON][1].split(".")[0]) >= 7


@pytest.mark.parametrize("python", [pytest.param(COLAB_PYTHON, id="colab", marks=pytest.mark.page), STACKS[1]])
def test_from_one_click_to_an_image_and_what_may_happen_in_the_notebook_then(
    new_place: Place, kernels: Kernels, python: Path
) -> None:
    """On both stacks: they differ in widgets, in what ■ does, and in which cells run while another is busy."""
    place = new_place
    kernel = kernels(python, place.environment, place.machine)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    _, url, password = wait_ready(kernel)
    assert password not in url

    # the card's link opens logged in, and an image is made and kept
    assert requests.get(url, timeout=60).status_code == 401
    made = set()
    if python == COLAB_PYTHON:  # from the current stack's front ends it is opened in test_people.py
        with chromium() as browser:
            page = press_link(browser, kernel.html(), "Open the web UI")
            image = paint(page, "a lighthouse", place.kept)
        assert image.read_bytes().startswith(b"\x89PNG")
        made.add(image)

    # ■ lets go: everything stays
    webui, door = place.pid("webui"), place.pid("door")
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    assert kernel.errors == []
    assert "This cell stopped; the web UI is still running" in kernel.html()
    assert requests.get(f"{url}/robots.txt", timeout=60).ok

    # ▶ again takes hold: the same link and password
    kernel.widgets.clear()
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    assert wait_ready(kernel)[1:] == (url, password)
    assert place.pid("webui") == webui

    # the panel's button starts it anew behind the same link
    kernel.press_button("Restart the web UI")
    kernel.wait(lambda: place.pid("webui") not in (0, webui), 60, "the restart")
    kernel.wait(lambda: web_ui_answers(url, password), 90, "the web UI to be back")

    # it dies: it is started again, the reason is said, the link is the same
    webui = place.pid("webui")
    os.kill(webui, signal.SIGKILL)
    kernel.wait(lambda: "ran out of memory" in kernel.html(), 60, "the reason")
    kernel.wait(lambda: web_ui_answers(url, password), 90, "the web UI to be back")
    assert wait_ready(kernel)[1:] == (url, password)
    assert place.pid("door") == door

    # the stop cell ends it all; ipykernel 6 runs it while the first cell is busy, later ones after ■
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.run(cell_source("stop"), 120)
    assert "the web UI and its link are off" in kernel.html()
    place.wait_until_nothing_runs()
    assert images(place.kept) == made


def test_from_one_kernel_and_machine_to_the_next(place: Place, kernels: Kernels) -> None:
    world = place.world
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    _, url, password = wait_ready(kernel)
    webui = place.pid("webui")
    kernel.interrupt()
    kernel.wait_done(cell, 60)

    # ▶ with another checkpoint adds it, and nothing is started anew
    world.hub.add(MODEL_REPO, "other.safetensors", safetensors(50_000, 1))
    kernel.widgets.clear()
    kernel.start(cell_source("launch", checkpoint=MODEL_LINK.replace("paint.", "other."), api=True))
    assert wait_ready(kernel)[1:] == (url, password)
    assert place.pid("webui") == webui
    who = requests.auth.HTTPBasicAuth("user", password)
    models = [model["title"] for model in requests.get(f"{url}/sdapi/v1/sd-models", auth=who, timeout=60).json()]
    assert models == ["other.safetensors", "paint.safetensors"]
    assert (
        requests.get(f"{url}/sdapi/v1/options", auth=who, timeout=60).json()["sd_model_checkpoint"]
        == "other.safetensors"
    )

    # the kernel dies: a new one takes it all over
    kernel.kill()
    assert requests.get(f"{url}/internal/ping", auth=who, timeout=60).status_code == 200
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK.replace("paint.", "other."), api=True))
    assert wait_ready(kernel)[1:] == (url, password)
    assert place.pid("webui") == webui

    # other arguments need a restart, behind the same link
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.widgets.clear()
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK, api=True, extra_arguments="--no-hashing"))
    assert wait_ready(kernel)[1:] == (url, password)
    assert place.pid("webui") != webui
    assert "--no-hashing" in (place.session / "webui.log").read_text()
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.run(cell_source("stop"), 120)
    place.wait_until_nothing_runs()
    kernel.shutdown()

    # another day, another machine, the same Drive: nothing is fetched again
    place.lose_machine()
    world.hub.log.clear()
    world.git.log.clear()
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    new = wait_ready(kernel)
    assert new[2] != password, "each launch has a new password"
    assert world.hub.sent() <= 1, "the link is asked for its first byte, which says what is behind it"
    assert world.git.fetches() == []
    assert "Calculating sha256" not in (place.session / "webui.log").read_text(), (
        "the checksum was computed while it was fetched"
    )
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)
    place.wait_until_nothing_runs()


def content_of(path: Path) -> bytes:
    """What is in a file, unless it has just gone: files come and go while a launch looks after what is beside it."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_no_secret_is_left_anywhere(place: Place, kernels: Kernels) -> None:
    token = "hf_TheSecretToken123"
    place.world.hub.tokens[token], place.world.hub.gated[MODEL_REPO] = {"name": "me"}, {token}
    kernel = kernels(COLAB_PYTHON, {**place.environment, "ONECLICK_PANEL": "text"}, place.machine)
    kernel.page.secrets["HF_TOKEN"] = token
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    kernel.wait_for_text("Ready after", 120)
    password = re.findall(r"^Password: (.+)$", kernel.text, re.MULTILINE)[0]
    token_holders, password_holders = set(), set()
    for root in (place.machine, place.drive):
        for path in (p for p in root.rglob("*") if p.is_file() and not p.is_symlink()):
            content = content_of(path)
            token_holders |= {path} if token.encode() in content else set()
            password_holders |= {path.name} if password.encode() in content else set()
    assert token_holders == set()
    assert password_holders == {"login.json"}
    assert (place.session / "login.json").stat().st_mode & 0o077 == 0
    checked = 0
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        assert token not in line
        assert password not in line
        if str(place.machine) in line and process.pid != kernel.pid:
            with suppress(psutil.NoSuchProcess):  # it has just ended
                environment = " ".join(f"{k}={v}" for k, v in process.environ().items())
                assert token not in environment
                assert password not in environment
                checked += 1
    assert checked >= 3, "the door, the tunnel and the web UI should run"
    assert token not in kernel.text
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.run(cell_source("stop"), 120)


def test_a_wrong_field_is_said_before_anything_begins(place: Place, kernels: Kernels) -> None:
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    for fields, says in (
        ({"checkpoint": "Stable Difusion"}, "The field checkpoint says 'Stable Difusion'"),
        ({"drive_folder": "../x"}, "The field drive_folder says '../x'"),
        ({"extra_arguments": "--share"}, "The choice extra_arguments has --share"),
    ):
        kernel.widgets.clear()
        kernel.errors.clear()
        kernel.run(cell_source("launch", **fields), 120)
        assert says in wait_problem(kernel)
        assert [error.partition(": The ")[0] for error in kernel.errors] == ["CellFailed: It did not succeed"]
        assert list(place.drive.iterdir()) == []


# The others are scenes.
MOUNT_FAILURES = (
    ({"reply": Reply(Exception("Error: User cancelled"))}, "closed without an answer"),
    ({"crashes": True}, "Google Drive could not be connected (ValueError: mount"),
)


def test_a_drive_that_cannot_be_mounted_is_explained(place: Place, kernels: Kernels) -> None:
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    for failure, says in MOUNT_FAILURES:
        conduct: dict[str, Any] = dict(failure)
        kernel.page.replies[CONSENT] = conduct.pop("reply", Reply({}))
        place.conduct(**conduct)
        kernel.widgets.clear()
        kernel.run(cell_source("launch", checkpoint=MODEL_LINK), 120)
        assert says in re.sub(r"\s+", " ", wait_problem(kernel))
    kernel.run(cell_source("stop"), 120)
    place.wait_until_nothing_runs()


def test_no_network_at_all_is_said_plainly(place: Place, kernels: Kernels) -> None:
    place.world.git.down = True
    kernel = kernels(COLAB_PYTHON, {**place.environment, "HF_ENDPOINT": "http://127.0.0.1:9"}, place.machine)
    kernel.run(cell_source("launch", checkpoint=MODEL_LINK), 120)
    assert "GitHub is not answering, and no version of AUTOMATIC1111 is kept on Drive yet" in wait_problem(kernel)
    kernel.run(cell_source("stop"), 120)


def test_a_new_version_that_does_not_start_is_left_for_the_last_good_one(place: Place, kernels: Kernels) -> None:
    """Whatever else of it fails, and when: tests/source/test_versions.py."""
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)

    def shown() -> str:
        kernel.widgets.clear()
        kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
        wait_ready(kernel)
        kernel.interrupt()
        kernel.run(cell_source("stop"), 120)
        return kernel.html()

    assert "is not used" not in shown()
    code = place.machine / "oneclick" / "stable-diffusion-webui"
    same = ("requirements_versions.txt", "modules/cmd_args.py", "modules/launch_utils.py")
    files = {path: (code / path).read_bytes() for path in same}
    broken = place.world.git.add(WEBUI, files | {"launch.py": b"raise SystemExit('broken by an update')"})
    assert f"AUTOMATIC1111 {broken[:8]} is not used, because it did not start" in shown()


def test_add_a_model_before_the_first_launch_brings_several_side_by_side(place: Place, kernels: Kernels) -> None:
    for file, key in (("style", "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"), ("odd", "what")):
        text = json.dumps({key: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
        content = len(text).to_bytes(8, "little") + text + b"1234"
        place.world.hub.add(MODEL_REPO, f"{file}.safetensors", content)
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    links = "\n".join(MODEL_LINK.replace("paint.", f"{name}.") for name in ("style", "odd", "gone"))
    kernel.run(cell_source("add-model", what=links), 120)
    told = html.unescape(kernel.html())
    assert kernel.errors == []
    assert "style.safetensors: it will be there at the next start" in told
    assert (place.kept / "models/Lora/style.safetensors").exists()
    assert "The launcher cannot tell what odd.safetensors is" in told
    assert "gone.safetensors is not in world/paint any more" in told


def test_stop_in_add_a_model_ends_its_download_and_two_cells_at_once_fetch_the_rest_once(
    place: Place, kernels: Kernels
) -> None:
    hub, link = place.world.hub, MODEL_LINK.replace("paint.", "big.")
    content = safetensors(20_000_000, 2)
    hub.add(MODEL_REPO, "big.safetensors", content)
    hub.gives = 4_000_000
    folder = place.kept / "models" / "Stable-diffusion"
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    cell = kernel.start(cell_source("add-model", what=link, kind="checkpoint"))
    kernel.wait(lambda: hub.sent("big.safetensors") > 3_000_000, 60, "a part of it")
    kernel.interrupt()
    kernel.wait_done(cell, 20)
    place.wait_until_nothing_runs()  # the keeper, too, which ends once its last work has
    assert [p.suffix for p in folder.iterdir()] == [".part"]
    hub.gives = inf
    other = kernels(COLAB_PYTHON, place.environment, place.machine)
    cells = [k.start(cell_source("add-model", what=link, kind="checkpoint")) for k in (kernel, other)]
    kernel.wait_done(cells[0], 60)
    other.wait_done(cells[1], 60)
    for each in (kernel, other):
        log = place.session / "launcher.log"
        assert "big.safetensors: it will be there at the next start" in each.html(), log.read_text()
    assert [p.name for p in folder.iterdir()] == ["big.safetensors"]
    assert (folder / "big.safetensors").read_bytes() == content
    # What a kill may cost: the chunk that each connection was at.
    assert hub.sent("big.safetensors") < len(content) + CONNECTIONS * CHUNK


def test_a_model_that_does_not_fit_on_drive_is_said_before_the_long_steps_with_what_could_go(
    new_place: Place, kernels: Kernels
) -> None:
    place = new_place
    place.manners(free=1_000_000)
    for name, size in (("Lora/a.safetensors", 3), ("VAE/b.safetensors", 2), ("Lora/c.pt", 1), ("Lora/d.pt", 0.5)):
        (place.kept / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        with (place.kept / "models" / name).open("wb") as file:
            file.truncate(int(size * 1e9))
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    told = wait_problem(kernel)
    assert "paint.safetensors needs 0.0 GB, but Google Drive has only 0.0 GB free." in told
    assert "The largest files there: Lora/a.safetensors (3.0 GB), VAE/b.safetensors (2.0 GB), Lora/c.pt (" in told
    assert place.world.hub.sent("paint.safetensors") < 100_000, "its header only"
    assert not (place.machine / "oneclick" / "python" / "complete.json").exists(), "said before the packages are there"


def test_gradio_down_leads_to_colabs_own_link_and_that_is_said(world: World, place: Place, kernels: Kernels) -> None:
    world.share.mode = "login_error"
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    _, url, password = wait_ready(kernel)
    assert "Colab's own link is used instead" in html.unescape(kernel.html())
    assert requests.get(f"{url}/internal/ping", auth=("user", password), timeout=60).status_code == 200
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)


def test_make_run_prints_the_way_in_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "tests.programs.run", "--python", str(COLAB_PYTHON), "--home", str(home)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seen, end = "", time.monotonic() + 170
    while "Ready after" not in seen and time.monotonic() < end:
        seen += process.stdout.readline()
    url, password = re.findall(r"^(?:Link|Password): (.+)$", seen, re.MULTILINE)
    assert requests.get(f"{url}/internal/ping", auth=("user", password), timeout=60).status_code == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    left = [
        p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if str(home) in " ".join(p.info["cmdline"] or [])
    ]
    assert left == []


def test_gradio_down_leads_to_cloudflared_where_that_answers(world: World, place: Place, kernels: Kernels) -> None:
    world.share.mode = "login_error"
    path = f"{ROOT / 'tests/world/bin'}{os.pathsep}{os.environ['PATH']}"
    kernel = kernels(COLAB_PYTHON, {**place.environment, "PATH": path}, place.machine)
    kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    _, url, password = wait_ready(kernel)
    told = html.unescape(kernel.html())
    assert (
        "gradio's share server gave no link: it refused the connection. Cloudflare's quick tunnel is used instead."
        in told
    )
    assert requests.get(f"{url}/internal/ping", auth=("user", password), timeout=60).status_code == 200
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)
    place.wait_until_nothing_runs()


def test_models_can_stay_off_drive_and_a_killed_tunnel_comes_back_with_the_same_link(
    place: Place, kernels: Kernels
) -> None:
    kernel = kernels(CURRENT_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", checkpoint=MODEL_LINK, keep_on_drive="images and settings"))
    _, url, password = wait_ready(kernel)
    assert "Paste the link of your checkpoint again next time" in kernel.html()
    assert list(place.kept.rglob("*.safetensors")) == []
    assert list((place.machine / "oneclick" / "models").rglob("*.safetensors"))
    frpc = json.loads((place.session / "tunnel.pid").read_text())["pid"]
    os.kill(frpc, signal.SIGKILL)

    kernel.wait(lambda: not lives(frpc) and web_ui_answers(url, password), 120, "the link to be back")
    assert wait_ready(kernel)[1:] == (url, password)
    kernel.interrupt()
    kernel.run(cell_source("stop"), 120)


def test_a_front_end_without_widgets_keeps_the_same_lines_as_text(place: Place) -> None:
    """nbclient shows no widgets: what it saves of the cell is its text, without the password.

    It is nobody whom Google could ask for permission either, so nothing is kept on Drive.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    place.machine.mkdir(parents=True, exist_ok=True)
    cell: dict[str, Any] = {"cell_type": "code", "id": "launch", "metadata": {}, "outputs": [], "execution_count": None}
    fields = {"keep_on_drive": "nothing", "extra_arguments": "--thmee"}
    cell["source"] = cell_source("launch", checkpoint=MODEL_LINK, **fields)
    book = nbformat.from_dict({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    environment = dict(os.environ)
    os.environ.update(place.environment)
    try:
        with pytest.raises(CellExecutionError, match="did not succeed"):
            NotebookClient(book, timeout=120, resources={"metadata": {"path": str(place.machine)}}).execute()
    finally:
        os.environ.clear()
        os.environ.update(environment)
    text = "\n".join(output.get("data", {}).get("text/plain", "") for output in book.cells[0].outputs)
    assert re.search(r"✓ Your folder: \S+/asd1111/stable-diffusion-webui", text)
    assert "The choice extra_arguments has --thmee" in text
    assert "What to do: Correct or remove it" in text
    assert not (place.session / "webui.log").exists(), "it is said before anything starts"
    for name in ("door", "tunnel", "webui"):
        end_process(place.session / f"{name}.pid")
