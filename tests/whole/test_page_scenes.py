"""Everything is done from a phone while the notebook is closed: the page of a real launch in a real browser."""

import json
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from tests.conftest import COLAB_PYTHON, ROOT
from tests.world import MODEL_LINK, MODEL_REPO, safetensors
from tests.world.browser import chromium, log_in, paint
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, card, wait_ready
from tests.world.wait import wait, wait_visible

SHOTS = ROOT / "tests" / "shots"
ADD = "Add a model, ControlNet or an extension"
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def phone() -> Iterator[Any]:
    with chromium(**PHONE, accept_downloads=True) as context:
        yield context.new_page()


def launched_and_closed(place: Place, kernels: Callable[..., Kernel], **fields: object) -> tuple[str, str]:
    """A launch whose notebook was closed, and whose kernel died with it; the address and the password."""
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    kernel.start(cell_source("launch", checkpoint=MODEL_LINK, link="none", **fields))
    wait_ready(kernel)
    _, url, password = card(kernel)
    kernel.kill()
    return url, password


def made_image(place: Place, name: str) -> Path:
    path = place.data / "outputs" / "txt2img-images" / "2026-11-30" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (512, 512), (40, 90, 160)).save(path)
    return path


def test_a_person_with_a_phone_and_no_notebook_does_everything(
    place: Place, kernels: Callable[..., Kernel], phone: Any
) -> None:
    url, password = launched_and_closed(place, kernels, give_back_after=60)
    place.world.hub.add(MODEL_REPO, "more.safetensors", safetensors(60_000, 2))
    log_in(phone, f"{url}/oneclick/", password)
    wait_visible(phone.get_by_role("heading", name="Your image generator is ready"))

    # a model is added
    phone.get_by_label(ADD).fill(MODEL_LINK.replace("paint.", "more."))
    phone.get_by_role("button", name="Add", exact=True).tap()
    wait_visible(phone.get_by_text("more.safetensors: choose it in the web UI"), 60)
    assert (place.kept / "models" / "Stable-diffusion" / "more.safetensors").exists()

    # the images come as small pictures, and all of them in one file
    made_image(place, "00001.png")
    picture = phone.locator("#images img")
    wait(lambda: picture.count() == 1, 60, "the picture", phone)
    with phone.expect_download() as loading:
        phone.get_by_role("link", name="Download my images").tap()
    with zipfile.ZipFile(BytesIO(Path(loading.value.path()).read_bytes())) as archive:
        assert archive.namelist() == ["outputs/txt2img-images/2026-11-30/00001.png"]

    # the machine is kept longer, and given back later
    back = phone.locator("#back").inner_text()
    phone.get_by_role("button", name="Keep it 30 minutes longer").tap()
    wait(lambda: phone.locator("#back").inner_text() != back, 20, "a later time", phone)
    phone.get_by_text("Choices").tap()
    phone.get_by_label("give back after").fill("90")
    phone.get_by_role("button", name="Apply").tap()
    wait_visible(phone.get_by_text("Taken over: give_back_after."), 20)

    # a report, without a link or a password
    phone.get_by_text("A report for somebody who helps").tap()
    report = phone.locator("#report-text").inner_text()
    assert "One-click launcher" in report
    assert password not in report

    # a restart comes back by itself
    webui = place.pid("webui")
    phone.get_by_role("button", name="Restart the web UI").tap()
    wait(lambda: place.pid("webui") not in (0, webui), 60, "another web UI", phone)
    wait(lambda: phone.url == f"{url}/", 90, "the way back to the web UI", phone)

    # the end: the last image is saved, and the machine given back
    phone.goto(f"{url}/oneclick/")
    last = made_image(place, "00002.png")
    phone.on("dialog", lambda dialog: dialog.accept())
    phone.get_by_role("button", name="Stop and give the machine back").tap()
    wait(lambda: place.world.manager.asked == 1, 90, "the machine to be given back", phone)
    assert (place.kept / last.relative_to(place.data)).exists()
    place.wait_until_nothing_runs()


def test_the_page_may_not_do_what_the_notebook_may_whatever_it_sends(
    place: Place, kernels: Callable[..., Kernel]
) -> None:
    url, password = launched_and_closed(place, kernels)
    who = requests.Session()
    who.auth = ("user", password)
    who.headers["X-Oneclick"] = "1"
    api = f"{url}/oneclick/api"
    assert who.post(f"{api}/launch", json={"choices": {}}, timeout=60).status_code == 403
    assert who.post(f"{api}/answers/1", json={"value": {}}, timeout=60).status_code == 403
    assert who.get(f"{api}/link", timeout=60).status_code == 403
    for do in ("change_extensions", "add_controlnet"):
        assert who.post(f"{api}/add", json={"do": do, "fields": {}}, timeout=60).status_code == 403
    for name, value in (("extensions_tab", True), ("extra_arguments", "--theme dark"), ("drive_folder", "other")):
        assert who.post(f"{api}/choices", json={"choices": {name: value}}, timeout=60).status_code == 403
    told = who.get(f"{api}/status", timeout=60).text + who.get(f"{url}/oneclick/", timeout=60).text
    assert password not in told
    login = json.loads((place.session / "login.json").read_text())
    assert not any(secret in told for secret in login.values())


