"""The table of bombs: what a server can send to fill memory or disk, or to wait for ever; docs/dev/downloads.md.

`python -m tests.models.bombs` runs them all in one process, whose memory and disk are measured, and prints JSON.
"""

import gzip
import json
import os
import resource
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import pytest

from launcher.core.folder import PART
from launcher.core.problem import Problem
from launcher.models.download import download
from launcher.models.http import ask_list, probe, read_range, until_stopped
from launcher.models.remote import Interrupted, Remote
from launcher.models.sources.direct import address_in_form
from tests.conftest import ROOT
from tests.models.downloading import OWN
from tests.models.fetching import hurry
from tests.world import safetensors
from tests.world.disks import disk
from tests.world.heard import Heard

Write = Callable[[bytes], object]
STOP_AFTER: Final = 1.0  # seconds: then ■ is pressed
TOO_SLOW: Final = "far too slowly"
PATIENCE: Final = 3.0  # seconds that a question may take here; `LONGEST_QUESTION` in a launch
MEMORY: Final = 2 << 30  # bytes that the process may have at most
OK: Final = b"HTTP/1.1 200 OK\r\n"
NO_DISK: Final = "(no disk can be mounted here)"
PIECE: Final = b"x" * (64 << 10)


def endless(write: Write, piece: bytes = PIECE) -> None:
    while True:
        write(piece)
        time.sleep(0.0005)


def endless_digits(write: Write) -> None:
    endless(write, b"1" * len(PIECE))


def drip(write: Write, piece: bytes = b"x") -> None:
    while True:
        write(piece)
        time.sleep(0.2)


def head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def then(*parts: bytes, after: Callable[[Write], None] = lambda write: None) -> Callable[[Write, str], None]:
    """A server that sends these bytes, whatever is asked, and then what `after` does."""

    def serve(write: Write, range_: str) -> None:
        for part in parts:
            write(part)
        after(write)

    return serve


def honest_at_first(answer: Callable[[Write, str], None]) -> Callable[[Write, str], None]:
    """A server that answers the question for the first byte as it should, and everything else like `answer`."""

    def serve(write: Write, range_: str) -> None:
        if range_ == "bytes=0-0":
            write(head("206 Partial", "Content-Range: bytes 0-0/9000000", 'ETag: "1"', "Content-Length: 1") + b"\x80")
        else:
            answer(write, range_)

    return serve


def endless_range(write: Write, range_: str) -> None:
    write(head("206 Partial", f"Content-Range: {range_.replace('=', ' ')}/9000000", 'ETag: "1"'))
    endless(write)


def is_there(url: str, step: Heard, folder: Path) -> None:
    probe(Remote(url, "m.safetensors"))


def first_bytes(url: str, step: Heard, folder: Path) -> None:
    read_range(Remote(url, "m.safetensors"), 0, 512)


def listed(url: str, step: Heard, folder: Path) -> None:
    ask_list(Remote(url, "the list"))


def google_page(url: str, step: Heard, folder: Path) -> None:
    try:
        probe(Remote(url, "m.safetensors", place="Google Drive"))
    except Problem as problem:
        address_in_form(problem.answer.page)  # type: ignore[attr-defined]
        raise


def fetched(url: str, step: Heard, folder: Path) -> None:
    download(probe(Remote(url, "m.ckpt")), folder / "models" / "m.ckpt", where="the disk", own=OWN, step=step)


def fetched_to_small_disk(url: str, step: Heard, folder: Path) -> None:
    with disk(folder / "small", 300 << 20) as small:
        download(probe(Remote(url, "m.ckpt")), small / "models" / "m.ckpt", where="the disk", own=OWN, step=step)


@dataclass(frozen=True)
class Bomb:
    """What the server `does`, how it `serves`, what of the launcher's it is `meets`, and what must be `said`; a row
    whose server never ends by itself is `stopped` by ■.
    """

    does: str
    serves: Callable[[Write, str], None]
    meets: Callable[[str, Heard, Path], None]
    says: str
    stopped: bool = False


def gzipped(count: int) -> bytes:
    return gzip.compress(bytes(1 << 20), 9) * (count >> 20)  # members one behind the other


