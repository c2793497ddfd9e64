"""Google Drive: is it mounted, mounting it, waiting until Google has everything."""

import importlib
import importlib.util
import os
import time
from typing import Final

from launcher.colab.machine import Machine
from launcher.core.problem import Problem

LOOKS_ALIVE: Final = 2.0  # seconds; the system remembers what it saw in a mount for one
MOUNT_DO_AGAIN: Final = "press ▶ again"
# What `drive.mount` says when it fails (google.colab/drive.py, read 2026-04) -> what a person can do.
MOUNT_FAILURES: Final = (
    ("credential propagation", "Google Drive was not allowed.", f"Press ▶ again and choose «Connect to Google Drive» in the window that opens. If no window opens, allow pop-ups and third-party cookies for colab.research.google.com and {MOUNT_DO_AGAIN}."),
    ("domain policy", "Your organisation does not allow Google Drive in Colab.", f"Use a private Google account, or set keep_models_on to «this session only», and {MOUNT_DO_AGAIN}."),
    ("must not already contain files", "The place for Google Drive (/content/drive) already has files in it, so Drive cannot be mounted there.", f"Choose Runtime → Disconnect and delete runtime, then {MOUNT_DO_AGAIN}."),
    ("must not be a symlink", "The place for Google Drive (/content/drive) is a link, so Drive cannot be mounted there.", f"Choose Runtime → Disconnect and delete runtime, then {MOUNT_DO_AGAIN}."),
    ("timeout during initial read", "Google Drive did not list its first folder in time. That happens when «My Drive» has thousands of files at the top.", f"Wait a minute and {MOUNT_DO_AGAIN}; if it stays so, move files of «My Drive» into folders."),
    ("Enterprise", "Colab Enterprise has no Google Drive.", "Use colab.research.google.com."),
    ("unsupported in this environment", "This Colab runtime cannot mount Google Drive.", "Open the notebook at colab.research.google.com."),
)  # fmt: skip


def drive_is_mounted(machine: Machine) -> bool:
    """True if Drive is mounted and answers. A dead FUSE mount raises OSError 107 on listing and counts as not mounted."""
    if not machine.colab:
        return True
    if not os.path.ismount(machine.base / "drive"):
        return False
    try:
        with os.scandir(machine.drive) as entries:
            next(entries, None)
        return True
    except OSError:
        return False


def mount_drive(machine: Machine) -> None:
    """Mount Google Drive if it is not mounted. Main thread only.

    A second `drive.mount()` asks for consent again and can kill a working mount
    (google.colab/drive.py runs `pkill drive` before its own checks), hence the look beforehand.
    Raises `Problem` for every known failure. Any exception can come out of mount(), pexpect's too
    (googlecolab/colabtools#5964).
    """
    if not machine.colab:
        machine.drive.mkdir(parents=True, exist_ok=True)
        return
    if drive_is_mounted(machine):
        return
    drive = importlib.import_module("google.colab.drive")
    for pause in (LOOKS_ALIVE, 0.0):
        try:
            drive.mount(str(machine.base / "drive"))
        except Exception as error:
            raise mount_problem(error) from error
        if drive_is_mounted(machine):
            return
        time.sleep(pause)  # a mount that has just died still looks like a folder, and mount() says «already mounted»
    raise Problem(
        "Google Drive did not answer after it was mounted; the permission may not have been given in time.",
        "Press ▶ again and allow Google Drive in the window that opens.",
    )


def mount_problem(error: Exception) -> Problem:
    """The failure of `drive.mount` in one sentence with what to do."""
    text = f"{type(error).__name__}: {error}"
    for pattern, what, do in MOUNT_FAILURES:
        if pattern.lower() in text.lower():
            return Problem(what, do, field="drive")
    return Problem(
        f"Google Drive could not be mounted ({text.strip()[:200]}).",
        f"Wait a minute and {MOUNT_DO_AGAIN}. If it fails again, choose Runtime → Disconnect and delete runtime and start anew.",
    )


def flush_drive(machine: Machine) -> None:
    """Wait until Google Drive has uploaded what was written, and unmount it. Main thread only."""
    if machine.colab:
        importlib.import_module("google.colab.drive").flush_and_unmount()
