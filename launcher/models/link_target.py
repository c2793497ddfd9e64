"""What a link leads to, or what is missing to know it."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from launcher.core.problem import Problem
from launcher.models.identify import WEIGHTS
from launcher.models.remote import Remote

LONGEST_NAME: Final = 200  # bytes; Drive and Linux take 255, and an unfinished download has a longer name
UNPACK_FIRST: Final = (".rar", ".7z", ".tar", ".gz")


@dataclass(eq=False)  # not frozen: what passes it on sets __traceback__
class TokenNeeded(Exception):
    """The source wants a token. `name` is the secret's name; `reason` a sentence; `without` what to say where there is
    none.
    """

    name: str
    reason: str
    page: str
    without: Problem | None = None


@dataclass(frozen=True)
class LinkTarget:
    """What a link leads to. `kind` is a key of KIND_FOLDERS, or "" where the source does not tell."""

    remote: Remote
    kind: str = ""


def safe_name(name: str) -> str:
    """A file name without any path, dot at the front, control character, or too many bytes.

    Raises `Problem` if it is not a model file. Brackets, emoji and spaces stay.
    """
    sound = name.encode("utf-8", "replace").decode()
    last = unicodedata.normalize("NFC", sound).replace("\\", "/").rpartition("/")[2]
    shown = "".join(c for c in last if c == "\u200d" or unicodedata.category(c)[0] != "C")
    clean = re.sub(r'[<>:"|?*]', "_", shown).lstrip(". ").rstrip(". ")
    lower = clean.lower()
    if lower.endswith(UNPACK_FIRST):
        raise Problem(
            f"{short(clean)!r} is an archive.",
            "Unpack it on your computer, and put the model inside it into your models folder on Google Drive.",
        )
    ending = next((ending for ending in (*WEIGHTS, ".zip") if lower.endswith(ending)), "")
    if not ending or len(lower) == len(ending):
        raise Problem(
            f"{short(clean) or 'The link'!r} is not the name of a model file.",
            f"Use a link to a file that ends in {', '.join(WEIGHTS)}; or write its name into the field **file_name**.",
        )
    stem = clean[: -len(ending)].encode()[: LONGEST_NAME - len(ending)].decode("utf-8", "ignore").rstrip()
    return stem + clean[-len(ending) :]


def short(name: str) -> str:
    """As much of it as a sentence bears."""
    return name if len(name) <= 60 else f"{name[:57]}…"
