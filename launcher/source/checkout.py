"""Repositories: what is wanted of each in its history, which is kept on Drive, and its files on the machine."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from launcher.core.folder import PART, Folder, make_folder_below
from launcher.core.problem import Problem
from launcher.core.process import CommandError
from launcher.core.status import Step
from launcher.source.git import (
    BUSY_MARK,
    PLACED_MARK,
    answer,
    changed_files,
    clear_stale_locks,
    fetch_commit,
    git,
    head_of,
    holds,
    is_sound,
    last_words,
    setting,
)
from launcher.source.kept import note_origin, origin_of, pull_history, push_history, without_settings

WEBUI_URL: Final = "https://github.com/AUTOMATIC1111/stable-diffusion-webui.git"
# Where to look when a repository is not at the address A1111 v1.10.1 has for it.
MIRRORS: Final = {
    # Gone from GitHub since December 2025 (AUTOMATIC1111#17204); A1111's own dev branch uses w-e-w's copy (#17207).
    "stable-diffusion-stability-ai": (
        "https://github.com/w-e-w/stablediffusion.git",
        "https://github.com/NUROISEA/stablediffusion.git",
    ),
}
# A1111's name of the variable -> the folder below repositories/ (modules/launch_utils.py, v1.10.1).
SUB_REPOSITORIES: Final = {
    "ASSETS": "stable-diffusion-webui-assets",
    "STABLE_DIFFUSION": "stable-diffusion-stability-ai",
    "STABLE_DIFFUSION_XL": "generative-models",
    "K_DIFFUSION": "k-diffusion",
    "BLIP": "BLIP",
}
MAIN: Final = "master"  # the branch of a checkout whose repository has no other name for it
# Where people put files of their own beside A1111's.
OWN: Final = ("scripts/*.py", "localizations/*.json")
EDITS: Final = "kept-changes"  # the folder on Drive with files that people changed on the machine


@dataclass(frozen=True)
class Repository:
    """One repository: its folder below the web UI's, the addresses in order, and what to run of it."""

    folder: str  # "." for the web UI itself
    urls: tuple[str, ...]
    wanted: str  # a branch, or a commit of 40 hex digits


def check_out(folder: Folder, repository: Repository, files: Path, step: Step, *, anew: bool = False) -> str:
    """Check a repository out at `files` on the machine, and keep its history on Drive; return the commit. Raises
    `Problem`. Every step may be cut and done again.
    """
    kept = folder.kept / repository.folder
    try:
        history = pull_history(folder, kept, step)
        commit = keep_history(folder, history, repository, step)
        push_history(folder, kept)  # first: a checkout of which Drive has nothing counts as one taken away there
        put_files(folder, history, commit, files, step)
        return commit
    except (CommandError, Problem):
        if anew or not discard_damaged(folder.history(kept), files):
            raise
        return check_out(folder, repository, files, step, anew=True)


def discard_damaged(*on_machine: Path) -> bool:
    """After a failure: throw away what git has of its own there, if any of it is damaged; it comes anew from Drive."""
    there = [place / ".git" for place in on_machine if (place / ".git").exists()]
    if all(map(is_sound, there)):
        return False
    for git_dir in there:
        shutil.rmtree(git_dir)
    return True


def keep_history(folder: Folder, history: Path, repository: Repository, step: Step) -> str:
    """Make sure that a history on the machine has what is wanted; return the commit. Raises `Problem`."""
    wanted, failure = repository.wanted, "there is no address of it"
    pinned = re.fullmatch(r"[0-9a-f]{40}", wanted)
    if pinned and holds(history, wanted):
        return wanted
    clear_stale_locks(history)
    there = folder.kept / repository.folder  # a repository that others made on Drive may have that commit
    if pinned and (there / ".git" / "objects").is_dir():
        with without_settings(there) as sound, suppress(CommandError):
            return fetch_commit(history, f"file://{sound}", wanted, step)
    for url in repository.urls:
        try:
            commit = fetch_commit(history, url, wanted, step)
        except CommandError as error:
            failure = f"{url}: {last_words(error)}"
            continue
        if not pinned:
            origin: dict[str, str | None] = {**origin_of(history)}
            if not origin:
                followed = wanted if wanted != "HEAD" else None
                main = re.match(r"ref: refs/heads/(\S+)", answer("ls-remote", "--symref", "--", url, "HEAD") or "")
                origin = {"url": repository.urls[-1], "followed": followed, "branch": followed or (main and main[1])}
            note_origin(history, origin | {"used": commit})
        return commit
    name = "AUTOMATIC1111" if there == folder.kept else repository.folder
    raise Problem(
        f"The source of {name} could not be downloaded: {failure}.",
        "Check that the runtime is connected to the internet, wait a minute, and press ▶ again.",
    )


