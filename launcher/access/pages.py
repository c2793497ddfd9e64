"""The launcher's own pages: login, and what runs. Plain HTML that loads nothing from elsewhere."""

import base64
import hashlib
import html
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from launcher.access.auth import USER
from launcher.core.fields import NOT_BY_THE_PAGE, Field
from launcher.core.status import Snapshot, State
from launcher.ui import actions, render

OWN_PAGES: Final = "/oneclick/"  # A1111 has nothing there
ALIVE: Final = f"{OWN_PAGES}alive"  # a WebSocket for everybody, which says nothing: by it the watch looks at the link
STATUS_SCRIPT: Final = (Path(__file__).parent / "page.js").read_text()
# What each state means for who looks.
HINTS: Final[dict[str, str]] = {
    State.READY: "If it hangs, restart it. The link and your login stay the same; an image in progress is lost.",
    State.FAILED: "What to do is written below; you can also start it again here.",
    State.STOPPING: "Your last images are being saved.",
    State.OFF: "Press ▶ in the notebook to start again.",
    State.IDLE: "Press ▶ in the notebook to start.",
}
JOBS_ON_THE_PAGE: Final = 8  # the newest
ADD_FORM: Final = (
    f'<form id="add" data-path="/add" data-method="POST" data-body="{{}}"><label for="what">{actions.WHAT_TO_ADD}'
    '</label><textarea id="what" name="what" rows="2" autocapitalize="none" spellcheck="false" '
    f'placeholder="{actions.HOW_TO_ADD}"></textarea><div class="first"><button>Add</button></div></form>'
)
NOT_HERE: Final = '<p id="usual"><small>ControlNet and extensions: only from the panel in the notebook.</small></p>'
TICKET_SCRIPT: Final = "document.forms[0].submit()"


def script_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


PAGE_HEADERS: Final[dict[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with "no-referrer" browsers send the login form with `Origin: null`
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
        f"base-uri 'none'; frame-ancestors 'self'; script-src {script_hash(STATUS_SCRIPT)} {script_hash(TICKET_SCRIPT)}"
    ),
}


def page(title: str, body: str, head: str = "", after: str = "", kind: str = "") -> str:
    """`after` comes behind `<main>`. The icon is empty: to ask the web UI for one would count as a use of it."""
    return (
        '<!doctype html><html lang="en" dir="ltr"><head><meta charset="utf-8"><meta name="robots" content="noindex">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{head}<title>{title}</title>'
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="{OWN_PAGES}style.css"></head>'
        f'<body class="oneclick page"><main{kind}>{body}</main>{after}</body></html>'
    )


def login_page(message: str = "", own: bool = False) -> str:
    """The login form: works without JavaScript and with password managers. `own`: it leads on to our page."""
    problem = f'<p class="bad" role="alert">{html.escape(message)}</p>' if message else ""
    lead = '<input type="hidden" name="to" value="launcher">' if own else ""
    other = "" if own else f'<p class="more"><a href="{OWN_PAGES}">Log in to restart, stop or add models</a></p>'
    return page(
        "Log in",
        "<h1>Your image generator</h1>"
        f"<p>The user name and password are in the notebook, below the first cell.</p>{problem}"
        f'<form method="post" action="{OWN_PAGES}login">{lead}'
        f'<label for="u">User</label><input id="u" name="user" value="{USER}" autocomplete="username" '
        'autocapitalize="none" spellcheck="false" required>'
        '<label for="p">Password</label><input id="p" name="password" type="password" autocomplete="current-password" '
        f"required autofocus><button>Log in</button></form>{other}",
    )


def ticket_page(*, by_itself: bool) -> str:
    """Sends the ticket `by_itself`, or by a press. What only reads this page, as a chat's preview, uses nothing up."""
    return page(
        "Your image generator",
        '<h1>Your image generator</h1><form method="post"><button>Open the web UI</button></form>'
        + (f"<script>{TICKET_SCRIPT}</script>" if by_itself else ""),
    )


def status_page(status: Snapshot | None, images: Sequence[tuple[str, str]] | None = None) -> str:
    """`images`: the newest, each an id and a name; None on the page that stands in for the web UI and leads to ours."""
    state, status = (status.state, status) if status else ("unknown", Snapshot("The launcher does not answer yet"))
    ready, part = state == State.READY, render.parts_of(status, time.time())
    said, hint = html.escape(render.live_text(status)), HINTS.get(state, "It opens by itself as soon as it is ready.")
    enter = '<a class="go" href="/" target="_top">Open the web UI</a>' if ready else ""
    steps = f'<summary id="line">{html.escape(render.steps_line(status))}</summary><div id="rows">{part["steps"]}</div>'
    is_open = " open" if render.are_steps_open(status) else ""
    if images is None:
        more = f'<p id="more"><a href="{OWN_PAGES}">Add models, restart, stop, get your images</a></p>'
        beside = [row_of("go", actions.going_on(status)), more]
    else:
        beside = [] if state in ("unknown", State.OFF, State.IDLE) else beside_html(status, part, images)
    parts = [
        f'<span id="now" data-state="{state}" data-version="{html.escape(status.version)}" hidden></span>',
        f'<div id="live" class="oneclick unseen" role="status" data-parts><span id="said">{said}</span></div>',
        f'<div id="head"><h1>{html.escape(status.title)}</h1><p>{hint}</p>{enter}</div>',
        f'<div id="told">{part["told"]}</div>',
        row_of("offered", actions.offered(status)),
        f'<details id="steps" data-parts{is_open}>{steps}</details>' if status.steps else "",
        *beside,
        f'<p id="version"><small>{html.escape(render.facts_text(status))}</small></p>',
    ]
    again = "" if ready else '<noscript><meta http-equiv="refresh" content="2"></noscript>'
    after = f'<p id="answer" role="status"></p><script>{STATUS_SCRIPT}</script>'
    return page("The web UI", "".join(parts), again, after, ' class="whole" data-parts')


