"""Where everything lives, how much room there is, and how a file is written so that a cut never hurts."""

import errno
import hashlib
import itertools
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Final

from launcher.core.problem import Problem

GB: Final = 1_000_000_000
WEBUI_FOLDER: Final = "stable-diffusion-webui"  # in drive_folder, as this launcher and most before it have it
# What Google's program calls My Drive on a person's own computer, in its languages.
MY_DRIVE: Final = (
    "(?:my ?drive|Meine Ablage|Mi unidad|Mon Drive|Meu Drive|Il mio Drive|Mijn Drive|Mój dysk|Мой диск|マイドライブ"
    "|내 드라이브|我的云端硬盘|我的雲端硬碟)"
)
WRITABLE: Final = ".oneclick-try"  # written and deleted at each start: may the folder on Drive be written to?
CHECKPOINT: Final = r"(?i)(?<!\.vae)\.(safetensors|ckpt)$"  # a name that A1111 lists; a VAE beside one is none
LONGEST_DATA_NAME: Final = 200  # bytes
LONGEST_FREE_NAME: Final = 240  # bytes; every file system takes as many, with a few more for a number
SHORT_NAME: Final = 96  # bytes of a name that is shortened
PART: Final = ".part"  # ending of a file that is not whole yet; nothing trusts such a file
# Launches and cells are threads of one service: they prepare the folder, and write a file, one after the other.
preparing: Final = threading.Lock()
writing: Final[dict[Path, threading.Lock]] = {}


@dataclass(unsafe_hash=True)
class Folder:
    """The layout. `kept` is on Google Drive, `machine` on the runtime's own disk.

    `my_drive` is the top of Drive, where a web UI's folder may lie directly; else it is two folders above `kept`.
    """

    kept: Path  # .../MyDrive/asd1111/stable-diffusion-webui
    machine: Path  # /content/oneclick
    models_kept: bool = True
    my_drive: InitVar[Path | None] = None

    def __post_init__(self, my_drive: Path | None) -> None:
        self.drive = my_drive or self.kept.parent.parent
        *above, last = self.kept.relative_to(self.drive).parts
        name = "__".join(above if above and last == WEBUI_FOLDER else (*above, last))
        # Drive takes longer ones than this machine's disk; A1111 puts the path into addresses and patterns as it is.
        if len(name.encode()) > LONGEST_DATA_NAME or not re.fullmatch(r"[\w .()-]+", name):
            plain = re.sub(r"[^\w .()-]", "_", name)
            name = f"{plain[:30]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        self.code = self.machine / WEBUI_FOLDER  # A1111's files
        self.data = self.machine / "data" / name  # A1111's --data-dir, one for each folder on Drive
        self.python = self.machine / "python"
        self.session = self.machine / "session"  # pids, logs, the password: the owner's, outside of what A1111 serves
        self.tools = self.machine / "tools"
        self.models = self.kept / "models" if self.models_kept else self.machine / "models"
        self.old_checkpoint = self.kept / "model.ckpt"  # of launchers of 2023: beside A1111's files

    def history(self, kept: Path) -> Path:
        """Where the machine's copy of the git history at `kept` on Drive is (`pull_history` brings it)."""
        return self.machine / "history" / kept.relative_to(self.kept)

    def prepare(self) -> None:
        """Make the folders. Raises `Problem` for one that cannot be used."""
        if any(part.startswith(".") for part in self.machine.parts):
            raise Problem(
                f"The web UI cannot run in {self.machine}: it does not show files in "
                "folders whose names begin with a dot.",
                "Set ONECLICK_HOME to another folder and press ▶ again.",
            )
        with preparing:
            try:
                for name in ("models/Stable-diffusion", "repositories", "extensions"):
                    make_folder_below(self.drive, self.kept / name)
                write_safely(self.kept / WRITABLE, "")
                (self.kept / WRITABLE).unlink()
            except OSError as error:
                raise unusable_folder(self, error) from error
            self.session.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.data.mkdir(parents=True, exist_ok=True)
            models = self.data / "models"  # one link to the models, or what `drive.linked` made of it
            if not self.models_kept and models.is_dir() and not models.is_symlink():
                os.replace(models, self.machine / f"models-{time.time_ns()}")  # of a launch whose models were kept
            (self.models / "Stable-diffusion").mkdir(parents=True, exist_ok=True)
            point(models, self.models)

    def checkpoints(self) -> list[Path]:
        """Every checkpoint A1111 lists, as it finds them: below the data directory. Raises `OSError` where there seems
        to be none because Drive does not list a folder.
        """
        unlisted = list[OSError]()
        paths = files_below(self.data / "models" / "Stable-diffusion", unlisted.append, followlinks=True)
        found = sorted(path for path in paths if re.search(CHECKPOINT, path.name) and not leads_nowhere(path))
        if not found and (lost := [error for error in unlisted if error.errno == errno.EIO]):
            raise lost[0]
        return found or ([self.old_checkpoint] if self.old_checkpoint.exists() else [])

    def dead_shortcuts(self) -> list[str]:
        """The shortcuts in the folder on Drive that lead nowhere, relative to it: a launch leaves them out."""
        below = (files_below(self.kept / name) for name in ("models", "embeddings", "extensions"))
        found = filter(leads_nowhere, itertools.chain(self.kept.glob("*"), *below))
        return sorted(str(path.relative_to(self.kept)) for path in found)


