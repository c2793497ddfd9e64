"""The page `/oneclick/` in a real browser, as on a phone: live, keeping what a person does, asking the service."""

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from launcher.core.fields import DEFAULTS
from launcher.core.status import Row, Snapshot
from tests.access.test_door import OpenDoor, Upstream
from tests.conftest import ROOT
from tests.world.browser import chromium, log_in
from tests.world.lab import violations
from tests.world.wait import wait, wait_visible

AXE = ROOT / ".cache" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "tests" / "shots"
ASKS = re.compile(r"/oneclick/\?after=")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
STEPS = [asdict(Row("drive", "Google Drive", "done")), asdict(Row("webui", "Web UI", "done"))]
READY = {
    "title": "Your image generator is ready",
    "steps": STEPS,
    "buttons": ["restart", "stop", "give back"],
    "choices": DEFAULTS | {"give_back_after": 30},
    "given_back_at": 1e9,
}
JOB = Snapshot("Adding models", (Row("0", "dreamshaper", "running", done=1, total=2),))


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def door(tmp_path: Path, upstream: Upstream) -> Iterator[OpenDoor]:
    made = OpenDoor(tmp_path / "session", upstream)
    made.service.status |= READY
    yield made
    made.close()


@pytest.fixture(scope="module")
def phones() -> Iterator[Callable[..., Any]]:
    with chromium(**PHONE) as context:

        def new(**options: Any) -> Any:
            made = context.browser.new_context(**PHONE | options)
            made.set_default_timeout(60_000)
            return made.new_page()

        yield new


@pytest.fixture
def page(phones: Callable[..., Any], door: OpenDoor) -> Iterator[Any]:
    made = phones(bypass_csp=False)
    log_in(made, f"{door.url}/oneclick/", door.login.password)
    wait_visible(made.get_by_role("heading", name="Your image generator is ready"))
    assert made.url == f"{door.url}/oneclick/"
    yield made
    made.context.close()


def asked(door: OpenDoor) -> list[tuple[str, dict[str, Any]]]:
    return list(zip(door.service.asked, door.service.bodies, strict=True))


def jobs(**shown: Snapshot) -> dict[str, Any]:
    return {"jobs": {number.removeprefix("job"): job.public() for number, job in shown.items()}}


def test_each_button_asks_the_service_for_what_it_says(page: Any, door: OpenDoor) -> None:
    page.get_by_label("Add a model, ControlNet or an extension").fill("dreamshaper\ncontrolnet canny")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Keep it 30 minutes longer").click()
    page.get_by_text("Choices").click()
    page.get_by_label("give back after").fill("45")
    page.get_by_label("api").check()
    assert page.get_by_label("extensions tab").count() == 0, "it is chosen in the notebook"
    assert page.get_by_text("ControlNet and extensions: only from the panel").is_visible(), "the box would refuse them"
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("button", name="Stop and give the machine back").click()
    wait(lambda: len(door.service.asked) == 4, 20, "all to be asked", page)
    assert asked(door) == [
        ("POST /add", {"what": "dreamshaper\ncontrolnet canny"}),
        ("POST /extend", {"minutes": 30}),
        ("POST /choices", {"choices": {"api": True, "give_back_after": 45}}),
        ("POST /stop", {"give_back": True}),
    ]
    assert page.get_by_label("Add a model, ControlNet or an extension").input_value() == ""


def test_stop_asks_once_while_files_are_not_saved(page: Any, door: OpenDoor) -> None:
    door.service.change(unsaved=3)
    stop = page.get_by_role("button", name="Stop everything")
    wait(lambda: page.locator("[data-confirm^='3 files']").count() == 2, 10, "the page to know", page)
    said = list[str]()

    def refuse(dialog: Any) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", refuse)
    stop.click()
    page.once("dialog", lambda dialog: dialog.accept())
    stop.click()
    wait(lambda: door.service.asked, 10, "it to be asked", page)
    assert asked(door) == [("POST /stop", {})]
    assert said[0].startswith("3 files not saved yet")


def test_it_is_drawn_anew_by_itself_and_keeps_what_is_typed_what_is_open_and_the_focus(
    page: Any, door: OpenDoor
) -> None:
    box = page.get_by_label("Add a model, ControlNet or an extension")
    page.get_by_text("2 of 2 steps done", exact=True).click()
    wait_visible(page.locator("#steps").get_by_text("Google Drive"))
    page.get_by_text("Choices").click()
    page.get_by_label("give back after").fill("45")
    box.fill("half a na")
    door.service.change(title="Something else", kept="1 file not saved yet", **jobs(job1=JOB))
    wait_visible(page.get_by_role("heading", name="Something else"), 10)
    wait_visible(page.get_by_role("button", name="■ Stop this"))
    assert box.input_value() == "half a na"
    assert page.get_by_label("give back after").input_value() == "45"
    assert page.evaluate("document.activeElement.id") == "what"
    assert page.locator("#steps").get_by_text("Google Drive").is_visible()
    stop = page.get_by_role("button", name="■ Stop this")
    stop.focus()
    row = Row("0", "dreamshaper", "running", "from Civitai", done=2, total=2)
    door.service.change(**jobs(job1=Snapshot("Adding models", (row,))))
    wait_visible(page.get_by_text("from Civitai"), 10)
    assert page.evaluate("document.activeElement.innerText") == "■ Stop this", "the bar moves beside it"
    stop.click()
    wait(lambda: asked(door) == [("DELETE /jobs/1", {})], 10, "it to be asked", page)


