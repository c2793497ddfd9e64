"""One place says what a file is: by its bytes and the names of its tensors, whatever it is called."""

import io
import json
import threading
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models.ensure import broken_models, decided, file_of_kind, usable_checkpoint
from launcher.models.fetch import receive, sound_or_set_aside
from launcher.models.identify import Unreadable, identify, identify_beginning, shapes_in
from launcher.models.kinds import EXTENSION_KINDS, KIND_FOLDERS, Format, ModelFile, contents_of
from launcher.models.places import place_for
from launcher.models.remote import Interrupted, Remote
from tests.conftest import new_folder
from tests.models.fetching import a_fetcher, fetcher
from tests.models.old_files import LORA, SOUND, UPSCALER, zipped
from tests.world import safetensors

UNET = "model.diffusion_model.input_blocks.0.0.weight"
CLIP = "cond_stage_model.transformer.text_model.final_layer_norm.weight"
XL: dict[str, tuple[int, ...]] = {UNET: (320, 4, 3, 3), "conditioner.embedders.1.model.ln_final.weight": (1280,)}


def tensors(names: Mapping[str, tuple[int, ...]], dtype: str = "F16", size: int = 2) -> bytes:
    """A .safetensors file with these tensors."""
    header, at = {}, 0
    for name, shape in names.items():
        count = size
        for side in shape:
            count *= side
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + count]}
        at += count
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(at)


