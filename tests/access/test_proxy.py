"""What the door passes on to a web UI: with login every route, without it none. The stand-in, with the real gradio."""

from collections.abc import Iterator
from pathlib import Path

import gradio_client
import pytest
from gradio_client.exceptions import AuthenticationError

from launcher.access.auth import USER
from tests.programs.attacks import Owner
from tests.world.browser import chromium, log_in
from tests.world.walk import walk


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    made = Owner(tmp_path)
    yield made
    made.close()


def test_every_route_of_the_web_ui_is_behind_the_door(owner: Owner) -> None:
    url, login = f"http://127.0.0.1:{owner.port}", (USER, owner.login.password)
    refused, same = (walk(url, f"http://127.0.0.1:{owner.webui.port}", who) for who in (None, login))
    print(f"the stand-in's routes: {refused} requests of a stranger, all refused; {same} logged in, all as directly")
    assert refused > 60
    assert same > 60

    program = gradio_client.Client(url, auth=login, verbose=False)
    assert program.config["version"] == "3.41.2"  # what it asked for after its login
    with pytest.raises(AuthenticationError, match="Invalid credentials"):
        gradio_client.Client(url, auth=(USER, "guess"), verbose=False)

    with chromium() as browser:  # a page that waits for an image is told when the web UI dies
        page = browser.new_page()
        log_in(page, url, owner.login.password)
        page.locator("#txt2img_steps input[type=number]").fill("150")
        page.locator("#txt2img_prompt textarea").first.fill("a lighthouse")
        with page.expect_response("**/internal/progress"):
            page.locator("#txt2img_generate").first.click()
        owner.webui.process.kill()
        page.get_by_text("Connection errored out").first.wait_for()
