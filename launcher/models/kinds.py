"""Kinds of model, the folders they belong in, and how the names of its tensors tell what a file is.

The names are those that the tools which write such files use (ldm, diffusers, kohya's scripts, LyCORIS, PEFT,
spandrel). The patterns are looked for in all names of a file, one a line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, TypeVar

# What a file can be -> its folder below the web UI's data, and the endings that A1111 v1.10.1 lists there (`ext_filter`
# in its modules).
FOLDERS_AND_ENDINGS: Final = {
    "checkpoint": ("models/Stable-diffusion", ".safetensors .ckpt"),
    "LoRA": ("models/Lora", ".safetensors .pt .ckpt"),
    "VAE": ("models/VAE", ".safetensors .pt .ckpt"),
    "embedding": ("embeddings", ".safetensors .pt .bin"),
    "ControlNet": ("models/ControlNet", ".safetensors .pth .pt .ckpt .bin"),
    "upscaler": ("models/ESRGAN", ".pth .pt"),
    "hypernetwork": ("models/hypernetworks", ".pt"),
}
KIND_FOLDERS: Final = {kind: folder for kind, (folder, _) in FOLDERS_AND_ENDINGS.items()}
KIND_ENDINGS: Final = {kind: tuple(endings.split()) for kind, (_, endings) in FOLDERS_AND_ENDINGS.items()}


class OwnerExtension(NamedTuple):
    """The extension of A1111 that a kind of file is for, and where it reads them, below the folder on Drive."""

    name: str
    address: str
    folder: str


EXTENSION_KINDS: Final = {
    "motion module": OwnerExtension("AnimateDiff",
        "https://github.com/continue-revolution/sd-webui-animatediff", "extensions/sd-webui-animatediff/model"),
    "detector": OwnerExtension("ADetailer", "https://github.com/Bing-su/adetailer", "models/adetailer"),
    "segmentation model": OwnerExtension("Segment anything",
        "https://github.com/continue-revolution/sd-webui-segment-anything", "models/sam"),
}  # fmt: skip
RUNS_ON: Final = re.compile(r"SD 1|SD 2|SDXL|Pony$|Illustrious|NoobAI|Playground v2|^Other$", re.IGNORECASE)
FAMILIES: Final = "Stable Diffusion 1.5, 2.1 or XL"

# How numbers are packed that A1111 cannot unpack, and the names by which it shows. The first that fits.
PACKED: Final = {
    "for ComfyUI (comfy_quant)": r"\.comfy_quant$",
    "as nf4": r"\.quant_state\.bitsandbytes__",
    "as fp8 with scales": r"(^|\.)scaled_fp8$|\.(scale_weight|weight_scale)$",
    "by Nunchaku, GPTQ or AWQ": r"\.(smooth_factor|wscales|qweight)$",
}
# Names that only models A1111 cannot run have. The first that fits.
FOREIGN: Final = {
    "Hunyuan Video": r"individual_token_refiner|\.img_attn_qkv\.",
    "Flux": r"double_blocks[._]\d+[._](img_|txt_|processor)|single_transformer_blocks[._]\d"
    r"|single_blocks[._]\d+[._](linear|mod|processor)",
    "Stable Diffusion 3": r"joint_blocks[._]|joint_transformer_blocks[._]|context_block[._]",
    "AuraFlow (Pony V7)": r"double_layers[._]\d|single_layers[._]\d|cond_seq_linear",
    "Z-Image or Lumina": r"(noise|context)_refiner[._]|cap_embedder[._]|[._]layers[._]\d+[._](attention|adaLN)",
    "Qwen-Image or Stable Diffusion 3": r"transformer_blocks[._]\d+[._]((img|txt)_(mod|mlp)|attn[._](to_out|add_))",
    "Cosmos or Anima": r"adaln_modulation_(cross|self)_attn|blocks[._]\d+[._](cross|self)_attn[._]\w+_proj",
    "Wan": r"(^|[._])blocks[._]\d+[._](cross|self)_attn[._](q|k|v|o|norm)|coder\.(middle|(up|down)samples)\.\d",
    "HiDream": r"(double|single)_stream_(blocks|layers)[._]",
    "Chroma": r"distilled_guidance_layer",
    "PixArt or LTX": r"scale_shift_table|adaln_single",
    "Stable Cascade": r"clip_txt_mapper|effnet_mapper|clip_txt_pooled_mapper",
    "a video model": r"temporal_transformer|time_stack",
    "PhotoMaker": r"^id_encoder\.",
    "CosXL or Playground v2.5": r"^edm_(vpred\.sigma_|mean$|std$)",
}
MOTION: Final = re.compile(r"[._]motion_modules[._]\d")  # AnimateDiff's; with LoRA's names, its LoRAs of movements
LORA: Final = re.compile(
    r"(?m)[._]lora[._]?(down|up|A|B|mid|linear_layer)([._]|$)|hada_w|lokr_|dora_scale|oft_(blocks|diag)|"
    r"^(lora|lycoris)_\w+\.(alpha|diff|diff_b|w_norm|b_norm|weight|on_input|a1|b1)"
)
# What a LoRA for Stable Diffusion changes: its U-Net, or its text encoders.
LORA_TARGET: Final = re.compile(
    r"(down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block|downblocks|upblocks)[._]|"
    r"lora_te[12]?_|text_encoder|text_model|lora_unet_(conv_in|conv_out|time_embed|label_emb|out_)|bundle_emb"
)
LORA_FOR_SDXL: Final = re.compile(r"lora_te2_|text_encoder_2|label_emb|blocks_\d+_\d+_transformer_blocks_[2-9]")
OF_DIFFUSERS: Final = "it is a LoRA in the layout of another program, which AUTOMATIC1111 lists but does not apply"
VAE_OF_DIFFUSERS: Final = "it is a VAE in the diffusers layout, which AUTOMATIC1111 cannot load"
BY_ITSELF: Final = "it repairs faces or draws previews, which AUTOMATIC1111 downloads by itself when it is first used"
TO_TEXT: Final = re.compile(r"attn2[._]to_k\b.*(down|lora_A)")  # its width is the text encoder's
# ControlNet (ldm's and diffusers' layout), control-LoRA, LLLite, T2I-Adapter, IP-Adapter
CONTROL: Final = re.compile(
    r"(?m)^control_model\.|zero_convs\.|input_hint_block\.|controlnet_(cond_embedding|down_blocks|mid_block)"
    r"|lora_controlnet|^lllite_|^(adapter\.)?body\.\d+\.(in_conv|block1|resnets)|^ip_adapter\.|^image_proj\."
)
# ESRGAN (both layouts), Real-ESRGAN's small ones, SwinIR, HAT, DAT, ScuNET; SPAN, PLKSR, OmniSR
UPSCALER: Final = re.compile(
    r"(?m)(^|\.)(model\.1\.sub\.\d+|body\.\d+\.rdb1|RRDB_trunk\.|conv_first\.|upconv1\.|HRconv\.|m_head\.0\.|before_RG\."
    r"|block_1\.c1_r\.|feats\.1\.channel?_mixer\.|residual_layer\.0\.residual_layer\.)"
    r"|layers\.\d+\.(residual_group|blocks)\.|^(params(_ema)?\.)?body\.\d+\.weight$"
)
VAE: Final = re.compile(r"(?m)^(first_stage_model\.)?(encoder|decoder)\.(conv_in|mid|up|down)")
# Whose text encoder a checkpoint has. The first that fits.
BASES: Final = {
    "SDXL": r"^conditioner\.embedders\.(1|0\.transformer)\.",
    "SDXL refiner": r"conditioner\.embedders\.0\.model\.",
    "SD 2": r"cond_stage_model\.model\.",
    "SD 1": r"^(cond_stage_model|embedder)\.",
}
CLIP_WIDTHS: Final = {768: "SD 1", 1024: "SD 2", 1280: None}
UNET: Final = "model.diffusion_model.input_blocks."
T = TypeVar("T")
Shapes = Mapping[str, tuple[int, ...]]  # name of a tensor -> its shape


class Format(Enum):
    """What the bytes are, whatever the name says."""

    SAFETENSORS = "safetensors"
    OLD = "a pickle file"  # torch's zip since 1.6, and its five pickles before
    ZIP = "a zip archive"
    OTHER = "something else"


@dataclass(frozen=True)
class ModelFile:
    """`kind` is one of KIND_FOLDERS or EXTENSION_KINDS; `base` the model it is or belongs to; None where nobody knows.

    `fault` is half a sentence that begins with "it" or "its". `foreign`: the file is sound, but it is for another
    program or model, which is what `fault` says. `predicts_v`: a checkpoint that says of itself that it predicts v;
    `lacks_vae`: one without the part that makes images of what it paints.
    """

    format: Format = Format.SAFETENSORS
    kind: str | None = None
    base: str | None = None
    fault: str | None = None
    foreign: bool = False
    predicts_v: bool = False
    lacks_vae: bool = False


def a_kind(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def unusable(fault: str) -> ModelFile:
    return ModelFile(fault=fault, foreign=True)


# What else shows in the names. The first that fits.
OTHERS: Final = {
    ModelFile(kind="hypernetwork"): r"^(320|640|768|1024|1280)\.\d+\.",
    unusable("it is one part of a model in the diffusers layout, which AUTOMATIC1111 cannot load"): (
        r"^(down_blocks|up_blocks|mid_block|text_model|vision_model)\."
    ),
    unusable("it is a text encoder or a language model, which AUTOMATIC1111 cannot load"): (  # T5; OpenCLIP; Qwen …
        r"^(encoder\.block\.\d+\.layer|(visual\.)?transformer\.resblocks|(model\.)?layers\.\d+\.(self_attn|mlp))\."
    ),
    ModelFile(kind="segmentation model"): r"^mask_decoder\.",  # Segment anything's
    # GFPGAN, CodeFormer; TAESD
    unusable(BY_ITSELF): r"^(params_ema\.)?(stylegan_decoder\.|position_emb$)|^(taesd_\w+\.)?1\.weight$",
}


def first_of(patterns: Mapping[T, str], names: str) -> T | None:
    return next((what for what, pattern in patterns.items() if re.search(f"(?m){pattern}", names)), None)


def contents_of(shapes: Shapes) -> ModelFile:
    """What a file with these tensors is."""
    shapes = {name.removeprefix("state_dict."): shape for name, shape in shapes.items()}
    names = "\n".join(shapes)
    is_upscaler = UPSCALER.search(names) and ".attention." not in names
    moves = MOTION.search(names)
    if packed := first_of(PACKED, names):
        return unusable(f"its numbers are packed {packed}, which AUTOMATIC1111 cannot read")
    if moves and not LORA.search(names) and not CONTROL.search(names):
        return ModelFile(kind="motion module")
    if not is_upscaler and not moves and (foreign := first_of(FOREIGN, names)):
        return unusable(f"it is made for {foreign}, which AUTOMATIC1111 cannot run")
    if UNET in names and not re.search(r"(?m)^control_model\.", names):
        return checkpoint(shapes, names)
    if LORA.search(names) and not re.search(r"(?m)^lllite_", names):
        return lora(shapes, names)
    if found := embedding(shapes, names):
        return found
    if CONTROL.search(names) and not is_upscaler:
        return ModelFile(kind="ControlNet")
    if VAE.search(names):
        return vae(shapes, names)
    return ModelFile(kind="upscaler") if is_upscaler else first_of(OTHERS, names) or ModelFile()


def checkpoint(shapes: Shapes, names: str) -> ModelFile:
    """A whole model in the layout of ldm and sgm, as A1111's sd_models_config.py tells them apart."""
    base = first_of(BASES, names)
    if not base:
        return unusable("it contains only part of a model: the text encoder is missing")
    if base == "SDXL refiner" and shapes.get("conditioner.embedders.0.model.ln_final.weight") == (1024,):
        base = "SD 2"
    channels = shapes.get(f"{UNET}0.0.weight", ())
    task = {9: " inpainting", 8: " pix2pix"}.get(channels[1] if len(channels) == 4 else 4, "")
    lacks_vae = "first_stage_model." not in names
    return ModelFile(kind="checkpoint", base=base + task, predicts_v="v_pred" in shapes, lacks_vae=lacks_vae)


