"""docs/dev/kinds.md: what becomes of a file of each kind that is added by its link, with the real names of its tensors.

Each is fetched by the launcher's own code from a stand-in for the hub; nothing but its name, its tensors' names and
shapes, and what lies beside it there, tells the launcher what it is.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from launcher.core.problem import Problem
from launcher.models.checksums import CHECKSUMS_FILE
from launcher.models.ensure import ensure_linked_model
from launcher.models.kinds import EXTENSION_KINDS
from tests.conftest import new_folder
from tests.models.fetching import HUB, STORE, fetcher, hurry
from tests.models.old_files import DETECTOR, SOUND
from tests.models.test_companions import DECODER, HARMFUL, V2
from tests.models.test_identify import CLIP, FOREIGN, KINDS, UNET, XL, tensors
from tests.world.hub import Hub
from tests.world.internet import internet

Shapes = Mapping[str, tuple[int, ...]]
MOTION: Final = {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)}
SD1: Final = {UNET: (320, 4, 3, 3), CLIP: (768,)}
SD2: Final = {UNET: (320, 4, 3, 3), "cond_stage_model.model.ln_final.weight": (1024,)}
LORA: Final = {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (8, 320)}


@dataclass(frozen=True)
class Case:
    """A file at its source: `beside` lies beside it there, `there` in the folder before; `installed` extensions."""

    what: str
    content: bytes
    name: str = "thing.safetensors"
    repo: str = "own/nice-thing"
    shown: str = ""  # what the page says of the content
    beside: dict[str, bytes] = field(default_factory=dict)
    there: dict[str, bytes] = field(default_factory=dict)
    installed: tuple[str, ...] = ()


def of(what: str, names: Shapes, name: str = "thing.safetensors", **more: object) -> Case:
    small = {tensor: tuple(min(side, 2048) for side in shape) for tensor, shape in names.items()}
    small |= DECODER if UNET in names else {}  # checkpoints without are few
    shown = "<br>".join(f"`{tensor}`" for tensor in names)
    return Case(what, tensors(small, "F8_E4M3", 1), name, shown=shown, **more)  # type: ignore[arg-type]


OWNERS: Final = tuple(owner.address.rpartition("/")[2] for owner in EXTENSION_KINDS.values())
CASES: Final = (
    *(of(what, names) for what, names, _, _ in KINDS),
    *(of(what, names) for what, names, _ in FOREIGN),
    of("SDXL that predicts v (NoobAI v-pred)", XL | {"v_pred": (), "ztsnr": ()}),
    of("SDXL, by its name", XL, "nice-vpred.safetensors"),
    of("SD 2 with a configuration beside it", SD2, beside={"thing.yaml": V2.encode()}),
    of("SD 2 without one", SD2),
    of("SD 1 that predicts v, by its name", SD1, "fluffy-v_pred.safetensors"),
    of("SD 2 with a configuration that names programs", SD2, beside={"thing.yaml": HARMFUL["a program"].encode()}),
    of("a checkpoint called as a VAE", SD1, "thing.vae.safetensors"),
    of(
        "ControlNet without a name of its own",
        {"controlnet_mid_block.weight": (1,)},
        "diffusion_pytorch_model.safetensors",
        repo="xinsir/controlnet-canny-sdxl-1.0",
    ),
    of(
        "ControlNet union without one",
        {"controlnet_cond_embedding.conv_in.weight": (1,), "control_add_embedding.linear_1.weight": (1,)},
        "diffusion_pytorch_model_promax.safetensors",
        repo="xinsir/controlnet-union-sdxl-1.0",
    ),
    of(
        "LoRA without a name of its own",
        LORA,
        "pytorch_lora_weights.safetensors",
        repo="latent-consistency/lcm-lora-sdv1-5",
    ),
    of(
        "LoRA that another one would hide",
        LORA,
        there={"models/Lora/Pony/thing.safetensors": tensors({**LORA, "alpha": (1,)}, "F8_E4M3", 1)},
    ),
    of(
        "LoRA that is there, in a folder of one's own",
        LORA,
        there={"models/Lora/Pony/thing.safetensors": tensors(LORA, "F8_E4M3", 1)},
    ),
    of("AnimateDiff's motion module", MOTION),
    of("AnimateDiff's motion module, with the extension", MOTION, installed=OWNERS),
    Case("ADetailer's detector", DETECTOR, "face_yolov8n.pt", shown="`ultralytics.nn.tasks.DetectionModel`"),
    Case(
        "ADetailer's detector, with the extension",
        DETECTOR,
        "face_yolov8n.pt",
        shown="`ultralytics.nn.tasks.DetectionModel`",
        installed=OWNERS,
    ),
    *(Case(f"old file: {what}", content, "thing.bin", shown="a pickle") for what, (content, _) in SOUND.items()),
    Case("GGUF", b"GGUF" + bytes(1000), "thing.safetensors", shown="begins with `GGUF`"),
)


def row(case: Case, root: Path) -> str:
    """What becomes of it, as a row of the table."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        hub = Hub(root / "hub")
        hub.cdn = f"https://{STORE}"
        for name, content in {case.name: case.content, **case.beside}.items():
            hub.add(case.repo, name, content)
        folder = new_folder(root)
        for name, content in case.there.items():
            (folder.kept / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.kept / name).write_bytes(content)
        for name in case.installed:
            (folder.kept / "extensions" / name).mkdir()
        before = {path for path in folder.kept.rglob("*") if path.is_file()}
        made, heard, _ = fetcher(folder)
        with internet(root / "certificates", patch, {HUB: hub.port, STORE: hub.cdn_port}):
            try:
                ensure_linked_model(made, f"https://huggingface.co/{case.repo}/blob/main/{case.name}")
                said = ""
            except Problem as problem:
                said = f"**{problem.what}** {problem.do}"
        hub.close()
        new = sorted(str(path.relative_to(folder.kept)) for path in folder.kept.rglob("*") if path.is_file())
        new = [name for name in new if folder.kept / name not in before and name != CHECKSUMS_FILE]
    told = [one for one in heard.notices if "vaeapprox" not in one and "pickle file" not in one]
    there = " ".join(f"`{name}`" for name in new)
    return f"| {case.what} | {case.shown} | `{case.name}` | {there} | {' '.join([*told, said])} |"


def page() -> str:
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as root:
            rows.append(row(case, Path(root)))
    return "\n".join([
        "# What a file is, and what comes with it", "",
        "Made by `make docs ALL=yes`: each file was added by its link, with nothing said of its kind, from a stand-in "
            "for the hub.",
        "The names of tensors are those of real files. What is bold was refused.", "",
        "| file | names in it | its name at its source | what is there now | what was said |",
        "| --- | --- | --- | --- | --- |", *rows, "",
    ])  # fmt: skip
