"""The auth proxy: every request from the link comes here. Login, then on to the web UI; a waiting page while it starts.

`python -m launcher.access.proxy SESSION_FOLDER PORT`: a process of its own, so that neither ■ nor a crash of the kernel
or the web UI ends it. What it knows of the launch it reads from two files, the login and where to lead, and asks the
launcher's service (`access.own_pages`).
"""

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web, web_response

from launcher.access.auth import FROM, PROGRAMS_PAGES, TICKET_LIFE, Login, is_cross_site, is_own_page, said
from launcher.access.connections import HEAD_LIMIT, Connection, Server, ShortLog
from launcher.access.own_pages import OwnPages, html_response, redirect
from launcher.access.pages import ALIVE, OWN_PAGES, PAGE_HEADERS, login_page, status_page, ticket_page
from launcher.access.upstream import NotReady, Upstream, is_api
from launcher.core.process import PACKAGE
from launcher.core.session import Session, read_object
from launcher.ui.render import STYLE

ACCEPTED_AT_ONCE: Final = 1  # connections a round of the event loop: whoever is logged in comes between any two
WAITING_TO_BE_ACCEPTED: Final = 1024
GRADIO_LOGIN: Final = ("/login", "/login/")  # where gradio_client sends `auth=(user, password)`
TICKETS: Final = f"{OWN_PAGES}enter/"
WRONG: Final = "Wrong user name or password. Both are in the notebook, below the first cell."
USED: Final = (
    "This link works once, for ten minutes, and has been used or has expired. Log in with the password, or press the "
    "button in the notebook again."
)
NOT_KEPT: Final = (
    "The password was right, but your browser did not save the login cookie. Allow cookies for this page, then "
    "log in again. Safari saves none where the address begins with http: use another browser there."
)
API_OFF: Final = "The API is off. Tick api under Choices in the notebook, and press Apply.\n"


class AuthProxy:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.login = Login.of_this_launch(session.login)
        self.server = Server(self.handle)
        self.upstream = Upstream()
        self.own_pages = OwnPages(session)
        self.used_tickets, self.began = set[str](), int(time.time())

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Every request: the unauthenticated one after the other, and those of people who are logged in."""
        assert isinstance(request.protocol, Connection)
        cross_site = is_cross_site(request)
        by_cookie = self.login.has_cookie(request)
        # A path of another kind is another host's address, or "*": this is no open proxy.
        if request.raw_path.startswith("/") and (by_cookie or self.login.has_basic(request)):
            request.protocol.lift_bounds()
            # A program's own page with the password in the request is no other website.
            if cross_site and (by_cookie or not PROGRAMS_PAGES.fullmatch(said(request, "Origin"))):
                return web.Response(status=403, text="This request comes from another website.\n")
            # A page that was opened by Basic gets the cookie: what it asks for itself has no password in its address.
            cookie = {} if by_cookie or not wants_html(request) else self.login.cookie_header
            response = await self.for_logged_in(request, cookie)
            if not response.prepared:
                response.headers.extend(cookie)
            return response
        request.protocol.set_bounds(asked=True)
        form = await read_form(request) if sends_a_login(request) else {}
        if cross_site or not (self.is_right(request, form) or self.has_ticket(request)):
            await self.server.wait_turn(request.protocol)
        if request.path == ALIVE and "Upgrade" in request.headers:
            return await hold_websocket(request)
        if cross_site and request.method == "POST":
            response = turn_away(request, "Please log in on this page.", 400)
        else:
            response = self.for_unauthenticated(request, form)
        response.force_close()  # the next visitor of this connection may be another one, and a flood gets no further
        if request.can_read_body:
            await response.prepare(request)
            await response.write_eof()
            await request.protocol.take_rest(request)
        return response

    # ---- unauthenticated

    def for_unauthenticated(self, request: web.BaseRequest, form: Mapping[str, str]) -> web.Response:
        """What everybody may have: the login. `form` is what a login form says."""
        if (public := public_file(request)) is not None:
            return public
        if sends_a_login(request):
            return self.log_in(request, form)
        if request.path.startswith(TICKETS) and request.method in ("GET", "POST"):
            return self.use_ticket(request)
        return turn_away(request, NOT_KEPT if request.path == f"{OWN_PAGES}entered" else "")

    def log_in(self, request: web.BaseRequest, form: Mapping[str, str]) -> web.Response:
        """A login form was sent, by our page or by gradio's client."""
        right, own = self.is_right(request, form), "to" in form
        if request.path not in GRADIO_LOGIN:
            return self.let_in(own) if right else turn_away(request, WRONG, own=own)
        if not right:
            return web.json_response({"detail": "Incorrect credentials."}, status=401)
        return web.json_response({"success": True}, headers=self.login.cookie_header)

    def is_right(self, request: web.BaseRequest, form: Mapping[str, str]) -> bool:
        user = "username" if request.path in GRADIO_LOGIN else "user"
        return self.login.is_right(form.get(user, ""), form.get("password", ""))

    def has_ticket(self, request: web.BaseRequest) -> bool:
        """Whether it comes by the link of the notebook's button, in time and for the first time.

        One from before this process may have been used, too: the panel has another since.
        """
        ticket = request.path.removeprefix(TICKETS)
        end = self.login.ticket_end(ticket)
        return end > time.time() and end >= self.began + TICKET_LIFE and ticket not in self.used_tickets

    def use_ticket(self, request: web.BaseRequest) -> web.Response:
        """A ticket logs in once, when it is sent, not when it is looked at."""
        if not self.has_ticket(request):
            return turn_away(request, USED)
        if request.method == "GET":
            # By itself where a page led here, as the notebook's does: a program that looks at links in mails has none.
            led_here = said(request, FROM) not in ("", "none") or "Referer" in request.headers
            return html_response(ticket_page(by_itself=led_here))
        self.used_tickets.add(request.path.removeprefix(TICKETS))
        return self.let_in()

    def let_in(self, own: bool = False) -> web.Response:
        """Give the cookie, then see whether the browser kept it; the web UI comes after that, or our `own` page."""
        return redirect(f"{OWN_PAGES}entered{'?to=launcher' if own else ''}", **self.login.cookie_header)

    # ---- logged in

    async def for_logged_in(self, request: web.BaseRequest, headers: Mapping[str, str]) -> web.StreamResponse:
        """`headers` go with what the web UI answers."""
        if (public := public_file(request)) is not None:
            return public
        if sends_a_login(request):
            return self.log_in(request, await read_form(request))
        if request.path.startswith(OWN_PAGES):
            return await self.own_pages.answer(request)
        forward = read_object(self.session.forward)
        by_a_page = is_own_page(request) and self.login.has_cookie(request)
        if not forward.get("api") and is_api(request.raw_path, by_a_page=by_a_page):
            return web.Response(status=404, text=API_OFF)
        try:
            if not forward.get("port"):
                raise NotReady
            if request.method != "GET" or not is_api(request.raw_path, by_a_page=False):
                self.own_pages.note_use()  # a program or a forgotten page that only looks, every second, is no use
            return await self.upstream.pass_on(request, forward["port"], headers)
        except NotReady:
            later = PAGE_HEADERS | {"Retry-After": "2"}
            if wants_html(request):
                return html_response(status_page(await self.own_pages.snapshot()), 503, later)
            return web.json_response({"detail": "The web UI is starting."}, status=503, headers=later)


