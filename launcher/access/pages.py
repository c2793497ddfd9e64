"""The launcher's own pages: login, and what runs. Plain HTML that loads nothing from elsewhere."""

import base64
import hashlib
import html
import time
from typing import Final

from launcher import __version__
from launcher.access.auth import USER
from launcher.core.snapshot import Snapshot, State
from launcher.ui.html import steps_html, told_html

OWN_PAGES: Final = "/oneclick/"  # A1111 has nothing there
# Draws the page anew where it stands, and only what changed: one that is loaded again loses a screen reader's place. In
# place of the web UI it gives way once that answers; on its own address it stays while the web UI restarts, and then
# leads back to it, not before: leaving would take back what is being asked. While a button is held down nothing is
# drawn: a press on one that goes meanwhile is lost.
STATUS_SCRIPT: Final = (
    "addEventListener('DOMContentLoaded',()=>{const own=location.pathname=='OWN',"
    "state=()=>document.querySelector('h1').dataset.state,busy=()=>/^(re)?starting$/.test(state());"
    "let went=busy(),held=false;addEventListener('pointerdown',()=>held=true);"
    "for(const e of['pointerup','pointercancel'])addEventListener(e,()=>setTimeout(()=>held=false));"
    "const draw=async()=>{let r;try{r=await fetch(location.href,{headers:{Accept:'text/html'}})}catch(e){return}"
    "if(!own&&r.status!=503)return location.reload();"
    "const d=new DOMParser().parseFromString(await r.text(),'text/html').querySelectorAll('main>*');"
    "if(held)return;const now=document.querySelector('main').children;"
    "if(now.length!=d.length)now[0].parentNode.replaceChildren(...d);"
    "else d.forEach((e,i)=>{if(!e.isEqualNode(now[i]))now[i].replaceWith(e)});"
    "went=went||busy();if(own&&went&&state()=='ready')location.replace('/')};"
    "document.addEventListener('submit',async e=>{e.preventDefault();"
    "try{await fetch('OWNapi/restart',{method:'POST',body:'{}'})}catch(e){}await draw()});setInterval(draw,1000)})"
).replace("OWN", OWN_PAGES)
# What each state means for who looks, and what the button then says; None where it would do nothing.
HINTS: Final[dict[str, tuple[str, str | None]]] = {
    State.READY: (
        "If it hangs, restart it. The link and your login stay the same; an image in progress is lost.",
        "Restart the web UI",
    ),
    State.STARTING: ("It opens by itself as soon as it is ready.", None),
    State.RESTARTING: ("It opens by itself as soon as it is ready.", None),
    State.FAILED: ("What to do is written below; you can also start it again here.", "Start it again"),
    State.STOPPING: ("Your last images are being saved.", None),
    State.OFF: ("Press ▶ in the notebook to start again.", None),
    State.IDLE: ("Press ▶ in the notebook to start.", None),
}
TICKET_SCRIPT: Final = "document.forms[0].submit()"


def script_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


PAGE_HEADERS: Final[dict[str, str]] = {
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
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{head}<title>{title}</title>'
        f'<link rel="stylesheet" href="{OWN_PAGES}style.css"></head>'
        f'<body class="oneclick page"><main>{body}</main></body></html>'
    )


def login_page(message: str = "") -> str:
    """The login form: works without JavaScript and with password managers."""
    problem = f'<p class="bad" role="alert">{html.escape(message)}</p>' if message else ""
    return page(
        "Log in",
        "<h1>Your image generator</h1>"
        f"<p>The user name and password are in the notebook, below the first cell.</p>{problem}"
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


def status_page(status: Snapshot | None, images: bool = False) -> str:
    """What runs, with its steps while it is not ready; a button to start it anew, and all images in one file."""
    state, ready = status.state if status else "unknown", bool(status and status.state == State.READY)
    hint, label = HINTS.get(state, ("It is being started.", None))
    title = html.escape(status.title if status else "The launcher does not answer yet")
    parts = [f'<h1 data-state="{state}">{title}</h1><p>{hint}</p>']
    if status and not ready:
        parts += [steps_html(status, time.time()), told_html(status)]
    if label:
        parts.append(f'<form method="post" action="{OWN_PAGES}restart"><button>{label}</button></form>')
    if images:
        parts.append(f'<p><a href="{OWN_PAGES}images.zip" download>Download my images</a></p>')
    if ready:
        parts.append('<p><a href="/">Back to the web UI</a></p>')
    parts.append(f"<p><small>Version {__version__}</small></p>")
    again = "" if ready else '<noscript><meta http-equiv="refresh" content="2"></noscript>'
    return page("The web UI", "".join(parts), f"{again}<script>{STATUS_SCRIPT}</script>")
