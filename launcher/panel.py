"""Draws a Board in the notebook with ipywidgets, or as lines of text where there are none. Knows no step's work."""

import asyncio
import html
import os
import time
from collections.abc import Callable
from typing import Any, Final

from launcher.board import DONE, FAILED, RUNNING, Board, Card, Snapshot, Step

TICK: Final = 0.1  # seconds between two looks at the kernel and the board
REDRAW: Final = 0.3  # seconds between two drawings of what only moves: bars, clocks

STYLE_OF_PANEL: Final = """<style>
.oneclick{--ink:#1d1d28;--box:#fff;--line:#d8d8e4;--soft:#5a5a6e;--main:#4a3fc9;--on:#fff;--bad:#b3261e;--good:#1b7a3d;--tint:#f1f0fb;
font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--box);max-width:46rem;text-align:start}
html[theme=dark] .oneclick,body[data-jp-theme-light=false] .oneclick,body.vscode-dark .oneclick,body[data-vscode-theme-kind=vscode-dark] .oneclick
{--ink:#ececf4;--box:#1f1f2b;--line:#45455a;--soft:#b4b4c6;--main:#a79fff;--on:#14141c;--bad:#ff9d95;--good:#7fd99b;--tint:#2a2a3d}
.oneclick *{box-sizing:border-box}
.oneclick.head{padding:14px 16px 6px;border:1px solid var(--line);border-bottom:0;border-radius:12px 12px 0 0}
.oneclick.head b{font-size:16px}.oneclick.head span{color:var(--soft);float:inline-end}
.oneclick.steps,.oneclick.told,.oneclick.card{padding:0 16px;border-inline:1px solid var(--line);display:flow-root}
.oneclick.foot{padding:8px 16px 12px;border:1px solid var(--line);border-top:0;border-radius:0 0 12px 12px;color:var(--soft)}
.oneclick ol{list-style:none;margin:0;padding:0}
.oneclick li{display:flex;gap:10px;padding:6px 0;border-top:1px solid var(--line)}
.oneclick .mark{flex:none;width:1.3em;text-align:center;font-weight:700;color:var(--soft)}
.oneclick .done .mark{color:var(--good)}.oneclick .failed .mark{color:var(--bad)}.oneclick .running .mark{color:var(--main)}
.oneclick .what{flex:1;min-width:0}.oneclick .what b{font-weight:600}.oneclick .waiting b{color:var(--soft);font-weight:400}
.oneclick small{display:block;color:var(--soft);font-size:12.5px;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.oneclick .when{flex:none;color:var(--soft);font-size:12.5px;font-variant-numeric:tabular-nums}
.oneclick .bar{height:6px;border-radius:3px;background:var(--line);margin:4px 0;overflow:hidden}.oneclick .bar i{display:block;height:100%;background:var(--main)}
.oneclick .trouble{border:1px solid var(--bad);border-inline-start-width:5px;border-radius:8px;padding:10px 12px;margin:8px 0}.oneclick .trouble b{color:var(--bad)}
.oneclick .notice{border-inline-start:3px solid var(--main);padding:2px 10px;margin:8px 0;color:var(--ink)}
.oneclick .box{background:var(--tint);border-radius:10px;padding:14px;margin:10px 0}
.oneclick a.go{display:inline-block;background:var(--main);color:var(--on);font-weight:700;font-size:16px;padding:10px 20px;border-radius:8px;text-decoration:none}
.oneclick a.go:focus-visible,.oneclick button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}
.oneclick .field{display:flex;flex-wrap:wrap;align-items:center;gap:2px 12px;margin-top:10px}
.oneclick .field span{flex:0 0 4.8em;color:var(--soft)}.oneclick .field div{flex:1 1 12em;min-width:0;overflow-wrap:anywhere}
.oneclick code{font:600 14px ui-monospace,monospace;color:var(--ink);background:none}
.oneclick button{font:inherit;font-size:12.5px;padding:3px 10px;border:1px solid var(--soft);border-radius:6px;background:var(--box);color:var(--ink);cursor:pointer}
</style>"""

