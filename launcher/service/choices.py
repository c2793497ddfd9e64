"""What a launch was asked to be, and what may not change while a web UI runs."""

from collections.abc import Mapping
from typing import Any, Final

from launcher.core.fields import AS_LAST_TIME, DEFAULTS, IMMEDIATE, NOTHING, OWNED, Settings, asked_in
from launcher.core.problem import Problem
from launcher.core.session import Session, read_object
from launcher.launch.launch import Launch
from launcher.launch.remember import may_be_kept, settings_of, sound
from launcher.launch.start import CHOSEN
from launcher.models.pasted import without_secrets
from launcher.webui.process import check_arguments

OLD_FIRST_CHOICE: Final = "Stable Diffusion 1.5"  # in forms of all nine fields it meant any checkpoint that is there


def asked_by(form: Mapping[str, Any]) -> dict[str, Any]:
    """What a form, of today or of before, asks for."""
    asked = asked_in(form)
    if form.keys() >= DEFAULTS.keys() and form["checkpoint"] == OLD_FIRST_CHOICE:
        del asked["checkpoint"]
    return asked


def differences(runs: Settings, asked: Settings) -> dict[str, list[str]]:
    """What belongs to the web UI that runs and is asked to be something else: field -> [what runs, what was asked]."""
    pairs = {name: [str(getattr(one, name)) or AS_LAST_TIME for one in (runs, asked)] for name in OWNED}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def following(before: Launch, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The choices of a launch beside which that is asked, and what cannot be while its web UI runs.

    They are its own where they would be the same. Another folder has choices of its own.
    """
    news = before.news_in(asked)
    settings = settings_of(before.settings.as_form() | news)
    differs = differences(before.settings, settings)
    if differs:
        return {"drive_folder": before.settings.drive_folder} | news, differs
    return before.choices if settings == before.settings else before.choices | news, {}


def take_choices(launch: Launch, asked: dict[str, Any], forget: bool) -> list[str]:
    """Have other choices, or as if nothing was ever chosen; returns those that take effect at the next restart.

    Raises `Problem` for a link, which would be shown and kept on Drive, and for arguments that nobody knows.
    """
    if "checkpoint" in asked and not may_be_kept("checkpoint", asked["checkpoint"]):
        what = "A link cannot be kept as the choice of a checkpoint."
        raise Problem(what, "Paste it into the box **Add**, and choose the model in the web UI.")
    check_arguments(launch.folder.code, launch.folder.data, settings_of(asked).extra_arguments)
    before = launch.settings
    launch.choose(asked, forget=forget)
    changed = [name for name in DEFAULTS if getattr(launch.settings, name) != getattr(before, name)]
    later = [name for name in changed if name not in IMMEDIATE]
    now = ", ".join(name for name in changed if name in IMMEDIATE)
    said = f"Taken over: {now}. " if now else ""
    said += f"Taken over at the next restart: {', '.join(later)}. Press **Restart the web UI** for it." if later else ""
    if "extra_arguments" in changed and any("--cors-allow-origins" in one for one in launch.settings.extra_arguments):
        said += " --cors-allow-origins changes nothing here: the login refuses what other web pages ask."
    if forget:
        said += " Models that you added from elsewhere on your Drive are no longer used after the next restart."
    launch.status.notice(said.strip() or None, about=CHOSEN)
    return later


def shown(settings: Settings) -> dict[str, Any]:
    """The choices for the faces: without a token that somebody pasted."""
    form = settings.as_form()
    return form | {name: without_secrets(form[name]) for name in ("checkpoint", "extra_arguments")}


def noted(session: Session, what: str = "settings") -> dict[str, Any]:
    """The choices of the launch before this service, unless it was stopped; empty where nobody knows."""
    return sound(read_object(session.launch_file).get(what))


def of_this_machine(session: Session, asked: dict[str, Any]) -> dict[str, Any]:
    """What is asked, and where nothing is kept on Drive, what was chosen before on this machine."""
    before = noted(session) or noted(session, "nothing")
    nothing = before.get("keep_on_drive") == NOTHING == asked.get("keep_on_drive", NOTHING)
    return before | asked if nothing else asked
