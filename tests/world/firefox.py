"""A real Firefox, driven by WebDriver BiDi, the W3C's protocol that Firefox itself speaks."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket

from tests.world.browser import PATIENCE
from tests.world.wait import wait

# Whatever Firefox asks for by itself goes to a port of this machine where nobody listens.
SETTINGS = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.server": "",
}


class Firefox:
    """One Firefox, which minds no certificate."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(f"{address}/session", suppress_origin=True, timeout=PATIENCE)
        self._last = 0
        self.ask("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})

    def ask(self, method: str, **params: Any) -> Any:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            told = json.loads(self._socket.recv())
            if told.get("id") == self._last:
                if told["type"] != "success":
                    raise RuntimeError(f"{method}: {told['error']}: {told['message']}")
                return told["result"]

    @contextmanager
    def window(self) -> Iterator["FirefoxWindow"]:
        """A window of another person: it shares no cookie with the others."""
        person = self.ask("browser.createUserContext")["userContext"]
        yield FirefoxWindow(self, self.ask("browsingContext.create", type="window", userContext=person)["context"])
        self.ask("browser.removeUserContext", userContext=person)


@dataclass(frozen=True)
class FirefoxWindow:
    """One window."""

    firefox: Firefox
    context: str

    def goto(self, url: str) -> None:
        """Open an address and wait until the page is whole."""
        self.firefox.ask("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """What an expression of JavaScript, or its promise, comes to."""
        whole = f"(async () => JSON.stringify([await ({expression})]))()"
        target = {"context": self.context}
        told = self.firefox.ask("script.evaluate", expression=whole, target=target, awaitPromise=True)
        if told["type"] != "success":
            raise RuntimeError(told["exceptionDetails"]["text"])
        return json.loads(told["result"]["value"])[0]


@contextmanager
def firefox(program: str, *hosts: str) -> Iterator[Firefox]:
    """Start it. `hosts` are names that lead to this machine."""
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as folder:
        names = ", ".join(["127.0.0.1", "localhost", *hosts])
        settings = SETTINGS | {"network.proxy.no_proxies_on": names, "network.dns.localDomains": ",".join(hosts)}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
        Path(folder, "user.js").write_text("\n".join(lines))
        said = Path(folder, "said")
        with said.open("w") as output:
            command = [program, "--headless", "--no-remote", "--profile", folder, "--remote-debugging-port", "0"]
            process = subprocess.Popen(command, stderr=output, stdout=output)
        try:
            listens = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
            found = wait(lambda: listens.search(said.read_text()), 60, "Firefox")
            yield Firefox(found[1])
        finally:
            process.terminate()
            process.wait(30)
