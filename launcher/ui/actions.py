"""What can be pressed on either face: the words on it, and what is asked of the service then."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from launcher.core.snapshot import FAILED, Button, Snapshot, State


@dataclass(frozen=True)
class Action:
    """A button. Where there is something to `confirm`, that is asked first."""

    label: str
    path: str = ""  # "": the cell that asked answers it itself
    body: Mapping[str, Any] = field(default_factory=dict)
    method: str = "POST"
    confirm: str = ""


KEEP: Final = Action("Keep what runs")
ANEW: Final = Action("Stop it and start with these")
ACTIONS: Final[Mapping[Button, Action]] = {
    Button.RESTART: Action("Restart the web UI", "/restart"),
    Button.CONNECT: Action("Connect Google Drive", "/connect"),
    Button.KEEP: KEEP,
    Button.ANEW: ANEW,
    Button.STOP: Action("Stop everything", "/stop"),
    Button.GIVE_BACK: Action("Stop and give the machine back", "/stop", {"give_back": True}),
}
ENDING: Final = (Button.STOP, Button.GIVE_BACK)  # they stand apart from the others
STAY: Final = Action("Keep it 30 minutes longer", "/extend", {"minutes": 30})
FORGET: Final = Action("Forget my choices", "/choices", {"forget": True})
USUAL: Final = "the usual extensions"
ADD_USUAL: Final = Action("The usual extensions", "/add", {"what": USUAL})


def add_action(text: str) -> Action:
    return Action("Add", "/add", {"what": text})


def choose_action(choices: Mapping[str, Any]) -> Action:
    return Action("Apply", "/choices", {"choices": choices})


def going_on(status: Snapshot) -> list[Action]:
    """What may be pressed now and ends nothing."""
    return [ACTIONS[Button(name)] for name in status.buttons if name not in ENDING]


def answer_actions(status: Snapshot) -> list[Action]:
    """The answers to what the notebook is asked."""
    path = f"/answers/{status.question}"
    return [Action(label, path, {"value": {"choice": choice}}) for label, choice in status.answers]


def ending(status: Snapshot) -> list[Action]:
    """The ways to stop, which ask once while files are not saved."""
    number = status.unsaved
    saved_first = (
        f"{number} file{'s' if number > 1 else ''} not saved yet. What is missing is saved first; if that fails, it "
        "stays on this machine, and the notebook says so. Stop now?"
    )
    asked = saved_first if number else ""
    return [replace(ACTIONS[Button(name)], confirm=asked) for name in status.buttons if name in ENDING]


def of_job(number: int, job: Snapshot) -> list[Action]:
    """What may be pressed beside a job: what may be taken in place of what failed, its ■, and its undoing."""
    offered = [option for row in job.steps if row.state == FAILED for option in row.options]
    actions = [Action(label, "/add", {"what": text}) for label, text in offered]
    if not job.over and job.state != State.STOPPING:
        actions.append(Action("■ Stop this", f"/jobs/{number}", method="DELETE"))
    elif job.can_undo:
        actions.append(Action("Undo", f"/jobs/{number}", {"undo": True}, "DELETE"))
    return actions + going_on(job)
