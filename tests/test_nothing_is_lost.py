"""500 images, everything that goes wrong at once, and a count by a process that has no part in it."""

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT
from tests.world.images import HOSTILE
from tests.world.mounted import MountedDrive

COUNT = 500


def on_drive(behind: Path) -> dict[str, int]:
    """SHA-256 -> how often it is there."""
    found: dict[str, int] = {}
    for path in (p for p in behind.rglob("*") if p.is_file() and p.parent.name != ".oneclick"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[digest] = found.get(digest, 0) + 1
    return found


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def test_500_images_reach_drive_through_drops_kills_a_full_drive_hostile_names_and_a_broken_extension(
    tmp_path: Path,
) -> None:
    data, ledger, said = tmp_path / "data", tmp_path / "ledger", tmp_path / "said"
    (data / "extensions" / "broken" / ".git" / "refs").mkdir(parents=True)
    (data / "extensions" / "broken" / ".git" / "objects").mkdir()
    (data / "extensions" / "broken" / ".git" / "HEAD").write_text("ref: refs/heads/master\n")
    (data / "extensions" / "broken" / ".git" / "index").write_bytes(b"\0" * 40)
    said.touch()
    program = [sys.executable, "-m", "tests.world.images"]
    with MountedDrive(tmp_path) as drive:
        kept, behind = drive.mydrive / "mine" / "webui", drive.behind / "MyDrive" / "mine" / "webui"
        behind.mkdir(parents=True)

        def keeper() -> subprocess.Popen[bytes]:
            return subprocess.Popen([*program, "keep", str(data), str(kept), str(said)], cwd=ROOT)

        def count() -> int:
            return len(list(behind.rglob("*.png")))

        keeping = keeper()
        painting = subprocess.Popen([*program, "paint", str(data), str(ledger), str(COUNT), "20"], cwd=ROOT)
        try:
            wait_for(lambda: count() > 20, 30, "the first images")
            for _ in range(2):
                drive.drop()
                wait_for(lambda: "it was disconnected" in said.read_text(), 30, "the sentence about Drive")
                before = count()
                drive.mount()
                wait_for(lambda n=before: count() > n, 30, "images to follow")  # type: ignore[misc]
                said.write_text("")
            keeping.send_signal(signal.SIGKILL)
            keeping.wait()
            keeping = keeper()
            before = count()
            wait_for(lambda: count() > before, 30, "the next keeper to go on")
            drive.manners(free=100_000)
            wait_for(lambda: "it is full" in said.read_text(), 30, "the sentence about a full Drive")
            drive.manners()
            assert painting.wait(60) == 0
            painted = ledger.read_text().split()
            assert len(painted) == len(set(painted)) == COUNT
            wait_for(lambda: count() >= COUNT, 60, "all images")
        finally:
            for process in (painting, keeping):
                process.terminate()
            assert keeping.wait(60) == 0
        found = on_drive(behind)
        assert [digest for digest in painted if found.get(digest) != 1] == []
        assert sum(found.values()) == COUNT, "and nothing else is there"
        assert len(HOSTILE) == 20
        told = said.read_text()
        assert "at the end: 0 not kept" in told
        assert "Changes in the extension broken are not kept: its git repository cannot be read (CommandError)." in told
        assert f"{COUNT} images kept in log and outputs" in told
