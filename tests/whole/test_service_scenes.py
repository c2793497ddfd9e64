"""One service owns what runs: two notebooks, two folders, a restart at the wrong moment, a web UI that gave up."""

import html
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from launcher.core.session import Session, request
from launcher.notebook import build
from launcher.notebook.build import LAUNCH_FORM
from tests.conftest import COLAB_PYTHON
from tests.world import MODEL_LINK, MODEL_REPO, safetensors
from tests.world.browser import chromium, log_in
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, card, wait_problem, wait_ready, web_ui_answers
from tests.world.wait import wait, wait_visible

Kernels = Callable[..., Kernel]
KEEP, ANEW = "Keep what runs", "Stop it and start with these"
WITHOUT_TUNNEL = {"checkpoint": MODEL_LINK, "link": "none"}


def new_kernel(place: Place, kernels: Kernels, python: Path = COLAB_PYTHON) -> Kernel:
    return kernels(python, place.environment, place.machine)


def launched(place: Place, kernels: Kernels, **fields: object) -> tuple[Kernel, str]:
    kernel = new_kernel(place, kernels)
    cell = kernel.start(cell_source("launch", **WITHOUT_TUNNEL | fields))
    wait_ready(kernel)
    return kernel, cell


def paint(place: Place, folder: str, name: str) -> Path:
    """An image of the web UI that runs; returns where it is to be kept."""
    made = place.machine / "oneclick" / "data" / folder / "outputs" / name
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(b"\x89PNG" + name.encode() * 200)
    return place.drive / folder / "stable-diffusion-webui" / "outputs" / name


def way_in(kernel: Kernel) -> tuple[str, Any]:
    """The door's address, and what gets through it."""
    _, url, password = card(kernel)
    return url, requests.auth.HTTPBasicAuth("user", password)


def control_page(url: str, who: Any) -> str:
    found = requests.get(f"{url}/oneclick/", auth=who, headers={"Accept": "text/html"}, timeout=60).text
    return html.unescape(re.sub(r"<[^>]+>", " ", found))


def press_restart(url: str, who: Any) -> requests.Response:
    """What the page's button does."""
    return requests.post(f"{url}/oneclick/api/restart", json={}, auth=who, headers={"X-Oneclick": "1"}, timeout=60)


def noticed(place: Place, kernel: Kernel, pid: int) -> bool:
    """Was that web UI's end noticed?"""
    return place.pid("webui") != pid or 'class="trouble"' in kernel.html()


def give_up(place: Place, kernel: Kernel) -> None:
    """The web UI dies four times."""
    for _ in range(4):
        url, who = way_in(kernel)
        wait(partial(web_ui_answers, url, who.password), 60, "it to answer")
        pid = place.pid("webui")
        os.kill(pid, signal.SIGKILL)
        wait(partial(noticed, place, kernel, pid), 60, "what comes next")
    kernel.wait(lambda: 'class="trouble"' in kernel.html(), 60, "it to give up")


# ---- 1: what runs is what is kept


def test_an_untouched_form_in_a_second_notebook_shows_what_runs_and_its_images_go_on_being_kept(
    place: Place, kernels: Kernels
) -> None:
    first, _ = launched(place, kernels, drive_folder="art")
    wait(paint(place, "art", "1.png").exists, 30, "the first image on Drive")
    second = new_kernel(place, kernels)
    second.start(cell_source("launch"))  # its checkpoint cannot be had here
    second.wait(lambda: card(second)[0] or 'class="trouble"' in second.html(), 60, "what it shows")
    wait(paint(place, "art", "2.png").exists, 30, "the second image on Drive")
    assert card(second)[1:] == card(first)[1:]
    time.sleep(1.1)
    second.interrupt()
    second.run(cell_source("stop", give_back_the_machine=True), 120)
    assert place.world.manager.asked == 1
    assert "the machine was given back" in second.html()