def lora(shapes: Shapes, names: str) -> ModelFile:
    """LoRA, LyCORIS (LoHa, LoKr, OFT, full), DoRA, in the names of kohya's scripts, of diffusers and of PEFT."""
    if CONTROL.search(names):
        return ModelFile(kind="ControlNet", base="SDXL")  # control-LoRA
    if not LORA_TARGET.search(names):
        return unusable("it is a LoRA for a model that AUTOMATIC1111 cannot run")
    if not MOTION.search(names) and not re.search(r"(?m)^(lora_(unet|te[12]?)|oft_unet)_|^bundle_emb", names):
        return unusable(OF_DIFFUSERS)  # it goes by what is before the first dot (extensions-builtin/Lora/networks.py)
    widths = {shape[-1] for name, shape in shapes.items() if shape and TO_TEXT.search(name)}
    if 2048 in widths or LORA_FOR_SDXL.search(names):
        return ModelFile(kind="LoRA", base="SDXL")
    return ModelFile(kind="LoRA", base=next((CLIP_WIDTHS[width] for width in (1024, 768) if width in widths), None))


def embedding(shapes: Shapes, names: str) -> ModelFile | None:
    """Textual inversion: A1111's and ldm's of 2022, the plain one, diffusers', and SDXL's pair."""
    if re.search(r"(?m)^string_to_param\b", names):
        return ModelFile(kind="embedding")
    if shapes and set(shapes) <= {"clip_l", "clip_g"}:
        return ModelFile(kind="embedding", base="SDXL")
    widths = [shape[-1] for shape in shapes.values() if 0 < len(shape) <= 2 and shape[-1] in CLIP_WIDTHS]
    if 1 < len(shapes) == len(widths) < 100:  # "multiple terms in it": A1111's textual_inversion.py
        return unusable("it holds several embeddings in one, which AUTOMATIC1111 cannot load")
    if len(shapes) == len(widths) == 1 or "emb_params" in shapes:
        return ModelFile(kind="embedding", base=CLIP_WIDTHS[min(widths)] if widths else None)
    return None


def vae(shapes: Shapes, names: str) -> ModelFile:
    """Only ldm's layout is one A1111 can load."""
    if re.search(rf"{VAE.pattern}_blocks?\.", names):
        return unusable(VAE_OF_DIFFUSERS)
    latent = shapes.get("decoder.conv_in.weight") or shapes.get("first_stage_model.decoder.conv_in.weight", ())
    if len(latent) == 4 and latent[1] != 4:
        return unusable("it is a VAE for a model that AUTOMATIC1111 cannot run")
    return ModelFile(kind="VAE")
