"""A1111's files of settings: what of them A1111 cannot start with is taken out, by A1111's own list of settings."""

import ast
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from launcher.core.files import copy_whole, free_path
from launcher.core.folder import write_safely
from launcher.core.outside import Damaged, decoded, read_bytes, read_json, set_aside
from launcher.webui.explain import last_part

SETTINGS_FILE: Final = "config.json"
PAGE_SETTINGS: Final = "ui-config.json"
SWITCHED_OFF: Final = "disabled_extensions"
ALL_OFF: Final = "disable_all_extensions"  # "none", "extra" (all that are not A1111's own) or "all"
OUTPUT: Final = "outdir_"  # how the names of the settings begin that say where images are written
NUMBERS: Final = (bool, int, float)


def read_settings(data: Path) -> dict[str, Any] | None:
    """A1111's settings; empty where there are none yet, None where the file holds no settings (or is being written)."""
    try:
        return read_json(data / SETTINGS_FILE) or {}
    except Damaged:
        return None


def write_settings(data: Path, settings: dict[str, Any]) -> None:
    """Write them as A1111 itself does."""
    write_safely(data / SETTINGS_FILE, json.dumps(settings, indent=4, ensure_ascii=False))


def check_settings_file(data: Path, code: Path | None = None) -> str | None:
    """Set aside a config.json that A1111 could not start with, and settings of the wrong kind; returns what to say.

    A1111 v1.10.1 moves a file that is no JSON to CODE/tmp, and dies if that folder is missing or on another disk. Of
    `null`, of a list, or of a number where a list belongs it dies later. `code` holds A1111's files: its own list
    says of what kind a setting is.
    """
    return check_settings(data / SETTINGS_FILE, lambda settings: wrong_settings(settings, code) if code else [])


def check_page_settings(data: Path) -> str | None:
    """The same of ui-config.json, the defaults of the page's fields: A1111 dies of `null`, and takes none of a file
    that it cannot read.
    """
    return check_settings(data / PAGE_SETTINGS, wrong_page_settings)


def check_settings(path: Path, find_wrong: Callable[[dict[str, Any]], list[str]]) -> str | None:
    """Set a file of settings aside that holds none, and take out those that are wrong; returns what to say."""
    try:
        settings = read_json(path)
    except Damaged:
        return (
            f"The web UI's settings ({path.name}) were damaged. They are kept as {set_aside(path).name}, and the web "
            "UI starts with its default settings."
        )
    if settings is None:
        return None
    wrong = find_wrong(settings)
    if wrong or not is_plain(path):  # A1111 reads no other encoding
        aside = keep_copy(path)
        right = {name: value for name, value in settings.items() if name not in wrong}
        write_safely(path, json.dumps(right, indent=4, ensure_ascii=False))
        if wrong:
            return (
                f"Some of the web UI's settings had values it cannot work with ({', '.join(wrong)}). They were reset "
                f"to their defaults; the old file is kept as {aside.name}."
            )
    return None


def keep_copy(path: Path) -> Path:
    """Copy a file that is about to be mended to a free name beside it; return that."""
    name = f"{path.stem}.before-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}"
    copy_whole(path, aside := free_path(path.with_name(name)))
    return aside


def is_plain(path: Path) -> bool:
    """True for a text in UTF-8 with nothing before it."""
    data = read_bytes(path)
    return decoded(data).encode() == data


def wrong_page_settings(settings: dict[str, Any]) -> list[str]:
    """The names of the page's defaults that no field of that kind can have; `null` means none was chosen.

    A name ends in what it says of the field; what has a `minimum`, too, is a number.
    """
    wrong = []
    for name, value in settings.items():
        field, _, what = name.rpartition("/")
        number = what in ("minimum", "maximum", "step") or (what == "value" and f"{field}/minimum" in settings)
        if number:
            right = type(value) in (int, float)
        elif what == "visible":
            right = isinstance(value, bool)
        else:
            items = value if isinstance(value, list) else [value]
            right = all(isinstance(item, str | int | float) for item in items)
        if value is not None and not right:
            wrong.append(name)
    return wrong


def blame_page_settings(data: Path, log: str) -> str | None:
    """After a start that failed with this log: set ui-config.json aside if it died of that; returns what to say.

    Of what kind a field is only A1111 knows; its page may want a list where a number is.
    """
    if "ui_loadsave.py" not in last_part(log) or not (data / PAGE_SETTINGS).exists():
        return None
    return (
        f"The web UI did not start with the defaults of its page ({PAGE_SETTINGS}). They are kept as "
        f"{set_aside(data / PAGE_SETTINGS).name}, and it starts with its own."
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
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
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
