"""What to say of a place that a person wrote where nothing is, or that nobody here can reach."""

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from launcher.core.outside import is_below, printable
from launcher.core.problem import Problem
from launcher.models.pasted import AROUND
from launcher.models.remote import Offered

ON_DRIVE: Final = re.compile(r"(?i)(?:.*/)?my ?drive/(.+)")
SHARED: Final = re.compile(r"(?i)(?:.*/)?shared ?drives/.")
COMPUTER: Final = re.compile(r"[A-Za-z]:/|/(?:home|Users|mnt|Volumes)/|~/|file:")
MOST_SIMILAR: Final = 3


def no_such_place(text: str, drive: Path) -> Problem | None:
    """What to say of a text that can only be a place; None for any other."""
    written = text.strip(AROUND).replace("\\", "/")
    shown = printable(text.strip(AROUND))[:100]
    if found := ON_DRIVE.match(written):
        names = similar_names(drive, found[1])
        options = tuple((name, f"MyDrive/{name}") for name in names)
        do = "Open drive.google.com and see how it is spelled there."
        what = f"There is no {shown} on your Drive."
        return Offered(what, "Choose what you mean.", options) if options else Problem(what, do)
    if SHARED.match(written):
        do = "At drive.google.com, choose **Organize → Add shortcut** for it, and write the name of the shortcut."
        return Problem(f"{shown} is on a shared drive.", do)
    if COMPUTER.match(written):
        do = "Upload it at drive.google.com, and write where it is there, for example models/NAME.safetensors."
        return Problem(f"{shown} is on your own computer, which cannot be reached from here.", do)
    if written.startswith("/"):
        do = "Move it into /content/drive/MyDrive, and write where it is there."
        return Problem(f"{shown} is not on your Drive.", do)
    return None


def similar_names(drive: Path, below: str) -> list[str]:
    """What is beside a place that is not there and is spelled nearly as it, relative to My Drive."""
    above, _, name = below.strip("/").rpartition("/")
    folder = drive / above
    if ".." in folder.parts or not is_below(folder / name, drive):
        return []
    try:
        similar = get_close_matches(name, os.listdir(folder), MOST_SIMILAR)
    except OSError:  # it is not there either, or Drive cannot list it: nothing is offered
        return []
    return [str((folder / one).relative_to(drive)) for one in similar]