def test_what_a_page_offers_and_what_can_be_undone_are_buttons(page: Any, door: OpenDoor) -> None:
    row = Row("0", "x", "failed", problem="It has 2 versions.", remedy="Choose one.", options=(("Version 8", "x@8"),))
    ended = Snapshot("Done", (Row("0", "y", "done"),), over=True, can_undo=True)
    door.service.change(**jobs(job1=Snapshot("It stopped", (row,), over=True), job2=ended))
    page.get_by_role("button", name="Version 8").click()
    page.get_by_role("button", name="Undo").click()
    wait(lambda: len(door.service.asked) == 2, 10, "both to be asked", page)
    assert asked(door) == [("POST /add", {"what": "x@8"}), ("DELETE /jobs/2", {"undo": True})]


def test_what_is_offered_in_place_of_a_model_that_does_not_load_is_a_button(page: Any, door: OpenDoor) -> None:
    row = Row("model", "Checkpoint", "failed", problem="x", remedy="y", options=(("Use b", "b.safetensors"),))
    door.service.change(steps=[asdict(row)], state="ready")
    page.get_by_role("button", name="Use b").click()
    wait(lambda: asked(door) == [("POST /add", {"what": "b.safetensors"})], 10, "it to be asked", page)


def test_a_refusal_is_said_and_what_was_typed_stays(page: Any, door: OpenDoor) -> None:
    why = {"what": "Only what lies on your **Drive** can be added from here.", "do": "Choose another."}
    door.service.refusals["POST /add"] = why
    page.get_by_label("Add a model, ControlNet or an extension").fill("/etc")
    page.get_by_role("button", name="Add", exact=True).click()
    wait_visible(page.get_by_text("Only what lies on your Drive can be added from here. Choose another."), 10)
    assert page.get_by_label("Add a model, ControlNet or an extension").input_value() == "/etc"


def test_the_usual_extensions_are_offered_where_the_notebook_allowed_extensions(page: Any, door: OpenDoor) -> None:
    assert page.get_by_role("button", name="The usual extensions").count() == 0
    door.service.change(choices=DEFAULTS | {"extensions_tab": True})
    page.get_by_role("button", name="The usual extensions").click()
    wait(lambda: asked(door) == [("POST /add", {"what": "the usual extensions"})], 10, "it to be asked", page)


def test_the_last_images_are_pictures_that_open(page: Any, door: OpenDoor, tmp_path: Path) -> None:
    images = tmp_path / "outputs"
    images.mkdir()
    for number in range(3):
        Image.new("RGB", (512, 512), (80 * number, 90, 160)).save(images / f"0000{number}.png")
    door.lead_to(images=[str(images)])
    door.service.change(kept="3 images")
    pictures = page.locator("#images img")
    wait(lambda: pictures.count() == 3, 10, "the pictures", page)
    page.locator("#images").scroll_into_view_if_needed()
    loaded = "all => all.every(one => one.complete && one.naturalWidth === 320)"
    wait(lambda: pictures.evaluate_all(loaded), 10, "them to be drawn", page)
    with page.context.expect_page() as opened:
        pictures.first.click()
    wait(lambda: "/oneclick/images/" in opened.value.url, 10, "the image", page)


def test_restart_leaves_the_page_where_it_is_and_leads_back_when_it_is_ready(page: Any, door: OpenDoor) -> None:
    page.get_by_role("button", name="Restart the web UI").click()
    wait(lambda: asked(door) == [("POST /restart", {})], 10, "it to be asked", page)
    running = asdict(Row("webui", "Web UI", "running", "restarting, as you asked"))
    door.service.change(state="restarting", title="Restarting", buttons=[], steps=[running])
    wait_visible(page.get_by_text("restarting, as you asked"), 10)
    assert page.url.endswith("/oneclick/")
    door.service.change(**READY, state="ready")
    wait(lambda: page.url == f"{door.url}/", 10, "the web UI", page)


