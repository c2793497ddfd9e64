"""The door's own pages: login, waiting, control. Plain HTML that loads nothing from elsewhere."""

import html
from typing import Any, Final

from launcher import __version__
from launcher.access.login import USER

OWN: Final = "/oneclick/"  # the door's own pages; A1111 has nothing there


STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d1d28;--paper:#f6f6fa;--box:#fff;--line:#d8d8e4;--soft:#5a5a6e;--main:#4a3fc9;--bad:#b3261e;--good:#1b7a3d}
@media(prefers-color-scheme:dark){:root{--ink:#ececf4;--paper:#14141c;--box:#1f1f2b;--line:#3a3a4c;--soft:#a9a9bd;--main:#a79fff;--bad:#ff9d95;--good:#7fd99b}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;padding:16px}
main{width:100%;max-width:27rem;background:var(--box);border:1px solid var(--line);border-radius:14px;padding:28px}
h1{font-size:1.25rem;margin:0 0 4px}p{margin:0 0 16px;color:var(--soft)}
label{display:block;font-weight:600;margin:14px 0 4px}
input{width:100%;font:inherit;padding:10px 12px;border:1px solid var(--soft);border-radius:8px;background:var(--box);color:var(--ink)}
button{width:100%;margin-top:20px;font:inherit;font-weight:600;padding:11px;border:0;border-radius:8px;background:var(--main);color:var(--box);cursor:pointer}
a{color:var(--main)}
input:focus-visible,button:focus-visible{outline:3px solid var(--main);outline-offset:2px}
.bad{color:var(--bad);font-weight:600}
ol{list-style:none;margin:0;padding:0}li{display:flex;gap:10px;padding:7px 0;border-top:1px solid var(--line)}
li b{font-weight:600;display:block}li small{color:var(--soft);overflow-wrap:anywhere}.mark{width:1.4em;flex:none;text-align:center}
.done .mark{color:var(--good)}.failed .mark,.failed small{color:var(--bad)}
progress{width:100%;height:8px;accent-color:var(--main)}
"""


# Draws the steps anew where they stand: a page that is loaded again every two seconds loses a screen reader's place. A request
# that fails is made again two seconds later.
WAITING_SCRIPT: Final = (
    "setInterval(async()=>{let r;try{r=await fetch(location.href,{headers:{Accept:'text/html'}})}catch(e){return}"
    "if(r.status!==503)return location.reload();"
    "const d=new DOMParser().parseFromString(await r.text(),'text/html');"
    "document.querySelector('main').innerHTML=d.querySelector('main').innerHTML},2000)"
)


def page(title: str, body: str, live: bool = False) -> str:
    """One of the door's own pages; a `live` one keeps itself up to date, without JavaScript by being loaded again."""
    again = (
        f'<noscript><meta http-equiv="refresh" content="2"></noscript><script>{WAITING_SCRIPT}</script>' if live else ""
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">{again}'
        f'<meta name="robots" content="noindex"><title>{html.escape(title)}</title><link rel="stylesheet" href="{OWN}style.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )


def login_page(message: str = "") -> str:
    """The login form: works without JavaScript and with password managers."""
    told = f'<p class="bad" role="alert">{html.escape(message)}</p>' if message else ""
    return page(
        "Log in",
        f"<h1>Your image generator</h1><p>User name and password stand in the notebook, on the card below the ▶ cell.</p>{told}"
        f'<form method="post" action="{OWN}login">'
        f'<label for="u">User</label><input id="u" name="user" value="{USER}" autocomplete="username" autocapitalize="none" spellcheck="false" required>'
        '<label for="p">Password</label><input id="p" name="password" type="password" autocomplete="current-password" required autofocus>'
        "<button>Log in</button></form>",
    )


def waiting_page(board: dict[str, Any]) -> str:
    """The steps, as the panel in the notebook shows them."""
    marks = {"done": "✓", "failed": "✕", "running": "…", "waiting": "·"}
    words = {"done": "done", "failed": "failed", "running": "at work", "waiting": "waiting"}
    rows = []
    for step in board.get("steps", []):
        note = f"{step['problem']} {step['remedy']}" if step["problem"] else step["note"]
        bar = ""
        if step["state"] == "running" and step["fraction"] is not None:
            bar = f'<progress max="100" value="{100 * step["fraction"]:.0f}" aria-label="{html.escape(step["title"])}"></progress>'
        rows.append(
            f'<li class="{step["state"]}"><span class="mark" role="img" aria-label="{words[step["state"]]}">{marks[step["state"]]}</span>'
            f"<span style='flex:1'><b>{html.escape(step['title'])}</b><small>{html.escape(note)}</small>{bar}</span></li>"
        )
    failed = any(step["state"] == "failed" for step in board.get("steps", []))
    head = "The web UI did not start" if failed else "The web UI is starting"
    told = "What to do stands below." if failed else "This page changes into it by itself; there is nothing to press."
    return page(head, f"<h1>{head}</h1><p>{told}</p><ol>{''.join(rows)}</ol>", live=True)


def control_page(board: dict[str, Any]) -> str:
    """The door's own page: what runs, and a button to start the web UI anew."""
    state = "It runs." if board.get("webui_port") else "It is starting."
    return page(
        "The web UI",
        f"<h1>The web UI</h1><p>{state} If it hangs, start it anew: the link and your login stay, a picture that is being made is lost.</p>"
        f'<form method="post" action="{OWN}restart"><button>Restart the web UI</button></form><p style="margin:16px 0 0"><a href="/">Back to the web UI</a></p>'
        f"<p><small>Version {__version__}</small></p>",
    )
