"""What strangers can do to the door, and what its owner notices meanwhile.

    python -m tests.programs.attacks --write FILE

Each attack ends by itself and goes to this machine only. The owner has the stand-in web UI behind the door and an open
WebSocket; `--before FOLDER` runs the same against another version of the launcher, whose package lies in that folder.
It fails where this version is out of bounds.
"""

import argparse
import asyncio
import gzip
import http.client
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import websocket

from launcher.access.auth import Login
from launcher.core.folder import write_safely
from tests.world.webui_alone import WebUIAlone

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 15.0
HEAD: Final = b"Host: x\r\n"
ZEROS: Final = gzip.compress(bytes(64 << 20))
STEP: Final = 0.3  # seconds of the stand-in web UI for each step of an image
MOST_MEDIAN: Final = 0.020  # seconds for the page
MOST_WORST: Final = 0.200
MOST_MEMORY: Final = 150.0  # MB
MOST_LOG: Final = 10_000  # bytes a minute
OLD_DOOR: Final = "import sys; from launcher.door import door_part; door_part(sys.argv[1:])"  # before it had rooms


# ---- the attacks: each is one connection's behaviour, done again and again on many connections


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 5)


async def answered(port: int, request: bytes) -> None:
    """Send a request, wait for the beginning of its answer, go."""
    reader, writer = await connect(port)
    writer.write(request)
    await asyncio.wait_for(reader.read(65536), 30)
    writer.close()


def login_form(body: bytes) -> bytes:
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    return b"POST /oneclick/login HTTP/1.1\r\n" + HEAD + form + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def guesses(port: int) -> None:
    await answered(port, login_form(b"user=user&password=" + os.urandom(8).hex().encode()))


async def guesses_with_basic(port: int) -> None:
    await answered(port, b"GET / HTTP/1.1\r\nAuthorization: Basic dXNlcjpndWVzcw==\r\n" + HEAD + b"\r\n")


async def zipped_bodies(port: int) -> None:
    """64 MB of zeros in 65 kB, one a second on each connection."""
    reader, writer = await connect(port)
    head = b"POST / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n" % len(ZEROS)
    writer.write(head + HEAD + b"\r\n" + ZEROS)
    await asyncio.wait_for(reader.read(100), 60)
    writer.close()


async def silence(port: int) -> None:
    reader, writer = await connect(port)
    with suppress(TimeoutError):
        await asyncio.wait_for(reader.read(1), 60)
    writer.close()


async def unfinished_headers(port: int) -> None:
    reader, writer = await connect(port)
    writer.write(b"GET / HTTP/1.1\r\n" + HEAD)
    for number in range(120):
        writer.write(b"X%d: " % number + b"a" * 16000 + b"\r\n")
        await writer.drain()
    with suppress(TimeoutError):
        await asyncio.wait_for(reader.read(1), 60)
    writer.close()


async def slow_headers(port: int) -> None:
    reader, writer = await connect(port)
    writer.write(b"GET / HTTP/1.1\r\n" + HEAD)
    for _ in range(200):
        writer.write(b"X: a\r\n")
        await writer.drain()
        await asyncio.sleep(0.3)
    await asyncio.wait_for(reader.read(1), 60)
    writer.close()


async def endless_logins(port: int) -> None:
    """A login form that is never whole."""
    reader, writer = await connect(port)
    writer.write(login_form(b"user=user&password=x").replace(b"Length: 20", b"Length: 4000"))
    with suppress(TimeoutError):
        await asyncio.wait_for(reader.read(1), 60)
    writer.close()


ODD = [
    b"GET / HTTP/1.1\r\nCookie: __Host-oneclick=\xff; oneclick=\xff\r\n" + HEAD + b"\r\n",
    b"GET /\xff\xfe%00%zz HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /oneclick/enter/\xff.\xff.\xff HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET / HTTP/1.1\r\nAuthorization: Basic \xff\xfe\r\n" + HEAD + b"\r\n",
    login_form(b"user=\xff&password=%ff").replace(b"urlencoded", b"urlencoded; charset=none-such"),
    login_form(b"--x\r\n\r\n").replace(b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"),
    login_form(b"x").replace(b"application/x-www-form-urlencoded", b'multipart/form-data; boundary="\xff'),
    b"GET http://elsewhere.example/ HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET http://[::1/ HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"CONNECT elsewhere.example:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"POST /oneclick/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEAD + b"\r\nzz\r\n",
    b"POST /oneclick/login HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n" + HEAD + b"\r\nabcdef",
    b"GET / HTTP/1.1\r\nSec-WebSocket-Key: \xff\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + HEAD + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n" + HEAD + b"\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"\xff" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Type: \xff/\xff; charset=\xff\r\nContent-Length: -1\r\n" + HEAD + b"\r\n",
]


async def odd_bytes(port: int) -> None:
    for request in ODD:
        with suppress(TimeoutError, OSError):
            reader, writer = await connect(port)
            writer.write(request)
            await asyncio.wait_for(reader.read(65536), 2)
            writer.close()


async def api_requests(port: int) -> None:
    """The launcher's own API, without a login."""
    body = b'{"choices": {}}'
    head = b"POST /oneclick/api/launch HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    await answered(port, head + HEAD + b"\r\n" + body)


HANDSHAKE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + HEAD + b"\r\n"
)


