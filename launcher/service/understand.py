"""What a person means by a text in Add: told by what is written, not by the box it was written in."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.problem import Problem
from launcher.drive.find import path_on_drive
from launcher.extensions.address import Address, checked_address, is_repository
from launcher.models.catalog import Model
from launcher.models.identify import WEIGHTS
from launcher.models.pasted import AROUND, BEGINS, links_in, places_of_links, without_secrets
from launcher.models.remote import Offered
from launcher.service.named import extension, like, named_in, names
from launcher.service.places import no_such_place


@dataclass(frozen=True)
class Present:
    """A checkpoint that is in the folder already: it is to be used."""

    name: str


Thing = Model | Present | Address | Path | str | Problem  # a str is a link to a model, a Path one on Drive
Meant = tuple[str, Thing]  # what it is called in a row, and what it is

LONGEST_TEXT: Final = 20_000  # characters
MOST_AT_ONCE: Final = 200  # links, lines, and names between commas
LONGEST_WRITTEN: Final = 100
LONGEST_SHOWN: Final = 60
SCHEMELESS: Final = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?/\S", re.IGNORECASE)
GIT_ON_HUB: Final = re.compile(r"(?:(?:ssh://)?git@|https://)(huggingface\.co|hf\.co)[:/](.+)\.git/?")
COMMAS: Final = ",;|，；、\t"


def understood(text: str, drive: Path, *, git_first: bool = False) -> list[Meant]:
    """All that a text asks for, each once. What cannot be done is a `Problem` among the others.

    `drive` is My Drive. `git_first`: a link to an unknown host leads to an extension, not to a file. Raises `Problem`.
    """
    many = max(len(links_in(text)), len(re.findall(rf"[\n{COMMAS}]", text))) > MOST_AT_ONCE
    if many or len(text) > LONGEST_TEXT:
        raise Problem("That is too much at once.", "Add it in several parts.")
    found: dict[object, Meant] = {}
    for item in items_in(text, lambda one: is_known(one, drive)):
        for title, thing in meant(item, drive, git_first):
            found.setdefault(title if isinstance(thing, Problem) else thing, (title, thing))
    if not found:
        raise Problem("Nothing was written here yet.", "Write the name of a model or an extension, or paste a link.")
    return list(found.values())


# ---- one text, several things


def items_in(text: str, is_known: Callable[[str], bool]) -> list[str]:
    """The text cut into what it asks for. Beside a link, other words count only where they are `is_known`."""
    text = re.sub(rf"(?<=\S)\\\r?\n(?![\s-]|{BEGINS})", "", text)  # a shell's line that goes on inside a link
    text = re.sub(r"\\[ \t]*\r?\n", ", ", text)
    text, items = (
        re.sub(r"(?i)\bcivitai: *(\d+) *@ *(\d+)", r"civitai:\1@\2", text),
        list[str](),
    )  # as its page shows it
    for line in text.splitlines():
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


def meant(text: str, drive: Path, git_first: bool) -> list[Meant]:
    """What one text means: several things where one word stands for them."""
    try:
        return known(text, drive) or [addressed(text, drive, git_first)]
    except Problem as problem:
        return [(without_secrets(text), problem)]


def is_known(text: str, drive: Path) -> bool:
    try:
        return bool(known(text, drive))
    except Problem:  # it is what it is, and cannot be had: `meant` says so
        return True


def known(text: str, drive: Path) -> list[Meant]:
    """What a name, or a place that is on Drive, means. Nothing for what is neither, and where nobody can be sure."""
    if not text or links_in(text):
        return []
    place = path_on_drive(drive, text)
    if place and text.lower() not in map(str.lower, names()):
        return [(f"My Drive/{place.relative_to(drive)}", place)]
    return [*named_in(text)] if len(text) <= LONGEST_WRITTEN else []


def addressed(text: str, drive: Path, git_first: bool) -> Meant:
    """What a link, or a text that is no name, means. Raises `Problem`."""
    if SCHEMELESS.match(text):
        text = f"https://{text}"
    if hub := GIT_ON_HUB.fullmatch(text):
        text = f"https://{hub[1]}/{hub[2]}"
    if is_repository(text, git_first):
        return extension(checked_address(text))
    if links_in(text):
        return without_secrets(text), text
    raise no_such_place(text, drive) or not_known(text)


def not_known(text: str) -> Problem:
    """What it may mean, as buttons; or what else can be written."""
    shown = text if len(text) < LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text):
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
