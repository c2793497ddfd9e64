"""A1111's settings file: what of it A1111 cannot start with is taken out, by A1111's own list of settings."""

import ast
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any, Final

from launcher.core.files import copy_whole, free_path
from launcher.core.folder import write_safely

SETTINGS_FILE: Final = "config.json"
SWITCHED_OFF: Final = "disabled_extensions"
ALL_OFF: Final = "disable_all_extensions"  # "none", "extra" (all that are not A1111's own) or "all"
OUTPUT: Final = "outdir_"  # how the names of the settings begin that say where images are written
NUMBERS: Final = (bool, int, float)


def read_settings(data: Path) -> dict[str, Any] | None:
    """A1111's settings; empty where there are none yet, None where the file holds no settings (or is being written)."""
    try:
        found = json.loads((data / SETTINGS_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_settings(data: Path, settings: dict[str, Any]) -> None:
    """Write them as A1111 itself does."""
    write_safely(data / SETTINGS_FILE, json.dumps(settings, indent=4, ensure_ascii=False))


def check_settings_file(data: Path, code: Path | None = None) -> str | None:
    """Set aside a config.json that A1111 could not start with, and settings of the wrong kind; returns what to say.

    A1111 v1.10.1 moves a file that is no JSON to CODE/tmp, and dies if that folder is missing or on another disk. Of
    `null`, of a list, or of a number where a list belongs it dies later. `code` holds A1111's files: its own list
    says of what kind a setting is.
    """
    path, settings = data / SETTINGS_FILE, read_settings(data)
    if settings is None:
        os.replace(path, aside := free_path(path.with_name(f"config.broken-{time.strftime('%Y%m%d-%H%M%S')}.json")))
        return (
            f"The web UI's settings ({SETTINGS_FILE}) were damaged. They are kept as {aside.name}, and the web UI "
            "starts with its default settings."
        )
    wrong = wrong_settings(settings, code) if code else []
    if not wrong:
        return None
    copy_whole(path, aside := free_path(path.with_name(f"config.before-{time.strftime('%Y%m%d-%H%M%S')}.json")))
    write_settings(data, {name: value for name, value in settings.items() if name not in wrong})
    return (
        f"Some of the web UI's settings had values it cannot work with ({', '.join(wrong)}). They were reset to "
        f"their defaults; the old file is kept as {aside.name}."
    )


def wrong_settings(settings: dict[str, Any], code: Path) -> list[str]:
    """The names of settings whose values are of another kind than A1111's default.

    Numbers and yes or no are one kind, and null means that nothing is chosen - except where a list belongs: A1111 asks
    what is in it.
    """
    kinds = {SWITCHED_OFF: list} | own_settings(code)
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


def own_settings(code: Path) -> dict[str, type | None]:
    """The settings that A1111's modules declare, each with the type of its default, None where only A1111 can tell.

    They are in calls `options_section((section, title, ...), {name: OptionInfo(default, ...), ...})`. What cannot be
    read declares none.
    """
    found: dict[str, type | None] = {}
    for path in (code / "modules" / "shared_options.py", code / "modules" / "shared.py"):  # the latter up to v1.5
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # A1111's odd escapes are nobody's business here
                tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or len(node.args) < 2 or not isinstance(node.args[1], ast.Dict):
                continue
            if getattr(node.func, "id", getattr(node.func, "attr", None)) == "options_section":
                for key, option in zip(node.args[1].keys, node.args[1].values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found[key.value] = str if key.value.startswith(OUTPUT) else kind_of(option)
    return found


def kind_of(option: ast.expr) -> type | None:
    """The type of a setting's default. `OptionInfo(...).info(...).link(...)` is as good as `OptionInfo(...)`."""
    while isinstance(option, ast.Call) and isinstance(option.func, ast.Attribute):
        option = option.func.value
    if not isinstance(option, ast.Call):
        return None
    given = option.args[:1] or [keyword.value for keyword in option.keywords if keyword.arg == "default"]
    try:
        value = ast.literal_eval(given[0]) if given else None
    except (ValueError, TypeError):
        return None
    return None if value is None else type(value)