PAGE: Final = ("Content-Type: text/html",)
GZIP: Final = ("Content-Encoding: gzip", "Content-Type: application/json")
BOMBS: Final = (
    Bomb("a range without an end", endless_range, first_bytes, ""),
    Bomb("a refusal whose page has no end", then(head("403 No", *PAGE), after=endless), is_there, "denies access"),
    Bomb("a redirect with a body without an end",
        then(head("302 Found", "Location: /again"), after=endless), is_there, "in a circle"),
    Bomb("redirects in a circle", then(head("302 Found", "Location: /again", "Content-Length: 0")), is_there, "in a circle"),
    Bomb("a redirect to no address", then(head("302 Found", "Location: http://[", "Content-Length: 0")), is_there,
        "impossible address"),
    Bomb("a redirect in bytes that are no letters", then(head("302 Found", "Location: /\xff\xfe", "Content-Length: 0")),
        is_there, "impossible address"),
    Bomb("a list without an end", then(head("200 OK", "Content-Type: application/json"), b"[", after=endless), listed,
        "far too much"),
    Bomb("a list of 200,000 levels", then(head("200 OK"), b"[" * 200_000), listed, "makes no sense"),
    Bomb("a list with a number of a million digits", then(head("200 OK"), b"[" + b"9" * 1_000_000 + b"]"), listed,
        "makes no sense"),
    Bomb("a list of 2 MB that unpacks to 2 GB", then(head("200 OK", *GZIP), gzipped(2 << 30)), listed, "packed"),
    Bomb("a page of 2 MB that unpacks to 2 GB", then(head("404 No", *GZIP), gzipped(2 << 30)), is_there, "is no longer there"),
    Bomb("a file of 2 MB that unpacks to 2 GB", then(head("200 OK", *GZIP), gzipped(2 << 30)), fetched, "packed"),
    Bomb("a range that is packed", honest_at_first(then(head("206 Partial", *GZIP, "Content-Range: bytes 0-8999999/9000000"),
        gzipped(2 << 30))), fetched, "packed"),
    Bomb("a hundred headers too many", then(head("200 OK", *("X: y",) * 300)), is_there, "does not answer"),
    Bomb("a header of 10 MB", then(head("200 OK", f"X: {'y' * 10_000_000}")), is_there, "does not answer"),
    Bomb("a first line without an end", then(b"HTTP/1.1 200 ", after=endless), is_there, "does not answer"),
    Bomb("a chunk whose length has no end", then(head("200 OK", "Transfer-Encoding: chunked"), after=endless_digits), fetched,
        "does not answer"),
    Bomb("a list in a chunk of a million GB", then(head("200 OK", "Transfer-Encoding: chunked"), b"fffffffffffff\r\n",
        after=endless), listed, "far too much"),
    Bomb("a reason of a million letters", then(head("403 No", "Content-Type: text/plain"), b"y" * 1_000_000), is_there,
        "denies access"),
    Bomb("a file name of 60,000 letters",
        then(head("200 OK", f'Content-Disposition: attachment; filename="{";" * 30_000}"', "Content-Length: 0")), is_there, ""),
    Bomb("a page of 40,000 forms", then(head("200 OK", *PAGE), b"<form " * 40_000), google_page, "leads to a web page"),
    Bomb("a page of 200,000 tags without an end", then(head("200 OK", *PAGE), b"<" * 200_000), google_page, "web page"),
    Bomb("a page of a form of 30,000 actions", then(head("200 OK", *PAGE), b'<form action="' * 30_000), google_page, "web page"),
    Bomb("a file of a million GB", then(head("200 OK", "Content-Length: 999999999999999"), after=endless), fetched,
        "needs 1000000.0 GB"),
    Bomb("a file of unknown length without an end, 300 MB are free",
        then(head("200 OK"), safetensors(900)[:8], after=endless), fetched_to_small_disk, "has only"),
    Bomb("a file of unknown length without an end",
        then(head("200 OK"), safetensors(900)[:8], after=endless), fetched, "", stopped=True),
    Bomb("a range of a file that goes on behind its end", honest_at_first(endless_range), fetched, ""),
    Bomb("ranges no, and more than the length it stated", honest_at_first(then(head("200 OK", 'ETag: "1"'), after=endless)),
        fetched, "sends more than"),
    Bomb("one byte each fifth of a second, of a page", then(head("404 No", *PAGE, "Content-Length: 100000"), after=drip),
        is_there, TOO_SLOW),
    Bomb("one byte each fifth of a second, of its headers", then(OK, after=drip), is_there, TOO_SLOW),
    Bomb("one byte each fifth of a second, of a list", then(head("200 OK", "Content-Length: 9000"), after=drip), listed,
        TOO_SLOW),
    Bomb("nothing at all", lambda write, range_: time.sleep(3600), is_there, "", stopped=True),
    Bomb("ranges without a byte", honest_at_first(lambda write, range_: time.sleep(3600)), fetched, "", stopped=True),
)  # fmt: skip


