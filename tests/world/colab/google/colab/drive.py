"""google.colab.drive: "Drive" is a FUSE mount of the folder WORLD_DRIVE, which outlives the runtime
(tests/world/drive.py).

What `mount` does in what order is as read in Google's source (colabtools 3c07d77): consent, a look whether it is
mounted, the end of any mount there is, the checks of the mount point, the mount.
"""

import os
import subprocess
import time
from pathlib import Path


class MessageError(Exception):
    """As google.colab._message raises it."""


def mount(mountpoint: str, force_remount: bool = False) -> None:
    told = os.environ.get("WORLD_MOUNT_FAILS", "")
    if told == "denied":
        raise MessageError("Error: credential propagation was unsuccessful")
    if told:
        raise ValueError(told)
    if os.path.isdir(f"{mountpoint}/MyDrive") and not force_remount:
        print(
            f"Drive already mounted at {mountpoint}; to attempt to forcibly remount, call "
            "drive.mount(force_remount=True)."
        )
        return
    time.sleep(float(os.environ.get("WORLD_CONSENT_SECONDS", "0")))
    subprocess.run(["fusermount3", "-u", "-z", "-q", mountpoint], check=False)
    where = Path(mountpoint)
    if where.is_dir() and any(where.iterdir()):
        raise ValueError("Mountpoint must not already contain files")
    where.mkdir(parents=True, exist_ok=True)
    drive, control = os.environ["WORLD_DRIVE"], os.environ["WORLD_DRIVE"] + ".json"
    command = [os.environ["WORLD_DRIVE_PYTHON"], os.environ["WORLD_DRIVE_PROGRAM"], drive, mountpoint, control]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 30
    while not os.path.isdir(f"{mountpoint}/MyDrive"):
        if process.poll() is not None or time.monotonic() > end:
            raise ValueError("mount failed")
        time.sleep(0.02)
    print(f"Mounted at {mountpoint}")


def flush_and_unmount() -> None:
    pass
