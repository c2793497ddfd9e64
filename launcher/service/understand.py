"""What a person means by a text in Add: told by what is written, not by the box it was written in."""

import os
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from launcher.core.folder import MY_DRIVE
from launcher.core.outside import is_below, printable
from launcher.core.problem import Problem
from launcher.drive.find import path_on_drive
from launcher.extensions.address import Address, checked_address, is_repository
from launcher.models.catalog import Model
from launcher.models.identify import WEIGHTS
from launcher.models.pasted import AROUND, BEGINS, links_in, places_of_links, untangled, without_secrets
from launcher.models.remote import Offered
from launcher.service.named import extension, like, named_in, names

# What is asked for. A Path is a place on Drive; a str is a link to a model, or the name of a checkpoint that is there.
Thing = Model | Address | Path | str | Problem
Meant = tuple[str, Thing]  # what it is called in a row, and what it is

LONGEST_TEXT: Final = 20_000  # characters
MOST_AT_ONCE: Final = 200  # links, lines, and names between commas
LONGEST_WRITTEN: Final = 100
LONGEST_SHOWN: Final = 60
SCHEMELESS: Final = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?/\S", re.IGNORECASE)
GIT_ON_HUB: Final = re.compile(r"(?:(?:ssh://)?git@|https://)(huggingface\.co|hf\.co)[:/](.+)\.git/?")
COMMAS: Final = ",;|，；、\t"
ON_DRIVE: Final = re.compile(rf"(?i)(?:.*/)?{MY_DRIVE}/(.+)")
# How a place begins that nobody here can reach -> where it is, and what to do.
OUT_OF_REACH: Final = (
    (
        r"(?i)(?:.*/)?shared ?drives/.",
        "is on a shared drive",
        "At drive.google.com, choose **Organize → Add shortcut** for it, and write the name of the shortcut.",
    ),
    (
        r"[A-Za-z]:/|/(?:home|Users|mnt|Volumes)/|~/|file:",
        "is on your own computer, which cannot be reached from here",
        "Upload it at drive.google.com, and write where it is there, for example models/NAME.safetensors.",
    ),
    (r"/", "is not on your Drive", "Move it into {drive}, and write where it is there."),
)
MOST_SIMILAR: Final = 3


def understood(text: str, drive: Path, *, git_first: bool = False) -> list[Meant]:
    """All that a text asks for, each once. What cannot be done is a `Problem` among the others.

    `drive` is My Drive. `git_first`: a link to an unknown host leads to an extension, not to a file. Raises `Problem`.
    """
    many = max(len(links_in(text)), len(re.findall(rf"[\n{COMMAS}]", text))) > MOST_AT_ONCE
    if many or len(text) > LONGEST_TEXT:
        raise Problem("That is too much at once.", "Add it in several parts.")
    found: dict[object, Meant] = {}
    for item in items_in(text, lambda one: bool(known(one, drive))):
        for title, thing in known(item, drive) or [addressed(item, drive, git_first)]:
            found.setdefault(title if isinstance(thing, Problem) else thing, (title, thing))
    if not found:
        raise Problem("Nothing was written here yet.", "Write the name of a model or an extension, or paste a link.")
    return list(found.values())


# ---- one text, several things


def items_in(text: str, is_known: Callable[[str], bool]) -> list[str]:
    """The text cut into what it asks for. Beside a link, other words count only where they are `is_known`."""
    text = re.sub(rf"(?<=\S)\\\r?\n(?![\s-]|{BEGINS})", "", text)  # a shell's line that goes on inside a link
    text = re.sub(r"\\[ \t]*\r?\n", ", ", text)
    items = list[str]()
    for line in untangled(text).splitlines():
        places, done = list(places_of_links(line)), 0
        for start, end in (*places, (len(line), len(line))):
            items += [piece for piece in pieces_of(line[done:start], is_known) if not places or is_known(piece)]
            items += links_in(line[start:end])
            done = end
    return list(dict.fromkeys(items))