@pytest.mark.parametrize(
    ("changed", "answer"), [({"drive_folder": "other"}, KEEP), ({"keep_on_drive": "images and settings"}, ANEW)]
)
def test_another_folder_or_another_share_of_it_is_a_question_while_a_web_ui_runs(
    place: Place, kernels: Kernels, changed: dict[str, str], answer: str
) -> None:
    _, _ = launched(place, kernels, drive_folder="art")
    webui = place.pid("webui")
    second = new_kernel(place, kernels)
    fields = WITHOUT_TUNNEL | {"drive_folder": "art"} | changed
    second.start(cell_source("launch", **fields))
    second.wait(lambda: answer in second.buttons(), 30, "the question")
    differs = [word for pair in changed.items() for word in pair]  # the panel is drawn part by part
    second.wait(lambda: all(word in html.unescape(second.html()) for word in differs), 30, "what differs")
    assert place.pid("webui") == webui
    wait(paint(place, "art", "asked.png").exists, 30, "an image made while the question is open")
    last = paint(place, "art", "last.png")
    second.press_button(answer)
    if answer == KEEP:
        wait_ready(second)
        assert place.pid("webui") == webui
    else:
        second.wait(lambda: place.pid("webui") not in (0, webui), 60, "another web UI")
        wait_ready(second)
        folder = changed.get("drive_folder", "art")
        wait(paint(place, folder, "new.png").exists, 30, "an image of the new one")
    wait(last.exists, 30, "the last image before the answer")


def test_another_folder_is_asked_about_while_it_starts_too(place: Place, kernels: Kernels) -> None:
    place.world.hub.gives = 1_500_000
    first = new_kernel(place, kernels)
    first.start(cell_source("launch", **WITHOUT_TUNNEL, drive_folder="art"))
    first.wait(lambda: "MB of" in first.html(), 60, "the download")
    second = new_kernel(place, kernels)
    second.start(cell_source("launch", **WITHOUT_TUNNEL, drive_folder="other"))
    second.wait(lambda: ANEW in second.buttons(), 30, "the question")
    place.world.hub.gives = inf
    second.press_button(ANEW)
    wait_ready(second)
    assert (place.drive / "other" / "stable-diffusion-webui" / "models").is_dir()
    wait(paint(place, "other", "1.png").exists, 30, "an image on Drive")


def test_a_service_killed_between_two_launches_is_followed_by_one_that_keeps_what_runs(
    place: Place, kernels: Kernels
) -> None:
    kernel, cell = launched(place, kernels, drive_folder="art")
    kernel.interrupt()
    kernel.wait_done(cell)
    webui = place.pid("webui")
    os.kill(place.pid("service"), signal.SIGKILL)
    unsaved = paint(place, "art", "alone.png")
    second = new_kernel(place, kernels)
    second.start(cell_source("launch", **WITHOUT_TUNNEL, drive_folder="other"))
    second.wait(lambda: KEEP in second.buttons(), 30, "the question")
    wait(unsaved.exists, 30, "the image that was made alone")
    second.press_button(KEEP)
    wait_ready(second)
    assert place.pid("webui") == webui
    wait(paint(place, "art", "on.png").exists, 30, "the next image")


def test_another_version_of_the_launcher_takes_over_and_what_runs_stays(
    place: Place, kernels: Kernels, tmp_path: Path
) -> None:
    files = build.package_files()
    files["launcher/__init__.py"] += "# another version\n"
    cell_text = build.code_text("launch", "launch", LAUNCH_FORM, files)
    other = tmp_path / "other.ipynb"
    other.write_text(json.dumps({"cells": [{"id": "launch", "source": cell_text}]}))
    kernel, cell = launched(place, kernels, drive_folder="art")
    kernel.interrupt()
    kernel.wait_done(cell)
    way, before = card(kernel)[1:], {name: place.pid(name) for name in ("webui", "service")}
    last = paint(place, "art", "last.png")
    second = new_kernel(place, kernels)
    second.start(cell_source("launch", other, **WITHOUT_TUNNEL, drive_folder="art"))
    wait_ready(second)
    assert card(second)[1:] == way
    assert place.pid("webui") == before["webui"]
    assert place.pid("service") not in (0, before["service"])
    for image in (last, paint(place, "art", "next.png")):
        wait(image.exists, 30, "the image to be kept")


def test_two_kernels_that_press_at_once_share_one_launch_or_ask(place: Place, kernels: Kernels) -> None:
    pair = [new_kernel(place, kernels) for _ in range(2)]
    for kernel, folder in zip(pair, ("art", "other"), strict=True):
        kernel.start(cell_source("launch", **WITHOUT_TUNNEL, drive_folder=folder))

    def asked() -> list[Kernel]:
        return [k for k in pair if KEEP in k.buttons()]

    wait(asked, 60, "one of them to be asked")
    (loser,) = asked()
    loser.press_button(KEEP)
    for kernel in pair:
        wait_ready(kernel)
    assert card(pair[0])[1:] == card(pair[1])[1:]
    kept = "art" if loser is pair[1] else "other"
    wait(paint(place, kept, "1.png").exists, 30, "an image of the one that runs")


# ---- 2, 3, 4: a restart is answered, and a state is what it is


