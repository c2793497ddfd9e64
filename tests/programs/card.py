"""`make card`: what only a real card shows, in three minutes (`python3 -m tests.programs.card [--only WORD]`).

Needs a Python with torch and this repository, no network. A program that uses torch as A1111 does, and tells of its
errors in A1111's words, stands in the web UI's place. Without a card it is a rehearsal: what needs one is left out.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch  # type: ignore[import-not-found]  # of the machine with the card

from launcher.colab.machine import ask_for_card, look_at_machine
from launcher.core.folder import Folder
from launcher.core.status import Status
from launcher.launch.card import compare_card, look_for_card
from launcher.launch.launch import Launch
from launcher.python import probe
from launcher.python.environment import (
    DRIVER,
    Finished,
    driver_of_card,
    foreign_libraries,
    system_finds,
    webui_environment,
    write_finished,
)
from launcher.python.inspection import Inspection, inspect_packages
from launcher.python.uv import site_packages
from launcher.webui.known_faults import RAM
from launcher.webui.process import Plan, WebUI

CARD: Final = torch.cuda.is_available()
SITE: Final = Path(torch.__file__).parents[1]
KILLS: Final = 5
# A1111's place: the lines of v1.10.1, with torch's real errors. GET /paint?GB paints, /lose loses the card.
PROGRAM: Final = r"""
import http.server, sys, textwrap, threading, time, traceback
import torch
device = "cuda" if torch.cuda.is_available() else "cpu"
print("Launching Web UI with arguments:", *sys.argv[1:])
print("Loading weights [6ce0161689] from /models/random.safetensors")
held = []
def take(gigabytes):
    held.append(torch.empty(int(gigabytes * 1e9), dtype=torch.uint8, device=device).fill_(1))
    if device == "cuda":
        torch.cuda.synchronize()
try:
    take(float(sys.argv[1]))
    print("Model loaded in 1.0s (stand-in).")
except Exception as error:
    print(f"loading stable diffusion model: {type(error).__name__}", traceback.format_exc(), sep="\n")
    print("Stable diffusion model failed to load")
class Page(http.server.BaseHTTPRequestHandler):
    def log_message(self, *said): pass
    def do_GET(self):
        try:
            if self.path == "/lose":
                index = torch.tensor([99], device=device)
                print(torch.zeros(3, device=device)[index], file=sys.stderr)
            for step in range(20):
                print(f"\r{5 * step:3}%|██▍       | {step}/20 [00:01<00:03, 14.51it/s]\x1b[A", end="", flush=True)
                time.sleep(0.02)
            take(float(self.path.partition("?")[2] or 0.1))
            del held[1:]
            print("\n\rTotal progress: 100%|██████████| 20/20 [00:01<00:00, 14.51it/s]")
            self.send_response(200)
        except Exception:
            del held[1:]
            print("*** Error completing request", "*** Arguments: ('x', '', [], 1, 4, 7.0, 2048, 2048, 0) {}", sep="\n")
            print(textwrap.indent(traceback.format_exc(), "    "), "---", sep="\n")
            self.send_response(500)
        self.end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[-1])), Page)
