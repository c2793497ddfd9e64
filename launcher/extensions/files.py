"""Extensions as files: histories on Drive, checkouts on the machine, which are switched off."""

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from launcher.core.folder import Folder, leads_nowhere
from launcher.core.status import Step
from launcher.drive.copying import UNFINISHED
from launcher.drive.kept import COMES_BACK
from launcher.source.checkout import Repository, branch_of, check_out, check_out_submodules, keep_history, put_files
from launcher.source.git import BUSY_MARK, PLACED_MARK, git, head_of, setting
from launcher.source.kept import BUNDLE, KEPT, origin_of, pull_history, push_history, used_commit
from launcher.webui.settings_file import SWITCHED_OFF, check_settings_file, read_settings, write_settings


@dataclass(frozen=True)
class Extension:
    """One extension as it is kept."""

    name: str
    url: str
    commit: str
    date: str  # of the commit, YYYY-MM-DD
    on: bool

    def in_words(self) -> str:
        """One line for the panel."""
        return f"{self.name}: version {self.commit[:8]} of {self.date}{'' if self.on else ', switched off'}"


def kept_place(folder: Folder, name: str) -> Path:
    """An extension's folder on Drive."""
    return folder.kept / "extensions" / name


def placed_at(folder: Folder, name: str) -> Path:
    """An extension's folder on the machine, where A1111 looks."""
    return folder.data / "extensions" / name


def kept_extensions(folder: Folder) -> list[str]:
    """The names of all extensions on Drive, also of those that are plain folders without a history."""
    try:
        with os.scandir(folder.kept / "extensions") as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []


def described(folder: Folder, name: str, on: bool = True) -> Extension:
    """An extension as it was brought from Drive; without a history its version is empty."""
    history = history_of(folder, name)
    commit = used_commit(history)
    if not commit:
        return Extension(name, "", "without history", "an unknown date", on)
    return Extension(name, origin(history), commit, git("show", "--no-patch", "--format=%cs", commit, at=history), on)


def history_of(folder: Folder, name: str) -> Path:
    """The machine's copy of an extension's history."""
    return folder.history(kept_place(folder, name))


def origin(history: Path) -> str:
    """Where a history came from, or ""."""
    return origin_of(history).get("url", "")


def put_extensions(folder: Folder, step: Step) -> list[str]:
    """Bring the files of every extension to the machine, side by side; return their names.

    What A1111's own tab installed there since gets its history on Drive first. What somebody took away on Drive goes
    from here.
    """
    names = kept_extensions(folder)
    for checkout in [path.parent for path in folder.data.glob("extensions/*/.git") if path.is_dir()]:
        if (checkout / ".git" / PLACED_MARK).exists():
            if checkout.name not in names and (folder.kept / "extensions").is_dir():
                put_aside(folder, checkout)
        elif not is_kept(kept_place(folder, checkout.name)):
            places = (f"file://{checkout}", setting(checkout, "remote.origin.url") or "")
            check_out(folder, repository(checkout.name, *places), checkout, step)
            names = sorted({*names, checkout.name})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: put_extension(folder, name, step), names))
    return names


def is_kept(kept: Path) -> bool:
    """True if an extension's history is on Drive, kept by us or made there by others."""
    return (kept / BUNDLE).exists() or (kept / ".git" / "HEAD").exists()


def put_aside(folder: Folder, checkout: Path) -> None:
    """Take an extension off the machine without deleting a file of it."""
    aside = folder.machine / "removed-extensions" / f"{checkout.name}-{time.time_ns()}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    os.replace(checkout, aside)
    shutil.rmtree(history_of(folder, checkout.name), ignore_errors=True)


def repository(name: str, *urls: str, branch: str = "") -> Repository:
    """An extension's repository, to be had at the first of `urls` that has it; of its main branch, or the one given."""
    return Repository(f"extensions/{name}", urls, branch or "HEAD")


def put_extension(folder: Folder, name: str, step: Step) -> None:
    """Bring one extension's files to the machine: its version from the history, then files of its own from Drive."""
    kept, files = kept_place(folder, name), placed_at(folder, name)
    history = pull_history(folder, kept, step)
    take_over_update(folder, name, step)
    commit, tracked = used_commit(history), set[str]()
    if commit:
        put_files(folder, history, commit, files, step)
        url = origin(history)
        check_out_submodules(folder, f"extensions/{name}", history, files, commit, url, step)
        push_history(folder, kept)  # its parts, and what was damaged there
        look_cloned(files, url or "unknown", branch_of(history), commit)
        tracked = set(git("ls-tree", "-r", "--name-only", "-z", commit, at=history).split("\0"))
    checked_out_on_drive = (kept / ".git" / "index").exists()
    for inside in own_files(kept):
        if inside not in tracked or not checked_out_on_drive:
            restore_own_file(kept / inside, files / inside)


def take_over_update(folder: Folder, name: str, step: Step) -> None:
    """Keep the version that A1111's own Extensions tab has moved a checkout to: the person asked for it there."""
    files, kept = placed_at(folder, name), kept_place(folder, name)
    mark = files / ".git" / PLACED_MARK
    placed, now = mark.read_text() if mark.exists() else "", head_of(files)
    if placed and now and now != placed and not (files / ".git" / BUSY_MARK).exists():
        keep_history(folder, folder.history(kept), repository(name, f"file://{files}"), step)
        push_history(folder, kept)


def look_cloned(files: Path, url: str, branch: str, commit: str) -> None:
    """What `git clone` would have written beside the files: A1111's Extensions tab shows it, and updates by it."""
    for key, value in (
        ("remote.origin.url", url),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        (f"branch.{branch}.remote", "origin"),
        (f"branch.{branch}.merge", f"refs/heads/{branch}"),
    ):
        git("config", key, value, at=files)
    git("update-ref", f"refs/remotes/origin/{branch}", commit, at=files)


def own_files(kept: Path) -> Iterator[str]:
    """The files beside an extension's history on Drive, relative to its folder."""
    for where, folders, names in os.walk(kept):
        folders[:] = [f for f in folders if f not in (".git", KEPT, "__pycache__", UNFINISHED)]
        for name in names:
            if not leads_nowhere(Path(where, name)):
                yield os.path.relpath(os.path.join(where, name), kept)


def restore_own_file(kept: Path, target: Path) -> None:
    """Copy a file of an extension's own from Drive, or link to it if it is large. What is newer on the machine
    stays.
    """
    info = kept.stat()
    if target.is_symlink() or (
        target.exists() and target.stat().st_mtime >= info.st_mtime - 1 and target.stat().st_size == info.st_size
    ):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if info.st_size > COMES_BACK:
        target.symlink_to(kept)
    else:
        shutil.copy2(kept, target)


def switched_off(folder: Folder) -> set[str]:
    """The extensions A1111's own settings have switched off."""
    found = (read_settings(folder.data) or {}).get(SWITCHED_OFF)
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()


def switch(folder: Folder, *, off: set[str] = frozenset(), on: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Switch extensions off or on in A1111's own settings, where its Extensions tab shows it."""
    if not off and not on:
        return
    check_settings_file(folder.data)  # one that cannot be read is set aside, never overwritten
    settings = read_settings(folder.data) or {}
    write_settings(folder.data, settings | {SWITCHED_OFF: sorted((switched_off(folder) | off) - on)})
