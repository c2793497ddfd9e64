"""The first cell's form, as one table: it makes the form, and the settings with their checks."""

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from launcher.core.folder import MY_DRIVE
from launcher.core.problem import Problem

DEFAULT_CHECKPOINT: Final = "DreamShaper 8"  # where there is none at all

AS_LAST_TIME: Final = "as last time"
USUAL_FOLDER: Final = "asd1111"  # where Drive has none

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

# Arguments of A1111 that the launcher sets itself, or that would open the web UI past the login -> why not.
RESERVED: Final = (
    ("--port", "The launcher chooses the port itself."),
    ("--server-name --listen", "The web UI listens only to this machine, so that nobody gets past the login."),
    ("--share --ngrok", "The launcher makes the public link itself, with a login in front of it."),
    ("--gradio-auth --gradio-auth-path --api-auth", "The launcher has a login of its own, also for the API."),
    ("--data-dir", "The launcher keeps the data folder itself; use the field **drive_folder**."),
    ("--api", "Use the choice **api** instead."),
    ("--nowebui", "The launcher always starts the web UI."),
    ("--subpath", "The launcher serves the web UI at the root of the link."),
    ("--skip-prepare-environment --skip-install", "The launcher installs everything itself and already sets it."),
    ("--update-all-extensions", "Use the cell **Add or update an extension** instead."),
    ("--enable-insecure-extension-access", "Use the choice **extensions_tab** instead."),
    ("--tls-keyfile --tls-certfile", "The link is encrypted already."),
    ("--ui-settings-file --ui-config-file --styles-file", "The launcher keeps the web UI's settings on your Drive."),
    (
        "--models-dir --ckpt-dir --lora-dir --vae-dir --embeddings-dir --hypernetwork-dir",
        "The launcher keeps your models itself, and finds others on your Drive.",
    ),
    ("--ui-debug-mode --skip-load-model-at-start --dump-sysinfo", "With it no image can be made."),
)
RESERVED_ARGUMENTS: Final = {name: why for names, why in RESERVED for name in names.split()}
FOLDER_NAME: Final = r"(?!\.)[^\x00-\x1f\x7f*?\"<>|]{1,120}"  # of each folder on the way: none leads elsewhere


def wrong(name: str, what: str, do: str) -> Problem:
    """What is in the first cell's form is called a field, the rest is chosen on the panel."""
    in_form = any(field.name == name and field.in_form for field in FIELDS)
    return Problem(f"The {'field' if in_form else 'choice'} **{name}** {what}", do)


def checked_minutes(value: object) -> int:
    """Whole minutes, 0 for never; raises `Problem` otherwise."""
    if type(value) is not int or not 0 <= value <= 1440:
        do = "Write a whole number from 0 (never) to 1440."
        raise wrong("give_back_after", f"says {value!r}, which is not a number of minutes.", do)
    return value


def checked_version(value: str) -> str:
    """A branch, a tag or a commit; raises `Problem` otherwise."""
    if not re.fullmatch(r"(?!.*\.\.)[0-9A-Za-z][\w./-]{0,99}", value):
        do = f"Choose {NEWEST} or {LAST_GOOD}, or write a version such as v1.10.1."
        raise wrong("version", f"says {value!r}, which cannot be a version of AUTOMATIC1111.", do)
    return value


def checked_arguments(value: str) -> tuple[str, ...]:
    """The extra arguments, split as a shell would; refuses those the launcher must set itself."""
    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        what = f"cannot be read: a quotation mark is not closed ({error})."
        raise wrong("extra_arguments", what, "Close the quotation mark, or empty it.") from error
    for name in (word.split("=")[0] for word in words):
        if name in RESERVED_ARGUMENTS:
            raise wrong("extra_arguments", f"has {name}. {RESERVED_ARGUMENTS[name]}", f"Remove {name} there.")
    return words


def checked_folder(value: str) -> str:
    """A folder below My Drive, perhaps as a path; "" for the one of last time. Raises `Problem`."""
    path = value.replace("\\", "/").strip("\"'/ ")
    if re.search(r"(?i)(^|/)shared ?drives(/|$)", path):
        do = "Make a shortcut to it in My Drive (**Organize → Add shortcut**), and write the shortcut's name."
        raise wrong("drive_folder", f"says {value!r}, which is on a shared drive.", do)
    if value.replace("\\", "/").strip("\"' ").startswith("/content/") and not re.search(rf"(?i)/{MY_DRIVE}(/|$)", path):
        what = f"says {value!r}, which is not in My Drive."
        raise wrong("drive_folder", what, "Write the name of a folder in My Drive, for example asd1111 or AI/models.")
    names = [name.strip() for name in re.sub(rf"(?i)^(.*/)?{MY_DRIVE}(/|$)", "", path).split("/")]
    if path and ("://" in path or not all(re.fullmatch(FOLDER_NAME, name) for name in names)):
        what = f"says {value!r}, which is not a plain folder name."
        raise wrong("drive_folder", what, "Write the name of a folder on your Drive, for example asd1111 or AI/models.")
    return "/".join(names)