def test_in_a_frame_of_the_web_ui_a_restart_reloads_the_outer_page(page: Any, door: OpenDoor) -> None:
    page.goto(f"{door.url}/outer#x")
    page.evaluate("document.body.innerHTML = '<iframe src=\"/oneclick/\" width=390 height=700></iframe>'")
    frame = page.frame_locator("iframe")
    wait_visible(frame.get_by_role("heading", name="Your image generator is ready"))
    door.service.change(state="restarting", title="Restarting")
    wait_visible(frame.get_by_role("heading", name="Restarting"), 10)
    door.service.change(**READY, state="ready")
    wait(lambda: page.url == f"{door.url}/", 10, "the outer page", page)


def test_a_link_that_has_ended_is_said_as_what_it_is(page: Any, door: OpenDoor) -> None:
    door.service.change(state="stopping", title="Stopping", buttons=[])
    wait_visible(page.get_by_role("heading", name="Stopping"), 10)
    door.process.terminate()
    wait_visible(page.get_by_text("Everything is off, and so is this link."), 20)


def test_a_launcher_that_does_not_answer_for_a_while_is_said_until_it_does(page: Any, door: OpenDoor) -> None:
    page.route(ASKS, lambda route: route.fulfill(status=502, body="a tunnel's own page"))
    wait_visible(page.get_by_text("The launcher does not answer."), 20)
    assert page.get_by_role("heading", name="Your image generator is ready").is_visible()
    page.unroute(ASKS)
    wait(lambda: page.locator("#answer").inner_text() == "", 20, "it to be back", page)


def test_the_waiting_page_stays_while_the_share_server_has_lost_the_connection(
    phones: Callable[..., Any], door: OpenDoor, upstream: Upstream
) -> None:
    """It says 404 by itself then (huggingface/frp, pkg/util/vhost/http.go)."""
    door.lead_to(port=0)
    door.service.change(state="starting", title="Starting")
    page = phones()
    log_in(page, door.url, door.login.password)
    wait_visible(page.get_by_role("heading", name="Starting"))
    page.route(f"{door.url}/", lambda route: route.fulfill(status=404, body="No interface is running right now"))
    wait_visible(page.get_by_text("The launcher does not answer."), 20)
    page.unroute(f"{door.url}/")
    door.lead_to(port=upstream.port)
    wait(lambda: page.get_by_role("heading", name="Starting").count() == 0, 20, "the web UI", page)
    page.context.close()


def test_who_is_logged_in_no_more_comes_to_the_login(page: Any, door: OpenDoor) -> None:
    page.context.clear_cookies()
    door.service.change(title="A secret")
    wait_visible(page.get_by_label("Password"), 20)
    assert "A secret" not in page.content()


def test_axe_finds_nothing_at_320_pixels_in_both_themes_and_at_200_percent(
    phones: Callable[..., Any], door: OpenDoor, tmp_path: Path
) -> None:
    images = tmp_path / "outputs"
    images.mkdir()
    for number in range(12):
        Image.new("RGB", (512, 512), (20 * number, 90, 160)).save(images / f"0000{number}.png")
    door.lead_to(images=[str(images)])
    row = Row("0", "x", "failed", problem="It has 2 versions.", remedy="Choose one.", options=(("Version 8", "x@8"),))
    door.service.status |= jobs(job1=JOB, job2=Snapshot("It stopped", (row,), over=True))
    found = []
    made = phones(is_mobile=False, bypass_csp=True)
    log_in(made, f"{door.url}/oneclick/", door.login.password)
    wait_visible(made.get_by_text("■ Stop this"))
    made.get_by_text("Choices").click()
    for theme in ("light", "dark"):
        made.emulate_media(color_scheme=theme)
        for name, width in (("320", 320), ("200-percent", 195), ("390", 390), ("desktop", 1300)):
            made.set_viewport_size({"width": width, "height": 900})
            found += [f"{width} {theme}: {one}" for one in violations(made, AXE)]
            over = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            if made.evaluate(over):
                found.append(f"{width} {theme}: it is wider than the window")
            SHOTS.mkdir(exist_ok=True)
            made.screenshot(path=str(SHOTS / f"page-{name}-{theme}.png"), full_page=True)
    made.context.close()
    assert found == []


def test_the_keyboard_alone_reaches_and_presses_everything(page: Any, door: OpenDoor) -> None:
    reached = []
    page.get_by_role("link", name="Open the web UI").focus()
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.id").strip())
    assert reached == [
        "2 of 2 steps done", "what", "Add", "Download my images", "Restart the web UI", "Keep it 30 minutes longer",
        "Choices", "Stop everything", "Stop and give the machine back", "A report for somebody who helps",
    ]  # fmt: skip
    page.get_by_role("button", name="Restart the web UI").focus()
    page.keyboard.press("Enter")
    wait(lambda: asked(door) == [("POST /restart", {})], 10, "it to be asked", page)
