"""Extensions of A1111: kept on Drive as history, files on the machine, installed so that none can harm the rest."""

import os
import shutil
import time
from dataclasses import dataclass
from typing import Final

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.status import Step
from launcher.extensions.address import branch_meant, checked_address, head_commit, same_address
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
)
from launcher.extensions.requirements import conflicts, wanted_packages
from launcher.python.pins import CONSTRAINTS
from launcher.source.checkout import check_out, keep_edits
from launcher.source.git import changed_files, git
from launcher.source.kept import origin_of, pull_history, used_commit

CONTROLNET: Final = "sd-webui-controlnet"
CONTROLNET_URL: Final = f"https://github.com/Mikubill/{CONTROLNET}.git"
EXTENSION_ACTIONS: Final = ("add", "update all", "list", "remove", "switch off", "switch on")
REMOVED: Final = "removed-extensions"  # the folder on Drive
LFS_POINTER: Final = "^version https://git-lfs.github.com/spec/v1$"
NAMED: Final = 3  # files that a sentence names
NONE: Final = "there are no extensions"


@dataclass(frozen=True)
class Change:
    """What came of an action, as a sentence. `new`: something is not as it was, which counts from the next start on."""

    told: str
    new: bool = True


def listed(folder: Folder) -> list[Extension]:
    """Every extension with its version."""
    off, names = switched_off(folder), kept_extensions(folder)
    for name in names:
        pull_history(folder, kept_place(folder, name))
    return [described(folder, name, name not in off) for name in names]


def add_extension(folder: Folder, address: str, step: Step) -> Change:
    """Fetch an extension, or update it if it is there. Raises `Problem`."""
    asked = checked_address(address)
    url, name = asked.url, asked.name
    there = next((other for other in kept_extensions(folder) if other.lower() == name.lower()), "")
    if there:
        history = pull_history(folder, kept_place(folder, there), step)
        known = origin(history)
        if known and same_address(known, url):
            head_commit(url)
            followed, meant = origin_of(history).get("followed"), branch_meant(asked)
            if meant and meant != followed:
                raise Problem(
                    f"{there} is already installed, from {f'branch {followed}' if followed else 'its main branch'}.",
                    "Remove it first, with the action **remove**, then add the other branch.",
                )
            return update_extension(folder, there, step)
        raise Problem(
            f"There is another extension called {there} already" + (f", from {known}." if known else "."),
            "Remove that one first, with the action **remove**.",
        )
    step.say(f"asking {url}")
    head_commit(url)
    branch = branch_meant(asked)
    try:
        check_out(folder, repository(name, url, branch=branch), placed_at(folder, name), step)
        put_extension(folder, name, step)
    except BaseException:
        forget(folder, name)  # nothing half-made is left to be trusted
        raise
    say_what_is_missing(folder, name, step)
    return Change(f"{described(folder, name).in_words()}, added")


def update_extension(folder: Folder, name: str, step: Step) -> Change:
    """Bring one extension to its newest version. Changes people made to its files are kept in a branch, which is
    named. Raises `Problem`.
    """
    put_extension(folder, name, step)
    kept, files, history = kept_place(folder, name), placed_at(folder, name), history_of(folder, name)
    before, url = used_commit(history), origin(history)
    if not before or not url:
        raise Problem(
            "It was not installed by git, so it cannot be updated.",
            "Remove it with the action **remove**, then add it again by the address of its page.",
        )
    step.say(f"asking {url}")
    followed = origin_of(history).get("followed")
    newest = head_commit(url, f"refs/heads/{followed}" if followed else "HEAD")
    if newest == before:
        return Change(f"{described(folder, name).in_words()}, already there and up to date", new=False)
    changed = changed_files(files)
    if keep_edits(folder, files, step) and not (kept / ".git" / "index").exists():
        for inside in changed:  # the copies that Mirror made; they belong to the old version
            (kept / inside).unlink(missing_ok=True)
    wanted = repository(name, url, branch=followed or "")
    check_out(folder, wanted, files, step)
    put_extension(folder, name, step)
    say_what_is_missing(folder, name, step)
    return Change(f"{described(folder, name).in_words()}, updated from {before[:8]}")


def change_one(folder: Folder, action: str, what: str, step: Step) -> Change:
    """Do what the cell "Add or update an extension" asks for. Raises `Problem`."""
    if action == "update all":
        return update_all(folder, step)
    if action == "list":
        names = "; ".join(extension.in_words() for extension in listed(folder))
        return Change(names or NONE, new=False)
    if not what.strip():
        raise Problem(
            "The field **what** is empty.", "Paste the address of an extension's page, or write its name.", field="what"
        )
    if action == "add":
        return add_extension(folder, what, step)
    if action == "remove":
        return remove_extension(folder, what)
    return switch_by_name(folder, what, on=action == "switch on")


