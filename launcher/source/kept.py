"""Histories on Drive: one git bundle each, and where an extension's came from.

One git command opens some forty files, and each operation on Drive takes 20 ms or more: git works on a copy on the
machine, and never writes to Drive. What Drive gives back may be empty, cut or garbled: of a bundle only what git took
out of it, object by object, counts. Else it is left out, said, fetched anew and replaced.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from launcher.core.folder import PART, Folder, copy_whole, make_folder_below
from launcher.core.outside import LOST, joined, make_way, read_bytes
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.session import read_object, write_object
from launcher.core.status import Step
from launcher.source.git import COMMITS, answer, clear_stale_locks, fetch_commit, git, holds, is_sound, last_words

SOURCE_DIR: Final = ".source"  # the folder with the two, in each repository's on Drive; the sync sweeps .oneclick
BUNDLE: Final = f"{SOURCE_DIR}/commits.bundle"
NAMES: Final = ("HEAD", "index", "shallow", "packed-refs", "refs/heads/**/*", "refs/oneclick/used")  # another's
ORIGIN: Final = f"{SOURCE_DIR}/origin.json"  # a file of its own: with it a bundle that is lost can be fetched anew
# The same two of a history on the machine. The first has the time at which Drive's changed.
COPY: Final = ".git/kept.bundle"
NOTE: Final = ".git/origin.json"


def pull_history(folder: Folder, kept: Path, step: Step | None = None, *, anew: bool = False) -> Path:
    """Bring the history kept in the folder `kept` on Drive to the machine; return its place, which may hold nothing.
    Where we have kept none, a repository that a person or 1.2.0 made there is read.
    """
    history, old, extension = folder.history(kept), kept / ".git", kept.parent == folder.kept / "extensions"
    if not (history / ".git" / "HEAD").exists():
        git("init", "--quiet", "--template=", "--", str(history))
    copy, there = history / COPY, changed_at(kept / BUNDLE)
    if newest_held(history) and there in (None, changed_at(copy)):
        return history
    others = not there and (old / "objects").is_dir()
    origin = (origin_of_old(old) if others else read_object(kept / ORIGIN)) if extension else {}
    if not (there or others or origin):
        return history
    clear_stale_locks(history)
    if origin.get("url"):
        note_origin(history, origin)
    try:
        if there:
            copy.unlink(missing_ok=True)
            shutil.copyfile(kept / BUNDLE, copy)
        if others:
            take_over(history, kept)
        else:
            take_bundle(history, copy)
    except (CommandError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in LOST:
            raise
        if not (anew or is_sound(history / ".git")):  # it is the machine's own, by a disk that was full, for example
            shutil.rmtree(history / ".git")
            return pull_history(folder, kept, step, anew=True)
        copy.write_bytes(b"")
        how = "it is replaced" if newest_held(history) or not extension else fetch_anew(history, step)
        if step:
            step.notice(f"The copy of {kept.name} on Google Drive was damaged: {how}.", about=f"copy of {kept}")
    else:
        if step and there and extension and not origin_of(history):
            step.notice(
                f"Where the extension {kept.name} came from is not known any more: that note on Google Drive was "
                "damaged. It works, but to update it, remove it and add it again.",
                about=f"origin of {kept}",
            )
    if there:
        os.utime(copy, ns=(there, there))
    return history


def push_history(folder: Folder, kept: Path) -> None:
    """Keep on Drive what the machine's copy of the history has and Drive has not."""
    noted = origin_of(folder.history(kept))
    history = pull_history(folder, kept)  # what another machine has kept there meanwhile stays
    copy, origin = history / COPY, history / NOTE
    if noted:
        note_origin(history, noted)
    refs = sorted(git("for-each-ref", "--format=%(objectname) %(refname)", COMMITS, at=history).splitlines())
    if refs and (changed_at(copy) != changed_at(kept / BUNDLE) or heads_in(copy) != refs):
        git("bundle", "create", "--quiet", str(copy), f"--glob={COMMITS}*", at=history)
        put_on_drive(folder, copy, kept / BUNDLE)
        changed = changed_at(kept / BUNDLE) or 0
        os.utime(copy, ns=(changed, changed))
    if refs and origin_of(history) and read_object(origin) != read_object(kept / ORIGIN):
        put_on_drive(folder, origin, kept / ORIGIN)


def put_on_drive(folder: Folder, local: Path, target: Path) -> None:
    """Copy a file to Drive: it gets its name once it is whole. What is in its way is set aside. Raises `OSError`."""
    make_way(folder.kept, target)
    make_folder_below(folder.kept, target.parent)
    copy_whole(local, target, target.with_name(f"{target.name}{PART}"))


