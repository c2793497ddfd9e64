"""The door in real browsers: the login is kept, and pages of other sites under the same domain can do nothing with it.

gradio.live is no public suffix: for browsers all share links are one site, whose pages may set cookies for each other
and whose requests carry `SameSite` cookies.
"""

import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import pytest
from playwright.sync_api import Error, sync_playwright

from launcher.access.auth import COOKIE
from tests.access.test_door import OpenDoor, Upstream
from tests.world.browser import CHROMIUM, FLAGS, PATIENCE
from tests.world.firefox import firefox
from tests.world.tls import Site, certificates, relay
from tests.world.wait import wait

OURS, THEIRS = "me.gradio.live", "evil.gradio.live"
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox") or "firefox-esr"


class Window(Protocol):
    """What these tests need of a browser."""

    def goto(self, url: str) -> Any: ...

    def evaluate(self, expression: str) -> Any: ...


NewWindow = Callable[[], AbstractContextManager[Window]]


@contextmanager
def chromium_starts() -> Iterator[NewWindow]:
    with sync_playwright() as playwright:
        rule = "--host-resolver-rules=MAP *.gradio.live 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, rule], headless=True)

        @contextmanager
        def window() -> Iterator[Window]:
            context = browser.new_context(ignore_https_errors=True)
            context.set_default_timeout(PATIENCE * 1000)
            yield context.new_page()
            context.close()

        yield window
        browser.close()


@contextmanager
def firefox_starts() -> Iterator[NewWindow]:
    with firefox(FIREFOX, OURS, THEIRS) as browser:
        yield browser.window


BROWSERS = [  # each is started once, by the worker that has all its tests
    pytest.param(starts, id=name, marks=pytest.mark.xdist_group(name))
    for name, starts in (("Chromium", chromium_starts), ("Firefox", firefox_starts))
]


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> Iterator[NewWindow]:
    with request.param() as made:
        yield made


@pytest.fixture
def window(browser: NewWindow) -> Iterator[Window]:
    """A window without any cookies yet."""
    with browser() as made:
        yield made


@pytest.fixture(scope="module")
def standing_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoor]:
    made = OpenDoor(tmp_path_factory.mktemp("door") / "session", Upstream())
    yield made
    made.close()


@pytest.fixture
def door(standing_door: OpenDoor) -> OpenDoor:
    """The one door, whose web UI has not been asked for anything yet."""
    standing_door.upstream.seen.clear()  # type: ignore[union-attr]
    return standing_door


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=[False, True], ids=["as they are", "without Sec-Fetch"])
def link(request: pytest.FixtureRequest, door: OpenDoor, certified: ssl.SSLContext) -> Iterator[str]:
    """The door's address under gradio's domain."""
    with relay(door.port, certified, old_browser=request.param) as port:
        yield f"https://{OURS}:{port}"


@pytest.fixture
def site(certified: ssl.SSLContext) -> Iterator[Site]:
    made = Site(certified)
    yield made
    made.close()


def log_in(window: Window, url: str, door: OpenDoor) -> None:
    """As a person does, and as far as the web UI's page."""
    window.goto(url)
    fields = f"document.forms[0].user.value = 'user', document.forms[0].password.value = '{door.login.password}'"
    window.evaluate(f"({fields}, setTimeout(() => document.forms[0].submit()), 0)")
    wait_for_page(window, door)


def wait_for_page(window: Window, door: OpenDoor) -> None:
    """Until the web UI's page, which asks for its script and has no form, is whole."""

    def is_whole() -> bool:
        try:
            return bool(window.evaluate("document.readyState == 'complete' && !document.forms.length"))
        except (Error, RuntimeError):  # one page gives way to the next: there is nobody to ask
            return False

    wait(lambda: "/shown.js" in paths(door) and is_whole(), 60, "the web UI's page")


def paths(door: OpenDoor, *methods: str) -> list[str]:
    """What the web UI was asked for."""
    assert door.upstream is not None
    return [told["path"] for told in door.upstream.seen if not methods or told["method"] in methods]


def is_in(window: Window, url: str, door: OpenDoor) -> bool:
    """Whether the web UI's page comes rather than the login page."""
    door.upstream.seen.clear()  # type: ignore[union-attr]
    window.goto(f"{url}/page")
    return "/page" in paths(door)


JOIN = """new Promise(done => {
  const socket = new WebSocket('wss' + '%s'.slice(5) + '/ws');
  socket.onopen = () => socket.send('hello');
  socket.onmessage = message => done(message.data);
  socket.onclose = socket.onerror = () => done('closed');
})"""
# Until the answer is in the frame: its first, empty document is our own page's, and may be read.
SEND = """new Promise(done => {
  const form = document.createElement('form'), frame = document.createElement('iframe');
  form.method = 'post', form.action = frame.name = form.target = '%s';
  frame.onload = () => { try { frame.contentWindow.location.href } catch { done('answered') } };
  document.documentElement.append(frame, form);
  form.submit();
})"""
# Until it is there or refused; a page in a frame has asked for its script by then.
LOAD = """new Promise(done => {
  const one = document.createElement('%s');
  one.onload = one.onerror = () => done('done');
  one.src = '%s';
  document.documentElement.append(one);
})"""
ASK = "fetch('%s', {method: '%s', mode: 'no-cors', credentials: 'include'}).then(() => 'sent', () => 'refused')"


