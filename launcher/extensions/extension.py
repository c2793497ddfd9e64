"""One extension: its history and files of its own on Drive, its checkout on the machine, where A1111 looks."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import Folder, copy_whole, leads_nowhere, make_folder_below, point
from launcher.core.outside import joined, printable
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.status import Step
from launcher.drive.mount import is_drives_fault
from launcher.drive.records import UNFINISHED
from launcher.drive.restore import COMES_BACK
from launcher.source.checkout import Repository, check_out, discard_damaged, put_whole
from launcher.source.git import BUSY_MARK, PLACED_MARK, answer, git, head_of, last_words, setting, unchanged_files
from launcher.source.kept import SOURCE_DIR, origin_of, pull_history, push_history, used_commit, without_settings
from launcher.webui.explain import last_part
from launcher.webui.settings_files import ALL_OFF, SWITCHED_OFF, check_settings_file, read_settings, write_settings

MOST_TRIALS: Final = 4  # starts without one extension each, before all suspects are left out
MOST_NAMED: Final = 3  # files in a sentence
REMOVED: Final = "removed-extensions"  # a folder on Drive, and one on the machine


@dataclass
class Extension:
    """An extension by its name. What is read of its history is read on the machine: `put` or `pull_history` first."""

    folder: Folder
    name: str

    def __post_init__(self) -> None:
        self.drive_dir = self.folder.kept / "extensions" / self.name
        self.files = self.folder.data / "extensions" / self.name
        self.history = self.folder.history(self.drive_dir)

    @property
    def commit(self) -> str | None:
        """The version that is used; None of a plain folder."""
        return used_commit(self.history)

    @property
    def url(self) -> str | None:
        return origin_of(self.history).get("url")

    def repository(self, *urls: str, wanted: str = "HEAD") -> Repository:
        return Repository(f"extensions/{self.name}", urls, wanted)

    def in_words(self) -> str:
        """One line for the panel."""
        version, off = "unknown", ", switched off" if self.name in switched_off(self.folder) else ""
        if commit := self.commit:
            version = f"{commit[:8]} of {git('show', '--no-patch', '--format=%cs', commit, at=self.history)}"
        return f"{self.name}: version {version}{off}"

    def put(self, step: Step) -> None:
        """Bring its files to the machine: its version from the history, then files of its own from Drive. What somebody
        took away on Drive goes from here.
        """
        on_drive, mark = self.drive_dir, self.files / ".git" / PLACED_MARK
        placed = mark.read_text(errors="replace") if mark.exists() else None  # the version that we have put there
        if placed is not None and on_drive.parent.is_dir() and not on_drive.is_dir():
            self.put_aside(self.files, self.folder.machine)
            self.remove_from_machine()
            return
        pull_history(self.folder, on_drive, step)
        self._keep_what_its_tab_did(placed, step)
        commit, tracked = self.commit, set[str]()
        if commit:
            version = self.repository(self.url or "unknown", wanted=commit)
            put_whole(self.folder, version, self.history, self.files, step)
            push_history(self.folder, on_drive)  # its parts, and what was damaged there
            if (on_drive / ".git" / "index").exists():  # a checkout itself
                tracked = set(git("ls-tree", "-r", "--name-only", "-z", commit, at=self.history).split("\0"))
                with without_settings(on_drive) as sound:  # and what its authors have taken away since
                    tracked.update((answer(f"--git-dir={sound}", "ls-files", "-z") or "").split("\0"))
        own = [name for name in own_files(on_drive) if name not in tracked]
        published = set(unchanged_files(self.files)) if commit and own else set[str]()
        skipped = [name for name in own if not self._restore(name, name in published)]
        said = f"Files of the extension {printable(self.name)} on your Drive cannot be used and were skipped: "
        listed = ", ".join(map(printable, skipped[:MOST_NAMED])) + (" and others" if skipped[MOST_NAMED:] else "")
        step.notice(f"{said}{listed}." if skipped else None, about=f"files of {self.name}")

    def _restore(self, inside: str, published: bool = False) -> bool:
        """Copy a file of its own from Drive, or link to it if it is large. What is newer on the machine stays.

        `published`: it is as git has just put it there, and Drive has a person's edit of it. False if that cannot be:
        it is unreadable, or a link among the repository's files would lead it out of them.
        """
        on_drive, here = self.drive_dir / inside, self.files / inside
        try:
            if here.is_symlink():
                return True
            info, target = on_drive.stat(), joined(self.files, inside)
            if here.is_file() and here.stat().st_mtime >= info.st_mtime - 1 and not published:
                return True
            target.parent.mkdir(parents=True, exist_ok=True)
            if info.st_size > COMES_BACK:
                target.symlink_to(on_drive)
            else:
                copy_whole(on_drive, target)
        except (OSError, Problem) as error:
            if is_drives_fault(error, self.folder.kept):
                raise
            return False
        return True

    def _keep_what_its_tab_did(self, placed: str | None, step: Step) -> None:
        """Keep the version that A1111's own Extensions tab installed or moved to: the person asked for it there."""
        git_dir = self.files / ".git"
        now = head_of(self.files) if git_dir.is_dir() else None
        by_its_tab = not self.commit if placed is None else placed not in ("", now)
        if now and by_its_tab and not (git_dir / BUSY_MARK).exists():
            origin = setting(self.files, "remote.origin.url") or ""
            check_out(self.folder, self.repository(f"file://{self.files}", origin), self.files, step)

    def put_aside(self, path: Path, root: Path) -> Path:
        """Move one of its folders out of the way, below `root`, and return where it is: no file is deleted."""
        aside = root / REMOVED / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        make_folder_below(root, aside.parent)
        os.replace(path, aside)
        return aside

    def remove_from_machine(self) -> None:
        for path in (self.files, self.history):
            shutil.rmtree(path, ignore_errors=True)


