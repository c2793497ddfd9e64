"""Google Drive: is it mounted, connecting it, what its errors mean, waiting until Google has everything."""

import errno
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from launcher.colab.machine import Machine
from launcher.core.folder import free_path
from launcher.core.problem import NEW_MACHINE, NEW_SESSION, Problem
from launcher.core.process import CommandError, own_environment, run

LOOKS_ALIVE: Final = 2.0  # seconds; the system remembers what it saw in a mount for one
CONSENT_PATIENCE: Final = 100.0  # seconds; Google's own question is open for 120 and says nothing when they are over
MOUNT_PATIENCE: Final = 140.0  # seconds; pexpect waits for the mount for 150 after that
FLUSH_SILENCE: Final = 3600.0  # seconds

PRESS_AGAIN: Final = "press ▶ again"
BEGIN_ANEW: Final = f"To begin anew, {NEW_MACHINE}, then {PRESS_AGAIN}."
WITHOUT_DRIVE: Final = "To work without Drive, set **keep_on_drive** to **nothing**."
# googlecolab/colabtools#5798 (Brave), googlecolab/colab-vscode#264
NO_WINDOW: Final = (
    "If no window opens, allow pop-ups and third-party cookies for colab.research.google.com (in Brave, switch Shields "
    "off there) and reload the page; in VS Code, update the Colab extension, or open the notebook in Colab."
)
looking: Final[dict[Path, Thread]] = {}  # the last look at each mount
LOOK_PATIENCE: Final = 10.0  # seconds; a Drive that hangs answers nothing, and never (googlecolab/colabtools#5877)

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
# What says something of all of Drive, not of one file -> how it ends "Google Drive is not accepting files: ...".
TROUBLES: Final = {
    **dict.fromkeys(FULL, "it is full"),
    **dict.fromkeys((errno.ENOTCONN, errno.ENODEV, errno.ECONNABORTED), "it was disconnected"),
    errno.ENOENT: "your folder cannot be found",  # renamed, moved or deleted; or Drive is unmounted
    errno.EROFS: "it is read-only",
    errno.EIO: "it reports errors",
}
# What `drive.mount` says when it fails (google.colab/drive.py, read 2026-04) -> what a person can do.
MOUNT_FAILURES: Final = {
    "credential propagation": (
        "Google did not give this notebook your Drive.",
        "Press ▶ again, choose in the window that opens the account with which you opened Colab, and tick all boxes. "
        f"{NO_WINDOW} If it happens again, Google may have an outage: {PRESS_AGAIN} later, or set **keep_on_drive** to "
        "**nothing**.",
    ),
    "User cancelled": (
        "Google's question about your Drive was closed without an answer.",
        f"To allow it, {PRESS_AGAIN} and answer the question. {WITHOUT_DRIVE}",
    ),
    "TBE_": (
        "This session has lost what it needs to ask Google for your Drive.",
        f"To have it again, {NEW_SESSION}, then {PRESS_AGAIN}.",
    ),
    "domain policy": (
        "Your organization does not allow Google Drive in Colab.",
        f"Use a personal Google account and {PRESS_AGAIN}. {WITHOUT_DRIVE}",
    ),
    "must not already contain files": (
        "The folder /content/drive already has files in it, so Google Drive cannot be connected there.",
        BEGIN_ANEW,
    ),
    "must not be a symlink": (
        "/content/drive is a link to another folder, so Google Drive cannot be connected there.",
        BEGIN_ANEW,
    ),
    "timeout during initial read": (
        "Google Drive took too long to list My Drive. That happens when thousands of files are in My Drive itself.",
        f"Wait a minute and {PRESS_AGAIN}. If this keeps happening, move files from My Drive into folders.",
    ),
    "supported in": (  # Colab Enterprise, or "this environment"
        "This Colab runtime cannot connect Google Drive.",
        f"Open the notebook at colab.research.google.com, or set **keep_on_drive** to **nothing** and {PRESS_AGAIN}.",
    ),
}


def drive_is_mounted(machine: Machine) -> bool:
    """True if Drive is mounted, or none is wanted. Only a mount that answers with Errno 107 is dead.

    Any other error is a Drive that is there: a first folder with thousands of files answers with Errno 5. So is one
    that hangs: nobody waits for it longer than LOOK_PATIENCE.
    """
    if (mountpoint := machine.mountpoint) is None:
        return True
    if (before := looking.get(mountpoint)) and before.is_alive():
        return True  # it hangs still
    answer = SimpleQueue[bool]()
    look = Thread(target=lambda: answer.put(_answers(mountpoint, machine.drive)), name="look", daemon=True)
    looking[mountpoint] = look
    look.start()
    try:
        return answer.get(timeout=LOOK_PATIENCE)
    except Empty:
        return True


