"""The defaults of the page's fields: what is there is taken, and dies of it, as in the real one (v1.10.1)."""

import json
import sys
import traceback
from pathlib import Path
from typing import Any

STYLES = ("one", "two")
DEFAULTS = {
    "txt2img/Prompt/visible": True, "txt2img/Prompt/value": "",
    "txt2img/Styles/visible": True, "txt2img/Styles/value": [],
    "txt2img/Width/value": 512, "txt2img/Width/minimum": 64, "txt2img/Width/maximum": 2048, "txt2img/Width/step": 8,
    "txt2img/Seed/visible": True, "txt2img/Seed/value": -1.0,
}  # fmt: skip


def add_component(settings: dict[str, Any], name: str, usual: object) -> None:
    saved = settings.get(name)  # AttributeError of `null` and of a list
    if saved is None:
        settings[name] = usual
    elif name == "txt2img/Styles/value":
        all(style in STYLES for style in saved)  # TypeError of a number
    elif name == "txt2img/Seed/value":
        try:
            float(saved)  # TypeError of a list
        except ValueError:
            return


def create_page(path: Path) -> None:
    """Take what is there for the page's fields; write all of them, unless the file cannot be read."""
    settings, unreadable = {}, False
    try:
        settings = json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError:
        pass
    except Exception:
        unreadable = True
        print("loading settings: Exception", file=sys.stderr)
        traceback.print_exc()
    for name, usual in DEFAULTS.items():
        add_component(settings, name, usual)
    if not unreadable:
        path.write_text(json.dumps(settings, indent=4), encoding="utf8")
