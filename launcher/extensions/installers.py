"""Each new extension's install.py, run so that none can harm the rest."""

import json
import os
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, write_safely
from launcher.core.process import CommandError, run
from launcher.core.reporter import Reporter
from launcher.extensions.files import switched_off, used_commit
from launcher.git.git import restore_missing
from launcher.python.repair import moved_packages, put_packages_back
from launcher.python.uv import webui_environment

# Seconds an installer may print nothing before it is ended. Slow links can ask for more.
INSTALLER_SILENCE: Final = float(os.environ.get("ONECLICK_INSTALLER_SILENCE", "180"))


def run_installers(folder: Folder, reporter: Reporter) -> int:
    """Run each new extension's install.py, as A1111 would, but so that none can harm the rest; return how many ran.

    Under the constraints, with an end to its patience, and with a look afterwards: packages it moved and files of the web UI it
    deleted are put back, and the panel says who did it.
    """
    noted = folder.python / "installers.json"
    done = json.loads(noted.read_text()) if noted.exists() else {}
    off, count = switched_off(folder), 0
    for installer in sorted(folder.data.glob("extensions/*/install.py")):
        name = installer.parent.name
        version = used_commit(folder, name) or str(installer.stat().st_mtime_ns)
        if name in off or done.get(name) == version:
            continue
        reporter.say(f"installing {name}")
        run_installer(folder, installer, reporter)
        mend_after(folder, name, reporter)
        done[name] = version
        write_safely(noted, json.dumps(done))
        count += 1
    return count


def run_installer(folder: Folder, installer: Path, reporter: Reporter) -> None:
    """Run one install.py; a failure is said and nothing more, as the web UI often works without what it wanted."""
    name, before = installer.parent.name, precious_files(folder)
    environment = webui_environment(folder) | {"PYTHONPATH": str(folder.code), "PIP_RETRIES": "1", "PIP_NO_INPUT": "1"}
    command = [str(folder.python / "bin" / "python"), str(installer)]

    def on_line(line: str) -> None:
        reporter.say(f"installing {name}: {line[:80]}")

    try:
        run(command, env=environment, cwd=folder.code, on_line=on_line, timeout=INSTALLER_SILENCE)
    except CommandError as error:
        lines = [line.strip() for line in error.output.splitlines() if line.strip()]
        reason = (
            f"it said nothing for {INSTALLER_SILENCE:.0f} seconds and was ended"
            if error.silent
            else (lines or ["it printed nothing"])[-1]
        )
        reporter.notice(
            f"The extension {name} could not install all it wanted: {reason[:200]}. The web UI starts all the same; parts of that extension may not work."
        )
    lost = before - precious_files(folder)
    if lost:
        names = ", ".join(sorted(lost)[:3])
        reporter.notice(
            f"The extension {name} deleted {len(lost)} of your files ({names}). They are in Google Drive's bin; «remove» takes the extension away."
        )


def precious_files(folder: Folder) -> set[str]:
    """The person's own files that an installer could reach through the data directory."""
    found = set()
    for place in ("models", "embeddings", "outputs"):
        for where, _, names in os.walk(folder.data / place):
            found |= {os.path.relpath(os.path.join(where, name), folder.data) for name in names}
    return found


def mend_after(folder: Folder, name: str, reporter: Reporter) -> None:
    """Put back what an installer did to the web UI's packages and files, and say so."""
    moved = moved_packages(folder)
    if moved:
        put_packages_back(folder, list(moved))
        names = ", ".join(f"{package} {now or 'gone'}" for package, now in list(moved.items())[:3])
        reporter.notice(
            f"The extension {name} changed packages the web UI needs ({names}); the right ones were put back."
        )
    lost = [f"{path.name}/{inside}" for path in our_checkouts(folder) for inside in restore_missing(path)]
    if lost:
        reporter.notice(
            f"The extension {name} deleted {len(lost)} of the web UI's files ({', '.join(lost[:3])}); they were put back."
        )


def our_checkouts(folder: Folder) -> list[Path]:
    """Every checkout on the machine that an installer could damage."""
    places = (folder.code, *folder.code.glob("repositories/*"), *folder.data.glob("extensions/*"))
    return [place for place in places if (place / ".git").exists()]
