"""From ▶ to the picture, as the README's moving picture: what Chromium showed, and nothing else."""

import io
import time
from pathlib import Path
from typing import Any, Final

from PIL import Image

from launcher.python.lock import LOCKED_VERSION
from tests.conftest import CURRENT_PYTHON
from tests.world.as_on_colab import MODEL_LINK, as_on_colab
from tests.world.browser import images
from tests.world.lab import Book, open_book, server
from tests.world.wait import wait

WINDOW: Final = (860, 620)  # in a narrower one the cell Start and the whole picture have no room
PROMPT: Final = "misty mountains at sunrise, oil painting"
AT_WORK: Final = 8  # frames of the panel at work
PATIENCE: Final = 300.0  # seconds from ▶ to the link
QUALITY: Final = 82
# The badge comes from Google; here it is drawn, so that the picture has no broken one. The size is the real one's.
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
BADGE_DRAWN = """<svg xmlns="http://www.w3.org/2000/svg" width="117" height="20"><rect width="117" height="20" rx="3"
fill="#555"/><circle cx="13" cy="10" r="5" fill="none" stroke="#f9ab00" stroke-width="3"/><text x="26" y="14"
fill="#fff" font-family="DejaVu Sans" font-size="11">Open in Colab</text></svg>"""
SHOW_BADGE = (
    "() => document.querySelectorAll('img[alt=\"Open In Colab\"]').forEach(img => { img.src = img.src + '?'; })"
)
HIDE_FILES = "() => jupyterapp.commands.execute('application:toggle-left-area').then(() => null)"

Frames = list[tuple[bytes, int]]  # what was on the screen, and how many milliseconds it is shown


def take(root: Path, path: Path) -> None:
    """Film a first day below `root` into `path`."""
    width, height = WINDOW
    frames: Frames = []
    with (
        as_on_colab(root) as (place, names),
        server("lab", CURRENT_PYTHON, CURRENT_PYTHON, place.machine, place.environment) as url,
        open_book(url, width, height=height, names=names) as (book, browser),
    ):
        frames += film_panel(book)
        with browser.expect_page() as opened:
            book.follow("launch", "Open the web UI")
        frames += film_webui(opened.value)
        write(frames, path)
        wait(lambda: images(place.kept), 60, "the image on Drive", book.page)
        opened.value.close()
        book.interrupt()
        book.wait_for("launch", "This cell stopped", 30)
        book.run("stop")
        book.wait_for("stop", "the web UI and its link are off", 120)


def write(frames: Frames, path: Path) -> None:
    first, *others = [Image.open(io.BytesIO(shown)).convert("RGB") for shown, _ in frames]
    times = [milliseconds for _, milliseconds in frames]
    first.save(path, save_all=True, append_images=others, duration=times, loop=0, quality=QUALITY, method=6)


def film_panel(book: Book) -> Frames:
    """The notebook, the panel at work, and the login box."""
    page, panel = book.page, book.output("launch").first
    show_notebook(page)
    notebook = page.screenshot()
    press_start(book)
    book.wait_for("launch", "Google Drive", 60)
    at_work, began = list[bytes](), time.monotonic()
    while "Open the web UI" not in (shown := book.text("launch")):
        assert "What to do" not in shown and time.monotonic() - began < PATIENCE, shown
        panel.evaluate("panel => panel.scrollIntoView()")
        at_work.append(page.screenshot())
        page.wait_for_timeout(700)
    book.wait_for("launch", "Your image generator is ready", PATIENCE)
    wait(lambda: "not saved yet" not in book.text("launch"), PATIENCE, "all to be saved", page)
    panel.evaluate("panel => panel.scrollIntoView()")
    some = at_work[:: max(1, len(at_work) // AT_WORK)]
    return [(notebook, 2500), *((shown, 700) for shown in some), (page.screenshot(), 3000)]


def film_webui(page: Any) -> Frames:
    """The web UI, the words, and the picture."""
    box, frames = page.locator("#txt2img_prompt textarea").first, Frames()
    box.wait_for()
    page.wait_for_timeout(1500)
    frames.append((page.screenshot(), 1500))
    for end in (8, 25, len(PROMPT)):
        box.fill(PROMPT[:end])
        frames.append((page.screenshot(), 500))
    page.locator("#txt2img_generate").first.click()
    page.wait_for_timeout(1500)
    frames.append((page.screenshot(), 800))
    done = page.locator("#txt2img_result img:not(.livePreview)")
    wait(done.count, 60, "the image", page)
    page.mouse.move(5, 5)
    page.wait_for_timeout(1500)
    return [*frames, (page.screenshot(), 4000)]


def show_notebook(page: Any) -> None:
    """The badge, and no list of files."""
    page.route(f"{BADGE}*", lambda route: route.fulfill(body=BADGE_DRAWN, content_type="image/svg+xml"))
    page.evaluate(SHOW_BADGE)
    page.evaluate(HIDE_FILES)
    page.wait_for_timeout(1000)


def press_start(book: Book) -> None:
    """With the choices that make this world show what Colab shows by itself."""
    book.fill("launch", checkpoint=MODEL_LINK, version=LOCKED_VERSION)
    book.run("launch")
