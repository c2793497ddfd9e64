"""`make shots`: the pictures in docs/pictures/, taken from real runs in Chromium, so that they never go stale.

JupyterLab stands for Colab's page, and a stand-in for the web UI; what they show is what a person on Colab sees.

    python -m tests.programs.shots [--upstreams DIR] [--only film]

With bare repositories DIR/OWNER/NAME.git the web UI's own picture comes from the real AUTOMATIC1111 (`make real`).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import CURRENT_PYTHON, ROOT
from tests.programs import film
from tests.programs.prepare import system_packages
from tests.world.as_on_colab import as_on_colab
from tests.world.browser import chromium, log_in
from tests.world.lab import Book, open_book, server
from tests.world.place import Place
from tests.world.wait import wait

PICTURES = ROOT / "docs" / "pictures"
EMOJI = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
LOOKS = (("light", 1300), ("dark", 1300), ("light", 400), ("dark", 400))


def wait_until_ready(book: Book) -> None:
    book.wait_for("launch", "Your image generator is ready", 300)
    wait(lambda: "not saved yet" not in book.text("launch"), 300, "all to be saved", book.page)


def one_look(root: Path, theme: str, width: int) -> None:
    """Panel and login box in one theme and width, and in the narrow ones the door's pages."""
    name = theme if width > 400 else f"{theme}-narrow"
    app = "lab" if width > 400 else "notebook"  # JupyterLab's own side bars leave nothing of 400 pixels
    with (
        as_on_colab(root) as (place, names),
        server(app, CURRENT_PYTHON, CURRENT_PYTHON, place.machine, place.environment, theme == "dark") as url,
        open_book(url, width, theme == "dark", names=names) as (book, _),
    ):
        if name == "light":
            film.show_notebook(book.page)
            seen = {"x": 0, "y": 0, "width": 1300, "height": 600}  # all cells; the rest of the window is empty
            book.page.screenshot(path=str(PICTURES / f"notebook-{name}.png"), clip=seen)
        film.press_start(book)
        wait(lambda: "s left" in book.text("launch"), 90, "the download", book.page)
        book.page.wait_for_timeout(1500)
        book.shot("launch", PICTURES / f"panel-{name}.png")
        if width == 400:
            door_pages(place, theme)
        wait_until_ready(book)
        book.shot("launch", PICTURES / f"login-box-{name}.png")
        book.interrupt()
        book.wait_for("launch", "This cell stopped", 30)
        book.run("stop")
        book.wait_for("stop", "the web UI and its link are off", 120)


def door_pages(place: Place, theme: str) -> None:
    """The login page and the waiting page, as on a phone."""
    port = json.loads((place.session / "door.json").read_text())["port"]
    password = json.loads((place.session / "login.json").read_text())["password"]
    # Playwright has one session a process
    script = "import sys; from tests.programs.shots import photograph; photograph(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", script, str(port), theme], input=password, text=True, check=True, cwd=ROOT)


def photograph(port: str, theme: str) -> None:
    """In a process of its own: the door's two pages; the password comes by standard input."""
    with chromium(viewport={"width": 400, "height": 640}, color_scheme=theme) as browser:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}")
        page.screenshot(path=str(PICTURES / f"login-page-{theme}.png"))
        log_in(page, f"http://127.0.0.1:{port}", sys.stdin.read())
        page.get_by_text("Python packages").wait_for(timeout=20_000)
        page.screenshot(path=str(PICTURES / f"waiting-{theme}.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstreams", type=Path)
    parser.add_argument("--only", choices=("film",))
    options = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    if not EMOJI.exists():  # A1111's buttons are emoji
        system_packages(["fonts-noto-color-emoji"])
    with tempfile.TemporaryDirectory(prefix="film-", ignore_cleanup_errors=True) as root:
        film.take(Path(root), PICTURES / "first-image.webp")
    if options.only:
        return
    for theme, width in LOOKS:
        with tempfile.TemporaryDirectory(prefix="shots-", ignore_cleanup_errors=True) as root:
            one_look(Path(root), theme, width)
    if options.upstreams:
        command = [
            sys.executable,
            "-m",
            "tests.programs.real",
            "--upstreams",
            str(options.upstreams),
            "--home",
            "run/real",
        ]
        subprocess.run([*command, "--shot", str(PICTURES / "webui.png")], check=True, cwd=ROOT)
    print("\n".join(sorted(path.name for path in PICTURES.glob("*.png"))))


if __name__ == "__main__":
    main()
