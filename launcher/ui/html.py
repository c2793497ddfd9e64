"""A status as HTML, for both faces: the panel puts these parts into widgets, the page into one document."""

import html
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from launcher import __version__
from launcher.core.fields import NOT_BY_THE_PAGE, Field
from launcher.core.status import FAILED, RUNNING, UNDERWAY, LoginBox, Snapshot, State
from launcher.ui.actions import Action, about_field, shown_choices
from launcher.ui.style import STYLE
from launcher.ui.text import ICONS, STATE_WORDS, amount, in_time, live_text, report

IN_THE_FOOT: Final = ("AUTOMATIC1111", "Machine", "Free on Google Drive")  # of the facts
NEW_TAB: Final = 'target="_blank" rel="noopener"'
NOTICES_SHOWN: Final = 3  # the newest; the others are folded
# Copies the text of the nearest SOURCE, shown or not; leaves it selected where the page may not use the clipboard.
COPY_SCRIPT: Final = (
    "let p=this;while(!p.querySelector('SOURCE'))p=p.parentElement;const e=p.querySelector('SOURCE'),was=e.hidden;"
    "e.hidden=false;getSelection().selectAllChildren(e);let ok=false;try{ok=document.execCommand('copy')}catch(x){}"
    "e.hidden=was;if(!ok&&navigator.clipboard)navigator.clipboard.writeText(e.textContent);this.textContent='Copied'"
)


def parts_of(status: Snapshot, now: float, link: str = "", closed: bool = False) -> dict[str, str]:
    """All parts of a face but its jobs, by name. `link` opens the web UI logged in; `closed`: its cell ends."""
    return {
        "live": f'<div dir="ltr" class="oneclick unseen" role="status">{html.escape(live_text(status))}</div>',
        "head": head_html(status, now),
        "card": login_box_html(status.login_box, link),
        "told": told_html(status),
        "steps": steps_html(status, now),
        "machine": given_back_html(status),
        "foot": foot_html(status, closed),
        # A part of its own: it changes often, and the button that copies it must keep the focus.
        "report": f'<pre class="oneclick-report" hidden>{html.escape(report(status))}</pre>',
    }


def part(name: str, content: str) -> str:
    """One part of a face. It is English from left to right, whatever the page around it is."""
    return f'<div dir="ltr" class="oneclick {name}">{content}</div>'


def head_html(status: Snapshot, now: float) -> str:
    """The first line: what goes on, and a clock that shows it is alive."""
    running, box = any(step.state == RUNNING for step in status.steps), status.login_box
    since = f"ready after {in_time(box.seconds)}" if box and not running else in_time(now - status.started)
    clock, title = time.strftime("%H:%M:%S", time.localtime(now)), html.escape(status.title)
    return f"<style>{STYLE}</style>" + part("head", f"<span>{since} · {clock}</span><b>{title}</b>")


def steps_html(status: Snapshot, now: float) -> str:
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
    return part("steps", f"<ol>{''.join(rows)}</ol>")


def sentence_html(text: str) -> str:
    """A sentence as HTML; what stands between two pairs of asterisks is bold, and an address is a link."""
    pieces = [html.escape(piece) for piece in re.split(r"(https://[^\s*]*[^\s*.,;:)])", text)]
    pieces[1::2] = [f'<a href="{address}" {NEW_TAB}>{address}</a>' for address in pieces[1::2]]
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", "".join(pieces))


def told_html(status: Snapshot, name: str = "older") -> str:
    """Messages, the older ones folded under that name, and the problem with its remedy."""
    notices = [f'<div class="notice">{sentence_html(text)}</div>' for text in status.notices]
    older, parts = notices[:-NOTICES_SHOWN], notices[-NOTICES_SHOWN:]
    if older:
        title = f"{len(older)} earlier message{'s' if older[1:] else ''}"
        parts.insert(0, f'<details id="{name}"><summary>{title}</summary>{"".join(older)}</details>')
    for step in status.steps:
        if step.state == FAILED:
            what, do = sentence_html(step.problem), sentence_html(step.remedy)
            parts.append(
                f'<div class="trouble" role="alert"><b>{html.escape(step.title)}: {what}</b><br>What to do: {do}</div>'
            )
    return part("told", "".join(parts))


def job_html(number: int, job: Snapshot, now: float) -> str:
    title, told = html.escape(job.title), told_html(job, f"older-{number}")
    return part("job", f"<b>{title}</b>{steps_html(job, now)}{told}")


def copy_button(label: str, source: str) -> str:
    return f'<button type="button" onclick="{html.escape(COPY_SCRIPT.replace("SOURCE", source))}">{label}</button>'


