"""Extensions of A1111: kept on Drive as history, files on the machine, installed so that none can harm the rest."""

import os
import re
import shutil
import time
from typing import Final

from launcher.core.folder import GB, Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.reporter import Reporter
from launcher.extensions.files import (
    Extension,
    described,
    history_of,
    kept_extensions,
    kept_place,
    origin,
    placed_at,
    put_extension,
    repository,
    switch,
    switched_off,
    used_commit,
)
from launcher.git.git import changed_files, git, last_words
from launcher.git.history import pull_history, push_history
from launcher.git.repository import check_out, keep_edits

CONTROLNET: Final = "sd-webui-controlnet"
CONTROLNET_URL: Final = f"https://github.com/Mikubill/{CONTROLNET}.git"
ROOM_FOR_ONE: Final = GB // 2
EXTENSION_ACTIONS: Final = ("add", "update all", "list", "remove", "switch off", "switch on")
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


def listed(folder: Folder) -> list[Extension]:
    """Every extension with its version."""
    off, names = switched_off(folder), kept_extensions(folder)
    for name in names:
        pull_history(folder, kept_place(folder, name))
    return [described(folder, name, name not in off) for name in names]


def checked_address(text: str) -> tuple[str, str]:
    """(address for git, name) of what a person pasted; raises `Problem` for what is no https address of a
    repository.
    """
    found = re.fullmatch(
        r"https://(?P<login>[^/@\s]*@)?(?P<place>[\w.-]+(?::\d+)?(?:/[\w.~+-]+)+?)/?(?:/-)?(?:/(?:tree|blob)/\S*)?",
        text.strip(),
    )
    if not found:
        raise Problem(
            f"«{text.strip()[:100]}» is no address of a git repository.",
            "Paste an address like https://github.com/owner/name.",
            field="what",
        )
    if found["login"]:
        raise Problem(
            "The address has a user name or a password in it, which would be kept on Google Drive.",
            "Paste it without what stands before the @.",
            field="what",
        )
    place = found["place"].removesuffix(".git")
    name = place.rpartition("/")[2]
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise Problem(
            f"«{name}» cannot be the name of a folder.",
            "Paste an address like https://github.com/owner/name.",
            field="what",
        )
    return f"https://{place}.git", name


def add_extension(folder: Folder, address: str, reporter: Reporter) -> str:
    """Fetch an extension, or update it if it is there; return a sentence."""
    url, name = checked_address(address)
    there = next((other for other in kept_extensions(folder) if other.lower() == name.lower()), "")
    if there:
        known = origin(pull_history(folder, kept_place(folder, there)))
        if known and same_address(known, url):
            return update_extension(folder, there, reporter)
        raise Problem(
            f"There is another extension called {there} already" + (f", from {known}." if known else "."),
            "Remove that one first, with the action «remove».",
        )
    reporter.say(f"asking {url}")
    head_commit(url)
    try:
        check_out(folder, repository(name, url), placed_at(folder, name), refresh=True, reporter=reporter)
        put_extension(folder, name, reporter)
    except BaseException:
        forget(folder, name)  # nothing half-made is left to be trusted
        raise
    return f"{described(folder, name).in_words()}, added"


def update_extension(folder: Folder, name: str, reporter: Reporter) -> str:
    """Bring one extension to its newest version. Changes people made to its files are kept in a branch, which is
    named.
    """
    put_extension(folder, name, reporter)
    kept, files, history = kept_place(folder, name), placed_at(folder, name), history_of(folder, name)
    before, url = used_commit(folder, name), origin(history)
    if not before or not url:
        return f"{name}: it has no history, so it cannot be updated"
    reporter.say(f"asking {url}")
    newest = head_commit(url)
    if newest == before:
        return f"{described(folder, name).in_words()}, there already and up to date"
    changed = changed_files(files)
    if keep_edits(files, history, reporter) and not (kept / ".git" / "index").exists():
        push_history(folder, kept)
        for inside in changed:  # the copies that Mirror made; they belong to the old version
            (kept / inside).unlink(missing_ok=True)
    check_out(folder, repository(name, url), files, refresh=True, reporter=reporter, newest=newest)
    put_extension(folder, name, reporter)
    return f"{described(folder, name).in_words()}, updated from {before[:8]}"


