"""A real Jupyter kernel, driven as a front end drives it: run a cell, hear what it says, press ■, press a button.

The front end is Colab's: it answers google.colab (`page.Page`). It ignores the tags of `clear_output`, as others do.
"""

import json
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from launcher.client.kernel import TOGETHER
from launcher.core.fields import DEFAULTS
from tests.world.page import NOTEBOOK, Page
from tests.world.wait import Patience, wait


def cell_source(identity: str, notebook: Path = NOTEBOOK, /, **fields: Any) -> str:
    """A cell's text with form fields filled in, as Colab does it: the line of the field is rewritten.

    What is no field of the form is given to the call by name, as people do who edit the code.
    """
    book = json.loads(notebook.read_text())
    text = {cell["id"]: "".join(cell["source"]) for cell in book["cells"]}[identity]
    for name, value in fields.items():
        field = re.search(rf"(?m)^{name} = .*?(?= #@param)", text)
        if not field:
            assert name in DEFAULTS, f"there is no choice {name}"
            head, call, rest = text.rpartition("\nawait oneclick(")
            given = f'{{"{name}": {value!r}, '
            text = head + call + rest.replace("{", given, 1)
            continue
        text = f"{text[: field.start()]}{name} = {value!r}{text[field.end() :]}"
    return text


def wait_until_ready(client: Any) -> None:
    """Wait until the kernel answers. Raises `RuntimeError` if it ended or does not."""
    patience = Patience(60)
    while True:
        try:
            client.wait_for_ready(timeout=5)
            return
        except RuntimeError:
            if patience.over() or not client.is_alive():
                raise