def branch_of(history: Path) -> str:
    """The branch that a history's checkouts are on; git says whether what Drive has can be the name of one."""
    return answer("check-ref-format", "--branch", origin_of(history).get("branch", MAIN)) or MAIN


def put_files(folder: Folder, history: Path, commit: str, files: Path, step: Step) -> None:
    """Check `commit` out at `files`, from the history. HEAD moves last, so HEAD tells."""
    if not (files / ".git" / "HEAD").exists():
        files.mkdir(parents=True, exist_ok=True)
        git("init", "--quiet", "--template=", "--", str(files))
    clear_stale_locks(files)
    busy = files / ".git" / BUSY_MARK
    if busy.exists() or head_of(files) != commit:
        if not busy.exists():  # a checkout that was cut off in the middle looks like changes of a person
            keep_edits(folder, files, step)
        busy.touch()
        objects, shallow = files / ".git" / "objects" / "info" / "alternates", files / ".git" / "shallow"
        objects.parent.mkdir(parents=True, exist_ok=True)
        objects.write_text(f"{history / '.git' / 'objects'}\n")  # nothing is copied
        known = shallow.read_text(errors="replace").split() if shallow.exists() else []
        shallow.write_text("".join(f"{one}\n" for one in sorted({*known, commit})))
        # On a branch: A1111 cannot read an extension that is on none (modules/extensions.py asks for the active one).
        git("checkout", "--quiet", "--force", "-B", branch_of(history), commit, at=files)
    (files / ".git" / PLACED_MARK).write_text(commit)
    busy.unlink(missing_ok=True)


def keep_edits(folder: Folder, files: Path, step: Step, git_dir: Path | None = None) -> bool:
    """Copy the files that people changed in a checkout to a folder of their own on Drive; False if there are none.
    It is named by what is in it, so that it is made, and said, once. Links out of the checkout are left out.
    """
    inside = files.resolve()
    paths = {name: files / name for name in changed_files(files, git_dir)}
    changed = [name for name, path in paths.items() if path.is_file() and path.resolve().is_relative_to(inside)]
    digest = hashlib.sha256(b"".join(os.fsencode(name) + (files / name).read_bytes() for name in changed)).hexdigest()
    aside = folder.kept / EDITS / f"{files.name}-{digest[:8]}"
    if changed and not aside.exists():
        part = aside.with_name(f"{aside.name}{PART}")
        for name in changed:
            make_folder_below(folder.kept, (part / name).parent)
            shutil.copyfile(files / name, part / name)
        os.replace(part, aside)
        names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        step.notice(
            f"{files.name} contains changes you made ({names}). They are kept in {EDITS}/{aside.name} on your Drive; "
            "the web UI uses the published files."
        )
    return bool(changed)


def keep_edits_on_drive(folder: Folder, step: Step) -> None:
    """Keep what people changed in A1111's files in the folder on Drive, where launchers of 2023 had them."""
    if (folder.kept / ".git" / "index").exists():
        with without_settings(folder.kept) as sound:
            keep_edits(folder, folder.kept, step, sound)
            at = (f"--git-dir={sound}", f"--work-tree={folder.kept}")
            names = (answer(*at, "ls-files", "--others", "-z", "--", *OWN) or "").strip("\0").split("\0")
        if names[0]:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
            step.notice(
                f"Files of your own beside AUTOMATIC1111's ({listed}) stay on your Drive, but are not loaded. To use "
                "them, move them into extensions/mine/scripts or extensions/mine/localizations in the same folder, and "
                "press **Restart the web UI**."
            )


# ---- A1111 itself, and the repositories it needs


def check_out_version(folder: Folder, commit: str, step: Step) -> None:
    """Check that very commit of A1111 out on the machine. Raises `Problem` if neither Drive nor GitHub has it."""
    check_out(folder, Repository(".", (WEBUI_URL,), commit), folder.code, step)


def check_out_sub_repositories(folder: Folder, step: Step) -> None:
    """Check out the five repositories A1111 needs, side by side, by way of Drive; fetch only what Drive has not."""
    repositories = sub_repositories(folder.code)
    with ThreadPoolExecutor(len(repositories) or 1) as pool:
        waiting = [pool.submit(check_out, folder, one, folder.code / one.folder, step) for one in repositories]
        for ready, future in enumerate(as_completed(waiting), 1):
            future.result()
            step.say(f"{ready} of {len(repositories)} parts ready")


