"""Colab's page in the browser, as a notebook's kernel meets it: it answers what google.colab asks, or does not.

google.colab (colabtools 3c07d77, `_message.py`) publishes a `colab_request` and reads the answer from the kernel's
stdin as an `input_reply` whose value is {"type": "colab_reply", "colab_msg_id": …, "data" or "error": …}. A page
answers only requests of its own session. The real package and the stand-in in `tests/world/colab` say the same.
"""

import json
import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NOTEBOOK: Final = Path(__file__).resolve().parents[2] / "OneClickLauncher.ipynb"
CONSENT: Final = "request_auth"
SECRET: Final = "GetSecret"
SCRIPT: Final = "cell_javascript_eval"
NOTEBOOK_TEXT: Final = "get_ipynb"


@dataclass(frozen=True)
class Reply:
    """An answer after so many `seconds`. `says` is data, an `Exception` (an error), or makes one of the request."""

    says: Any = None
    seconds: float = 0.0


NOBODY: Final = None  # in place of a `Reply`: no answer ever comes


@dataclass(frozen=True)
class Asked:
    """One request that reached the page."""

    at: float  # time.monotonic()
    kind: str
    request: Any
    mine: bool  # it is for this tab
    session: str  # the tab it is for


class Page:
    """One tab. `replies` may be changed at any time; so may `secrets`."""

    def __init__(self, environment: Mapping[str, str], session: str = "") -> None:
        self.session = session  # "": it answers whoever asks
        self.google = environment.get("TBE_EPHEM_CREDS_ADDR", "")  # where the machine gets its permission for Drive
        self.secrets: dict[str, str] = {}
        self.replies: dict[str, Reply | None] = {
            CONSENT: Reply({}),
            SECRET: Reply(self._secret),
            SCRIPT: Reply(proxy_port),
            NOTEBOOK_TEXT: Reply(lambda request: {"ipynb": json.loads(NOTEBOOK.read_text())}),
        }
        self.asked: list[Asked] = []
        self._due: list[tuple[float, Callable[[], dict[str, Any]]]] = []

    def asked_for(self, kind: str) -> list[Asked]:
        """The requests of that kind so far."""
        return [asked for asked in self.asked if asked.kind == kind]

    def hear(self, message: dict[str, Any]) -> None:
        """A `colab_request` came."""
        metadata, request = message["metadata"], message["content"]["request"]
        kind, session = metadata["colab_request_type"], message["parent_header"].get("session", "")
        mine = self.session in ("", session)
        self.asked.append(Asked(time.monotonic(), kind, request, mine, session))
        reply = self.replies.get(kind)
        if reply and mine and "colab_msg_id" in metadata:
            number, says = metadata["colab_msg_id"], reply.says
            self._due.append((time.monotonic() + reply.seconds, lambda: self._value(kind, number, says, request)))

    def due(self) -> list[dict[str, Any]]:
        """The values of those `input_reply` messages whose time has come."""
        ready = [make for when, make in self._due if when <= time.monotonic()]
        self._due = [(when, make) for when, make in self._due if make not in ready]
        return [make() for make in ready]

    def _value(self, kind: str, number: int, says: Any, request: Any) -> dict[str, Any]:
        told = says(request) if callable(says) else says
        value: dict[str, Any] = {"type": "colab_reply", "colab_msg_id": number}
        if isinstance(told, Exception):
            return value | {"error": str(told)}
        if kind == CONSENT and self.google:
            grant(self.google)
        return value | {"data": told}

    def _secret(self, request: dict[str, str]) -> dict[str, Any]:
        if request["key"] not in self.secrets:
            return {"exists": False, "access": False}
        return {"exists": True, "access": True, "payload": self.secrets[request["key"]]}


def grant(google: str) -> None:
    """The person has allowed Drive: from now on this machine's metadata server hands out a token for it."""
    urllib.request.urlopen(urllib.request.Request(f"http://{google}/consent", method="POST"), timeout=10).close()


def proxy_port(request: dict[str, str]) -> str | None:
    """Colab's own address for a port is the port itself here; other scripts give nothing."""
    found = re.search(r"proxyPort\((\d+)", request["script"])
    return f"http://127.0.0.1:{found[1]}" if found else None