def test_the_login_is_kept_on_this_machines_own_address_too(window: Window, door: OpenDoor) -> None:
    """There is no TLS at http://127.0.0.1: whether a `__Host-` cookie, which is `Secure`, is kept is up to browsers."""
    log_in(window, door.url, door)
    assert window.evaluate(JOIN.replace("'wss' + '%s'.slice(5)", "'ws' + '%s'.slice(4)") % door.url) == "echo:hello"
    assert is_in(window, door.url, door)


def test_the_buttons_link_opens_logged_in_by_itself(window: Window, door: OpenDoor, link: str, site: Site) -> None:
    window.goto(f"https://{THEIRS}:{site.port}/")  # the notebook
    window.evaluate(f"void setTimeout(() => location.assign('{link}/oneclick/enter/{door.login.new_ticket()}'))")
    wait_for_page(window, door)
    assert is_in(window, link, door)


def test_a_program_that_looks_at_the_link_and_runs_its_scripts_does_not_use_it_up(
    window: Window, door: OpenDoor, link: str
) -> None:
    ticket = f"{link}/oneclick/enter/{door.login.new_ticket()}"
    for _ in range(2):
        window.goto(ticket)  # as from a mail: no page led here
        time.sleep(1)
        assert window.evaluate("document.forms.length") == 1
    window.evaluate("void setTimeout(() => document.forms[0].requestSubmit())")  # a person presses
    wait_for_page(window, door)
    assert is_in(window, link, door)


def cookies_of_theirs() -> list[str]:
    named = [
        f"{name}=theirs; Path={path}; Domain=gradio.live{rest}"
        for name in (COOKIE, "oneclick")
        for path in ("/", "/page")
        for rest in ("", "; Secure", "; Secure; HttpOnly")
    ]
    return [*named, f"{COOKIE}=theirs; Path=/; Secure", "weapon=works; Path=/; Secure; Domain=gradio.live"]


def test_cookies_set_by_another_address_of_the_domain_change_nothing(
    window: Window, door: OpenDoor, link: str, site: Site
) -> None:
    def attack() -> None:
        site.cookies = cookies_of_theirs()
        window.goto(f"https://{THEIRS}:{site.port}/")
        for cookie in cookies_of_theirs():
            window.evaluate(f"document.cookie = '{cookie}'")

    attack()
    log_in(window, link, door)
    assert is_in(window, link, door)
    attack()
    assert is_in(window, link, door)
    assert "weapon=works" in door.upstream.seen[0]["headers"]["Cookie"]  # type: ignore[union-attr]  # else this shows nothing
    assert not any(door.login.cookie in seen for seen in site.seen)


def test_a_page_on_another_port_cannot_take_the_cookie_by_script(
    window: Window, door: OpenDoor, link: str, site: Site
) -> None:
    log_in(window, link, door)
    window.goto(f"https://{OURS}:{site.port}/")
    for cookie in cookies_of_theirs():
        window.evaluate(f"document.cookie = '{cookie}'")
    assert door.login.cookie not in window.evaluate("document.cookie")
    assert is_in(window, link, door)


@pytest.mark.parametrize("host", [THEIRS, OURS], ids=["another sub-domain", "another port"])
def test_a_page_elsewhere_cannot_use_the_login(
    window: Window, door: OpenDoor, link: str, site: Site, host: str, request: pytest.FixtureRequest
) -> None:
    log_in(window, link, door)
    assert window.evaluate(JOIN % link) == "echo:hello"
    window.evaluate(ASK % (f"{link}/own", "POST"))
    assert "/own" in paths(door, "POST"), "else this shows nothing"
    door.upstream.seen.clear()  # type: ignore[union-attr]
    window.goto(f"https://{host}:{site.port}/")
    assert window.evaluate(JOIN % link) == "closed"
    asked = ("restart", "stop", "add", "choices", "extend")
    for path in ("run/predict", "oneclick/restart", "sdapi/v1/txt2img", *(f"oneclick/api/{one}" for one in asked)):
        window.evaluate(ASK % (f"{link}/{path}", "POST"))
    window.evaluate(SEND % f"{link}/oneclick/api/stop")
    window.evaluate(SEND % f"{link}/oneclick/restart")
    window.evaluate(SEND % f"{link}/run/predict")
    assert paths(door, "POST") == []
    assert [what for what in door.service.asked if what.startswith("POST") and "/used" not in what] == []
    for kind in ("img", "script", "iframe"):
        window.evaluate(LOAD % (kind, f"{link}/{kind}"))
    window.evaluate(ASK % (f"{link}/fetch", "GET"))
    if "without" not in request.node.name:
        assert paths(door) == []


@pytest.mark.parametrize("host", [THEIRS, OURS], ids=["another sub-domain", "another port"])
def test_a_page_elsewhere_cannot_frame_the_web_ui(
    window: Window, door: OpenDoor, link: str, site: Site, host: str
) -> None:
    """A page in a frame that is shown asks for its script; one that the browser refuses to show does not."""
    log_in(window, link, door)
    door.upstream.seen.clear()  # type: ignore[union-attr]
    window.evaluate(LOAD % ("iframe", f"{link}/framed"))
    assert "/shown.js" in paths(door), "else this shows nothing"
    door.upstream.seen.clear()  # type: ignore[union-attr]
    window.goto(f"https://{host}:{site.port}/")
    window.evaluate(LOAD % ("iframe", f"{link}/framed"))
    assert "/shown.js" not in paths(door)