def beside_html(status: Snapshot, part: Mapping[str, str], images: Sequence[tuple[str, str]]) -> list[str]:
    """What may be asked of the launcher, each in a section of its own: the same as on the panel."""
    usual = action_html(actions.ADD_USUAL, "usual") if status.choices.get("extensions_tab") else NOT_HERE
    newest = sorted(status.jobs.items(), reverse=True)[:JOBS_ON_THE_PAGE]
    stay = row_of("stay", [actions.STAY] if status.given_back_at else [])
    copy = '<div id="copy"><button type="button" data-copy="#report-text pre">Copy</button></div>'
    text = f'<div id="report-text"><pre>{html.escape(render.report(status))}</pre></div>{copy}'
    return [
        section("adding", ADD_FORM, usual),
        section("jobs", *(job_section(number, job) for number, job in newest)),
        images_html(images),
        section("going", row_of("go", actions.going_on(status)), f'<div id="back">{part["machine"]}</div>', stay),
        section("chosen", fold("choices", "Choices", choices_form(status.choices)) if status.choices else ""),
        section("ending", f'<p id="kept">{html.escape(status.kept)}</p>', row_of("end", actions.ending(status))),
        section("help", fold("report", "A report for somebody who helps", text)),
    ]


def job_section(number: int, job: Snapshot) -> str:
    rows = f'<div id="rows-{number}">{render.job_html(number, job, time.time())}</div>'
    return f'<div id="job-{number}" data-parts>{rows}{row_of(f"job-{number}", actions.of_job(number, job))}</div>'


def fold(name: str, title: str, content: str) -> str:
    return f'<details id="{name}" data-parts><summary id="{name}-line">{title}</summary>{content}</details>'


def section(name: str, *parts: str) -> str:
    return f'<section id="{name}" data-parts>{"".join(parts)}</section>'


def row_of(name: str, offered: Iterable[actions.Action]) -> str:
    forms = "".join(action_html(action, f"{name}-{number}") for number, action in enumerate(offered))
    return f'<div class="row" id="row-{name}" data-parts>{forms}</div>'


def images_html(images: Sequence[tuple[str, str]]) -> str:
    address = f"{OWN_PAGES}images"
    pictures = "".join(
        f'<a id="image-{one}" href="{address}/{one}" target="_blank" rel="noopener">'
        f'<img src="{address}/{one}?small" alt="{html.escape(name)}" loading="lazy"></a>'
        for one, name in images
    )
    every = f'<p id="all"><a href="{address}.zip" download>Download my images</a></p>'
    return section("images", '<h2 id="last">Last images</h2>' if images else "", pictures, every)


# ---- forms, which `page.js` sends


def action_html(action: actions.Action, name: str) -> str:
    data = {"path": action.path, "method": action.method, "body": json.dumps(action.body), "confirm": action.confirm}
    attributes = "".join(f' data-{key}="{html.escape(value)}"' for key, value in data.items())
    return f'<form id="{name}"{attributes}><button>{html.escape(action.label)}</button></form>'


def choices_form(choices: Mapping[str, Any]) -> str:
    shown = actions.shown_choices(choices).items()
    rows = "".join(choice_html(field, value) for field, value in shown if field.name not in NOT_BY_THE_PAGE)
    apply = '<div class="first"><button>Apply</button></div>'
    asks = 'data-path="/choices" data-method="POST" data-body="{}" data-into="choices"'
    others = '<p id="others"><small>What is not here is chosen in the notebook.</small></p>'
    return f'<form id="choose" {asks}>{rows}{apply}</form>{others}'


def choice_html(field: Field, value: Any) -> str:
    name, text = field.name, value if isinstance(value, str) else json.dumps(value)
    about = f'<small id="about-{name}">{render.sentence_html(actions.about_field(field))}</small>'
    common = f'id="field-{name}" name="{name}" data-was="{html.escape(text)}" aria-describedby="about-{name}"'
    label = f'<label for="field-{name}">{name.replace("_", " ")}</label>'
    if isinstance(value, bool):
        control = f'<input type="checkbox" {common}{" checked" if value else ""}>'
    else:
        kind = 'type="number" required min="0"' if isinstance(value, int) else 'type="text"'  # no number would mean 0
        control = f'<input {kind} value="{html.escape(text)}" {common}>'
    return f"<div>{label}{control}{about}</div>"
