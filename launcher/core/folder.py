"""Where everything lives, how much room there is, and how a file is written so that a cut never hurts."""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.problem import Problem

GB: Final = 1_000_000_000
PART: Final = ".part"  # ending of a file that is not whole yet; nothing trusts such a file


@dataclass(frozen=True)
class Folder:
    """The layout. `kept` is on Google Drive, `machine` on the runtime's own disk."""

    kept: Path  # .../MyDrive/asd1111/stable-diffusion-webui
    machine: Path  # /content/oneclick
    models_kept: bool = True

    @property
    def code(self) -> Path:
        """A1111's files. No part of the path may begin with a dot (gradio 3.41 refuses such files)."""
        return self.machine / "stable-diffusion-webui"

    @property
    def data(self) -> Path:
        """A1111's --data-dir: one for each folder on Drive, so that none gets another's files."""
        return self.machine / "data" / self.kept.parent.name

    @property
    def python(self) -> Path:
        """The web UI's own Python environment."""
        return self.machine / "python"

    @property
    def session(self) -> Path:
        """Pids, logs, the password: readable by the owner only, outside of what A1111 serves."""
        return self.machine / "session"

    @property
    def tools(self) -> Path:
        """Programs the launcher itself needs, such as uv."""
        return self.machine / "tools"

    @property
    def models(self) -> Path:
        """Where models are put: on Drive, or on the runtime's disk."""
        return self.kept / "models" if self.models_kept else self.machine / "models"

    def history(self, kept: Path) -> Path:
        """Where the machine's copy of the git history at `kept` on Drive is (`pull_history` brings it)."""
        return self.machine / "history" / kept.relative_to(self.kept)

    def prepare(self) -> None:
        """Make the folders and the data directory's link to the models. Raises `Problem` for a place A1111 cannot live in."""
        if any(part.startswith(".") for part in self.machine.parts):
            raise Problem(
                f"The web UI cannot live in {self.machine}: it shows no files from folders whose name begins with a dot.",
                "Set ONECLICK_HOME to another folder and press ▶ again.",
            )
        on_drive = self.kept / "models" / "Stable-diffusion"
        for path in (on_drive, self.kept / "repositories", self.kept / "extensions"):
            make_folder_below(self.kept.parent.parent, path)
        self.data.mkdir(parents=True, exist_ok=True)
        if not self.models_kept:
            (self.models / "Stable-diffusion").mkdir(parents=True, exist_ok=True)
        self.session.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.session.chmod(0o700)
        link = self.data / "models"
        if not link.is_symlink() and link.is_dir():
            raise Problem(
                f"{link} is a folder, but the launcher needs that place for a link to your models.",
                "Move what is in it to your models folder, delete it, and press ▶ again.",
            )
        if not link.is_symlink() or Path(os.readlink(link)) != self.models:
            link.unlink(missing_ok=True)
            link.symlink_to(self.models)
        beside = self.models / "Stable-diffusion" / "Google Drive"
        if not self.models_kept and not beside.is_symlink():
            beside.symlink_to(on_drive)

    @property
    def old_checkpoint(self) -> Path:
        """Where launchers of 2023 put their one checkpoint: beside A1111's files."""
        return self.kept / "model.ckpt"

    def checkpoints(self) -> list[Path]:
        """Every checkpoint A1111 would list, on Drive or on the machine."""
        found: list[Path] = []
        for root in dict.fromkeys((self.models, self.kept / "models")):
            for where, _, names in os.walk(root / "Stable-diffusion", followlinks=True):
                found += [Path(where, n) for n in names if is_checkpoint_name(n)]
        return sorted(found) or ([self.old_checkpoint] if self.old_checkpoint.exists() else [])


def largest_files(root: Path, count: int = 3) -> list[tuple[str, int]]:
    """The largest files below `root` that a person could delete: (path relative to it, bytes)."""
    found = []
    for where, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f != ".git"]
        found += [(path.stat().st_size, str(path.relative_to(root))) for path in (Path(where, n) for n in names)]
    return [(name, size) for size, name in sorted(found, reverse=True)[:count]]


def is_checkpoint_name(name: str) -> bool:
    """True for a file A1111 lists as a checkpoint (a VAE beside it is none)."""
    lower = name.lower()
    return lower.endswith((".safetensors", ".ckpt")) and not lower.endswith((".vae.safetensors", ".vae.ckpt"))


def free_bytes(path: Path) -> int:
    """Bytes free on the disk that holds `path`, which need not exist yet."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def require_room(path: Path, needed: int, where: str, what: str) -> None:
    """Raise a `Problem` with the number missing if `needed` bytes do not fit on the disk of `path`."""
    free = free_bytes(path)
    if free < needed:
        raise Problem(
            f"{what} needs {needed / GB:.1f} GB, but {where} has only {free / GB:.1f} GB free.",
            f"Free {(needed - free) / GB:.1f} GB on {where} (empty its bin too), or choose a smaller model, and press ▶ again.",
        )


def make_folder_below(root: Path, path: Path) -> None:
    """Make `path` and the folders between it and `root`, but never `root` itself.

    While Drive is away its mount point is an empty folder of the machine's own disk. What was made there would be taken for
    what is on Drive, and Google refuses to mount on it ever again («must not already contain files»). Raises `OSError`
    (ENOTCONN, as a dead mount does) where `root` is not there.
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
    """Write a small file so that a reader sees the old or the new content, never half of it."""
    part = path.with_name(f".{path.name}{PART}")
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.replace(part, path)
