"""A1111's settings file, and settings compared."""

import json
import os
import time
from pathlib import Path


def check_settings_file(data: Path) -> str:
    """Set a broken config.json aside: A1111 dies of it (facts/a1111.md §3). Returns a sentence, or ""."""
    path = data / "config.json"
    if not path.exists():
        return ""
    try:
        json.loads(path.read_text())
        return ""
    except ValueError:
        aside = path.with_name(f"config.broken-{time.strftime('%Y%m%d-%H%M%S')}.json")
        os.replace(path, aside)
        return f"The web UI's settings (config.json) were damaged. They are kept as {aside.name}, and the web UI starts with its own settings."


def without_checkpoint(arguments: object) -> list[str]:
    """The arguments less `--ckpt FILE`."""
    words = [str(word) for word in arguments] if isinstance(arguments, list) else []
    if "--ckpt" in words:
        at = words.index("--ckpt")
        del words[at : at + 2]
    return words
