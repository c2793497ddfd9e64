"""Draws a status in the notebook with ipywidgets, or as lines of text where there are none. Knows no step's work."""

import os
import time
from contextlib import suppress
from typing import Any, Final

from launcher.client.widgets import ButtonRow, ChoiceInputs, Fold, Press, html_widget, new_button
from launcher.core.snapshot import Snapshot
from launcher.ui.actions import ADD_USUAL, ANEW, KEEP, STAY, add_action, answer_actions, ending, going_on, of_job
from launcher.ui.html import (
    foot_html,
    given_back_html,
    head_html,
    job_html,
    live_html,
    login_box_html,
    report_html,
    steps_html,
    told_html,
)
from launcher.ui.text import are_steps_open, steps_line, text_lines

REDRAW: Final = 0.5  # seconds between two drawings of what only moves: clocks
JOBS_IN_THE_PANEL: Final = 5  # the newest
ADD: Final = "Add a model, ControlNet or an extension"
HOW_TO_ADD: Final = "A name, a link, or a path on your Drive; several on lines of their own"
PARTS: Final = ("live", "head", "card", "told", "steps", "machine", "foot", "report")


class WidgetPanel:
    """The panel with ipywidgets. Parts that do not change are not drawn again: they keep focus and selection.

    `whole`: it shows the launch and all that may be asked for beside it; else one job.
    """

    def __init__(self, status: Snapshot, press: Press, *, whole: bool) -> None:
        import ipywidgets as widgets
        from IPython.display import clear_output, display

        self._display: Any = display
        self._clear: Any = clear_output
        self._widgets: Any = widgets
        self._press, self._status, self._whole = press, status, whole
        self._drawn = 0.0
        self._parts = {name: html_widget(widgets) for name in PARTS}
        self._steps = Fold(widgets, self._parts["steps"])
        self._answers = ButtonRow(widgets, press)  # to a question that is put here
        self._going = ButtonRow(widgets, press, stay=whole)
        self._ending = ButtonRow(widgets, press, stay=True)
        self._stay = ButtonRow(widgets, press)
        self._jobs: dict[int, tuple[Any, ButtonRow, Any]] = {}
        self._job_box = widgets.VBox()
        self._text = widgets.Textarea(description=ADD, placeholder=HOW_TO_ADD, rows=2, layout={"width": "auto"})
        self._adding = (
            self._text,
            new_button(widgets, "Add", "first", self._add),
            new_button(widgets, ADD_USUAL.label, "plain", lambda: press(ADD_USUAL)),
        )
        self._choices = ChoiceInputs(widgets, press)
        self._chosen = Fold(widgets, self._choices.box)
        self._box = widgets.VBox(self._children(), layout=widgets.Layout(max_width="46rem"))
        self._box.add_class("oneclick").add_class("frame")
        self.draw(status, "")
        self._handle: Any = self._show()

    def _children(self) -> list[Any]:
        """The way in first, then what goes on, what may be asked for, and apart from that how to end it."""
        part, boxes = self._parts, self._widgets
        told = [part["live"], part["head"], part["card"], part["told"], self._answers.box]
        if not self._whole:
            return [*told, part["steps"], self._going.box, part["foot"], part["report"]]
        adding = boxes.VBox([self._text, boxes.HBox(self._adding[1:], layout=boxes.Layout(flex_flow="row wrap"))])
        machine = boxes.VBox([part["machine"], self._stay.box])
        beside = [adding, self._job_box, self._going.box, machine, self._chosen.box]
        return [*told, self._steps.box, *beside, part["foot"], self._ending.box, part["report"]]

    def _show(self) -> Any:
        return self._display(self._bundle(), raw=True, display_id=True)

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
        self._clear(wait=True)
        self._handle = self._show()

    def close(self) -> None:
        """The cell has ended: nobody would see what becomes of an input."""
        self._allow_input(False)
        self._handle.update(self._bundle(), raw=True)

    def _allow_input(self, allowed: bool) -> None:
        for widget in self._adding:
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
        drawn = {
            "live": live_html(status),
            "head": head_html(status, now),
            "card": login_box_html(status.login_box, link),
            "told": told_html(status),
            "steps": steps_html(status, now),
            "machine": given_back_html(status),
            "foot": foot_html(status, closed),
            "report": report_html(status),
        }
        for name, text in drawn.items():
            self._parts[name].value = text
        going = going_on(status) if self._whole else of_job(job, status)
        self._answers.offer([*answer_actions(status), *(action for action in going if action in (KEEP, ANEW))])
        self._going.offer(action for action in going if action not in (KEEP, ANEW))
        if self._whole:
            self._draw_whole(status, now, closed)

    def _draw_whole(self, status: Snapshot, now: float, closed: bool) -> None:
        self._steps.draw(steps_line(status), opened=are_steps_open(status))
        self._ending.offer(ending(status))
        self._stay.offer([STAY] if status.given_back_at else [])
        for number, job in status.jobs.items():
            if number not in self._jobs:
                shown, row = html_widget(self._widgets), ButtonRow(self._widgets, self._press)
                self._jobs[number] = shown, row, self._widgets.VBox([shown, row.box])
            self._jobs[number][0].value = job_html(number, job, now)
            self._jobs[number][1].offer(of_job(number, job))
        newest = sorted(status.jobs, reverse=True)[:JOBS_IN_THE_PANEL]
        self._job_box.children = tuple(self._jobs[number][2] for number in newest)
        self._allow_input(not closed)
        self._chosen.box.layout.display = None if status.choices else "none"
        self._chosen.draw("Choices", opened=False)

    def _add(self) -> None:
        """It is emptied first: what is pasted may hold a token, and a widget's value can be saved with the notebook."""
        text, self._text.value = self._text.value.strip(), ""
        if text:
            self._press(add_action(text))


class TextPanel:
    """For places without widgets: prints each line once, when it changes."""

    def __init__(self) -> None:
        self._printed = set[str]()

    def close(self) -> None:
        """Nothing is left to say."""

    def show_again(self) -> None:
        """What is printed once is not printed twice."""

    def draw(self, status: Snapshot, link: str, closed: bool = False, job: int = 0) -> None:
        """Print what is new. Steps at work are told once a state, not at every byte."""
        for line in text_lines(status, with_password=True, ended_only=True):
            if line not in self._printed:
                self._printed.add(line)
                print(line, flush=True)


def new_panel(status: Snapshot, press: Press, *, whole: bool) -> WidgetPanel | TextPanel:
    """The panel that this front end can show; `press` hears its buttons. ONECLICK_PANEL=text asks for lines."""
    if os.environ.get("ONECLICK_PANEL") != "text":
        with suppress(ImportError):
            return WidgetPanel(status, press, whole=whole)
    return TextPanel()
