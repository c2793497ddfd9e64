"""The door: every request from the link comes here. Login, then on to the web UI; a waiting page while it starts.

`python -m launcher.access.door SESSION_FOLDER PORT`: a process of its own, so that neither ■ nor a crash of the kernel
or the web UI shuts it. What it knows of the launch it reads from two files, the login and where to lead, and asks the
launcher's service (`access.service_link`).
"""

import asyncio
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import web, web_response

from launcher.access.connections import (
    ACCEPTED_AT_ONCE,
    WAITING_TO_BE_ACCEPTED,
    Connection,
    Server,
    allow_many_files,
    keep_log_short,
)
from launcher.access.images import zipped_aside
from launcher.access.login import COOKIE, Login, until
from launcher.access.pages import OWN_PAGES, PAGE_HEADERS, STYLE, login_page, status_page, ticket_page
from launcher.access.proxy import NotReady, WebUI, is_api
from launcher.access.service_link import ServiceLink
from launcher.core.process import PACKAGE
from launcher.core.session import Session, read_object

FORM_LIMIT: Final = 4096  # bytes of a login form
ROBOTS: Final = "User-agent: *\nDisallow: /\n"
GRADIO_LOGIN: Final = ("/login", "/login/")  # where gradio_client sends `auth=(user, password)`
WRONG: Final = "Wrong user name or password. Both are in the notebook, below the first cell."
USED: Final = (
    "This link works once, for ten minutes, and has been used or has expired. Log in with the password, or press the "
    "button in the notebook again."
)
NOT_KEPT: Final = (
    "The password was right, but your browser did not save the login cookie. Allow cookies for this page, then "
    "log in again."
)
API_OFF: Final = "The API is off. Tick the field api in the notebook and press ▶ again.\n"