async def websockets(port: int) -> None:
    await answered(port, b"GET /queue/join HTTP/1.1\r\n" + HANDSHAKE)


async def silent_websockets(port: int) -> None:
    """The one that everybody may have."""
    reader, writer = await connect(port)
    writer.write(b"GET /oneclick/alive HTTP/1.1\r\n" + HANDSHAKE)
    with suppress(TimeoutError):
        while await asyncio.wait_for(reader.read(1000), 60):
            pass
    writer.close()


async def uploads(port: int) -> None:
    _, writer = await connect(port)
    writer.write(b"POST /upload HTTP/1.1\r\nContent-Length: 1000000000\r\n" + HEAD + b"\r\n")
    for _ in range(1000):
        writer.write(bytes(1 << 20))
        await writer.drain()
    writer.close()


async def pipelines(port: int) -> None:
    """Thousands of requests in one go on one connection."""
    reader, writer = await connect(port)
    writer.write((b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n") * 20_000)
    while await asyncio.wait_for(reader.read(1 << 20), 30):
        pass
    writer.close()


async def connections(port: int) -> None:
    _, writer = await connect(port)
    writer.transport.abort()


@dataclass(frozen=True)
class Attack:
    what: str
    one: Callable[[int], Awaitable[None]]
    many: int  # connections at once


async def nothing(port: int) -> None:
    """The owner alone, to compare with."""
    await asyncio.sleep(0.1)


ATTACKS: Final = {
    "nothing": Attack("nobody attacks", nothing, 1),
    "guesses": Attack("100 connections guess the password at full speed", guesses, 100),
    "guesses-basic": Attack("100 connections guess it as programs do", guesses_with_basic, 100),
    "zipped": Attack("bodies of zipped zeros, 20 connections", zipped_bodies, 20),
    "silence": Attack("1,100 silent connections", silence, 1100),
    "unfinished": Attack("300 connections with headers that never end", unfinished_headers, 300),
    "slow": Attack("500 connections with a header each 0.3 s", slow_headers, 500),
    "endless": Attack("500 login forms that are never whole", endless_logins, 500),
    "odd": Attack("odd bytes, charsets, forms, addresses, 20 connections", odd_bytes, 20),
    "api": Attack("100 connections ask the launcher's own API", api_requests, 100),
    "websockets": Attack("50 connections ask for WebSockets", websockets, 50),
    "silent-websockets": Attack("500 WebSockets that say nothing", silent_websockets, 500),
    "uploads": Attack("uploads at full speed, 8 connections", uploads, 8),
    "pipelines": Attack("20,000 requests at once on a connection, 4 connections", pipelines, 4),
    "connections": Attack("20 connect and go, at full speed", connections, 20),
}


async def attack(name: str, port: int, seconds: float) -> None:
    """One attack, for so many seconds."""
    chosen = ATTACKS[name]
    end = time.monotonic() + seconds
    print("go", flush=True)  # on a busy machine a process needs seconds to start

    async def again_and_again() -> None:
        while time.monotonic() < end:
            try:
                await chosen.one(port)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.1)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(again_and_again() for _ in range(chosen.many)))


# ---- the owner


@dataclass(frozen=True)
class Noticed:
    """What the owner of the door noticed during an attack."""

    pages: list[float]  # seconds
    failed: int
    image: float  # seconds that its image came late through the WebSocket; infinity if it did not come
    login: float  # seconds; infinity if it was refused
    memory: float  # MB, the most
    log_a_minute: float  # bytes

    @property
    def median(self) -> float:
        return statistics.median(self.pages) if self.pages else float("inf")

    @property
    def worst(self) -> float:
        return max(self.pages) if self.pages and not self.failed else float("inf")


