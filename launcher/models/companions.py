"""What goes with a checkpoint: its configuration, and what shows its images as they grow.

The configuration, `STEM.yaml`, is brought from the model's source, or written: A1111 v1.10.1 takes of SD 1 and SDXL
that none predicts v, and paints noise (modules/sd_models_config.py). It names parts of programs (`target`), which A1111
calls: a stranger's is taken only if it names none but those of A1111's own, and nothing else that could do harm.

The previews of SDXL images need a file that A1111 v1.10.1 looks for in its models folder, which is on Drive, then
beside its code, and else fetches in the middle of the first image (modules/sd_vae_approx.py). Where that fails, with
`--medvram-sdxl` and the like every SDXL image fails with it (`store_latent` in modules/sd_samplers_common.py).
"""

import os
import re
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import requests

from launcher.core.folder import write_safely
from launcher.core.outside import decoded, limited
from launcher.core.problem import Problem
from launcher.models.download import READ_ONLY
from launcher.models.fetch import Fetcher, fetch_remote
from launcher.models.http import WebSession, pieces, probe, until_stopped
from launcher.models.identify import WEIGHTS, identify
from launcher.models.kinds import ModelFile
from launcher.models.remote import Remote

CONFIG_MOST: Final = 64 << 10  # bytes
CLIP: Final = "openai/clip-vit-large-patch14"  # the only path that a value may be
TARGET: Final = (
    r"ldm\.(models\.(diffusion\.ddpm\.Latent(Inpaint)?Diffusion|autoencoder\.AutoencoderKL)"
    r"|lr_scheduler\.LambdaLinearScheduler|modules\.(diffusionmodules\.openaimodel\.UNetModel"
    r"|encoders\.modules\.Frozen(OpenCLIP|CLIP)Embedder))"
    r"|sgm\.(models\.(diffusion\.DiffusionEngine|autoencoder\.AutoencoderKL(InferenceWrapper)?)"
    r"|modules\.(GeneralConditioner|diffusionmodules\.(denoiser\.DiscreteDenoiser|openaimodel\.UNetModel"
    r"|denoiser_(scaling|weighting)\.(Eps|V)(Scaling|Weighting)|discretizer\.LegacyDDPMDiscretization)"
    r"|encoders\.modules\.(FrozenCLIPEmbedder|FrozenOpenCLIPEmbedder2?|ConcatTimestepEmbedderND)))"
    r"|torch\.nn\.Identity"
)
HARMLESS_KEY: Final = r"(?!target:|[a-z0-9_]*(ckpt|path|file))[a-z][a-z0-9_]*:"
VALUE: Final = rf"\"?([\w.+-]+|val/\w+|{CLIP})?\"?|\[[\w.+,\s-]*\]"
HARMLESS_LINE: Final = re.compile(rf"(- )?(target:\s+({TARGET})|{HARMLESS_KEY}(\s+({VALUE}))?)|- [\w.+-]+")
SAYS_V: Final = re.compile(r"v[-_ ]?pred", re.IGNORECASE)
VSCALING: Final = re.compile(r"\.VScaling\b|parameterization:\s*[\"']?v\b")
# sd_xl_base.yaml of Stability's generative-models, as A1111 has it, but for the scaling.
SDXL_V: Final = """\
# Written by the one-click launcher: this model predicts v.
model: {target: sgm.models.diffusion.DiffusionEngine, params: {
  scale_factor: 0.13025, disable_first_stage_autocast: true,
  denoiser_config: {target: sgm.modules.diffusionmodules.denoiser.DiscreteDenoiser, params: {num_idx: 1000,
    weighting_config: {target: sgm.modules.diffusionmodules.denoiser_weighting.EpsWeighting},
    scaling_config: {target: sgm.modules.diffusionmodules.denoiser_scaling.VScaling},
    discretization_config: {target: sgm.modules.diffusionmodules.discretizer.LegacyDDPMDiscretization}}},
  network_config: {target: sgm.modules.diffusionmodules.openaimodel.UNetModel, params: {adm_in_channels: 2816,
    num_classes: sequential, use_checkpoint: true, in_channels: 4, out_channels: 4, model_channels: 320,
    attention_resolutions: [4, 2], num_res_blocks: 2, channel_mult: [1, 2, 4], num_head_channels: 64,
    use_spatial_transformer: true, use_linear_in_transformer: true, transformer_depth: [1, 2, 10], context_dim: 2048,
    spatial_transformer_attn_type: softmax-xformers, legacy: false}},
  conditioner_config: {target: sgm.modules.GeneralConditioner, params: {emb_models: [
    {is_trainable: false, input_key: txt, params: {layer: hidden, layer_idx: 11},
      target: sgm.modules.encoders.modules.FrozenCLIPEmbedder},
    {is_trainable: false, input_key: txt, target: sgm.modules.encoders.modules.FrozenOpenCLIPEmbedder2, params: {
      arch: ViT-bigG-14, version: laion2b_s39b_b160k, freeze: true, layer: penultimate, always_return_pooled: true,
      legacy: false}},
    &size {is_trainable: false, input_key: original_size_as_tuple, params: {outdim: 256},
      target: sgm.modules.encoders.modules.ConcatTimestepEmbedderND},
    {<<: *size, input_key: crop_coords_top_left}, {<<: *size, input_key: target_size_as_tuple}]}},
  first_stage_config: {target: sgm.models.autoencoder.AutoencoderKLInferenceWrapper, params: {embed_dim: 4,
    monitor: val/rec_loss, lossconfig: {target: torch.nn.Identity}, ddconfig: {attn_type: vanilla-xformers,
      double_z: true, z_channels: 4, resolution: 256, in_channels: 3, out_ch: 3, ch: 128, ch_mult: [1, 2, 4, 4],
      num_res_blocks: 2, attn_resolutions: [], dropout: 0.0}}}}}
"""

