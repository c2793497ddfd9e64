"""Extensions of A1111: kept on Drive as history, files on the machine, installed so that none can harm the rest."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.folder import GB, Folder, write_safely
from launcher.history import pull_history, push_history
from launcher.mirror import COMES_BACK, UNFINISHED
from launcher.problem import Problem
from launcher.process import CommandError, run
from launcher.python_env import child_environment, moved_packages, put_packages_back
from launcher.source import Repository, bring, changed_files, git, keep_edits, last_words, put_files, restore_missing, wanted_commit

CONTROLNET: Final = "sd-webui-controlnet"
CONTROLNET_URL: Final = f"https://github.com/Mikubill/{CONTROLNET}.git"
# Seconds an installer may print nothing before it is ended. Slow links can ask for more.
INSTALLER_SILENCE: Final = float(os.environ.get("ONECLICK_INSTALLER_SILENCE", "180"))
ROOM_FOR_ONE: Final = GB // 2
EXTENSION_ACTIONS: Final = ("add", "update all", "list", "remove", "switch off", "switch on")
MOST_TRIALS: Final = 4  # starts without one extension each, before all suspects are left out
REMOVED: Final = "removed-extensions"  # the folder on Drive

# What git says about an address -> what a person is told.
ADDRESS_FAILURES: Final = (
    (
        r"could not read Username|Authentication failed|terminal prompts disabled|error: 40[13]|not granted",
        "{url} wants a login, or there is no such repository.",
        "Check the address. The launcher fetches public extensions only.",
    ),
    (
        r"not found|does not exist|error: 404|not valid: is this a git repository|dumb http|info/refs",
        "There is no git repository at {url}.",
        "Open the extension's page, copy the address of its front page, and press ▶ again.",
    ),
    (
        r"Could not resolve host|Failed to connect|Connection refused|timed out|error: 5\d\d",
        "{url} does not answer.",
        "Check the address, wait a minute, and press ▶ again.",
    ),
)


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


# ---- what is kept


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


def listed(folder: Folder) -> list[Extension]:
    """Every extension with its version."""
    off, names = switched_off(folder), kept_extensions(folder)
    for name in names:
        pull_history(folder, kept_place(folder, name))
    return [described(folder, name, name not in off) for name in names]


def described(folder: Folder, name: str, on: bool = True) -> Extension:
    """An extension as it was brought from Drive; without a history its version is empty."""
    history = history_of(folder, name)
    commit = used_commit(folder, name)
    if not commit:
        return Extension(name, "", "without history", "an unknown date", on)
    return Extension(name, origin(history), commit, git("show", "--no-patch", "--format=%cs", commit, at=history), on)


def history_of(folder: Folder, name: str) -> Path:
    """The machine's copy of an extension's history."""
    return folder.history(kept_place(folder, name))


def used_commit(folder: Folder, name: str) -> str:
    """The commit that is used of an extension that was brought from Drive, or ""."""
    return wanted_commit(history_of(folder, name), Repository("", (), "HEAD"))


def origin(history: Path) -> str:
    """Where a history came from, or ""."""
    try:
        return git("config", "--get", "remote.origin.url", at=history)
    except CommandError:
        return ""


# ---- adding, updating, removing


def checked_address(text: str) -> tuple[str, str]:
    """(address for git, name) of what a person pasted; raises `Problem` for what is no https address of a repository."""
    found = re.fullmatch(r"https://(?P<login>[^/@\s]*@)?(?P<place>[\w.-]+(?::\d+)?(?:/[\w.~+-]+)+?)/?(?:/-)?(?:/(?:tree|blob)/\S*)?", text.strip())
    if not found:
        raise Problem(f"«{text.strip()[:100]}» is no address of a git repository.", "Paste an address like https://github.com/owner/name.", field="what")
    if found["login"]:
        raise Problem(
            "The address has a user name or a password in it, which would be kept on Google Drive.", "Paste it without what stands before the @.", field="what"
        )
    place = found["place"].removesuffix(".git")
    name = place.rpartition("/")[2]
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise Problem(f"«{name}» cannot be the name of a folder.", "Paste an address like https://github.com/owner/name.", field="what")
    return f"https://{place}.git", name


def add_extension(folder: Folder, address: str, say: Callable[[str], None], notice: Callable[[str], None]) -> str:
    """Fetch an extension, or bring it up to date if it is there; return a sentence."""
    url, name = checked_address(address)
    there = next((other for other in kept_extensions(folder) if other.lower() == name.lower()), "")
    if there:
        known = origin(pull_history(folder, kept_place(folder, there)))
        if known and same_address(known, url):
            return update_extension(folder, there, say, notice)
        raise Problem(
            f"There is another extension called {there} already" + (f", from {known}." if known else "."), "Remove that one first, with the action «remove»."
        )
    say(f"asking {url}")
    tip(url)
    try:
        bring(folder, repository(name, url), placed_at(folder, name), refresh=True, notice=notice, say=say)
        put_extension(folder, name, notice)
    except BaseException:
        forget(folder, name)  # nothing half-made is left to be trusted
        raise
    return f"{described(folder, name).in_words()}, added"


def update_extension(folder: Folder, name: str, say: Callable[[str], None], notice: Callable[[str], None]) -> str:
    """Bring one extension to its newest version. Changes people made to its files are kept in a branch, which is named."""
    put_extension(folder, name, notice)
    kept, files, history = kept_place(folder, name), placed_at(folder, name), history_of(folder, name)
    before, url = used_commit(folder, name), origin(history)
    if not before or not url:
        return f"{name}: it has no history, so it cannot be updated"
    say(f"asking {url}")
    newest = tip(url)
    if newest == before:
        return f"{described(folder, name).in_words()}, there already and up to date"
    changed = changed_files(files)
    if keep_edits(files, history, notice) and not (kept / ".git" / "index").exists():
        push_history(folder, kept)
        for inside in changed:  # the copies that Mirror made; they belong to the old version
            (kept / inside).unlink(missing_ok=True)
    bring(folder, repository(name, url), files, refresh=True, notice=notice, say=say, newest=newest)
    put_extension(folder, name, notice)
    return f"{described(folder, name).in_words()}, updated from {before[:8]}"


def change_one(folder: Folder, action: str, what: str, say: Callable[[str], None], notice: Callable[[str], None]) -> str:
    """Do what the cell «Add or update an extension» asks for; return a sentence. Raises `Problem`."""
    if action == "update all":
        return update_all(folder, say, notice)
    if action == "list":
        return "; ".join(extension.in_words() for extension in listed(folder)) or "there are no extensions"
    if not what.strip():
        raise Problem("The field what is empty.", "Paste the address of an extension's page, or write its name.", field="what")
    if action == "add":
        return add_extension(folder, what, say, notice)
    if action == "remove":
        return remove_extension(folder, what)
    return switch_by_name(folder, what, on=action == "switch on")


def update_all(folder: Folder, say: Callable[[str], None], notice: Callable[[str], None]) -> str:
    """Update every extension; one that fails does not keep the others from it."""
    told = []
    for name in kept_extensions(folder):
        try:
            told.append(update_extension(folder, name, say, notice))
        except Problem as problem:
            notice(f"{name} stays as it is. {problem.what}")
    return "; ".join(told) or "there are no extensions"


def remove_extension(folder: Folder, word: str) -> str:
    """Take an extension away, by its name or address. On Drive it is moved aside, not deleted; returns a sentence."""
    name = known_name(folder, word)
    aside = folder.kept / REMOVED / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    aside.parent.mkdir(exist_ok=True)
    for place in (placed_at(folder, name), history_of(folder, name)):
        shutil.rmtree(place, ignore_errors=True)
    os.replace(kept_place(folder, name), aside)
    return f"{name} is removed; its folder is kept as {REMOVED}/{aside.name} on your Drive, delete it if you do not need it"


def forget(folder: Folder, name: str) -> None:
    """Take away what a failed attempt to add an extension left."""
    for place in (kept_place(folder, name), placed_at(folder, name), history_of(folder, name)):
        shutil.rmtree(place, ignore_errors=True)


def tip(url: str) -> str:
    """The newest commit at an address; raises `Problem` with one sentence if there is none to be had."""
    try:
        told = git("ls-remote", url, "HEAD")
    except CommandError as error:
        for pattern, what, do in ADDRESS_FAILURES:
            if re.search(pattern, error.output, re.IGNORECASE):
                raise Problem(what.format(url=url), do, field="what") from error
        raise Problem(f"{url} could not be read: {last_words(error)}.", "Check the address and press ▶ again.", field="what") from error
    if not told:
        raise Problem(f"The repository at {url} is empty.", "Check the address.", field="what")
    return told.split()[0]


def same_address(one: str, other: str) -> bool:
    """True for two spellings of one address."""
    return one.lower().removesuffix("/").removesuffix(".git") == other.lower().removesuffix("/").removesuffix(".git")


# ---- files on the machine


def put_extensions(folder: Folder, notice: Callable[[str], None]) -> list[str]:
    """Bring the files of every extension to the machine, side by side; return their names.

    What A1111's own tab installed there since gets its history on Drive first.
    """
    names = kept_extensions(folder)
    for checkout in (path.parent for path in folder.data.glob("extensions/*/.git") if path.parent.name not in names):
        places = (f"file://{checkout}", origin(checkout))
        bring(folder, repository(checkout.name, *places), checkout, refresh=True, notice=notice, say=lambda text: None)
        names.append(checkout.name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: put_extension(folder, name, notice), names))
    return names


def repository(name: str, *urls: str) -> Repository:
    """An extension's repository, to be had at the first of `urls` that has it."""
    return Repository(f"extensions/{name}", urls, "HEAD")