print("Startup time: 1.0s (stand-in).")
server.serve_forever()
"""
TAKES_ALMOST_ALL: Final = """
import sys, time, torch
free = torch.cuda.mem_get_info()[0]
held = torch.empty(free - 1_500_000_000, dtype=torch.uint8, device="cuda").fill_(1)
torch.cuda.synchronize()
print("taken", flush=True)
time.sleep(300)
"""


class Trial:
    """Where it is tried: a folder whose Python is this one."""

    def __init__(self, root: Path) -> None:
        self.failed = 0
        (root / "drive").mkdir(parents=True)
        self.folder = Folder(root / "drive" / "asd1111" / "stable-diffusion-webui", root / "machine")
        self.folder.prepare()
        self.folder.code.mkdir(parents=True)
        (self.folder.code / "launch.py").write_text(PROGRAM)
        python = self.folder.python / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')  # a link would leave its packages behind
        python.chmod(0o700)
        site_packages(self.folder).parent.mkdir(parents=True)
        site_packages(self.folder).symlink_to(SITE)
        self.forget()

    def forget(self) -> None:
        """The next inspection is one."""
        wanted = [f"{name}==0" for name in ("torch", "numpy")]
        write_finished(self.folder, Finished(wanted, {}, []))

    def say(self, right: bool, what: str, told: object) -> None:
        self.failed += not right
        print(f"{'✓' if right else '✗'} {what}: {told}", flush=True)

    def launch(self) -> Launch:
        made = Launch({}, look_at_machine(), Status("Card"), lambda kind: {})
        made.prepare()
        return made

    @contextmanager
    def webui(self, gigabytes: float, *, ready: bool = True) -> Iterator[WebUI]:
        """The stand-in, which holds so much of the card's memory."""
        webui = WebUI(self.folder)
        webui.start(Plan(self.folder.python / "bin" / "python", (str(gigabytes),), webui_environment(self.folder)))
        try:
            end = time.monotonic() + 90
            while ready and not webui.ready:
                if not webui.running or time.monotonic() > end:
                    raise RuntimeError(webui.last_words[-2000:])
                time.sleep(0.05)
            yield webui
        finally:
            webui.stop()


