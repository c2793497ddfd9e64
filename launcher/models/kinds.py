"""Kinds of model, the folders they belong in, and how the names of its tensors tell what a file is.

The names are those that the tools which write such files use (ldm, diffusers, kohya's scripts, LyCORIS, PEFT,
spandrel).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# What a file can be -> its folder below the web UI's data, as A1111 v1.10.1 looks for them.
KIND_FOLDERS: Final = {
    "checkpoint": "models/Stable-diffusion",
    "LoRA": "models/Lora",
    "VAE": "models/VAE",
    "embedding": "embeddings",
    "ControlNet": "models/ControlNet",
    "upscaler": "models/ESRGAN",
    "hypernetwork": "models/hypernetworks",
}
# The endings A1111 v1.10.1 lists in each folder (`ext_filter` in its modules).
KIND_ENDINGS: Final = {
    "checkpoint": (".safetensors", ".ckpt"),
    "LoRA": (".safetensors", ".pt", ".ckpt"),
    "VAE": (".safetensors", ".pt", ".ckpt"),
    "embedding": (".safetensors", ".pt", ".bin"),
    "ControlNet": (".safetensors", ".pth", ".pt", ".ckpt", ".bin"),
    "upscaler": (".pth", ".pt"),
    "hypernetwork": (".pt",),
}
RUNS_ON: Final = re.compile(r"SD 1|SD 2|SDXL|Pony$|Illustrious|NoobAI|Playground v2|^Other$", re.IGNORECASE)
FAMILIES: Final = "Stable Diffusion 1.5, 2.1 or XL"

# Names that only models A1111 cannot run have. The first that fits.
FOREIGN: Final = (
    (
        "Flux",
        r"double_blocks[._]\d+[._](img|txt)_|single_transformer_blocks[._]\d|single_blocks[._]\d+[._](linear|mod)",
    ),
    ("Stable Diffusion 3", r"joint_blocks[._]|joint_transformer_blocks[._]|context_block[._]"),
    ("AuraFlow (Pony V7)", r"double_layers[._]\d|single_layers[._]\d|cond_seq_linear"),
    (
        "Z-Image or Lumina",
        r"noise_refiner[._]|context_refiner[._]|cap_embedder[._]|[._]layers[._]\d+[._](attention|adaLN)",
    ),
    ("Qwen-Image", r"transformer_blocks[._]\d+[._](img_mod|txt_mod|img_mlp|txt_mlp|attn[._](to_out[._]0[._]|add_))"),
    ("Wan", r"(^|[._])blocks[._]\d+[._](cross_attn|self_attn)[._](q|k|v|o|norm)"),
    ("HiDream", r"(double|single)_stream_(blocks|layers)[._]"),
    ("Chroma", r"distilled_guidance_layer"),
    ("PixArt or LTX", r"scale_shift_table|adaln_single"),
    ("Stable Cascade", r"clip_txt_mapper|effnet_mapper|clip_txt_pooled_mapper"),
    ("a video model", r"temporal_transformer|time_stack|motion_modules"),
)  # fmt: skip
LORA: Final = re.compile(
    r"[._]lora[._]?(down|up|A|B|mid|linear_layer)([._]|$)|hada_w|lokr_|dora_scale|oft_(blocks|diag)|"
    r"^(lora|lycoris)_\w+\.(alpha|diff|diff_b|w_norm|b_norm|weight|on_input|a1|b1)"
)
# What a LoRA for Stable Diffusion changes: its U-Net, or its text encoders.
LORA_TARGET: Final = re.compile(
    r"(down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block|downblocks|upblocks)[._]|"
    r"lora_te[12]?_|text_encoder|text_model|lora_unet_(conv_in|conv_out|time_embed|label_emb|out_)|bundle_emb"
)
CONTROL: Final = re.compile(
    r"^control_model\.|zero_convs\.|input_hint_block\.|controlnet_(cond_embedding|down_blocks|mid_block)|lora_controlnet"
    r"|^(adapter\.)?body\.\d+\.(in_conv|block1|resnets)|^ip_adapter\.|^image_proj\."
)
UPSCALER: Final = re.compile(
    r"(^|\.)(model\.1\.sub\.\d+|body\.\d+\.rdb1|RRDB_trunk\.|conv_first\.|upconv1\.|HRconv\.|m_head\.0\.|before_RG\.)"
    r"|layers\.\d+\.(residual_group|blocks)\.|^(params(_ema)?\.)?body\.\d+\.weight$"
)
CLIP_WIDTHS: Final = (768, 1024, 1280)
HYPERNETWORK: Final = re.compile(r"^(320|640|768|1024|1280)\.\d+\.")
UNET: Final = "model.diffusion_model."


@dataclass(frozen=True)
class Contents:
    """What the tensors say. `kind` is a key of KIND_FOLDERS or ""; `base` the model it is or belongs to, or ""."""

    kind: str = ""
    base: str = ""
    fault: str = ""  # why A1111 cannot use it, as half a sentence that begins with "it"


def contents_of(shapes: Mapping[str, tuple[int, ...]]) -> Contents:
    """What a file with these tensors is."""
    plain = {name.removeprefix("state_dict."): shape for name, shape in shapes.items()}
    names = "\n".join(plain)
    if f"{UNET}input_blocks." in names and not CONTROL_ONLY.search(names):
        return checkpoint(plain, names)
    for family, pattern in FOREIGN:
        if re.search(pattern, names, re.MULTILINE) and not is_upscaler(plain):
            return Contents(fault=f"it is made for {family}, which AUTOMATIC1111 cannot run")
    for look in (lora, embedding, control, vae, hypernetwork, upscaler, part_of_a_model):
        found = look(plain, names)
        if found:
            return found
    return Contents()


CONTROL_ONLY: Final = re.compile(r"^control_model\.", re.MULTILINE)


def checkpoint(shapes: Mapping[str, tuple[int, ...]], names: str) -> Contents:
    """A whole model in the layout of ldm and sgm, as A1111's sd_models_config.py tells them apart."""
    if "\nconditioner.embedders.1." in f"\n{names}" or "\nconditioner.embedders.0.transformer." in f"\n{names}":
        base = "SDXL"
    elif "conditioner.embedders.0.model." in names:
        width = shapes.get("conditioner.embedders.0.model.ln_final.weight", (0,))
        base = "SD 2" if width == (1024,) else "SDXL refiner"
    elif "cond_stage_model.model." in names:
        base = "SD 2"
    elif re.search(r"^(cond_stage_model|embedder)\.", names, re.MULTILINE):
        base = "SD 1"
    else:
        return Contents("checkpoint", fault="it contains only part of a model: the text encoder is missing")
    channels = shapes.get(f"{UNET}input_blocks.0.0.weight", ())
    task = {9: " inpainting", 8: " pix2pix"}.get(channels[1] if len(channels) == 4 else 4, "")
    return Contents("checkpoint", base + task)


