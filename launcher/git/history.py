"""Git histories on Drive, worked on as copies on the machine: git itself never touches Drive.

One git command opens some forty files. Each takes 20 ms or more on Drive, and git dies of what Drive does not know
(chmod) or leaves its locks there when it is cut. So only whole files go to and fro, a few at a time side by side, and
what is named last counts: objects, then the names of commits.
"""

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, make_folder_below
from launcher.git.git import OUR_BRANCHES, OUR_REF

SMALL_FILES: Final = ("config", "packed-refs", "shallow", OUR_REF)
# Shared by all histories: five that start eight threads each wait for one another (50 of the launcher's 500 ms).
FILES: Final = ThreadPoolExecutor(16, "files on Drive")
KEPT_MARK: Final = "oneclick-kept"  # in the copy: what Drive has of it, so that nothing need be looked for there


def pull_history(folder: Folder, kept: Path) -> Path:
    """Bring what is new of the history at `kept` on Drive to the machine; return the copy's place, which may hold
    nothing yet.
    """
    origin, local = kept / ".git", folder.history(kept) / ".git"
    for name in ("objects/pack", "refs/heads", "refs/oneclick"):
        (local / name).mkdir(parents=True, exist_ok=True)
    head = FILES.submit(content_of, origin / "HEAD")
    ours = FILES.submit(our_branches, origin)
    there = set(objects_in(origin))
    missing = [name for name in there if not (local / name).exists()]
    list(FILES.map(lambda name: copy_object(origin / name, local / name), missing))
    branch = re.fullmatch(r"ref: (refs/heads/\S+)\s*", head.result().decode(errors="replace"))
    names = [*SMALL_FILES, *ours.result(), *([branch[1]] if branch else [])]
    small = dict(zip(names, FILES.map(lambda name: content_of(origin / name), names), strict=True))
    for name, content in {**small, "HEAD": head.result()}.items():  # HEAD last: with it the history counts as begun
        if content and content_of(local / name) != content:
            (local / name).parent.mkdir(parents=True, exist_ok=True)
            write_name(local / name, content)
    write_name(local / KEPT_MARK, fingerprint(local) if set(objects_in(local)) <= there else b"")
    return local.parent


def push_history(folder: Folder, kept: Path) -> None:
    """Keep on Drive what the machine's copy of the history has and Drive has not. Files people have there stay as they
    are.
    """
    target, local = kept / ".git", folder.history(kept) / ".git"
    state = fingerprint(local)
    if content_of(local / KEPT_MARK) == state:
        return
    for name in ("objects/pack", "refs/heads", "refs/oneclick"):
        make_folder_below(folder.kept, target / name)
    there = set(objects_in(target))
    missing = [name for name in objects_in(local) if name not in there]
    for indexes in (False, True):  # a pack counts once its index is there
        some = [name for name in missing if name.endswith(".idx") is indexes]
        list(FILES.map(lambda name: copy_object(local / name, target / name), some))
    for name in ("config", "shallow", *our_branches(local), OUR_REF, "HEAD"):
        content, there_now = content_of(local / name), content_of(target / name)
        if content != there_now and not (there_now and name in ("config", "HEAD")):
            write_name(target / name, content)
    for place in (target, target / "objects" / "pack", target / "refs" / "heads", target / "refs" / "oneclick"):
        for name in names_in(place):
            if name.startswith("tmp_") or name.endswith(".lock"):  # what a killed git, or we, left half written
                (place / name).unlink()
    write_name(local / KEPT_MARK, state)


def fingerprint(repository: Path) -> bytes:
    """Changes whenever there is something to keep."""
    names = ["shallow", *our_branches(repository), OUR_REF]
    text = "\n".join(
        [*sorted(objects_in(repository)), *(f"{name} {content_of(repository / name)!r}" for name in names)]
    )
    return hashlib.sha256(text.encode()).hexdigest().encode()


def our_branches(repository: Path) -> list[str]:
    """The branches we made, as paths relative to the repository."""
    return [
        f"refs/heads/{name}"
        for name in names_in(repository / "refs" / "heads")
        if name.startswith(OUR_BRANCHES) and not name.endswith(".lock")
    ]


def objects_in(repository: Path) -> Iterator[str]:
    """The files of a repository that hold objects, as paths relative to it: packs that have an index, and single
    objects.
    """
    packs = set(names_in(repository / "objects" / "pack"))
    for name in packs:
        stem, _, ending = name.rpartition(".")
        if ending in ("pack", "idx") and {f"{stem}.pack", f"{stem}.idx"} <= packs:
            yield f"objects/pack/{name}"
    folders = [name for name in names_in(repository / "objects") if re.fullmatch(r"[0-9a-f]{2}", name)]
    for folder, names in zip(
        folders, FILES.map(lambda name: names_in(repository / "objects" / name), folders), strict=True
    ):
        yield from (f"objects/{folder}/{name}" for name in names if re.fullmatch(r"[0-9a-f]{38}", name))


def names_in(folder: Path) -> list[str]:
    """What a folder holds; nothing where it is not there, as in a `.git` that is a file: its history is elsewhere."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def content_of(path: Path) -> bytes:
    """A small file's content; nothing where it is not there."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""


def copy_object(source: Path, target: Path) -> None:
    """Copy one file of objects. It gets its name when it is whole; until then it has one that git gives such files."""
    target.parent.mkdir(exist_ok=True)
    part = target.with_name(f"tmp_{threading.get_ident()}_{target.name}")
    shutil.copyfile(source, part)
    os.replace(part, target)


def write_name(path: Path, content: bytes) -> None:
    """Write a file that says which commit a name stands for, as git does it: beside it under .lock, then in its
    place.
    """
    part = path.with_name(f"{path.name}.{threading.get_ident()}.lock")
    part.write_bytes(content)
    os.replace(part, path)