def change_one(folder: Folder, action: str, what: str, reporter: Reporter) -> str:
    """Do what the cell «Add or update an extension» asks for; return a sentence. Raises `Problem`."""
    if action == "update all":
        return update_all(folder, reporter)
    if action == "list":
        return "; ".join(extension.in_words() for extension in listed(folder)) or "there are no extensions"
    if not what.strip():
        raise Problem(
            "The field what is empty.", "Paste the address of an extension's page, or write its name.", field="what"
        )
    if action == "add":
        return add_extension(folder, what, reporter)
    if action == "remove":
        return remove_extension(folder, what)
    return switch_by_name(folder, what, on=action == "switch on")


def update_all(folder: Folder, reporter: Reporter) -> str:
    """Update every extension; one that fails does not keep the others from it."""
    told = []
    for name in kept_extensions(folder):
        try:
            told.append(update_extension(folder, name, reporter))
        except Problem as problem:
            reporter.notice(f"{name} stays as it is. {problem.what}")
    return "; ".join(told) or "there are no extensions"


def remove_extension(folder: Folder, word: str) -> str:
    """Take an extension away, by its name or address. On Drive it is moved aside, not deleted; returns a sentence."""
    name = installed_name(folder, word)
    aside = folder.kept / REMOVED / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    aside.parent.mkdir(exist_ok=True)
    for place in (placed_at(folder, name), history_of(folder, name)):
        shutil.rmtree(place, ignore_errors=True)
    os.replace(kept_place(folder, name), aside)
    return (
        f"{name} is removed; its folder is kept as {REMOVED}/{aside.name} on your Drive, delete it if you do "
        "not need it"
    )


def forget(folder: Folder, name: str) -> None:
    """Take away what a failed attempt to add an extension left."""
    for place in (kept_place(folder, name), placed_at(folder, name), history_of(folder, name)):
        shutil.rmtree(place, ignore_errors=True)


def head_commit(url: str) -> str:
    """The newest commit at an address; raises `Problem` with one sentence if there is none to be had."""
    try:
        told = git("ls-remote", url, "HEAD")
    except CommandError as error:
        for pattern, what, do in ADDRESS_FAILURES:
            if re.search(pattern, error.output, re.IGNORECASE):
                raise Problem(what.format(url=url), do, field="what") from error
        raise Problem(
            f"{url} could not be read: {last_words(error)}.", "Check the address and press ▶ again.", field="what"
        ) from error
    if not told:
        raise Problem(f"The repository at {url} is empty.", "Check the address.", field="what")
    return told.split()[0]


def same_address(one: str, other: str) -> bool:
    """True for two spellings of one address."""
    return one.lower().removesuffix("/").removesuffix(".git") == other.lower().removesuffix("/").removesuffix(".git")


def extension_arguments(folder: Folder) -> tuple[str, ...]:
    """A1111's flags for the extensions that are there: ControlNet's preprocessors are kept with the models."""
    flag, preload = "--controlnet-annotator-models-path", placed_at(folder, CONTROLNET) / "preload.py"
    if CONTROLNET in switched_off(folder) or not preload.exists() or flag not in preload.read_text():
        return ()
    return (flag, str(folder.data / "models" / "ControlNet-preprocessors"))


def switch_by_name(folder: Folder, word: str, on: bool) -> str:
    """Switch one extension on or off by its name; return a sentence. Raises `Problem` for a name that is not there."""
    name = installed_name(folder, word)
    switch(folder, on={name} if on else set(), off=set() if on else {name})
    return f"{name} is switched {'on' if on else 'off'}"


def installed_name(folder: Folder, word: str) -> str:
    """The extension a person means by its name or address; raises `Problem` if it is not there."""
    wanted = checked_address(word)[1] if "://" in word else word.strip()
    names = kept_extensions(folder)
    found = next((name for name in names if name.lower() == wanted.lower()), "")
    if not found:
        raise Problem(
            f"There is no extension called {wanted!r}.", f"There are: {', '.join(names) or 'none'}.", field="what"
        )
    return found
