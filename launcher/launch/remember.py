"""Of the launches before: which folder they used, and what was chosen; and what of it the next one shall find."""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from launcher.core.fields import DEFAULTS, NOTHING, USUAL_FOLDER, Settings
from launcher.core.folder import WEBUI_FOLDER
from launcher.core.problem import Problem
from launcher.drive.find import Remembered, at_top, can_be_listed, kept_folder, used_at, webui_folders
from launcher.models.catalog import CHECKPOINT_NAMES
from launcher.models.pasted import without_secrets

SECRET: Final = r"(?i)token|secret|passw|\bkey|api.?key|\bhf_\w{8}|\b[0-9a-f]{32}\b"  # in the extra arguments


def folder_of_last_time(drive: Path, ask: Callable[..., dict[str, Any]], say: Callable[[str], object]) -> Path:
    """The web UI's folder that was used last, else one that another launcher made, else a new one.

    Where there are several of others, the person is asked; `ask` raises `Problem` where nobody is there.
    """
    found = webui_folders(drive)
    latest = used_at(found[0]) if found else 0.0
    name = sound({"drive_folder": Remembered.read(drive).folder}).get("drive_folder")
    noted = kept_folder(drive, name) if name else None
    if noted and used_at(noted) > latest:
        return noted
    if not found:
        if not can_be_listed(drive):
            say(
                "Google Drive did not list My Drive, so the folder that you used last may not have been found. If this "
                "is another one, write its name into the field **drive_folder** and press ▶."
            )
        return drive / USUAL_FOLDER / WEBUI_FOLDER
    if len(found) == 1 or latest:
        return found[0]
    newest_first = sorted(found, key=lambda kept: kept.stat().st_mtime, reverse=True)
    by_name = {field_of(drive, kept): kept for kept in newest_first}
    several = "There are several web UIs on your Drive"
    what = f"{several}. Whose models, images and settings shall be used?"
    try:
        return by_name[ask("choose", what=what, options=[[name, name] for name in by_name])["choice"]]
    except (Problem, KeyError):  # nobody is there
        names, newest = ", ".join(by_name), next(iter(by_name))
        say(f"{several}: {names}. {newest}, the newest, is used; the field **drive_folder** takes another.")
        return by_name[newest]


def note_use(drive: Path, kept: Path, choices: Mapping[str, Any], *, forget: bool = False) -> None:
    """Note in the folder when it was used and what was chosen; in My Drive which it is, if no look finds it there."""
    noted = {} if forget else Remembered.read(kept).choices
    unknown = {name: value for name, value in noted.items() if name not in DEFAULTS}  # of a newer launcher
    Remembered.write(kept, choices=unknown | dict(choices), used_at=time.time())
    first = drive / kept.relative_to(drive).parts[0]
    if kept not in (first, first / WEBUI_FOLDER) or not at_top(drive):
        Remembered.write(drive, folder=field_of(drive, kept))


def field_of(drive: Path, kept: Path) -> str:
    """What **drive_folder** says for that folder of a web UI."""
    below = kept.relative_to(drive)
    return str(below.parent if below.name == WEBUI_FOLDER and len(below.parts) > 1 else below)


def settings_of(choices: Mapping[str, Any]) -> Settings:
    return Settings.from_form(choices, CHECKPOINT_NAMES)


def sound(noted: object) -> dict[str, Any]:
    """The choices among what was noted: a file may hold anything, also what another version of the launcher knew."""
    found = dict[str, Any]()
    for name, value in noted.items() if isinstance(noted, dict) else ():
        if type(value) is type(DEFAULTS.get(name)):
            with suppress(Problem):
                settings_of({name: value})
                found[name] = value
    return found


def to_remember(settings: Settings) -> dict[str, Any]:
    """The choices that Drive keeps: none that is as usual, lasts for this machine only, or may hold a secret."""
    return {
        name: value
        for name, value in settings.as_form().items()
        if name != "drive_folder" and value not in (DEFAULTS[name], NOTHING) and may_be_kept(name, value)
    }


def may_be_kept(name: str, value: Any) -> bool:
    """False for a pasted link, and for arguments with something in them that only their owner should know."""
    if name == "extra_arguments":
        return value == without_secrets(value) and not re.search(SECRET, value)
    return name != "checkpoint" or value in CHECKPOINT_NAMES  # else it is a pasted link
