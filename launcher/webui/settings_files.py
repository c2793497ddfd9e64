"""A1111's settings, styles and other texts: what it cannot start with or read is set aside or mended, and said.

People edit them on their own computers. A1111 reads UTF-8 and commas only: a styles file in another encoding, or with
semicolons, reads as nothing, and is overwritten by the second style that is saved.
"""

import codecs
import csv
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import copy_whole, free_path, write_safely
from launcher.core.outside import Damaged, decoded, parsed_json, parsed_text, read_bytes, read_json, set_aside
from launcher.webui.explain import last_part

SETTINGS_FILE: Final = "config.json"
PAGE_SETTINGS: Final = "ui-config.json"
SWITCHED_OFF: Final = "disabled_extensions"
ALL_OFF: Final = "disable_all_extensions"  # "none", "extra" (all that are not A1111's own) or "all"
OUTPUT: Final = "outdir_"  # how the names of the settings begin that say where images are written
# How A1111's modules declare a setting, and the beginning of its default -> what its value may be. null means that
# nothing is chosen, but where a list belongs, which has nothing but texts: A1111 asks what is in it.
DECLARED: Final = re.compile(
    r'["\'](\w+)["\']: *(?:shared\.)?OptionInfo\((?:default=)?(True|False|None|["\'\[{]|-?[.\d])?'
)
KINDS: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys("\"'", (str, type(None))),
    "[": (list,),
    "{": (dict, type(None)),
    "None": (str, int, float, type(None)),
    "": (object,),  # only A1111 can tell
}
A_NUMBER: Final = (bool, int, float, type(None))
FOLDERS: Final = (OUTPUT, "directories_")  # how the names of the settings begin that become paths
LONGEST_NAME: Final = 255  # bytes of a name, and of a path, that every system takes
LONGEST_PATH: Final = 1000
TEXTS: Final = ("styles*.csv", "params.txt", "log/images/log.csv")
NOT_IN_USE: Final = (".broken-", ".before-")  # in the names of what was set aside
DELIMITERS: Final = (",", ";", "\t")


def read_settings(data: Path) -> dict[str, Any] | None:
    """A1111's settings; empty where there are none yet, None where the file holds no settings (or is being written)."""
    try:
        return read_json(data / SETTINGS_FILE) or {}
    except Damaged:
        return None


def write_settings(data: Path, settings: dict[str, Any]) -> None:
    write_safely(data / SETTINGS_FILE, as_a1111_writes(settings))


def as_a1111_writes(settings: dict[str, Any]) -> str:
    return json.dumps(settings, indent=4, ensure_ascii=False)


def put_right(path: Path, right: Callable[[bytes], tuple[str, str]], damaged: str) -> str | None:
    """Write a file anew where its text is not `right`, and set a damaged one aside; returns what to say.

    `right` returns the text and what to say of a change, or raises `Damaged`. {old} is where the old file is kept.
    """
    try:
        text, said = right(data := read_bytes(path))
        if text.encode() == data:
            return None
        aside = free_path(path.with_name(f"{path.stem}.before-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}"))
        copy_whole(path, aside)
        write_safely(path, text)
    except FileNotFoundError:
        return None
    except (Damaged, csv.Error):
        said, aside = damaged, set_aside(path)
    return said.replace("{old}", aside.name) or None


# ---- settings


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

    def right(data: bytes) -> tuple[str, str]:
        settings = parsed_json(data, dict, path.name)
        if not (wrong := find_wrong(settings)):
            return decoded(data), ""
        return as_a1111_writes({name: value for name, value in settings.items() if name not in wrong}), (
            f"Some of the web UI's settings had values it cannot work with ({', '.join(wrong)}). They were reset "
            "to their defaults; the old file is kept as {old}."
        )

    what = f"The web UI's settings ({path.name}) were damaged."
    return put_right(path, right, f"{what} They are kept as {{old}}, and the web UI starts with its default settings.")


def wrong_settings(settings: dict[str, Any], code: Path) -> list[str]:
    """The names of settings whose values are of another kind than A1111's default, or of folders that cannot be."""
    kinds = {SWITCHED_OFF: KINDS["["]} | declared_settings(code)

    def fits(name: str, value: object) -> bool:
        kind = kinds.get(name, (object,))
        texts = kind != KINDS["["] or not isinstance(value, list) or all(isinstance(item, str) for item in value)
        return texts and isinstance(value, kind) and (not name.startswith(FOLDERS) or can_be_path(str(value)))

    return [name for name, value in settings.items() if not fits(name, value)]


def can_be_path(text: str) -> bool:
    """False for what no system takes for a path: a whole prompt, for example."""
    longest = max(len(name.encode()) for name in text.split("/"))
    return "\0" not in text and longest <= LONGEST_NAME and len(text.encode()) <= LONGEST_PATH


def declared_settings(code: Path) -> dict[str, tuple[type, ...]]:
    """The settings that A1111's modules declare, each with what its value may be."""
    modules = [code / "modules" / name for name in ("shared_options.py", "shared.py")]  # the latter up to v1.5
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in modules if path.exists()]
    found = {name: KINDS.get(default, A_NUMBER) for name, default in DECLARED.findall("\n".join(texts))}
    return {name: KINDS["'"] if name.startswith(OUTPUT) else kind for name, kind in found.items()}


def wrong_page_settings(settings: dict[str, Any]) -> list[str]:
    """The names of the page's defaults that no field of that kind can have; `null` means none was chosen.

    A name ends in what it says of the field; what has a `minimum`, too, is a number.
    """

    def fits(name: str, value: object) -> bool:
        field, _, what = name.rpartition("/")
        if what in ("minimum", "maximum", "step") or (what == "value" and f"{field}/minimum" in settings):
            return type(value) in (int, float)
        if what == "visible":
            return isinstance(value, bool)
        return all(isinstance(item, str | int | float) for item in (value if isinstance(value, list) else [value]))

    return [name for name, value in settings.items() if value is not None and not fits(name, value)]


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


# ---- styles, the Save button's list, the last prompt


def check_texts(data: Path) -> list[str]:
    """Set aside what is no text, and write what A1111 could not read so that it can; returns what to say."""
    found = [path for pattern in TEXTS for path in sorted(data.glob(pattern))]
    said = [check_text_file(path) for path in found if not any(mark in path.name for mark in NOT_IN_USE)]
    return [sentence for sentence in said if sentence]


def check_text_file(path: Path) -> str | None:
    def right(data: bytes) -> tuple[str, str]:
        text = parsed_text(data, path.name)
        mark = "\ufeff" if data.startswith(codecs.BOM_UTF8) else ""  # which A1111 reads
        what = f"{path.name} was not as the web UI reads it, and was converted. The old file is kept as {{old}}."
        return mark + (with_commas(text) if path.match("styles*.csv") else text), what

    return put_right(path, right, f"{path.name} was damaged. It is kept as {{old}}, and the web UI makes a new one.")


def with_commas(text: str) -> str:
    """The styles as A1111 reads them: commas between the columns, and a name in each row.

    Raises `Damaged` where these are none, and `csv.Error`.
    """
    for separator in DELIMITERS:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        columns = reader.fieldnames or ()
        if "name" in columns and {"prompt", "text"} & {*columns}:
            rows = list(reader)
            named = [row for row in rows if row["name"] is not None]
            if separator == "," and named == rows:
                return text
            writer = csv.DictWriter(made := io.StringIO(newline=""), columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(named)
            return made.getvalue()
    raise Damaged("styles.csv", "it holds no styles")
