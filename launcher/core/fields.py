"""The first cell's form, as one table: it makes the form, the settings with their checks, and the README's table."""

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from launcher.core.problem import Problem

DEFAULT_CHECKPOINT: Final = "Stable Diffusion 1.5"

EVERYTHING: Final = "everything"
NOT_MODELS: Final = "images and settings"
NOTHING: Final = "nothing"

NEWEST: Final = "newest"
LAST_GOOD: Final = "the one that worked last"

AUTOMATIC: Final = "automatic"
COLABS_OWN: Final = "Colab's own"
NO_LINK: Final = "none"
# The services of public links, in the order in which they are tried: each a module of that name in access/tunnels.
TUNNELS: Final = ("gradio", "cloudflared")

# Arguments of A1111 that the launcher sets itself, or that would open the web UI past the login, and why not.
RESERVED: Final = (
    ("--port", "The launcher chooses the port itself."),
    ("--server-name --listen", "The web UI listens only to this machine, so that nobody gets past the login."),
    ("--share --ngrok", "The launcher makes the public link itself, with a login in front of it."),
    ("--gradio-auth --gradio-auth-path", "The launcher has a login of its own."),
    ("--api-auth", "The launcher has a login of its own, and the API uses it too."),
    ("--data-dir", "The launcher keeps the data folder itself; use the field **drive_folder**."),
    ("--api", "Use the field **api** instead."),
    ("--nowebui", "The launcher always starts the web UI."),
    ("--subpath", "The launcher serves the web UI at the root of the link."),
    ("--skip-prepare-environment", "The launcher prepares everything itself and already sets it."),
    ("--update-all-extensions", "Use the cell **Add or update an extension** instead."),
    ("--skip-install", "The launcher installs extensions itself and already sets it."),
    ("--enable-insecure-extension-access", "Use the field **extensions_tab** instead."),
    ("--tls-keyfile --tls-certfile", "The link is encrypted already."),
)
RESERVED_ARGUMENTS: Final = {name: why for names, why in RESERVED for name in names.split()}


def wrong(field: str, what: str, do: str) -> Problem:
    return Problem(f"The field **{field}** {what}", do)


def checked_minutes(value: object) -> int:
    """Whole minutes, 0 for never; raises `Problem` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1440:
        do = "Write a whole number from 0 (never) to 1440."
        raise wrong("give_back_after", f"says {value!r}, which is not a number of minutes.", do)
    return value


def checked_arguments(value: str) -> tuple[str, ...]:
    """The extra arguments, split as a shell would; refuses those the launcher must set itself."""
    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        what = f"cannot be read: a quotation mark is not closed ({error})."
        raise wrong("extra_arguments", what, "Close the quotation mark, or empty the field.") from error
    for name in (word.split("=")[0] for word in words):
        if name in RESERVED_ARGUMENTS:
            do = f"Remove {name} from the field."
            raise wrong("extra_arguments", f"has {name}. {RESERVED_ARGUMENTS[name]}", do)
    return words


@dataclass(frozen=True)
class Field:
    """One field. `choices` makes it a list, to which `free` lets a person add a value of their own."""

    name: str
    default: str | bool | int
    about: str  # one sentence under the field
    choices: tuple[str, ...] = ()
    free: bool = False
    pattern: str = "(?s).*"  # of a text that is none of the choices
    otherwise: tuple[str, str] = ("", "")  # what a text is not that has no such pattern, and what to do
    check: Callable[[Any], Any] = lambda value: value  # makes the setting of it; raises `Problem`

    def checked(self, value: Any) -> Any:
        """The setting for what the form holds, whose cell may have been edited. Raises `Problem`."""
        if isinstance(self.default, bool):
            return bool(value)
        if not isinstance(self.default, str):
            return self.check(value)
        value = str(value).strip()
        if value in self.choices:
            return value
        if self.choices and not self.free:
            do = f"Choose one of: {', '.join(self.choices)}."
            raise wrong(self.name, f"says {value!r}, which is not one of its choices.", do)
        if not re.fullmatch(self.pattern, value):
            raise wrong(self.name, f"says {value!r}, which {self.otherwise[0]}.", self.otherwise[1])
        return self.check(value)


FIELDS: Final = (
    Field(
        "checkpoint",
        DEFAULT_CHECKPOINT,
        "The model that makes your images. You can also paste a link to a model file. If your folder already has "
        "models, the first choice downloads nothing.",
        free=True,  # the choices are the catalog's, which the settings know
    ),
    Field(
        "keep_on_drive",
        EVERYTHING,
        "What is kept on your Google Drive. With **images and settings**, models are downloaded again next time. With "
        "**nothing**, Google is not asked for your Drive, and everything is lost when the machine goes away.",
        choices=(EVERYTHING, NOT_MODELS, NOTHING),
    ),
    Field(
        "drive_folder",
        "asd1111",
        "The folder on your Google Drive. It is created if missing.",
        pattern=r"[^\W_][\w \-]{0,60}",  # nothing that could lead elsewhere
        otherwise=(
            "is not a plain folder name",
            "Use letters, digits, spaces, - or _, without slashes or dots, for example asd1111.",
        ),
    ),
    Field(
        "version",
        NEWEST,
        "Which version of AUTOMATIC1111 to use. If the newest does not start, the one that worked last is used. You "
        "can also write a version such as v1.10.1.",
        choices=(NEWEST, LAST_GOOD, "v1.10.1", "dev"),
        free=True,
        pattern=r"(?!.*\.\.)[0-9A-Za-z][\w./-]{0,99}",  # a branch, a tag or a commit
        otherwise=(
            "cannot be a version of AUTOMATIC1111",
            f"Choose {NEWEST} or {LAST_GOOD}, or write a version such as v1.10.1.",
        ),
    ),
    Field("api", False, "Let other programs use the web UI, with the same user and password."),
    Field(
        "link",
        AUTOMATIC,
        f"How the web UI is reached. **automatic** tries {', then '.join((*TUNNELS, COLABS_OWN))} link.",
        choices=(AUTOMATIC, *TUNNELS, COLABS_OWN, NO_LINK),
    ),
    Field(
        "give_back_after",
        0,
        "The machine is given back to Google after this many minutes without use, so that it costs nothing more. "
        "0 means never.",
        check=checked_minutes,
    ),
    Field(
        "extensions_tab",
        False,
        "AUTOMATIC1111's own Extensions tab can install programs: with this on, anyone who is logged in can run "
        "anything on this machine and on your Drive. The cell below adds extensions without it.",
    ),
    Field(
        "extra_arguments",
        "",
        "More arguments for AUTOMATIC1111, if you know them. Leave it empty otherwise.",
        check=checked_arguments,
    ),
)

DEFAULTS: Final = {field.name: field.default for field in FIELDS}
OWNED: Final = ("drive_folder", "keep_on_drive")  # they belong to the web UI that runs
IMMEDIATE: Final = ("give_back_after", "api")  # the others take effect at the next restart
NOT_BY_THE_PAGE: Final = (*OWNED, "version", "extensions_tab", "extra_arguments", "link")


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