@dataclass(frozen=True)
class Field:
    """One choice. `choices` makes it a list, to which `free` lets a person add a value of their own."""

    name: str
    default: str | bool | int  # where nobody ever chose
    about: str  # one sentence under the field
    untouched: str | None = None  # what the first cell's form has: as last time; None where it has no such field
    choices: tuple[str, ...] = ()
    free: bool = False
    check: Callable[[Any], Any] = lambda value: value  # makes the setting of what is no choice; raises `Problem`

    @property
    def in_form(self) -> bool:
        """True for a field of the first cell; the others are chosen on the panel."""
        return self.untouched is not None

    def asks(self, value: Any) -> bool:
        """False for a field of the form that is as it came, or empty."""
        return not (self.in_form and str(value).strip().lower() in ("", self.untouched))

    def checked(self, value: Any) -> Any:
        """The setting for what the form holds, whose cell may have been edited. Raises `Problem`."""
        if isinstance(self.default, bool):
            return bool(value)
        value = str(value).strip() if isinstance(self.default, str) else value
        if value in self.choices:
            return value
        if self.choices and not self.free:
            do = f"Choose one of: {', '.join(self.choices)}."
            raise wrong(self.name, f"says {value!r}, which is not one of its choices.", do)
        return self.check(value)


FIELDS: Final = (
    Field(
        "checkpoint",
        AS_LAST_TIME,
        "The model that makes your images. **as last time** also takes one that is in your folder already; where there "
        f"is none, {DEFAULT_CHECKPOINT} is downloaded. You can also paste a link to a model file.",
        untouched=AS_LAST_TIME,
        free=True,  # the choices are the catalog's, which the settings know
    ),
    Field(
        "drive_folder",
        "",
        "The folder on your Google Drive, created if missing. Leave it empty for the one of last time, or for a web "
        f"UI's folder that is there already; where there is none, it is {USUAL_FOLDER}.",
        untouched="",
        check=checked_folder,
    ),
    Field(
        "keep_on_drive",
        EVERYTHING,
        "What is kept on your Google Drive. With **images and settings**, models are downloaded again next time. With "
        "**nothing**, Google is not asked for your Drive, and everything is lost when the machine goes away.",
        untouched=AS_LAST_TIME,
        choices=(EVERYTHING, NOT_MODELS, NOTHING),
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
        "anything on this machine and on your Drive. The panel's box for adding things takes extensions without it.",
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


def asked_in(form: Mapping[str, Any]) -> dict[str, Any]:
    """What a form asks for: its fields that are not as they came, and what a call has by name."""
    return {field.name: form[field.name] for field in FIELDS if field.name in form and field.asks(form[field.name])}


@dataclass(frozen=True)
class Settings:
    """What a launch goes by. Made by `Settings.from_form`, which checks it."""

    checkpoint: str  # `AS_LAST_TIME`: any that is there
    drive_folder: str  # "" until Drive was looked at
    keep_on_drive: str
    version: str
    api: bool
    link: str
    give_back_after: int  # minutes without any request; 0: never
    extensions_tab: bool  # A1111's own tab, through which anyone logged in can install programs
    extra_arguments: tuple[str, ...]

    @classmethod
    def from_form(cls, form: Mapping[str, Any], known_checkpoints: Iterable[str]) -> "Settings":
        """Check every field; one that is missing, or as it came, has its default. Raises `Problem`, which names it."""
        asked = DEFAULTS | asked_in(form)
        values = {field.name: field.checked(asked[field.name]) for field in FIELDS}
        return cls(**values | {"checkpoint": checked_checkpoint(values["checkpoint"], known_checkpoints)})

    def as_form(self) -> dict[str, Any]:
        """The form that would ask for them."""
        return asdict(self) | {"extra_arguments": shlex.join(self.extra_arguments)}

    @property
    def models_on_drive(self) -> bool:
        return self.keep_on_drive == EVERYTHING

    @property
    def uses_drive(self) -> bool:
        return self.keep_on_drive != NOTHING


def checked_checkpoint(value: str, known: Iterable[str]) -> str:
    """A name of the catalog, or a text with a link or an AIR in it; raises `Problem` with the nearest names."""
    by_lower = {name.lower(): name for name in (AS_LAST_TIME, *known)}
    if value.lower() in by_lower:
        return by_lower[value.lower()]
    if re.search(r"(?i)\b(https?|hf)://|urn:air:|civitai: ?\d|^\s*([\w-]+\.)+[a-z]{2,}/\S|\b(cli|hf) download ", value):
        return value
    near = difflib.get_close_matches(value.lower(), by_lower, n=3, cutoff=0.3) or list(by_lower)[1:4]
    closest = ", ".join(by_lower[name] for name in near)
    do = f"Choose one from the list (closest: {closest}), or paste a link that starts with https://."
    raise wrong("checkpoint", f"says {value!r}, which is neither a known model nor a link.", do)