def pieces_of(text: str, is_known: Callable[[str], bool]) -> Iterator[str]:
    """What stands between commas, unless it is one thing with them; without quotes and the dots of a list."""
    whole = re.sub(r"^\s*(?:[-*•]|\d+[.)]|!?git clone)\s+", "", text).removesuffix("\\").strip(AROUND + COMMAS)
    pieces = [whole] if is_known(whole) else re.split(f"[{COMMAS}]", whole)
    for clean in filter(None, (piece.strip(AROUND) for piece in pieces)):
        parts = re.split(r"\s+(?:and|&)\s+", clean)
        yield from parts if len(parts) > 1 and not is_known(clean) and all(map(is_known, parts)) else [clean]


# ---- one thing


def known(text: str, drive: Path) -> list[Meant]:
    """What a name, or a place that is on Drive, means. Nothing for what is neither, and where nobody can be sure."""
    if not text or links_in(text):
        return []
    place = path_on_drive(drive, text)
    if place and text.lower() not in map(str.lower, names()):
        return [(f"My Drive/{place.relative_to(drive)}", place)]
    try:
        return [*named_in(text)] if len(text) <= LONGEST_WRITTEN else []
    except Problem as problem:  # it is what it is, and cannot be had
        return [(without_secrets(text), problem)]


def addressed(text: str, drive: Path, git_first: bool) -> Meant:
    """What a link, or a text that is no name, means."""
    if SCHEMELESS.match(text):
        text = f"https://{text}"
    if hub := GIT_ON_HUB.fullmatch(text):
        text = f"https://{hub[1]}/{hub[2]}"
    try:
        if is_repository(text, git_first):
            return extension(checked_address(text))
    except Problem as problem:
        return without_secrets(text), problem
    return without_secrets(text), text if links_in(text) else no_such_place(text, drive) or not_known(text)


def not_known(text: str) -> Problem:
    """What it may mean, as buttons; or what else can be written."""
    bare = without_secrets(text)
    shown = bare if len(bare) < LONGEST_SHOWN else f"{bare[:LONGEST_SHOWN]}…"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text) and not text.lower().endswith(WEIGHTS):
        hosts = (("The model on Hugging Face", "huggingface.co"), ("The extension on GitHub", "github.com"))
        options = tuple((label, f"https://{host}/{text}") for label, host in hosts)
        return Offered(f"**{shown}** may be a model or an extension.", "Choose which, or paste its link.", options)
    if alike := like(text[:LONGEST_WRITTEN])[1]:
        options = tuple((name, name) for name in alike)
        return Offered(f"Nothing is called just **{shown}**.", "Choose what you mean, or paste a link.", options)
    if text.lower().endswith(WEIGHTS):
        do = "Write its folder, too, for example MyDrive/models, or paste a link to it."
        return Problem(f"There is no file **{shown}** at the top of your Drive.", do)
    return Problem(
        f"Nothing is called **{shown}**: no model in the list, no known extension, and no folder on your Drive.",
        "Open the page of the model or the extension in your browser, and paste its address here.",
    )


# ---- a place where nothing is, or that nobody here can reach


def no_such_place(text: str, drive: Path) -> Problem | None:
    """What to say of a text that can only be a place; None for any other."""
    written = text.strip(AROUND).replace("\\", "/")
    shown = printable(text.strip(AROUND))[:100]
    if found := ON_DRIVE.match(written):
        what = f"There is no {shown} on your Drive."
        if options := tuple((name, f"MyDrive/{name}") for name in similar_names(drive, found[1])):
            return Offered(what, "Choose what you mean.", options)
        return Problem(what, "Open drive.google.com and see how it is spelled there.")
    elsewhere = ((where, do) for begins, where, do in OUT_OF_REACH if re.match(begins, written))
    return next((Problem(f"{shown} {where}.", do.replace("{drive}", str(drive))) for where, do in elsewhere), None)


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