@dataclass(frozen=True)
class Effect:
    """What a bomb did: memory and disk at most (bytes), what stays on the disk, seconds, seconds from ■ to the end."""

    memory: int
    disk: int
    stays: int
    seconds: float
    heard_after: float | None
    said: str


@contextmanager
def serving(serves: Callable[[Write, str], None]) -> Iterator[str]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                lines = iter(lambda: self.rfile.readline().decode("latin-1").strip(), "")
                headers = dict(line.partition(": ")[::2] for line in lines)
                serves(self.wfile.write, headers.get("Range", ""))

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket.settimeout(1)  # a client may be gone before it was accepted
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/m"
    server.shutdown()


def most_memory(reset: bool = False) -> int:
    """The most memory that this process had since it was reset, in bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def on_disk(folder: Path) -> int:
    sizes = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            sizes.append(path.stat().st_blocks * 512 if path.suffix == PART else 0)
    return sum(sizes)


def effect_of(bomb: Bomb, folder: Path) -> Effect:
    heard, over, disks, said, pressed = Heard(), threading.Event(), [0], "", list[float]()
    before, began = most_memory(reset=True), time.monotonic()

    def press() -> None:
        pressed.append(time.monotonic())
        heard.stop.set()

    def watch() -> None:
        while not over.wait(0.02):
            disks.append(on_disk(folder))

    timer, watcher = threading.Timer(STOP_AFTER if bomb.stopped else 600, press), threading.Thread(target=watch)
    timer.start()
    watcher.start()
    try:
        with serving(bomb.serves) as url:
            patience = PATIENCE if bomb.says == TOO_SLOW else inf
            until_stopped(heard.stop, lambda: bomb.meets(url, heard, folder), patience)
    except Problem as problem:
        said = f"{problem.what} {problem.do}"
    except Interrupted:
        said = "(stopped)"
    except pytest.skip.Exception:
        said = NO_DISK
    seconds = time.monotonic() - began
    over.set()
    timer.cancel()
    watcher.join()
    heard_after = time.monotonic() - pressed[0] if pressed else None
    time.sleep(0.2)  # what was left behind by a thread that nobody waits for would come now
    return Effect(most_memory() - before, max(disks), on_disk(folder), seconds, heard_after, said)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    effects = []
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        patch.setattr("random.uniform", lambda low, high: 0.01)
        for bomb in BOMBS:
            with tempfile.TemporaryDirectory() as folder:
                effects.append(asdict(effect_of(bomb, Path(folder))))
    print(json.dumps(effects))
    sys.stdout.flush()
    os._exit(0)  # threads of servers that never end are left


def effects() -> dict[Bomb, Effect]:
    """Every bomb's effect, from a process of its own."""
    told: list[dict[str, Any]] = json.loads(
        subprocess.run(
            [sys.executable, "-m", "tests.models.bombs"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=900
        ).stdout.splitlines()[-1]
    )  # fmt: skip
    return {bomb: Effect(**one) for bomb, one in zip(BOMBS, told, strict=True)}


def table() -> list[str]:
    """The rows of docs/dev/downloads.md."""
    rows = []
    for bomb, effect in effects().items():
        heard = "" if effect.heard_after is None else f"{effect.heard_after:.1f} s"
        figures = f"{effect.memory / 1e6:.0f} MB | {effect.disk / 1e6:.0f} MB | {effect.stays / 1e6:.0f} MB"
        rows.append(f"| {bomb.does} | {figures} | {effect.seconds:.1f} s | {heard} | {effect.said} |")
    return rows


if __name__ == "__main__":
    main()