def put_extension(folder: Folder, name: str, notice: Callable[[str], None]) -> None:
    """Bring one extension's files to the machine: its version from the history, then files of its own from Drive."""
    kept, files = kept_place(folder, name), placed_at(folder, name)
    history = pull_history(folder, kept)
    commit, tracked = used_commit(folder, name), set[str]()
    if commit:
        if put_files(history, commit, files, notice):
            push_history(folder, kept)
        git("config", "remote.origin.url", origin(history) or "unknown", at=files)  # A1111 shows it
        tracked = set(git("ls-tree", "-r", "--name-only", "-z", commit, at=history).split("\0"))
    checked_out_on_drive = (kept / ".git" / "index").exists()
    for inside in own_files(kept):
        if inside not in tracked or not checked_out_on_drive:
            bring_own_file(kept / inside, files / inside)


def own_files(kept: Path) -> Iterator[str]:
    """The files beside an extension's history on Drive, relative to its folder."""
    for where, folders, names in os.walk(kept):
        folders[:] = [f for f in folders if f not in (".git", "__pycache__", UNFINISHED)]
        for name in names:
            yield os.path.relpath(os.path.join(where, name), kept)


def bring_own_file(kept: Path, target: Path) -> None:
    """Copy a file of an extension's own from Drive, or link to it if it is large. What is newer on the machine stays."""
    info = kept.stat()
    if target.is_symlink() or (target.exists() and target.stat().st_mtime >= info.st_mtime - 1 and target.stat().st_size == info.st_size):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if info.st_size > COMES_BACK:
        target.symlink_to(kept)
    else:
        shutil.copy2(kept, target)