async def hold_websocket(request: web.BaseRequest) -> web.StreamResponse:
    """Until it says something or goes, and no longer than a stranger may stay."""
    response = web.WebSocketResponse(compress=False)  # nothing of a stranger's is unpacked
    await response.prepare(request)
    await response.receive()
    return response


def public_file(request: web.BaseRequest) -> web.Response | None:
    if request.method not in ("GET", "HEAD"):
        return None
    if request.path == "/robots.txt":
        return web.Response(text="User-agent: *\nDisallow: /\n")
    if request.path == f"{OWN_PAGES}style.css":
        return web.Response(text=STYLE, content_type="text/css", headers={"Cache-Control": "max-age=3600"})
    return None


def sends_a_login(request: web.BaseRequest) -> bool:
    return request.method == "POST" and request.path in (f"{OWN_PAGES}login", *GRADIO_LOGIN)


async def read_form(request: web.BaseRequest) -> Mapping[str, str]:
    """What is no form says nothing."""
    if (request.content_length or 0) > HEAD_LIMIT:
        return {}
    try:
        return dict(parse_qsl((await request.read()).decode(errors="replace")))
    except (ValueError, web.RequestPayloadError):
        return {}


def turn_away(request: web.BaseRequest, message: str = "", status: int = 401, *, own: bool = False) -> web.Response:
    """The login page for a person, 401 for a program."""
    if wants_html(request):
        return html_response(login_page(message, own or request.path == OWN_PAGES), status)
    basic = {"WWW-Authenticate": 'Basic realm="one-click launcher", charset="UTF-8"'} if status == 401 else {}
    return web.Response(status=status, text="Log in first.\n", headers=PAGE_HEADERS | basic)


def wants_html(request: web.BaseRequest) -> bool:
    return request.method in ("GET", "HEAD", "POST") and "text/html" in request.headers.get("Accept", "")


async def serve(session: Session, port: int) -> None:
    """Serve on `port` (0: any) for ever. Only this machine can connect: the tunnel does."""
    web_response.SERVER_SOFTWARE = "proxy"  # type: ignore[attr-defined]  # nobody is told versions
    proxy = AuthProxy(session)
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError:  # somebody else has it now: any other will do
        listener = socket.create_server(("127.0.0.1", 0))
    # asyncio takes so many new connections at once as may wait: many may wait, but logged-in ones come between.
    server = await asyncio.get_running_loop().create_server(proxy.server, sock=listener, backlog=ACCEPTED_AT_ONCE)
    listener.listen(WAITING_TO_BE_ACCEPTED)
    session.proxy.note(port=listener.getsockname()[1], pid=os.getpid(), package=str(PACKAGE))
    await server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(handlers=[ShortLog()], level=logging.WARNING, force=True)
    asyncio.run(serve(Session(Path(sys.argv[1])), int(sys.argv[2])))