class Door:
    """One door. The folder of `session` has the login, and says where to lead."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.login = Login.of_this_launch(session.login)
        self.server = Server(self.handle)
        self.webui = WebUI()
        self.service = ServiceLink(session)
        self.used_tickets: dict[str, float] = {}
        self._forward: dict[str, Any] = {}
        self._forward_read = 0

    @property
    def forward(self) -> dict[str, Any]:
        """Where to lead, as the service last wrote it."""
        try:
            changed = self.session.forward.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if changed != self._forward_read:
            self._forward, self._forward_read = read_object(self.session.forward), changed
        return self._forward

    # ---- who comes

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Every request: a stranger's one after the other, and those of people who are in."""
        assert isinstance(request.protocol, Connection)
        # A path of another kind is another host's address, or "*": this is no proxy.
        known = request.raw_path.startswith("/") and self.is_known(request)
        if known:
            request.protocol.is_in()
            return await self.for_who_is_in(request)
        form = await read_form(request) if sends_a_login(request) else None
        await self.server.strangers.wait_turn(request.protocol)
        answer = self.for_a_stranger(request, form)
        answer.force_close()  # the next visitor of this connection may be another one, and a flood gets no further
        return answer

    def is_known(self, request: web.BaseRequest) -> bool:
        """Whether the request carries this launch's cookie, or the right user and password."""
        if self.login.cookie_is_there(request.headers.getall("Cookie", [])):
            return True
        return self.login.basic_is_right(request.headers.get("Authorization", ""))

    def for_a_stranger(self, request: web.BaseRequest, form: dict[str, str] | None) -> web.Response:
        """What everybody may have: the login. `form` is what a login form says."""
        reads = request.method in ("GET", "HEAD")
        if request.path == "/robots.txt" and reads:
            return web.Response(text=ROBOTS)
        if request.path == f"{OWN_PAGES}style.css" and reads:
            return web.Response(text=STYLE, content_type="text/css", headers={"Cache-Control": "max-age=3600"})
        if sends_a_login(request):
            return self.log_in(request, form)
        if request.path.startswith(f"{OWN_PAGES}enter/") and request.method in ("GET", "POST"):
            return self.enter(request)
        if request.path == f"{OWN_PAGES}entered":
            return turn_away(request, NOT_KEPT)
        return turn_away(request)

    def log_in(self, request: web.BaseRequest, form: dict[str, str] | None) -> web.Response:
        """A login form was sent, by our page or by gradio's client."""
        if form is None or comes_from_elsewhere(request):
            return turn_away(request, "Please log in on this page.", 400)
        program = request.path in GRADIO_LOGIN
        right = self.login.is_right(form.get("username" if program else "user", ""), form.get("password", ""))
        if program:
            told = {"success": True} if right else {"detail": "Incorrect credentials."}
            answer = web.json_response(told, status=200 if right else 401)
            return self.with_cookie(answer) if right else answer
        return self.let_in() if right else turn_away(request, WRONG)

    def enter(self, request: web.BaseRequest) -> web.Response:
        """The link of the notebook's button: a ticket that opens once, when it is sent, not when it is looked at."""
        ticket, now = request.path.removeprefix(f"{OWN_PAGES}enter/"), time.time()
        self.used_tickets = {used: end for used, end in self.used_tickets.items() if end > now}
        if not self.login.ticket_is_good(ticket) or ticket in self.used_tickets:
            return turn_away(request, USED)
        if request.method == "GET":
            return web.Response(text=ticket_page(), content_type="text/html", headers=PAGE_HEADERS)
        if comes_from_elsewhere(request):
            return turn_away(request, "Please log in on this page.", 400)
        self.used_tickets[ticket] = until(ticket)
        return self.let_in()

    def let_in(self) -> web.Response:
        """Give the cookie and go on to where it is seen whether the browser kept it."""
        headers = {"Location": f"{OWN_PAGES}entered", "Cache-Control": "no-store"}
        return self.with_cookie(web.Response(status=303, headers=headers))

    def with_cookie(self, answer: web.Response) -> web.Response:
        """The cookie ends with the browser's session or the launch."""
        answer.set_cookie(COOKIE, self.login.cookie, httponly=True, secure=True, samesite="Lax", path="/")
        return answer

    # ---- who is in

    async def for_who_is_in(self, request: web.BaseRequest) -> web.StreamResponse:
        """The door's own pages, and all else from the web UI."""
        if comes_from_elsewhere(request):
            return web.Response(status=403, text="This request comes from another website.\n")
        if request.path in ("/robots.txt", f"{OWN_PAGES}style.css") and request.method in ("GET", "HEAD"):
            return self.for_a_stranger(request, None)
        if sends_a_login(request):
            return self.log_in(request, await read_form(request))
        if request.path.startswith(OWN_PAGES):
            return await self.own_page(request)
        forward, by_a_page = self.forward, request.headers.get("Sec-Fetch-Site") in HERE
        if not forward.get("api") and is_api(request.raw_path, by_a_page=by_a_page):
            return web.Response(status=404, text=API_OFF)
        try:
            if not forward.get("port"):
                raise NotReady
            self.service.is_used()
            return await self.webui.answer(request, forward["port"])
        except NotReady:
            return await self.not_ready(request)

    async def not_ready(self, request: web.BaseRequest) -> web.Response:
        """The web UI is not ready."""
        headers = PAGE_HEADERS | {"Retry-After": "2"}
        if wants_html(request):
            text = status_page(await self.service.status())
            return web.Response(status=503, text=text, content_type="text/html", headers=headers)
        return web.json_response({"detail": "The web UI is starting."}, status=503, headers=headers)

    async def own_page(self, request: web.BaseRequest) -> web.StreamResponse:
        """The door's pages for people who are in."""
        page, reads = request.path.removeprefix(OWN_PAGES), request.method in ("GET", "HEAD")
        if page == "" and reads:
            text = status_page(await self.service.status(), bool(self.forward.get("images")))
            return web.Response(text=text, content_type="text/html", headers=PAGE_HEADERS)
        if page.startswith("api/"):
            return await self.service.forward(request, page.removeprefix("api"))
        if page == "images.zip" and reads:
            return await self.send_images(request)
        if page == "restart" and request.method == "POST":  # without JavaScript
            await self.service.forward(request, "/restart")
            return web.Response(status=303, headers={"Location": OWN_PAGES})
        if page == "entered" or page.startswith("enter/"):
            return web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
        return web.Response(status=404, text="There is nothing here.\n")

    async def send_images(self, request: web.BaseRequest) -> web.StreamResponse:
        """All images made so far, in one zip."""
        headers = {"Content-Disposition": 'attachment; filename="images.zip"', "Cache-Control": "no-store"}
        answer = web.StreamResponse(headers=headers)
        answer.content_type = "application/zip"
        await answer.prepare(request)
        if request.method == "GET":
            async for piece in zipped_aside([Path(folder) for folder in self.forward.get("images", [])]):
                await answer.write(piece)
        await answer.write_eof()
        return answer


