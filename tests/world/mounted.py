"""A Drive mounted without a kernel: for tests of what is kept on it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.world.drive import Manners
from tests.world.wait import wait


class MountedDrive:
    """`behind` is what Google has, `mountpoint` what the machine sees. In a `with` nothing stays mounted."""

    def __init__(self, root: Path) -> None:
        self.behind, self.mountpoint, self.control = root / "google", root / "drive", root / "google.json"
        self.mydrive = self.mountpoint / "MyDrive"
        (self.behind / "MyDrive").mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None

    def mount(self) -> None:
        """Mount it, also after it dropped."""
        subprocess.run(["fusermount3", "-u", "-z", "-q", str(self.mountpoint)], check=False)
        self.mountpoint.mkdir(exist_ok=True)
        program = Path(__file__).with_name("drive.py")
        command = [sys.executable, str(program), str(self.behind), str(self.mountpoint), str(self.control)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait(lambda: os.path.isdir(self.mydrive), 30, "the stand-in for Drive to be mounted")

    def manners(self, **changed: Any) -> None:
        """How it behaves from now on."""
        part = self.control.with_suffix(".part")
        part.write_text(json.dumps(asdict(Manners(**changed))))
        part.replace(self.control)

    def drop(self) -> None:
        """It dies as in Colab: every access answers with Errno 107 until it is mounted again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> "MountedDrive":
        self.mount()
        return self

    def __exit__(self, *error: Any) -> None:
        self.drop()
        subprocess.run(["fusermount3", "-u", "-z", "-q", str(self.mountpoint)], check=False)
