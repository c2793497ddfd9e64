"""A real Chromium, as a person's browser: opens links, logs in, paints."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tests.world.wait import wait, wait_visible

CHROMIUM = "/usr/bin/chromium"
# What it draws around a page is pages, too: each window's own list of suggestions takes a second of processor time.
# Only the last list counts, so Playwright's stands before it.
SWITCHED_OFF = (
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,"
    "LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,AvoidCorsURLLoaderRestartOnRedirect,"
    "TcpPortRandomizationWin,OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch,"
    "WebUIOmniboxPopup,WebUIOmniboxAimPopup"
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={SWITCHED_OFF}",
]

PATIENCE = 180.0  # seconds for one click, field or address: a browser starves first where much else runs


@contextmanager
def chromium(names: Mapping[str, int] = MappingProxyType({}), **context: Any) -> Iterator[Any]:
    """A browser context. Nothing but this machine is asked: other addresses fail at once. `names`: domains that are
    ports of this machine.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        ours = ", ".join(f"MAP *.{name} 127.0.0.1:{port}" for name, port in names.items())
        rules = [f"--host-resolver-rules={ours}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"] if ours else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *rules], headless=True)
        page = browser.new_context(ignore_https_errors=bool(ours), **context)
        page.set_default_timeout(PATIENCE * 1000)
        page.route(
            lambda url: (
                not url.startswith(("http://127.0.0.1", "http://localhost", "data:", "blob:"))
                and urlsplit(url).netloc.partition(".")[2] not in names
            ),
            lambda route: route.abort(),
        )
        yield page
        browser.close()


def log_in(page: Any, url: str, password: str) -> None:
    """Type the password on the login page, as a person does."""
    page.goto(url, wait_until="domcontentloaded")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def press_link(browser: Any, panel: str, label: str) -> Any:
    """Press a link of the panel where a person does, in a page that is not the door's; return the page that opens.

    The door lets the button's link in by itself only where a page led to it, which an address that is typed has not.
    """
    notebook = browser.new_page()
    notebook.set_content(panel)
    with browser.expect_page() as opened:
        notebook.get_by_role("link", name=label, exact=True).click()
    return opened.value


def paint(page: Any, prompt: str, kept: Path, patience: float = 60) -> Path:
    """Press Generate and wait for the image in the kept folder; return its path."""
    before = images(kept)
    box = page.locator("#txt2img_prompt textarea").first
    wait_visible(box, patience)
    box.fill(prompt)
    page.locator("#txt2img_generate").first.click()
    new: set[Path] = wait(lambda: images(kept) - before, patience, f"an image in {kept}", page)
    return min(new)


def images(kept: Path) -> set[Path]:
    """The finished images in a kept folder."""
    return {path for path in (kept / "outputs").rglob("*.png") if not path.name.startswith(".")}
