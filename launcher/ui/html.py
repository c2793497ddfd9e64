"""A status as HTML: the parts of the panel, of which the page of the link shows some."""

import html
import re
import time
from typing import Final

from launcher import __version__
from launcher.core.snapshot import DONE, FAILED, RUNNING, UNDERWAY, LoginBox, Snapshot, State
from launcher.ui.style import STYLE
from launcher.ui.text import ICONS, STATE_WORDS, amount, in_time, report

# What the foot shows of the facts -> what stands between name and value.
IN_THE_FOOT: Final = {"AUTOMATIC1111": " ", "Free on Google Drive": ": ", "Borrowed from this machine": ": "}
NEW_TAB: Final = 'target="_blank" rel="noopener"'
NOTICES_SHOWN: Final = 3  # the newest; the others are folded
# Copies the text of the nearest SOURCE, shown or not; leaves it selected where the page may not use the clipboard.
COPY_SCRIPT: Final = (
    "let p=this;while(!p.querySelector('SOURCE'))p=p.parentElement;const e=p.querySelector('SOURCE'),was=e.hidden;"
    "e.hidden=false;getSelection().selectAllChildren(e);let ok=false;try{ok=document.execCommand('copy')}catch(x){}"
    "e.hidden=was;if(!ok&&navigator.clipboard)navigator.clipboard.writeText(e.textContent);this.textContent='Copied'"
)


def live_html(status: Snapshot) -> str:
    """What a screen reader says by itself: it changes when a step begins or ends, not with every byte and second."""
    done = sum(step.state == DONE for step in status.steps)
    at_work = ", ".join(step.title for step in status.steps if step.state == RUNNING)
    text = f"{status.title}." + (f" {done} of {len(status.steps)} steps done." if status.steps else "")
    text += f" At work: {at_work}." if at_work else ""
    return f'<div class="oneclick unseen" role="status">{html.escape(text)}</div>'


def head_html(status: Snapshot, now: float) -> str:
    """The first line: what goes on, and a clock that shows it is alive."""
    running, box = any(step.state == RUNNING for step in status.steps), status.login_box
    since = f"ready after {in_time(box.seconds)}" if box and not running else in_time(now - status.started)
    clock, title = time.strftime("%H:%M:%S", time.localtime(now)), html.escape(status.title)
    return f'<style>{STYLE}</style><div class="oneclick head"><span>{since} · {clock}</span><b>{title}</b></div>'


def steps_html(status: Snapshot, now: float) -> str:
    """The steps, each with its state, what it does, and how far it is."""
    rows = []
    for step in status.steps:
        when = in_time((step.ended or now) - step.started) if step.started else ""
        note = " · ".join(text for text in (step.note, amount(step)) if text)
        title, bar = html.escape(step.title), ""
        if step.state == RUNNING and step.fraction is not None:
            bar = f'<progress class="bar" max="100" value="{100 * step.fraction:.1f}" aria-label="{title}"></progress>'
        icon = f'<span class="icon" role="img" aria-label="{STATE_WORDS[step.state]}">{ICONS[step.state]}</span>'
        what = f'<div class="what"><b>{title}</b>{bar}<small>{html.escape(note)}</small></div>'
        rows.append(f'<li class="{step.state}">{icon}{what}<span class="when">{when}</span></li>')
    return f'<div class="oneclick steps"><ol>{"".join(rows)}</ol></div>'


def sentence_html(text: str) -> str:
    """A sentence as HTML; what stands between two pairs of asterisks is bold."""
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text))


def told_html(status: Snapshot) -> str:
    """Messages, the older ones folded, and the problem with its remedy."""
    notices = [f'<div class="notice">{sentence_html(text)}</div>' for text in status.notices]
    older, parts = notices[:-NOTICES_SHOWN], notices[-NOTICES_SHOWN:]
    if older:
        title = f"{len(older)} earlier message{'s' if older[1:] else ''}"
        parts.insert(0, f"<details><summary>{title}</summary>{''.join(older)}</details>")
    for step in status.steps:
        if step.state == FAILED:
            what, do = sentence_html(step.problem), sentence_html(step.remedy)
            parts.append(
                f'<div class="trouble" role="alert"><b>{html.escape(step.title)}: {what}</b><br>What to do: {do}</div>'
            )
    return f'<div class="oneclick told">{"".join(parts)}</div>'


def copy_button(label: str, source: str) -> str:
    return f'<button type="button" onclick="{html.escape(COPY_SCRIPT.replace("SOURCE", source))}">{label}</button>'


def login_box_html(box: LoginBox | None, link: str) -> str:
    """The way in: the button, user and password to copy, where the images go."""
    if box is None:
        return '<div class="oneclick card"></div>'
    fields = "".join(
        f'<div class="field"><span>{name}</span><div><code>{html.escape(value)}</code></div>'
        f"{copy_button('Copy', 'code')}</div>"
        for name, value in (("Link", box.url), ("User", box.user), ("Password", box.password))
    )
    images = html.escape(box.kept_in)
    if box.images:
        images += f' <a class="also" href="{html.escape(box.images)}" {NEW_TAB}>Download my images</a>'
    enter = f'<a class="go" href="{html.escape(link or box.url)}" {NEW_TAB}>Open the web UI</a>'
    return (
        f'<div class="oneclick card"><div class="box">{enter}{fields}'
        f'<div class="field"><span>Images</span><div>{images}</div></div></div></div>'
    )


def foot_html(status: Snapshot, closed: bool) -> str:
    """What is kept, how to go on, what runs here, and the button that copies a report."""
    lines = [html.escape(status.kept), sentence_html(foot_text(status, closed))]
    facts = [f"{name}{IN_THE_FOOT[name]}{value}" for name, value in status.facts if name in IN_THE_FOOT]
    about = html.escape(" · ".join([f"Version {__version__}", *facts]))
    return (
        f'<div class="oneclick foot">{" · ".join(filter(None, lines))}'
        f'<div class="facts"><span>{about}</span>{copy_button("Copy a report", ".oneclick-report")}</div></div>'
    )


def report_html(status: Snapshot) -> str:
    """The report, not shown: a part of its own, for it changes often and the button must keep the focus."""
    return f'<pre class="oneclick-report" hidden>{html.escape(report(status))}</pre>'


def foot_text(status: Snapshot, closed: bool) -> str:
    """How to go on from here; once the cell is `closed`, what became of the rest."""
    if not closed:
        return status.foot
    if status.state in (State.READY, State.RESTARTING):
        return "This cell stopped; the web UI is still running. Press ▶ to see this again; the cell **Stop** ends it."
    if status.state in UNDERWAY or (not status.failed and any(step.state == RUNNING for step in status.steps)):
        return "This cell stopped; the work continues. Press ▶ to see it again."
    return "This cell stopped."