PREVIEWS_FOLDER: Final = "VAE-approx"
OF_XL: Final = "vaeapprox-sdxl.pt"  # 0.2 MB
OF_SD1: Final = "model.pt"  # of the same shape; comes with A1111's source
PREVIEW_SOURCES: Final = (
    f"https://github.com/AUTOMATIC1111/stable-diffusion-webui/releases/download/v1.0.0-pre/{OF_XL}",
    f"https://huggingface.co/licyk/sd-vae/resolve/main/vae-approx/{OF_XL}",
)


def have_companions(fetcher: Fetcher, path: Path, source: Remote | None = None) -> ModelFile:
    """Have them for a checkpoint; returns what that is. `source` is where it has just come from."""
    seen = identify(path, inside=source is not None)
    settle_config(fetcher, path, seen, source)
    if seen.kind == "checkpoint":
        fetch_previews(fetcher, seen.base)
    return seen


def complete_checkpoints(fetcher: Fetcher) -> None:
    """Have them for all that are there, however they came: any may be chosen in the page."""
    bases = set[str | None]()
    for path in fetcher.folder.checkpoints():
        with suppress(OSError):  # `broken_models` names it
            seen = identify(path, inside=False)
            settle_config(fetcher, path, seen)
            bases.add(seen.base)
    fetch_previews(fetcher, *bases)


# ---- the configuration


def settle_config(fetcher: Fetcher, path: Path, seen: ModelFile, source: Remote | None = None) -> None:
    """Have the configuration that a checkpoint needs: one that is there, its source's, or ours; else say what lacks."""
    config, base = path.with_suffix(".yaml"), seen.base or ""
    if config.exists() or seen.kind != "checkpoint":
        return
    brought = until_stopped(fetcher.step.stop, lambda: config_at(source)) if source else None
    usable = brought if brought and is_harmless(brought) else None
    predicts_v = bool(VSCALING.search(usable) if usable else seen.predicts_v or SAYS_V.search(path.stem))
    xl_v = predicts_v and base == "SDXL"
    if text := usable or (SDXL_V if xl_v else None):
        try:
            write_safely(config, text)
            fetcher.added.append(config)
        except OSError as error:  # the model itself is there, and may be used
            if error.errno not in READ_ONLY:
                raise
            fetcher.step.notice(
                f"{path.name} needs a configuration beside it ({config.name}), but its folder is read-only: without it "
                "the model paints noise. Copy the model into a folder of your own."
            )
            return
    elif brought:
        fetcher.step.notice(
            f"{path.name} has a configuration ({config.name}) at its source, which was not brought: it names programs. "
            "If the model paints only noise, choose another one."
        )
    elif predicts_v and base.startswith("SD 1"):
        fetcher.step.notice(
            f"{path.name} predicts v, which AUTOMATIC1111 cannot tell of a model for SD 1: it paints noise without a "
            f"configuration. Its page may have one: put it beside the model as {config.name}."
        )
    if xl_v:
        fetcher.step.notice(
            f"{path.name} predicts v: {config.name} beside it says so to AUTOMATIC1111. While you use it, choose "
            "Settings → Sampler parameters → Noise schedule for sampling → Zero Terminal SNR."
        )


def config_at(source: Remote) -> str | None:
    """The text beside a file at its source; None where there is none, or nobody says."""
    parts = urlsplit(source.url)
    beside = urlunsplit((*parts[:2], f"{parts.path.rpartition('.')[0]}.yaml", "", ""))
    for address in source.config or ((beside,) if parts.path.lower().endswith(WEIGHTS) else ()):
        # Asked for once: the model is there, and whoever needs a configuration is told.
        with (
            suppress(Problem, requests.RequestException),
            WebSession() as session,
            session.ask(replace(source, url=address)) as answer,
        ):
            content = b"".join(limited(pieces(answer, CONFIG_MOST), CONFIG_MOST))
            text = decoded(content).replace("\r\n", "\n")
            if re.match(r"([^\S\n]*(#.*)?\n)*model:\s*\n", text):  # each line in one way: some have thousands of them
                return text
    return None


def is_harmless(config: str) -> bool:
    """True for a configuration that only says how A1111's own parts are put together."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in config.splitlines())
    return all(HARMLESS_LINE.fullmatch(line) for line in lines if line)


# ---- what shows SDXL images as they grow


def fetch_previews(fetcher: Fetcher, *bases: str | None) -> None:
    """Bring it for models of those bases. Where nobody has it, that is said, and nothing fails."""
    folder = fetcher.folder.models / PREVIEWS_FOLDER
    if not any(base and base.startswith("SDXL") for base in bases):
        return
    if (folder / OF_XL).exists():
        fetcher.used.append(folder / OF_XL)
        return
    for address in PREVIEW_SOURCES:
        with suppress(Problem):  # the next source; that none has it is said below
            found = until_stopped(fetcher.step.stop, partial(probe, Remote(address, OF_XL)))
            fetch_remote(fetcher, replace(found, name=OF_XL), folder)
            return
    fetcher.step.notice(
        f"{OF_XL}, which draws the previews of SDXL images, could not be downloaded. Until it can be, previews have "
        "the wrong colours; finished images are not affected."
    )


def lend_previews(code: Path) -> None:
    """Let the file for Stable Diffusion 1 stand in beside A1111's code; the right one on Drive goes before it."""
    folder = code / "models" / PREVIEWS_FOLDER
    if (folder / OF_SD1).exists() and not os.path.lexists(folder / OF_XL):
        (folder / OF_XL).symlink_to(OF_SD1)
