"""What the panel is made of: rows of buttons, lines that fold, the inputs of the choices. ipywidgets 7.7.1 and 8 alike.

`widgets` is the module ipywidgets, which not every front end has.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from launcher.core.fields import Field
from launcher.ui.actions import FORGET, Action, choose_action
from launcher.ui.choices import about_field, may_change, shown_choices
from launcher.ui.html import part, sentence_html

CONFIRMED: Final = "Stop now"
CANCEL: Final = Action("Cancel")

Press = Callable[[Action], None]


def html_widget(widgets: Any) -> Any:
    return widgets.HTML(layout=widgets.Layout(margin="0"))


def new_button(widgets: Any, label: str, kind: str, pressed: Callable[[], None]) -> Any:
    button = widgets.Button(description=label, layout=widgets.Layout(width="auto")).add_class(kind)
    button.on_click(lambda _: pressed())
    return button


class ButtonRow:
    """Buttons, made as they are offered. One that is not offered any more is greyed out, so that the others stay where
    they are, or where it does not `stay`, gone. What wants to be confirmed is asked below them.
    """

    def __init__(self, widgets: Any, press: Press, *, stay: bool = False) -> None:
        self._widgets, self._press, self._stay = widgets, press, stay
        self._buttons = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap"))
        self.box = widgets.VBox([self._buttons])
        self._made: dict[str, Any] = {}
        self._offered: dict[str, Action] = {}
        self._answers: ButtonRow | None = None

    def offer(self, offered: Iterable[Action]) -> None:
        self._offered = {f"{one.label} {one.body}": one for one in offered}
        for key, action in self._offered.items():
            if key not in self._made:
                self._made[key] = self._button(key, action)
        for key, button in self._made.items():
            button.disabled = key not in self._offered
        shown = [button for key, button in self._made.items() if self._stay or key in self._offered]
        self._buttons.children = tuple(shown)  # what is as it was is not sent again
        if self._answers and not self._offered:
            self._answered(CANCEL)

    def _button(self, key: str, action: Action) -> Any:
        return new_button(self._widgets, action.label, "plain", lambda: self._pressed(self._offered.get(key)))

    def _pressed(self, action: Action | None) -> None:
        if action and action.confirm:
            self._answered(CANCEL)  # it may be pressed twice
            question, self._answers = html_widget(self._widgets), ButtonRow(self._widgets, self._answered)
            question.value = part("told", f'<div class="notice" role="alert">{action.confirm}</div>')
            self._answers.offer([replace(action, label=CONFIRMED, confirm=""), CANCEL])
            self.box.children = (self._buttons, question, self._answers.box)
        elif action:
            self._press(action)

    def _answered(self, answer: Action) -> None:
        if self._answers:
            answers, self._answers = self._answers, None
            answers.offer([])
        self.box.children = (self._buttons,)
        if answer != CANCEL:
            self._press(answer)


class Fold:
    """A line that shows and hides what is below it. A button, for an Accordion's head cannot be reached by keys."""

    def __init__(self, widgets: Any, content: Any) -> None:
        self._content, self._line, self._open = content, "", False
        self._wanted: bool | None = None  # what the person said; it is kept
        self._button = new_button(widgets, "", "fold", self._pressed)
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
    """The choices of what runs. Nothing begins by a change of a value, which comes as soon as a field is left: only by
    the button.
    """

    def __init__(self, widgets: Any, press: Press) -> None:
        self._widgets, self._press = widgets, press
        self._inputs: dict[Field, Any] = {}
        self._shown: Mapping[Field, Any] = {}
        self._apply = new_button(widgets, "Apply", "first", self._pressed)
        self._forget = new_button(widgets, FORGET.label, "plain", lambda: press(FORGET))
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
        self._apply.disabled = self._forget.disabled = closed

    def _make(self) -> None:
        self._inputs, rows = {}, []
        for field in self._shown:
            box = self._inputs[field] = self._input(field)
            about = html_widget(self._widgets)
            about.value = part("about", f"<small>{sentence_html(about_field(field, page=False))}</small>")
            rows += [box, about]
        self.box.children = (*rows, self._widgets.HBox((self._apply, self._forget)))

    def _input(self, field: Field) -> Any:
        """One without a value yet."""
        common = {"description": field.name.replace("_", " "), "layout": {"width": "auto"}}
        if isinstance(field.default, bool):
            return self._widgets.Checkbox(**common, indent=False)
        if isinstance(field.default, int):
            return self._widgets.IntText(**common)
        if field.choices and field.free:
            return self._widgets.Combobox(**common, options=field.choices)
        if field.choices:
            return self._widgets.Dropdown(**common, options=field.choices)
        return self._widgets.Text(**common)

    def _pressed(self) -> None:
        changed = {one.name: box.value for one, box in self._inputs.items() if box.value != self._shown[one]}
        if changed:
            self._press(choose_action(changed))
