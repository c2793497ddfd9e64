"""What can be pressed and chosen on either face: the words on it, and what is asked of the service then."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from launcher.core.fields import AS_LAST_TIME, FIELDS, IMMEDIATE, NOTHING, OWNED, Field
from launcher.core.status import FAILED, Button, Snapshot, State


@dataclass(frozen=True)
class Action:
    """A button. Where there is something to `confirm`, that is asked first."""

    label: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    method: str = "POST"
    confirm: str = ""


ACTIONS: Final[Mapping[Button, Action]] = {
    Button.RESTART: Action("Restart the web UI", "/restart"),
    Button.CONNECT: Action("Connect Google Drive", "/connect"),
    Button.STOP: Action("Stop everything", "/stop"),
    Button.GIVE_BACK: Action("Stop and give the machine back", "/stop", {"give_back": True}),
}
ENDING: Final = (Button.STOP, Button.GIVE_BACK)  # they stand apart from the others
STAY: Final = Action("Keep it 30 minutes longer", "/extend", {"minutes": 30})
FORGET: Final = Action("Forget my choices", "/choices", {"forget": True})
ADD_USUAL: Final = Action("The usual extensions", "/add", {"what": "the usual extensions"})
WHAT_TO_ADD: Final = "Add a model, ControlNet or an extension"
HOW_TO_ADD: Final = "A name, a link, or a path on your Drive; several on lines of their own"
LOSES_ALL: Final = (
    "Nothing is kept on Google Drive, as you chose: your images go with the machine. Download them first. Give it back "
    "now?"
)


def going_on(status: Snapshot) -> list[Action]:
    """What may be pressed now and ends nothing."""
    return [ACTIONS[Button(name)] for name in status.buttons if name not in ENDING]


def answer_actions(status: Snapshot) -> list[Action]:
    """The answers to what the notebook is asked, or by its own cell (question 0)."""
    path = f"/answers/{status.question}"
    return [Action(label, path, {"value": {"choice": choice}}) for label, choice in status.answers]


def ending(status: Snapshot) -> list[Action]:
    """The ways to stop, which ask once while files are not saved, and before all that was made is lost."""
    number = status.unsaved
    saved_first = (
        f"{number} file{'s' if number > 1 else ''} not saved yet. What is missing is saved first; if that fails, it "
        "stays on this machine, and the notebook says so. Stop now?"
    )
    asked = dict.fromkeys(ENDING, saved_first if number else "")
    if status.choices.get("keep_on_drive") == NOTHING:
        asked[Button.GIVE_BACK] = LOSES_ALL
    return [replace(ACTIONS[Button(name)], confirm=asked[Button(name)]) for name in status.buttons if name in ENDING]


def offered(status: Snapshot) -> list[Action]:
    """What may be taken in place of what failed: by a job, or by a web UI that runs."""
    rows = status.steps if status.state in (State.IDLE, State.READY) else ()
    options = [option for row in rows if row.state == FAILED for option in row.options]
    return [Action(label, "/add", {"what": text}) for label, text in options]


def of_job(number: int, job: Snapshot) -> list[Action]:
    """What may be pressed beside a job: what may be taken in place of what failed, its ■, and its undoing."""
    actions = offered(job)
    if not job.over and job.state != State.STOPPING:
        actions.append(Action("■ Stop this", f"/jobs/{number}", method="DELETE"))
    elif job.can_undo:
        actions.append(Action("Undo", f"/jobs/{number}", {"undo": True}, "DELETE"))
    return actions + going_on(job)


def shown_choices(choices: Mapping[str, Any]) -> dict[Field, Any]:
    """What a face shows: the checkpoint is chosen in the web UI itself; a folder not known yet is last time's."""
    fields = [field for field in FIELDS if field.name in choices and field.name != "checkpoint"]
    unknown = {field: AS_LAST_TIME for field in fields if field.name in OWNED and choices[field.name] == ""}
    return {field: choices[field.name] for field in fields} | unknown


def about_field(field: Field) -> str:
    """What it is, and when another value of it takes effect."""
    if field.name in OWNED:
        return f"{field.about} To change it, set this field beside ▶, and press ▶."
    return f"{field.about} Takes effect {'at once' if field.name in IMMEDIATE else 'at the next restart'}."
