"""Draws a board in the notebook with ipywidgets, or as lines of text where there are none. Knows no step's work."""

import os
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from launcher.core.board import Snapshot
from launcher.ui.html import foot_html, head_html, live_html, login_box_html, report_html, steps_html, told_html
from launcher.ui.text_panel import TextPanel, text_lines

TICK: Final = 0.1  # seconds between two looks at the kernel and the board
PARTS: Final = ("live", "head", "steps", "told", "box", "foot", "report")
REDRAW: Final = 0.5  # seconds between two drawings of what only moves: clocks


class Panel(Protocol):
    """What shows a board in a cell."""

    def draw(self, board: Snapshot, link: str, closed: bool = False) -> None:
        """Draw what changed. `link` opens the web UI logged in; `closed` says that the cell ends, and why not the
        board.
        """

    def show_again(self) -> None:
        """Something has wiped the cell's output: put the panel there once."""

    def close(self) -> None:
        """The cell ends."""


class WidgetPanel:
    """The panel with ipywidgets. Parts that do not change are not drawn again: they keep the focus and the
    selection.
    """

    def __init__(self, board: Snapshot, press: Callable[[str], None]) -> None:
        import ipywidgets as widgets
        from IPython.display import clear_output, display

        self._widgets: Any = widgets
        self._display: Any = display
        self._clear: Any = clear_output
        self._press, self._board = press, board
        self._shown: dict[str, str] = {}
        self._drawn, self._version = 0.0, -1
        self._parts = {name: widgets.HTML() for name in PARTS}
        self._buttons: dict[str, Any] = {}
        self._row = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap"))
        for part in self._parts.values():
            part.layout.margin = "0"
        self._box = widgets.VBox([*self._parts.values(), self._row], layout=widgets.Layout(max_width="46rem"))
        self.draw(board, "")
        self._handle: Any = self._show()

    def _show(self) -> Any:
        return self._display(self._bundle(), raw=True, display_id=True)

    def _bundle(self) -> dict[str, Any]:
        """The widget, and the same as text for front ends that show no widgets. The password stays out of saved
        notebooks.
        """
        text = "\n".join(text_lines(self._board, with_password=False))
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        return {
            "application/vnd.jupyter.widget-view+json": view,
            "text/plain": text or "Without widgets the lines come at the end.",
        }

    def show_again(self) -> None:
        """Clear the output, whatever is in it, and show the panel."""
        self._clear(wait=True)
        self._handle = self._show()

    def close(self) -> None:
        """Leave the last lines for front ends without widgets."""
        self._handle.update(self._bundle(), raw=True)

    def draw(self, board: Snapshot, link: str, closed: bool = False) -> None:
        """Draw what changed since the last time; clocks twice a second."""
        now = time.time()
        if board.version == self._version and not closed and now - self._drawn < REDRAW and link:
            return
        self._board, self._drawn, self._version = board, now, board.version
        for name in board.buttons:
            if name not in self._buttons:
                self._buttons[name] = self._button(name)
                self._row.children = tuple(self._buttons.values())
        for name, button in self._buttons.items():
            if button.disabled != (name not in board.buttons):
                button.disabled = name not in board.buttons
        drawn = {
            "live": live_html(board),
            "head": head_html(board, now),
            "steps": steps_html(board, now),
            "told": told_html(board),
            "box": login_box_html(board.login_box, link),
            "foot": foot_html(board, closed),
            "report": report_html(board),
        }
        for name, text in drawn.items():
            if self._shown.get(name) != text:
                self._shown[name] = text
                self._parts[name].value = text

    def _button(self, label: str) -> Any:
        button = self._widgets.Button(description=label, layout=self._widgets.Layout(width="auto"))
        button.on_click(lambda _: self._press(label))
        return button


def new_panel(board: Snapshot, press: Callable[[str], None]) -> Panel:
    """The panel that this front end can show; `press` hears its buttons. ONECLICK_PANEL=text asks for lines."""
    if os.environ.get("ONECLICK_PANEL") == "text":
        return TextPanel()
    try:
        return WidgetPanel(board, press)
    except ImportError:
        return TextPanel()


def running_kernel() -> Any:
    """The Jupyter kernel this runs in, or None outside of one."""
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None)
