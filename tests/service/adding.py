"""Jobs without a service: Add on stand-ins for the hub, Civitai and GitHub, and what its rows say in the end."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.colab.machine import Machine
from launcher.core.status import FAILED, Row, Status
from launcher.extensions.address import KNOWN_EXTENSIONS, USUAL_EXTENSIONS
from launcher.launch.launch import Launch
from launcher.launch.steps import Failed, Steps
from launcher.models import catalog
from launcher.models.catalog import Model
from launcher.service.jobs import JOBS, Job
from tests.models.fetching import HUB, STORE, hurry
from tests.models.old_files import LORA, SOUND
from tests.models.test_identify import tensors
from tests.world import safetensors
from tests.world.githost import GitHost
from tests.world.hub import Hub
from tests.world.internet import internet
from tests.world.web import Answer, Web

LORA_FILE = tensors(dict(LORA))
GITHUB = "https://github.com"
PROGRAM = {"scripts/x.py": b"print('x')"}


class Adding:
    """A machine with a Drive, and the world it fetches from: `hub`, `git`, `civitai`."""

    def __init__(self, root: Path, hub: Hub, git: GitHost, civitai: Web) -> None:
        self.root, self.hub, self.git, self.civitai = root, hub, git, civitai
        self.launch = self.new_launch({"drive_folder": "asd1111"})
        self.folder = self.launch.folder
        self.jobs, self.tokens = list[Job](), dict[str, str]()

    def new_launch(self, form: dict[str, Any]) -> Launch:
        machine = Machine(False, self.root, "", 16_000_000_000, None)
        launch = Launch(form, machine, Status("A launch"), lambda kind, **about: {"token": ""})
        launch.session.prepare()
        return launch

    def do(self, name: str = "add_model", *, page: bool = False, **fields: Any) -> list[Row]:
        """The rows of a job, once it has ended."""
        status = Status("A job")
        job = Job(self.launch, Steps(status, self.root / "log", threading.Event()), self.launch.ask, page, self.tokens)
        self.jobs.append(job)
        try:
            JOBS[name](job, **fields)
        except Failed:
            pass
        return list(status.now.steps)

    def add(self, text: str, **fields: Any) -> list[str]:
        return [in_words(row) for row in self.do(what=text, **fields)]

    def empty(self) -> None:
        """A new machine with a new Drive, on which one model lies in a folder of its own."""
        drive = self.launch.machine.drive
        for path in (drive, self.folder.machine / "data", self.folder.machine / "history"):
            shutil.rmtree(path, ignore_errors=True)
        (drive / "AI" / "models").mkdir(parents=True)
        (drive / "AI" / "models" / "x.safetensors").write_bytes(safetensors(1000))

    @property
    def notices(self) -> list[str]:
        return list(self.jobs[-1].status.now.notices)

    def files(self) -> list[str]:
        """What lies on Drive, but for notes of the launcher."""
        found = (path.relative_to(self.folder.kept) for path in self.folder.kept.rglob("*") if path.is_file())
        return sorted(str(path) for path in found if ".source" not in path.parts and path.name[:8] != "oneclick")


def in_words(row: Row) -> str:
    """A row as a person reads it, on one line."""
    if row.state != FAILED:
        return f"{row.title}: {row.note}"
    buttons = f" [{'] ['.join(label for label, _ in row.options)}]" if row.options else ""
    return f"{row.title}: {row.problem} {row.remedy}{buttons}"


def small(model: Model) -> Model:
    """A model of the catalog as the stand-in has it."""
    return replace(model, sources=tuple(replace(source, size=0, sha256="") for source in model.sources))


def one_version(content: bytes) -> Web:
    """Civitai with a LoRA that has one version, whose page says checkpoint."""
    web = Web()
    file = {"id": 1, "name": "style.safetensors", "type": "Model", "primary": True}
    version = {"id": 456, "modelId": 123, "baseModel": "SD 1.5", "model": {"type": "Checkpoint"}, "files": [file]}
    listed = {"id": 123, "type": "Checkpoint", "modelVersions": [version]}

    def answer(path: str, headers: object) -> Answer:
        if "/api/v1/" in path:
            told = version if "model-versions" in path else listed
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
        return 200, {"ETag": '"1"'}, content

    web.answer = answer
    return web


@contextmanager
def adding(root: Path, patch: pytest.MonkeyPatch) -> Iterator[Adding]:
    hurry(patch)
    hub, git, civitai = Hub(root / "hub"), GitHost(root / "git"), one_version(LORA_FILE)
    sites = {HUB: hub.port, STORE: hub.cdn_port, "civitai.com": civitai.server.server_port}
    hub.cdn = f"https://{STORE}"
    for name, value in git.environment().items():
        patch.setenv(name, value)
    patch.setattr(catalog, "MODELS", tuple(map(small, catalog.MODELS)))
    for model in catalog.MODELS:
        for source in model.sources[:1]:
            upscaler = model.folder == "ESRGAN"
            content = SOUND["upscaler (ESRGAN, old)"][0] if upscaler else safetensors(30_000, hash(model.name) % 1000)
            hub.add(source.repo, source.filename, content)
    table = catalog.CONTROL_MODELS["Stable Diffusion 1.5"]
    for name in ("canny", "depth", "openpose"):
        patch.setitem(table, name, small(table[name]))
        hub.add(table[name].sources[0].repo, table[name].sources[0].filename, safetensors(20_000))
    hub.add("own/loras", "LORA/Line Art.safetensors", LORA_FILE)
    hub.add("own/model", "model.safetensors", safetensors(40_000))
    for name in ("first.safetensors", "second.safetensors"):
        hub.add("own/several", name, safetensors(1000))
    usual = [KNOWN_EXTENSIONS[name].removeprefix(f"{GITHUB}/")[:-4] for name in (*USUAL_EXTENSIONS, "ControlNet")]
    for name in (*usual, "own/sd-nice"):
        git.add(name, PROGRAM)
    git.add("own/upscalers", {"README.md": b"models", "4x/sharp.pth": b"x"})
    git.add("own/webui", {"webui.py": b"", "launch.py": b"", "scripts/x.py": b""})
    with closing(hub), closing(git), closing(civitai), internet(root / "certificates", patch, sites):
        made = Adding(root, hub, git, civitai)
        made.folder.kept.parent.parent.mkdir(parents=True, exist_ok=True)
        yield made
