"""The panel in the notebook, with ipywidgets (7.7.1 and 8 alike): draws a status, and knows no step's work."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import ipywidgets as widgets
from IPython.display import clear_output, display

from launcher.core.fields import OWNED, Field
from launcher.core.status import Button, Snapshot, State
from launcher.ui import actions
from launcher.ui.actions import ACTIONS, Action
from launcher.ui.render import are_steps_open, job_html, part, parts_of, sentence_html, steps_line, text_lines

REDRAW: Final = 0.5  # seconds between two drawings of what only moves: clocks
JOBS_IN_THE_PANEL: Final = 5  # the newest
CONFIRMED: Final = "Stop now"

Press = Callable[[Action], None]


class WidgetPanel:
    """Parts that do not change are not drawn again: they keep focus and selection.

    `whole`: it shows the launch and all that may be asked for beside it; else one job.
    """

    def __init__(self, status: Snapshot, press: Press, *, whole: bool) -> None:
        self._press, self._status, self._whole = press, status, whole
        self._drawn = 0.0  # time.time()
        self._parts, self._rows = defaultdict[str, Any](html_widget), dict[str, ButtonRow]()
        self._steps = Fold(self._part("steps", ""))
        self._choices = ChoiceInputs(press)
        self._chosen = Fold(self._choices.box)
        asks = {"description": actions.WHAT_TO_ADD, "placeholder": actions.HOW_TO_ADD}
        self._text = widgets.Textarea(**asks, rows=2, layout={"width": "auto"})
        self._add_buttons = (
            new_button("Add", "first", self._add),
            new_button(actions.ADD_USUAL.label, "plain", lambda: press(actions.ADD_USUAL)),
        )
        self._adding = widgets.VBox([self._text, widgets.HBox(self._add_buttons, layout={"flex_flow": "row wrap"})])
        self._jobs = widgets.VBox()  # a box of its own: what is below it is not drawn again for another job
        self._box = widgets.VBox(layout={"max_width": "46rem"}).add_class("oneclick").add_class("frame")
        self.draw(status, "")
        self._handle: Any = display(self._bundle(), raw=True, display_id=True)

    def _bundle(self) -> dict[str, Any]:
        """The widget, and the same as text for front ends without. The password stays out of saved notebooks."""
        text = "\n".join(text_lines(self._status, with_password=False)) or "Without widgets the lines come at the end."
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        return {"application/vnd.jupyter.widget-view+json": view, "text/plain": text}

    def show_again(self) -> None:
        """Something has wiped the cell's output: put the panel there once."""
        clear_output(wait=True)
        self._handle = display(self._bundle(), raw=True, display_id=True)

    def close(self) -> None:
        """The cell has ended: nobody would see what becomes of an input."""
        self._allow_input(False)
        self._handle.update(self._bundle(), raw=True)

    def _allow_input(self, allowed: bool) -> None:
        """After a start that failed, what to do may be to choose something else."""
        for widget in (self._text, *self._add_buttons):
            widget.disabled = not allowed
        self._choices.draw(self._status.choices, not allowed and self._status.state != State.FAILED)

    def draw(self, status: Snapshot, link: str, closed: bool = False, job: int = 0) -> None:
        """Draw what changed; clocks twice a second. `link` opens the web UI logged in; `closed`: the cell ends, and
        only what needs nobody to look on may still be pressed. `job`: the number of the one that is shown.
        """
        now = time.time()
        if status is self._status and not closed and now - self._drawn < REDRAW and link:
            return
        self._status, self._drawn = status, now
        parts = {name: self._part(name, text) for name, text in parts_of(status, now, link, closed).items()}
        asked = actions.answer_actions(status) + (actions.offered(status) if self._whole else [])
        goes_on = actions.going_on(status) if self._whole else actions.of_job(job, status)
        answers, going = self._row("answers", asked), self._row("going", goes_on, stay=self._whole)
        # The way in first, then what goes on, what may be asked for, and apart from that how to end it.
        shown = [parts["style"], parts["live"], parts["head"], parts["card"], parts["told"], answers]
        if self._whole:
            shown += [*self._beside(status, now, closed), going, parts["machine"]]
            shown.append(self._row("stay", [actions.STAY] if status.given_back_at else []))
            shown += [self._chosen.box, parts["foot"], self._row("ending", actions.ending(status), stay=True)]
        else:
            shown += [parts["steps"], going, parts["foot"]]
        self._box.children = (*shown, parts["report"])

    def _beside(self, status: Snapshot, now: float, closed: bool) -> list[Any]:
        self._steps.draw(steps_line(status), opened=are_steps_open(status))
        self._chosen.draw("Choices", opened=False)
        self._chosen.box.layout.display = None if status.choices else "none"
        self._allow_input(not closed)
        jobs = []
        for number, job in sorted(status.jobs.items(), reverse=True)[:JOBS_IN_THE_PANEL]:
            jobs.append(self._part(f"job {number}", job_html(number, job, now)))
            jobs.append(self._row(f"job {number}", actions.of_job(number, job)))
        self._jobs.children = tuple(jobs)
        return [self._steps.box, self._adding, self._jobs]

    def _part(self, name: str, text: str) -> Any:
        self._parts[name].value = text
        return self._parts[name]

    def _row(self, name: str, offered: list[Action], *, stay: bool = False) -> Any:
        if name not in self._rows:
            self._rows[name] = ButtonRow(self._press_with_choices, stay=stay)
        self._rows[name].offer(offered)
        return self._rows[name].box

    def _press_with_choices(self, action: Action) -> None:
        """A restart takes what was chosen and not applied."""
        changed = self._choices.changed() if action == ACTIONS[Button.RESTART] else {}
        self._press(replace(action, body={"choices": changed}) if changed else action)

    def _add(self) -> None:
        """It is emptied first: what is pasted may hold a token, and a widget's value can be saved with the notebook."""
        text, self._text.value = self._text.value.strip(), ""
        if text:
            self._press(Action("Add", "/add", {"what": text}))


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
        asked, self.box.children = len(self.box.children) > 1, (self._buttons,)
        if action and asked:  # once, also where it is pressed twice
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
            new_button(actions.FORGET.label, "plain", lambda: press(actions.FORGET)),
        )
        self.box = widgets.VBox()

    def draw(self, choices: Mapping[str, Any], closed: bool) -> None:
        before, self._shown = self._shown, actions.shown_choices(choices)
        if list(self._shown) != list(before):
            before, self._inputs, rows = {}, {field: new_input(field) for field in self._shown}, list[Any]()
            for field, box in self._inputs.items():
                about = sentence_html(actions.about_field(field))
                rows += [box, html_widget(part("about", f"<small>{about}</small>"))]
            self.box.children = (*rows, widgets.HBox(self._buttons))
        for field, value in self._shown.items():
            box = self._inputs[field]
            if value != before.get(field):  # what a person has written, and not yet applied, stays
                if value not in getattr(box, "options", (value,)):
                    box.options = (*box.options, value)
                box.value = value
            box.disabled = closed or field.name in OWNED
        for button in self._buttons:
            button.disabled = closed

    def changed(self) -> dict[str, Any]:
        """What was chosen and not applied."""
        return {one.name: box.value for one, box in self._inputs.items() if box.value != self._shown[one]}

    def _apply(self) -> None:
        if changed := self.changed():
            self._press(Action("Apply", "/choices", {"choices": changed}))


def new_input(field: Field) -> Any:
    common = {"description": field.name.replace("_", " "), "layout": {"width": "auto"}}
    if field.choices:
        kind = widgets.Combobox if field.free else widgets.Dropdown
        return kind(**common, options=field.choices)
    if isinstance(field.default, bool):
        return widgets.Checkbox(**common, indent=False)
    return widgets.IntText(**common) if isinstance(field.default, int) else widgets.Text(**common)


def html_widget(text: str = "") -> Any:
    return widgets.HTML(text, layout={"margin": "0"})


def new_button(label: str, kind: str, pressed: Callable[[], None]) -> Any:
    button = widgets.Button(description=label, layout={"width": "auto"}).add_class(kind)
    button.on_click(lambda _: pressed())
    return button