def login_box_html(box: LoginBox | None, link: str) -> str:
    """The way in: the button, user and password to copy, where the images go, and the page for the phone."""
    if box is None:
        return part("card", "")
    fields = "".join(
        f'<div class="field"><span>{name}</span><div><code>{html.escape(value)}</code></div>'
        f"{copy_button('Copy', 'code')}</div>"
        for name, value in (("Link", box.url), ("User", box.user), ("Password", box.password))
    )
    images = html.escape(box.kept_in)
    if box.images:
        images += f' <a class="also" href="{html.escape(box.images)}" {NEW_TAB}>Download my images</a>'
    enter = f'<a class="go" href="{html.escape(link or box.url)}" {NEW_TAB}>Open the web UI</a>'
    page = f'<a href="{html.escape(box.url)}/oneclick/" {NEW_TAB}>The same panel as a page, for your phone</a>'
    phone = f'<div class="field"><span>Phone</span><div>{page}</div></div>'
    hint = "Does the page not open, or an upload fail? Choose another <b>link</b>"
    if box.here_only:
        where = "This link opens only on the computer that runs the notebook. For any other, and for your phone, choose"
        phone, hint = "", f"{where} <b>gradio</b> as <b>link</b>"
    return part(
        "card",
        f'<div class="box">{enter}{fields}<div class="field"><span>Images</span><div>{images}</div></div>'
        f"{phone}<small>{hint} under <b>Choices</b>, and press <b>Restart the web UI</b>.</small></div>",
    )


def given_back_html(status: Snapshot) -> str:
    when = time.strftime("%H:%M %Z", time.localtime(status.given_back_at))  # Colab's machines go by UTC
    told = f"The machine is given back at {when} if nobody uses the web UI until then."
    return part("machine", told if status.given_back_at else "")


def facts_text(status: Snapshot) -> str:
    facts = [f"{name}: {value}" for name, value in status.facts if name in IN_THE_FOOT]
    return " · ".join([f"Version {__version__}", *facts])


def foot_html(status: Snapshot, closed: bool) -> str:
    """What is kept, how to go on, what runs here, and the button that copies a report."""
    lines = filter(None, [html.escape(status.kept), sentence_html(foot_text(status, closed))])
    facts = f"<span>{html.escape(facts_text(status))}</span>{copy_button('Copy a report', '.oneclick-report')}"
    return part("foot", f'{" · ".join(lines)}<div class="facts">{facts}</div>')


def foot_text(status: Snapshot, closed: bool) -> str:
    """How to go on from here; once the cell is `closed`, what became of the rest."""
    if not closed:
        return status.foot
    if status.state in (State.READY, State.RESTARTING):
        return "This cell stopped; the web UI is still running. Press ▶ to see this again; the cell **Stop** ends it."
    at_work = status.state in UNDERWAY or (not status.failed and any(step.state == RUNNING for step in status.steps))
    if at_work and not status.over:
        return "This cell stopped; the work continues. Press ▶ to see it again."
    return "This cell stopped."


# ---- of the page only: forms, which `page.js` sends


def action_html(action: Action, name: str) -> str:
    data = {"path": action.path, "method": action.method, "body": json.dumps(action.body), "confirm": action.confirm}
    attributes = "".join(f' data-{key}="{html.escape(value)}"' for key, value in data.items())
    return f'<form id="{name}"{attributes}><button>{html.escape(action.label)}</button></form>'


def choices_form(choices: Mapping[str, Any]) -> str:
    shown = shown_choices(choices).items()
    rows = "".join(choice_html(field, value) for field, value in shown if field.name not in NOT_BY_THE_PAGE)
    apply = '<div class="first"><button>Apply</button></div>'
    asks = 'data-path="/choices" data-method="POST" data-body="{}" data-into="choices"'
    return f'<form id="choose" {asks}>{rows}{apply}</form>'


def choice_html(field: Field, value: Any) -> str:
    name, text = field.name, value if isinstance(value, str) else json.dumps(value)
    about = f'<small id="about-{name}">{sentence_html(about_field(field))}</small>'
    common = f'id="field-{name}" name="{name}" data-was="{html.escape(text)}" aria-describedby="about-{name}"'
    label = f'<label for="field-{name}">{name.replace("_", " ")}</label>'
    if isinstance(value, bool):
        control = f'<input type="checkbox" {common}{" checked" if value else ""}>'
    else:
        kind = 'type="number" required min="0"' if isinstance(value, int) else 'type="text"'  # no number would mean 0
        control = f'<input {kind} value="{html.escape(text)}" {common}>'
    return f"<div>{label}{control}{about}</div>"