class Owner:
    """A door of some version with the stand-in web UI behind it, and the person who uses both."""

    def __init__(self, folder: Path, package: Path = ROOT, files: int = 1024) -> None:
        self.session = folder / "session"
        self.session.mkdir(mode=0o700)
        self.login = Login.of_this_launch(self.session / "login.json")
        self.webui = WebUIAlone(folder / "webui")
        forward = {"port": self.webui.port, "api": True}
        write_safely(self.session / "forward.json", json.dumps(forward))
        before = {"webui_port": self.webui.port, "api": True, "steps": []}  # up to 1.2.0
        write_safely(self.session / "board.json", json.dumps(before))
        self.log = self.session / "door.log"
        access = package / "launcher" / "access"
        module = "launcher.access.proxy" if (access / "auth.py").exists() else "launcher.access.door"
        program = ["-m", module] if access.exists() else ["-c", OLD_DOOR]
        with self.log.open("wb") as log:
            self._door = subprocess.Popen(
                ["prlimit", f"--nofile={files}:", sys.executable, *program, str(self.session), "0"],
                cwd=package,
                stdout=log,
                stderr=log,
            )
        while not (self.session / "door.json").exists():
            time.sleep(0.02)
        self.port = int(json.loads((self.session / "door.json").read_text())["port"])
        self.headers = {"Cookie": f"__Host-oneclick={self.login.cookie}; oneclick={self.login.cookie}"}

    def page(self) -> float:
        """Seconds for the web UI's page, on a new connection."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/", headers=self.headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200 or b"window.gradio_config" not in body or not body.endswith(b"</html>"):
            raise OSError(f"the page was answered with {answer.status}")
        return time.perf_counter() - began

    def log_in(self) -> float:
        """Seconds for a login with the right password."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        form = f"user=user&password={self.login.password}"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/oneclick/login", form, kind)
        status = connection.getresponse().status
        connection.close()
        return time.perf_counter() - began if status == 303 else float("inf")

    def begin_image(self, steps: int) -> Callable[[], float]:
        """Start an image as gradio's page does; return what waits for it and gives the seconds it came late.

        Its WebSocket is open until then.
        """
        url = f"ws://127.0.0.1:{self.port}/queue/join"
        opened = websocket.create_connection(url, header=self.headers, timeout=20 + steps * STEP)
        place = {"fn_index": 0, "session_hash": "owner"}
        answers = {"send_hash": place, "send_data": {**place, "data": ["a lighthouse", steps], "event_data": None}}

        def heard(wanted: str) -> dict[str, Any]:
            while True:
                told: dict[str, Any] = json.loads(opened.recv())
                if told["msg"] in answers:
                    opened.send(json.dumps(answers[told["msg"]]))
                if told["msg"] == wanted:
                    return told

        heard("process_starts")
        began = time.perf_counter()

        def wait() -> float:
            image = heard("process_completed")["output"]["data"][0]
            opened.close()
            if not image.startswith("data:image/png"):
                raise OSError("no image came")
            return time.perf_counter() - began - steps * STEP

        return wait

    def during(self, name: str, seconds: float) -> Noticed:
        """Use it while strangers attack."""
        log, pages, failed, memory = self.log.stat().st_size, [], 0, 0.0
        wait_for_image = self.begin_image(max(1, round((seconds - 1) / STEP)))
        command = [sys.executable, "-m", "tests.programs.attacks", "--attack", name, str(self.port), str(seconds)]
        strangers = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert strangers.stdout is not None
        strangers.stdout.readline()
        door, login, image = psutil.Process(self._door.pid), [float("inf")], [float("inf")]

        def note(seconds: list[float], act: Callable[[], float]) -> None:
            with suppress(OSError, http.client.HTTPException, websocket.WebSocketException):
                seconds[0] = act()

        meanwhile = [
            threading.Thread(target=note, args=(image, wait_for_image), daemon=True),
            threading.Timer(1, note, (login, self.log_in)),
        ]
        for thread in meanwhile:
            thread.start()
        time.sleep(1)
        while strangers.poll() is None:
            try:
                pages.append(self.page())
            except (OSError, http.client.HTTPException):
                failed += 1
            memory = max(memory, door.memory_info().rss / 1e6)
            time.sleep(0.05)
        for thread in meanwhile:
            thread.join(30)
        if self._door.poll() is not None:
            raise RuntimeError(f"the door ended with {self._door.returncode}: {self.log.read_text()[-500:]}")
        return Noticed(pages, failed, image[0], login[0], memory, (self.log.stat().st_size - log) * 60 / seconds)

    def close(self) -> None:
        self._door.terminate()
        self._door.wait(10)
        self.webui.close()


def notice(name: str, package: Path, seconds: float) -> Noticed:
    """One attack on one version."""
    with tempfile.TemporaryDirectory() as folder:
        owner = Owner(Path(folder), package)
        try:
            return owner.during(name, seconds)
        finally:
            owner.close()


