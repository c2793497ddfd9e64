"""What a person sees and presses, in real browsers: the notebook in JupyterLab and Notebook 7, from ▶ to the image and
on.
"""

import json
import re
import shutil
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest

from launcher.access.pages import status_page
from launcher.core.status import Row, Snapshot
from launcher.ui.render import STYLE
from tests.conftest import COLAB_PYTHON, CURRENT_PYTHON, ROOT, SERVER_PYTHON
from tests.world import MODEL_LINK, MODEL_REPO, safetensors
from tests.world.browser import chromium, images, log_in, paint
from tests.world.kernel import Kernel, cell_source
from tests.world.lab import Book, open_book, server, violations
from tests.world.page import NOTEBOOK
from tests.world.place import Place
from tests.world.wait import wait, wait_visible

# JupyterLab's side bars may leave the panel less room than any phone has: that is not looked at.
BESIDE = """() => [...document.querySelectorAll('.oneclick .field button')].every(button => {
    const one = button.getBoundingClientRect(), other = button.previousElementSibling.getBoundingClientRect();
    return button.closest('.oneclick').clientWidth < 280 || (one.top < other.bottom && other.top < one.bottom); })"""
# In one question: a bar that goes away between "is it there?" and "how far is it?" would be waited for.
VALUES = "bars => bars.slice(0, 1).map(bar => bar.value)"
AXE = ROOT / ".cache" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "tests" / "shots"
NEAREST_TO_COLAB = ("lab", SERVER_PYTHON, COLAB_PYTHON)
OTHERS = [
    pytest.param("lab", CURRENT_PYTHON, CURRENT_PYTHON, id="JupyterLab, current stack"),
    pytest.param("notebook", CURRENT_PYTHON, CURRENT_PYTHON, id="Notebook 7"),
]


@pytest.fixture
def place(place: Place) -> Place:
    """With the notebook on it."""
    place.machine.mkdir(parents=True, exist_ok=True)
    shutil.copy(NOTEBOOK, place.machine / "book.ipynb")
    return place


@pytest.mark.page
def test_a_person_gets_from_the_open_notebook_to_an_image_and_back(place: Place) -> None:
    app, python, kernel = NEAREST_TO_COLAB
    world = place.world
    world.hub.add(MODEL_REPO, "paint.safetensors", safetensors(6_000_000))
    world.hub.add(MODEL_REPO, "more.safetensors", safetensors(60_000, 2))
    world.hub.rate = 600_000
    with server(app, python, kernel, place.machine, place.environment) as url, open_book(url) as (book, browser):
        book.fill("launch", checkpoint=MODEL_LINK)
        book.run("launch")
        the_panel_moves(book)
        assert violations_in_all_looks(book, 320, 768, 1600, 1300) == []
        keys_alone_reach_the_web_ui(book, browser)

        # the card's link opens the web UI, logged in, and an image is made and kept
        with browser.expect_page() as opened:
            book.follow("launch", "Open the web UI")
        image = paint(opened.value, "a lighthouse", place.kept)
        assert image.exists()
        assert book.pressed == ["▶ launch", "Open the web UI"], "two clicks, and Google's own question between them"
        opened.value.close()

        # ■ lets go, a model is added, ▶ takes hold again, stop ends it
        book.interrupt()
        book.wait_for("launch", "This cell stopped; the web UI is still running", 30)
        book.fill("add-model", what=MODEL_LINK.replace("paint.", "more."), kind="checkpoint")
        book.run("add-model")
        book.wait_for("add-model", "more.safetensors: choose it in the web UI", 60)
        taken_up_and_stopped(book, place)
    assert images(place.kept) == {image}
    place.wait_until_nothing_runs()


@pytest.mark.parametrize(("app", "python", "kernel"), OTHERS)
def test_other_front_ends_draw_a_failure_and_the_panel_and_its_buttons_and_stops_work(
    place: Place, app: str, python: Path, kernel: Path
) -> None:
    with server(app, python, kernel, place.machine, place.environment) as url, open_book(url) as (book, browser):
        place.world.hub.fail["paint.safetensors"] = (404, {"X-Error-Code": "EntryNotFound"}, b"")
        book.fill("launch", checkpoint=MODEL_LINK)
        book.run("launch")
        a_failed_step_is_red_with_what_to_do_and_the_others_keep_their_state(book)
        assert "paint.safetensors is not in world/paint any more" in book.text("launch")
        place.world.hub.fail.clear()
        place.world.git.log.clear()
        book.run("launch")
        book.wait_for("launch", "Open the web UI")
        assert place.world.git.fetches() == [], "what the first brought is there"
        assert violations_in_all_looks(book, 320, 1300) == []
        keys_alone_reach_the_web_ui(book, browser)
        pressed_again_at_once_there_is_a_panel(book)
        book.interrupt()
        book.wait_for("launch", "This cell stopped; the web UI is still running", 30)
        taken_up_and_stopped(book, place)
    place.wait_until_nothing_runs()


