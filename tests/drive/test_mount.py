"""What a failed mount means: types and times decide before words do; and a place that is no mount, or hangs."""

import threading
import time
from pathlib import Path

import pytest

from launcher.colab.machine import Machine
from launcher.drive import mount
from launcher.drive.mount import connect_drive, drive_is_mounted, mount_problem

# pexpect's time-out lists all it waited for, the policy too; after 120 s without an answer the mount fails for want of
# a permit, after 150 s more where Google's program waits for ever.
LISTS_ALL = "Timeout exceeded.\nsearcher: 4: re.compile('The domain policy has disabled Drive File Stream')"
PEXPECT = ["TIMEOUT", "ExceptionPexpect", "Exception", "BaseException"]
VALUE = ["ValueError", "Exception", "BaseException"]


@pytest.mark.parametrize(
    ("text", "types", "seconds", "says"),
    [
        (LISTS_ALL, PEXPECT, 152.0, "Google Drive took too long to connect."),
        (LISTS_ALL, PEXPECT, 271.0, "no answer to Google's question came in time"),
        ("mount failed", VALUE, 124.0, "no answer to Google's question came in time"),
        ("mount failed", VALUE, 3.0, "Google Drive could not be connected (ValueError: mount failed)."),
        ("The domain policy has disabled Drive File Stream", VALUE, 3.0, "Your organization does not allow"),
        ("Error: credential propagation was unsuccessful", ["MessageError"], 110.0, "did not give this notebook"),
        ("Error: User cancelled", ["MessageError"], 3.0, "was closed without an answer"),  # VS Code's Colab extension
        ("'TBE_EPHEM_CREDS_ADDR'", ["KeyError"], 0.1, "This session has lost what it needs"),
        ("", ["AssertionError"], 3.0, "Google Drive could not be connected (AssertionError)."),
    ],
)
def test_a_failed_mount_is_said_as_what_it_is(text: str, types: list[str], seconds: float, says: str) -> None:
    assert says in mount_problem(text, types, seconds).what


def test_without_a_window_of_googles_it_is_said_where_to_look_and_how_to_do_without() -> None:
    for text, seconds in (("mount failed", 121.0), ("credential propagation", 3.0)):
        do = mount_problem(text, VALUE, seconds).do
        assert "allow pop-ups and third-party cookies" in do
        assert "**keep_on_drive** to **nothing**" in do


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(colab=True, base=tmp_path, gpu="", memory=0, mountpoint=tmp_path / "drive")


def test_files_in_the_place_of_a_drive_that_was_away_go_beside_it_and_it_is_connected(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = machine.drive / "pictures" / "a.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"an image")
    said, asked = list[str](), list[bool]()

    def ask(kind: str, mountpoint: str) -> dict[str, str]:
        asked.append(Path(mountpoint).exists())
        monkeypatch.setattr(mount, "drive_is_mounted", lambda machine: True)
        return {}

    connect_drive(machine, ask, said.append)
    assert asked == [False], "Google mounts on no folder with files in it"
    (aside,) = machine.base.glob("drive*/MyDrive/pictures/a.png")
    assert aside.read_bytes() == b"an image"
    assert str(aside.parents[2]) in said[0]


def test_a_drive_that_hangs_keeps_nobody_waiting(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(mount, "LOOK_PATIENCE", 0.2)  # ten seconds
    monkeypatch.setattr("os.path.ismount", lambda path: over.wait(60))
    began, threads = time.monotonic(), threading.active_count()
    assert all(drive_is_mounted(machine) for _ in range(10)), "it is there, and answers nothing"
    assert threading.active_count() <= threads + 1, "one look at a time"
    over.set()
    assert time.monotonic() - began < 30