def get(webui: WebUI, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{webui.port}{path}", timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    began = time.monotonic()
    found = work()
    return round(time.monotonic() - began, 2), found


# ---- the parts


def nvidia_smi(trial: Trial) -> None:
    """What nvidia-smi says, and how long it takes."""
    took, card = seconds(lambda: ask_for_card(lambda: False))
    trial.say(bool(getattr(card, "name", "")) == CARD, f"nvidia-smi after {took} s", card)


def look(trial: Trial) -> None:
    """The inspection by itself, twice, and beside a web UI that starts."""
    for what in ("cold", "warm"):
        took, found = seconds(lambda: inspect_packages(trial.folder))
        assert isinstance(found, Inspection)
        trial.say(found.cause is None and bool(found.card) == CARD, f"the look, {what}, {took} s", found)
    with trial.webui(8 if CARD else 0.1, ready=False):
        took, found = seconds(lambda: inspect_packages(trial.folder))
        trial.say(isinstance(found, Inspection) and found.cause is None, f"the look beside a start, {took} s", found)


def views(trial: Trial) -> None:
    """nvidia-smi's view and torch's, where they agree and where a variable hides the card."""
    for value in (None, "", "-1"):
        if value is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = value
        try:
            launch = trial.launch()
            look_for_card(launch)
            seen = launch.machine.gpu
            found = inspect_packages(trial.folder)
            compare_card(launch, found)
            agree, said = bool(launch.machine.gpu) == (CARD and value is None), launch.status.now.notices
            trial.say(agree, f"CUDA_VISIBLE_DEVICES={value!r}: nvidia-smi {seen!r}, torch {found}", said)
        finally:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if CARD:
        hidden = webui_environment(trial.folder) | {"CUDA_VISIBLE_DEVICES": "-1"}
        launch = trial.launch()
        look_for_card(launch)
        command = [sys.executable, str(probe.__file__), "torch"]
        told = subprocess.run(command, env=hidden, capture_output=True, text=True, check=False).stdout
        compare_card(launch, Inspection(no_card=told.strip().splitlines()[-1]))
        trial.say("cannot be used" in str(launch.no_card), "a card that torch is not shown", launch.no_card)


def killed(trial: Trial) -> None:
    """SIGKILL while it paints, five times: the sentence, and how long the exit code is behind the process table."""
    for number in range(KILLS):
        with trial.webui(8 if CARD else 0.1) as webui:
            request = subprocess.Popen(
                ["python3", "-c", f"import urllib.request as u; u.urlopen('http://127.0.0.1:{webui.port}/paint')"],
                stderr=subprocess.DEVNULL,
            )
            time.sleep(0.3)
            os.kill(webui.pid, signal.SIGKILL)
            while webui.running:
                time.sleep(0.0005)
            late, problem = seconds(webui.why_it_ended)
            request.wait(20)
            trial.say(getattr(problem, "what", "") == RAM.what, f"SIGKILL {number + 1}, code {late} s late", problem)


def full_at_load(trial: Trial) -> None:
    """Another program has the card's memory when the model is loaded."""
    command = [sys.executable, "-c", TAKES_ALMOST_ALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout and other.stdout.readline() == "taken\n"
            with trial.webui(8) as webui:
                says = webui.says.read()
                right = says.model is not None and "memory is full" in says.model.problem.what and not says.paints
                trial.say(right, f"the card is full at load ({says.headline})", says.model and says.model.problem)
        finally:
            other.kill()


def full_while_painting(trial: Trial) -> None:
    """An image that the card has no room for, and the next one."""
    with trial.webui(8 if CARD else 0.1) as webui:
        code, says = get(webui, "/paint?900"), webui.says.read()
        trial.say(code == 500 and says.image is not None and says.paints, "an image too large", says.image)
        code, says = get(webui, "/paint?0.1"), webui.says.read()
        trial.say(code == 200 and says.image is None, "the next image takes it back", says.headline)


def lost(trial: Trial) -> None:
    """After an assertion on the card nothing more can be computed."""
    with trial.webui(1) as webui:
        get(webui, "/lose")
        says = webui.says.read()
        trial.say(not says.paints and says.image is not None, f"a lost card ({says.headline})", says.image)
        trial.say(get(webui, "/paint?0.1") == 500, "indeed nothing is painted any more", webui.says.read().headline)


def library_path(trial: Trial) -> None:
    """LD_LIBRARY_PATH leads to the driver and a whole or damaged cuDNN: the web UI computes with its own."""
    found = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    named = [line.rpartition("=> ")[2] for line in found.splitlines() if DRIVER in line]
    places = [*named, *(str(path) for path in Path("/usr/local/nvidia").rglob(DRIVER))]
    print(f"  ldconfig knows {DRIVER}: {system_finds(DRIVER)}; it is at {places}")
    own = SITE / "nvidia" / "cudnn" / "lib"
    silent = trial.folder.machine / "silent"
    silent.mkdir()
    (silent / "ldconfig").write_text("#!/bin/sh\n")
    (silent / "ldconfig").chmod(0o700)
    path = os.environ["PATH"]
    for damaged in (False, True):
        drivers = trial.folder.machine / f"drivers-{damaged}"
        drivers.mkdir()
        (drivers / DRIVER).symlink_to(places[0])
        for file in own.glob("libcudnn*.so.9"):
            shutil.copy(file, drivers)
        if damaged:
            (drivers / "libcudnn_graph.so.9").write_bytes(bytes(4096))
        for knows in (True, False):
            os.environ |= {"LD_LIBRARY_PATH": str(drivers), "PATH": path if knows else f"{silent}:{path}"}
            try:
                trial.forget()
                passed, inspected = driver_of_card(trial.folder), inspect_packages(trial.folder)
                with trial.webui(1) as webui:
                    foreign = foreign_libraries(trial.folder, webui.pid)
                    foreign = [name for name in foreign if not name.startswith(str(SITE))]
            finally:
                os.environ["PATH"] = path
                del os.environ["LD_LIBRARY_PATH"]
            right = inspected.cause is None and bool(inspected.card) and not foreign
            what = f"a {'damaged' if damaged else 'whole'} cuDNN, ldconfig knows the driver: {knows}"
            trial.say(right, f"{what}: {passed}", (inspected, foreign))


PARTS: Final = (nvidia_smi, look, views, killed, full_while_painting)
WITH_A_CARD_ONLY: Final = (full_at_load, lost, library_path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="parts whose name holds this")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name(0) if CARD else 'no card: a rehearsal'}", flush=True)
    failed = 0
    for part in (*PARTS, *(WITH_A_CARD_ONLY if CARD else ())):
        if options.only in part.__name__:
            with tempfile.TemporaryDirectory(prefix="card-", ignore_cleanup_errors=True) as root:
                os.environ["ONECLICK_HOME"] = root
                trial = Trial(Path(root))
                print(f"---- {part.__doc__}", flush=True)
                took, _ = seconds(lambda part=part, trial=trial: part(trial))  # type: ignore[misc]
                print(f"     {took} s", flush=True)
                failed += trial.failed
    print(f"{failed} wrong")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
