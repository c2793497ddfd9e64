"""Kinds of model, the folders they belong in, and how a file tells its kind."""

import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import requests

from launcher.core.problem import Problem
from launcher.models.download import TIMEOUT
from launcher.models.remote import USER_AGENT, Remote

WEIGHTS: Final = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
HEADER_MOST: Final = 20_000_000  # bytes of a safetensors header that are read to see what a file is
# What a file can be -> its folder below the web UI's data (facts/models.md §3).
KIND_FOLDERS: Final = {
    "checkpoint": "models/Stable-diffusion",
    "LoRA": "models/Lora",
    "VAE": "models/VAE",
    "embedding": "embeddings",
    "ControlNet": "models/ControlNet",
    "upscaler": "models/ESRGAN",
    "hypernetwork": "models/hypernetworks",
}
RUNS: Final = re.compile(
    r"SD 1|SD 2|SDXL|Pony|Illustrious|NoobAI|Playground v2|^Other$", re.IGNORECASE
)  # base models A1111 v1.10.1 runs
# Names of tensors -> what the file is. The first that fits.
TENSOR_KINDS: Final = (
    (
        r"double_blocks\.|joint_blocks\.|transformer_blocks\.\d+\.(attn|norm1)\.(add|linear)",
        "other",
    ),  # Flux, SD 3: A1111 cannot run them
    (r"lora_(unet|te|down|up|A|B)|\.lora_|hada_w|lokr_", "LoRA"),
    (r"control_model\.|zero_convs|input_hint_block|controlnet_cond_embedding|controlnet_down_blocks", "ControlNet"),
    (r"^model\.diffusion_model\.", "checkpoint"),
    (r"^(first_stage_model\.)?(encoder|decoder)\.(conv_in|mid|up|down)", "VAE"),
    (r"^(emb_params|clip_l|clip_g|string_to_param)", "embedding"),
    (r"RDB\d|rdb\d|conv_first|upconv|model\.1\.sub", "upscaler"),
)


@dataclass(frozen=True)
class TokenNeeded(Exception):
    """The source wants a token. `name` is the secret's name; `reason` a sentence."""

    name: str
    reason: str
    page: str


@dataclass(frozen=True)
class Found:
    """What a link leads to. `kind` is a key of KIND_FOLDERS, or "" where the source does not tell."""

    remote: Remote
    kind: str = ""


def kind_of(remote: Remote) -> str:
    """What a .safetensors file is, by the names of its tensors; "" where nobody can know. Raises `Problem` for what A1111 cannot run."""
    if not remote.name.lower().endswith(".safetensors") or not remote.size:
        return ""
    length = int.from_bytes(read_range(remote, 0, 8), "little")
    if not 0 < length < min(HEADER_MOST, remote.size):
        return ""
    try:
        names = [name for name in json.loads(read_range(remote, 8, 8 + length)) if name != "__metadata__"]
    except ValueError:
        return ""
    for pattern, kind in TENSOR_KINDS:
        if any(re.search(pattern, name) for name in names):
            if kind == "other":
                raise Problem(
                    f"{remote.name} is made for a model that AUTOMATIC1111 cannot run (Flux, SD 3 or the like).",
                    "Choose one for Stable Diffusion 1.5, 2.1 or XL.",
                )
            return kind
    return ""


def read_range(remote: Remote, start: int, end: int) -> bytes:
    """The bytes [start, end) of a remote file."""
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
    if remote.token:
        headers["Authorization"] = f"Bearer {remote.token}"
    try:
        with requests.get(remote.url, headers=headers, timeout=TIMEOUT, stream=True) as answer:
            return answer.raw.read(end - start) if answer.status_code == 206 else b""
    except requests.RequestException as error:
        raise Problem(
            f"{urlsplit(remote.url).hostname} does not answer.", "Check the link, and press ▶ again."
        ) from error


def safe_name(name: str) -> str:
    """A file name without any path, dot at the front, or odd characters; raises `Problem` if it is no model file."""
    clean = re.sub(r"[^\w\-. ()+]", "_", name.replace("\\", "/").rpartition("/")[2]).lstrip(". ")
    if not clean.lower().endswith(WEIGHTS):
        raise Problem(
            f"{clean or 'The link'!r} is not the name of a model file.",
            f"Use a link to a file that ends in {', '.join(WEIGHTS)}.",
        )
    return clean