def extensions_on_drive(folder: Folder) -> list[Extension]:
    """All extensions on Drive by name, also those that are plain folders without a history."""
    try:
        with os.scandir(folder.kept / "extensions") as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    return [Extension(folder, name) for name in names]


def put_extensions(folder: Folder, step: Step) -> None:
    """Bring the files of every extension to the machine, side by side. Whatever is wrong with one, the others come."""

    def put(extension: Extension, *, anew: bool = False) -> None:
        name, trouble = printable(extension.name), None
        try:
            extension.put(step)
        except (CommandError, OSError, Problem) as error:
            if is_drives_fault(error, folder.kept):
                raise
            if not anew and discard_damaged(extension.history, extension.files):
                return put(extension, anew=True)
            why = last_words(error) if isinstance(error, CommandError) else str(getattr(error, "what", error))
            trouble = f"The extension {name} could not be brought to this machine whole: {why.rstrip('.')}."
        step.notice(trouble, about=f"bringing {name}")

    here = folder.data / "extensions"
    names = {path.parent.parent.name for path in here.glob("*/.git/HEAD")}
    names.update(one.name for one in extensions_on_drive(folder))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, [Extension(folder, name) for name in sorted(names)]))
    # A1111 loads none from its own folder of extensions here, but many look for themselves, or for ControlNet, only
    # there (deforum/sd-webui-deforum#887).
    beside = folder.code / "extensions"
    if folder.code.is_dir():
        beside.mkdir(exist_ok=True)
        for link in beside.iterdir():
            if link.is_symlink() and not (here / link.name).is_dir():
                link.unlink()
        for path in filter(Path.is_dir, here.glob("*")):
            point(beside / path.name, path)


def own_files(drive_dir: Path) -> Iterator[str]:
    """The files beside an extension's history on Drive, relative to its folder."""
    for where, folders, names in os.walk(drive_dir):
        folders[:] = [f for f in folders if f not in (".git", SOURCE_DIR, "__pycache__", UNFINISHED)]
        paths = [Path(where, name) for name in names if name != ".git"]  # such a file leads git elsewhere
        yield from (str(path.relative_to(drive_dir)) for path in paths if not leads_nowhere(path))


def switched_off(folder: Folder) -> set[str]:
    """The names of the extensions that A1111's own settings have switched off."""
    settings = read_settings(folder.data) or {}
    found = settings.get(SWITCHED_OFF)
    listed = {name for name in found if isinstance(name, str)} if isinstance(found, list) else set[str]()
    return listed | ({one.name for one in extensions_on_drive(folder)} if all_switched_off(settings) else set())


def all_switched_off(settings: dict[str, Any]) -> bool:
    """True where A1111 loads none, or only its own ones, whatever the list of those that are off says."""
    return settings.get(ALL_OFF) in ("all", "extra")


def switch(folder: Folder, *, off: Iterable[str] = (), on: Iterable[str] = ()) -> None:
    """Switch extensions off or on in A1111's own settings, where its Extensions tab shows it."""
    if not off and not on:
        return
    check_settings_file(folder.data)  # one that cannot be read is set aside, never overwritten
    settings = read_settings(folder.data) or {}
    changed = {SWITCHED_OFF: sorted((switched_off(folder) | {*off}) - {*on})}
    write_settings(folder.data, settings | changed | ({ALL_OFF: "none"} if all_switched_off(settings) else {}))


# ---- which keeps the web UI from starting


class Suspicion:
    """Finds it by starting without it. `good` has the versions (name to commit) with which the web UI started last."""

    def __init__(self, folder: Folder, good: dict[str, str]) -> None:
        self.folder, self.good = folder, good
        self.disabled: list[str] = []  # switched off now because of it
        self._sure: list[str] = []
        self._trials: Iterator[list[str]] | None = None

    def disable_next(self, log: str) -> bool:
        """After a start that failed with this log: switch off the next to try. False if nothing is left to try."""
        switch(self.folder, on={*self.disabled} - {*self._sure})
        found = suspects(self.folder, log, self.good)
        if len(found) == 1:
            self._sure += found
            trial = found
        else:
            self._trials = self._trials or iter([*([name] for name in found[:MOST_TRIALS]), found])
            trial = next(self._trials, [])
        self.disabled = sorted({*self._sure, *trial})
        switch(self.folder, off=self.disabled)
        return bool(trial)


def suspects(folder: Folder, log: str, good: dict[str, str]) -> list[str]:
    """The one that its last words name, else those that changed since it started last, else all; the newest first."""
    off = switched_off(folder)
    there = [extension for extension in extensions_on_drive(folder) if extension.name not in off]
    tail = last_part(log)
    named = [extension.name for extension in there if f"extensions/{extension.name}/" in tail]
    if named:
        return [max(named, key=lambda name: tail.rfind(f"extensions/{name}/"))]
    new = [one for one in there if not one.commit or good.get(one.name) != one.commit] or there
    return [one.name for one in sorted(new, key=lambda one: one.drive_dir.stat().st_mtime, reverse=True)]
