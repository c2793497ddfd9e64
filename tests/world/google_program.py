"""A stand-in for the program that Google puts at /opt/google/drive/drive: it mounts Drive, and pushes what is on it.

`drive.mount` and `drive.flush_and_unmount` start it with the arguments of colabtools 3c07d77. `install` puts it below a
machine's root; what it reads there beside itself is `Conduct`.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PLACE = "opt/google/drive"
PROGRAM = f"{PLACE}/drive"
# Google's is a program of its own, called drive; its name is what `pkill -x drive` looks for.
RUN = """\
from pathlib import Path
from google_program import main
main(" ".join(sys.argv[1:]), Path(sys.argv[0]).resolve().parent)
"""


@dataclass(frozen=True)
class Conduct:
    """How the program behaves. `folder` is what Google has, `control` the file of `drive.Manners`."""

    folder: str
    control: str
    patience: float = 3.0  # seconds it waits for the person's permission before it ends
    start_seconds: float = 0.0  # from the permission to the mount
    domain_forbids: bool = False  # an organisation's policy: it says so and goes on without a mount
    first_folder_hangs: bool = False  # the first listing does not come: it notes so and ends
    crashes: bool = False  # it ends at once
    flush_seconds: float = 0.0
    flush_fails: bool = False


def install(root: Path, folder: Path, **changed: Any) -> None:
    """Put the program below `root`, as it is in Colab's image; a later call changes how it behaves."""
    place = root / PLACE
    place.mkdir(parents=True, exist_ok=True)
    told = asdict(Conduct(str(folder), f"{folder}.json", **changed))
    (place / "conduct.part").write_text(json.dumps(told))
    (place / "conduct.part").replace(place / "conduct.json")
    program = place / "drive"
    if not program.exists():
        (place / "drive-filter.py").write_text("import sys\nfor line in sys.stdin:\n    pass\n")
        (place / "roots.pem").touch()
        program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(HERE)!r})\n{RUN}")
        program.chmod(0o755)


def main(arguments: str, place: Path) -> None:
    conduct = Conduct(**json.loads((place / "conduct.json").read_text()))
    if "--push_changes_and_quit" in arguments:
        push(conduct, place)
    else:
        mount(conduct, arguments)


def push(conduct: Conduct, place: Path) -> None:
    """Wait until Google has everything, and unmount. Each beginning and end is noted beside Drive."""
    note(conduct, "push begun")
    time.sleep(conduct.flush_seconds)
    if conduct.flush_fails:
        note(conduct, "push failed")
        sys.exit(1)
    root = place.parents[2]
    for line in Path("/proc/mounts").read_text().splitlines():
        mountpoint, kind = line.split()[1:3]
        if kind == "fuse.drive" and Path(mountpoint).is_relative_to(root):
            unmount(mountpoint)
    note(conduct, "push done")


def unmount(mountpoint: str) -> None:
    subprocess.run(["fusermount3", "-u", "-z", "-q", mountpoint], check=False)


def note(conduct: Conduct, what: str) -> None:
    with Path(f"{conduct.control}.pushes").open("a") as file:
        file.write(f"{time.time():.3f} {what}\n")


def mount(conduct: Conduct, arguments: str) -> None:
    mountpoint = re.findall(r"mount_point_path:([^ ,]+)", arguments)[0]
    server = re.findall(r"--metadata_server_auth_uri=(\S+)", arguments)[0]
    logs = Path(os.environ["HOME"], ".config", "Google", "DriveFS", "Logs")
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "drive_fs.txt").touch()
    if conduct.domain_forbids:
        print("The domain policy has disabled Drive File Stream", flush=True)
        time.sleep(3600)
    if conduct.crashes or not permitted(server, conduct.patience):
        sys.exit(1)
    time.sleep(conduct.start_seconds)
    if conduct.first_folder_hangs:
        with (logs / "drive_fs.txt").open("a") as file:
            file.write("QueryManager timed out\n")
        sys.exit(1)
    import drive
    import mfusepy

    Path(f"{conduct.control}.pid").write_text(str(os.getpid()))
    try:
        os.makedirs(mountpoint, exist_ok=True)
    except OSError:  # a mount that died is still there
        unmount(mountpoint)
    files = drive.Drive(Path(conduct.folder), Path(conduct.control))
    mfusepy.FUSE(files, mountpoint, foreground=True, fsname="drive", subtype="drive", big_writes=False)


def permitted(server: str, patience: float) -> bool:
    """True once the metadata server hands out a token."""
    end = time.monotonic() + patience
    while True:
        try:
            urllib.request.urlopen(f"http://{server}/instance/service-accounts/default/token", timeout=3).close()
            return True
        except OSError:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
