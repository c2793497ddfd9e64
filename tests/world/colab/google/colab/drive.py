"""Google Drive: `mount` and `flush_and_unmount`, with the order, the waits and the errors of the real ones.

The program they start is `tests/world/google_program.py`. Only one thing is kinder: `mount` ends the Drive programs of
this machine's root, not those of the whole computer, which has other tests' machines on it.
"""

import os
import subprocess
import time
from pathlib import Path

import psutil
from google.colab import _message, output

AFTER_CONSENT = 30  # seconds
PROGRAM = "opt/google/drive/drive"
EXPECTED = ("google.colab.drive MOUNTED", "Drive File Stream encountered a problem and has stopped", "drive EXITED",
            "The domain policy has disabled Drive File Stream")  # fmt: skip

FIRST_FOLDER = ": timeout during initial read of root folder; for more info: " \
               "https://research.google.com/colaboratory/faq.html#drive-timeout"  # fmt: skip


class TIMEOUT(Exception):
    """As pexpect raises it: its text lists all it waited for, in vain."""


def root():
    """The machine's root: / in Colab, whose CLOUDSDK_CONFIG is /content/.config."""
    return Path(os.path.realpath(os.path.join(os.environ["CLOUDSDK_CONFIG"], "../..")))


def flush_and_unmount(timeout_ms=24 * 60 * 60 * 1000):
    program = root() / PROGRAM  # the real one looks up the same variable before anything else, too
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    if not any(kind == "fuse.drive" and Path(place).is_relative_to(root()) for place, kind in mounts):
        print("Drive not mounted, so nothing to flush and unmount.")
        return
    # In the caller's own process group, so that ■ reaches it where the caller is the kernel.
    command = [str(program), "--push_changes_and_quit", "--single_process", f"--timeout_sec={timeout_ms // 1000}"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise ValueError("flush_and_unmount failed")


def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
    if " " in mountpoint:
        raise ValueError("Mountpoint must not contain a space.")
    if os.environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        raise NotImplementedError("google.colab.drive.mount is not supported in Colab Enterprise.")
    server = os.environ["TBE_EPHEM_CREDS_ADDR"]
    # Consent comes before any look. No answer in time is no error here: the mount fails later.
    _message.blocking_request("request_auth", request={"authType": "dfs_ephemeral"}, timeout_sec=timeout_ms // 1000)
    if os.path.isdir(f"{mountpoint}/My Drive") and not force_remount:
        print(f'Drive already mounted at {mountpoint}; to attempt to forcibly remount, call '
              f'drive.mount("{mountpoint}", force_remount=True).')  # fmt: skip
        return
    end_drives(mountpoint)
    check(Path(mountpoint))
    start(mountpoint, server, timeout_ms / 1000 + AFTER_CONSENT)
    output.clear(wait=True, output_tags="dfs-auth-dance")
    print(f"Mounted at {mountpoint}")


def end_drives(mountpoint):
    """Before the checks: a mount that is refused has ended the one that worked."""
    subprocess.run(["fusermount3", "-u", "-z", "-q", mountpoint], check=False)
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "drive" and str(root() / PROGRAM) in (process.info["cmdline"] or []):
            process.kill()


def check(place):
    if place.is_symlink():
        raise ValueError("Mountpoint must not be a symlink")
    if place.is_dir() and os.listdir(place):
        raise ValueError("Mountpoint must not already contain files")
    if not place.is_dir() and place.exists():
        raise ValueError("Mountpoint must either be a directory or not exist")
    if not place.parent.exists():
        raise ValueError("Mountpoint must be in a directory that exists")


def start(mountpoint, server, patience):
    """Start the program, in a session of its own, and wait for the mount."""
    home = root() / "home"
    place = root() / Path(PROGRAM).parent
    said, log = home / "said", home / ".config" / "Google" / "DriveFS" / "Logs" / "drive_fs.txt"
    home.mkdir(exist_ok=True)
    command = [str(place / "drive"), f"--metadata_server_auth_uri={server}/computeMetadata/v1",
               f"--preferences=feature_flag_restart_seconds:129600,mount_point_path:{mountpoint}"]  # fmt: skip
    with said.open("wb") as out:
        program = subprocess.Popen(
            command, env={"HOME": str(home), "PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    end = time.monotonic() + patience
    while not (os.path.isdir(mountpoint) and names_in(mountpoint)):  # after ■ the program goes on by itself
        if EXPECTED[3] in said.read_text():
            program.kill()
            raise ValueError(f"{EXPECTED[3]}: https://support.google.com/a/answer/7496409")
        if program.poll() is not None:
            timed_out = log.exists() and "QueryManager timed out" in log.read_text()
            raise ValueError("mount failed" + (FIRST_FOLDER if timed_out else ""))
        if time.monotonic() > end:
            raise TIMEOUT(f"Timeout exceeded.\nsearcher: {dict(enumerate(EXPECTED))}\n<pexpect.popen_spawn>")
        time.sleep(0.02)


def names_in(mountpoint):
    """As `ls -A` in the real one's shell: an error is no name."""
    try:
        return os.listdir(mountpoint)
    except OSError:
        return []
