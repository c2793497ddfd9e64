"""Browsers and programs that have the password: which of their requests get through, with the API on and off."""

import base64
import http.client
from collections.abc import Mapping
from contextlib import closing

import pytest

from launcher.access.pages import ALIVE
from tests.access.test_door import OpenDoor, basic, door, standing_door, upstream

__all__ = ("door", "standing_door", "upstream")

PAGE, EXTENSIONS, API = "/", "/tacapi/v1/refresh", "/sdapi/v1/txt2img"
MODERN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
# What each sends besides the login: Safari before 16.4 and old WebViews have no Sec-Fetch headers, and send no Origin
# with a GET of their own host (facts/reports3.md).
VISITORS: Mapping[str, tuple[str, dict[str, str], dict[str, str]]] = {
    # name: (login, headers of a GET by its page, headers of a POST by its page)
    "Chromium, Firefox, Safari 17": ("cookie", MODERN, MODERN | {"Origin": "OURS"}),
    "Safari 15 and 16.3, old WebViews": ("cookie", {"Referer": "OURS/"}, {"Referer": "OURS/", "Origin": "OURS"}),
    "Tauri": ("basic", {"Origin": "tauri://localhost"}, {"Origin": "tauri://localhost"}),
    "Tauri 2 on Windows": ("basic", {"Origin": "https://tauri.localhost"}, {"Origin": "https://tauri.localhost"}),
    "Electron": ("basic", {"Origin": "file://"}, {"Origin": "file://", "Sec-Fetch-Site": "cross-site"}),
    "Obsidian": ("basic", {"Origin": "app://obsidian.md"}, {"Origin": "app://obsidian.md"}),
    "Capacitor on iOS": ("basic", {"Origin": "capacitor://localhost"}, {"Origin": "capacitor://localhost"}),
    "Capacitor on Android": ("basic", {"Origin": "https://localhost"}, {"Origin": "https://localhost"}),
    "curl, webuiapi, SillyTavern, Open WebUI, Krita": ("basic", {}, {}),
}
PROGRAMS = [name for name, (login, *_) in VISITORS.items() if login == "basic"]


def asked(door: OpenDoor, method: str, path: str, headers: Mapping[str, str]) -> int:
    """The HTTP status, of headers as they are given."""
    with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)) as connection:
        own = {name: value.replace("OURS", door.url) for name, value in headers.items()}
        connection.request(method, path, headers=own, body=b"{}" if method == "POST" else None)
        return connection.getresponse().status


@pytest.mark.parametrize("api", [True, False])
@pytest.mark.parametrize("name", VISITORS)
def test_who_has_the_password_gets_through(door: OpenDoor, name: str, api: bool) -> None:
    login, get, post = VISITORS[name]
    who = door.cookie if login == "cookie" else basic("user", door.login.password)
    by_a_page = 200 if api or login == "cookie" else 404
    door.lead_to(api=api)
    try:
        seen = {
            (method, path): asked(door, method, path, who | (get if method == "GET" else post))
            for method in ("GET", "POST")
            for path in (PAGE, EXTENSIONS, API)
        }
    finally:
        door.lead_to(api=True)
    assert seen == {
        **{(method, PAGE): 200 for method in ("GET", "POST")},
        **{(method, EXTENSIONS): by_a_page for method in ("GET", "POST")},
        **{(method, API): by_a_page for method in ("GET", "POST")},
    }


UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


@pytest.mark.parametrize("name", VISITORS)
def test_their_websockets_get_through(door: OpenDoor, name: str) -> None:
    login, _, post = VISITORS[name]
    who = door.cookie if login == "cookie" else basic("user", door.login.password)
    assert asked(door, "GET", "/ws", who | post | UPGRADE) == 101


