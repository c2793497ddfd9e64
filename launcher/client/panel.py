"""Draws a status in the notebook with ipywidgets, or as lines of text where there are none. Knows no step's work."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from launcher.core.snapshot import Button, Snapshot
from launcher.ui.html import foot_html, head_html, live_html, login_box_html, report_html, steps_html, told_html
from launcher.ui.text import LABELS, text_lines

PARTS: Final = 7  # pieces of HTML
CHOICE: Final = (Button.KEEP, Button.ANEW)  # they go once it was chosen; the others stay, greyed out
REDRAW: Final = 0.5  # seconds between two drawings of what only moves: clocks


class WidgetPanel:
    """The panel with ipywidgets. Parts that do not change are not drawn again: they keep focus and selection."""

    def __init__(self, status: Snapshot, press: Callable[[Button], None]) -> None:
        import ipywidgets as widgets
        from IPython.display import clear_output, display

        self._display: Any = display
        self._clear: Any = clear_output
        self._widgets: Any = widgets
        self._press, self._status = press, status
        self._drawn = 0.0
        self._parts = [widgets.HTML(layout=widgets.Layout(margin="0")) for _ in range(PARTS)]
        self._buttons: dict[Button, Any] = {}
        self._row = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap"))
        self._box = widgets.VBox([*self._parts, self._row], layout=widgets.Layout(max_width="46rem"))
        self.draw(status, "")
        self._handle: Any = self._show()

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
        self._handle.update(self._bundle(), raw=True)

    def draw(self, status: Snapshot, link: str, closed: bool = False) -> None:
        """Draw what changed; clocks twice a second. `link` opens the web UI logged in; `closed`: the cell ends."""
        now = time.time()
        if status is self._status and not closed and now - self._drawn < REDRAW and link:
            return
        self._status, self._drawn = status, now
        for name in map(Button, status.buttons):
            if name not in self._buttons:
                self._buttons[name] = self._button(name)
        shown = tuple(b for name, b in self._buttons.items() if name in status.buttons or name not in CHOICE)
        self._row.children = shown  # what is as it was is not sent again
        for name, button in self._buttons.items():
            button.disabled = name not in status.buttons
        drawn = (
            live_html(status),
            head_html(status, now),
            steps_html(status, now),
            told_html(status),
            login_box_html(status.login_box, link),
            foot_html(status, closed),
            report_html(status),
        )
        for part, text in zip(self._parts, drawn, strict=True):
            part.value = text

    def _button(self, name: Button) -> Any:
        button = self._widgets.Button(description=LABELS[name], layout=self._widgets.Layout(width="auto"))
        button.on_click(lambda _: self._press(name))
        return button


class TextPanel:
    """For places without widgets: prints each line once, when it changes."""

    def __init__(self) -> None:
        self._printed = set[str]()

    def close(self) -> None:
        """Nothing is left to say."""

    def show_again(self) -> None:
        """What is printed once is not printed twice."""

    def draw(self, status: Snapshot, link: str, closed: bool = False) -> None:
        """Print what is new. Steps at work are told once a state, not at every byte."""
        for line in text_lines(status, with_password=True, ended_only=True):
            if line not in self._printed:
                self._printed.add(line)
                print(line, flush=True)


def new_panel(status: Snapshot, press: Callable[[Button], None]) -> WidgetPanel | TextPanel:
    """The panel that this front end can show; `press` hears its buttons. ONECLICK_PANEL=text asks for lines."""
    if os.environ.get("ONECLICK_PANEL") != "text":
        with suppress(ImportError):
            return WidgetPanel(status, press)
    return TextPanel()
