"""What the person asked for: the form's fields, checked before anything runs."""

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from launcher.core.fields import DEFAULTS, EVERYTHING, FIELDS, LAST_GOOD, NEWEST, NOTHING, Field, field_named
from launcher.core.problem import Problem

# Arguments of A1111 that the launcher sets itself, or that would open the web UI past the login.
RESERVED_ARGUMENTS: Final = {
    "--port": "The launcher chooses the port itself.",
    "--server-name": "The web UI listens only to this machine, so that nobody gets past the login.",
    "--listen": "The web UI listens only to this machine, so that nobody gets past the login.",
    "--share": "The launcher makes the public link itself, with a login in front of it.",
    "--ngrok": "The launcher makes the public link itself, with a login in front of it.",
    "--gradio-auth": "The launcher has a login of its own.",
    "--gradio-auth-path": "The launcher has a login of its own.",
    "--api-auth": "The launcher has a login of its own, and the API uses it too.",
    "--data-dir": "The launcher keeps the data folder itself; use the field **drive_folder**.",
    "--api": "Use the field **api** instead.",
    "--nowebui": "The launcher always starts the web UI.",
    "--subpath": "The launcher serves the web UI at the root of the link.",
    "--skip-prepare-environment": "The launcher prepares everything itself and already sets it.",
    "--update-all-extensions": "Use the cell **Add or update an extension** instead.",
    "--skip-install": "The launcher installs extensions itself and already sets it.",
    "--enable-insecure-extension-access": "Use the field **extensions_tab** instead.",
    "--tls-keyfile": "The link is encrypted already.",
    "--tls-certfile": "The link is encrypted already.",
}


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
        values = DEFAULTS | {name: as_text(name, value) for name, value in form.items() if name in DEFAULTS}
        checks = CHECKS | {"checkpoint": lambda value: checked_checkpoint(value, known_checkpoints)}
        return cls(**{field.name: checked(field, values[field.name], checks) for field in FIELDS})

    @classmethod
    def noted(cls, told: Mapping[str, Any]) -> "Settings | None":
        """The settings that a launch noted (`asdict`); None where another version of the launcher noted others."""
        if set(told) != {field.name for field in fields(cls)}:
            return None
        arguments = told["extra_arguments"]
        if not isinstance(arguments, list | tuple):
            return None
        return cls(**{**told, "extra_arguments": tuple(arguments)})

    @property
    def models_on_drive(self) -> bool:
        return self.keep_on_drive == EVERYTHING

    @property
    def uses_drive(self) -> bool:
        return self.keep_on_drive != NOTHING


def as_text(name: str, value: Any) -> Any:
    """The value of a field for text as text: a form whose cell was edited may hold anything."""
    return str(value) if isinstance(DEFAULTS[name], str) else value


def checked(field: Field, value: Any, checks: Mapping[str, Callable[[Any], Any]]) -> Any:
    """A field's value: a box that is ticked or not, one of its choices, or what a check of its own makes of it."""
    if isinstance(field.default, bool):
        return bool(value)
    if field.choices and not field.free:
        return checked_choice(field.name, value)
    return checks[field.name](value)


def checked_checkpoint(value: str, known: Iterable[str]) -> str:
    """A name of the catalog, or a text with a link or an AIR in it; raises `Problem` with the nearest names."""
    value, names = value.strip(), list(known)
    by_lower = {name.lower(): name for name in names}
    if value.lower() in by_lower:
        return by_lower[value.lower()]
    if re.search(r"https?://|urn:air:", value, re.IGNORECASE):
        return value
    near = difflib.get_close_matches(value.lower(), by_lower, n=3, cutoff=0.3) or list(by_lower)[:3]
    raise Problem(
        f"The field **checkpoint** says {value!r}, which is neither a known model nor a link.",
        f"Choose one from the list (closest: {', '.join(by_lower[n] for n in near)}), or paste a link that starts with https://.",
        field="checkpoint",
    )


def checked_choice(name: str, value: str) -> str:
    """One of the field's choices; raises `Problem` otherwise."""
    choices = field_named(name).choices
    if value not in choices:
        raise Problem(
            f"The field **{name}** says {value!r}, which is not one of its choices.",
            f"Choose one of: {', '.join(choices)}.",
            field=name,
        )
    return value


def checked_version(value: str) -> str:
    """A choice, a branch, a tag or a commit of A1111; raises `Problem` for what cannot be the name of one."""
    value = value.strip()
    if value in field_named("version").choices:
        return value
    if not re.fullmatch(r"[0-9A-Za-z][\w./-]{0,99}", value) or ".." in value:
        raise Problem(
            f"The field **version** says {value!r}, which cannot be a version of AUTOMATIC1111.",
            f"Choose {NEWEST} or {LAST_GOOD}, or write a version such as v1.10.1.",
            field="version",
        )
    return value


def checked_folder(value: str) -> str:
    """One plain folder name inside the Drive; raises `Problem` for anything that could lead elsewhere."""
    value = value.strip()
    if not re.fullmatch(r"[^\W_][\w \-]{0,60}", value):
        raise Problem(
            f"The field **drive_folder** says {value!r}, which is not a plain folder name.",
            "Use letters, digits, spaces, - or _, without slashes or dots, for example asd1111.",
            field="drive_folder",
        )
    return value


def checked_minutes(value: object) -> int:
    """Whole minutes, 0 for never; raises `Problem` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1440:
        raise Problem(
            f"The field **give_back_after** says {value!r}, which is not a number of minutes.",
            "Write a whole number from 0 (never) to 1440.",
            field="give_back_after",
        )
    return value


def checked_arguments(value: str) -> tuple[str, ...]:
    """The extra arguments, split as a shell would; refuses those the launcher must set itself."""
    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        raise Problem(
            f"The field **extra_arguments** cannot be read: a quotation mark is not closed ({error}).",
            "Close the quotation mark, or empty the field.",
            field="extra_arguments",
        ) from error
    for word in words:
        name = word.split("=")[0]
        if name in RESERVED_ARGUMENTS:
            raise Problem(
                f"The field **extra_arguments** has {name}. {RESERVED_ARGUMENTS[name]}",
                f"Remove {name} from the field.",
                field="extra_arguments",
            )
    return words


# The fields for numbers, and for words of a person's own. The checkpoint's names are not known here.
CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "drive_folder": checked_folder,
    "version": checked_version,
    "give_back_after": checked_minutes,
    "extra_arguments": checked_arguments,
}