def point(link: Path, target: Path) -> None:
    """Have a link lead there. A file or folder that has its name, and is no link, stays."""
    if link.is_symlink() and Path(os.readlink(link)) != target:
        link.unlink()
    if not os.path.lexists(link):
        link.symlink_to(target)


def leads_nowhere(path: Path) -> bool:
    """True for a shortcut (a link) whose file is gone. Only links cost a look at what they lead to."""
    return path.is_symlink() and not path.exists()


def files_below(
    root: Path, unlisted: Callable[[OSError], object] = lambda error: None, *, followlinks: bool = False
) -> Iterator[Path]:
    """All but git's own."""
    for where, folders, names in os.walk(root, onerror=unlisted, followlinks=followlinks):
        folders[:] = [name for name in folders if name != ".git"]
        yield from (Path(where, name) for name in names)


def largest_files(root: Path) -> str:
    """The three largest files that a person could delete, with their sizes; "" where there is none."""
    found = []
    for path in files_below(root):
        with suppress(OSError):  # it was deleted meanwhile
            found.append((path.lstat().st_size, str(path.relative_to(root))))
    return ", ".join(f"{name} ({size / GB:.1f} GB)" for size, name in sorted(found, reverse=True)[:3])


def unusable_folder(folder: Folder, error: OSError) -> Problem:
    """Why the folder on Drive cannot be used, in one sentence; raises `error` again where nobody foresaw it."""
    again = "or write another name into the field **drive_folder**, and press ▶ again."
    on_the_way = [path for path in (*reversed(folder.kept.parents), folder.kept) if folder.drive in path.parents]
    inside = [folder.kept / name for name in ("models", "models/Stable-diffusion", "extensions")]
    for part in (*on_the_way, *inside):
        name = f"{part.relative_to(folder.drive)} on your Drive"
        if leads_nowhere(part):
            what = f"{name} is a shortcut to a folder that no longer exists."
            return Problem(what, f"Delete the shortcut on Google Drive, {again}")
        if part.exists() and not part.is_dir():
            what = f"{name} is a file, but the launcher needs a folder with that name."
            return Problem(what, f"Rename the file on Google Drive, {again}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        what = "is read-only: it was probably shared with you without permission to edit."
        return Problem(f"{on_the_way[0].name} on your Drive {what}", f"Ask its owner to let you edit it, {again}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Problem("Google Drive is full.", "Delete what you do not need, empty Drive's trash, and press ▶ again.")
    raise error


def free_bytes(path: Path) -> int:
    """Bytes free on the disk that holds `path`, which need not exist yet."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def to_be_emptied(where: str) -> str:
    """The disk, as a person frees room on it: what is deleted on Google Drive takes room until its trash is emptied."""
    return f"{where} (empty its trash too)" if where == "Google Drive" else where


def require_room(path: Path, needed: int, where: str, what: str, largest_below: Path | None = None) -> None:
    """Raise a `Problem` if `needed` bytes do not fit there; it names the largest files below `largest_below`."""
    free = free_bytes(path)
    if free < needed:
        largest = largest_files(largest_below) if largest_below else ""
        named = f" The largest files there: {largest}." if largest else ""
        lacking = f"{max((needed - free) / GB, 0.1):.1f} GB on {to_be_emptied(where)}"
        raise Problem(
            f"{what} needs {needed / GB:.1f} GB, but {where} has only {free / GB:.1f} GB free.{named}",
            f"Free {lacking}, or choose a smaller model, and press ▶ again.",
        )


def make_folder_below(root: Path, path: Path) -> None:
    """Make `path` and the folders between it and `root`, but never `root` itself.

    While Drive is away its mount point is an empty folder of the machine's own disk. What was made there would be
    taken for what is on Drive, and Google never mounts on it again. Raises `OSError` (ENOTCONN, as a dead mount does).
    """
    if path == root:
        if not root.is_dir():
            raise OSError(errno.ENOTCONN, "Google Drive is not there", str(root))
        return
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError:
        make_folder_below(root, path.parent)
        path.mkdir(exist_ok=True)


def write_safely(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    """Write a small file so that a reader sees the old or the new content, never half of it.

    Threads may write it at once, and processes one that is for the owner only. On Drive only the service writes, and
    what a kill leaves there must have the name that it takes next time. A folder that has the name is put beside it.
    """
    owners_only = not mode & 0o077
    part = path.with_name(f".{path.name}{f'.{os.getpid()}' if owners_only else ''}{PART}")
    data = content.encode() if isinstance(content, str) else content
    with writing.setdefault(path, threading.Lock()):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(part, path)
        except IsADirectoryError:
            os.replace(path, path.with_name(f"{path.name}.{time.time_ns()}"))
            os.replace(part, path)
        except OSError:  # half a file would take the last room on a full Drive
            with suppress(OSError):
                part.unlink()
            raise


# ---- a name that nobody has, and a copy that is whole or not there


def alternatives(name: str) -> Iterator[str]:
    """The name, then the same with a number as Google Drive itself writes it: a/b.png, a/b (2).png and so on."""
    yield name
    folder, slash, last = name.rpartition("/")
    stem, ending = os.path.splitext(last if len(os.fsencode(last)) <= LONGEST_FREE_NAME else shortened(last))
    yield from (f"{folder}{slash}{stem} ({number}){ending}" for number in itertools.count(2))


def shortened(name: str) -> str:
    """A name that every file system takes, the same for the same name: its beginning in plain letters, and a number."""
    folder, slash, last = name.rpartition("/")
    stem, ending = os.path.splitext(last)
    plain = "".join(c for c in stem if c.isascii() and (c.isalnum() or c in "-_ "))[:SHORT_NAME].strip()
    ending = ending if ending.isascii() and ending[1:].isalnum() and len(ending) < 12 else ""
    return f"{folder}{slash}{plain}~{hashlib.sha256(os.fsencode(last)).hexdigest()[:10]}{ending}"


def free_path(path: Path, taken: Callable[[Path], object] = os.path.lexists) -> Path:
    return next(free for name in alternatives(path.name) if not taken(free := path.with_name(name)))


def copy_whole(
    source: Path, target: Path, part: Path | None = None, check: Callable[[Path], None] = lambda part: None
) -> None:
    """Copy a file with its time of change: as `part`, renamed once its size is right, and `check` raises nothing of it.
    Raises `OSError`.
    """
    part = part or target.with_name(f".{target.name[:60]}{PART}")
    try:
        shutil.copyfile(source, part)
        info = source.stat()
        if part.stat().st_size != info.st_size:
            raise OSError(errno.EIO, "the copy is incomplete")
        check(part)
        os.utime(part, ns=(info.st_atime_ns, info.st_mtime_ns))
        os.replace(part, target)
    except (OSError, Problem):
        with suppress(OSError):  # the disk is away, and with it the half copy; on Drive the next start sweeps it up
            part.unlink(missing_ok=True)
        raise


def can_be_written(folder: Path) -> bool:
    """True if one could make the folder and write there; nothing but the folder is left behind."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