def unchanged_files(checkout: Path) -> list[str]:
    """The files of a checkout that are as git has them: nothing need be kept of those but the history."""
    changed = set(changed_files(checkout))
    return [name for name in git("ls-files", "-z", at=checkout).split("\0") if name and name not in changed]


# ---- installing


def run_installers(folder: Folder, say: Callable[[str], None], notice: Callable[[str], None]) -> int:
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
        say(f"installing {name}")
        run_installer(folder, installer, lambda line, name=name: say(f"installing {name}: {line[:80]}"), notice)  # type: ignore[misc]
        mend_after(folder, name, notice)
        done[name] = version
        write_safely(noted, json.dumps(done))
        count += 1
    return count


def run_installer(folder: Folder, installer: Path, on_line: Callable[[str], None], notice: Callable[[str], None]) -> None:
    """Run one install.py; a failure is said and nothing more, as the web UI often works without what it wanted."""
    name, before = installer.parent.name, precious_files(folder)
    environment = child_environment(folder) | {"PYTHONPATH": str(folder.code), "PIP_RETRIES": "1", "PIP_NO_INPUT": "1"}
    command = [str(folder.python / "bin" / "python"), str(installer)]
    try:
        run(command, env=environment, cwd=folder.code, on_line=on_line, timeout=INSTALLER_SILENCE)
    except CommandError as error:
        lines = [line.strip() for line in error.output.splitlines() if line.strip()]
        reason = f"it said nothing for {INSTALLER_SILENCE:.0f} seconds and was ended" if "was ended" in error.output else (lines or ["it printed nothing"])[-1]
        notice(f"The extension {name} could not install all it wanted: {reason[:200]}. The web UI starts all the same; parts of that extension may not work.")
    lost = before - precious_files(folder)
    if lost:
        names = ", ".join(sorted(lost)[:3])
        notice(f"The extension {name} deleted {len(lost)} of your files ({names}). They are in Google Drive's bin; «remove» takes the extension away.")


def precious_files(folder: Folder) -> set[str]:
    """The person's own files that an installer could reach through the data directory."""
    found = set()
    for place in ("models", "embeddings", "outputs"):
        for where, _, names in os.walk(folder.data / place):
            found |= {os.path.relpath(os.path.join(where, name), folder.data) for name in names}
    return found


