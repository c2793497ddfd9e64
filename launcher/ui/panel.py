"""Draws a Board in the notebook with ipywidgets, or as lines of text where there are none. Knows no step's work."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Final

from launcher.core.board import Board, Snapshot
from launcher.ui.html import card_html, foot_html, head_html, steps_html, told_html
from launcher.ui.text_panel import TextPanel, text_lines

TICK: Final = 0.1  # seconds between two looks at the kernel and the board
REDRAW: Final = 0.3  # seconds between two drawings of what only moves: bars, clocks


class WidgetPanel:
    """The panel with ipywidgets. Parts that do not change are not drawn again: they keep the focus and the selection."""

    def __init__(
        self, board: Board, buttons: dict[str, Callable[[], None]], usable: Callable[[Snapshot], bool]
    ) -> None:
        import ipywidgets as widgets
        from IPython.display import display

        self.board, self._usable = board, usable
        self._shown: dict[str, str] = {}
        self._link, self._link_time = "", 0.0
        self._parts = {name: widgets.HTML() for name in ("head", "steps", "told", "card", "foot")}
        self._buttons = [self._button(widgets, label, action) for label, action in buttons.items()]
        row = widgets.HBox(self._buttons, layout=widgets.Layout(flex_flow="row wrap"))
        for part in self._parts.values():
            part.layout.margin = "0"
        box = widgets.VBox([*self._parts.values(), row], layout=widgets.Layout(max_width="46rem"))
        self.draw(lambda: "")
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        self._handle = display(self._bundle(view), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._view, self._box = view, box

    def _bundle(self, view: dict[str, Any]) -> dict[str, Any]:
        """The widget, and the same as text for front ends that show no widgets. The password stays out of saved notebooks."""
        text = "\n".join(text_lines(self.board.snapshot(), with_password=False))
        return {
            "application/vnd.jupyter.widget-view+json": view,
            "text/plain": text or "Without widgets the lines come at the end.",
        }

    def close(self) -> None:
        """The cell ends: leave the last lines for front ends without widgets."""
        self._handle.update(self._bundle(self._view), raw=True)

    def draw(self, fresh_link: Callable[[], str], let_go: bool = False) -> None:
        """Draw what changed. `fresh_link` makes a new one-time link; it is asked every five minutes."""
        board, now = self.board.snapshot(), time.time()
        if board.card and (not self._link.startswith(board.card.url) or now - self._link_time > 300):
            self._link, self._link_time = fresh_link(), now
        drawn = {
            "head": head_html(board, now),
            "steps": steps_html(board, now),
            "told": told_html(board),
            "card": card_html(board.card, self._link),
            "foot": foot_html(board, let_go),
        }
        for name, text in drawn.items():
            if self._shown.get(name) != text:
                self._shown[name] = text
                self._parts[name].value = text
        for button in self._buttons:
            button.disabled = not self._usable(board)

    def _button(self, widgets: Any, label: str, action: Callable[[], None]) -> Any:
        button = widgets.Button(description=label, disabled=True, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: action())
        return button


def has_card(board: Snapshot) -> bool:
    """True while there is a way in."""
    return board.card is not None


def new_panel(
    board: Board, buttons: dict[str, Callable[[], None]], usable: Callable[[Snapshot], bool] = has_card
) -> TextPanel | WidgetPanel:
    """The panel that this front end can show; its buttons work while the board is `usable`. ONECLICK_PANEL=text asks for lines."""
    if os.environ.get("ONECLICK_PANEL") == "text":
        return TextPanel(board)
    try:
        return WidgetPanel(board, buttons, usable)
    except ImportError:
        return TextPanel(board)


async def show_until(
    panel: TextPanel | WidgetPanel,
    over: Callable[[], bool],
    main_work: Callable[[], None],
    fresh_link: Callable[[], str],
) -> bool:
    """Keep the cell alive: draw, serve the buttons, do the main thread's work. True if ■ ended it.

    ipykernel 6 must be asked to look at its messages while a cell runs; 7.4 and later does so whenever the cell awaits.
    Without giving the parent back, the cell would never show as finished (facts/jupyter.md).
    """
    kernel = running_kernel()
    step = getattr(kernel, "do_one_iteration", None)
    if step:
        parent, identity = kernel.get_parent("shell"), getattr(kernel, "_parent_ident", {}).get("shell")
    drawn, turn = 0.0, -1
    try:
        while not over():
            if step:
                await step()
                kernel.set_parent(identity, parent, channel="shell")
            main_work()
            if panel.board.turn != turn or time.monotonic() - drawn > REDRAW:
                drawn, turn = time.monotonic(), panel.board.turn
                panel.draw(fresh_link)
            await asyncio.sleep(TICK)
    except (KeyboardInterrupt, asyncio.CancelledError):
        panel.draw(fresh_link, let_go=True)
        panel.close()
        return True
    panel.draw(fresh_link)
    panel.close()
    return False


def running_kernel() -> Any:
    """The Jupyter kernel this runs in, or None outside of one."""
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None)