# (what it is, the names as its makers write them, kind, base): ldm, sgm, kohya's scripts, LyCORIS, PEFT, diffusers,
# spandrel.
KINDS: list[tuple[str, dict[str, tuple[int, ...]], str, str]] = [
    ("SD 1.x", {UNET: (320, 4, 3, 3), CLIP: (768,)}, "checkpoint", "SD 1"),
    ("SD 2.x", {UNET: (320, 4, 3, 3), "cond_stage_model.model.ln_final.weight": (1024,)}, "checkpoint", "SD 2"),
    ("SDXL", {UNET: (320, 4, 3, 3), "conditioner.embedders.0.transformer.x": (1,), "conditioner.embedders.1.model.ln_final.weight": (1280,)}, "checkpoint", "SDXL"),
    ("SDXL refiner", {UNET: (384, 4, 3, 3), "conditioner.embedders.0.model.ln_final.weight": (1280,)}, "checkpoint", "SDXL refiner"),
    ("SD-Turbo", {UNET: (320, 4, 3, 3), "conditioner.embedders.0.model.ln_final.weight": (1024,)}, "checkpoint", "SD 2"),
    ("inpainting", {UNET: (320, 9, 3, 3), CLIP: (768,)}, "checkpoint", "SD 1 inpainting"),
    ("SDXL inpainting", {UNET: (320, 9, 3, 3), "conditioner.embedders.1.model.ln_final.weight": (1280,)}, "checkpoint", "SDXL inpainting"),
    ("pix2pix", {UNET: (320, 8, 3, 3), CLIP: (768,)}, "checkpoint", "SD 1 pix2pix"),
    ("LoRA of kohya's scripts", {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 768)}, "LoRA", "SD 1"),
    ("LoRA, SD 2", {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 1024)}, "LoRA", "SD 2"),
    ("LoRA, SDXL", {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 2048), "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (8, 1280)}, "LoRA", "SDXL"),
    ("LoHa", {"lora_unet_down_blocks_0_attentions_0_proj_in.hada_w1_a": (8, 4)}, "LoRA", ""),
    ("LoKr", {"lora_unet_down_blocks_0_attentions_0_proj_in.lokr_w1": (8, 4)}, "LoRA", ""),
    ("OFT", {"lora_unet_down_blocks_0_attentions_0_proj_in.oft_blocks": (8, 4, 4)}, "LoRA", ""),
    ("DoRA", {"lora_unet_down_blocks_0_attentions_0_proj_in.dora_scale": (8, 1), "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (8, 320)}, "LoRA", ""),
    ("full difference", {"lora_unet_down_blocks_0_attentions_0_proj_in.diff": (8, 4)}, "LoRA", ""),
    ("embedding, A1111", {"emb_params": (2, 768)}, "embedding", "SD 1"),
    ("embedding, SD 2", {"emb_params": (2, 1024)}, "embedding", "SD 2"),
    ("embedding, SDXL", {"clip_l": (2, 768), "clip_g": (2, 1280)}, "embedding", "SDXL"),
    ("embedding, diffusers", {"<cat>": (768,)}, "embedding", "SD 1"),
    ("VAE, ldm", {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3), "decoder.mid.attn_1.q.weight": (1,)}, "VAE", ""),
    ("VAE with its prefix", {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}, "VAE", ""),
    ("ControlNet, ldm", {"control_model.input_hint_block.0.weight": (16, 3, 3, 3), "control_model.zero_convs.0.0.weight": (1,)}, "ControlNet", ""),
    ("ControlNet, ldm, whole", {"control_model.input_blocks.0.0.weight": (1,), "control_model.input_hint_block.0.weight": (16,), UNET: (1,)}, "ControlNet", ""),
    ("ControlNet, diffusers", {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight": (1,)}, "ControlNet", ""),
    ("control-LoRA", {"lora_controlnet": (0,), "input_blocks.1.0.in_layers.2.up": (1,), "input_hint_block.0.weight": (1,)}, "ControlNet", ""),
    ("ControlNet, union", {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "control_add_embedding.linear_1.weight": (1,), "down_blocks.0.resnets.0.conv1.weight": (1,)}, "ControlNet", ""),
    ("ControlNet-LLLite, kohya", {"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.conditioning1.0.weight": (1,), "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight": (1,)}, "ControlNet", ""),
    ("ControlNet-LLLite, with LoRA's words", {"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight": (1,)}, "ControlNet", ""),
    ("SparseCtrl", {"controlnet_cond_embedding.conv_in.weight": (1,), "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (1,)}, "ControlNet", ""),
    ("LoRA of a movement, AnimateDiff", {"down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_q_lora.down.weight": (8, 320)}, "LoRA", ""),
    ("T2I-Adapter", {"adapter.body.0.block1.weight": (1,), "adapter.conv_in.weight": (1,)}, "ControlNet", ""),
    ("T2I-Adapter, old", {"body.0.block1.weight": (320, 320, 3, 3), "body.0.in_conv.weight": (1,), "conv_in.weight": (1,)}, "ControlNet", ""),
    ("IP-Adapter", {"image_proj.proj.weight": (1,), "ip_adapter.1.to_k_ip.weight": (1,)}, "ControlNet", ""),
    ("ESRGAN, old", UPSCALER, "upscaler", ""),
    ("ESRGAN, new", {"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (1,)}, "upscaler", ""),
    ("Real-ESRGAN, EMA", {"params_ema.conv_first.weight": (1,)}, "upscaler", ""),
    ("Real-ESRGAN, small", {"params.body.0.weight": (64, 3, 3, 3), "params.body.1.weight": (64,)}, "upscaler", ""),
    ("RealPLKSR", {"feats.0.weight": (64, 3, 3, 3), "feats.1.channel_mixer.0.weight": (1,)}, "upscaler", ""),
    ("SPAN", {"params_ema.conv_1.sk.weight": (1,), "params_ema.block_1.c1_r.sk.weight": (1,)}, "upscaler", ""),
    ("OmniSR", {"residual_layer.0.residual_layer.0.layer.0.fn.0.weight": (1,)}, "upscaler", ""),
    ("Segment anything", {"image_encoder.patch_embed.proj.weight": (1,), "mask_decoder.iou_token.weight": (1, 256)}, "segmentation model", ""),
    ("SwinIR", {"params.layers.0.residual_group.blocks.0.attn.qkv.weight": (1,), "params.conv_first.weight": (1,)}, "upscaler", ""),
    ("DAT", {"before_RG.1.weight": (1,), "layers.0.blocks.0.attn.qkv.weight": (1,)}, "upscaler", ""),
    ("ScuNET", {"m_head.0.weight": (1,), "m_down1.0.conv1_1.weight": (1,)}, "upscaler", ""),
    ("hypernetwork", {"768.0.linear.0.weight": (1,), "768.1.linear.0.weight": (1,)}, "hypernetwork", ""),
]  # fmt: skip
FOREIGN: list[tuple[str, dict[str, tuple[int, ...]], str]] = [
    ("Flux", {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (1,)}, "Flux"),
    ("Hunyuan Video", {"double_blocks.0.img_attn_qkv.weight": (1,)}, "Hunyuan Video"),
    ("Anima (Cosmos)", {"net.blocks.0.adaln_modulation_cross_attn.1.weight": (1,), "net.blocks.0.cross_attn.q_proj.weight": (1,)}, "Cosmos or Anima"),
    ("Stable Video Diffusion", {**XL, "model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight": (1,)}, "a video model"),
    ("SD 3 LoRA of diffusers", {"transformer.transformer_blocks.0.attn.add_k_proj.lora_A.weight": (1,)}, "Stable Diffusion 3"),
    ("Flux LoRA of XLabs", {"double_blocks.0.processor.qkv_lora1.down.weight": (16, 3072)}, "Flux"),
    ("CosXL", {**XL, "edm_vpred.sigma_max": (1,)}, "CosXL or Playground"),
    ("Playground v2.5", {**XL, "edm_mean": (4,)}, "CosXL or Playground"),
    ("LyCORIS's own names", {"lycoris_unet_down_blocks_0_attentions_0_proj_in.lokr_w1": (8, 4)}, "does not apply"),
    ("GFPGAN", {"stylegan_decoder.style_mlp.1.weight": (1,)}, "downloads by itself"),
    ("CodeFormer", {"position_emb": (256, 512), "idx_pred_layer.1.weight": (1024, 512)}, "downloads by itself"),
    ("TAESD", {"1.weight": (64, 4, 3, 3), "1.bias": (64,)}, "downloads by itself"),
    ("T5", {"encoder.block.0.layer.0.SelfAttention.q.weight": (1,), "shared.weight": (1,)}, "a text encoder"),
    ("OpenCLIP", {"transformer.resblocks.0.attn.in_proj_weight": (1,), "positional_embedding": (77, 1280)}, "a text encoder"),
    ("Qwen, a language model", {"model.layers.0.self_attn.q_proj.weight": (1,), "model.embed_tokens.weight": (1,)}, "a language model"),
    ("VAE of Wan and Qwen-Image", {"decoder.middle.0.residual.0.gamma": (1,), "encoder.downsamples.0.residual.2.weight": (1,)}, "Wan"),
    ("LoRA of diffusers", {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight": (8, 320)}, "layout of another program"),
    ("LoRA of diffusers, old", {"unet.down_blocks.0.attentions.0.processor.to_q_lora.down.weight": (8, 320)}, "layout of another program"),
    ("LoRA of a text encoder", {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight": (8, 768)}, "layout of another program"),
    ("PhotoMaker", {"id_encoder.visual_projection_2.weight": (1,), "lora_weights.unet.down_blocks.1.attentions.0.to_k_lora.down.weight": (1,)}, "PhotoMaker"),
    ("several embeddings in one", {"<a>": (768,), "<b>": (768,)}, "several embeddings in one"),
    ("embeddings of a pivotal tuning", {"text_encoders_0": (2, 768), "text_encoders_1": (2, 1280)}, "several embeddings in one"),
    ("Flux, one part", {"double_blocks.0.img_mod.lin.weight": (1,), "single_blocks.0.linear1.weight": (1,)}, "Flux"),
    ("Flux LoRA, kohya", {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (1,), "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (1,)}, "Flux"),
    ("Flux LoRA, diffusers", {"transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (1,)}, "Flux"),
    ("Stable Diffusion 3", {"model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight": (1,)}, "Stable Diffusion 3"),
    ("AuraFlow, Pony V7", {"model.double_layers.0.attn.w1q.weight": (1,), "model.single_layers.0.attn.w1q.weight": (1,)}, "AuraFlow"),
    ("Z-Image", {"noise_refiner.0.attention.qkv.weight": (1,), "layers.0.attention.qkv.weight": (1,)}, "Z-Image"),
    ("Z-Image LoRA", {"diffusion_model.layers.0.attention.to_q.lora_A.weight": (1,)}, "Z-Image"),
    ("Qwen-Image", {"transformer_blocks.0.img_mod.1.weight": (1,), "transformer_blocks.0.txt_mlp.net.0.proj.weight": (1,)}, "Qwen"),
    ("Wan", {"blocks.0.cross_attn.k.weight": (1,), "patch_embedding.weight": (1,)}, "Wan"),
    ("Wan LoRA", {"diffusion_model.blocks.0.cross_attn.k.lora_A.weight": (1,)}, "Wan"),
    ("LoRA of something unheard of", {"diffusion_model.novel_blocks.0.q.lora_A.weight": (1,)}, "a LoRA for a model"),
    ("Flux VAE", {"decoder.conv_in.weight": (512, 16, 3, 3)}, "a VAE for a model"),
    ("VAE of diffusers", {"decoder.up_blocks.0.resnets.0.conv1.weight": (1,), "decoder.conv_in.weight": (512, 4, 3, 3)}, "diffusers layout"),
    ("U-Net of diffusers", {"down_blocks.0.resnets.0.conv1.weight": (1,), "up_blocks.0.resnets.0.conv1.weight": (1,)}, "diffusers layout"),
    ("text encoder of diffusers", {"text_model.encoder.layers.0.mlp.fc1.weight": (1,)}, "diffusers layout"),
    ("SDXL, nf4", XL | {"model.diffusion_model.input_blocks.4.1.proj_in.weight.quant_state.bitsandbytes__nf4": (97,)}, "packed as nf4"),
    ("SDXL, fp8 with scales", XL | {"scaled_fp8": (2,), "model.diffusion_model.input_blocks.4.1.proj_in.scale_weight": ()}, "packed as fp8 with scales"),
    ("SDXL, fp8 with other scales", XL | {"model.diffusion_model.input_blocks.4.1.proj_in.weight_scale": ()}, "packed as fp8 with scales"),
    ("SDXL, comfy_quant", XL | {"model.diffusion_model.input_blocks.4.1.proj_in.comfy_quant": (40,), "model.diffusion_model.input_blocks.4.1.proj_in.weight_scale": ()}, r"packed for ComfyUI"),
    ("SDXL, SVDQuant", XL | {"down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_qkv.smooth_factor": (640,)}, "packed by Nunchaku, GPTQ or AWQ"),
    ("U-Net alone", {UNET: (320, 4, 3, 3)}, "the text encoder is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "names", "kind", "base"), KINDS, ids=[row[0] for row in KINDS])
def test_what_a_file_is_shows_in_the_names_of_its_tensors(
    what: str, names: dict[str, tuple[int, ...]], kind: str, base: str
) -> None:
    found = contents_of(names)
    assert (found.kind, found.fault) == (kind, None)
    assert not base or base == found.base


@pytest.mark.parametrize(("what", "names", "says"), FOREIGN, ids=[row[0] for row in FOREIGN])
def test_what_a1111_cannot_run_shows_there_too(what: str, names: dict[str, tuple[int, ...]], says: str) -> None:
    assert says in (contents_of(names).fault or "")


@pytest.mark.parametrize(
    ("dtype", "size"), [("F8_E4M3", 1), ("F8_E5M2", 1), ("BF16", 2), ("F32", 4), ("F64", 8), ("I64", 8)]
)
def test_every_number_format_is_read(tmp_path: Path, dtype: str, size: int) -> None:
    (tmp_path / "x").write_bytes(tensors({UNET: (2, 4, 3, 3), CLIP: (8,)}, dtype, size))
    assert identify(tmp_path / "x").base == "SD 1"


@pytest.mark.parametrize(("more", "predicts_v"), [({}, False), ({"v_pred": ()}, True), ({"ztsnr": ()}, False)])
def test_a_checkpoint_says_itself_that_it_predicts_v(more: dict[str, tuple[int, ...]], predicts_v: bool) -> None:
    assert contents_of(XL | more).predicts_v == predicts_v


def test_a_checkpoint_may_say_so_in_its_metadata_too() -> None:
    entry = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}
    for told, predicts_v in (("v", True), ("v_prediction", True), ("epsilon", False)):
        for key in ("prediction_type", "predict_key"):
            raw = header({"__metadata__": {f"modelspec.{key}": told}, UNET: entry})
            assert ("v_pred" in shapes_in(raw, 8 + len(raw) + 4)) == predicts_v


def test_a_motion_module_is_no_video_model_but_anothers() -> None:
    name = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.to_q.weight"
    found = contents_of({name: (320, 320)})
    assert (found.kind, found.fault) == ("motion module", None)
    assert found.kind in EXTENSION_KINDS


def header(value: object) -> bytes:
    return json.dumps(value).encode()


ENTRY = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}
HOSTILE = {
    "nesting": b"[" * 100_000,
    "nesting in an object": b'{"a":' * 50_000,
    "a list": header([]),
    "a number": b"7",
    "text": b'"x"',
    "not UTF-8": b'{"\xff": 1}',
    "an entry that is a list": header({"a": [1]}),
    "an entry that is text": header({"a": "x"}),
    "no offsets": header({"a": {"dtype": "F16", "shape": [2]}}),
    "offsets of text": header({"a": ENTRY | {"data_offsets": ["0", "4"]}}),
    "three offsets": header({"a": ENTRY | {"data_offsets": [0, 2, 4]}}),
    "offsets backwards": header({"a": ENTRY | {"data_offsets": [4, 0]}}),
    "negative offsets": header({"a": ENTRY | {"data_offsets": [-4, 0]}}),
    "offsets of truth": header({"a": ENTRY | {"data_offsets": [False, True]}}),
    "offsets with a point": header({"a": ENTRY | {"data_offsets": [0.0, 4.0]}}),
    "a huge number": b'{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, ' + b"9" * 5000 + b"]}}",
    "a shape of text": header({"a": ENTRY | {"shape": "2"}}),
    "a shape without end": header({"a": ENTRY | {"shape": [1] * 1000}}),
    "no dtype": header({"a": {"shape": [2], "data_offsets": [0, 4]}}),
    "a dtype that is a number": header({"a": ENTRY | {"dtype": 16}}),
    "overlapping": header({"a": ENTRY, "b": ENTRY}),
    "a gap": header({"a": ENTRY | {"data_offsets": [2, 6]}}),
    "beyond the end": header({"a": ENTRY | {"shape": [1000], "data_offsets": [0, 2000]}}),
    "metadata that is a list": header({"__metadata__": [1], "a": ENTRY}),
    "metadata of numbers": header({"__metadata__": {"a": 1}, "a": ENTRY}),
    "sixty thousand tensors": header({str(at): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for at in range(60_000)}),
    "a name of a thousand letters": header({"x" * 1000: ENTRY}),
    "more values than any model has": b'{"__metadata__": [' + b"0," * 2_000_000 + b"0]}",
    "not a number": b'{"a": {"dtype": "F16", "shape": [NaN], "data_offsets": [0, 4]}}',
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_header_is_a_fault_and_no_exception(tmp_path: Path, what: str) -> None:
    raw = HOSTILE[what]
    with pytest.raises(Unreadable):
        shapes_in(raw, 8 + len(raw) + 4)
    (tmp_path / "x.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(4))
    assert identify(tmp_path / "x.safetensors").fault


def test_a_header_of_ninety_megabytes_is_refused_before_it_is_read() -> None:
    asked = []

    def read(start: int, end: int) -> bytes:
        asked.append((start, end))
        return (90_000_000).to_bytes(8, "little") + b'{"a"'

    seen = identify_beginning(read, 1_000_000_000) or ModelFile()
    assert "longer than that of any model" in (seen.fault or "")
    assert asked == [(0, 512)]


def test_one_hostile_file_hides_no_other(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    place = folder.kept / "models" / "Stable-diffusion"
    for name, raw in HOSTILE.items():
        (place / f"{name}.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(4))
    (place / "page.ckpt").write_bytes(b"<html>")
    (place / "good.safetensors").write_bytes(safetensors(1000))
    (place / "cut.safetensors.0123456789ab.part").write_bytes(b"half")
    sound, broken = broken_models(folder, set())
    assert sound == {"models/Stable-diffusion/good.safetensors"}
    assert len(broken) == len(HOSTILE) + 2
    assert "models/Stable-diffusion/cut.safetensors.0123456789ab.part" in broken


def packed(names: list[str], content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return out.getvalue()


def received(tmp_path: Path, name: str, content: bytes, kind: str = "checkpoint") -> Path:
    part = tmp_path / f"{name}.part"
    part.write_bytes(content)
    try:
        return receive(a_fetcher(tmp_path), part, tmp_path / name, kind=kind)
    finally:
        assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("name", "content", "kind", "becomes"),
    [
        ("m.ckpt", safetensors(1000), "checkpoint", "m.safetensors"),
        ("m.safetensors", SOUND["pruned, half precision"][0], "checkpoint", "m.ckpt"),
        ("m.safetensors", zipped(LORA), "LoRA", "m.pt"),
        ("m.bin", zipped(LORA), "LoRA", "m.pt"),
        ("m.ckpt", SOUND["upscaler (ESRGAN, old)"][0], "upscaler", "m.pth"),
        ("m.pth", SOUND["upscaler (ESRGAN, old)"][0], "upscaler", "m.pth"),
        ("m.zip", packed(["folder/inner.safetensors", "readme.txt"], safetensors(1000)), "checkpoint", "m.safetensors"),
        ("m.ckpt", packed(["inner.ckpt"], SOUND["pruned, half precision"][0]), "checkpoint", "m.ckpt"),
        (
            "m.ckpt",
            packed(["a.safetensors", "__MACOSX/._a.safetensors"], safetensors(1000)),
            "checkpoint",
            "m.safetensors",
        ),
    ],
)
def test_what_a_file_is_decides_its_ending(tmp_path: Path, name: str, content: bytes, kind: str, becomes: str) -> None:
    path = received(tmp_path, name, content, kind)
    assert path == tmp_path / becomes
    assert identify(path).kind == kind


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 7\n", "only a pointer"),
        (b'{"error": "not found"}', "an error message from a server"),
        (b"<!doctype html>", "a web page"),
        (b"\xef\xbb\xbf\n <html>", "a web page"),
        (bytes(range(1, 256)) * 9, "not a model file"),
        (bytes(1000), "nothing but zeros"),
        (b"", "empty"),
        *((begins + bytes(50), "it is an archive. Unpack it") for begins in (b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ\0")),
        (bytes([1]) + bytes(256) + b"ustar\0" + bytes(250), "it is an archive. Unpack it"),
        (b"GGUF" + bytes(50), "a GGUF file"),
        (SOUND["SD 1.5 (Lightning, zip)"][0][:-30], "cut off"),
        (safetensors(1000)[:-1], "cut off"),
        (safetensors(1000) + b"x", "longer than its header says"),
        (packed(["a.ckpt", "b.ckpt"], b"x"), "holds 2 models. Unpack it"),
        (packed(["readme.txt"], b"x"), "holds no model that AUTOMATIC1111 can use"),
        (packed(["a.ckpt"], b"<html>"), "a web page"),
        (zipped(LORA), "is a LoRA, not a checkpoint"),
        (tensors({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (4,)}), "made for Flux"),
        (tensors({"down_blocks.0.resnets.0.conv1.weight": (4,)}), "diffusers layout"),
        (tensors({"something.else": (4, 4, 4)}), "does not contain a checkpoint"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".ckpt", ".safetensors"])
def test_what_is_of_no_use_is_refused_under_every_name(tmp_path: Path, ending: str, content: bytes, says: str) -> None:
    with pytest.raises(Problem, match=says):
        received(tmp_path, f"m{ending}", content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chosen", ["", "VAE", "checkpoint"])
def test_where_its_tensors_tell_nothing_the_source_goes_before_what_was_chosen(tmp_path: Path, chosen: str) -> None:
    content, (made, heard, _) = tensors({"something.else": (4, 4, 4)}), fetcher(new_folder(tmp_path))
    remote = Remote("https://example.com/x.safetensors", "x.safetensors", len(content), kind="LoRA")
    with mock.patch("launcher.models.ensure.read_range", lambda remote, start, end: content[start:end]):
        assert decided(made, remote, chosen, required=False).kind == "LoRA"
    assert len(heard.notices) == bool(chosen)


def test_stop_is_heard_while_a_beginning_that_takes_seconds_is_looked_at(tmp_path: Path) -> None:
    made, heard, _ = fetcher(new_folder(tmp_path))
    remote = Remote("https://example.com/x.safetensors", "x.safetensors", 900)
    heard.stop.set()
    slow = mock.patch("launcher.models.ensure.identify_beginning", lambda read, size: time.sleep(1))
    with slow, pytest.raises(Interrupted):
        decided(made, remote, "", required=False)


def test_stop_is_heard_while_drive_does_not_give_the_file_that_is_compared(tmp_path: Path) -> None:
    made, heard, _ = fetcher(new_folder(tmp_path))
    remote = Remote("https://example.com/x.safetensors", "x.safetensors", 900, "a" * 64, kind="VAE")
    there = place_for(made.folder, "VAE") / remote.name
    there.parent.mkdir()
    there.write_bytes(safetensors(900))
    heard.stop.set()
    slow = mock.patch("launcher.models.fetch.same_as_remote", lambda *about: threading.Event().wait(1) is False)
    with slow, pytest.raises(Interrupted):
        file_of_kind(made, remote, required=False)


def test_an_upscaler_that_a1111_would_not_list_is_said(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"cannot use a \.safetensors file as upscaler"):
        received(tmp_path, "u.safetensors", tensors(UPSCALER), "upscaler")


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    (tmp_path / "m.ckpt").write_bytes(b"mine")
    assert received(tmp_path, "m.ckpt", SOUND["merged, bfloat16"][0]) == tmp_path / "m (2).ckpt"
    assert (tmp_path / "m.ckpt").read_bytes() == b"mine"


def test_a_broken_file_is_set_aside_under_a_name_that_nobody_has(tmp_path: Path) -> None:
    made, heard, _ = fetcher(new_folder(tmp_path))
    there = made.folder.models / "Stable-diffusion"
    (there / "m.ckpt").write_bytes(b"<html>")
    (there / "m.ckpt.broken").write_bytes(b"older")
    assert not sound_or_set_aside(made, there / "m.ckpt")
    assert not (there / "m.ckpt").exists()
    assert sorted(path.read_bytes() for path in there.iterdir()) == [b"<html>", b"older"]
    assert next(path.name for path in there.iterdir() if path.read_bytes() == b"<html>") in heard.notices[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        safetensors(1000)[:-5],
        tensors({"lora_unet_down_blocks_0_x.lora_down.weight": (4,)}),
        tensors({"down_blocks.0.resnets.0.conv1.weight": (4,)}),
    ],
    ids=["empty", "page", "cut off", "LoRA", "diffusers"],
)
def test_a_useless_file_is_no_checkpoint_and_is_named(tmp_path: Path, content: bytes) -> None:
    folder = new_folder(tmp_path)
    place = folder.models / "Stable-diffusion"
    (place / "a.safetensors").write_bytes(content)
    said = list[str]()
    assert usable_checkpoint(folder, set(), said.append) is None
    assert ["a.safetensors is in your checkpoint folder, but cannot be used" in one for one in said] == [True]
    (place / "sub").mkdir()
    (place / "sub" / "b.ckpt").write_bytes(SOUND["SD 1.5 (Lightning, zip)"][0])
    found = usable_checkpoint(folder, set(), said.append)
    assert found is not None
    assert found.samefile(place / "sub" / "b.ckpt")


def test_what_is_sound_but_for_another_program_is_not_called_broken(tmp_path: Path) -> None:
    folder: Folder = new_folder(tmp_path)
    path = folder.models / "Stable-diffusion" / "flux.safetensors"
    path.write_bytes(tensors({"double_blocks.0.img_mod.lin.weight": (4,)}))
    assert broken_models(folder, set())[1] == {}
    assert identify(path).foreign


def test_a_file_is_known_from_its_first_bytes_at_its_source() -> None:
    content = tensors({UNET: (2, 4, 3, 3), CLIP: (8,)})
    seen = identify_beginning(lambda start, end: content[start:end], len(content))
    assert seen
    assert (seen.format, seen.kind) == (Format.SAFETENSORS, "checkpoint")
    assert identify_beginning(lambda start, end: SOUND["LoRA (.pt)"][0][start:end], 1000) is None


def test_every_kind_has_its_folder() -> None:
    assert {*KIND_FOLDERS} <= {kind for _, _, kind, _ in KINDS} <= {*KIND_FOLDERS, *EXTENSION_KINDS}
