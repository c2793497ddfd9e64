"""`make bench`: ratios measured in one run against the real tools, interleaved, medians; written to docs/dev/benchmarks.md.

Timings of this machine mean little by themselves: it is noisy and its link is fast. The ratios are what counts.
"""

import argparse
import asyncio
import datetime
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import requests

from launcher.access.auth import COOKIE, Login
from launcher.core.folder import write_safely
from launcher.models.download import download
from launcher.models.remote import Remote
from launcher.notebook.build import notebook_text
from tests.conftest import ROOT
from tests.programs.bench_growth import growth
from tests.programs.bench_launches import Row, launch_works, next_run_real
from tests.programs.bench_new_machine import new_machine_rows
from tests.programs.bench_packages import environment_rows
from tests.programs.bench_press import press_rows
from tests.programs.marks import rewrite
from tests.programs.prepare import system_packages
from tests.world.heard import Heard

REPEATS = 5
BIG = 500 << 20
DOWNLOAD = 600_000_000
PAGE = ROOT / "docs" / "dev" / "benchmarks.md"
MARK, GROWTH_MARK = "<!-- made by make bench -->", "<!-- drawn by make bench -->"
T = TypeVar("T")

FILES = """
user root; daemon off; pid {folder}/files.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; default_type application/octet-stream; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; {limit} add_header X-Repo-Commit aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; }}
}}
"""

