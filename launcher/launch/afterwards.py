"""What is done beside the web UI once it runs."""

from collections.abc import Callable
from typing import Final

from launcher.drive.names import is_drives_fault
from launcher.launch import start
from launcher.launch.launch import Launch
from launcher.models.checksums import sync_checksums
from launcher.models.previews import fetch_missing_previews
from launcher.models.taken_over import broken_models
from launcher.python.bytecode import keep_bytecode
from launcher.source.checkout import keep_edits

DRIVE_PAUSE: Final = 5.0  # seconds after which a Drive that was away is tried again
FIRST_IMAGE: Final = 60.0  # seconds after which what an image needs has probably been imported, too


def do_afterwards(launch: Launch) -> None:
    """Note what works, keep a person's changes in an old folder, name what is broken, bring what models need."""
    folder, fetcher = launch.folder, launch.fetcher(launch.steps.of("model"), launch.ask)
    while_drive_is_there(launch, "noting the version that works", lambda: start.note_what_started(launch))
    while_drive_is_there(launch, "looking through your folder", lambda: _look_through_folder(launch))
    while_drive_is_there(launch, "downloading the previewer for SDXL", lambda: fetch_missing_previews(fetcher))
    if launch.webui.wait_for_model(launch.over):
        while_drive_is_there(launch, "saving the checksums of your models", lambda: sync_checksums(folder))
    if not launch.over.wait(FIRST_IMAGE):
        packages = start.packages_of(folder)
        while_drive_is_there(launch, "saving bytecode", lambda: keep_bytecode(folder, packages))


def while_drive_is_there(launch: Launch, what: str, work: Callable[[], None]) -> None:
    """Do it; a Drive that is away meanwhile is waited for: the watch says so, and asks for it."""
    with launch.steps.beside(what):
        while True:
            try:
                work()
                return
            except OSError as error:
                if not is_drives_fault(error, launch.folder.kept) or launch.over.wait(DRIVE_PAUSE):
                    raise


def _look_through_folder(launch: Launch) -> None:
    folder, status = launch.folder, launch.status
    if (folder.kept / ".git" / "index").exists():
        keep_edits(folder, folder.kept, launch.steps.of("source"))
    dead = folder.dead_shortcuts()
    if dead:
        status.notice(f"These shortcuts on your Drive point to nothing and were skipped: {', '.join(dead)}.")
    looked, broken = broken_models(folder, set(start.noted(folder, "looked_at", list[str]())))
    if broken:
        named = "; ".join(f"{name} ({fault})" for name, fault in broken.items())
        status.notice(
            f"Damaged files in your folder: {named}. Nothing was changed. Delete them on Google Drive, or "
            "download them again."
        )
    start.note(folder, looked_at=sorted(looked))