def test_restart_on_the_page_stays_there_shows_the_steps_and_goes_back_by_itself(
    place: Place, kernels: Kernels
) -> None:
    kernel, _ = launched(place, kernels)
    _, url, password = card(kernel)
    webui = place.pid("webui")
    with chromium() as browser:
        page = browser.new_page()
        log_in(page, url, password)
        page.goto(f"{url}/oneclick/")
        for _ in range(5):  # a page that has just become longer moves a button away from under the pointer
            page.get_by_role("button", name="Restart the web UI").hover()
            page.mouse.down()
            if page.evaluate("document.querySelector('button:active') !== null"):
                break
            page.mouse.up()
        service = place.pid("service")
        os.kill(service, signal.SIGSTOP)
        page.wait_for_timeout(5000)  # after two seconds without an answer a page says so, and has no button
        os.kill(service, signal.SIGCONT)
        page.wait_for_timeout(1000)  # nor has it idled meanwhile, and ends
        steps = "document.body.innerText.includes('Python packages')"
        page.evaluate(f"void setInterval(() => {{ if ({steps}) sessionStorage.steps = location.pathname; }}, 50)")
        with page.expect_response("**/api/restart") as heard:
            page.mouse.up()
        assert heard.value.ok, heard.value.text()
        assert place.pid("service") == service
        wait(lambda: place.pid("webui") not in (0, webui), 60, "another web UI", page)
        wait_visible(page.locator("gradio-app"), 90, drawn=False)
        assert "/oneclick/" not in page.url
        assert page.evaluate("sessionStorage.steps") == "/oneclick/"


def test_another_link_chosen_on_the_panel_is_there_after_a_restart_with_the_same_password(
    place: Place, kernels: Kernels
) -> None:
    kernel, _ = launched(place, kernels, drive_folder="art")
    _, url, password = card(kernel)
    webui, last = place.pid("webui"), paint(place, "art", "last.png")
    asked = {"choices": {"link": "gradio"}}
    assert request(Session(place.session).notebook_socket, "POST", "/choices", asked)[1]["at_restart"] == ["link"]
    kernel.press_button("Restart the web UI")
    kernel.wait(lambda: card(kernel)[1] not in ("", url), 120, "another link")
    _, link, same_password = wait_ready(kernel)
    assert same_password == password
    assert web_ui_answers(link, password)
    assert place.pid("webui") != webui
    for image in (last, paint(place, "art", "next.png")):
        wait(image.exists, 30, "an image on Drive")


def test_restart_while_it_starts_is_refused_and_does_not_come_true_later(place: Place, kernels: Kernels) -> None:
    place.world.hub.gives = 1_500_000
    kernel = new_kernel(place, kernels)
    kernel.start(cell_source("launch", **WITHOUT_TUNNEL))
    kernel.wait(lambda: "MB of" in kernel.html() and (place.session / "door.json").exists(), 60, "the download")
    port = json.loads((place.session / "door.json").read_text())["port"]
    password = json.loads((place.session / "login.json").read_text())["password"]
    answer = press_restart(f"http://127.0.0.1:{port}", requests.auth.HTTPBasicAuth("user", password))
    place.world.hub.gives = inf
    wait_ready(kernel)
    webui = place.pid("webui")
    time.sleep(3)
    assert place.pid("webui") == webui, "it was started anew although it had just started"
    assert answer.status_code == 409
    assert answer.json()["state"] == "starting"


def test_after_giving_up_it_is_said_everywhere_either_face_starts_it_again_and_the_machine_can_be_given_back(
    place: Place, kernels: Kernels
) -> None:
    kernel, cell = launched(place, kernels)
    url, who = way_in(kernel)
    give_up(place, kernel)
    kernel.wait_done(cell)
    assert "Web UI: The runtime ran out of memory (RAM)" in wait_problem(kernel)
    told = control_page(url, who)
    assert "It is starting" not in told
    assert "ran out of memory" in told
    door = requests.get(url, auth=who, headers={"Accept": "text/html"}, timeout=60).text
    assert "It stopped and needs your help" in door
    assert press_restart(url, who).json()["answer"] == "started"
    wait(partial(web_ui_answers, url, who.password), 60, "the web UI to be back")
    webui = place.pid("webui")
    kernel.widgets.clear()
    kernel.start(cell_source("launch", **WITHOUT_TUNNEL))
    wait_ready(kernel)
    time.sleep(2)
    assert place.pid("webui") == webui, "the next launch was restarted by a wish of before"

    give_up(place, kernel)  # and now the panel's own button, whose cell has ended
    kernel.wait(lambda: "It stopped and needs your help" in kernel.html(), 10, "the panel to say so")
    kernel.press_button("Restart the web UI")
    wait(partial(web_ui_answers, url, who.password), 60, "the web UI to be back")

    kernel.widgets.clear()
    kernel.start(cell_source("launch", **WITHOUT_TUNNEL))
    wait_ready(kernel)
    give_up(place, kernel)
    last = paint(place, "asd1111", "last.png")
    kernel.run(cell_source("stop", give_back_the_machine=True), 120)
    assert last.exists()
    assert place.world.manager.asked == 1


