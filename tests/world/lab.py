"""A real JupyterLab or Notebook 7 with the launcher's notebook open in Chromium: what a person sees and presses."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import requests
from jupyter_client.blocking.client import BlockingKernelClient

from launcher.client.kernel import TOGETHER
from tests.world.browser import chromium
from tests.world.page import Page
from tests.world.wait import wait, wait_visible

STOPPING = "Stopping|Everything is off"
CELLS = ("view-in-github", "title", "launch", "add-model", "add-controlnet", "add-extension", "stop")
DARK = {"@jupyterlab/apputils-extension:themes": {"theme": "JupyterLab Dark"}}
QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    }
}
WHOLE = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}  # every cell is in the page


@contextlib.contextmanager
def server(
    app: str, python: Path, kernel: Path, root: Path, environment: dict[str, str], dark: bool = False
) -> Iterator[str]:
    """A Jupyter server ("lab" or "notebook") of its own, whose only kernel is `kernel`; yields its address with the
    token.
    """
    home, token = root / "jupyter", secrets.token_hex(16)
    for plugin, values in {**QUIET, **WHOLE, **(DARK if dark else {})}.items():
        extension, _, name = plugin.rpartition(":")
        path = home / "settings" / extension / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    spec = home / "data" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True, exist_ok=True)
    spec.write_text(
        json.dumps(
            {
                "argv": [str(kernel), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "Python 3",
                "language": "python",
            }
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    places |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ONECLICK_", "CIVITAI_"))}
    env |= {
        **environment,
        "JUPYTER_TOKEN": token,
        "JUPYTER_PREFER_ENV_PATH": "0",
        **{name: str(home / folder) for name, folder in places.items()},
    }
    module = "jupyterlab" if app == "lab" else "notebook"
    command = [
        str(python), "-m", module, "--no-browser", "--ip=127.0.0.1", f"--port={port}", f"--ServerApp.root_dir={root}", "--ServerApp.terminals_enabled=False",
        "--expose-app-in-browser", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly",
        "--LanguageServerManager.autodetect=False", "--KernelSpecManager.ensure_native_kernel=False", "--allow-root",
    ]  # fmt: skip
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:

        def answers() -> str:  # where it says that it listens: the port may have been taken meanwhile
            try:
                (told,) = (home / "runtime").glob("jpserver-*.json")
                there = f"http://127.0.0.1:{json.loads(told.read_text())['port']}"
                return there if requests.get(f"{there}/api/status?token={token}", timeout=5).ok else ""
            except (ValueError, requests.RequestException):  # not there, or half written
                return ""

        url = wait(answers, 90, f"the Jupyter server ({root / 'server.log'})")
        with colabs_page(home / "runtime", environment):
            yield f"{url}/{'lab/tree' if app == 'lab' else 'notebooks'}/book.ipynb?token={token}"
    finally:
        process.terminate()
        process.wait(120)


@contextlib.contextmanager
def colabs_page(runtime: Path, environment: dict[str, str]) -> Iterator[None]:
    """Answers google.colab in the kernels of a Jupyter server, whose own page knows nothing of it."""
    over = threading.Event()
    thread = threading.Thread(target=answer_all, args=(runtime, environment, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def answer_all(runtime: Path, environment: dict[str, str], over: threading.Event) -> None:
    """Listen to every kernel that has a connection file, until `over`."""
    clients: dict[Path, tuple[BlockingKernelClient, Page]] = {}
    while not over.wait(0.05):
        for path in set(runtime.glob("kernel-*.json")) - set(clients):
            client = BlockingKernelClient(connection_file=str(path))
            try:
                client.load_connection_file()
            except (ValueError, FileNotFoundError):  # Jupyter writes it in place, and a kernel that ends takes it away
                continue
            client.start_channels(shell=False, hb=False, control=False, stdin=True)
            clients[path] = client, Page(environment)
        for client, page in clients.values():
            while client.iopub_channel.msg_ready():
                message = client.iopub_channel.get_msg(timeout=1)
                if message["msg_type"] == "colab_request":
                    page.hear(message)
            for value in page.due():
                client.stdin_channel.send(client.session.msg("input_reply", {"value": value}))
    for client, _ in clients.values():
        client.stop_channels()


class Book:
    """The notebook open in a page. Cells are named by their ids."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.pressed: list[str] = []  # what the person pressed, in this order
        self._launched = -TOGETHER  # when ▶ on the first cell was pressed last

    def cell(self, name: str) -> Any:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(CELLS.index(name))

    def output(self, name: str) -> Any:
        return self.cell(name).locator(".jp-Cell-outputArea")

    def text(self, name: str) -> str:
        return "".join(self.output(name).all_inner_texts()[:1])

    def run(self, name: str) -> None:
        """▶: select the cell and press Ctrl+Enter. Nobody presses two cells within a second; only "Run all" does."""
        self.pressed.append(f"▶ {name}")
        self.cell(name).locator(".jp-InputPrompt").first.click()
        if name != "launch":
            time.sleep(max(0.0, self._launched + TOGETHER + 0.1 - time.monotonic()))
        self.page.keyboard.press("Control+Enter")
        if name == "launch":
            self._launched = time.monotonic()

    def fill(self, name: str, **fields: Any) -> None:
        """Fill in form fields as Colab does it: the field's line of the cell is rewritten. What is no field of the form
        is given to the call by name.
        """
        self.page.evaluate(
            r"""([i, fields]) => { const m = jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel; let t = m.getSource();
               for (const [n, v] of Object.entries(fields)) {
                 const line = new RegExp('^' + n + ' = .*?(?= #@param)', 'm');
                 t = line.test(t) ? t.replace(line, () => n + ' = ' + v)
                   : t.replace(/^await oneclick\(.*?\{/m, call => call + '"' + n + '": ' + v + ', '); }
               m.setSource(t); }""",
            [CELLS.index(name), {field: repr(value) for field, value in fields.items()}],
        )

    def wait_for(self, name: str, text: str, patience: float = 120) -> str:
        """Wait until a cell's output shows a text; return all it shows."""
        try:
            return str(wait(lambda: text in (shown := self.text(name)) and shown, patience, text, self.page))
        except TimeoutError as error:
            raise TimeoutError(f"{error}; cell {name} shows:\n{self.text(name)[-1500:]}") from None

    def interrupt(self) -> None:
        """■"""
        self.pressed.append("■")
        self.page.evaluate("() => jupyterapp.commands.execute('notebook:interrupt-kernel').then(() => null)")

    def follow(self, name: str, link: str) -> None:
        """Click a link in a cell's output."""
        self.pressed.append(link)
        self.output(name).get_by_role("link", name=link).click()

    def stop_everything(self) -> None:
        """Press the button, and its answer where it asks because files are not saved yet."""
        self.output("launch").get_by_role("button", name="Stop everything").click()
        answer, has_stopped = self.output("launch").get_by_role("button", name="Stop now"), re.compile(STOPPING)
        wait(lambda: answer.count() or has_stopped.search(self.text("launch")), 30, "it to be heard", self.page)
        if answer.count():
            answer.click()

    def shot(self, name: str, path: Path) -> None:
        """A picture of a cell's panel alone, without the notebook around it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.output(name).first.locator(".widget-vbox:has(.oneclick)").first.screenshot(path=str(path))


@contextlib.contextmanager
def open_book(
    url: str, width: int = 1300, dark: bool = False, *, height: int = 0, names: Mapping[str, int] = MappingProxyType({})
) -> Iterator[tuple[Book, Any]]:
    """Chromium with the notebook open and its kernel idle; yields the book and the browser's context."""
    scheme = "dark" if dark else "light"
    height = height or (1100 if width > 400 else 2000)  # what is out of the window is not in a picture
    with chromium(names, viewport={"width": width, "height": height}, color_scheme=scheme) as browser:
        page = browser.new_page()
        page.goto(url, wait_until="domcontentloaded")
        wait_visible(page.locator(".jp-Notebook .jp-Cell"), 90)
        idle = (
            "() => { const k = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel; "
            "return !!k "
            "&& k.connectionStatus === 'connected' && k.status === 'idle'; }"
        )
        dialog = page.locator(".jp-Dialog button.jp-mod-accept")

        def ready() -> bool:
            if dialog.count():
                dialog.first.click()
            return bool(page.evaluate(idle))

        wait(ready, 90, "the kernel", page)
        yield Book(page), browser


def violations(page: Any, axe: Path, *selectors: str) -> list[str]:
    """What axe finds serious or critical on a page, or in parts of it."""
    page.add_script_tag(content=axe.read_text())
    context = json.dumps([[s] for s in selectors]) if selectors else "document"
    found = page.evaluate(f"() => axe.run({context}, {{resultTypes: ['violations']}})")["violations"]
    return [
        f"{one['id']}: {one['help']} at {[node['target'] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
