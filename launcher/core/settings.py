"""What the person asked for: the form's fields, checked before anything runs."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from launcher.core.fields import EVERYTHING, FIELDS, NOTHING, wrong


@dataclass(frozen=True)
class Settings:
    """One filled-in form. Made by `Settings.from_form`, which checks it."""

    checkpoint: str
    keep_on_drive: str
    drive_folder: str
    version: str
    api: bool
    link: str
    give_back_after: int  # minutes without any request; 0: never
    extensions_tab: bool  # A1111's own tab, through which anyone logged in can install programs
    extra_arguments: tuple[str, ...]

    @classmethod
    def from_form(cls, form: Mapping[str, Any], known_checkpoints: Iterable[str]) -> "Settings":
        """Check every field (`core.fields`); one that is missing has its default.

        Raises a `Problem` that names the field and the remedy.
        """
        values = {field.name: field.checked(form.get(field.name, field.default)) for field in FIELDS}
        return cls(**values | {"checkpoint": checked_checkpoint(values["checkpoint"], known_checkpoints)})

    @classmethod
    def noted(cls, told: Mapping[str, Any]) -> "Settings | None":
        """The settings that a launch noted (`asdict`); None where another version of the launcher noted others."""
        arguments = told.get("extra_arguments")
        if set(told) != {field.name for field in fields(cls)} or not isinstance(arguments, list | tuple):
            return None
        return cls(**{**told, "extra_arguments": tuple(arguments)})

    @property
    def models_on_drive(self) -> bool:
        return self.keep_on_drive == EVERYTHING

    @property
    def uses_drive(self) -> bool:
        return self.keep_on_drive != NOTHING


def checked_checkpoint(value: str, known: Iterable[str]) -> str:
    """A name of the catalog, or a text with a link or an AIR in it; raises `Problem` with the nearest names."""
    by_lower = {name.lower(): name for name in known}
    if value.lower() in by_lower:
        return by_lower[value.lower()]
    if re.search(r"https?://|urn:air:", value, re.IGNORECASE):
        return value
    near = difflib.get_close_matches(value.lower(), by_lower, n=3, cutoff=0.3) or list(by_lower)[:3]
    closest = ", ".join(by_lower[name] for name in near)
    do = f"Choose one from the list (closest: {closest}), or paste a link that starts with https://."
    raise wrong("checkpoint", f"says {value!r}, which is neither a known model nor a link.", do)
