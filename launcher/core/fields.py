"""The first cell's form, as one table: it makes the form, the settings and their defaults, and the README's table."""

from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True)
class Field:
    """One field. `choices` makes it a list, to which `free` lets a person add a value of their own."""

    name: str
    default: str | bool | int
    about: str  # one sentence under the field
    choices: tuple[str, ...] = ()
    free: bool = False


FIELDS: Final = (
    Field(
        "checkpoint",
        DEFAULT_CHECKPOINT,
        "The model that makes your images. You can also paste a link to a model file. If your folder already has "
        "models, the first choice downloads nothing.",
        free=True,  # the choices are the catalog's
    ),
    Field(
        "keep_on_drive",
        EVERYTHING,
        "What is kept on your Google Drive. With **images and settings**, models are downloaded again next time. With "
        "**nothing**, Google is not asked for your Drive, and everything is lost when the machine goes away.",
        choices=(EVERYTHING, NOT_MODELS, NOTHING),
    ),
    Field("drive_folder", "asd1111", "The folder on your Google Drive. It is created if missing."),
    Field(
        "version",
        NEWEST,
        "Which version of AUTOMATIC1111 to use. If the newest does not start, the one that worked last is used. You "
        "can also write a version such as v1.10.1.",
        choices=(NEWEST, LAST_GOOD, "v1.10.1", "dev"),
        free=True,
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
    ),
    Field(
        "extensions_tab",
        False,
        "AUTOMATIC1111's own Extensions tab can install programs: with this on, anyone who is logged in can run "
        "anything on this machine and on your Drive. The cell below adds extensions without it.",
    ),
    Field("extra_arguments", "", "More arguments for AUTOMATIC1111, if you know them. Leave it empty otherwise."),
)

DEFAULTS: Final = {field.name: field.default for field in FIELDS}


def field_named(name: str) -> Field:
    return next(field for field in FIELDS if field.name == name)
