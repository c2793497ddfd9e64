"""Behind the login, below /oneclick/: what runs, what its page asks of the launcher's service, and the images.

Nothing here may hold up who only wants the web UI: without a service the proxy leads on to it as `forward.json` says,
and a service is started when a page needs one.
"""

import asyncio
import hashlib
import heapq
import io
import json
import os
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from yarl import URL

from launcher.access.pages import OWN_PAGES, PAGE_HEADERS, status_page
from launcher.core.process import running_pid, start_part
from launcher.core.session import Session, read_object
from launcher.core.status import Snapshot

SERVICE_PATIENCE: Final = 2.0  # seconds in which a page waits for a service to start, and for its status
STATUS_LIFE: Final = 0.5  # seconds in which all pages have the same status, so that a crowd costs what one page does
RETRY_EVERY: Final = 0.5  # seconds
USE_SENT_EVERY: Final = 5.0  # seconds
OUR_PAGE: Final = "X-Oneclick"  # a header of our page's own requests: no other site's page can send it
NOTHING_HERE: Final = "There is nothing here.\n"
AWAY: Final = b'{"what": "The launcher does not answer. Try again in a moment."}'

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif")
IN_THE_ZIP: Final = (*PICTURES, ".mp4", ".webm")
IMAGE_HEADERS: Final = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
NEWEST_SHOWN: Final = 12
REMEMBERED: Final = 4 * NEWEST_SHOWN  # a page that was drawn a while ago still gets its pictures
SIDE: Final = 320  # pixels, at most, of a small copy
ZIP_PIECE: Final = 256 << 10  # bytes that are read at once for the zip
MOST_PIXELS: Final = 64_000_000  # of an image of which a small copy is made: it takes four bytes for each


