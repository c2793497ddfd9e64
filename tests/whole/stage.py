"""Where the scenes are played: one person's Colab machine, its page, and Google behind it. It can be made as new."""

import html
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil

from tests.conftest import COLAB_PYTHON, ROOT
from tests.world import MODEL_LINK, MODEL_REPO, World
from tests.world.google_program import PROGRAM
from tests.world.kernel import Kernel, Tab, cell_source
from tests.world.page import Page
from tests.world.place import Place, wait_ready

REAL_PYTHON: Final = ROOT / ".venv-colabtools" / "bin" / "python"
PANEL_PATIENCE: Final = 60.0  # seconds after which a scene fails, whatever its bound
CARDLESS: Final = "This runtime has no graphics card"


class Stage:
    """A machine with one kernel. `colabtools` holds the real google.colab; without it the stand-in is played on."""

    def __init__(self, root: Path, repositories: Path, colabtools: Path | None = None) -> None:
        shutil.copytree(repositories, root / "outside" / "git")
        self.real = colabtools is not None
        self.world = World(root / "outside")
        self.place = Place(self.world, root, colabtools)
        self.root = root
        self._kernel: Kernel | None = None
        self.sentences: dict[str, None] = {}  # everything a person read, once, in order
        self.place.machine.mkdir(parents=True, exist_ok=True)
        self._python = REAL_PYTHON if colabtools else COLAB_PYTHON

    # ---- the notebook

    @property
    def kernel(self) -> Kernel:
        """The notebook's kernel; a new one if the last was killed."""
        if self._kernel is None or not self._kernel.manager.is_alive():
            base = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ONECLICK_", "CIVITAI_"))}
            self._kernel = Kernel(self._python, {**base, **self.place.environment}, self.place.machine)
        return self._kernel

    def press(self, name: str = "launch", tab: Tab | None = None, **fields: Any) -> tuple[str, float]:
        """▶ on a cell: (the cell, seconds until its panel or a line of text was there)."""
        tab = tab or self.kernel
        if name == "launch":
            fields = {"checkpoint": MODEL_LINK, "link": "none"} | fields
        source = cell_source(name, **fields)
        tab.widgets.clear()
        tab.text = ""
        began = time.monotonic()
        cell = tab.start(source)
        tab.wait(lambda: "oneclick head" in tab.html() or cell in tab.idle, PANEL_PATIENCE, "a panel")
        return cell, time.monotonic() - began

    def stop(self, cell: str) -> float:
        """■: seconds until the cell has ended."""
        began = time.monotonic()
        self.kernel.interrupt()
        self.kernel.wait_done(cell, PANEL_PATIENCE)
        return time.monotonic() - began

    def until(self, condition: Callable[[], Any], patience: float, what: str) -> float:
        """Seconds until that was so."""
        began = time.monotonic()
        self.kernel.wait(condition, patience, what)
        return time.monotonic() - began

    def shows(self, text: str, tab: Tab | None = None) -> bool:
        """Does the panel say so?"""
        return text in words(tab or self.kernel)

    def says(self, text: str, patience: float = 30.0) -> float:
        """Seconds until the panel says so."""
        return self.until(lambda: self.shows(text), patience, text)

    def told(self) -> str:
        """What a person reads besides the steps that are done: notes, sentences, what to do, how to go on."""
        found = telling(self.kernel)
        self.sentences.update(dict.fromkeys(found))
        return " · ".join(found)

    def kill(self, name: str) -> int:
        """SIGKILL for one of the launcher's processes; its pid."""
        self.until(lambda: self.place.pid(name), 20, f"the pid of {name}")
        pid = self.place.pid(name)
        assert pid > 1
        os.kill(pid, signal.SIGKILL)
        return pid

    # ---- states

    def fresh(self) -> Kernel:
        """Nothing runs, Drive is not connected, and the page answers at once. What was installed stays installed."""
        if self._kernel and self._kernel.manager.is_alive():
            self._kernel.interrupt()
            time.sleep(0.1)
        self.place.end_processes()
        self.end_drives()
        for path in (self.place.session, self.root / "home", self.place.machine / "gdrive"):
            shutil.rmtree(path, ignore_errors=True)
        for name in ("json.pushes", "json.pid", "json"):
            Path(f"{self.place.google}.{name}").unlink(missing_ok=True)
        if self.real:
            shutil.rmtree(Path.home() / ".config" / "Google", ignore_errors=True)
        manager, hub = self.world.manager, self.world.hub
        manager.allowed, manager.status, manager.asked, manager.asked_at = False, 200, 0, []
        hub.gated.clear()
        hub.rate, self.world.git.delay = None, 0.0
        self.place.conduct()
        kernel = self.kernel
        try:
            kernel.run("pass", 5)
        except TimeoutError:  # a cell that ■ does not end
            kernel.kill()
            kernel = self.kernel
        kernel.page = Page(self.place.environment, kernel.client.session.session)
        kernel.types, kernel.answer, kernel.text, kernel.errors = True, "", "", []
        for seen in (kernel.asked, kernel.widgets, kernel.outputs):
            seen.clear()
        return kernel

    def end_drives(self) -> None:
        """End Google's programs of this machine, and unmount."""
        for process in psutil.process_iter(["cmdline"]):
            if str(self.root / PROGRAM) in (process.info["cmdline"] or []):
                process.kill()
        for line in Path("/proc/mounts").read_text().splitlines():
            mountpoint = line.split()[1]
            if mountpoint.startswith(f"{self.root}/"):
                os.system(f"fusermount3 -u -z -q {mountpoint}")
        if self.place.mountpoint.is_symlink():
            self.place.mountpoint.unlink()

    def running(self, **fields: Any) -> str:
        """A web UI runs, its window is open, Drive is connected; the cell."""
        self.fresh()
        cell, _ = self.press(**fields)
        wait_ready(self.kernel)
        return cell

    def gate(self, *tokens: str) -> None:
        """The checkpoint is given only to people with one of these tokens. It is not on Drive."""
        for token in tokens:
            self.world.hub.tokens[token] = {"name": "me"}
        self.world.hub.gated[MODEL_REPO] = set(tokens)
        shutil.rmtree(self.place.kept / "models", ignore_errors=True)

    def close(self) -> None:
        """End it all."""
        if self._kernel and self._kernel.manager.is_alive():
            self._kernel.kill()
        self.place.end_processes()
        self.end_drives()
        self.world.close()


