"""What the cell "Add or update an extension" does."""

import re
import shutil
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from launcher.core.folder import Folder
from launcher.core.outside import decoded, read_bytes
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.status import Step
from launcher.extensions.address import Address, checked_address, head_commit
from launcher.extensions.extension import REMOVED, Extension, extensions_on_drive, switch, switched_off
from launcher.models.identify import WEIGHTS
from launcher.models.remote import Offered
from launcher.source.checkout import check_out, keep_edits, keep_history
from launcher.source.git import changed_files, git, last_words
from launcher.source.kept import origin_of, pull_history

CONTROLNET: Final = "sd-webui-controlnet"
# What A1111 loads of an extension (modules/scripts.py, ui_gradio_extensions.py, localization.py, launch_utils.py).
EXTENSION_FILES: Final = re.compile(r"(?:scripts|javascript|localizations)/.|(?:install|preload)\.py$|style\.css$")
MOST_OFFERED_FILES: Final = 8
EXTENSION_ACTIONS: Final = ("add", "update all", "list", "remove", "switch off", "switch on")
NONE: Final = "there are no extensions"


@dataclass(frozen=True)
class Change:
    """What came of an action, as a sentence."""

    message: str
    new: bool = True  # something is not as it was, which counts from the next start on
    added: Extension | None = None  # an extension that was not there before


def change_one(folder: Folder, action: str, what: str, step: Step) -> Change:
    """Do one of `EXTENSION_ACTIONS` but **add**, with a name. Raises `Problem`."""
    if action == "update all":
        return update_all(folder, step)
    if action == "list":
        extensions = extensions_on_drive(folder)
        for extension in extensions:
            pull_history(folder, extension.drive_dir)
        return Change("; ".join(extension.in_words() for extension in extensions) or NONE, new=False)
    extension = extension_meant(folder, what)
    if action == "remove":
        return remove_extension(extension)
    off, name = action == "switch off", extension.name
    message = f"{name} is {'switched off' if off else 'switched on'}"
    if off == (name in switched_off(folder)):
        return Change(f"{message} already", new=False)
    switch(folder, off=[name] if off else (), on=() if off else [name])
    return Change(message)


def add_extension(folder: Folder, what: Address | str, step: Step) -> Change:
    """Fetch an extension, or update it if it is there. Raises `Problem`."""
    address = checked_address(what) if isinstance(what, str) else what
    step.say(f"asking {address.url}")
    head_commit(address.url)
    there = extension_named(folder, address.name)
    if there:
        pull_history(folder, there.drive_dir)
        known = (there.url or "").lower().removesuffix("/").removesuffix(".git")
        if address.url.lower() == f"{known}.git":  # another spelling of it
            return update_extension(there, step)
        raise Problem(
            f"There is another extension called {there.name} already" + (f", from {there.url}." if there.url else "."),
            "Remove that one first: the cell **Add or update an extension** has the action **remove**.",
        )
    extension = Extension(folder, address.name)
    try:
        history = pull_history(folder, extension.drive_dir, step)
        commit = keep_history(folder, history, extension.repository(address.url), step)
        refuse_no_extension(address, git("ls-tree", "-r", "--name-only", "-z", commit, at=history).split("\0"), step)
        check_out(folder, extension.repository(address.url, wanted=commit), extension.files, step)
        extension.put(step)
    except BaseException:  # nothing half-made is left to be trusted
        extension.remove_from_machine()
        shutil.rmtree(extension.drive_dir, ignore_errors=True)
        raise
    which = " from its main branch" if address.page else ""
    return Change(f"{extension.in_words()}, added{which}", added=extension)


