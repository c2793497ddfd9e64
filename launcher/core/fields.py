"""The first cell's form, as one table: it makes the form, the settings, their defaults and checks, and the README's
table.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
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
    return Problem(f"The field **{field}** {what}", do, field=field)


def checked_version(value: str) -> str:
    """A branch, a tag or a commit of A1111; raises `Problem` for what cannot be the name of one."""
    if not re.fullmatch(r"[0-9A-Za-z][\w./-]{0,99}", value) or ".." in value:
        do = f"Choose {NEWEST} or {LAST_GOOD}, or write a version such as v1.10.1."
        raise wrong("version", f"says {value!r}, which cannot be a version of AUTOMATIC1111.", do)
    return value


def checked_folder(value: str) -> str:
    """One plain folder name inside the Drive; raises `Problem` for anything that could lead elsewhere."""
    if not re.fullmatch(r"[^\W_][\w \-]{0,60}", value):
        do = "Use letters, digits, spaces, - or _, without slashes or dots, for example asd1111."
        raise wrong("drive_folder", f"says {value!r}, which is not a plain folder name.", do)
    return value


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
    check: Callable[[Any], Any] | None = None  # of a value that is none of the choices; raises `Problem`

    def checked(self, value: Any) -> Any:
        """The setting for what the form holds, whose cell may have been edited. Raises `Problem`."""
        if isinstance(self.default, bool):
            return bool(value)
        if isinstance(self.default, str):
            value = str(value).strip()
        if value in self.choices:
            return value
        if self.check:
            return self.check(value)
        if self.choices:
            do = f"Choose one of: {', '.join(self.choices)}."
            raise wrong(self.name, f"says {value!r}, which is not one of its choices.", do)
        return value


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
        check=checked_folder,
    ),
    Field(
        "version",
        NEWEST,
        "Which version of AUTOMATIC1111 to use. If the newest does not start, the one that worked last is used. You "
        "can also write a version such as v1.10.1.",
        choices=(NEWEST, LAST_GOOD, "v1.10.1", "dev"),
        free=True,
        check=checked_version,
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
