"""What a launch was asked to be, and what may not change while a web UI runs."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from launcher.core.fields import DEFAULTS, EVERYTHING, NOT_MODELS, NOTHING, OWNED, Settings
from launcher.core.session import Session, read_object
from launcher.models.catalog import CHECKPOINT_NAMES
from launcher.models.pasted import without_secrets


def settings_of(choices: Mapping[str, Any]) -> Settings:
    """The settings of a form. Raises `Problem`."""
    return Settings.from_form(choices, CHECKPOINT_NAMES)


def is_untouched(choices: Mapping[str, Any]) -> bool:
    return all(choices.get(name, default) == default for name, default in DEFAULTS.items())


def differences(runs: Settings, asked: Settings) -> dict[str, list[str]]:
    """What belongs to the web UI that runs and is asked to be something else: field -> [what runs, what was asked]."""
    pairs = {name: [str(getattr(runs, name)), str(getattr(asked, name))] for name in OWNED}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def taken_over(changed: list[str], later: list[str]) -> str | None:
    """What a person should know of choices that were changed, some of which count from the next restart on."""
    now = [name for name in changed if name not in later]
    said = f"Taken over: {', '.join(now)}. " if now else ""
    said += f"Taken over at the next restart: {', '.join(later)}. Press **Restart the web UI** for it." if later else ""
    return said.strip() or None


def as_form(settings: Settings) -> dict[str, Any]:
    return asdict(settings) | {"extra_arguments": shlex.join(settings.extra_arguments)}


def shown(settings: Settings) -> dict[str, Any]:
    """The same for the faces: without a token that somebody pasted."""
    return as_form(settings) | {"checkpoint": without_secrets(settings.checkpoint)}


def last_launched(session: Session) -> Settings | None:
    """What the launch before this service was asked to be; None where nobody knows."""
    found = read_object(session.launch_file).get("settings")
    return Settings.noted(found) if isinstance(found, dict) else None


def of_running(session: Session) -> Settings:
    """What the web UI that runs was asked to be, as far as its own arguments and links tell."""
    if settings := last_launched(session):
        return settings
    arguments = session.webui.said.get("arguments")
    words = [str(word) for word in arguments] if isinstance(arguments, list) else []
    if "--data-dir" not in words[:-1]:
        return settings_of({})
    data, disk = Path(words[words.index("--data-dir") + 1]), session.place.parent
    models = (data / "models").resolve()
    keep = NOTHING if models.is_relative_to(disk / "kept") else NOT_MODELS if models == disk / "models" else EVERYTHING
    return settings_of({"drive_folder": data.name, "keep_on_drive": keep, "api": "--api" in words})
