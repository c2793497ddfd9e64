"""The panel as HTML."""

import html
import re
import time
from typing import Final

from launcher import __version__
from launcher.core.snapshot import DONE, FAILED, RUNNING, UNDERWAY, LoginBox, Snapshot, State
from launcher.ui.report import report
from launcher.ui.words import STATE_WORDS, amount, in_time

STYLE_OF_PANEL: Final = """<style>
.oneclick{--ink:#1d1d28;--box:#fff;--line:#d8d8e4;--soft:#5a5a6e;--main:#4a3fc9;--on:#fff;--bad:#b3261e;--good:#1b7a3d;
--tint:#f1f0fb;
font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--box);max-width:46rem;text-align:start}
html[theme=dark] .oneclick,body[data-jp-theme-light=false] .oneclick,body.vscode-dark .oneclick,
body[data-vscode-theme-kind=vscode-dark] .oneclick
{--ink:#ececf4;--box:#1f1f2b;--line:#45455a;--soft:#b4b4c6;--main:#a79fff;--on:#14141c;--bad:#ff9d95;--good:#7fd99b;
--tint:#2a2a3d}
.oneclick *{box-sizing:border-box}
.oneclick.head{padding:14px 16px 6px;border:1px solid var(--line);border-bottom:0;border-radius:12px 12px 0 0}
.oneclick.head b{font-size:16px}.oneclick.head span{color:var(--soft);float:inline-end}
.oneclick.steps,.oneclick.told,.oneclick.card{padding:0 16px;border-inline:1px solid var(--line);display:flow-root}
.oneclick.foot{padding:8px 16px 12px;border:1px solid var(--line);border-top:0;border-radius:0 0 12px 12px;
color:var(--soft)}
.oneclick ol{list-style:none;margin:0;padding:0}
.oneclick li{display:flex;gap:10px;padding:6px 0;border-top:1px solid var(--line)}
.oneclick .mark{flex:none;width:1.3em;text-align:center;font-weight:700;color:var(--soft)}
.oneclick .done .mark{color:var(--good)}.oneclick .failed .mark{color:var(--bad)}
.oneclick .running .mark{color:var(--main)}
.oneclick .what{flex:1;min-width:0}.oneclick .what b{font-weight:600}.oneclick .waiting b{color:var(--soft);
font-weight:400}
.oneclick small{display:block;color:var(--soft);font-size:12.5px;overflow-wrap:anywhere;
font-variant-numeric:tabular-nums}
.oneclick .when{flex:none;color:var(--soft);font-size:12.5px;font-variant-numeric:tabular-nums}
.oneclick .bar{height:6px;border-radius:3px;background:var(--line);margin:4px 0;overflow:hidden}
.oneclick .bar i{display:block;height:100%;background:var(--main)}
.oneclick .trouble{border:1px solid var(--bad);border-inline-start-width:5px;border-radius:8px;padding:10px 12px;
margin:8px 0}.oneclick .trouble>b:first-child{color:var(--bad)}
.oneclick .notice{border-inline-start:3px solid var(--main);padding:2px 10px;margin:8px 0;color:var(--ink)}
.oneclick .box{background:var(--tint);border-radius:10px;padding:14px;margin:10px 0}
.oneclick a.also{color:var(--main);font-weight:600}
.oneclick a.go{display:inline-block;background:var(--main);color:var(--on);font-weight:700;font-size:16px;
padding:10px 20px;border-radius:8px;text-decoration:none}
.oneclick a.go:focus-visible,.oneclick button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}
.oneclick .field{display:flex;flex-wrap:wrap;align-items:center;gap:2px 12px;margin-top:10px}
.oneclick .field span{flex:0 0 4.8em;color:var(--soft)}.oneclick .field div{flex:1 1 8em;min-width:0;
overflow-wrap:anywhere}@media(max-width:360px){.oneclick .field span{flex-basis:100%}}
.oneclick .facts{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:center;justify-content:space-between;
margin-top:6px;font-size:12.5px}
.oneclick.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.oneclick details{margin:8px 0;color:var(--soft)}.oneclick summary{cursor:pointer}
.oneclick code{font:600 14px ui-monospace,monospace;color:var(--ink);background:none}
.oneclick button{font:inherit;font-size:12.5px;padding:3px 10px;border:1px solid var(--soft);border-radius:6px;
background:var(--box);color:var(--ink);cursor:pointer}
</style>"""
MARKS: Final = {"waiting": "·", "running": "…", "done": "✓", "failed": "✕"}
# What the foot shows of the facts -> what stands between name and value.
IN_THE_FOOT: Final = {"AUTOMATIC1111": " ", "Free on Google Drive": ": ", "Borrowed from this machine": ": "}
NOTICES_SHOWN: Final = 3  # the newest; the others are folded
# Copies the text before the button; selects it where the page may not use the clipboard.
COPY_SCRIPT: Final = (
    "const c=this.previousElementSibling.querySelector('code'),s=getSelection(),r=document.createRange();"
    "r.selectNodeContents(c);s.removeAllRanges();s.addRange(r);let "
    "ok=false;try{ok=document.execCommand('copy')}catch(e){}"
    "if(!ok&&navigator.clipboard)navigator.clipboard.writeText(c.textContent);this.textContent='Copied'"
)
# Copies the report, wherever in the panel it is.
REPORT_SCRIPT: Final = (
    "let p=this;while(p&&!p.querySelector('.oneclick-report'))p=p.parentElement;"
    "const a=p.querySelector('.oneclick-report');a.hidden=false;a.select();let ok=false;"
    "try{ok=document.execCommand('copy')}catch(e){}a.hidden=true;"
    "if(!ok&&navigator.clipboard)navigator.clipboard.writeText(a.value);this.textContent='Copied'"
)


