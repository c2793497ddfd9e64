"""What a person means by a text in Add: told by what is written, not by the box it was written in."""

import os
import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from launcher.core.folder import MY_DRIVE
from launcher.core.outside import is_below, printable
from launcher.core.problem import Problem
from launcher.drive.find import path_on_drive
from launcher.extensions import address as addresses
from launcher.extensions.address import Address, checked_address, is_repository
from launcher.models import catalog
from launcher.models.catalog import ALL_CONTROLS, CONTROL_FAMILIES, ESSENTIALS, Model
from launcher.models.identify import WEIGHTS
from launcher.models.pasted import AROUND, BEGINS, links_in, places_of_links, untangled, without_secrets
from launcher.models.remote import Offered

# What is asked for. A Path is a place on Drive; a str is a link to a model, or the name of a checkpoint that is there.
Thing = Model | Address | Path | str | Problem
Meant = tuple[str, Thing]  # what it is called in a row, and what it is
Named = tuple[str, Model | Address]  # the same of what can be added by its name

LONGEST_TEXT: Final = 20_000  # characters
MOST_AT_ONCE: Final = 200  # links, lines, and names between commas
LONGEST_WRITTEN: Final = 100
LONGEST_SHOWN: Final = 60
SCHEMELESS: Final = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?/\S", re.IGNORECASE)
GIT_ON_HUB: Final = re.compile(r"(?:(?:ssh://)?git@|https://)(huggingface\.co|hf\.co)[:/](.+)\.git/?")
# Drive's program asks Google for news now and then, and may miss some (googlecolab/colabtools#5241).
NOT_SEEN_YET: Final = (
    " What you put on your Drive just now, Colab may see only in a few minutes, or on the next machine."
)
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
SURE: Final = 0.85  # how like a name must be to be taken for it
LIKELY: Final = 0.6  # and to be offered
HALF: Final = 0.5  # of a name's letters: one short word of it may mean anything
MOST_NAMES: Final = 6
IDLE_WORD: Final = re.compile("base|models?|checkpoint|extensions?|the|a|for|and|with|webui|add|install|please")
CONTROL_NAMES: Final = {  # a family -> the names of its controls, and of old files with one
    family: {*table, *catalog.OLD_CONTROL_MODELS.get(family, {})} for family, table in catalog.CONTROL_MODELS.items()
}
LONG_FORMS: Final = {"sd": ("stable", "diffusion"), "sdxl": ("stable", "diffusion", "xl")}


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
    why = NOT_SEEN_YET if drive.name == "MyDrive" else ""
    return without_secrets(text), text if links_in(text) else no_such_place(text, drive, why) or not_known(text, why)


def not_known(text: str, why: str) -> Problem:
    """What it may mean, as buttons; or what else can be written, and `why` it may be there all the same."""
    bare = without_secrets(text)
    shown = bare if len(bare) < LONGEST_SHOWN else f"{bare[:LONGEST_SHOWN]}…"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text) and not text.lower().endswith(WEIGHTS):
        hosts = (("The model on Hugging Face", "huggingface.co"), ("The extension on GitHub", "github.com"))
        options = tuple((label, f"https://{host}/{text}") for label, host in hosts)
        return Offered(
            f"**{shown}** may be a model or an extension; there is no such folder on your Drive.",
            f"Choose which, or paste its link.{why}",
            options,
        )
    if alike := like(text[:LONGEST_WRITTEN])[1]:
        options = tuple((name, name) for name in alike)
        return Offered(f"Nothing is called just **{shown}**.", "Choose what you mean, or paste a link.", options)
    if text.lower().endswith(WEIGHTS):
        where = "on" if "/" in text else "at the top of"
        do = f"Write where it is, for example MyDrive/models/name.safetensors, or paste a link to it.{why}"
        return Problem(f"There is no file **{shown}** {where} your Drive.", do)
    return Problem(
        f"Nothing is called **{shown}**: no model in the list, no known extension, and no folder on your Drive.",
        f"Open the page of the model or the extension in your browser, and paste its address here.{why}",
    )


# ---- names: of the catalog's models, known extensions, ControlNet's models, and the usual ones


def extension(address: Address, name: str | None = None) -> tuple[str, Address]:
    return f"The extension {name or address.name}", address


def names() -> dict[str, Named]:
    """All names as a person is shown them."""
    models: dict[str, Named] = {model.name: (model.name, model) for model in catalog.MODELS}
    return models | {name: extension(checked_address(url), name) for name, url in addresses.KNOWN_EXTENSIONS.items()}


def named_in(text: str) -> list[Named]:
    """What a name means that leaves no doubt."""
    if words_of(text) == ("usual",):
        return [names()[name] for name in (*addresses.USUAL_EXTENSIONS, *addresses.USUAL_MODELS)]
    if found := re.match(r"control\s?-?\s?nets?(?!\w)[:\s]*(.*)$", text, re.IGNORECASE):
        return controls_of(found[1].lower())
    sure, found_names = like(text)
    return [names()[found_names[0]]] if sure else []


