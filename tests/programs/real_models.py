"""Models that lie elsewhere on Drive, as the real A1111 lists them, names them in images, and gets new ones.

    python -m tests.programs.real_models --upstreams DIR --home DIR

A folder with everything in it and one in ComfyUI's layout, beside a web UI's folder with a checkpoint of its own. The
real A1111 is started by ▶ on the CPU; its API tells its lists. Nothing may be downloaded, and nothing be there twice.
"""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import requests

from launcher.core.folder import Folder
from launcher.drive.find import Remembered
from launcher.drive.linked import use_models
from tests.models.test_identify import tensors
from tests.programs.real import RealWorld, kernel_of, places_asked, random_weights, started, way_in
from tests.world.wait import wait

LORA: dict[str, tuple[int, ...]] = {
    f"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.{part}": shape
    for part, shape in {"lora_down.weight": (4, 768), "lora_up.weight": (320, 4), "alpha": ()}.items()
}
ENCODER: dict[str, tuple[int, ...]] = {
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "decoder.conv_in.weight": (512, 4, 3, 3),
}


def weights(last: int) -> bytes:
    """A checkpoint that no other is the same as: A1111 knows them by their checksum, too."""
    return random_weights()[:-1] + bytes([last])


FILES = {
    "asd1111/stable-diffusion-webui/models/Stable-diffusion/own.safetensors": weights(1),
    "AI/models/painter.safetensors": weights(2),
    "AI/models/painter.png": b"a preview",
    "AI/models/style.safetensors": tensors(LORA),
    "AI/models/colours.safetensors": tensors(ENCODER),
    "AI/models/word.safetensors": tensors({"emb_params": (2, 768)}),
    "comfy/models/checkpoints/sd15/other.safetensors": weights(3),
    "comfy/models/loras/people/face.safetensors": tensors(LORA),
}
EARLIER = "outputs/txt2img-images/2026-01-02/00000-1.png"
LATER = {"later/third.safetensors": weights(4), "later/pose.safetensors": tensors(LORA)}


def put(drive: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (drive / name).parent.mkdir(parents=True, exist_ok=True)
        (drive / name).write_bytes(content)


class Api:
    """The web UI's API, asked through the door."""

    def __init__(self, url: str, password: str) -> None:
        self.url, self.login = f"{url}/sdapi/v1", ("user", password)

    def get(self, what: str) -> Any:
        return requests.get(f"{self.url}/{what}", auth=self.login, timeout=120).json()

    def post(self, what: str, **body: Any) -> Any:
        return requests.post(f"{self.url}/{what}", auth=self.login, json=body, timeout=600).json()

    def lists(self) -> dict[str, list[str]]:
        embeddings = self.get("embeddings")
        return {
            "checkpoints": sorted(one["model_name"] for one in self.get("sd-models")),
            "LoRAs": sorted(one["name"] for one in self.get("loras")),
            "VAEs": sorted(one["model_name"] for one in self.get("sd-vae")),
            "embeddings": sorted([*embeddings["loaded"], *embeddings["skipped"]]),
        }

    def model_named_in_an_image(self, checkpoint: str) -> str:
        """The name of the checkpoint that an image carries."""
        answer = self.post(
            "txt2img", prompt="a lighthouse", steps=1, width=64, height=64,
            override_settings={"sd_model_checkpoint": checkpoint},
        )  # fmt: skip
        return str(re.findall(r"Model: ([^,]+)", json.loads(answer["info"])["infotexts"][0])[0])


def check(api: Api, drive: Path, folder: Folder) -> None:
    named = [api.model_named_in_an_image(checkpoint) for checkpoint in ("painter", "sd15_other")]
    print(f"images carry the names {named}", flush=True)
    assert named == ["painter", "other"]  # of v1.10.1: the file's, without its folder
    found = api.lists()  # embeddings are listed once a checkpoint is loaded
    print(json.dumps(found, indent=2), flush=True)
    assert found == {
        "checkpoints": ["own", "painter", "sd15_other"], "LoRAs": ["face", "style"], "VAEs": ["colours.safetensors"],
        "embeddings": ["word"],
    }, found  # fmt: skip
    put(drive, LATER)
    print(use_models(folder, drive / "later", print), flush=True)
    api.post("refresh-checkpoints")
    api.post("refresh-loras")
    found = api.lists()
    assert "third" in found["checkpoints"] and "pose" in found["LoRAs"], found
    print("added while it runs: third, pose", flush=True)
    (folder.data / "models" / "Lora" / "style.json").write_text('{"notes": "by the web UI"}')
    wait((folder.kept / "models" / "Lora" / "style.json").exists, 20, "what is written beside a model")
    print("written beside style.safetensors: on Drive", flush=True)
    earlier = folder.data / EARLIER
    answer = requests.get(f"{api.url.removesuffix('/sdapi/v1')}/file={earlier}", auth=api.login, timeout=60)
    print(f"an image of an earlier day through the door: {answer.status_code}, {answer.content!r}", flush=True)
    assert answer.content == b"an image"


def main() -> None:
    options = places_asked(__doc__).parse_args()
    home = options.home.resolve()
    drive = home / "drive"
    put(drive, FILES | {f"asd1111/stable-diffusion-webui/{EARLIER}": b"an image"})
    folder = Folder(drive / "asd1111" / "stable-diffusion-webui", home / "machine")
    Remembered.write(folder.kept, model_folders=["AI/models", "comfy"])
    with (
        contextlib.closing(RealWorld(home / "outside", options.upstreams.resolve())) as world,
        kernel_of(world, home, options.python) as kernel,
    ):
        started(kernel, 1500)
        check(Api(*way_in(kernel)), drive, folder)
        asked = [entry["path"] for entry in world.hub.log if "safetensors" in entry["path"]]
        assert not asked, asked


if __name__ == "__main__":
    main()