class Tab:
    """One tab of the notebook, on a kernel that runs. Ours is the client, so it is closed here."""

    def __init__(self, client: Any, environment: Mapping[str, str]) -> None:
        self.client = client
        self.page = Page(environment, client.session.session)
        self.text = ""
        self.errors: list[str] = []
        self._failed = 0  # how many of them were followed by an empty cell
        self.displays: list[dict[str, Any]] = []
        self.widgets: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, list[str]] = {}  # cell -> the widgets its output shows
        self._to_clear: set[str] = set()
        self.idle: set[str] = set()
        self.asked: list[str] = []
        self.answer = ""
        self.types = True  # does somebody answer a hidden prompt?
        self._open = True
        self._launched = 0.0  # time.monotonic() when ▶ on the first cell was pressed
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while self._open:
            for value in self.page.due():
                self.client.stdin_channel.send(self.client.session.msg("input_reply", {"value": value}))
            # Only the first waits: a panel is some thirty messages, and 0.03 s for each would be a second of ours.
            for channel, patience in ((self.client.iopub_channel, 0.03), (self.client.stdin_channel, 0)):
                try:
                    self._hear(channel.get_msg(timeout=patience))
                except Exception as error:
                    if type(error).__name__ != "Empty" and self._open:
                        raise

    def _hear(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self.text += content["text"]
            self._output(message["parent_header"].get("msg_id", ""), [])
        elif kind == "error":
            self.errors.append(f"{content['ename']}: {content['evalue']}")
        elif kind in ("display_data", "update_display_data"):
            self.displays.append(content)
            view = content["data"].get("application/vnd.jupyter.widget-view+json")
            if kind == "display_data":
                self._output(message["parent_header"].get("msg_id", ""), [view["model_id"]] if view else [])
        elif kind == "clear_output":
            cell = message["parent_header"].get("msg_id", "")
            self._to_clear.add(cell)
            if not content["wait"]:
                self._output(cell, [])
        elif kind == "colab_request":
            self.page.hear(message)
        elif kind == "comm_open":
            self.widgets[content["comm_id"]] = dict(content["data"].get("state", {}))
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            self.widgets.setdefault(content["comm_id"], {}).update(content["data"]["state"])
        elif kind == "status" and content["execution_state"] == "idle":
            self.idle.add(message["parent_header"].get("msg_id", ""))
        elif kind == "input_request":
            self.asked.append(content["prompt"])
            if self.types:
                self.client.input(self.answer)

    def _output(self, cell: str, widgets: list[str]) -> None:
        """A cell shows something more, after what was to be cleared."""
        if cell in self._to_clear:
            self._to_clear.discard(cell)
            self.outputs[cell] = []
        self.outputs.setdefault(cell, []).extend(widgets)

    def start(self, code: str, run_all: bool = False) -> str:
        """Send a cell and go on. Nobody presses two cells within a second; only "Run all" does."""
        if 'await oneclick("launch"' in code:
            self._launched = time.monotonic()
        elif "await oneclick(" in code and not run_all:
            time.sleep(max(0.0, self._launched + TOGETHER + 0.1 - time.monotonic()))
        return str(self.client.execute(code, allow_stdin=True, store_history=True))

    def run(self, code: str, timeout: float = 120) -> None:
        """Send a cell and wait until it is done."""
        self.wait_done(self.start(code), timeout)

    def wait_done(self, message: str, timeout: float = 120) -> None:
        self.wait(lambda: message in self.idle, timeout, "the cell to end")
        if len(self.errors) != self._failed:  # what comes at once after a cell that failed is not run, as in "Run all"
            self._failed = len(self.errors)
            nothing = str(self.client.execute("pass"))
            self.wait(lambda: nothing in self.idle, timeout, "the kernel to go on")

    def html(self) -> str:
        """What the widgets show."""
        return "\n".join(
            str(state.get("value", ""))
            for state in list(self.widgets.values())
            if state.get("_model_name") == "HTMLModel"
        )

    def wait(self, condition: Any, timeout: float, what: str) -> Any:
        try:
            return wait(condition, timeout, what)
        except TimeoutError as error:
            shown = re.sub(r"<style>.*?</style>", "", self.html(), flags=re.DOTALL)[-3000:]
            raise TimeoutError(f"{error}; the kernel said:\n{self.text[-3000:]}\n{self.errors}\n{shown}") from None

    def wait_for_text(self, pattern: str, timeout: float) -> "re.Match[str]":
        found: re.Match[str] = self.wait(lambda: re.search(pattern, self.text, re.MULTILINE), timeout, pattern)
        return found

    def buttons(self) -> list[str]:
        """What stands on those in the panel that may be pressed. The thread that listens goes on meanwhile."""
        states = dict(self.widgets)
        shown = [state for state in states.values() if "frame" in state.get("_dom_classes", ())]
        for state in shown:  # it grows
            shown += [states.get(child.removeprefix("IPY_MODEL_"), {}) for child in state.get("children", ())]
        pressable = [one for one in shown if one.get("_model_name") == "ButtonModel" and not one.get("disabled")]
        return [str(one["description"]) for one in pressable]

    def press_button(self, label: str) -> None:
        """Click a widget button, on the panel that was drawn last, as soon as it is there."""

        def drawn() -> list[str]:
            return [one for one, state in list(self.widgets.items()) if state.get("description") == label]

        identity = self.wait(drawn, 30, f"the button {label}")[-1]
        content = {"comm_id": identity, "data": {"method": "custom", "content": {"event": "click"}}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    def stop_everything(self) -> None:
        """Press the button, and its answer where it asks because files are not saved yet."""

        def heard() -> bool:
            return "Stop now" in self.buttons() or re.search("Stopping|Everything is off", self.html()) is not None

        self.press_button("Stop everything")
        self.wait(heard, 30, "the button to be heard")
        if "Stop now" in self.buttons():
            self.press_button("Stop now")

    def close(self) -> None:
        self._open = False
        self._thread.join(5)
        self.client.stop_channels()


class Kernel(Tab):
    """One kernel process of the given Python, with its own session and environment."""

    def __init__(self, python: str | Path, environment: dict[str, str], cwd: Path) -> None:
        # Unix sockets, as in Colab (COLAB_JUPYTER_TRANSPORT=ipc): ports that are chosen beforehand can be taken
        # meanwhile (jupyter_client#487).
        self._folder = tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True)
        place = Path(self._folder.name)
        (place / "this").mkdir()
        # The interpreter's path is made absolute, and no link in it is followed: a spec's command runs in the kernel's
        # own folder.
        program = os.path.abspath(python) if os.sep in str(python) else str(python)
        spec = {
            "argv": [program, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "this",
            "language": "python",
        }
        (place / "this" / "kernel.json").write_text(json.dumps(spec))
        specs = KernelSpecManager(kernel_dirs=[str(place)], ensure_native_kernel=False)
        files = {"ip": str(place / "socket"), "connection_file": str(place / "connection.json")}
        self.manager = KernelManager(transport="ipc", kernel_name="this", kernel_spec_manager=specs, **files)
        with (place / "stderr").open("w") as stderr:
            self.manager.start_kernel(env=environment, cwd=str(cwd), stderr=stderr)
        # Its own: it looks at the process, where a free client believes a busy machine's late heartbeat.
        client = self.manager.client()
        client.start_channels(stdin=True)
        try:
            wait_until_ready(client)
        except RuntimeError as error:
            raise RuntimeError(f"{error}: {(place / 'stderr').read_text()[-1000:]}") from error
        self._environment = environment
        super().__init__(client, environment)

    @property
    def _process(self) -> Any:
        assert self.manager.provisioner is not None
        return self.manager.provisioner.process  # type: ignore[attr-defined]  # the local provisioner's Popen

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def another_tab(self) -> Tab:
        """The notebook opened a second time, or reloaded: another session on the same kernel."""
        client = BlockingKernelClient(connection_file=self.manager.connection_file)
        client.load_connection_file()
        client.start_channels(stdin=True)
        wait_until_ready(client)
        return Tab(client, self._environment)

    def interrupt(self) -> None:
        """■, as jupyter does it: SIGINT to the kernel's process group."""
        self.manager.interrupt_kernel()

    def kill(self) -> None:
        """The kernel dies at once, as when the system runs out of memory."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.close()

    def shutdown(self) -> None:
        """End it at once: what it does at an orderly end is a third of its start, and nothing of ours."""
        self.close()
        self.manager.shutdown_kernel(now=True)