def test_of_a_hundred_restarts_at_once_one_is_done_and_the_others_hear_that_it_restarts(
    place: Place, kernels: Kernels
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    kernel, _ = launched(place, kernels)
    url, who = way_in(kernel)
    webui = place.pid("webui")
    os.kill(webui, signal.SIGSTOP)  # it does not end at once: all come while it is restarted
    with ThreadPoolExecutor(100) as pool:
        answers = [a.json() for a in pool.map(lambda _: press_restart(url, who), range(100))]
    assert [a["answer"] for a in answers].count("done") == 1
    assert {a["state"] for a in answers} == {"restarting"}
    wait(lambda: place.pid("webui") not in (0, webui), 60, "another web UI")
    wait_ready(kernel)
    again = place.pid("webui")
    time.sleep(3)
    assert place.pid("webui") == again


# ---- 5, 6: cells


def run_one_by_one(place: Place, *cells: str) -> None:
    """As papermill and VS Code do it: each cell after the one before. Raises nbclient's `CellExecutionError`."""
    import nbformat  # its checks take two seconds to import
    from nbclient import NotebookClient

    place.machine.mkdir(parents=True, exist_ok=True)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    environment = dict(os.environ)
    os.environ.update(place.environment)
    try:
        NotebookClient(book, timeout=120, resources={"metadata": {"path": str(place.machine)}}).execute()
    finally:
        os.environ.clear()
        os.environ.update(environment)


def test_cells_that_come_one_after_the_other_end_with_the_first_that_failed(place: Place) -> None:
    """What nobody asked for is not fetched, and Stop is not run."""
    world = place.world
    world.hub.fail["paint.safetensors"] = (404, {"X-Error-Code": "EntryNotFound"}, b"")
    world.hub.add(MODEL_REPO, "more.safetensors", safetensors(60_000, 2))
    with pytest.raises(Exception, match="did not succeed"):
        run_one_by_one(
            place,
            cell_source("launch", **WITHOUT_TUNNEL, keep_on_drive="nothing"),
            "import time; time.sleep(1.5)",
            cell_source("add-model", what=MODEL_LINK.replace("paint.", "more."), kind="checkpoint"),
        )
    assert world.hub.sent("more.safetensors") == 0


def test_at_a_conflict_that_nobody_can_answer_what_runs_is_kept_and_the_cell_fails(
    place: Place, kernels: Kernels
) -> None:
    _, _ = launched(place, kernels, drive_folder="art")
    webui = place.pid("webui")
    with pytest.raises(Exception, match="drive_folder"):
        run_one_by_one(place, cell_source("launch", **WITHOUT_TUNNEL, drive_folder="other"))
    assert place.pid("webui") == webui
    wait(paint(place, "art", "1.png").exists, 30, "its images to be kept")


def test_a_launch_right_after_a_stop_has_the_environment_of_who_pressed_it(place: Place, kernels: Kernels) -> None:
    """The service lives on for some seconds after Stop, and whoever presses ▶ then meets the one of before."""
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1", "http_proxy": "http://127.0.0.1:9"}
    before = kernels(COLAB_PYTHON, place.environment | dead, place.machine)
    before.run(cell_source("launch", **WITHOUT_TUNNEL), 120)
    assert "HF_ENDPOINT" in wait_problem(before)
    before.run(cell_source("stop"), 120)
    service, over = place.pid("service"), threading.Event()

    def look() -> None:  # it stays as long as somebody looks, however long a kernel needs to start
        while not over.is_set():
            with suppress(OSError):
                request(Session(place.session).page_socket, "GET", "/status?after=999999")

    threading.Thread(target=look, daemon=True).start()
    launched(place, kernels)
    over.set()
    assert place.pid("service") == service, "this is about the one that lives on"
    environment = psutil.Process(place.pid("webui")).environ()
    assert environment.get("HF_ENDPOINT") == place.environment["HF_ENDPOINT"]
    assert not {"HF_HUB_OFFLINE", "http_proxy"} & environment.keys()