HERE: Final = ("same-origin", "none")  # Sec-Fetch-Site of this very address, and of what a person typed


def comes_from_elsewhere(request: web.BaseRequest) -> bool:
    """True for what another site's page makes this browser ask for, unless the person followed a link.

    The host names that lead here are not known (Colab's own link passes through servers of Colab), so `Host` itself is
    not judged: a browser has a cookie only for the host that gave it.
    """
    site, origin = request.headers.get("Sec-Fetch-Site", ""), request.headers.get("Origin", "")
    hosts = (request.headers.get("Host"), request.headers.get("X-Forwarded-Host"))
    if site in HERE or (origin and origin.partition("://")[2] in hosts):
        return False
    if request.method in ("GET", "HEAD", "OPTIONS") and "Upgrade" not in request.headers:
        return bool(site) and not (
            request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest", "document") == "document"
        )
    return bool(site or origin)


def sends_a_login(request: web.BaseRequest) -> bool:
    return request.method == "POST" and request.path in (f"{OWN_PAGES}login", *GRADIO_LOGIN)


async def read_form(request: web.BaseRequest) -> dict[str, str] | None:
    """The fields of a small form, or None if it is none."""
    body = b""
    try:
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > FORM_LIMIT:
                return None
        return {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}
    except (ValueError, web.RequestPayloadError):
        return None


def turn_away(request: web.BaseRequest, message: str = "", status: int = 401) -> web.Response:
    """The login page for a person, 401 for a program."""
    if wants_html(request):
        return web.Response(status=status, text=login_page(message), content_type="text/html", headers=PAGE_HEADERS)
    asked = {"WWW-Authenticate": 'Basic realm="one-click launcher", charset="UTF-8"'} if status == 401 else {}
    return web.Response(status=status, text="Log in first.\n", headers=PAGE_HEADERS | asked)


def wants_html(request: web.BaseRequest) -> bool:
    return request.method in ("GET", "HEAD", "POST") and "text/html" in request.headers.get("Accept", "")


async def serve(session: Session, port: int) -> None:
    """Serve on `port` (0: any) for ever. Only this machine can connect: the tunnel does."""
    web_response.SERVER_SOFTWARE = "door"  # type: ignore[attr-defined]  # strangers are told no versions
    door, listener = Door(session), socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:  # somebody else has it now: any other will do
        listener.bind(("127.0.0.1", 0))
    # asyncio takes so many new connections at once as may wait: many may wait, but those who are in come between.
    await asyncio.get_running_loop().create_server(door.server, sock=listener, backlog=ACCEPTED_AT_ONCE)
    listener.listen(WAITING_TO_BE_ACCEPTED)
    session.door.note(port=listener.getsockname()[1], pid=os.getpid(), package=str(PACKAGE))
    await door.server.strangers.look_after()


def main(arguments: list[str]) -> None:
    keep_log_short()
    allow_many_files()
    asyncio.run(serve(Session(Path(arguments[0])), int(arguments[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
