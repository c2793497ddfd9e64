"""A1111's own list of settings, read from its source: which there are, of what kind, and which name output folders."""

import ast
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

OUTPUT_SECTION: Final = (
    "saving-paths"  # the section of the settings page "Paths for saving", in every version since 2022
)


class Setting(NamedTuple):
    name: str
    section: str
    kind: type | None  # of its default, None where only A1111 itself can tell


def own_settings(code: Path) -> tuple[Setting, ...]:
    """All settings that A1111's modules declare. Empty where they cannot be read."""
    places = (code / "modules" / "shared_options.py", code / "modules" / "shared.py")  # the latter up to v1.5
    return tuple(s for path in places if path.exists() for s in _read(path, path.stat().st_mtime_ns))


def output_settings(code: Path) -> tuple[str, ...]:
    """The settings that name a folder A1111 writes images, grids, saved images or lists of them to."""
    return tuple(setting.name for setting in own_settings(code) if setting.section == OUTPUT_SECTION)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> tuple[Setting, ...]:
    """The settings in one file; `changed` (nanoseconds) makes a changed file read anew."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # A1111's odd escapes are nobody's business here
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, SyntaxError, ValueError):
        return ()
    return tuple(_declared(tree))


def _declared(tree: ast.AST) -> Iterator[Setting]:
    """Each call `options_section((section, title, ...), {name: OptionInfo(default, ...), ...})`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        named, section, options = node.func, node.args[0], node.args[1]
        if getattr(named, "id", getattr(named, "attr", "")) != "options_section":
            continue
        if not isinstance(section, ast.Tuple) or not isinstance(options, ast.Dict):
            continue
        title = _literal(section.elts[0]) if section.elts else ""
        for key, option in zip(options.keys, options.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield Setting(key.value, str(title), str if title == OUTPUT_SECTION else _kind(option))


def _kind(option: ast.expr) -> type | None:
    """The type of a setting's default. `OptionInfo(...).info(...).link(...)` is as good as `OptionInfo(...)`."""
    while isinstance(option, ast.Call) and isinstance(option.func, ast.Attribute):
        option = option.func.value
    if not isinstance(option, ast.Call):
        return None
    given = option.args[:1] or [keyword.value for keyword in option.keywords if keyword.arg == "default"]
    value = _literal(given[0]) if given else None
    return None if value is None else type(value)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
