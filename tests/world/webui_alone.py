"""The stand-in web UI by itself, without a launch: its environment, and its process behind a port."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from launcher.webui.process import MOST_PORTS, free_port
from tests.conftest import ROOT
from tests.world import HERE, webui_files
from tests.world.wait import wait

SUB_FOLDERS = (
    "stable-diffusion-webui-assets", "stable-diffusion-stability-ai", "generative-models", "k-diffusion", "BLIP",
)  # fmt: skip
PATIENCE = 60.0  # seconds for its start


@cache
def webui_python() -> Path:
    """The folder of an environment with what it needs, made once a process."""
    place, uv = Path(tempfile.mkdtemp(prefix="stand-in-python-")), Path(sys.prefix) / "bin" / "uv"
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    making = os.environ | {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv-packages")}
    requirements = HERE / "webui" / "requirements_versions.txt"
    python = place / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--clear", "--python", "3.11", place], env=making, check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, "-r", requirements], env=making, check=True)
    return place


class WebUIAlone:
    """Its process, without a checkpoint, from when it answers until `close`."""

    def __init__(self, folder: Path) -> None:
        for name, content in webui_files({}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name in SUB_FOLDERS:
            (folder / "repositories" / name / ".git").mkdir(parents=True)
        (folder / "models" / "Stable-diffusion").mkdir(parents=True)
        log = folder / "webui.log"
        for _ in range(MOST_PORTS):  # another program may take the port before it does
            self._start(folder, log)
            if self.process.poll() is None:
                return
            if "Cannot find empty port" not in log.read_text():
                break
        raise RuntimeError(f"the stand-in web UI did not start: {log.read_text()[-1000:]}")

    def _start(self, folder: Path, log: Path) -> None:
        """Start it, and wait until it answers or has ended."""
        self.port = free_port()
        python = str(webui_python() / "bin" / "python")
        command = [python, "launch.py", "--api", "--data-dir", str(folder), "--port", str(self.port)]
        environment = os.environ | {"SD_WEBUI_CACHE_DIR": str(folder / "cache"), "GRADIO_ANALYTICS_ENABLED": "False"}
        environment["STAND_IN_CHECKPOINT"] = "none at all"
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            wait(lambda: self.process.poll() is not None or "Startup time:" in log.read_text(), PATIENCE, "its start")
        except TimeoutError:
            self.close()
            raise

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