def row(name: str, noticed: Noticed) -> str:
    """It in numbers."""
    median, worst, image = (
        f"{1000 * seconds:.0f} ms" if seconds < float("inf") else "never"
        for seconds in (noticed.median, max(noticed.pages, default=float("inf")), noticed.image)
    )
    login = f"{noticed.login:.2f} s" if noticed.login < float("inf") else "refused"
    numbers = f"{len(noticed.pages)} | {noticed.failed} | {median} | {worst} | {image} | {login}"
    text = f"| {ATTACKS[name].what} | {numbers} | {noticed.memory:.0f} MB | {noticed.log_a_minute / 1000:.1f} kB |"
    print(text, flush=True)
    return text


def table(noticed: dict[str, Noticed]) -> list[str]:
    head = "| attack | pages | lost | median | worst | the image, late by | a login | memory | log a minute |"
    return [head, "|" + " --- |" * (head.count("|") - 1), *(row(name, seen) for name, seen in noticed.items())]


def out_of_bounds(noticed: dict[str, Noticed]) -> list[str]:
    """The attacks that the owner noticed."""
    return [
        name
        for name, seen in noticed.items()
        if seen.median > MOST_MEDIAN
        or seen.worst > MOST_WORST
        or seen.image == float("inf")
        or seen.login == float("inf")
        or seen.memory > MOST_MEMORY
        or seen.log_a_minute > MOST_LOG
    ]


# Read in huggingface/frp b10131f (frp 0.44, gradio's own copy) and in cloudflared 2026.8.2.
THROUGH: Final = [
    "## What of it gets through a link",
    "From the public code of both. Before gradio's stands an nginx (its error pages say so) that may hold back more, "
    "and there is no code of Colab's own link; programs on the machine itself can do all of it.",
    "",
    "| what a stranger does | gradio | cloudflared |",
    "| --- | --- | --- |",
    "| says nothing, or a head slowly or by half | no: frps asks for a connection once it has read a head "
    "(`pkg/util/vhost/http.go`, `DialContext`); one opened ahead is silent for up to 60 s | no: a request is an HTTP/2 "
    "stream of Cloudflare's (`connection/http2.go`); up to 100 connections are silent for up to 90 s |",
    "| sends odd bytes, two lengths, requests one after the other without waiting | no: Go reads the head and writes "
    "another | no |",
    "| sends a head of more than 64 kB | up to 1 MB (`server/service.go` sets no bound, so it is Go's) | up to "
    "Cloudflare's bound |",
    "| sends a body slowly, without an end, or zipped | yes, as it comes | yes, up to 100 MB |",
    "| asks as often as it can | yes, without a bound | yes, 200 requests at a time |",
    "| comes on a connection where somebody was logged in | yes, connections are kept for 60 s | yes, for 90 s |",
    "| asks for a WebSocket | yes | yes |",
    "| sends `CONNECT`, and then what it likes | yes, bytes pass both ways at once; the answer ends it | no |",
]


def document(seconds: float, now: dict[str, Noticed], before: dict[str, Noticed]) -> str:
    lines = [
        "# What strangers can do, and what the owner notices",
        "",
        f"`make attacks` writes this page. Each attack goes on for {seconds:.0f} s, on one machine with "
        f"{os.cpu_count()} cores that runs the attackers, the door, the web UI behind it (the stand-in, with the real "
        "gradio 3.41.2) and the owner. The owner has an image made, whose WebSocket is open nearly all the time, opens "
        "gradio's page again and again, each time on a new connection, and once logs in with the right password. "
        "`pages` is how many were opened, `lost` how many failed; `memory` is the most the door's process had.",
        "",
        "It fails if a page, the image or the login is lost, if a page takes more than "
        f"{MOST_WORST * 1000:.0f} ms, if the median is over {MOST_MEDIAN * 1000:.0f} ms, the memory over "
        f"{MOST_MEMORY:.0f} MB or the log over {MOST_LOG / 1000:.0f} kB a minute.",
        "",
        *table(now),
    ]
    lines += ["", *THROUGH]
    if before:
        lines += [
            "",
            "The same attacks on the version of 24 November 2026 (ca7154c), before strangers were bounded:",
            "",
        ]
        lines += table(before)
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attack", nargs=3, metavar=("NAME", "PORT", "SECONDS"))
    parser.add_argument("--before", type=Path, help="the folder of another version's package")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", nargs="*", default=list(ATTACKS))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.attack:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        asyncio.run(attack(options.attack[0], int(options.attack[1]), float(options.attack[2])))
    else:
        now = {name: notice(name, ROOT, options.seconds) for name in options.only}
        before = (
            {name: notice(name, options.before, options.seconds) for name in options.only} if options.before else {}
        )
        text = document(options.seconds, now, before)
        if options.write:
            options.write.write_text(text)
        noticed = out_of_bounds(now)
        sys.exit(f"the owner noticed: {', '.join(noticed)}" if noticed else 0)


if __name__ == "__main__":
    main()
