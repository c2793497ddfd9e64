"""A job is undone: what it added is taken away again, and nothing that was there before or that others use."""

import threading
from collections.abc import Collection
from glob import escape
from pathlib import Path
from typing import Final

from launcher.core.folder import PART
from launcher.core.problem import Problem
from launcher.core.snapshot import State
from launcher.drive.linked import stop_using_models
from launcher.drive.mount import connect_drive
from launcher.extensions.manage import remove_extension
from launcher.launch.launch import Launch
from launcher.launch.steps import Steps
from launcher.models.checksums import note_checksum
from launcher.models.identify import WEIGHTS
from launcher.service.jobs import Job, effect_of, show_models

UNDOING: Final = "Taking it away again"


def undo(job: Job, used: Collection[Path]) -> None:
    """Take away what the job added, but for files that others have `used` since. What went, and what stays, is said."""
    launch, steps = job.launch, Steps(job.status, job.steps.log, threading.Event())
    began = job.status.now.started
    job.status.clear(State.IDLE)
    job.status.show(title=UNDOING)
    job.status.add("undo", UNDOING)
    with steps.step("undo", "waiting for Google Drive") as step:
        connect_drive(launch.machine, job.ask)
        added = [path for fetcher in job.fetchers for path in fetcher.added]
        going = [path for path in added if path not in used]
        refuse_loaded(launch, going)
        sentences = list[str]()
        for path in going:
            step.say(path.name)
            delete_added(launch, path, began)
        while job.places:
            stop_using_models(launch.folder, place := job.places.pop(), step.notice)
            sentences.append(f"{place.name} is no longer in the web UI's lists, and stays on your Drive")
        show_models(launch)
        if going:
            sentences.append(f"taken away: {', '.join(path.name for path in going)}")
        if staying := [path.name for path in added if path in used]:
            sentences.append(f"left, for others use it: {', '.join(staying)}")
        while job.extensions:
            sentences.append(effect_of(job, remove_extension(job.extensions.pop())))
        for fetcher in job.fetchers:
            fetcher.added.clear()
        step.done("; ".join(sentences))


def refuse_loaded(launch: Launch, files: Collection[Path]) -> None:
    """Raise `Problem` where the web UI works with one of these files now."""
    loaded = launch.webui.loaded_checkpoint() if launch.webui.ready else ""
    for path in files:
        if path.name == loaded:
            do = "Choose another checkpoint at the top left of the web UI, then press the button again."
            raise Problem(f"{path.name} is loaded in the web UI.", do)


def delete_added(launch: Launch, path: Path, began: float) -> None:
    """Delete a file, and its pictures and notes that came since."""
    folder = launch.folder
    for beside in path.parent.glob(f"{escape(path.stem)}.*"):
        if not beside.name.lower().endswith((*WEIGHTS, PART)) and beside.stat().st_mtime >= began:
            beside.unlink()
    if path.is_relative_to(folder.kept / "embeddings"):  # the machine's copy goes first, else it came back
        (folder.data / path.relative_to(folder.kept)).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    note_checksum(folder, path, None)
