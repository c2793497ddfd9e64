"""What a person sees and presses, in real browsers: the notebook in JupyterLab and Notebook 7, from ▶ to the image and
on.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from launcher.access.pages import STYLE, status_page
from launcher.core.snapshot import Row
from tests.conftest import COLAB_PYTHON, CURRENT_PYTHON, ROOT, SERVER_PYTHON
from tests.world import MODEL_LINK, MODEL_REPO, World, safetensors
from tests.world.browser import chromium, images, log_in, paint
from tests.world.kernel import Kernel, cell_source
from tests.world.lab import Book, open_book, server, violations, wait
from tests.world.page import NOTEBOOK
from tests.world.place import Place

# JupyterLab's side bars may leave the panel less room than any phone has: that is not looked at.
BESIDE = """() => [...document.querySelectorAll('.oneclick .field button')].every(button => {
    const one = button.getBoundingClientRect(), other = button.previousElementSibling.getBoundingClientRect();
    return button.closest('.oneclick').clientWidth < 280 || (one.top < other.bottom && other.top < one.bottom); })"""
# In one question: a bar that goes away between "is it there?" and "how far is it?" would be waited for.
VALUES = "bars => bars.slice(0, 1).map(bar => Number(bar.getAttribute('aria-valuenow')))"
AXE = ROOT / ".cache" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "tests" / "shots"
STACKS = [
    pytest.param("lab", CURRENT_PYTHON, CURRENT_PYTHON, id="JupyterLab, current stack"),
    pytest.param("lab", SERVER_PYTHON, COLAB_PYTHON, id="JupyterLab, Colab's pins"),
    pytest.param("notebook", CURRENT_PYTHON, CURRENT_PYTHON, id="Notebook 7"),
]


@pytest.fixture
def place(world: World, tmp_path: Path) -> Iterator[Place]:
    with Place(world, tmp_path) as made:
        made.machine.mkdir(parents=True)
        shutil.copy(NOTEBOOK, made.machine / "book.ipynb")
        yield made


@pytest.mark.parametrize(("app", "python", "kernel"), STACKS)
def test_a_person_gets_from_the_open_notebook_to_an_image_and_back(
    place: Place, app: str, python: Path, kernel: Path
) -> None:
    world = place.world
    world.hub.add(MODEL_REPO, "paint.safetensors", safetensors(6_000_000))
    world.hub.add(MODEL_REPO, "more.safetensors", safetensors(60_000, 2))
    world.hub.rate = 600_000
    with server(app, python, kernel, place.machine, place.environment) as url, open_book(url) as (book, browser):
        book.fill("launch", checkpoint=MODEL_LINK)
        book.run("launch")

        # the panel moves: the bar rises, the time left falls
        bars: list[float] = []
        left: list[int] = []
        bar = book.output("launch").locator('.bar[aria-label="Checkpoint"]')

        def watch() -> bool:
            text = book.text("launch")
            bars.extend(bar.evaluate_all(VALUES))
            left.extend(
                int(found)
                for found in re.findall(r"MB/s · (\d+) s left|kB/s · (\d+) s left", text)
                for found in found
                if found
            )
            return "Open the web UI" in text

        wait(watch, 120, "the card", book.page)
        fetched = bars[: bars.index(max(bars)) + 1]  # afterwards the file is read once, with a bar of its own
        assert fetched == sorted(fetched)
        assert len(set(fetched)) > 3
        assert len(left) > 1, "the time left should be told"
        assert left[-1] < left[0], f"the time left did not fall: {left}"
        assert violations_in_all_looks(book) == []
        assert reached_by_tab(book, 6) == [*["Copy"] * 3, "Copy a report", "Restart the web UI", "Stop everything"]
        reached_by_tab(book, 1)
        book.page.keyboard.press("Enter")
        book.wait_for("launch", "Copied", 10)
        reached_by_tab(book, 0)
        with browser.expect_page() as opened:
            book.page.keyboard.press("Enter")
        opened.value.locator("#txt2img_prompt textarea").first.wait_for(timeout=60_000)
        opened.value.close()

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
        webui = place.pid("webui")
        book.run("launch")
        wait(
            lambda: (
                "This cell stopped" not in book.text("launch")
                and "Your image generator is ready" in book.text("launch")
            ),
            60,
            "▶ to take hold",
            book.page,
        )
        assert place.pid("webui") == webui
        book.interrupt()
        book.wait_for("launch", "This cell stopped", 30)
        book.run("stop")
        book.wait_for("stop", "the web UI and its link are off", 120)
    assert images(place.kept) == {image}
    place.wait_until_nothing_runs()


def reached_by_tab(book: Book, times: int) -> list[str]:
    """What stands on the links and buttons that Tab reaches one after the other, from **Open the web UI** on."""
    book.output("launch").locator("a.go").focus()
    reached = []
    for _ in range(times):
        book.page.keyboard.press("Tab")
        reached.append(str(book.page.evaluate("() => document.activeElement.innerText")).strip())
    return reached


def violations_in_all_looks(book: Book) -> list[str]:
    """What axe finds in the panel, from a phone's width to a wide screen's, in both themes."""
    found = []
    for width in (320, 768, 1600, 1300):
        book.page.set_viewport_size({"width": width, "height": 1000})
        for light in ("false", "true"):
            book.page.evaluate("light => { document.body.dataset.jpThemeLight = light; }", light)
            parts = (".oneclick.head", ".oneclick.steps", ".oneclick.told", ".oneclick.card", ".oneclick.foot")
            found += [f"{width}, light {light}: {one}" for one in violations(book.page, AXE, *parts)]
        if not book.page.evaluate(BESIDE):
            found.append(f"{width}: a button to copy is not beside what it copies")
    return found


def test_a_failed_step_is_red_with_what_to_do_and_the_others_keep_their_state(place: Place) -> None:
    place.world.hub.fail["paint.safetensors"] = (404, {"X-Error-Code": "EntryNotFound"}, b"")
    with (
        server("lab", CURRENT_PYTHON, CURRENT_PYTHON, place.machine, place.environment) as url,
        open_book(url) as (book, _),
    ):
        book.fill("launch", checkpoint=MODEL_LINK)
        book.run("launch")
        shown = book.wait_for("launch", "What to do:", 90)
        assert "It stopped and needs your help" in shown
        assert book.output("launch").locator("[role=alert]").count() == 1

        def states() -> list[str]:
            return list(book.output("launch").locator("li").evaluate_all("all => all.map(one => one.className)"))

        wait(lambda: "running" not in states(), 60, "the others to come to an end", book.page)
        assert states().count("failed") == 1
        assert states().count("done") >= 3
        assert violations(book.page, AXE, ".oneclick.head", ".oneclick.steps", ".oneclick.told") == []
        book.run("stop")
        book.wait_for("stop", "the web UI and its link are off", 120)


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
        page.set_content(f"<style>{STYLE}</style>{status_page({'steps': [asdict(row)]})}")
        lines = "one => new Set([...one.getClientRects()].map(box => box.top)).size"
        assert page.locator("small").first.evaluate(lines) == 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_on_the_login_page_and_the_waiting_page(
    place: Place, kernels: Callable[..., Kernel], dark: bool
) -> None:
    kernel = kernels(COLAB_PYTHON, {**place.environment, "ONECLICK_PANEL": "text"}, place.machine)
    cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
    kernel.wait((place.session / "door.json").exists, 60, "the door")
    url = f"http://127.0.0.1:{json.loads((place.session / 'door.json').read_text())['port']}"
    password = json.loads((place.session / "login.json").read_text())["password"]
    with chromium(
        viewport={"width": 400, "height": 800}, color_scheme="dark" if dark else "light", bypass_csp=True
    ) as browser:
        page = browser.new_page()
        page.goto(url)
        assert violations(page, AXE) == []
        page.screenshot(path=str(SHOTS / f"login-400-{'dark' if dark else 'light'}.png"))
        log_in(page, url, password)
        page.get_by_text("Python packages").wait_for(timeout=20_000)
        assert violations(page, AXE) == []
        page.screenshot(path=str(SHOTS / f"waiting-400-{'dark' if dark else 'light'}.png"))
    with chromium(java_script_enabled=not dark) as browser:  # under the page's own policy, and once without JavaScript
        page = browser.new_page()
        log_in(page, url, password)
        page.get_by_text("Python packages").wait_for(timeout=20_000)
        page.locator("#txt2img_prompt textarea" if not dark else "gradio-app").first.wait_for(
            timeout=90_000, state="attached"
        )  # it changes by itself
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.run(cell_source("stop"), 120)
