"""What can be added by its name: the catalog's models, known extensions, ControlNet's models, and the usual ones."""

import re
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from launcher.extensions.address import KNOWN_EXTENSIONS, USUAL_EXTENSIONS, USUAL_MODELS, Address, checked_address
from launcher.models import catalog
from launcher.models.catalog import ALL_CONTROLS, CONTROL_FAMILIES, ESSENTIALS, Model
from launcher.models.identify import WEIGHTS

Named = tuple[str, Model | Address]  # what it is called in a row, and what it is

SURE: Final = 0.85  # how like a name must be to be taken for it
LIKELY: Final = 0.6  # and to be offered
HALF: Final = 0.5  # of a name's letters: one short word of it may mean anything
MOST_NAMES: Final = 6
IDLE_WORD: Final = re.compile("base|models?|checkpoint|extensions?|the|a|for|and|with|webui|add|install|please")
LONG_FORMS: Final = {"sd": ("stable", "diffusion"), "sdxl": ("stable", "diffusion", "xl")}


def extension(address: Address, name: str | None = None) -> tuple[str, Address]:
    return f"The extension {name or address.name}", address


def names() -> dict[str, Named]:
    """All names as a person is shown them."""
    models: dict[str, Named] = {model.name: (model.name, model) for model in catalog.MODELS}
    return models | {name: extension(checked_address(url), name) for name, url in KNOWN_EXTENSIONS.items()}


def named_in(text: str) -> list[Named]:
    """What a name means that leaves no doubt."""
    if words_of(text) == ("usual",):
        return [names()[name] for name in (*USUAL_EXTENSIONS, *USUAL_MODELS)]
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
    if text.lower() in {control for table in control_tables().values() for control in table}:
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


def control_tables() -> dict[str, dict[str, Model]]:
    return {name: table | catalog.OLD_CONTROL_MODELS.get(name, {}) for name, table in catalog.CONTROL_MODELS.items()}


def controls_of(choice: str) -> list[Named]:
    """The extension and the models for **canny xl** and the like; nothing where a word is neither."""
    tables = control_tables()
    family_of = {words_of(family)[-1]: family for family in CONTROL_FAMILIES}  # 15, 21, xl
    several, families, controls = {ESSENTIALS, ALL_CONTROLS}, list[str](), list[str]()
    plain = re.sub(r"\bstable diffusion\b|\bsd(?=[\d\s]|xl)|(?<=\d)\.(?=\d)|\.safetensors\b", "", choice)
    for word in re.findall(r"[^,\s]+", plain):
        near = get_close_matches(word, several.union(*tables.values()), 1, SURE - 0.1)
        if word in family_of:
            families.append(family_of[word])
        elif near:
            controls += near
        elif not IDLE_WORD.fullmatch(word):
            return []
    having = [family for family, table in tables.items() if {*controls} <= {*several, *table}]
    return control_net(",".join(families or having[:1] or CONTROL_FAMILIES[:1]), ",".join(controls))


def control_net(for_models: str, controls: str) -> list[Named]:
    """The extension, and its models for these checkpoints. Raises `Problem`."""
    models = catalog.chosen_controls(for_models, controls)
    return [names()["ControlNet"], *((model.name, model) for model in models)]