def lora(shapes: Mapping[str, tuple[int, ...]], names: str) -> Contents | None:
    """LoRA, LyCORIS (LoHa, LoKr, OFT, full), DoRA, in the names of kohya's scripts, of diffusers and of PEFT."""
    if not any(LORA.search(name) for name in shapes):
        return None
    if CONTROL.search(names):
        return Contents("ControlNet", "SDXL")  # control-LoRA
    if not LORA_TARGET.search(names):
        return Contents(fault="it is a LoRA for a model that AUTOMATIC1111 cannot run")
    widths = {
        shape[-1]
        for name, shape in shapes.items()
        if re.search(r"attn2[._]to_k\b.*(down|lora_A|lora\.down)", name) and shape
    }
    if 2048 in widths or re.search(
        r"lora_te2_|text_encoder_2|label_emb|blocks_\d+_\d+_transformer_blocks_[2-9]", names
    ):
        return Contents("LoRA", "SDXL")
    return Contents("LoRA", "SD 2" if 1024 in widths else "SD 1" if 768 in widths else "")


def embedding(shapes: Mapping[str, tuple[int, ...]], names: str) -> Contents | None:
    """Textual inversion: A1111's and ldm's of 2022, the plain one, diffusers', and SDXL's pair."""
    if re.search(r"^string_to_param\b", names, re.MULTILINE):
        return Contents("embedding")
    if set(shapes) <= {"clip_l", "clip_g"} and shapes:
        return Contents("embedding", "SDXL")
    small = len(shapes) <= 2 and all(0 < len(shape) <= 2 and shape[-1] in CLIP_WIDTHS for shape in shapes.values())
    if "emb_params" in shapes or (small and shapes):
        widths = {shape[-1] for shape in shapes.values() if shape}
        return Contents("embedding", {768: "SD 1", 1024: "SD 2"}.get(min(widths, default=0), ""))
    return None


def control(shapes: Mapping[str, tuple[int, ...]], names: str) -> Contents | None:
    """ControlNet (ldm's and diffusers' layout), control-LoRA, T2I-Adapter, IP-Adapter."""
    return Contents("ControlNet") if any(CONTROL.search(name) for name in shapes) and not is_upscaler(shapes) else None


def vae(shapes: Mapping[str, tuple[int, ...]], names: str) -> Contents | None:
    """Only ldm's layout is one A1111 can load."""
    bare = {name.removeprefix("first_stage_model."): shape for name, shape in shapes.items()}
    if not any(re.match(r"(encoder|decoder)\.(conv_in|mid|up|down)", name) for name in bare):
        return None
    if any(re.match(r"(encoder|decoder)\.(up_blocks|down_blocks|mid_block)\.", name) for name in bare):
        return Contents("VAE", fault="it is a VAE in the diffusers layout, which AUTOMATIC1111 cannot load")
    latent = bare.get("decoder.conv_in.weight", ())
    if len(latent) == 4 and latent[1] != 4:
        return Contents("VAE", fault="it is a VAE for a model that AUTOMATIC1111 cannot run")
    return Contents("VAE")


def hypernetwork(shapes: Mapping[str, tuple[int, ...]], names: str) -> Contents | None:
    """Pairs of small networks under the width of what they change."""
    return Contents("hypernetwork") if any(HYPERNETWORK.match(name) for name in shapes) else None


def is_upscaler(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """ESRGAN (both layouts), Real-ESRGAN's small ones, SwinIR, HAT, DAT, ScuNET."""
    return any(UPSCALER.search(name) for name in shapes) and not any(".attention." in name for name in shapes)


def upscaler(shapes: Mapping[str, tuple[int, ...]], names: str) -> Contents | None:
    """What makes images larger."""
    return Contents("upscaler") if is_upscaler(shapes) else None


def part_of_a_model(shapes: Mapping[str, tuple[int, ...]], names: str) -> Contents | None:
    """A file out of a folder of diffusers."""
    if re.search(r"^(down_blocks|up_blocks|mid_block|text_model|vision_model)\.", names, re.MULTILINE):
        return Contents(fault="it is one part of a model in the diffusers layout, which AUTOMATIC1111 cannot load")
    return None
