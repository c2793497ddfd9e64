"""Draws a status in the notebook: with ipywidgets. Knows no step's work."""

import time
from typing import Any, Final

import ipywidgets as widgets
from IPython.display import clear_output, display

from launcher.client.widgets import ButtonRow, ChoiceInputs, Fold, Press, html_widget, new_button
from launcher.core.snapshot import Snapshot
from launcher.ui.actions import (
    ADD_USUAL,
    HOW_TO_ADD,
    STAY,
    WHAT_TO_ADD,
    Action,
    answer_actions,
    ending,
    going_on,
    of_job,
)
from launcher.ui.html import job_html, parts_of
from launcher.ui.text import are_steps_open, steps_line, text_lines

REDRAW: Final = 0.5  # seconds between two drawings of what only moves: clocks
JOBS_IN_THE_PANEL: Final = 5  # the newest


class WidgetPanel:
    """Parts that do not change are not drawn again: they keep focus and selection.

    `whole`: it shows the launch and all that may be asked for beside it; else one job.
    """

    def __init__(self, status: Snapshot, press: Press, *, whole: bool) -> None:
        self._press, self._status, self._whole = press, status, whole
        self._drawn = 0.0  # time.time()
        self._parts: dict[str, Any] = {}
        self._rows: dict[str, ButtonRow] = {}
        self._steps = Fold(self._part("steps", ""))
        self._choices = ChoiceInputs(press)
        self._chosen = Fold(self._choices.box)
        self._text = widgets.Textarea(description=WHAT_TO_ADD, placeholder=HOW_TO_ADD, rows=2, layout={"width": "auto"})
        self._add_buttons = (
            new_button("Add", "first", self._add),
            new_button(ADD_USUAL.label, "plain", lambda: press(ADD_USUAL)),
        )
        self._adding = widgets.VBox([self._text, widgets.HBox(self._add_buttons, layout={"flex_flow": "row wrap"})])
        self._box = widgets.VBox(layout={"max_width": "46rem"}).add_class("oneclick").add_class("frame")
        self.draw(status, "")
        self._handle: Any = self._show()

    def _show(self) -> Any:
        return display(self._bundle(), raw=True, display_id=True)

    def _bundle(self) -> dict[str, Any]:
        """The widget, and the same as text for front ends without. The password stays out of saved notebooks."""
        text = "\n".join(text_lines(self._status, with_password=False))
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        return {
            "application/vnd.jupyter.widget-view+json": view,
            "text/plain": text or "Without widgets the lines come at the end.",
        }

    def show_again(self) -> None:
        """Something has wiped the cell's output: put the panel there once."""
        clear_output(wait=True)
        self._handle = self._show()

    def close(self) -> None:
        """The cell has ended: nobody would see what becomes of an input."""
        self._allow_input(False)
        self._handle.update(self._bundle(), raw=True)

    def _allow_input(self, allowed: bool) -> None:
        for widget in (self._text, *self._add_buttons):
            widget.disabled = not allowed
        self._choices.draw(self._status.choices, not allowed)

    def draw(self, status: Snapshot, link: str, closed: bool = False, job: int = 0) -> None:
        """Draw what changed; clocks twice a second. `link` opens the web UI logged in; `closed`: the cell ends, and
        only what needs nobody to look on may still be pressed. `job`: the number of the one that is shown.
        """
        now = time.time()
        if status is self._status and not closed and now - self._drawn < REDRAW and link:
            return
        self._status, self._drawn = status, now
        part = {name: self._part(name, text) for name, text in parts_of(status, now, link, closed).items()}
        actions = going_on(status) if self._whole else of_job(job, status)
        answers, going = self._row("answers", answer_actions(status)), self._row("going", actions, stay=self._whole)
        # The way in first, then what goes on, what may be asked for, and apart from that how to end it.
        shown = [part["live"], part["head"], part["card"], part["told"], answers]
        if self._whole:
            shown += [*self._beside(status, now, closed), going, part["machine"]]
            shown.append(self._row("stay", [STAY] if status.given_back_at else []))
            shown += [self._chosen.box, part["foot"], self._row("ending", ending(status), stay=True)]
        else:
            shown += [part["steps"], going, part["foot"]]
        self._box.children = (*shown, part["report"])

    def _beside(self, status: Snapshot, now: float, closed: bool) -> list[Any]:
        self._steps.draw(steps_line(status), opened=are_steps_open(status))
        self._chosen.draw("Choices", opened=False)
        self._chosen.box.layout.display = None if status.choices else "none"
        self._allow_input(not closed)
        shown = [self._steps.box, self._adding]
        for number, job in sorted(status.jobs.items(), reverse=True)[:JOBS_IN_THE_PANEL]:
            shown.append(self._part(f"job {number}", job_html(number, job, now)))
            shown.append(self._row(f"job {number}", of_job(number, job)))
        return shown

    def _part(self, name: str, text: str) -> Any:
        if name not in self._parts:
            self._parts[name] = html_widget()
        self._parts[name].value = text
        return self._parts[name]

    def _row(self, name: str, offered: list[Action], *, stay: bool = False) -> Any:
        if name not in self._rows:
            self._rows[name] = ButtonRow(self._press, stay=stay)
        self._rows[name].offer(offered)
        return self._rows[name].box

    def _add(self) -> None:
        """It is emptied first: what is pasted may hold a token, and a widget's value can be saved with the notebook."""
        text, self._text.value = self._text.value.strip(), ""
        if text:
            self._press(Action("Add", "/add", {"what": text}))