def update_all(folder: Folder, step: Step) -> Change:
    """Update every extension; one that fails does not keep the others from it. Only what is new is told one by one."""
    names, told, same = kept_extensions(folder), list[str](), 0
    for name in names:
        try:
            change = update_extension(folder, name, step)
        except Problem as problem:
            step.notice(f"{name} was left as it is. {problem.what}")
            continue
        if change.new:
            told.append(change.told)
        else:
            same += 1
    if same:
        told.append("everything is up to date" if same == len(names) else f"{same} already up to date")
    return Change("; ".join(told) or ("nothing was updated" if names else NONE), new=len(told) > bool(same))


def remove_extension(folder: Folder, word: str) -> Change:
    """Take an extension away, by its name or address. On Drive it is moved aside, not deleted. Raises `Problem`."""
    name = installed_name(folder, word)
    aside = folder.kept / REMOVED / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    aside.parent.mkdir(exist_ok=True)
    for place in (placed_at(folder, name), history_of(folder, name)):
        shutil.rmtree(place, ignore_errors=True)
    os.replace(kept_place(folder, name), aside)
    return Change(
        f"{name} is removed; its folder is kept as {REMOVED}/{aside.name} on your Drive; delete it if you do "
        "not need it"
    )


def forget(folder: Folder, name: str) -> None:
    """Take away what a failed attempt to add an extension left."""
    for place in (kept_place(folder, name), placed_at(folder, name), history_of(folder, name)):
        shutil.rmtree(place, ignore_errors=True)


def say_what_is_missing(folder: Folder, name: str, step: Step) -> None:
    """Say what an extension will not find here: packages that cannot live beside the others, and files kept elsewhere.

    Said when it is added or updated, before minutes of installing.
    """
    others = [other for other in kept_extensions(folder) if other not in (name, *switched_off(folder))]
    wishes = {other: wanted_packages(placed_at(folder, other)) for other in others}
    told = conflicts(name, wanted_packages(placed_at(folder, name)), CONSTRAINTS, wishes)
    about = f"packages of {name}"
    step.notice(told, about=about) if told else step.remove(about)
    say_if_parts_are_elsewhere(folder, name, step)


def say_if_parts_are_elsewhere(folder: Folder, name: str, step: Step) -> None:
    """Say which files of an extension its author keeps outside of git (Git LFS): only notes about them are here.

    GitHub counts their downloads and refuses them when an author's allowance is used up: they are left to the person.
    """
    history = history_of(folder, name)
    try:
        told = git("grep", "--name-only", "-z", "-e", LFS_POINTER, str(used_commit(history)), at=history)
    except CommandError:  # git's way of saying that there are none
        return
    names = [entry.partition(":")[2] for entry in told.split("\0") if entry]
    if names:
        more = f" and {len(names) - NAMED} more" if names[NAMED:] else ""
        step.notice(
            f"{name} keeps large files outside of its repository (Git LFS): {', '.join(names[:NAMED])}{more}. "
            f"They are not here. If it needs them, download them from its page and put them on your Drive, "
            f"at the same place in extensions/{name}.",
            about=f"lfs {name}",
        )


def extension_arguments(folder: Folder) -> tuple[str, ...]:
    """A1111's flags for the extensions that are there: ControlNet's preprocessors are kept with the models."""
    flag, preload = "--controlnet-annotator-models-path", placed_at(folder, CONTROLNET) / "preload.py"
    if CONTROLNET in switched_off(folder) or not preload.exists() or flag not in preload.read_text():
        return ()
    return (flag, str(folder.data / "models" / "ControlNet-preprocessors"))


def switch_by_name(folder: Folder, word: str, on: bool) -> Change:
    """Switch one extension on or off by its name. Raises `Problem` for a name that is not there."""
    name = installed_name(folder, word)
    if on == (name not in switched_off(folder)):
        return Change(f"{name} is switched {'on' if on else 'off'} already", new=False)
    switch(folder, on={name} if on else set(), off=set() if on else {name})
    return Change(f"{name} is switched {'on' if on else 'off'}")


def installed_name(folder: Folder, word: str) -> str:
    """The extension a person means by its name or address; raises `Problem` if it is not there."""
    wanted = checked_address(word).name if "/" in word else word.strip()
    names = kept_extensions(folder)
    found = next((name for name in names if name.lower() == wanted.lower()), "")
    if not found:
        raise Problem(
            f"There is no extension called {wanted!r}.",
            f"Installed: {', '.join(names) or 'none'}.",
            field="what",
        )
    return found
