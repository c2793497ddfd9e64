"""A person's visit in a real browser, CI's way into `make run`: reads link, user, password and the images' folder from
standard input, a line each, logs in and makes one image.
"""

import sys
from pathlib import Path

import requests

from tests.world.browser import chromium, log_in, paint


def main() -> None:
    link, user, password, outputs = sys.stdin.read().splitlines()
    stranger = requests.get(link, timeout=30)
    assert stranger.status_code == 401, f"a stranger gets {stranger.status_code}"
    page = requests.get(link, auth=(user, password), timeout=30)
    assert page.ok and "gradio" in page.text, f"the page answers {page.status_code}"
    with chromium() as browser:
        tab = browser.new_page()
        log_in(tab, link, password)
        image = paint(tab, "a lighthouse in the fog", Path(outputs).parent)
    assert image.read_bytes().startswith(b"\x89PNG"), image
    print(f"Visited: logged in and painted {image.name}", flush=True)


if __name__ == "__main__":
    main()
