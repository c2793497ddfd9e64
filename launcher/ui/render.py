"""A status as both faces show it: in words, for places without widgets and for the report that "Copy a report" copies,
and as HTML, whose parts the panel puts into widgets and the page into one document.
"""

import html
import re
import time
from pathlib import Path
from typing import Final

from launcher import __version__
from launcher.core.status import DONE, FAILED, RUNNING, UNDERWAY, LoginBox, Row, Snapshot, State

STATE_WORDS: Final = {"waiting": "waiting", "running": "at work", "done": "done", "failed": "failed"}
ICONS: Final = {"waiting": "·", "running": "…", "done": "✓", "failed": "✕"}
# What may name a person or let somebody in -> what stands there instead. In this order.
PRIVATE: Final = (
    (re.compile(r"\w+://\S+"), "(a link)"),
    (re.compile(r"\S+@\S+\.\w+"), "(an address)"),
    (re.compile(r"My Drive(?:/[^\s,;:()]+)+"), "(a folder on My Drive)"),
    (re.compile(r"(?<![\w.])~?(?:/[^\s,;:()]+){2,}"), "(a place on this machine)"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])[\w-]{20,}"), "(removed)"),  # a token, a password
)
DARK: Final = (
    "--ink:#ececf4;--paper:#14141c;--box:#1f1f2b;--line:#45455a;--soft:#b4b4c6;--main:#a79fff;--on:#14141c;"
    "--bad:#ff9d95;--good:#7fd99b;--tint:#2a2a3d"
)
# Of the panel, whose parts are each a `.oneclick` in a frame, and of the pages, whose body is. Dark is each face's own.
STYLE: Final = (Path(__file__).parent / "style.css").read_text().replace("/*DARK*/", DARK)
IN_THE_FOOT: Final = ("AUTOMATIC1111", "Machine", "Free on Google Drive")  # of the facts
NEW_TAB: Final = 'target="_blank" rel="noopener"'
NOTICES_SHOWN: Final = 3  # the newest; the others are folded
# Copies the text of the nearest SOURCE, shown or not; leaves it selected where the page may not use the clipboard.
COPY_SCRIPT: Final = (
    "let p=this;while(!p.querySelector('SOURCE'))p=p.parentElement;const e=p.querySelector('SOURCE'),was=e.hidden;"
    "e.hidden=false;getSelection().selectAllChildren(e);let ok=false;try{ok=document.execCommand('copy')}catch(x){}"
    "e.hidden=was;if(!ok&&navigator.clipboard)navigator.clipboard.writeText(e.textContent);this.textContent='Copied'"
)


def steps_line(status: Snapshot) -> str:
    done = sum(step.state == DONE for step in status.steps)
    at_work = ", ".join(step.title for step in status.steps if step.state == RUNNING)
    return f"{done} of {len(status.steps)} steps done" + (f" · at work: {at_work}" if at_work else "")


def live_text(status: Snapshot) -> str:
    """What a screen reader says by itself: it changes when a step begins or ends, not with every byte and second."""
    return f"{status.title}." + (f" {steps_line(status)}." if status.steps else "")


def are_steps_open(status: Snapshot) -> bool:
    """Whether the steps themselves are shown, where nobody has said otherwise: one is at work or failed."""
    return status.state == State.STARTING or any(step.state in (RUNNING, FAILED) for step in status.steps)


def text_lines(status: Snapshot, with_password: bool, ended_only: bool = False) -> list[str]:
    """What the panel shows; `ended_only` leaves out the steps that wait or are at work."""
    lines = []
    for step in status.steps:
        if not ended_only or step.state in (DONE, FAILED):
            lines.append(f"{ICONS[step.state]} {step.title}: {step.note or STATE_WORDS[step.state]}{took(step)}")
            lines += problem_lines(step)
    lines += [f"! {text}" for text in status.notices]
    if box := status.login_box:
        secret = box.password if with_password else "in the login box (or run with ONECLICK_PANEL=text)"
        lines += [f"Link: {box.url}", f"User: {box.user}", f"Password: {secret}", f"Images: {box.kept_in}"]
        lines.append(f"Ready after {in_time(box.seconds)}.")
    return [line.replace("**", "") for line in lines]


class TextPanel:
    """A face for places without widgets: prints each line once, when it changes."""

    def __init__(self) -> None:
        self._printed = set[str]()

    def draw(self, status: Snapshot, link: str, closed: bool = False, job: int = 0) -> None:
        """Print what is new. Steps at work are told once a state, not at every byte."""
        for line in text_lines(status, with_password=True, ended_only=True):
            if line not in self._printed:
                self._printed.add(line)
                print(line, flush=True)

    def close(self) -> None:
        """Nothing is left to say."""

    def show_again(self) -> None:
        """What is printed once is not printed twice."""


def report(status: Snapshot) -> str:
    """What somebody who helps must know: versions, machine, steps, messages. No link, password, token, or path."""
    lines = [f"One-click launcher {__version__}", *(f"{name}: {value}" for name, value in status.facts)]
    if status.started:
        lines.append(f"Started: {time.strftime('%Y-%m-%d %H:%M', time.gmtime(status.started))} UTC")
    if status.login_box:
        lines.append(f"Ready after: {in_time(status.login_box.seconds)}")
    for step in status.steps:
        note = f" - {step.note}" if step.note else ""
        lines += [f"{step.title}: {STATE_WORDS[step.state]}{took(step)}{note}", *problem_lines(step)]
    lines += [f"Message: {text}" for text in status.notices]
    return "\n".join(without_private_parts(line) for line in lines)


def took(step: Row) -> str:
    return f" ({in_time(step.ended - step.started)})" if step.started and step.ended else ""


def problem_lines(step: Row) -> list[str]:
    return [f"  {step.problem}", f"  What to do: {step.remedy}"] if step.state == FAILED else []


def without_private_parts(text: str) -> str:
    for pattern, instead in PRIVATE:
        text = pattern.sub(instead, text)
    return text


def in_bytes(count: float) -> str:
    """1234567 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def in_time(seconds: float) -> str:
    """134 -> "2 min 14 s"."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def amount(step: Row) -> str:
    """How far a step is: "1.2 GB of 2.10 GB · 45 MB/s · 20 s left"."""
    if step.state != RUNNING or not step.done:
        return ""
    parts = [in_bytes(step.done) + (f" of {in_bytes(step.total)}" if step.total else "")]
    if step.speed > 0:
        parts.append(f"{in_bytes(step.speed)}/s")
    if step.seconds_left is not None:
        parts.append(f"{in_time(step.seconds_left)} left")
    return " · ".join(parts)


# ---- as HTML


def parts_of(status: Snapshot, now: float, link: str = "", closed: bool = False) -> dict[str, str]:
    """All parts of a face but its jobs, by name. `link` opens the web UI logged in; `closed`: its cell ends."""
    return {
        # By itself: a page that was away for hours gets every change of what is sent each second.
        "style": f"<style>{STYLE}</style>",
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
    return part("head", f"<span>{since} · {clock}</span><b>{title}</b>")


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
