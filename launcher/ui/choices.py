"""The choices of what runs: which are shown, what each says, and the page's form for them."""

import html
import json
from collections.abc import Mapping
from typing import Any, Final

from launcher.core.fields import AS_LAST_TIME, FIELDS, IMMEDIATE, NOT_BY_THE_PAGE, OWNED, Field
from launcher.ui.html import sentence_html

EFFECT_NOW: Final = "Takes effect at once."
EFFECT_LATER: Final = "Takes effect at the next restart."
IN_THE_FORM: Final = "Belongs to what runs: to change it, press ▶ with another one."
IN_THE_NOTEBOOK: Final = "Can be changed in the notebook only."


def shown_choices(choices: Mapping[str, Any]) -> dict[Field, Any]:
    """What a face shows: the checkpoint is chosen in the web UI itself; a folder not known yet is last time's."""
    fields = [field for field in FIELDS if field.name in choices and field.name != "checkpoint"]
    unknown = {field: AS_LAST_TIME for field in fields if field.name in OWNED and choices[field.name] == ""}
    return {field: choices[field.name] for field in fields} | unknown


def may_change(field: Field, *, page: bool) -> bool:
    return field.name not in (NOT_BY_THE_PAGE if page else OWNED)


def about_field(field: Field, *, page: bool) -> str:
    """What it is, and when another value of it takes effect."""
    when = EFFECT_NOW if field.name in IMMEDIATE else EFFECT_LATER
    if not may_change(field, page=page):
        when = IN_THE_FORM if field.name in OWNED else IN_THE_NOTEBOOK
    return f"{field.about} {when}"


def choices_form(choices: Mapping[str, Any]) -> str:
    """The page's form; `page.js` sends what was changed in it."""
    rows = "".join(row_html(field, value) for field, value in shown_choices(choices).items())
    apply = '<div class="first"><button>Apply</button></div>'
    asks = 'data-path="/choices" data-method="POST" data-body="{}" data-into="choices"'
    return f'<form id="choose" {asks}>{rows}{apply}</form>'


def row_html(field: Field, value: Any) -> str:
    name, text = field.name, value if isinstance(value, str) else json.dumps(value)
    about = f'<small id="about-{name}">{sentence_html(about_field(field, page=True))}</small>'
    common = f'id="field-{name}" name="{name}" data-was="{html.escape(text)}" aria-describedby="about-{name}"'
    common += "" if may_change(field, page=True) else " disabled"
    label = f'<label for="field-{name}">{name.replace("_", " ")}</label>'
    if isinstance(value, bool):
        control = f'<input type="checkbox" {common}{" checked" if value else ""}>'
    elif field.choices and not field.free:
        control = "".join(f"<option{' selected' if one == value else ''}>{one}</option>" for one in field.choices)
        control = f"<select {common}>{control}</select>"
    else:
        kind = "number" if isinstance(value, int) else "text"
        control = f'<input type="{kind}" value="{html.escape(text)}" {common}>'
    return f"<div>{label}{control}{about}</div>"