def test_a_stranger_gets_one_websocket_that_says_nothing_and_unpacks_nothing(door: OpenDoor) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)) as connection:
        connection.request("GET", ALIVE, headers=UPGRADE | {"Sec-WebSocket-Extensions": "permessage-deflate"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Sec-WebSocket-Extensions")) == (101, None)
    assert asked(door, "GET", "/ws", UPGRADE) == 401
    assert asked(door, "GET", ALIVE, {}) == 401


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_programs_page_gets_nothing_by_a_cookie_and_nothing_by_a_wrong_password(door: OpenDoor, name: str) -> None:
    post = VISITORS[name][2]
    assert asked(door, "POST", PAGE, basic("user", "guess") | post) in (400, 401)
    if post:
        assert asked(door, "POST", PAGE, door.cookie | post) == 403
        assert asked(door, "GET", "/ws", door.cookie | post | UPGRADE) == 403


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "http://localhost:8080", "https://a.tauri.localhost.x"]
)
def test_another_site_gets_nothing_by_the_password_either(door: OpenDoor, origin: str) -> None:
    who = basic("user", door.login.password) | {"Origin": origin}
    assert asked(door, "POST", PAGE, who) == 403
    assert asked(door, "GET", "/ws", who | UPGRADE) == 403


def test_a_copied_password_is_right_in_programs_that_send_one_byte_a_letter(door: OpenDoor) -> None:
    """As `requests` does: a no-break space is no UTF-8 then."""
    login = base64.b64encode(f"user:{door.login.password}\u00a0".encode("latin-1")).decode()
    assert asked(door, "GET", PAGE, {"Authorization": f"Basic {login}"}) == 200


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Sec-Fetch-Site", ("same-origin", "cross-site")),
        ("Origin", ("OURS", "https://evil.example")),
        ("Origin", ("tauri://localhost", "https://evil.example")),
    ],
)
@pytest.mark.parametrize("login", ["cookie", "basic"])
def test_two_answers_to_where_it_comes_from_are_no_browsers(
    door: OpenDoor, name: str, said: tuple[str, ...], login: str
) -> None:
    who = door.cookie if login == "cookie" else basic("user", door.login.password)
    with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)) as connection:
        connection.putrequest("POST", PAGE)
        for header, value in [*who.items(), *((name, one.replace("OURS", door.url)) for one in said)]:
            connection.putheader(header, value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        assert connection.getresponse().status == 403


def test_a_page_that_was_opened_with_the_password_in_its_address_gets_the_cookie(door: OpenDoor) -> None:
    """`https://user:password@host`: the page's own fetches and WebSockets carry no password."""
    who = basic("user", door.login.password)
    with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)) as connection:
        for path in (PAGE, "/oneclick/"):
            connection.request("GET", path, headers=who | {"Accept": "text/html"})
            answer = connection.getresponse()
            answer.read()
            given = "".join(answer.headers.get_all("Set-Cookie", []))
            assert door.login.cookie in given, path
            assert "HttpOnly" in given
        connection.request("GET", PAGE, headers=who)  # a program
        assert door.login.cookie not in str(connection.getresponse().headers)


@pytest.mark.parametrize(
    "spelled",
    ["{}\n", "\u00a0{}", "\u200b{}\u2060", "{}\r\n", " {} ", "\ufeff{}", "*{}*", "\u201c{}.\u201d"],
)
def test_a_copied_password_is_right(door: OpenDoor, spelled: str) -> None:
    for dash in ("-", "\u2011", "\u2013", "\u2014", "\u2212", " "):
        for text in (door.login.password, door.login.password.upper()):
            assert door.login.is_right("user", spelled.format(text.replace("-", dash)))
            assert door.login.is_right("User\u00a0", spelled.format(text))
    wide = {code: code + 0xFEE0 for code in range(ord("!"), ord("~"))}  # as Chinese and Japanese keyboards type them
    assert door.login.is_right("user".translate(wide), spelled.format(door.login.password).translate(wide))
    assert not door.login.is_right("user", "")
    assert not door.login.is_right("", door.login.password)
