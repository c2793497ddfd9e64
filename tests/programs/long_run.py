"""One page used for hours through the public link: `python -m tests.programs.long_run --minutes 120`.

Chromium keeps one page of the stand-in web UI open behind gradio's real frpc, makes one image after another and has
the live preview meanwhile. Each minute the memory and the open files of the door and of the link's two processes are
written down. It fails if they grew, if an image did not come, or if the page met an error.
"""

import argparse
import csv
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

import psutil

from launcher.access.auth import Login
from launcher.access.link import Tunnel
from launcher.core.process import running_pid
from launcher.core.session import Session
from tests.conftest import COLAB_PYTHON, ROOT
from tests.programs.real import kernel_of
from tests.world import MODEL_LINK, World
from tests.world.browser import chromium, log_in
from tests.world.kernel import cell_source

STEPS: Final = 60  # of the stand-in's 0.3 s
IMAGE_PATIENCE: Final = 90.0  # seconds
FINISHED: Final = "#txt2img_result img:not(.livePreview)"
ANOTHER: Final = f"""(old) => {{
  const now = [...document.querySelectorAll("{FINISHED}")].map(i => i.src);
  return now.length && now.join() !== old.join();
}}"""
MOST_GROWTH: Final = 2.0  # MB or files, from the median of the second third to the median of the last
PARTS: Final = ("door", "frpc")


def processes(session: Session) -> dict[str, psutil.Process]:
    """The door, and the link's program."""
    files = {"door": session.proxy.pid_file, "frpc": session.tunnel.pid_file}
    return {name: psutil.Process(running_pid(file)) for name, file in files.items()}


class Page:
    """The one page: what it made, what it showed, what went wrong."""

    def __init__(self, tab: Any) -> None:
        self.tab, self.images, self.previews = tab, 0, 0
        self.errors: list[str] = []
        tab.on("response", self._heard)
        tab.on("requestfailed", lambda request: self._failed(request.url))
        tab.on("pageerror", lambda error: self.errors.append(str(error)))

    def _failed(self, url: str) -> None:
        if url.startswith(self.tab.url.rstrip("/")):  # addresses elsewhere are refused by this test's browser itself
            self.errors.append(f"failed: {url}")

    def _heard(self, response: Any) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.status} {response.url}")
        self.previews += response.url.endswith("/internal/progress")

    def use(self, until: float) -> None:
        """Make images until then. Playwright's clock is used, so that the page's events are heard."""
        self.tab.locator("#txt2img_steps input[type=number]").fill(str(STEPS))
        while time.monotonic() < until:
            self.tab.locator("#txt2img_prompt textarea").first.fill(f"a lighthouse, number {self.images}")
            before = self.tab.locator(FINISHED).evaluate_all("all => all.map(i => i.src)")
            self.tab.locator("#txt2img_generate").first.click()
            self.tab.wait_for_function(ANOTHER, arg=before, timeout=IMAGE_PATIENCE * 1000, polling=1000)
            self.images += 1
            self.tab.wait_for_timeout(1000)


def run(home: Path, minutes: float, table: Path) -> list[dict[str, float]]:
    """Use it for so long, and write a line a minute."""
    home.mkdir(parents=True, exist_ok=True)
    session, rows = Session(home / "machine" / "session"), []
    with World(home / "outside") as world, kernel_of(world, home, str(COLAB_PYTHON)) as kernel:
        kernel.start(cell_source("launch", checkpoint=MODEL_LINK, link="gradio"))
        kernel.wait_for_text("Ready after", 180)
        link, login = Tunnel(session.place).url, Login.of_this_launch(session.login)
        assert link, "the tunnel has a link"
        with chromium() as browser, table.open("w", newline="") as file:
            tab = browser.new_page()
            log_in(tab, link, login.password)
            tab.locator("#txt2img_prompt textarea").first.wait_for(timeout=60_000)
            page = Page(tab)
            used, began = processes(session), time.monotonic()
            names = ["minute", *(f"{part} {what}" for part in PARTS for what in ("MB", "files", "CPU s"))]
            out = csv.DictWriter(file, [*names, "images", "previews", "errors"])
            out.writeheader()
            for minute in range(int(minutes) + 1):
                page.use(began + minute * 60)
                row: dict[str, float] = {"minute": minute}
                for part, process in used.items():
                    row[f"{part} MB"] = round(process.memory_info().rss / 1e6, 1)
                    row[f"{part} files"] = process.num_fds()
                    row[f"{part} CPU s"] = round(sum(process.cpu_times()[:2]), 1)
                row |= {"images": page.images, "previews": page.previews, "errors": len(page.errors)}
                rows.append(row)
                out.writerow(row)
                file.flush()
            print("\n".join(page.errors[:20]))
    return rows


def faults(rows: list[dict[str, float]]) -> list[str]:
    """What grew, or went wrong."""
    third, found = max(1, len(rows) // 3), list[str]()
    for name in [f"{part} {what}" for part in PARTS for what in ("MB", "files")]:
        first, last = (
            statistics.median(row[name] for row in part) for part in (rows[third : 2 * third], rows[-third:])
        )
        print(
            f"{name}: {first:.1f} in the second third, {last:.1f} in the last, {max(r[name] for r in rows):.1f} at most"
        )
        if last > first + MOST_GROWTH:
            found.append(f"{name} grew")
    print(f"{rows[-1]['images']:.0f} images, {rows[-1]['previews']:.0f} previews, {rows[-1]['minute']:.0f} minutes")
    if rows[-1]["errors"]:
        found.append(f"the page met {rows[-1]['errors']:.0f} errors")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--home", type=Path, default=ROOT / "run" / "long-run")
    parser.add_argument("--table", type=Path, help="where the lines go; long-run.csv in the home folder otherwise")
    options = parser.parse_args()
    table = options.table or options.home / "long-run.csv"
    found = faults(run(options.home.resolve(), options.minutes, table))
    sys.exit("; ".join(found) or 0)


if __name__ == "__main__":
    main()