class OwnPages:
    def __init__(self, session: Session) -> None:
        self.session = session
        # Its path may be too long for the system, so that it goes by a descriptor of its folder.
        path = f"/proc/self/fd/{os.open(session.place, os.O_PATH)}/{session.page_socket.name}"
        connector = aiohttp.UnixConnector(path, force_close=True, limit=0)
        self._client = aiohttp.ClientSession("http://launcher", connector=connector)
        self._status: Snapshot | None = None
        self._status_ends = 0.0  # time.monotonic() from which on it is asked for anew
        self._asking = asyncio.Lock()
        self._use_sent = -USE_SENT_EVERY
        self._sending: asyncio.Task[Any] | None = None
        self._images: dict[str, Path] = {}  # what pages were told of, by an id that says nothing of the path

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        page, reads = request.path.removeprefix(OWN_PAGES), request.method in ("GET", "HEAD")
        if page == "" and reads:
            status = await self.snapshot()
            if status and request.query.get("after") == status.version:  # the page has it already
                return web.Response(status=204, headers=PAGE_HEADERS)
            return html_response(status_page(status, await asyncio.to_thread(self._newest_images)))
        if page.startswith("api/"):
            return await self._pass_on(request, page.removeprefix("api"))
        if page == "images.zip" and reads:
            return await self._send_images(request)
        if page.startswith("images/") and reads:
            return await self._send_image(page.removeprefix("images/"), small="small" in request.query)
        if page == "entered" or page.startswith("enter/"):
            return redirect(OWN_PAGES if "to" in request.query else "/")
        return web.Response(status=404, text=NOTHING_HERE)

    # ---- the service

    async def snapshot(self) -> Snapshot | None:
        """The status for a page; None where there is none in time. The service is asked once for all pages."""
        async with self._asking:
            if time.monotonic() > self._status_ends:
                code, answer = 503, AWAY
                with suppress(TimeoutError):
                    code, answer = await asyncio.wait_for(self._ask("GET", URL("/status")), SERVICE_PATIENCE)
                self._status = Snapshot.from_json(json.loads(answer)) if code == 200 else None
                self._status_ends = time.monotonic() + STATUS_LIFE
            return self._status

    async def _pass_on(self, request: web.BaseRequest, path: str) -> web.Response:
        """Ask the service what our page asks; which of it a page may ask, the service says."""
        if request.method != "GET" and OUR_PAGE not in request.headers:
            return web.json_response({"what": "Only the launcher's own page may ask for that."}, status=403)
        url = URL.build(path=path, query=request.query)
        code, answer = await self._ask(request.method, url, await request.read())
        self._status_ends = 0.0  # the next page sees what came of it
        headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
        return web.Response(status=code, body=answer, headers=headers)

    async def _ask(self, method: str, url: URL, body: bytes = b"", start: bool = True) -> tuple[int, bytes]:
        """(HTTP status, JSON) of the answer; 503 where no service answers. `start`: start one then."""
        end = time.monotonic() + SERVICE_PATIENCE
        while True:
            try:
                async with self._client.request(method, url, data=body) as response:
                    return response.status, await response.read()
            except aiohttp.ClientConnectorError:  # nobody listens: what is asked has not been sent
                if not start or time.monotonic() > end:
                    return 503, AWAY
                if not running_pid(self.session.service.pid_file):  # it will go by the variables of the last launch
                    place = str(self.session.place)
                    await asyncio.to_thread(start_part, self.session.service, "launcher.service", place)
                await asyncio.sleep(RETRY_EVERY)
            except (aiohttp.ClientError, OSError):
                return 503, AWAY

    def note_use(self) -> None:
        """Somebody used the web UI: an unused machine may be given back."""
        if time.monotonic() - self._use_sent > USE_SENT_EVERY:
            self._use_sent = time.monotonic()
            self._sending = asyncio.create_task(self._ask("POST", URL("/used"), b'{"ago": 0}', start=False))

    # ---- the images

    def _finished(self, endings: tuple[str, ...]) -> Iterator[tuple[Path, Path]]:
        """(path, name in a zip) of each. Links are not followed: they lead to images of earlier days, on Drive."""
        for top in read_object(self.session.forward).get("images", []):
            for where, folders, names in os.walk(top):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for path in (Path(where, name) for name in sorted(names) if not name.startswith(".")):
                    if path.suffix.lower() in endings and not path.is_symlink():
                        yield path, path.relative_to(Path(top).parent)

    def _newest_images(self) -> list[tuple[str, str]]:
        """(id, file's name) of the newest, the newest first. A page may ask for what it was told, and nothing else."""
        written = list[tuple[float, Path]]()
        for path, _ in self._finished(PICTURES):
            with suppress(FileNotFoundError):  # it was deleted meanwhile
                written.append((path.stat().st_mtime, path))
        newest = heapq.nlargest(NEWEST_SHOWN, written)
        found = {hashlib.sha256(f"{when}{path}".encode()).hexdigest()[:24]: path for when, path in newest}
        self._images = dict(list((self._images | found).items())[-REMEMBERED:])
        return [(one, path.name) for one, path in found.items()]

    async def _send_image(self, name: str, *, small: bool) -> web.StreamResponse:
        path = self._images.get(name)
        if path and path.is_file() and not path.is_symlink():
            if not small:
                return web.FileResponse(path, headers=IMAGE_HEADERS)
            if copy := await asyncio.to_thread(small_copy, path, name):
                return web.Response(body=copy, content_type="image/webp", headers=IMAGE_HEADERS)
        return web.Response(status=404, text=NOTHING_HERE)

    async def _send_images(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Content-Disposition": 'attachment; filename="images.zip"', "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers | {"Content-Type": "application/zip"})
        await response.prepare(request)
        if request.method == "GET":
            pieces = zip_pieces(self._finished(IN_THE_ZIP))  # what it raises breaks the connection: it is seen as cut
            while piece := await asyncio.to_thread(next, pieces, b""):
                await response.write(piece)
        await response.write_eof()
        return response


@lru_cache(maxsize=REMEMBERED)
def small_copy(path: Path, name: str) -> bytes | None:
    """A WebP of the image with that id; None where there is no Pillow, or it can make nothing of the file."""
    try:
        from PIL import Image
    except ImportError:
        return None
    small = io.BytesIO()
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            image.thumbnail((SIDE, SIDE))
            image.convert("RGB").save(small, "WEBP", quality=70)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what it raises for damaged files
        return None
    return small.getvalue()


def zip_pieces(images: Iterator[tuple[Path, Path]]) -> Iterator[bytes]:
    """Them as one zip, made while it is sent: no second copy on the disk."""
    out = Outgoing()
    with zipfile.ZipFile(out, "w") as zipped:
        for path, name in images:
            with suppress(FileNotFoundError), path.open("rb") as file:  # else it was deleted meanwhile
                entry = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
                with zipped.open(entry, "w") as copy:
                    while piece := file.read(ZIP_PIECE):
                        copy.write(piece)
                        yield out.take()
    yield out.take()


class Outgoing(io.BytesIO):
    """Holds what was written until it is taken; `zipfile` goes by that it has no place to go back to."""

    def tell(self) -> int:
        raise OSError

    def take(self) -> bytes:
        taken = self.getvalue()
        self.seek(0)
        self.truncate()
        return taken


def html_response(text: str, status: int = 200, headers: Mapping[str, str] = PAGE_HEADERS) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def redirect(location: str, **headers: str) -> web.Response:
    return web.Response(status=303, headers={"Location": location, "Cache-Control": "no-store", **headers})