def _answers(mountpoint: Path, drive: Path) -> bool:
    try:
        if not os.path.ismount(mountpoint):
            return False
        with os.scandir(drive) as entries:
            next(entries, None)
    except OSError as error:
        return error.errno not in (errno.ENOTCONN, errno.ENOENT)
    return True


def connect_drive(machine: Machine, ask: Callable[..., dict[str, Any]], say: Callable[[str], object]) -> None:
    """Mount Google Drive if it is not mounted. `ask` puts a question to the person (`client.kernel.mount`).

    `drive.mount()` asks for consent before it looks whether Drive is mounted, and kills a mount that works
    (google.colab/drive.py runs `pkill drive` before its own checks), hence the look beforehand. Raises `Problem`.
    """
    if machine.mountpoint is None:
        machine.drive.mkdir(parents=True, exist_ok=True)
    if drive_is_mounted(machine):
        return
    if machine.mountpoint and (aside := set_files_aside(machine.mountpoint)):
        say(
            f"While Google Drive was away, files were written to its place. They are in {aside} now, on this machine "
            "only: download what you need (Files on the left)."
        )
    for pause in (LOOKS_ALIVE, 0.0):
        response = ask("mount", mountpoint=str(machine.mountpoint))
        if "error" in response:
            raise mount_problem(response["error"], response["types"], response["seconds"])
        if drive_is_mounted(machine):
            return
        time.sleep(pause)  # a mount that has just died looks like a folder, and mount() says it is mounted already
    raise Problem(
        "Google Drive did not answer after it was connected; the permission may not have been given in time.",
        "Press ▶ again and allow Google Drive in the window that opens.",
    )


def set_files_aside(mountpoint: Path) -> Path | None:
    """Where files lie now that were in the place of a mount: Google mounts on no folder with files in it."""
    try:
        if mountpoint.is_symlink() or os.path.ismount(mountpoint) or not any(mountpoint.iterdir()):
            return None
        return mountpoint.rename(free_path(mountpoint))
    except OSError:  # it is not there, or a mount that has died
        return None


def mount_problem(text: str, types: list[str], seconds: float) -> Problem:
    """The failure of `drive.mount` in one sentence with what to do.

    `types` are the names of the exception's classes. They decide before words do: pexpect's time-out lists all it
    waited for. Nothing but the `seconds` tells that nobody answered: the mount then fails later, for want of a permit.
    """
    if {"TIMEOUT", "EOF"} & {*types}:
        if seconds < CONSENT_PATIENCE + MOUNT_PATIENCE:
            return Problem(
                "Google Drive took too long to connect.",
                f"Wait a minute and {PRESS_AGAIN}. If this keeps happening, {NEW_MACHINE} and start again.",
            )
    elif why := next((why for said, why in MOUNT_FAILURES.items() if said.lower() in text.lower()), None):
        return Problem(*why)
    if seconds > CONSENT_PATIENCE:
        return Problem(
            "Google Drive was not connected: no answer to Google's question came in time.",
            "Press ▶ again and choose **Connect to Google Drive** in the window that opens, in the tab in which you "
            f"pressed ▶. {NO_WINDOW} {WITHOUT_DRIVE}",
        )
    return Problem(
        f"Google Drive could not be connected ({': '.join(part for part in (types[0], text.strip()[:200]) if part)}).",
        f"Wait a minute and {PRESS_AGAIN}. If it fails again, {NEW_MACHINE} and start again.",
    )


def is_drives_fault(error: Exception, drive_dir: Path) -> bool:
    """True if an error concerns all of Drive, not just one file. For some only a look at the folder on it can tell."""
    if not isinstance(error, OSError) or error.errno not in TROUBLES:
        return False
    if error.errno in (errno.EIO, errno.ENOENT):
        with suppress(OSError):
            drive_dir.stat()
            return False
    return True


def flush_drive(machine: Machine) -> None:
    """Wait until Google Drive has uploaded what was written, and disconnect it. Raises `Problem` if it did not.

    Google's push needs no notebook. It runs in a session of its own: in the kernel's, ■ would end it.
    """
    if machine.mountpoint is None:
        return
    code = "from google.colab import drive; drive.flush_and_unmount()"
    try:
        run([sys.executable, "-c", code], env=own_environment(), timeout=FLUSH_SILENCE)
    except CommandError as error:
        raise Problem(
            "Not everything is on Google Drive yet: an upload failed.",
            "The machine was not given back, and your files are still on it. Press ▶ on the first cell to connect "
            "Drive again. A minute later, run the cell **Stop** once more. If it fails again, free some space on "
            "Google Drive and empty its trash. To end the machine all the same, download what you need (Files on the "
            f"left), then {NEW_MACHINE}.",
        ) from error