def the_panel_moves(book: Book) -> None:
    """The bar rises and the time left falls, until the web UI can be opened."""
    bars: list[float] = []
    left: list[int] = []
    bar = book.output("launch").locator('.bar[aria-label="Checkpoint"]')

    def watch() -> bool:
        text = book.text("launch")
        bars.extend(bar.evaluate_all(VALUES))
        found = re.findall(r"MB/s · (\d+) s left|kB/s · (\d+) s left", text)
        left.extend(int(one) for pair in found for one in pair if one)
        return "Open the web UI" in text

    wait(watch, 120, "the card", book.page)
    fetched = bars[: bars.index(max(bars)) + 1]  # afterwards the file is read once, with a bar of its own
    assert fetched == sorted(fetched)
    assert len(set(fetched)) > 3
    assert len(left) > 1, "the time left should be told"
    assert left[-1] < left[0], f"the time left did not fall: {left}"


def keys_alone_reach_the_web_ui(book: Book, browser: Any) -> None:
    """Tab reaches what can be pressed, in order; Enter copies and opens."""
    reached = reached_by_tab(book, 13)
    steps = reached.pop(4)
    assert re.fullmatch(r"▸ \d of \d steps done", steps), "they are one line once it is ready"
    assert reached == [
        *["Copy"] * 3, "The same panel as a page, for your phone", "", "Add", "The usual extensions",
        "Restart the web UI", "▸ Choices", "Copy a report", "Stop everything", "Stop and give the machine back",
    ]  # fmt: skip
    reached_by_tab(book, 1)
    book.page.keyboard.press("Enter")
    book.wait_for("launch", "Copied", 10)
    reached_by_tab(book, 0)
    with browser.expect_page() as opened:
        book.page.keyboard.press("Enter")
    wait_visible(opened.value.locator("gradio-app"), drawn=False)
    opened.value.close()


def pressed_again_at_once_there_is_a_panel(book: Book) -> None:
    """While the cell runs, and right after ■ and ▶, when it has just begun. A page clears a cell that is run again."""
    assert "■" in book.text("launch")
    assert "other cells wait" in book.text("launch")
    for presses in (1, 2):
        for _ in range(presses):
            book.run("launch")
        book.page.wait_for_timeout(1000)
        book.wait_for("launch", "Open the web UI", 30)
        book.interrupt()
        book.wait_for("launch", "This cell stopped; the web UI is still running", 30)
    book.run("launch")
    book.wait_for("launch", "other cells wait", 30)


def taken_up_and_stopped(book: Book, place: Place) -> None:
    """▶ takes hold of what runs, and the cell Stop ends it."""
    webui = place.pid("webui")
    book.run("launch")

    def taken_up() -> bool:
        text = book.text("launch")
        return "This cell stopped" not in text and "Your image generator is ready" in text

    wait(taken_up, 60, "▶ to take hold", book.page)
    assert place.pid("webui") == webui
    book.interrupt()
    book.wait_for("launch", "This cell stopped", 30)
    book.run("stop")
    book.wait_for("stop", "the web UI and its link are off", 120)


def reached_by_tab(book: Book, times: int) -> list[str]:
    """What stands on the links and buttons that Tab reaches one after the other, from **Open the web UI** on."""
    book.output("launch").locator("a.go").focus()
    reached = []
    for _ in range(times):
        book.page.keyboard.press("Tab")
        reached.append(str(book.page.evaluate("() => document.activeElement.innerText")).strip())
    return reached


def violations_in_all_looks(book: Book, *widths: int) -> list[str]:
    """What axe finds in the panel, at each width, in both themes."""
    found = []
    for width in widths:
        book.page.set_viewport_size({"width": width, "height": 1000})
        for light in ("false", "true"):
            book.page.evaluate("light => { document.body.dataset.jpThemeLight = light; }", light)
            found += [f"{width}, light {light}: {one}" for one in violations(book.page, AXE, ".oneclick.frame")]
        if not book.page.evaluate(BESIDE):
            found.append(f"{width}: a button to copy is not beside what it copies")
    return found