def mend_after(folder: Folder, name: str, notice: Callable[[str], None]) -> None:
    """Put back what an installer did to the web UI's packages and files, and say so."""
    moved = moved_packages(folder)
    if moved:
        put_packages_back(folder, list(moved))
        names = ", ".join(f"{package} {now or 'gone'}" for package, now in list(moved.items())[:3])
        notice(f"The extension {name} changed packages the web UI needs ({names}); the right ones were put back.")
    lost = [f"{path.name}/{inside}" for path in our_checkouts(folder) for inside in restore_missing(path)]
    if lost:
        notice(f"The extension {name} deleted {len(lost)} of the web UI's files ({', '.join(lost[:3])}); they were put back.")


def our_checkouts(folder: Folder) -> list[Path]:
    """Every checkout on the machine that an installer could damage."""
    places = (folder.code, *folder.code.glob("repositories/*"), *folder.data.glob("extensions/*"))
    return [place for place in places if (place / ".git").exists()]


def extension_arguments(folder: Folder) -> tuple[str, ...]:
    """A1111's flags for the extensions that are there: ControlNet's preprocessors are kept with the models."""
    flag, preload = "--controlnet-annotator-models-path", placed_at(folder, CONTROLNET) / "preload.py"
    if CONTROLNET in switched_off(folder) or not preload.exists() or flag not in preload.read_text():
        return ()
    return (flag, str(folder.data / "models" / "ControlNet-preprocessors"))


# ---- switching off


def switched_off(folder: Folder) -> set[str]:
    """The extensions A1111's own settings have switched off."""
    try:
        return set(json.loads((folder.data / "config.json").read_text()).get("disabled_extensions", []))
    except (FileNotFoundError, ValueError):
        return set()


def switch_by_name(folder: Folder, word: str, on: bool) -> str:
    """Switch one extension on or off by its name; return a sentence. Raises `Problem` for a name that is not there."""
    name = known_name(folder, word)
    switch(folder, on={name} if on else set(), off=set() if on else {name})
    return f"{name} is switched {'on' if on else 'off'}"


def known_name(folder: Folder, word: str) -> str:
    """The extension a person means by its name or address; raises `Problem` if it is not there."""
    wanted = checked_address(word)[1] if "://" in word else word.strip()
    names = kept_extensions(folder)
    found = next((name for name in names if name.lower() == wanted.lower()), "")
    if not found:
        raise Problem(f"There is no extension called {wanted!r}.", f"There are: {', '.join(names) or 'none'}.", field="what")
    return found


def switch(folder: Folder, *, off: set[str] = frozenset(), on: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Switch extensions off or on in A1111's own settings, where its Extensions tab shows it."""
    if not off and not on:
        return
    path = folder.data / "config.json"
    settings = json.loads(path.read_text()) if path.exists() else {}
    write_safely(path, json.dumps(settings | {"disabled_extensions": sorted((switched_off(folder) | off) - on)}, indent=4))


class Suspicion:
    """Finds the extension that keeps the web UI from starting, by starting without it.

    `good` has the versions (name to commit) with which it started last.
    """

    def __init__(self, folder: Folder, good: dict[str, str]) -> None:
        self.folder, self.good = folder, good
        self._sure: set[str] = set()
        self._trial: set[str] = set()
        self._trials: Iterator[set[str]] | None = None

    @property
    def blamed(self) -> list[str]:
        """The extensions that are switched off now because of it."""
        return sorted(self._sure | self._trial)

    def switch_next(self, log: str) -> bool:
        """After a start that failed with this log: switch off the next to try. False if nothing is left to try."""
        switch(self.folder, on=self._trial)
        self._trial = set()
        found = suspects(self.folder, log, self.good)
        if len(found) == 1:
            self._sure |= set(found)
            switch(self.folder, off=self._sure)
            return True
        if self._trials is None:
            self._trials = iter([*({name} for name in found[:MOST_TRIALS]), set(found)])
        self._trial = next(self._trials, set())
        switch(self.folder, off=self._trial)
        return bool(self._trial)

    def acquit(self) -> None:
        """It was none of them: switch them on again."""
        switch(self.folder, on=self._sure | self._trial)
        self._sure, self._trial = set(), set()


def suspects(folder: Folder, log: str, good: dict[str, str]) -> list[str]:
    """Which extensions may have kept the web UI from starting: the one its last words name, else the new ones, else all; newest first."""
    off = switched_off(folder)
    names = [name for name in kept_extensions(folder) if name not in off]
    tail = "\n".join(log.splitlines()[-60:])
    named = [name for name in names if f"extensions/{name}/" in tail]
    if named:
        return [max(named, key=lambda name: tail.rfind(f"extensions/{name}/"))]
    new = [name for name in names if good.get(name) != used_commit(folder, name)] or names
    return sorted(new, key=lambda name: kept_place(folder, name).stat().st_mtime, reverse=True)