UPSTREAM = """
import asyncio, sys
from aiohttp import web
async def take(request):
    size = 0
    async for piece in request.content.iter_any(): size += len(piece)
    return web.json_response({"size": size})
async def socket(request):
    s = web.WebSocketResponse(); await s.prepare(request)
    async for m in s: await s.send_str(m.data)
    return s
app = web.Application(client_max_size=1 << 40)
app.router.add_post("/take", take); app.router.add_get("/ws", socket)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""

NGINX = """
user root; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; default_type application/octet-stream;
  server {{ listen 127.0.0.1:{files}; root {folder}/www; location /take {{ proxy_pass http://127.0.0.1:{upstream}; proxy_request_buffering off; }}
           location /ws {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}
  server {{ listen 127.0.0.1:{proxy}; location / {{ proxy_pass http://127.0.0.1:{files}; proxy_http_version 1.1; proxy_max_temp_file_size 0; proxy_request_buffering off; }} }}
}}
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def medians(ways: dict[str, Callable[[], float]], repeats: int = REPEATS) -> dict[str, tuple[float, float]]:
    """Each way's median and spread (max - min) over `repeats` rounds, one of each in turn."""
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # warm
    for _ in range(repeats):
        for name, way in ways.items():
            seen[name].append(way())
    return {name: (statistics.median(values), max(values) - min(values)) for name, values in seen.items()}


class Doors:
    """A file server, nginx as proxy in front of it, and our door in front of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files, upstream, proxy = free_ports(3)
        (folder / "www").mkdir()
        (folder / "www" / "small").write_bytes(b"x" * 200)
        with (folder / "www" / "big").open("wb") as file:
            file.truncate(BIG)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, files=files, upstream=upstream, proxy=proxy))
        session = folder / "session"
        session.mkdir()
        login = Login.of_this_launch(session / "login.json")
        write_safely(session / "forward.json", json.dumps({"port": files, "api": True}))
        self.processes = [
            subprocess.Popen([sys.executable, "-c", UPSTREAM, str(upstream)]),
            subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL),
            subprocess.Popen([sys.executable, "-m", "launcher.access.proxy", str(session), "0"], cwd=ROOT),
        ]
        while not (session / "door.json").exists():
            time.sleep(0.05)
        time.sleep(1)
        door = json.loads((session / "door.json").read_text())["port"]
        self.headers = {"Cookie": f"{COOKIE}={login.cookie}"}
        self.urls = {
            "direct": f"http://127.0.0.1:{files}",
            "nginx": f"http://127.0.0.1:{proxy}",
            "door": f"http://127.0.0.1:{door}",
        }

    def small(self, way: str) -> Callable[[], float]:
        session = requests.Session()
        session.headers.update(self.headers)

        def once() -> float:
            times = []
            for _ in range(200):
                began = time.perf_counter()
                session.get(f"{self.urls[way]}/small", timeout=30).raise_for_status()
                times.append(time.perf_counter() - began)
            return statistics.median(times) * 1000

        return once

    def get(self, way: str) -> Callable[[], float]:
        def once() -> float:
            began = time.perf_counter()
            subprocess.run(
                ["curl", "-sSf", "-H", f"Cookie: {self.headers['Cookie']}", "-o", "/dev/null", f"{self.urls[way]}/big"],
                check=True,
            )
            return BIG / (time.perf_counter() - began) / 1e6

        return once

    def put(self, way: str) -> Callable[[], float]:
        def once() -> float:
            began = time.perf_counter()
            body = [
                "-H",
                "Expect:",
                "-H",
                f"Cookie: {self.headers['Cookie']}",
                "-T",
                str(self.folder / "www" / "big"),
                "-X",
                "POST",
            ]
            subprocess.run(["curl", "-sSf", *body, "-o", "/dev/null", f"{self.urls[way]}/take"], check=True)
            return BIG / (time.perf_counter() - began) / 1e6

        return once

    def memory_with_tabs(self, tabs: int) -> tuple[float, float]:
        """(MB before, MB with so many tabs open: a WebSocket and two requests each)."""

        def memory() -> float:
            text = Path(f"/proc/{self.processes[2].pid}/status").read_text()
            return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1000

        async def open_tabs() -> float:
            async with aiohttp.ClientSession(headers=self.headers) as client:
                sockets = [await client.ws_connect(f"{self.urls['door']}/ws") for _ in range(tabs)]
                for tab in sockets:
                    await tab.send_str("x" * 10_000)
                    await tab.receive_str()
                    for _ in range(2):
                        async with client.get(f"{self.urls['door']}/small") as answer:
                            await answer.read()
                used = memory()
                for tab in sockets:
                    await tab.close()
                return used

        return memory(), asyncio.run(open_tabs())

    def small_with_tabs(self, tabs: int) -> float:
        """ms of a small request, the median, while so many tabs ask for something all the time."""

        async def ask_all() -> float:
            times: list[float] = []
            end = time.monotonic() + 3

            async def tab(client: aiohttp.ClientSession) -> None:
                while time.monotonic() < end:
                    began = time.perf_counter()
                    async with client.get(f"{self.urls['door']}/small") as answer:
                        await answer.read()
                    times.append(time.perf_counter() - began)
                    await asyncio.sleep(0.05)

            async with aiohttp.ClientSession(headers=self.headers) as client:
                await asyncio.gather(*(tab(client) for _ in range(tabs)))
            return statistics.median(times) * 1000

        return asyncio.run(ask_all())

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(10)


def write_model(path: Path, size: int) -> None:
    """A .safetensors file of about `size` bytes, most of which take no room on the disk."""
    header = json.dumps({"model.weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)


def download_seconds(folder: Path, size: int) -> dict[str, float]:
    """Seconds for a file of `size` bytes, without a limit, by tool."""
    folder.mkdir()
    speeds = downloads(folder, 0, ("wget",), size)
    shutil.rmtree(folder)
    return {
        {"launcher": "launcher, with SHA-256", "wget": "wget, unchecked"}[name]: size / 1e6 / speed
        for name, (speed, _) in speeds.items()
    }


def downloads(
    folder: Path, rate: int, peers: tuple[str, ...], wanted: int = DOWNLOAD
) -> dict[str, tuple[float, float]]:
    """MB/s of our download (with SHA-256) and of the peers (without any check) from nginx; `rate` in MB/s a connection,
    0: no limit.
    """
    files = folder / f"files{rate}"
    original = files / "own" / "model" / "resolve" / "main" / "m.safetensors"
    original.parent.mkdir(parents=True)
    write_model(original, wanted)
    (port,) = free_ports(1)
    (folder / f"files{rate}.conf").write_text(
        FILES.format(folder=folder, root=files, port=port, limit=f"limit_rate {rate}m;" if rate else "")
    )
    server = subprocess.Popen(["nginx", "-c", str(folder / f"files{rate}.conf")], stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    url = f"http://127.0.0.1:{port}/own/model/resolve/main/m.safetensors"
    size = original.stat().st_size
    with original.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    target = folder / "got"

    def timed(work: Callable[[], object]) -> Callable[[], float]:
        def once() -> float:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            began = time.perf_counter()
            work()
            return size / (time.perf_counter() - began) / 1e6

        return once

    ways: dict[str, Callable[[], float]] = {
        "launcher": timed(lambda: download(Remote(url, "m.safetensors", size, sha256), target / "m.safetensors", where="disk", own=target / "own", step=Heard())),
        "wget": timed(lambda: subprocess.run(["wget", "-q", "-O", str(target / "m"), url], check=True)),
        "aria2c -x16": timed(lambda: subprocess.run(["aria2c", "-q", "-x16", "-s16", "-k1M", "--file-allocation=none", "-d", str(target), "-o", "m", url], check=True)),
        "huggingface_hub": timed(
            lambda: subprocess.run(
                [sys.executable, "-c", "from huggingface_hub import hf_hub_download; hf_hub_download('own/model', "
                    f"'m.safetensors', local_dir={str(target)!r})"],
                check=True, capture_output=True, env={**os.environ, "HF_ENDPOINT": url.split("/own", maxsplit=1)[0], "HF_HUB_DISABLE_XET": "1"},
            )
        ),
    }  # fmt: skip
    try:
        return medians({name: way for name, way in ways.items() if name == "launcher" or name in peers}, 3)
    finally:
        server.terminate()
        server.wait()


def door_rows(doors: Doors) -> list[Row]:
    """What the door costs."""
    small = medians({way: doors.small(way) for way in doors.urls})
    added = small["door"][0] - small["direct"][0]
    told = f"+{added:.2f} ms (nginx: +{small['nginx'][0] - small['direct'][0]:.2f} ms)"
    rows = [
        ("door, small request, median", "direct, and nginx as proxy", "≤ +2 ms", told, "yes" if added <= 2 else "no")
    ]
    for name, ways in (("download", doors.get), ("upload", doors.put)):
        speed = medians({way: ways(way) for way in doors.urls})
        ratio = speed["door"][0] / speed["nginx"][0]
        told = (
            f"{ratio:.2f} × ({speed['door'][0]:.0f} of {speed['nginx'][0]:.0f} MB/s, spread "
            f"{speed['door'][1]:.0f}; "
            f"direct {speed['direct'][0]:.0f})"
        )
        rows.append((f"door, 500 MB {name}", "nginx as proxy", "≥ 0.5 ×", told, "yes" if ratio >= 0.5 else "no"))
    before, after = doors.memory_with_tabs(20)
    return [*rows, ("door, 20 tabs open", "none open", "", f"{after:.0f} MB ({before:.0f} MB before)", "")]


def download_rows(root: Path) -> list[Row]:
    """Our download against every peer, without a limit and with one on each connection."""
    rows = []
    for figure, rate, best, target in (
        ("download, unlimited, with SHA-256", 0, "wget", 0.95),
        ("download, 40 MB/s a connection, with SHA-256", 40, "aria2c -x16", 1.0),
    ):
        speeds = downloads(root, rate, ("wget", "aria2c -x16", "huggingface_hub"))
        ratio = speeds["launcher"][0] / speeds[best][0]
        others = ", ".join(f"{name} {speed:.0f}" for name, (speed, _) in speeds.items())
        rows.append(
            (figure, best, f"≥ {target} ×", f"{ratio:.2f} × (MB/s: {others})", "yes" if ratio >= target else "no")
        )
    return rows


def build_row(root: Path) -> list[Row]:
    """How long `make notebook` takes."""
    began = time.perf_counter()
    notebook_text()
    took = time.perf_counter() - began
    return [("building the notebook", "", "< 2 s", f"{took:.2f} s", "yes" if took < 2 else "no")]


def with_doors(work: Callable[[Doors], T]) -> T:
    """Do `work` with the door and its peers open."""
    folder = Path(tempfile.mkdtemp(prefix="bench-doors-"))
    doors = Doors(folder)
    try:
        return work(doors)
    finally:
        doors.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    works: dict[str, Callable[[Path], list[Row]]] = {
        "environment": environment_rows,
        **launch_works(),
        "press": press_rows,
        "doors": lambda root: with_doors(door_rows),
        "downloads": download_rows,
        "notebook": build_row,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstreams", type=Path, help="bare repositories OWNER/NAME.git: the real A1111 too")
    parser.add_argument(
        "--only",
        action="append",
        choices=[*works, "real", "new-machine", "growth"],
        help="measure these anew; the other rows of the page stay",
    )
    options = parser.parse_args()
    if options.upstreams:
        works["real"] = lambda root: next_run_real(root, options.upstreams.resolve())
        works["new-machine"] = lambda root: new_machine_rows(root, options.upstreams.resolve())
    wanted = options.only or [*works, "growth"]
    programs = {"nginx": "nginx-light", "aria2c": "aria2", "wget": "wget", "curl": "curl", "zstd": "zstd"}
    system_packages([package for program, package in programs.items() if not shutil.which(program)])
    for name, work in works.items():
        if name in wanted:
            root = Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
            try:
                keep_rows(work(root))
            finally:
                shutil.rmtree(root, ignore_errors=True)
    if "growth" in wanted:
        rewrite(PAGE, GROWTH_MARK, "## How each grows\n" + with_doors(lambda doors: growth(doors, download_seconds)))


def keep_rows(rows: list[Row]) -> None:
    """Put rows into the page's table, each with its day, in place of those with the same figure."""
    old = dict(re.findall(r"^(\| ([^|]+) \| .*)$", PAGE.read_text().split(MARK)[1], re.MULTILINE)[2:])
    table = {figure: line for line, figure in old.items()}
    for row in rows:
        table[row[0]] = f"| {' | '.join((*row, str(datetime.date.today())))} |"
        print(table[row[0]], flush=True)
    machine = (
        f"{os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}; "
        "interleaved rounds, medians."
    )
    head = [
        "| figure | peer in the same run | target | measured | met | day |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rewrite(PAGE, MARK, "\n".join([machine, "", *head, *table.values()]))


if __name__ == "__main__":
    main()
