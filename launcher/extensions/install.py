"""Each new extension's install.py, run so that none can harm the rest."""

import os
import re
import shlex
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from launcher.core.folder import Folder
from launcher.core.process import CommandError, run
from launcher.core.session import read_object, write_object
from launcher.core.status import Step
from launcher.extensions.extension import Extension, switched_off
from launcher.python.environment import moved_packages, put_packages_back, webui_environment
from launcher.python.lock import CONSTRAINTS
from launcher.source.git import restore_missing

# Seconds an installer may print nothing and compute nothing before it is ended. Slow links can ask for more.
INSTALLER_SILENCE: Final = float(os.environ.get("ONECLICK_INSTALLER_SILENCE", "180"))
SILENT: Final = 5.0  # seconds, after which it is said of a quiet installer how long it has run
MOST_RUNS: Final = 3  # on one machine, for an installer that does not get all it wants
LONGEST_LINE: Final = 80  # characters of what an installer prints
NAMED: Final = 3  # files or packages named in a sentence
# What pip says -> what a person is told, with the packages it names.
PIP_FAILURES: Final = {
    r"No matching distribution found for ([\w.\[\]-]+[^\s(]*)": "{} has no suitable version in the package index",
    r"(?:Failed building wheel for|Failed to build ['\"]?)([\w.-]+)": "{} could not be built on this machine",
    r"Cannot install (.+?) because these package versions have conflicting": "{} cannot be installed together",
    r"(Failed to establish a new connection|Temporary failure in name|Max retries)": "an address did not answer",
    r"(?:HTTP Error (?=\d)|(?=\d{3} Client Error))(\d+)": "a download was refused ({})",
}
CONSTRAINED: Final = re.compile(r"The user requested \(constraint\) (\S+)")


def run_installers(folder: Folder, step: Step) -> int:
    """Run each new extension's install.py, as A1111 would, but so that none can harm the rest; return how many ran.

    Under the constraints, with an end to its patience, and with a look afterwards: packages it moved and files of the
    web UI it deleted are put back, and the panel says who did it. One that failed runs again at the next start.
    """
    file = folder.python / "installers.json"  # "NAME VERSION" -> how often it ran
    ran, off, todo = read_object(file), switched_off(folder), list[tuple[Extension, str]]()
    for script in sorted(folder.data.glob("extensions/*/install.py")):
        extension = Extension(folder, script.parent.name)
        version = f"{extension.name} {extension.commit or script.stat().st_mtime_ns}"
        if extension.name not in off and ran.get(version, 0) < MOST_RUNS:
            todo.append((extension, version))
    for number, (extension, version) in enumerate(todo, 1):
        name, place = extension.name, f"{number} of {len(todo)}, " if len(todo) > 1 else ""
        reason = run_installer(extension, step, f"installing {name} ({place}may take minutes)")
        ran[version] = ran.get(version, 0) + 1 if reason else MOST_RUNS  # all it wanted: it is done
        again = "The next start tries again."
        if ran[version] == MOST_RUNS:
            again = f"After {MOST_RUNS} tries this machine does not try again until the extension is updated."
        failed = (
            f"The extension {name} could not install everything it needs: {reason}. The web UI works, but parts of "
            f"that extension may not. {again}"
        )
        step.notice(failed if reason else None, about=f"installing {name}")
        repair_after(extension, step)
        write_object(file, ran)
    return len(todo)


def run_installer(extension: Extension, step: Step, title: str) -> str | None:
    """Run one install.py; return in words why it did not get all it wanted, or None."""
    folder, script = extension.folder, extension.files / "install.py"
    lines, began = list[str](), time.monotonic()

    def alive() -> object:
        if (passed := time.monotonic() - began) > SILENT:
            step.say(f"{title}: running for {passed:.0f} s")
        return time_used(script)

    def on_line(line: str) -> None:
        if line.strip():
            lines.append(line.strip())
            step.say(f"{title}: {line.strip()[:LONGEST_LINE]}")

    step.say(title)
    command = [str(folder.python / "bin" / "python"), str(script)]
    environment = webui_environment(folder) | {
        "PYTHONPATH": str(folder.code),
        "PIP_RETRIES": "1",
        "COMMANDLINE_ARGS": f"--data-dir {shlex.quote(str(folder.data))}",  # else models land beside A1111's code
    }
    try:
        run(command, env=environment, cwd=folder.code, on_line=on_line, timeout=INSTALLER_SILENCE, signs_of_life=alive)
    except CommandError as error:
        if reason := pip_failures(lines):
            return reason
        if error.silent:
            return f"it did nothing for {INSTALLER_SILENCE:.0f} seconds and was stopped"
        return f"its last message was: {lines[-1][:200].rstrip('.')}" if lines else "it printed nothing"
    return pip_failures(lines)


def time_used(script: Path) -> list[tuple[int, float]]:
    """The processor time of each process of an installer: it changes while one computes."""
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # also one that ended and that nobody has waited for
            if str(script) in process.cmdline():
                return [(one.pid, sum(one.cpu_times()[:2])) for one in (process, *process.children(recursive=True))]
    return []


def pip_failures(lines: Iterable[str]) -> str | None:
    """Why pip could not install what was wanted, in words; None if it did not complain."""
    said = "\n".join(lines)
    found = [(words, name) for pattern, words in PIP_FAILURES.items() for name in re.findall(pattern, said)]
    reasons = dict.fromkeys(words.format(name.strip("'\"` ")) for words, name in found)
    limits = dict.fromkeys(CONSTRAINED.findall(said))
    needed = f" (the web UI needs {', '.join(limits)})" if limits else ""
    return f"{'; '.join(reasons)}{needed}" if reasons else None


def repair_after(extension: Extension, step: Step) -> None:
    """Put back what an installer did to the web UI's packages and files, and say so. What it moved within the
    constraints stays: those are made for that.
    """
    folder, name = extension.folder, extension.name
    moved = {package: now for package, now in moved_packages(folder).items() if not (now and allowed(package, now))}
    if moved:
        put_packages_back(folder, list(moved), step)
        names = ", ".join(f"{package} {now or 'gone'}" for package, now in list(moved.items())[:NAMED])
        step.notice(f"The extension {name} changed packages the web UI needs ({names}); the right ones were put back.")
    places = (folder.code, *folder.code.glob("repositories/*"), *folder.data.glob("extensions/*"))
    checkouts = [place for place in places if (place / ".git").is_dir()]
    lost = [f"{path.name}/{inside}" for path in checkouts for inside in restore_missing(path)]
    if lost:
        step.notice(
            f"The extension {name} deleted {len(lost)} of the web UI's files ({', '.join(lost[:NAMED])}); "
            "they were put back."
        )


def allowed(package: str, version: str) -> bool:
    limits = {canonicalize_name(one.name): one.specifier for one in map(Requirement, CONSTRAINTS.split())}
    with suppress(KeyError, InvalidVersion):  # packaging raised that before 26
        return limits[canonicalize_name(package)].contains(version, prereleases=True)
    return False
