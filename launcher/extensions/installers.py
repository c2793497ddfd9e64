"""Each new extension's install.py, run so that none can harm the rest."""

import json
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from launcher.core.folder import Folder, write_safely
from launcher.core.process import CommandError, run
from launcher.core.session import read_object
from launcher.core.status import Step
from launcher.extensions.files import history_of, switched_off
from launcher.extensions.requirements import pip_failures, within
from launcher.python.pins import CONSTRAINTS
from launcher.python.repair import moved_packages, put_packages_back
from launcher.python.uv import webui_environment
from launcher.source.git import restore_missing
from launcher.source.kept import used_commit

# Seconds an installer may print nothing and compute nothing before it is ended. Slow links can ask for more.
INSTALLER_SILENCE: Final = float(os.environ.get("ONECLICK_INSTALLER_SILENCE", "180"))
MOST_RUNS: Final = 3  # on one machine, for an installer that does not get all it wants
LONGEST_LINE: Final = 80  # characters of what an installer prints
NAMED: Final = 3  # files or packages named in a sentence


@dataclass(frozen=True)
class Installer:
    """One extension's install.py. `version` changes whenever it must run again."""

    script: Path
    version: str

    @property
    def name(self) -> str:
        """The extension."""
        return self.script.parent.name


def run_installers(folder: Folder, step: Step) -> int:
    """Run each new extension's install.py, as A1111 would, but so that none can harm the rest; return how many ran.

    Under the constraints, with an end to its patience, and with a look afterwards: packages it moved and files of the
    web UI it deleted are put back, and the panel says who did it. One that failed runs again at the next start.
    """
    noted = folder.python / "installers.json"
    done: dict[str, Any] = read_object(noted)
    todo = waiting_installers(folder, done)
    if not todo:
        return 0
    names = [installer.name for installer in todo]
    before = precious_files(folder)
    for number, installer in enumerate(todo, 1):
        place = f" ({f'{number} of {len(todo)}, ' if len(todo) > 1 else ''}may take minutes)"
        runs = 1 + runs_noted(done.get(installer.name), installer.version)
        whole = run_installer(folder, installer, step, f"installing {installer.name}{place}", runs)
        repair_after(folder, installer.name, step)
        done[installer.name] = {"version": installer.version, "runs": MOST_RUNS if whole else runs}
        write_safely(noted, json.dumps(done))
    lost = before - precious_files(folder)
    if lost:
        who = f"The extension {names[0]}" if len(names) == 1 else f"One of the extensions {', '.join(names)}"
        step.notice(
            f"{who} deleted {len(lost)} of your files ({', '.join(sorted(lost)[:NAMED])}). They are in Google "
            "Drive's trash."
        )
    return len(todo)


def waiting_installers(folder: Folder, done: dict[str, Any]) -> list[Installer]:
    """Those that have not run for this version, or did not get all they wanted."""
    off, waiting = switched_off(folder), []
    for script in sorted(folder.data.glob("extensions/*/install.py")):
        name = script.parent.name
        version = used_commit(history_of(folder, name)) or str(script.stat().st_mtime_ns)
        if name not in off and runs_noted(done.get(name), version) < MOST_RUNS:
            waiting.append(Installer(script, version))
    return waiting


def runs_noted(noted: Any, version: str) -> int:
    """How often the installer of that version ran; `MOST_RUNS` once it got all it wanted."""
    if noted == version:  # as launchers before this one noted it
        return MOST_RUNS
    runs = noted.get("runs", 0) if isinstance(noted, dict) and noted.get("version") == version else 0
    return runs if isinstance(runs, int) else 0


def installer_environment(folder: Folder) -> dict[str, str]:
    """What an installer gets: A1111's modules, the constraints, and by A1111's own variable where the data is."""
    return webui_environment(folder) | {
        "PYTHONPATH": str(folder.code),
        "PIP_RETRIES": "1",
        "PIP_NO_INPUT": "1",
        "COMMANDLINE_ARGS": f"--data-dir {shlex.quote(str(folder.data))}",  # else models land beside A1111's code
    }