def changed_at(path: Path) -> int | None:
    """When a file was changed, in nanoseconds; None where there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


def take_bundle(history: Path, bundle: Path) -> None:
    """Take all that is in a bundle. Raises `CommandError` for a damaged one."""
    heads = heads_in(bundle)
    named = re.findall(rf"^([0-9a-f]{{40}}) {COMMITS}\1$", "\n".join(heads), re.MULTILINE)
    if not heads or len(named) != len(heads):
        raise CommandError(["git", "bundle", "list-heads", str(bundle)], 1, "not each name is its commit's")
    shallow = history / ".git" / "shallow"  # commits without those before them: a bundle does not say which
    before = shallow.read_text(errors="replace") if shallow.exists() else ""
    shallow.write_text("".join(f"{commit}\n" for commit in sorted({*before.split(), *named})))
    try:
        git("bundle", "unbundle", str(bundle), at=history)  # each object; `fetch` looks at none that is there already
        git("fetch", "--quiet", "--no-tags", "--force", str(bundle), f"{COMMITS}*:{COMMITS}*", at=history)
    except CommandError:
        shallow.write_text(before)
        raise


def take_over(history: Path, kept: Path) -> None:
    """Take the commit that is used of another's repository on Drive. Raises `CommandError` for a damaged one."""
    with without_settings(kept) as sound:
        try:
            fetch_commit(history, f"file://{sound}", "refs/oneclick/used")  # the name that 1.2.0 had for it
        except CommandError:
            fetch_commit(history, f"file://{sound}", "HEAD")


@contextmanager
def without_settings(kept: Path) -> Iterator[Path]:
    """Another's repository on Drive, with its objects and names, but with no settings of its own: they name programs,
    and damaged ones hide a sound repository from git.
    """
    with tempfile.TemporaryDirectory() as place:
        made, there = Path(place), kept / ".git"
        git("init", "--quiet", "--bare", "--template=", "--initial-branch=none", str(made))
        (made / "objects" / "info").mkdir(exist_ok=True)
        (made / "objects" / "info" / "alternates").write_text(f"{there / 'objects'}\n")
        names = [path for pattern in NAMES for path in there.glob(pattern) if path.is_file()]
        for path in names:
            with suppress(Problem, OSError):  # without that name
                text, copy = read_bytes(path), joined(made, str(path.relative_to(there)))
                if path.name != "HEAD" or re.match(rb"(ref: refs/heads/|[0-9a-f]{40})", text):
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(text)
        yield made


def origin_of_old(repository: Path) -> dict[str, str | None]:
    """What `note_origin` takes, of a `.git` that a person or 1.2.0 made."""
    at = f"--git-dir={repository}"  # else git looks further up for one that it can read
    names = {"url": "remote.origin.url", "followed": "oneclick.branch"}
    origin = {what: answer(at, "config", "--get", name) for what, name in names.items()}
    return origin | {"branch": answer(at, "symbolic-ref", "--short", "--quiet", "HEAD")}


def fetch_anew(history: Path, step: Step | None) -> str:
    """Fetch the commit of an extension that is used; return how it went. Nobody else knows its address."""
    origin = origin_of(history)
    if "url" not in origin:
        return "nobody knows where it came from. Remove the extension, and add it again"
    try:
        fetch_commit(history, origin["url"], origin.get("used", "HEAD"), step)
    except CommandError as error:
        return f"it could not be downloaded again ({last_words(error)}). The next start tries it once more"
    return "it was downloaded again and is replaced"


def note_origin(history: Path, found: Mapping[str, str | None]) -> None:
    """Note where an extension's history comes from: `url`; the `branch` its checkouts are on; `followed`, a branch that
    a person chose in place of the main one; the commit that is `used`.
    """
    write_object(history / NOTE, {name: text for name, text in found.items() if text})


def origin_of(history: Path) -> dict[str, str]:
    found = {name: text for name, text in read_object(history / NOTE).items() if isinstance(text, str)}
    if not re.fullmatch(r"[0-9a-f]{40}", found.get("used", "")):  # git would take much more for something to fetch
        found.pop("used", None)
    return found


def used_commit(history: Path) -> str | None:
    """The commit of a history to use where none is asked for: the one that was used last, else the youngest."""
    used = origin_of(history).get("used")
    return used if used and holds(history, used) else newest_held(history)


def newest_held(history: Path) -> str | None:
    listed = answer("for-each-ref", "--sort=-committerdate", "--format=%(objectname)", COMMITS, at=history) or ""
    return next((line for line in listed.splitlines() if len(line) == 40), None)  # there may be warnings, too


def heads_in(bundle: Path) -> list[str]:
    """The commits in a bundle, each with its name; nothing where it cannot be read."""
    return sorted((answer("bundle", "list-heads", str(bundle)) or "").splitlines())