def a_failed_step_is_red_with_what_to_do_and_the_others_keep_their_state(book: Book) -> None:
    book.wait_for("launch", "What to do:", 90)
    book.wait_for("launch", "It stopped and needs your help", 10)
    assert book.output("launch").locator("[role=alert]").count() == 1

    def states() -> list[str]:
        return list(book.output("launch").locator("li").evaluate_all("all => all.map(one => one.className)"))

    wait(lambda: "running" not in states(), 60, "the others to come to an end", book.page)
    assert states().count("failed") == 1
    assert states().count("done") >= 3
    assert violations(book.page, AXE, ".oneclick.head", ".oneclick.steps", ".oneclick.told") == []


def test_without_widgets_the_same_is_told_in_lines(place: Place, kernels: Callable[..., Kernel]) -> None:
    kernel = kernels(COLAB_PYTHON, {**place.environment, "ONECLICK_PANEL": "text"}, place.machine)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    kernel.wait_for_text("Ready after", 120)
    assert kernel.widgets == {}
    for line in ("✓ Checkpoint: paint.safetensors", "Link: http", "User: user", "Password: "):
        assert line in kernel.text
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.run(cell_source("stop"), 120)


def test_a_bold_word_in_a_sentence_of_the_waiting_page_stays_in_its_line() -> None:
    row = Row("model", "Checkpoint", "failed", problem="It is gone.", remedy="Write **kind** again.")
    with chromium(viewport={"width": 1600, "height": 800}, java_script_enabled=False) as browser:
        page = browser.new_page()
        page.set_content(f"<style>{STYLE}</style>{status_page(Snapshot('It stopped', (row,)))}")
        lines = """one => { const all = document.createRange(); all.selectNodeContents(one);
            return new Set([...all.getClientRects()].filter(box => box.width).map(box => box.top)).size; }"""
        assert page.locator(".trouble").evaluate(lines) == 2, "what happened, and what to do"


def test_what_a_box_to_tick_is_for_stands_beside_it() -> None:
    """ipywidgets 8 lets the box take all the room there is."""
    box = '<label class="widget-label-basic"><input type="checkbox"><span>api</span></label>'
    with chromium(viewport={"width": 800, "height": 400}) as browser:
        page = browser.new_page()
        page.set_content(f'<style>{STYLE}</style><div class="oneclick frame">{box}</div>')
        page.add_style_tag(content=".widget-label-basic input{flex-grow:1}")
        assert page.locator("input").bounding_box()["width"] < 40, "it is drawn in the middle of its room"


def test_axe_finds_nothing_serious_on_the_login_page_and_the_waiting_page(
    place: Place, kernels: Callable[..., Kernel]
) -> None:
    place.world.hub.gives = 100_000  # it starts until all have looked
    kernel = kernels(COLAB_PYTHON, {**place.environment, "ONECLICK_PANEL": "text"}, place.machine)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    kernel.wait((place.session / "door.json").exists, 60, "the door")
    url = f"http://127.0.0.1:{json.loads((place.session / 'door.json').read_text())['port']}"
    password = json.loads((place.session / "login.json").read_text())["password"]
    for theme in ("light", "dark"):
        with chromium(viewport={"width": 400, "height": 800}, color_scheme=theme, bypass_csp=True) as browser:
            page = browser.new_page()
            page.goto(url)
            assert violations(page, AXE) == []
            page.screenshot(path=str(SHOTS / f"login-400-{theme}.png"))
            log_in(page, url, password)
            wait_visible(page.get_by_text("Python packages"), 20)
            assert violations(page, AXE) == []
            page.screenshot(path=str(SHOTS / f"waiting-400-{theme}.png"))
    # under the page's own policy, with JavaScript and without, it changes by itself
    with chromium() as browser:
        pages = [one.new_page() for one in (browser, browser.browser.new_context(java_script_enabled=False))]
        for page in pages:
            log_in(page, url, password)
            wait_visible(page.get_by_text("Python packages"), 20)
        place.world.hub.gives = inf
        for page in pages:
            wait_visible(page.locator("gradio-app"), 90, drawn=False)
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.run(cell_source("stop"), 120)