def words(tab: Tab) -> str:
    """The panel as a person reads it, and what the cell printed."""
    return f"{plain(tab.html())} {tab.text}"


def plain(text: str) -> str:
    """HTML as text."""
    text = re.sub(r"<style>.*?</style>|<textarea.*?</textarea>", " ", text, flags=re.DOTALL)  # a report, not shown
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text))).strip()


def telling(tab: Tab) -> list[str]:
    """The headline, the notes of steps that are not done, notices, problems, and how to go on."""
    shown = tab.html()
    found = re.findall(r'class="oneclick head"><span>.*?</span><b>(.*?)</b>', shown)
    for state, body in re.findall(r'<li class="(\w+)">(.*?)</li>', shown, re.DOTALL):
        title, note = re.findall(r"<b>(.*?)</b>.*?<small>(.*?)</small>", body, re.DOTALL)[0]
        if state == "running" or (state == "waiting" and note):
            found.append(f"{title}: {note}")
    found += re.findall(r'class="notice">(.*?)</div>', shown, re.DOTALL)
    found += re.findall(r'class="trouble" role="alert">(.*?)</div>', shown, re.DOTALL)
    found += re.findall(r'class="oneclick foot">(.*?)<div class="facts">', shown)
    found += tab.text.strip().splitlines()
    cleaned = [re.sub(r"/\S*?/content/", "/content/", plain(one)) for one in found]
    return [one for one in cleaned if one and not one.startswith((CARDLESS, "Mounted at "))]
