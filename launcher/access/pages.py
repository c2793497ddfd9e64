"""The door's own pages: login, waiting, control. Plain HTML that loads nothing from elsewhere."""

import base64
import hashlib
import html
from typing import Any, Final

from launcher import __version__
from launcher.access.login import USER
from launcher.core.snapshot import RUNNING, Row, State
from launcher.ui.html import MARKS, sentence_html
from launcher.ui.words import STATE_WORDS

OWN_PAGES: Final = "/oneclick/"  # A1111 has nothing there
STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d1d28;--paper:#f6f6fa;--box:#fff;--line:#d8d8e4;--soft:#5a5a6e;--main:#4a3fc9;
--bad:#b3261e;--good:#1b7a3d}
@media(prefers-color-scheme:dark){:root{--ink:#ececf4;--paper:#14141c;--box:#1f1f2b;--line:#3a3a4c;--soft:#a9a9bd;
--main:#a79fff;--bad:#ff9d95;--good:#7fd99b}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;padding:16px}
main{width:100%;max-width:27rem;background:var(--box);border:1px solid var(--line);border-radius:14px;padding:28px}
h1{font-size:1.25rem;margin:0 0 4px}p{margin:0 0 16px;color:var(--soft)}
label{display:block;font-weight:600;margin:14px 0 4px}
input{width:100%;font:inherit;padding:10px 12px;border:1px solid var(--soft);border-radius:8px;background:var(--box);
color:var(--ink)}
button{width:100%;margin-top:20px;font:inherit;font-weight:600;padding:11px;border:0;border-radius:8px;
background:var(--main);color:var(--box);cursor:pointer}
a{color:var(--main)}
input:focus-visible,button:focus-visible{outline:3px solid var(--main);outline-offset:2px}
.bad{color:var(--bad);font-weight:600}
ol{list-style:none;margin:0;padding:0}li{display:flex;gap:10px;padding:7px 0;border-top:1px solid var(--line)}
li span>b{font-weight:600;display:block}li span+span{flex:1}li small{color:var(--soft);overflow-wrap:anywhere}
.mark{width:1.4em;flex:none;text-align:center}
.done .mark{color:var(--good)}.failed .mark,.failed small{color:var(--bad)}
progress{width:100%;height:8px;accent-color:var(--main)}
"""
# Draws the page anew where it stands: one that is loaded again loses a screen reader's place. In place of the web UI it
# gives way once that answers; on its own address it stays while the web UI restarts, and then leads back to it.
STATUS_SCRIPT: Final = (
    "addEventListener('DOMContentLoaded',()=>{const own=location.pathname=='OWN',"
    "state=()=>document.querySelector('h1').dataset.state,busy=()=>/^(re)?starting$/.test(state());let went=busy();"
    "const draw=async()=>{let r;try{r=await fetch(location.href,{headers:{Accept:'text/html'}})}catch(e){return}"
    "if(!own&&r.status!=503)return location.reload();"
    "const d=new DOMParser().parseFromString(await r.text(),'text/html');"
    "document.querySelector('main').innerHTML=d.querySelector('main').innerHTML;"
    "went=went||busy();if(own&&went&&state()=='ready')location.replace('/')};"
    "document.addEventListener('submit',async e=>{e.preventDefault();went=true;"
    "try{await fetch('OWNapi/restart',{method:'POST',body:'{}'})}catch(e){}await draw()});setInterval(draw,1000)})"
).replace("OWN", OWN_PAGES)
# What each state means for who looks, and what the button then says; no button where it would do nothing.
HINTS: Final = {
    State.READY: (
        "If it hangs, restart it. The link and your login stay the same; an image in progress is lost.",
        "Restart the web UI",
    ),
    State.STARTING: ("It opens by itself as soon as it is ready.", ""),
    State.RESTARTING: ("It opens by itself as soon as it is ready.", ""),
    State.FAILED: ("What to do is written below; you can also start it again here.", "Start it again"),
    State.STOPPING: ("Your last images are being saved.", ""),
    State.OFF: ("Press ▶ in the notebook to start again.", ""),
    State.IDLE: ("Press ▶ in the notebook to start.", ""),
}
TICKET_SCRIPT: Final = "document.forms[0].submit()"


def script_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


PAGE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",  # with "no-referrer" browsers send the login form with `Origin: null`
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; connect-src 'self'; "
        f"frame-ancestors 'self'; script-src {script_hash(STATUS_SCRIPT)} {script_hash(TICKET_SCRIPT)}"
    ),
}


def page(title: str, body: str, head: str = "") -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{head}'
        '<meta name="robots" content="noindex">'
        f'<title>{html.escape(title)}</title><link rel="stylesheet" href="{OWN_PAGES}style.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )


def login_page(message: str = "") -> str:
    """The login form: works without JavaScript and with password managers."""
    told = f'<p class="bad" role="alert">{html.escape(message)}</p>' if message else ""
    return page(
        "Log in",
        "<h1>Your image generator</h1>"
        f"<p>The user name and password are in the notebook, below the first cell.</p>{told}"
        f'<form method="post" action="{OWN_PAGES}login">'
        f'<label for="u">User</label><input id="u" name="user" value="{USER}" autocomplete="username" '
        'autocapitalize="none" spellcheck="false" required>'
        '<label for="p">Password</label><input id="p" name="password" type="password" autocomplete="current-password" '
        "required autofocus><button>Log in</button></form>",
    )


def ticket_page() -> str:
    """Sends the ticket by itself. A chat's preview of the link only reads this page, which uses nothing up."""
    return page(
        "Your image generator",
        '<h1>Your image generator</h1><form method="post"><button>Open the web UI</button></form>'
        f"<script>{TICKET_SCRIPT}</script>",
    )


def status_page(status: dict[str, Any], images: bool = False) -> str:
    """What runs, with its steps while it is not ready; a button to start it anew, and all images in one file."""
    rows, state = [], status.get("state", "")
    for step in [] if state == State.READY else [Row(**found) for found in status.get("steps", [])]:
        note = f"{step.problem} {step.remedy}" if step.problem else step.note
        title, bar = html.escape(step.title), ""
        if step.state == RUNNING and step.fraction is not None:
            bar = f'<progress max="100" value="{100 * step.fraction:.0f}" aria-label="{title}"></progress>'
        rows.append(
            f'<li class="{step.state}"><span class="mark" role="img" aria-label="{STATE_WORDS[step.state]}">'
            f"{MARKS[step.state]}</span><span><b>{title}</b><small>{sentence_html(note)}</small>{bar}</span></li>"
        )
    hint, label = HINTS.get(state, ("It is being started.", ""))
    button = f'<form method="post" action="{OWN_PAGES}restart"><button>{label}</button></form><p></p>' if label else ""
    zipped = f'<p><a href="{OWN_PAGES}images.zip" download>Download my images</a></p>' if images else ""
    back = '<p><a href="/">Back to the web UI</a></p>' if state == State.READY else ""
    again = "" if back else '<noscript><meta http-equiv="refresh" content="2"></noscript>'
    head = html.escape(status.get("title") or "The launcher does not answer yet")
    return page(
        "The web UI",
        f'<h1 data-state="{state}">{head}</h1><p>{hint}</p><ol>{"".join(rows)}</ol>{button}{zipped}{back}'
        f"<p><small>Version {__version__}</small></p>",
        f"{again}<script>{STATUS_SCRIPT}</script>",
    )