def sub_repositories(code: Path) -> list[Repository]:
    """The repositories A1111 would clone itself, read from its own `modules/launch_utils.py`. The same variables as
    A1111's override them (STABLE_DIFFUSION_REPO, STABLE_DIFFUSION_COMMIT_HASH …).
    """
    place = code / "modules" / "launch_utils.py"
    if not place.exists():  # up to v1.3
        what = "This version of AUTOMATIC1111 is too old for the launcher."
        raise Problem(what, "Write v1.10.1 into **version** under **Choices**, press **Apply**, and then ▶.")
    text = place.read_text()
    declared: dict[str, str] = dict(
        re.findall(r"""environ\.get\(['"](\w+_(?:REPO|COMMIT_HASH))['"],\s*['"]([^'"]+)['"]\)""", text)
    )
    found = []
    for variable, name in SUB_REPOSITORIES.items():
        url, commit = declared.get(f"{variable}_REPO"), declared.get(f"{variable}_COMMIT_HASH")
        if url and commit:
            chosen = os.environ.get(f"{variable}_REPO")
            urls = (chosen,) if chosen else (*MIRRORS.get(name, ()), url)
            found.append(Repository(f"repositories/{name}", urls, os.environ.get(f"{variable}_COMMIT_HASH", commit)))
    return found


# ---- repositories inside a repository


def put_whole(folder: Folder, repository: Repository, history: Path, files: Path, step: Step) -> None:
    """Put a commit's files there, as `git clone` would, with what lies inside it, whose commits are kept in the same
    history. A part that cannot be had is said.
    """
    put_files(folder, history, repository.wanted, files, step)
    look_cloned(files, repository.urls[0], branch_of(history), repository.wanted)
    for path, inner in submodules(history, repository):
        try:
            keep_history(folder, history, inner, step)
        except Problem as problem:
            what = f"A part of {Path(repository.folder).name} could not be downloaded ({path}): {problem.what}"
            step.notice(what, about=inner.folder)
            continue
        put_whole(folder, inner, history, files / path, step)


def look_cloned(files: Path, url: str, branch: str, commit: str) -> None:
    """What `git clone` would have written beside the files: A1111's Extensions tab and extensions update by it."""
    if setting(files, "remote.origin.url") != url:
        git("config", "remote.origin.url", url, at=files)
        git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*", at=files)
    git("update-ref", f"refs/remotes/origin/{branch}", commit, at=files)
    git("branch", "--quiet", f"--set-upstream-to=origin/{branch}", branch, at=files)


def submodules(history: Path, around: Repository) -> Iterator[tuple[str, Repository]]:
    """Each submodule of a commit, with its path in the repository around it, where relative addresses start. Only https
    addresses, and folders below the repository, are given: `.gitmodules` is written by strangers.
    """
    tree = git("ls-tree", "-r", "-z", around.wanted, at=history)
    entries = re.findall(r"160000 commit ([0-9a-f]{40})\t([^\0]+)", tree)
    config = ("config", "--blob", f"{around.wanted}:.gitmodules", "--null", "--list")
    listed = answer(*config, at=history) if entries else None
    named: dict[str, dict[str, str]] = {}
    for name, what, value in re.findall(r"submodule\.([^\0]+)\.(path|url)\n([^\0]*)", listed or ""):
        named.setdefault(name, {})[what] = value
    urls = {one.get("path"): absolute(one.get("url", ""), around.urls[0]) for one in named.values()}
    for pinned, path in entries:
        url = urls.get(path)
        if url and not path.startswith("/") and not {"..", ".git"} & {*path.split("/")}:
            yield path, Repository(f"{around.folder}/{path}", (url,), pinned)


def absolute(url: str, origin: str) -> str | None:
    """A submodule's address as one for https. A relative one starts from the repository around it."""
    if url.startswith(("./", "../")):
        url = urljoin(f"{origin.removesuffix('/')}/", url)
    url = re.sub(r"^(?:ssh://)?git@([\w.-]+)[:/]", r"https://\1/", url)
    url = re.sub(r"^(?:http|git)://", "https://", url)
    return url if re.fullmatch(r"https://[\w.-]+(?::\d+)?(?:/[\w.~+-]+)+/?", url) else None
