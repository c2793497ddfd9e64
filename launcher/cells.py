"""What the notebook's cells do. Each asks the service for something and shows it."""

import datetime
from collections.abc import Mapping
from typing import Any

from launcher.client.client import Client
from launcher.client.kernel import TOGETHER, running_kernel
from launcher.core.process import PACKAGE
from launcher.core.session import Session

_launched: tuple[datetime.datetime | None, Client] | None = None  # when ▶ on the first cell was pressed last


async def run_cell(do: str, fields: Mapping[str, Any]) -> None:
    """Ask for something and show it, unless "Run all" sent it together with ▶."""
    global _launched
    kernel = running_kernel()
    date = kernel.get_parent("shell").get("header", {}).get("date") if kernel else None
    sent = date if isinstance(date, datetime.datetime) else None  # by the front end, where it says so
    when, first = _launched or (None, None)
    if do != "launch" and first and sent and when and abs((sent - when).total_seconds()) < TOGETHER:
        first.nobody = True
        print("Run all also started this cell, so it did nothing. Press ▶ on it when you need it.")
        return
    client = Client(Session(PACKAGE.parent.parent / "session"), do, dict(fields))  # beside the folder of the programs
    if do == "launch":
        _launched = sent, client
    await client.show()