def live_html(status: Snapshot) -> str:
    """What a screen reader says by itself: it changes when a step begins or ends, not with every byte and second."""
    done = sum(step.state == DONE for step in status.steps)
    at_work = ", ".join(step.title for step in status.steps if step.state == RUNNING)
    far = f" {done} of {len(status.steps)} steps done." if status.steps else ""
    return (
        f'<div class="oneclick unseen" role="status">{html.escape(status.title)}.{far}'
        f"{f' At work: {html.escape(at_work)}.' if at_work else ''}</div>"
    )


def head_html(status: Snapshot, now: float) -> str:
    """The first line: what goes on, and a clock that shows it is alive."""
    running = [s for s in status.steps if s.state == RUNNING]
    text = status.title
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    box = status.login_box
    since = f"ready after {in_time(box.seconds)}" if box and not running else in_time(now - status.started)
    return f'{STYLE_OF_PANEL}<div class="oneclick head"><span>{since} · {clock}</span><b>{html.escape(text)}</b></div>'


def steps_html(status: Snapshot, now: float) -> str:
    """The steps, each with its state, what it does, and how far it is."""
    rows = []
    for step in status.steps:
        when = in_time((step.ended or now) - step.started) if step.started else ""
        told = " · ".join(text for text in (step.note, amount(step)) if text)
        bar = ""
        if step.state == RUNNING and step.fraction is not None:
            percent = f"{100 * step.fraction:.1f}"
            bar = (
                f'<div class="bar" role="progressbar" aria-label="{html.escape(step.title)}" aria-valuemin="0" '
                'aria-valuemax="100" '
                f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
            )
        rows.append(
            f'<li class="{step.state}"><span class="mark" role="img" '
            f'aria-label="{STATE_WORDS[step.state]}">{MARKS[step.state]}</span>'
            f'<div class="what"><b>{html.escape(step.title)}</b>{bar}<small>{html.escape(told)}</small></div><span '
            f'class="when">{when}</span></li>'
        )
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


def login_box_html(box: LoginBox | None, link: str) -> str:
    """The way in: the button, user and password to copy, where the images go."""
    if box is None:
        return '<div class="oneclick card"></div>'
    copy = f'<button type="button" onclick="{html.escape(COPY_SCRIPT)}">Copy</button>'
    rows = [("Link", box.url), ("User", box.user), ("Password", box.password)]
    fields = "".join(
        f'<div class="field"><span>{name}</span><div><code>{html.escape(value)}</code></div>{copy}</div>'
        for name, value in rows
    )
    images = html.escape(box.kept_in)
    if box.images:
        zipped = f'href="{html.escape(box.images)}" target="_blank" rel="noopener"'
        images += f' <a class="also" {zipped}>Download my images</a>'
    enter = f'<a class="go" href="{html.escape(link or box.url)}" target="_blank" rel="noopener">Open the web UI</a>'
    return (
        f'<div class="oneclick card"><div class="box">{enter}{fields}'
        f'<div class="field"><span>Images</span><div>{images}</div></div></div></div>'
    )


def foot_html(status: Snapshot, closed: bool) -> str:
    """What is kept, how to go on, what runs here, and the button that copies a report."""
    lines = [status.kept and html.escape(status.kept), sentence_html(foot_text(status, closed))]
    facts = [
        f"Version {__version__}",
        *(f"{name}{IN_THE_FOOT[name]}{value}" for name, value in status.facts if name in IN_THE_FOOT),
    ]
    button = f'<button type="button" onclick="{html.escape(REPORT_SCRIPT)}">Copy a report</button>'
    return (
        f'<div class="oneclick foot">{" · ".join(filter(None, lines))}'
        f'<div class="facts"><span>{html.escape(" · ".join(facts))}</span>{button}</div></div>'
    )


def report_html(status: Snapshot) -> str:
    """The report, not shown: a part of its own, for it changes often and the button must keep the focus."""
    text = html.escape(report(status))
    return f'<textarea class="oneclick-report" aria-label="Report" readonly hidden>{text}</textarea>'


def foot_text(status: Snapshot, closed: bool) -> str:
    """How to go on from here; once the cell is `closed`, what became of the rest."""
    if not closed:
        return status.foot
    if status.state in (State.READY, State.RESTARTING):
        return "This cell stopped; the web UI is still running. Press ▶ to see this again; the cell **Stop** ends it."
    if status.state in UNDERWAY or (not status.failed and any(step.state == RUNNING for step in status.steps)):
        return "This cell stopped; the work continues. Press ▶ to see it again."
    return "This cell stopped."