def test_both_faces_are_open_at_once_and_show_the_same(
    place: Place, kernels: Callable[..., Kernel], phone: Any
) -> None:
    kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK, link="none"))
    wait_ready(kernel)
    _, url, password = card(kernel)
    log_in(phone, f"{url}/oneclick/", password)
    phone.get_by_label(ADD).fill("https://huggingface.co/world/paint/blob/main/none.safetensors")
    phone.get_by_role("button", name="Add", exact=True).tap()
    wait_visible(phone.locator("#jobs .trouble"), 60)
    said = phone.locator("#jobs .trouble b").first.inner_text()
    kernel.wait(lambda: said in kernel.html(), 20, "the panel to say the same")
    webui = place.pid("webui")
    kernel.press_button("Restart the web UI")
    wait_visible(phone.get_by_role("heading", name="Restarting your image generator"), 20)
    wait(lambda: phone.url == f"{url}/", 90, "the page to lead back", phone)
    assert place.pid("webui") not in (0, webui)
    wait_ready(kernel)
    kernel.stop_everything()
    kernel.wait_done(cell, 60)


def test_an_open_page_is_no_use_of_the_machine(place: Place, kernels: Callable[..., Kernel], phone: Any) -> None:
    url, password = launched_and_closed(place, kernels, give_back_after=1)
    log_in(phone, f"{url}/oneclick/", password)
    wait_visible(phone.get_by_role("heading", name="Your image generator is ready"))
    place.say_used(ago=50)
    wait(lambda: place.world.manager.asked == 1, 60, "the machine to be given back", phone)
    place.wait_until_nothing_runs()


@pytest.mark.page
def test_with_eight_tabs_of_the_web_ui_open_an_image_is_made_and_the_page_answers(
    place: Place, kernels: Callable[..., Kernel]
) -> None:
    url, password = launched_and_closed(place, kernels)
    with chromium(viewport={"width": 1300, "height": 900}) as browser:
        pages = [browser.new_page() for _ in range(8)]  # a browser has six connections to a host
        log_in(pages[0], url, password)
        for page in pages[1:]:
            page.goto(url)
        for page in pages:  # in a browser all but one are hidden; here all of them are shown, and ask
            launcher = page.locator("#tabs > .tab-nav > button").filter(has_text="Launcher")
            wait_visible(launcher, 90)
            launcher.click()
            ready = page.frame_locator("#oneclick_frame").get_by_role("heading", name="Your image generator is ready")
            wait_visible(ready, 60)
        pages[0].locator("#tabs > .tab-nav > button").filter(has_text="txt2img").click()
        assert paint(pages[0], "a lighthouse", place.kept).exists()
        pages[7].on("dialog", lambda dialog: dialog.accept())
        pages[7].frame_locator("#oneclick_frame").get_by_role("button", name="Stop everything").click()
        place.wait_until_nothing_runs(60)


@pytest.mark.page
def test_the_tab_launcher_shows_the_page_while_it_is_shown_and_comes_back_after_a_restart(
    place: Place, kernels: Callable[..., Kernel]
) -> None:
    url, password = launched_and_closed(place, kernels)
    with chromium(viewport={"width": 1300, "height": 900}) as browser:
        page = browser.new_page()
        log_in(page, url, password)
        tabs, frame = page.locator("#tabs > .tab-nav > button"), page.frame_locator("#oneclick_frame")
        ready = frame.get_by_role("heading", name="Your image generator is ready")
        wait_visible(tabs.filter(has_text="Launcher"), 90)
        assert ready.count() == 0, "it is not loaded before it is shown"
        tabs.filter(has_text="Launcher").click()
        wait_visible(ready, 30)
        page.screenshot(path=str(SHOTS / "tab.png"))
        tabs.filter(has_text="txt2img").click()
        address = "one => one.contentWindow.location.href"
        element = page.locator("#oneclick_frame")
        wait(lambda: element.evaluate(address) == "about:blank", 20, "it to stop", page)
        tabs.filter(has_text="Launcher").click()
        with page.expect_navigation(timeout=120_000):  # of the outer page
            frame.get_by_role("button", name="Restart the web UI").click()
        wait_visible(page.locator("#txt2img_prompt textarea"), 60)
