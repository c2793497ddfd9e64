"""A1111's settings file, and settings compared."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import write_safely
from launcher.webui.own_settings import own_settings

NAME: Final = "config.json"
SWITCHED_OFF: Final = "disabled_extensions"
NUMBERS: Final = (bool, int, float)


def read_settings(data: Path) -> dict[str, Any] | None:
    """A1111's settings; empty where there are none yet, None where the file holds no settings (or is being written)."""
    try:
        found = json.loads((data / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def check_settings_file(data: Path, code: Path | None = None) -> str:
    """Set aside a config.json that A1111 could not start with, and settings of the wrong kind; returns what to say.

    A1111 v1.10.1 moves a file that is no JSON to CODE/tmp, and dies if that folder is missing or on another disk. Of
    `null`, of a list, or of a number where a list belongs it dies later. `code` holds A1111's files: its own list
    says of what kind a setting is.
    """
    path = data / NAME
    settings = read_settings(data)
    if settings is None:
        os.replace(path, aside := aside_name(path, "broken"))
        return (
            f"The web UI's settings ({NAME}) were damaged. They are kept as {aside.name}, and the web UI starts with "
            "its default settings."
        )
    wrong = wrong_settings(settings, code) if code else []
    if not wrong:
        return ""
    shutil.copy2(path, aside := aside_name(path, "before"))
    write_settings(data, {name: value for name, value in settings.items() if name not in wrong})
    return (
        f"Some of the web UI's settings had values it cannot work with ({', '.join(wrong)}). They were reset to "
        f"their defaults; the old file is kept as {aside.name}."
    )


def write_settings(data: Path, settings: dict[str, Any]) -> None:
    """Write them as A1111 itself does."""
    write_safely(data / NAME, json.dumps(settings, indent=4, ensure_ascii=False))


def wrong_settings(settings: dict[str, Any], code: Path) -> list[str]:
    """The names of settings whose values are of another kind than A1111's default.

    Numbers and yes or no are one kind, and null means that nothing is chosen - except where a list belongs: A1111 asks
    what is in it.
    """
    kinds = {setting.name: setting.kind for setting in own_settings(code)}
    kinds.setdefault(SWITCHED_OFF, list)
    wrong = []
    for name, value in settings.items():
        kind = kinds.get(name)
        if kind is None or (value is None and kind is not list):
            continue
        numbers = kind in NUMBERS and type(value) in NUMBERS
        names = name != SWITCHED_OFF or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        if not (numbers or type(value) is kind) or not names:
            wrong.append(name)
    return wrong


def aside_name(path: Path, why: str) -> Path:
    """A name that is not taken, beside the file."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = [path.with_name(f"config.{why}-{stamp}{more}.json") for more in ("", *(f"-{n}" for n in range(2, 100)))]
    return next(name for name in names if not os.path.lexists(name))


def without_checkpoint(arguments: object) -> list[str]:
    words = [str(word) for word in arguments] if isinstance(arguments, list) else []
    if "--ckpt" in words:
        at = words.index("--ckpt")
        del words[at : at + 2]
    return words