MARKS: Final = {"waiting": "·", "running": "…", "done": "✓", "failed": "✕"}
STATE_WORDS: Final = {"waiting": "waiting", "running": "at work", "done": "done", "failed": "failed"}

# Copies the text before the button; selects it where the page may not use the clipboard.
COPY_SCRIPT: Final = (
    "const c=this.previousElementSibling.querySelector('code'),s=getSelection(),r=document.createRange();"
    "r.selectNodeContents(c);s.removeAllRanges();s.addRange(r);let ok=false;try{ok=document.execCommand('copy')}catch(e){}"
    "if(!ok&&navigator.clipboard)navigator.clipboard.writeText(c.textContent);this.textContent='Copied'"
)


# ---- numbers in words


def in_bytes(count: float) -> str:
    """1234567 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def in_time(seconds: float) -> str:
    """134 -> "2 min 14 s"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def amount(step: Step) -> str:
    """How far a step is: "1.2 of 2.1 GB · 45 MB/s · 20 s left"."""
    if step.state != RUNNING or not step.done:
        return ""
    show: Callable[[float], str] = in_bytes if step.unit == "bytes" else (lambda n: f"{n:.0f}")
    parts = [f"{show(step.done)} of {show(step.total)}" if step.total else show(step.done)]
    if step.unit != "bytes":
        parts[0] += f" {step.unit}"
    elif step.speed > 0:
        parts.append(f"{in_bytes(step.speed)}/s")
    if step.seconds_left is not None:
        parts.append(f"{in_time(step.seconds_left)} left")
    return " · ".join(parts)


# ---- HTML


def head_html(board: Snapshot, now: float) -> str:
    """The first line: what goes on, and a clock that shows it is alive."""
    failed, running = board.failed, [s for s in board.steps if s.state == RUNNING]
    if failed:
        text = "It stopped: something needs you"
    elif not running and all(step.state == DONE for step in board.steps):
        text = board.done_title
    else:
        text = board.title
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    since = f"ready after {in_time(board.card.seconds)}" if board.card and not running else in_time(now - board.started)
    return f'{STYLE_OF_PANEL}<div class="oneclick head" role="status"><span>{since} · {clock}</span><b>{html.escape(text)}</b></div>'


def steps_html(board: Snapshot, now: float) -> str:
    """The steps, each with its state, what it does, and how far it is."""
    rows = []
    for step in board.steps:
        when = in_time((step.ended or now) - step.started) if step.started else ""
        told = " · ".join(text for text in (step.note, amount(step)) if text)
        bar = ""
        if step.state == RUNNING and step.fraction is not None:
            percent = f"{100 * step.fraction:.1f}"
            bar = (
                f'<div class="bar" role="progressbar" aria-label="{html.escape(step.title)}" aria-valuemin="0" aria-valuemax="100" '
                f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
            )
        rows.append(
            f'<li class="{step.state}"><span class="mark" role="img" aria-label="{STATE_WORDS[step.state]}">{MARKS[step.state]}</span>'
            f'<div class="what"><b>{html.escape(step.title)}</b>{bar}<small>{html.escape(told)}</small></div><span class="when">{when}</span></li>'
        )
    return f'<div class="oneclick steps"><ol>{"".join(rows)}</ol></div>'


def told_html(board: Snapshot) -> str:
    """Notices, and the problem with its remedy."""
    parts = [f'<div class="notice">{html.escape(text)}</div>' for text in board.notices]
    for step in board.steps:
        if step.state == FAILED:
            parts.append(
                f'<div class="trouble" role="alert"><b>{html.escape(step.title)}: {html.escape(step.problem)}</b><br>What to do: {html.escape(step.remedy)}</div>'
            )
    return f'<div class="oneclick told">{"".join(parts)}</div>'