def like(text: str) -> tuple[bool, list[str]]:
    """(whether there is no doubt, the names that may be meant, the likeliest first)."""
    text = text[: -len(ending)] if (ending := next(filter(text.lower().endswith, WEIGHTS), "")) else text
    wanted = words_of(text)
    whole = "".join(wanted)
    if not whole or re.search(r"[,;|，；、\t/\\]", text):  # several names are none, and a place is none
        return False, []
    if text.lower() in set[str]().union(*CONTROL_NAMES.values()):
        return False, [f"ControlNet {text.lower()}", *(name for name in names() if text.lower() in name.lower())]
    spelled = {name: [words_of(one) for one in (name, *others_of(thing))] for name, (_, thing) in names().items()}
    numbered = any(map(str.isdecimal, wanted))  # else the number of a version need not be written
    keys = {
        name: {"".join(word for word in words if numbered or not word.isdecimal()) for words in own}
        for name, own in spelled.items()
    }
    repositories = {name: thing.name.lower() for name, (_, thing) in names().items() if isinstance(thing, Address)}
    if equal := [name for name, own in keys.items() if whole in own or text.lower() == repositories.get(name)]:
        return len(equal) == 1, equal
    within = {name: [words for words in own if {*wanted} <= {*words}] for name, own in spelled.items()}
    if parts := sorted(filter(within.__getitem__, within), key=lambda name: spelled[name][0] not in within[name]):
        sure = any(len(whole) >= HALF * len("".join(words)) for words in within[parts[0]])
        return len(parts) == 1 and sure, parts[:MOST_NAMES]
    near = {name: max(SequenceMatcher(None, whole, key).ratio() for key in own) for name, own in keys.items()}
    best = sorted((name for name in near if near[name] >= LIKELY), key=lambda name: -near[name])[:MOST_NAMES]
    alike = [name for name in best if near[name] >= SURE and any(all_in(wanted, words) for words in spelled[name])]
    return len(alike) == 1, best


def all_in(wanted: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """True if each word is one of these, mistyped at most: "xl" or another number is another model."""
    joined = "".join(words)
    mistyped = (word for word in wanted if word not in joined or word.isdecimal())
    return all(word in words or (len(word) > 3 and get_close_matches(word, words, 1, SURE)) for word in mistyped)


def others_of(thing: Model | Address) -> list[str]:
    """The names of its files, or of its repository without what all extensions are called."""
    if isinstance(thing, Model):
        return [PurePosixPath(source.saved_name).stem for source in thing.sources]
    return [re.sub(r"(?i)^(a1111-)?(sd|stable-diffusion)-(webui-)?|-for-automatic1111$", "", thing.name)]


@lru_cache(1000)
def words_of(name: str) -> tuple[str, ...]:
    """A name's words as they are compared: small letters, no dots in numbers, abbreviations in their long form."""
    plain = re.sub(r"(?<=\d)\.(?=\d)|(?<![a-z])v(?=\d)", "", name.lower())
    words = re.findall(r"\d+x(?![a-z])|\d+|[^\W\d_]+", plain)
    long = tuple(part for word in words for part in LONG_FORMS.get(word, (word,)))
    return tuple(word for word in long if not IDLE_WORD.fullmatch(word)) or long


# ---- ControlNet


def controls_of(choice: str) -> list[Named]:
    """The extension and the models for **canny xl** and the like; nothing where a word is neither."""
    family_of = {words_of(family)[-1]: family for family in CONTROL_FAMILIES}  # 15, 21, xl
    several, families, controls = {ESSENTIALS, ALL_CONTROLS}, list[str](), list[str]()
    plain = re.sub(r"\bstable diffusion\b|\bsd(?=[\d\s]|xl)|(?<=\d)\.(?=\d)|\.safetensors\b", "", choice)
    for word in re.findall(r"[^,\s]+", plain):
        near = get_close_matches(word, several.union(*CONTROL_NAMES.values()), 1, SURE - 0.1)
        if word in family_of:
            families.append(family_of[word])
        elif near:
            controls += near
        elif not IDLE_WORD.fullmatch(word):
            return []
    having = [family for family, known_there in CONTROL_NAMES.items() if {*controls} <= several | known_there]
    return control_net(",".join(families or having[:1] or CONTROL_FAMILIES[:1]), ",".join(controls))


def control_net(for_models: str, controls: str) -> list[Named]:
    """The extension, and its models for these checkpoints. Raises `Problem`."""
    models = catalog.chosen_controls(for_models, controls)
    return [names()["ControlNet"], *((model.name, model) for model in models)]


# ---- a place where nothing is, or that nobody here can reach


def no_such_place(text: str, drive: Path, why: str) -> Problem | None:
    """What to say of a text that can only be a place; None for any other."""
    written = text.strip(AROUND).replace("\\", "/")
    shown = printable(text.strip(AROUND))[:100]
    if found := ON_DRIVE.match(written):
        what = f"There is no {shown} on your Drive."
        if options := tuple((name, f"MyDrive/{name}") for name in similar_names(drive, found[1])):
            return Offered(what, "Choose what you mean.", options)
        return Problem(what, f"Open drive.google.com and see how it is spelled there.{why}")
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
