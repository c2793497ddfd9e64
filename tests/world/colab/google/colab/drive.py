"""google.colab.drive: "Drive" is the folder WORLD_DRIVE, which outlives the runtime."""

import os
from pathlib import Path


class MessageError(Exception):
    """As google.colab._message raises it."""


def mount(mountpoint: str, force_remount: bool = False) -> None:
    told = os.environ.get("WORLD_MOUNT_FAILS", "")
    if told == "denied":
        raise MessageError("Error: credential propagation was unsuccessful")
    if told:
        raise ValueError(told)
    where = Path(mountpoint)
    if where.is_dir() and any(where.iterdir()):
        raise ValueError("Mountpoint must not already contain files")
    where.mkdir(parents=True, exist_ok=True)
    (where / "MyDrive").symlink_to(os.environ["WORLD_DRIVE"])
    print(f"Mounted at {mountpoint}")


def flush_and_unmount() -> None:
    pass
