"""What the panel is made of: rows of buttons, lines that fold, inputs of choices. ipywidgets 7.7.1 and 8 alike."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import ipywidgets as widgets

from launcher.core.fields import Field
from launcher.ui.actions import FORGET, Action, about_field, may_change, shown_choices
from launcher.ui.html import part, sentence_html

CONFIRMED: Final = "Stop now"

Press = Callable[[Action], None]


def html_widget(text: str = "") -> Any:
    return widgets.HTML(text, layout={"margin": "0"})


def new_button(label: str, kind: str, pressed: Callable[[], None]) -> Any:
    button = widgets.Button(description=label, layout={"width": "auto"}).add_class(kind)
    button.on_click(lambda _: pressed())
    return button


class ButtonRow:
    """Buttons, made as they are offered. What is not offered any more is gone, or grey where others shall `stay`."""

    def __init__(self, press: Press, *, stay: bool = False) -> None:
        self._press, self._stay = press, stay
        self._buttons = widgets.HBox(layout={"flex_flow": "row wrap"})
        self.box = widgets.VBox([self._buttons])
        self._made: dict[str, Any] = {}
        self._offered: dict[str, Action] = {}

    def offer(self, offered: Iterable[Action]) -> None:
        self._offered = {f"{one.label} {one.body}": one for one in offered}
        for key, action in self._offered.items():
            if key not in self._made:
                self._made[key] = new_button(action.label, "plain", partial(self._pressed, key))
        for key, button in self._made.items():
            button.disabled = key not in self._offered
        shown = [button for key, button in self._made.items() if self._stay or key in self._offered]
        self._buttons.children = tuple(shown)  # what is as it was is not sent again
        if not self._offered:
            self.box.children = (self._buttons,)

    def _pressed(self, key: str) -> None:
        action = self._offered.get(key)
        if action and action.confirm:
            question = html_widget(part("told", f'<div class="notice" role="alert">{action.confirm}</div>'))
            sure = new_button(CONFIRMED, "plain", lambda: self._answered(replace(action, confirm="")))
            cancel = new_button("Cancel", "plain", lambda: self._answered(None))
            self.box.children = (self._buttons, question, widgets.HBox([sure, cancel]))
        elif action:
            self._press(action)

    def _answered(self, action: Action | None) -> None:
        self.box.children = (self._buttons,)
        if action:
            self._press(action)


class Fold:
    """A line that shows and hides what is below it. A button, for an Accordion's head cannot be reached by keys."""

    def __init__(self, content: Any) -> None:
        self._content, self._line, self._open = content, "", False
        self._wanted: bool | None = None  # what the person said; it is kept
        self._button = new_button("", "fold", self._pressed)
        self.box = widgets.VBox([self._button, content])

    def draw(self, line: str, *, opened: bool) -> None:
        self._line = line
        self._open = opened if self._wanted is None else self._wanted
        self._button.description = f"{'▾' if self._open else '▸'} {line}"
        self._content.layout.display = None if self._open else "none"

    def _pressed(self) -> None:
        self._wanted = not self._open
        self.draw(self._line, opened=self._wanted)


class ChoiceInputs:
    """The choices of what runs. Nothing begins by a change of a value, which comes as soon as a field is left."""

    def __init__(self, press: Press) -> None:
        self._press = press
        self._inputs: dict[Field, Any] = {}
        self._shown: Mapping[Field, Any] = {}
        self._buttons = (
            new_button("Apply", "first", self._apply),
            new_button(FORGET.label, "plain", lambda: press(FORGET)),
        )
        self.box = widgets.VBox()

    def draw(self, choices: Mapping[str, Any], closed: bool) -> None:
        before, self._shown = self._shown, shown_choices(choices)
        if list(self._shown) != list(before):
            before = {}
            self._make()
        for field, value in self._shown.items():
            box = self._inputs[field]
            if value != before.get(field):  # what a person has written, and not yet applied, stays
                if value not in getattr(box, "options", (value,)):
                    box.options = (*box.options, value)
                box.value = value
            box.disabled = closed or not may_change(field, page=False)
        for button in self._buttons:
            button.disabled = closed

    def _make(self) -> None:
        self._inputs = {field: new_input(field) for field in self._shown}
        rows = []
        for field, box in self._inputs.items():
            about = sentence_html(about_field(field, page=False))
            rows += [box, html_widget(part("about", f"<small>{about}</small>"))]
        self.box.children = (*rows, widgets.HBox(self._buttons))

    def _apply(self) -> None:
        changed = {one.name: box.value for one, box in self._inputs.items() if box.value != self._shown[one]}
        if changed:
            self._press(Action("Apply", "/choices", {"choices": changed}))


def new_input(field: Field) -> Any:
    common = {"description": field.name.replace("_", " "), "layout": {"width": "auto"}}
    if field.choices:
        kind = widgets.Combobox if field.free else widgets.Dropdown
        return kind(**common, options=field.choices)
    if isinstance(field.default, bool):
        return widgets.Checkbox(**common, indent=False)
    return widgets.IntText(**common) if isinstance(field.default, int) else widgets.Text(**common)
