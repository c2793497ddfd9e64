"""What the notebook's cells call. Each asks the service for something and shows it."""

import datetime
from collections.abc import Mapping
from typing import Any

from launcher.client.client import TOGETHER, Client
from launcher.client.connect import service_version
from launcher.client.kernel import running_kernel
from launcher.colab.machine import place_of_machine
from launcher.colab.notebook import first_cells_values
from launcher.core.session import Session

_launched: tuple[datetime.datetime | None, Client] | None = None  # when ▶ on the first cell was pressed last


async def launch(**form: Any) -> None:
    """▶: launch with the form's fields, or show what runs already."""
    await ask_service("launch", form, "Starting your image generator")


async def add_model(**fields: Any) -> None:
    await ask_service("add_model", fields, "Adding models")


async def add_controlnet(**fields: Any) -> None:
    await ask_service("add_controlnet", fields, "Adding ControlNet")


async def change_extensions(**fields: Any) -> None:
    await ask_service("change_extensions", fields, "Extensions")


async def stop(**fields: Any) -> None:
    await ask_service("stop", fields, "Stopping")


async def ask_service(do: str, fields: Mapping[str, Any], title: str) -> None:
    """Ask for something and show it, unless "Run all" sent it together with ▶."""
    global _launched
    asked = asked_at()
    when, first = _launched or (None, None)
    if do != "launch" and first and asked and when and abs((asked - when).total_seconds()) < TOGETHER:
        first.nobody = True
        print("Run all also started this cell, so it did nothing. Press ▶ on it when you need it.")
        return
    session = Session(place_of_machine() / "session")
    ask = do not in ("launch", "stop") and not service_version(session)
    client = Client(session, do, dict(fields), title)
    if do == "launch":
        _launched = asked, client
    await (client.show(first_cells_values) if ask else client.show())


def asked_at() -> datetime.datetime | None:
    """When the front end sent this cell; None outside of Jupyter, or where it does not say."""
    kernel = running_kernel()
    date = kernel.get_parent("shell").get("header", {}).get("date") if kernel else None
    return date if isinstance(date, datetime.datetime) else None