def refuse_no_extension(address: Address, files: list[str], step: Step) -> None:
    """Raise `Problem` for a repository with these `files` that has models in place of a program, or is a web UI."""
    if "webui.py" in files and "launch.py" in files:
        do = "This launcher brings AUTOMATIC1111 itself; paste the address of an extension for it."
        raise Problem(f"{address.name} is a whole web UI, not an extension.", do)
    if any(map(EXTENSION_FILES.match, files)):
        return
    models = [name for name in files if name.lower().endswith(WEIGHTS)]
    if not models:
        step.notice(f"{address.name} has nothing that AUTOMATIC1111 loads. It may be made for another program.")
        return
    raw = f"{address.url.removesuffix('.git')}/blob/HEAD/"
    options = [(name, raw + quote(name)) for name in models[:MOST_OFFERED_FILES] if "github.com/" in raw]
    do = "Choose the model that you want, or paste the link of its file."
    raise Offered(f"{address.name} has models, and no extension.", do, tuple(options))


def update_extension(extension: Extension, step: Step) -> Change:
    """Bring it to its newest version. A person's changes are kept in a folder, which is named. Raises `Problem`."""
    extension.put(step)
    folder, files, history = extension.folder, extension.files, extension.history
    before, url = extension.commit, extension.url
    if not before or not url:
        raise Problem(
            "It was not installed by git, so it cannot be updated.",
            "In the cell **Add or update an extension**, remove it, then add it by the address of its page.",
        )
    step.say(f"asking {url}")
    followed = origin_of(history).get("followed")  # a branch, by which one could be added once
    newest = head_commit(url, f"refs/heads/{followed}" if followed else "HEAD")
    if newest == before:
        return Change(f"{extension.in_words()}, already there and up to date", new=False)
    changed = changed_files(files)
    if keep_edits(folder, files, step) and not (extension.drive_dir / ".git" / "index").exists():
        for inside in changed:  # the copies on Drive belong to the old version
            (extension.drive_dir / inside).unlink(missing_ok=True)
    check_out(folder, extension.repository(url, wanted=followed or "HEAD"), files, step)
    extension.put(step)
    return Change(f"{extension.in_words()}, updated from {before[:8]}")


def update_all(folder: Folder, step: Step) -> Change:
    """Update every extension; one that fails does not keep the others from it. Only what is new is told one by one."""
    extensions, messages, same = extensions_on_drive(folder), list[str](), 0
    for extension in extensions:
        try:
            change = update_extension(extension, step)
        except (CommandError, Problem) as error:  # git's: its history on this machine is damaged, for example
            why = error.what if isinstance(error, Problem) else f"{last_words(error)}."
            step.notice(f"{extension.name} was left as it is. {why}")
        else:
            messages += [change.message] if change.new else []
            same += not change.new
    some = f"{same} already up to date" if same < len(extensions) else "everything is up to date"
    said = "; ".join([*messages, *([some] if same else [])])
    return Change(said or ("nothing was updated" if extensions else NONE), new=bool(messages))


def remove_extension(extension: Extension) -> Change:
    """Take an extension away. On Drive it is moved aside, not deleted."""
    extension.remove_from_machine()
    aside = extension.put_aside(extension.drive_dir, extension.folder.kept)
    return Change(
        f"{extension.name} is removed; its folder is kept as {REMOVED}/{aside.name} on your Drive; delete it if you do "
        "not need it"
    )


def extension_arguments(folder: Folder) -> tuple[str, ...]:
    """A1111's flags for the extensions that are there: ControlNet's preprocessors are kept with the models."""
    flag, preload = "--controlnet-annotator-models-path", Extension(folder, CONTROLNET).files / "preload.py"
    if CONTROLNET in switched_off(folder) or not preload.exists() or flag not in decoded(read_bytes(preload)):
        return ()
    return (flag, str(folder.data / "models" / "ControlNet-preprocessors"))


def extension_meant(folder: Folder, word: str) -> Extension:
    """The extension a person means by its name or address; raises `Problem` if it is not there."""
    name = checked_address(word).name if "/" in word else word.strip()
    found = extension_named(folder, name)
    if not found:
        names = ", ".join(extension.name for extension in extensions_on_drive(folder))
        do = f"Write one of these names: {names}." if names else "You have no extensions yet: nothing needs to be done."
        raise Problem(f"There is no extension called {name!r}.", do)
    return found


def extension_named(folder: Folder, name: str) -> Extension | None:
    return next((one for one in extensions_on_drive(folder) if one.name.lower() == name.lower()), None)
