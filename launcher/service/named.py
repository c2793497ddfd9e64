"""What can be added by its name: the catalog's models, known extensions, ControlNet's models, and the usual ones."""

import re
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from launcher.extensions.address import Address, checked_address
from launcher.extensions.known import KNOWN_EXTENSIONS, USUAL_EXTENSIONS, USUAL_MODELS
from launcher.models import catalog
from launcher.models.catalog import ALL_CONTROLS, CONTROL_FAMILIES, ESSENTIALS, Model
from launcher.models.identify import WEIGHTS

Named = tuple[str, Model | Address]  # what it is called in a row, and what it is

SURE: Final = 0.85  # how like a name must be to be taken for it
LIKELY: Final = 0.6  # and to be offered
HALF: Final = 0.5  # of a name's letters: one short word of it may mean anything
MOST_NAMES: Final = 6
IDLE_WORD: Final = re.compile("base|models?|checkpoint|extensions?|the|a|for|and|with|webui|add|install")
LONG_FORMS: Final = {"sd": ("stable", "diffusion"), "sdxl": ("stable", "diffusion", "xl")}


def extension(address: Address, name: str | None = None) -> tuple[str, Address]:
    return f"The extension {name or address.name}", address


def control_net() -> tuple[str, Address]:
    return extension(checked_address(KNOWN_EXTENSIONS["ControlNet"]), "ControlNet")


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
    if not whole:
        return False, []
    spelled = {name: [words_of(one) for one in (name, *others_of(thing))] for name, (_, thing) in names().items()}
    keys = {name: {"".join(words) for words in spellings} for name, spellings in spelled.items()}
    if not any(map(str.isdecimal, wanted)):  # the number of a version need not be written
        for name, spellings in spelled.items():
            keys[name] |= {"".join(word for word in words if not word.isdecimal()) for words in spellings}
    if equal := [name for name, own in keys.items() if whole in own]:
        return len(equal) == 1, equal
    if parts := [name for name, own in spelled.items() if any({*wanted} <= {*words} for words in own)]:
        long = [name for name in parts if len(whole) >= HALF * min(map(len, keys[name]))]
        parts.sort(key=lambda name: not {*wanted} <= {*spelled[name][0]})
        return len(parts) == len(long) == 1, parts[:MOST_NAMES]
    near = {name: max(SequenceMatcher(None, whole, key).ratio() for key in own) for name, own in keys.items()}
    best = sorted((name for name in near if near[name] >= LIKELY), key=lambda name: -near[name])[:MOST_NAMES]
    numbers = {word for word in wanted if word.isdecimal()}
    alike = [name for name in best if near[name] >= SURE and any(numbers <= {*words} for words in spelled[name])]
    return len(alike) == 1, best


def others_of(thing: Model | Address) -> list[str]:
    """The names of its files, or of its repository without what all extensions are called."""
    if isinstance(thing, Model):
        return [PurePosixPath(source.saved_name).stem for source in thing.sources]
    return [thing.name, re.sub(r"(?i)^(a1111-)?(sd|stable-diffusion)-(webui-)?", "", thing.name)]


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
    tables = {name: table | catalog.OLD_CONTROL_MODELS.get(name, {}) for name, table in catalog.CONTROL_MODELS.items()}
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
    models = catalog.chosen_controls(",".join(families or having[:1] or CONTROL_FAMILIES[:1]), ",".join(controls))
    return [control_net(), *((model.name, model) for model in models)]
