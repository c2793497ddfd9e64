"""What the notebook's cells call. Each asks the keeper for something and shows it in a window."""

import datetime
from collections.abc import Mapping
from typing import Any, Final

from launcher.colab.machine import place_of_machine
from launcher.colab.notebook import first_cells_values
from launcher.core.session import Session
from launcher.core.wire import Request
from launcher.launch.window import VERSION, Window, keeper_version
from launcher.ui.panel import running_kernel

TOGETHER: Final = 1.0  # seconds between two cells that "Run all" sent

_launched: datetime.datetime | None = None  # when ▶ on the first cell was pressed last


async def launch(**form: Any) -> None:
    """▶: launch with the form's fields, or show what runs already."""
    global _launched
    _launched = asked_at()
    await ask_keeper("launch", form, "Starting your image generator")


async def add_model(**fields: Any) -> None:
    """The cell **Add a model**."""
    await ask_keeper("add_model", fields, "Adding models")


async def add_controlnet(**fields: Any) -> None:
    """The cell **Add ControlNet**."""
    await ask_keeper("add_controlnet", fields, "Adding ControlNet")


async def change_extensions(**fields: Any) -> None:
    """The cell **Add or update an extension**."""
    await ask_keeper("change_extensions", fields, "Extensions")


async def stop(**fields: Any) -> None:
    """The cell **Stop**."""
    await ask_keeper("stop", fields, "Stopping")


async def ask_keeper(do: str, fields: Mapping[str, Any], title: str) -> None:
    """Ask for something and show it, unless "Run all" sent it together with ▶."""
    asked = asked_at()
    if do != "launch" and asked and _launched and abs((asked - _launched).total_seconds()) < TOGETHER:
        print("Run all also started this cell, so it did nothing. Press ▶ on it when you need it.")
        return
    session = Session(place_of_machine() / "session")
    ask = do not in ("launch", "stop") and not keeper_version(session)
    form = first_cells_values if ask else lambda: None
    await Window(session, Request(do, dict(fields), None, VERSION), title, form).show()


def asked_at() -> datetime.datetime | None:
    """When the front end sent this cell; None outside of Jupyter, or where it does not say."""
    kernel = running_kernel()
    date = kernel.get_parent("shell").get("header", {}).get("date") if kernel else None
    return date if isinstance(date, datetime.datetime) else None
