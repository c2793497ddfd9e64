"""One person's Colab: a machine that can vanish, and a Drive that stays and sometimes drops."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import requests

from launcher.core.session import Session, request
from tests.world import World
from tests.world.drive import Manners
from tests.world.google_program import PROGRAM, install
from tests.world.kernel import Kernel
from tests.world.wait import Patience


class Place:
    """A machine below `root` with a Drive of FUSE. Use it in a `with`, so that nothing stays mounted or running."""

    def __init__(self, world: World, root: Path, colabtools: Path | None = None) -> None:
        self.world, self.root, self.machine = world, root, root / "content"
        self.google = root / "google"  # what is behind Drive: here nothing fails
        self.drive = self.google / "MyDrive"
        self.kept = self.drive / "asd1111" / "stable-diffusion-webui"
        self.data = self.machine / "oneclick" / "data" / "asd1111"
        self.session = self.machine / "oneclick" / "session"
        self.mountpoint = self.machine / "drive"
        self.environment = world.colab_environment(self.machine, self.google, colabtools)

    def conduct(self, **changed: Any) -> None:
        """How Google's Drive program behaves from now on (`google_program.Conduct`)."""
        install(self.machine.parent, self.google, **changed)

    @property
    def pushes(self) -> list[tuple[float, str]]:
        """When Google's program was told to push everything, and how each push ended: (time.time(), words)."""
        path = Path(f"{self.google}.json.pushes")
        lines = path.read_text().splitlines() if path.exists() else []
        return [(float(when), what) for when, _, what in (line.partition(" ") for line in lines)]

    def manners(self, **changed: Any) -> None:
        """How Drive behaves from now on."""
        part = self.google.with_suffix(".part")
        part.write_text(json.dumps(asdict(Manners(**changed))))
        part.replace(f"{self.google}.json")

    def drop_drive(self) -> None:
        """Drive dies as it does in Colab: every access answers with Errno 107 until it is mounted again."""
        pid = Path(f"{self.google}.json.pid")
        if pid.exists():
            try:
                os.kill(int(pid.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                pass
            pid.unlink()

    def unmount(self) -> None:
        self.drop_drive()
        if self.mountpoint.parent.exists():
            subprocess.run(["fusermount3", "-u", "-z", "-q", str(self.mountpoint)], check=False)

    def lose_machine(self, *, aside: bool = False) -> None:
        """Colab takes the machine away, with all that runs on it; Drive stays. Its files are only moved `aside` where
        what comes next is timed: deleting them would make new ones slow (`tests.programs.bench_packages`).
        """
        self.end_processes()
        self.unmount()
        self.world.manager.allowed = False
        if aside:
            self.machine.rename(tempfile.mkdtemp(prefix="lost-", dir=self.machine.parent))
        else:
            shutil.rmtree(self.machine)

    def empty(self, but: tuple[str, ...]) -> None:
        """Machine, Drive and home hold nothing any more but these of the launcher's folders. Nothing may run."""
        ours = self.machine / "oneclick"
        for folder, stays in ((self.root, {"content"}), (self.machine, {ours.name}), (ours, set(but))):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.name not in stays:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def pid(self, name: str) -> int:
        """The pid in the session's file; 0 for the moment in which one process has ended and the next is not noted
        yet.
        """
        try:
            return int(json.loads((self.session / f"{name}.pid").read_text())["pid"])
        except FileNotFoundError:
            return 0

    def running(self) -> list[psutil.Process]:
        """Our programs that run now, without the kernel and without what stands for Google's own."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            line = " ".join(process.info["cmdline"] or [])
            ours = str(self.machine) in line or str(self.machine) in (process.info["cwd"] or "")
            if ours and "ipykernel_launcher" not in line and PROGRAM not in line:
                found.append(process)
        return found

    def say_used(self, ago: int) -> None:
        """Tell the service, as the door does, that the web UI was last used so many seconds ago."""
        assert request(Session(self.session).page_socket, "POST", "/used", {"ago": ago})[0] == 204

    def processes(self) -> list[str]:
        """The command lines of `running`."""
        return [" ".join(process.info["cmdline"])[:150] for process in self.running()]

    def wait_until_nothing_runs(self, patience: float = 30) -> None:
        """The service ends some seconds after the last thing it kept."""
        left = Patience(patience)
        while self.running():
            assert not left.over(), self.processes()
            time.sleep(0.1)

    def end_processes(self) -> None:
        """End what a test that failed left running, and what one of those starts meanwhile."""
        while running := self.running():
            for process in running:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.05)

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *error: Any) -> None:
        self.end_processes()
        self.unmount()


def web_ui_answers(url: str, password: str) -> bool:
    """Does the web UI answer behind the login? What is just being started may close a connection, or take its time."""
    try:
        return requests.get(f"{url}/internal/ping", auth=("user", password), timeout=60).ok
    except requests.RequestException:
        return False


def card(kernel: Kernel) -> tuple[str, str, str]:
    """(the button's link, the plain link, the password) as the card shows them, or "" each."""
    text = kernel.html()
    button = re.search(r'class="go" href="([^"]+)"', text)
    shown = re.findall(r"<code>([^<]+)</code>", text)
    return (html.unescape(button[1]), shown[0], shown[2]) if button and len(shown) == 3 else ("", "", "")


def wait_ready(kernel: Kernel, patience: float = 120) -> tuple[str, str, str]:
    kernel.wait(lambda: card(kernel)[0] and "Your image generator is ready" in kernel.html(), patience, "the card")
    return card(kernel)


def wait_problem(kernel: Kernel, patience: float = 60) -> str:
    kernel.wait(lambda: 'class="trouble"' in kernel.html(), patience, "a problem")
    troubles = " ".join(re.findall(r'class="trouble".*?</div>', kernel.html(), re.DOTALL))
    return html.unescape(re.sub(r"<[^>]+>", " ", re.sub("</?b>", "", troubles)))
