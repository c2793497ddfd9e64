"""Small honest stand-ins for what is outside: a hub, git hosts, a share server, Google Colab, and a web UI.

They are for tests and for `make run`. Nothing in `launcher/` knows them: it is led here by variables that exist for
people anyway (HF_ENDPOINT, git's insteadOf, GRADIO_SHARE_SERVER_ADDRESS, ONECLICK_HOME).
"""

import json
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.world.githost import GitHost
from tests.world.google_program import install
from tests.world.hub import Hub
from tests.world.manager import Manager
from tests.world.share import FakeShare

HERE = Path(__file__).resolve().parent
CLIP_REPO = "openai/clip-vit-large-patch14"
CLIP_FILES = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json", "config.json")
MODEL_REPO = "world/paint"
MODEL_LINK = f"https://huggingface.co/{MODEL_REPO}/blob/main/paint.safetensors"
SUB_REPOSITORIES = {
    "ASSETS": "AUTOMATIC1111/stable-diffusion-webui-assets",
    "STABLE_DIFFUSION": "w-e-w/stablediffusion",  # the original is gone here, too
    "STABLE_DIFFUSION_XL": "Stability-AI/generative-models",
    "K_DIFFUSION": "crowsonkb/k-diffusion",
    "BLIP": "salesforce/BLIP",
}
REAL_KERNEL = """\
c = get_config()
c.InteractiveShellApp.extensions = ["google.colab"]
c.IPKernelApp.kernel_class = "google.colab._kernel.Kernel"
"""
WEBUI = "AUTOMATIC1111/stable-diffusion-webui"


def safetensors(size: int, seed: int = 0, **about: str) -> bytes:
    """A .safetensors file of about `size` bytes with the names of an SD 1.5 checkpoint, different for each seed.

    `about` is its metadata: with parts="of two models" the stand-in web UI cannot load it.
    """
    body = struct.pack("<Q", seed) + os.urandom(16) + bytes(max(0, size - 24))
    weight = {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}
    nothing = {"dtype": "U8", "shape": [0], "data_offsets": [len(body), len(body)]}
    header = json.dumps(
        {
            "model.diffusion_model.input_blocks.0.0.weight": weight,
            "cond_stage_model.transformer.text_model.final_layer_norm.weight": nothing,
            "first_stage_model.decoder.conv_in.weight": nothing,
        }
        | ({"__metadata__": about} if about else {})
    ).encode()
    return struct.pack("<Q", len(header)) + header + body


def webui_files(commits: dict[str, str], page: bool = True) -> dict[str, bytes]:
    """The stand-in web UI's files, with the sub-repositories' commits filled in; without its `page` it starts in a
    third of the time.
    """
    root, files, not_its = HERE / "webui", {}, {"__pycache__", "filmed"}
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not not_its & set(p.parts)):
        text = path.read_text()
        for name, commit in commits.items():
            text = text.replace(f"@{name}@", commit)
        files[str(path.relative_to(root))] = text.encode()
    plain = files.pop("modules/plain_page.py")
    return files if page else files | {"modules/page.py": plain}


class World:
    """Everything outside, under the folder `root`. Its git repositories and hub files outlive it, as the real ones
    do. `other_files` take the place of the stand-in web UI's.
    """

    def __init__(
        self,
        root: Path,
        model_bytes: int = 3_000_000,
        share: str = "ok",
        page: bool = True,
        other_files: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        self.root = root
        self.hub = Hub(root / "hub")
        self.git = GitHost(root / "git")
        self.share = FakeShare(mode=share)
        self.manager = Manager()
        if not (root / "git" / f"{WEBUI}.git").exists():
            commits = {
                name: self.git.add(repo, {"README": f"{repo}, a stand-in\n".encode()})
                for name, repo in SUB_REPOSITORIES.items()
            }
            self.git.add(WEBUI, {**webui_files(commits, page), **other_files})
        if not (self.hub.root / MODEL_REPO).exists():
            self.hub.add(MODEL_REPO, "paint.safetensors", safetensors(model_bytes))
            for name in CLIP_FILES:
                self.hub.add(CLIP_REPO, name, b"{}")

    def environment(self, home: Path) -> dict[str, str]:
        """What a kernel needs to live in this world, with its machine and its "Drive" below `home`."""
        return {
            "ONECLICK_HOME": str(home),
            "HF_ENDPOINT": self.hub.url,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "GRADIO_SHARE_SERVER_ADDRESS": f"127.0.0.1:{self.share.frps_port}",
            "NO_PROXY": "127.0.0.1,localhost",
            "PATH": f"{self.programs()}{os.pathsep}{os.environ['PATH']}",
            **self.git.environment(),
        }

    def programs(self) -> Path:
        """A folder with uv, which Colab has on its PATH."""
        folder, uv = self.root / "bin", Path(sys.prefix) / "bin" / "uv"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "uv").exists():
            (folder / "uv").symlink_to(uv)
        return folder

    def colab_environment(self, home: Path, drive: Path, colabtools: Path | None = None) -> dict[str, str]:
        """The same for a kernel that believes to be in Colab; the folder `drive` behind its Drive outlives the
        machine.

        `colabtools` has the real google.colab; without it the stand-in is used. `home` is the machine's /content.
        """
        (drive / "MyDrive").mkdir(parents=True, exist_ok=True)
        self.manager.marks.add(drive / "unassigned")
        install(home.parent, drive)
        environment = self.environment(home) | {
            "COLAB_RELEASE_TAG": "world",
            "CLOUDSDK_CONFIG": str(home / ".config"),
            "TBE_EPHEM_CREDS_ADDR": self.manager.address,
            "TBE_CREDS_ADDR": self.manager.address,
            "TBE_RUNTIME_ADDR": self.manager.address,
            "PYTHONPATH": str(colabtools or HERE / "colab"),
        }
        if colabtools:  # its kernel and its shell, too
            profile = home.parent / "ipython" / "profile_default"
            profile.mkdir(parents=True, exist_ok=True)
            (profile / "ipython_kernel_config.py").write_text(REAL_KERNEL)
            environment["IPYTHONDIR"] = str(profile.parent)
        return environment

    def close(self) -> None:
        self.hub.close()
        self.git.close()
        self.share.close()
        self.manager.close()

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