def run_installer(folder: Folder, installer: Installer, step: Step, title: str, run_number: int) -> bool:
    """Run one install.py; a failure is said, as the web UI often works without. True if it got all it wanted."""
    lines: list[str] = []
    alive = SignsOfLife(installer.script, lambda seconds: step.say(f"{title}: running for {seconds:.0f} s"))

    def on_line(line: str) -> None:
        lines.append(line)
        alive.spoke()
        if line.strip():
            step.say(f"{title}: {line.strip()[:LONGEST_LINE]}")

    step.say(title)
    command, failed = [str(folder.python / "bin" / "python"), str(installer.script)], ""
    try:
        run(
            command,
            env=installer_environment(folder),
            cwd=folder.code,
            on_line=on_line,
            timeout=INSTALLER_SILENCE,
            signs_of_life=alive,
        )
    except CommandError as error:
        said = [line.strip() for line in lines if line.strip()]
        quoted = f"its last message was: {said[-1][:200]}" if said else "it printed nothing"
        failed = f"it did nothing for {INSTALLER_SILENCE:.0f} seconds and was stopped" if error.silent else quoted
    reason = pip_failures(lines) or failed.rstrip(".")
    if reason:
        again = (
            "The next start tries again."
            if run_number < MOST_RUNS
            else f"After {MOST_RUNS} tries this machine does not try again until the extension is updated."
        )
        step.notice(
            f"The extension {installer.name} could not install everything it needs: {reason}. The web UI works, but "
            f"parts of that extension may not. {again}",
            about=f"installing {installer.name}",
        )
    else:
        step.remove(f"installing {installer.name}")
    return not reason


class SignsOfLife:
    """Asked every second: changes while an installer or what it started computes. Tells when it has been silent for a
    while.
    """

    SILENT: Final = 5.0  # seconds

    def __init__(self, script: Path, tell: Callable[[float], None]) -> None:
        self.script, self.tell = str(script), tell
        self.began = self.last = time.monotonic()

    def spoke(self) -> None:
        """It has printed something."""
        self.last = time.monotonic()

    def __call__(self) -> object:
        """The processor time of all its processes."""
        if time.monotonic() - self.last > self.SILENT:
            self.tell(time.monotonic() - self.began)
        used = []
        for process in psutil.Process().children():
            try:
                if self.script in process.cmdline():
                    used = [(one.pid, sum(one.cpu_times()[:2])) for one in (process, *process.children(recursive=True))]
            except psutil.NoSuchProcess:
                continue
        return used


def precious_files(folder: Folder) -> set[str]:
    """The person's own files that an installer could reach through the data directory."""
    found = set()
    for place in ("models", "embeddings", "outputs"):
        for where, _, names in os.walk(folder.data / place):
            found |= {os.path.relpath(os.path.join(where, name), folder.data) for name in names}
    return found


def repair_after(folder: Folder, name: str, step: Step) -> None:
    """Put back what an installer did to the web UI's packages and files, and say so.

    What it moved within the constraints stays: those are made for that.
    """
    moved = {
        package: now
        for package, now in moved_packages(folder).items()
        if not (now and within(CONSTRAINTS, package, now))
    }
    if moved:
        put_packages_back(folder, list(moved))
        names = ", ".join(f"{package} {now or 'gone'}" for package, now in list(moved.items())[:NAMED])
        step.notice(f"The extension {name} changed packages the web UI needs ({names}); the right ones were put back.")
    lost = [f"{path.name}/{inside}" for path in our_checkouts(folder) for inside in restore_missing(path)]
    if lost:
        step.notice(
            f"The extension {name} deleted {len(lost)} of the web UI's files ({', '.join(lost[:NAMED])}); "
            "they were put back."
        )


def our_checkouts(folder: Folder) -> list[Path]:
    """Every checkout on the machine that an installer could damage."""
    places = (folder.code, *folder.code.glob("repositories/*"), *folder.data.glob("extensions/*"))
    return [place for place in places if (place / ".git").is_dir()]