def card_html(card: Card | None, link: str) -> str:
    """The way in: the button, user and password to copy, where the images go."""
    if card is None:
        return '<div class="oneclick card"></div>'
    copy = f'<button type="button" onclick="{html.escape(COPY_SCRIPT)}">Copy</button>'
    rows = [("Link", card.url), ("User", card.user), ("Password", card.password)]
    fields = "".join(f'<div class="field"><span>{name}</span><div><code>{html.escape(value)}</code></div>{copy}</div>' for name, value in rows)
    return (
        f'<div class="oneclick card"><div class="box"><a class="go" href="{html.escape(link)}" target="_blank" rel="noopener">Open the web UI</a>'
        f'{fields}<div class="field"><span>Images</span><div>{html.escape(card.kept_in)}</div></div></div></div>'
    )


def foot_html(board: Snapshot, let_go: bool) -> str:
    """What is kept, and how to stop."""
    if let_go:
        text = "Let go: the web UI and its link go on. Press ▶ to come back here; the stop cell below ends them."
    elif board.card:
        text = "■ lets go of this cell while the web UI goes on; the stop cell below ends it."
    elif all(step.state in (DONE, FAILED) for step in board.steps):
        text = ""
    else:
        text = "You can leave this page open and do something else."
    kept = f"{html.escape(board.kept)} · " if board.kept else ""
    return f'<div class="oneclick foot">{kept}{text}</div>'


# ---- text


def text_lines(board: Snapshot, with_password: bool) -> list[str]:
    """The same as lines of text."""
    lines = []
    for step in board.steps:
        when = f" ({in_time((step.ended or time.time()) - step.started)})" if step.started and step.state in (DONE, FAILED) else ""
        lines.append(f"{MARKS[step.state]} {step.title}: {step.note or STATE_WORDS[step.state]}{when}")
        if step.state == FAILED:
            lines += [f"  {step.problem}", f"  What to do: {step.remedy}"]
    lines += [f"! {text}" for text in board.notices]
    if board.card:
        secret = board.card.password if with_password else "on the card (or run with ONECLICK_PANEL=text)"
        lines += [
            f"Link: {board.card.url}",
            f"User: {board.card.user}",
            f"Password: {secret}",
            f"Images: {board.card.kept_in}",
            f"Ready after {in_time(board.card.seconds)}.",
        ]
    return lines


class TextPanel:
    """For places without widgets: prints each line once, when it changes."""

    def __init__(self, board: Board) -> None:
        self.board, self._said = board, set[str]()

    def close(self) -> None:
        """Nothing is left to say."""

    def draw(self, fresh_link: Callable[[], str], let_go: bool = False) -> None:
        """Print what is new. Steps at work are told once a state, not at every byte."""
        for line in text_lines(self.board.snapshot(), with_password=True):
            if line[0] not in "·…" and line not in self._said:
                self._said.add(line)
                print(line, flush=True)


class WidgetPanel:
    """The panel with ipywidgets. Parts that do not change are not drawn again: they keep the focus and the selection."""

    def __init__(self, board: Board, buttons: dict[str, Callable[[], None]], usable: Callable[[Snapshot], bool]) -> None:
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
        return {"application/vnd.jupyter.widget-view+json": view, "text/plain": text or "Without widgets the lines come at the end."}

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


def new_panel(board: Board, buttons: dict[str, Callable[[], None]], usable: Callable[[Snapshot], bool] = has_card) -> TextPanel | WidgetPanel:
    """The panel that this front end can show; its buttons work while the board is `usable`. ONECLICK_PANEL=text asks for lines."""
    if os.environ.get("ONECLICK_PANEL") == "text":
        return TextPanel(board)
    try:
        return WidgetPanel(board, buttons, usable)
    except ImportError:
        return TextPanel(board)


async def show_until(panel: TextPanel | WidgetPanel, over: Callable[[], bool], main_work: Callable[[], None], fresh_link: Callable[[], str]) -> bool:
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
