"""`make first-path`: the way of a first-time person, from the open notebook to an image and to the next day's first.

    python -m tests.programs.first_path --write docs/dev/first-path.md

A real JupyterLab, Chromium and kernel; hub, GitHub, gradio and Google Drive are stand-ins on this machine, as fast as
it is. What only Google has (Colab's page, its warning, Drive's windows) is named with its clicks and no seconds.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.conftest import COLAB_PYTHON, SERVER_PYTHON
from tests.models.test_identify import tensors
from tests.world import MODEL_LINK, MODEL_REPO, World, safetensors
from tests.world.browser import images, paint
from tests.world.lab import Book, open_book, server
from tests.world.page import NOTEBOOK
from tests.world.place import Place
from tests.world.wait import wait

LORA_LINK: Final = MODEL_LINK.replace("paint.", "style.")
LORA: Final[dict[str, tuple[int, ...]]] = {
    f"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.{part}": shape
    for part, shape in {"lora_down.weight": (4, 768), "lora_up.weight": (320, 4), "alpha": ()}.items()
}
MODEL_SIZE: Final = 20_000_000  # bytes, at 4 MB/s a connection
# The browser counts what is really pressed: a click on a label would be two events of the kind "click".
COUNT: Final = "addEventListener('pointerdown', event => event.isTrusted && window.onePress(), true)"


@dataclass
class Way:
    """The steps so far: what the person does and sees, clicks, seconds until they see it (None: not to be had here)."""

    steps: list[tuple[str, int, float | None]] = field(default_factory=list)
    presses: int = 0  # of the mouse, as the browser counts them
    load: float = 0.0  # programs that wanted a core, the minute's mean when the image was there

    def watch(self, book: Book, browser: Any) -> None:
        """Count from now on, in this page and in those that will be opened."""

        def one_press() -> None:
            self.presses += 1

        browser.expose_function("onePress", one_press)
        browser.add_init_script(COUNT)
        book.page.evaluate(COUNT)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        began, before = time.monotonic(), self.presses
        yield
        seconds, clicks = time.monotonic() - began, self.presses - before
        self.steps.append((what, clicks, seconds))
        print(f"{seconds:5.1f} s  {clicks_in_words(clicks)}: {what}", flush=True)

    def elsewhere(self, what: str, clicks: int) -> None:
        """Something that only Google has."""
        self.steps.append((what, clicks, None))

    def lines(self) -> list[str]:
        return [
            f"{number}. {what} *{clicks_in_words(clicks)}{'' if seconds is None else f', {seconds:.1f} s'}*"
            for number, (what, clicks, seconds) in enumerate(self.steps, 1)
        ]


def clicks_in_words(clicks: int) -> str:
    return {0: "no click", 1: "1 click"}.get(clicks, f"{clicks} clicks")


def start_and_paint(way: Way, place: Place, book: Book, browser: Any, prompt: str) -> Any:
    """From the open notebook to an image on Drive; the web UI's page."""
    with way.step("Press ▶ on the cell **Start**: the panel appears below it."):
        book.run("launch")
        book.wait_for("launch", "Google Drive", 60)
    way.elsewhere("On Colab it first warns that Google did not make this notebook: press **Run anyway**.", 1)
    way.elsewhere("Google asks about your Drive: **Connect to Google Drive**, your account, **Continue**.", 3)
    with way.step("Wait: the panel ticks its steps, and the login box appears."):
        book.wait_for("launch", "Open the web UI", 180)
    with way.step("Press **Open the web UI**: a new page opens, and you are logged in."):
        with browser.expect_page() as opened:
            book.follow("launch", "Open the web UI")
        box = opened.value.locator("#txt2img_prompt textarea").first
        box.wait_for(timeout=60_000)
    with way.step("Write what you want to see, and press **Generate**: the image is on Google Drive."):
        box.click()
        paint(opened.value, prompt, place.kept)
    way.load = os.getloadavg()[0]
    return opened.value


def add_a_lora(way: Way, page: Any) -> None:
    """From the web UI to a LoRA that it has, without the notebook."""
    launcher = page.frame_locator("#oneclick_frame")
    with way.step("Press the tab **Launcher** in the web UI."):
        page.locator("#tabs > .tab-nav > button").filter(has_text="Launcher").click()
        launcher.get_by_label("Add a model, ControlNet or an extension").wait_for()
    with way.step("Click into its box, and paste the address of the LoRA's page."):
        launcher.get_by_label("Add a model, ControlNet or an extension").click()
        launcher.get_by_label("Add a model, ControlNet or an extension").fill(LORA_LINK)
    with way.step("Press **Add**: it says when the LoRA is there."):
        launcher.get_by_role("button", name="Add", exact=True).click()
        wait(lambda: launcher.locator("#jobs li.done").count(), 60, "the LoRA", page)


def walk(root: Path) -> tuple[Way, Way, Way]:
    """The first day, the next one on another machine, and between them a hobbyist's way to a LoRA."""
    days, hobby = (Way(), Way()), Way()
    with World(root / "outside") as world, Place(world, root) as place:
        world.hub.add(MODEL_REPO, "paint.safetensors", safetensors(MODEL_SIZE))
        world.hub.add(MODEL_REPO, "style.safetensors", tensors(LORA))
        world.hub.rate = 4_000_000
        for day, way in enumerate(days):
            place.machine.mkdir(parents=True)
            shutil.copy(NOTEBOOK, place.machine / "book.ipynb")
            way.elsewhere(
                "Press **Open in Colab**: the notebook opens."
                if not day
                else "Open the notebook with the same button.",
                1,
            )
            with (
                server("lab", SERVER_PYTHON, COLAB_PYTHON, place.machine, place.environment) as url,
                open_book(url) as (book, browser),
            ):
                if not day:
                    book.fill("launch", checkpoint=MODEL_LINK)  # this world's own small model
                way.watch(book, browser)
                page = start_and_paint(way, place, book, browser, f"a lighthouse, day {day + 1}")
                if not day:
                    done = len(way.steps)
                    add_a_lora(way, page)
                    hobby.steps, way.steps[done:] = way.steps[done:], []
                page.close()
                with way.step("Press **Stop everything** under the panel: it says that everything is off."):
                    wait(lambda: "not saved yet" not in book.text("launch"), 60, "all to be saved", book.page)
                    book.stop_everything()
                    book.wait_for("launch", "Everything is off", 90)
            place.wait_until_nothing_runs()
            if not day:
                fetched = world.hub.sent("paint.safetensors")
                place.lose_machine()
        assert len(images(place.kept)) == 2
        assert world.hub.sent("paint.safetensors") == fetched, "the model was downloaded again on the second day"
    return *days, hobby


def document(first: Way, second: Way, hobby: Way) -> str:
    clicks = [sum(clicks for _, clicks, _ in way.steps) for way in (first, second, hobby)]
    return "\n".join(
        [
            "# The first image, step by step, with clicks and seconds",
            "",
            "Made by `make first-path`: a script drives a real JupyterLab in Chromium, which counts the clicks. The "
            "services outside are stand-ins on the same machine (no graphics card; a model of "
            f"{MODEL_SIZE / 1e6:.0f} MB at 4 MB/s a connection, 17 packages), so the seconds show what the launcher "
            "itself takes. On Colab the first day also downloads 1.1 GB of packages and 2.1 GB of model. Steps in "
            "Google's own windows have no seconds, and their clicks are counted by hand. This run had "
            f"{os.cpu_count()} cores, and {first.load:.0f} programs at once wanted one on the first day, "
            f"{second.load:.0f} on the next: with more programs than cores the seconds are too long. On "
            "the next day the launcher first compiles the packages' files that the web UI used: here all of them, for "
            "this machine's store of packages holds every file compiled; on Colab only those that it imported.",
            "",
            f"## The first day: {clicks[0]} clicks",
            *first.lines(),
            "",
            f"## The next day, on another machine: {clicks[1]} clicks, no model downloaded again",
            *second.lines(),
            "",
            f"## From the web UI to a LoRA: {clicks[2]} clicks in one tab, also on a phone",
            *hobby.lines(),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="first-path-", ignore_cleanup_errors=True) as root:
        text = document(*walk(Path(root)))
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
