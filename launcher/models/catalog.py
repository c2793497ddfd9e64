"""The tables of models, and which of ControlNet's a person's choice means. Knows nothing of how a file is fetched."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from launcher.core.problem import Problem

CHECKPOINTS_FOLDER: Final = "Stable-diffusion"
ESSENTIALS: Final = "essentials"
ALL_CONTROLS: Final = "all"
PLAIN_FOLDERS: Final = ("unet", "vae", "controlnet", "transformer", "text_encoder", "models", "lora", "loras")


@dataclass(frozen=True)
class HubFile:
    """A file in a repository on the Hugging Face hub. `size` in bytes and `sha256` only where a source states them."""

    repo: str
    filename: str
    revision: str = "main"
    size: int = 0
    sha256: str = ""
    save_as: str = ""  # its name on Drive, where that is another one
    repo_type: str = "model"  # or "dataset", "space"

    @property
    def saved_name(self) -> str:
        return self.save_as or self.filename.rpartition("/")[2]

    @property
    def title(self) -> str:
        """The repository's name, with the folders of the file that say something."""
        folders = [part for part in self.filename.split("/")[:-1] if part.lower() not in PLAIN_FOLDERS]
        return "-".join((self.repo.rpartition("/")[2], *folders))

    @property
    def page(self) -> str:
        return f"https://huggingface.co/{'' if self.repo_type == 'model' else f'{self.repo_type}s/'}{self.repo}"


@dataclass(frozen=True)
class Model:
    """One model, and where it can be had, best first: perhaps another file of it (full instead of half precision)."""

    name: str
    family: str
    licence: str  # says "non-commercial" where it is
    sources: tuple[HubFile, ...]
    folder: str = CHECKPOINTS_FOLDER  # below models/
    beside: str = ""  # the VAE that A1111 should find for it, bound by the file's name
    good_at: str = ""  # a few words for who has to choose


# NAME | FAMILY | LICENCE | what it is good at | FOLDER below models/, where it is no checkpoint | the VAE it needs
#   under it OWNER/REPOSITORY FILE[=NAME ON DRIVE] REVISION SIZE SHA-256 of each source, best first, as public ones say
#   (`main` where none states the whole revision: the checksum pins the file). `make catalog` asks the hub for them.
# The first is what a first launch brings. What was removed upstream: runwayml's SD 1.5 (2024-08-29,
# AUTOMATIC1111#16459).
MODEL_TABLE: Final = """
DreamShaper 8 | SD 1.5 | other (see its page) | people, fantasy, landscapes, illustrations: a good all-rounder
  Lykon/DreamShaper DreamShaper_8_pruned.safetensors
  228d79cb20811466f5c5710aa91f05dabd0b8a14 2132625894 879db523c30d3b9017143d56705015e15a2cb5628762c11d086fed9538abd7fd
  casque/dreamshaper_8 dreamshaper_8.safetensors=DreamShaper_8_pruned.safetensors
  main 2132625894 879db523c30d3b9017143d56705015e15a2cb5628762c11d086fed9538abd7fd
Realistic Vision 5.1 | SD 1.5 | CreativeML Open RAIL-M | photographs, above all of people | | VAE ft-MSE
  SG161222/Realistic_Vision_V5.1_noVAE Realistic_Vision_V5.1_fp16-no-ema.safetensors
  305469dfd7d7410cff6299d34727e237374b5f36 2132625894 99a75a901f4fec732056930a89fa34cf360f6f72d75ce5bf333ddf82adf8dd2a
Stable Diffusion 1.5 | SD 1.5 | CreativeML Open RAIL-M | the original: what most LoRAs of its family were trained on
  Comfy-Org/stable-diffusion-v1-5-archive v1-5-pruned-emaonly-fp16.safetensors
  4fddeb7f9096623f1b77f4708feb96126a08a0cf 2132696762 e9476a13728cd75d8279f6ec8bad753a66a1957ca375a1464dc63b37db6e3916
  stable-diffusion-v1-5/stable-diffusion-v1-5 v1-5-pruned-emaonly.safetensors
  451f4fe16113bff5a5d2269ed5ad43b0592e9a14 4265146304 6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa
Stable Diffusion 1.5 inpainting | SD 1.5 | CreativeML Open RAIL-M | painting into a picture (img2img → Inpaint)
  webui/stable-diffusion-inpainting sd-v1-5-inpainting.safetensors
  main 4265203873 0ec8f8585b104417a8c34a9fbcc1e922a70b8c15490ec4553087f01c8cf33673
  stable-diffusion-v1-5/stable-diffusion-inpainting sd-v1-5-inpainting.ckpt
  8a4288a76071f7280aedbdb3253bdb9e9d5d84bb 4265437280 c6bbc15e3224e6973459ba78de4998b80b50112b0ae5b5c67113d56b4e366b19
Mo-Di (modern Disney) | SD 1.5 | CreativeML Open RAIL-M | animated films: write "modern disney style" into the prompt
  nitrosocke/mo-di-diffusion moDi-v1-pruned.ckpt
  main 2132856622 8067368533bd74cbfb439ab829c0ef5ccede1e29ed5644e193410416f24cf976
Stable Diffusion XL base | SDXL | CreativeML Open RAIL++-M | the original of its family | | SDXL VAE fp16-fix
  stabilityai/stable-diffusion-xl-base-1.0 sd_xl_base_1.0.safetensors
  462165984030d82259a11f4367a4eed129e94a7b 6938078334 31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b
  stabilityai/stable-diffusion-xl-base-1.0 sd_xl_base_1.0_0.9vae.safetensors
  main 6938078334 e6bb9ea85bbf7bf6478a7c6d18b71246f22e95d41bcdd80ed40aa212c33cfeff
RealVisXL 5.0 | SDXL | CreativeML Open RAIL++-M | photographs
  SG161222/RealVisXL_V5.0 RealVisXL_V5.0_fp16.safetensors
  ac93e0dda1f6d448cae19bbfab8c5e720a5e48bc 6938065488 6a35a7855770ae9820a3c931d4964c3817b6d9e3c6f9c4dabb5b3a94e5643b80
Juggernaut XL 9 | SDXL | see its page | photographs and scenes of films
  RunDiffusion/Juggernaut-XL-v9 Juggernaut-XL_v9_RunDiffusionPhoto_v2.safetensors
  cf419233522daa0b9ea36c3aff98fa2cab1fb0fb 7105348188 c9e3e68f89b8e38689e1097d4be4573cf308de4e3fd044c64ca697bdb4aa8bca
SDXL Lightning (4 steps) | SDXL | CreativeML Open RAIL++-M | fast: 4 steps with CFG scale 1 | | SDXL VAE fp16-fix
  ByteDance/SDXL-Lightning sdxl_lightning_4step.safetensors
  c9a24f48e1c025556787b0c58dd67a091ece2e44 6938040682 e0d996ee0013e79d9d3561f50fcafb9a17e3ff07b780358e3b66d67932c4d490
Illustrious XL 2.0 | SDXL | CreativeML Open RAIL-M | anime and illustrations, by the tags of Danbooru; many LoRAs
  OnomaAIResearch/Illustrious-XL-v2.0 Illustrious-XL-v2.0.safetensors
  69459c1fe6f46db41ab31e6114f05acc0e06bcaa 6938040674 c2a1a3eaa13d4c107dc7e00c3fe830cab427aa026362740ea094745b3422a331
NoobAI XL 1.1 | SDXL | Fair AI Public License 1.0-SD (non-commercial) | anime, by tags; knows most characters
  Laxhar/noobai-XL-1.1 NoobAI-XL-v1.1.safetensors
  814a274af2b8097c0828819d561ec74c7d0c6cea 7105349958 6681e8e4b134c81f16533acedb0d406d7e5e366e1624b4105178c64d00b05d51
NoobAI XL v-pred 1.0 | SDXL | Fair AI Public License 1.0-SD (non-commercial) | NoobAI with deeper colours
  Laxhar/noobai-XL-Vpred-1.0 NoobAI-XL-Vpred-v1.0.safetensors
  main 7105350110 ea349eeae87ca8d25ba902c93810f7ca83e5c82f920edf12f273af004ae02819
Animagine XL 4.0 | SDXL | CreativeML Open RAIL++-M | anime, by tags
  cagliostrolab/animagine-xl-4.0 animagine-xl-4.0.safetensors
  2b7c1b397761bf5bd3cc42e5b39ec99314a75a96 6938434056 1d5b43ff75b6ab598502d4c779d2fbfa3dceca51c60c3b609640a60772333916
Pony Diffusion V6 XL | SDXL | CreativeML Open RAIL-M | cartoons, anime: begin with score_9 | | SDXL VAE fp16-fix
  AstraliteHeart/pony-diffusion-v6 v6.safetensors=ponyDiffusionV6XL.safetensors
  5ec9c05863255568f1b59753e3838107befaa712 6938041050 67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3
  LyliaEngine/Pony_Diffusion_V6_XL ponyDiffusionV6XL_v6StartWithThisOne.safetensors=ponyDiffusionV6XL.safetensors
  main 6938041050 67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3
VAE ft-MSE | SD 1.5 | MIT | smoother faces with models that have no VAE of their own | VAE
  stabilityai/sd-vae-ft-mse-original vae-ft-mse-840000-ema-pruned.safetensors
  629b3ad3030ce36e15e70c5db7d91df0d60c627f 334641190 735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75
SDXL VAE fp16-fix | SDXL | MIT | SDXL without black images | VAE
  madebyollin/sdxl-vae-fp16-fix sdxl.vae.safetensors
  207b116dae70ace3637169f1ddd2434b91b3a8cd 334641162 235745af8d86bf4a4c1b5b4f529868b37019a10f7c0b2e79ad0abca3a22bc6e1
4x-UltraSharp | upscaler | CC BY-NC-SA 4.0 (non-commercial) | enlarging images, sharp | ESRGAN
  Kim2091/UltraSharp 4x-UltraSharp.pth
  920fe218c211f831b43cb30327f203e2b59f5dab 66961958 a5812231fc936b42af08a5edba784195495d303d5b3248c24489ef0c4021fe01
"""
# FAMILY | LICENCE | OWNER/REPOSITORY
#   under it CONTROL FILE (=: called as the control), and SIZE SHA-256 where a source states them (0: it does not), with
#   commas between those on one line
CONTROL_TABLE: Final = """
Stable Diffusion 1.5 | OpenRAIL | comfyanonymous/ControlNet-v1-1_fp16_safetensors
  canny control_v11p_sd15_canny_fp16 722601100 8932b66e15aae835b3490dbf989f56c253104cee08a88bf21283762f557c9f10
  depth control_v11f1p_sd15_depth_fp16 722601100 1c4a79aa52fb63f607cb9ff479ea5aa1923b6ceb21267bd14b69bd05d7b617be
  openpose control_v11p_sd15_openpose_fp16 722601100 4003c1da17b0e4ba444e02140e1c0d83bb24b79e4dcfd613c3a554d38f0f89c7
  lineart control_v11p_sd15_lineart_fp16 722601100 10559106d1bb8196298b7a81565ede9279295d2b2df15165b9dbe189994def56
  softedge control_v11p_sd15_softedge_fp16 722601100 e78fea5b4599fec2ecd7e3f14b171feb290b88200c95d569ec0ff59a19bc3478
  scribble control_v11p_sd15_scribble_fp16 722601100 99edfd25b54c18c0ab19fba8c5618f741aac1f8c3101e7fa62cce925ad87ae68
  tile control_v11f1e_sd15_tile_fp16 722601104 2f31868eedb243a77932e3c63907a6ba0a2058b6d65b5c27b89ee1b7f618ea33
  inpaint control_v11p_sd15_inpaint_fp16 0 677a4fe351edecd40cd0d7cc210a8686b59d4e55207317f12319ef746a7a5a89
  seg control_v11p_sd15_seg_fp16 722601100 acd4dd3df2da2f1f2b9dd00f4504cc0d98b20afb608e25f1789a95c0ccdba14a
  normalbae control_v11p_sd15_normalbae_fp16, mlsd control_v11p_sd15_mlsd_fp16
  lineart_anime control_v11p_sd15s2_lineart_anime_fp16
  shuffle control_v11e_sd15_shuffle_fp16, ip2p control_v11e_sd15_ip2p_fp16
Stable Diffusion 2.1 | see its page | thibaud/controlnet-sd21
  canny control_v11p_sd21_canny, depth control_v11p_sd21_depth, hed control_v11p_sd21_hed
  openpose control_v11p_sd21_openpose, openposev2 control_v11p_sd21_openposev2, scribble control_v11p_sd21_scribble
"""
# Names of files as the launchers before this one offered them; they may still be asked for by name.
OLD_CONTROL_TABLE: Final = """
Stable Diffusion 1.5 | see its page | webui/ControlNet-modules-safetensors
  control_canny-fp16 =, t2iadapter_sketch-fp16 =
Stable Diffusion XL | see its page | lllyasviel/sd_control_collection
  diffusers_xl_canny_mid = 545197704 a9440e186177ddaf4e6d4ef606a8bc8a7d77b3e895c322e19b663a61e0d46447
  diffusers_xl_depth_mid =, thibaud_xl_openpose_256lora =, sai_xl_sketch_256lora =, sai_xl_recolor_128lora =
"""
# One file holds all controls of SDXL. The extension knows it by "union" and "xl" in its name (v1.1.454 and later).
UNION_TABLE: Final = """
ControlNet union ProMax for Stable Diffusion XL | Stable Diffusion XL | Apache 2.0 | all controls | ControlNet
  xinsir/controlnet-union-sdxl-1.0
  diffusion_pytorch_model_promax.safetensors=controlnet-union-sdxl-1.0-promax.safetensors
  801a4a3fa3d4c936f4feea95b98607bc6726f80c 2513342408 9fae2e50cb431bfcbe05822b59ec2228df545ef27f711dea8949e9f4ed9f7cdc
"""


def rows_of(table: str) -> Iterator[tuple[list[str], str]]:
    """The cells of an entry's first line, and what is under it."""
    for entry in re.split(r"\n(?=\S)", table.strip()):
        first, _, under = entry.partition("\n")
        yield [cell.strip() for cell in first.split("|")], under


def table_models(table: str) -> Iterator[Model]:
    """The models of a table like `MODEL_TABLE`. Raises `ValueError` where a cell or a word is missing."""
    for (name, family, licence, good_at, *more), under in rows_of(table):
        folder, beside = [*more, "", ""][:2]
        words, sources = iter(under.split()), list[HubFile]()
        for repo, file, revision, size, sha256 in zip(words, words, words, words, words, strict=True):
            filename, _, save_as = file.partition("=")
            sources.append(HubFile(repo, filename, revision, int(size), sha256, save_as))
        yield Model(name, family, licence, tuple(sources), folder or CHECKPOINTS_FOLDER, beside, good_at)


def controls_in(table: str) -> dict[str, dict[str, Model]]:
    """Family -> control -> its model, of a table like `CONTROL_TABLE`."""
    found: dict[str, dict[str, Model]] = {}
    for (family, licence, repo), under in rows_of(table):
        for control, file, *known in map(str.split, re.split(r"[,\n]", under)):
            size, sha256 = known or ("0", "")
            name = f"{control if file == '=' else file}.safetensors"
            source = HubFile(repo, name, size=int(size), sha256=sha256)
            model = Model(f"ControlNet {control} for {family}", family, licence, (source,), "ControlNet")
            found.setdefault(family, {})[control] = model
    return found


MODELS: Final = tuple(table_models(MODEL_TABLE))
CHECKPOINT_NAMES: Final = tuple(model.name for model in MODELS if model.folder == CHECKPOINTS_FOLDER)
OLD_CONTROL_MODELS: Final = controls_in(OLD_CONTROL_TABLE)
CONTROL_MODELS: Final = controls_in(CONTROL_TABLE)
UNION: Final = next(table_models(UNION_TABLE))
CONTROL_MODELS["Stable Diffusion XL"] = dict.fromkeys(("union", *CONTROL_MODELS["Stable Diffusion 1.5"]), UNION)
CONTROL_FAMILIES: Final = tuple(CONTROL_MODELS)
ESSENTIAL_CONTROLS: Final = ("canny", "depth", "openpose")


def model_named(name: str) -> Model | None:
    return next((model for model in MODELS if model.name == name), None)


def chosen_controls(families: str, controls: str) -> list[Model]:
    """The models for `families` (one of `CONTROL_FAMILIES`, or several with commas) and `controls`.

    `controls` is "essentials", "all", or names with commas; a name may be a control or the name of an old file. Raises
    `Problem` for a name that the family does not have. Stable Diffusion XL has one file for every control.
    """
    found: dict[str, Model] = {}
    for family in (name.strip() for name in families.split(",")):
        if family not in CONTROL_MODELS:
            raise Problem(
                f"The field **for_models** says {family!r}, which is not one of its choices.",
                f"Choose one of: {', '.join(CONTROL_FAMILIES)}.",
            )
        table = CONTROL_MODELS[family]
        known = table | OLD_CONTROL_MODELS.get(family, {})
        several = {ESSENTIALS: ESSENTIAL_CONTROLS, ALL_CONTROLS: tuple(table)}
        for word in re.findall(r"[^,\s]+", controls.lower()) or [ESSENTIALS]:
            for control in several.get(word, (word.removesuffix(".safetensors"),)):
                if control not in known:
                    raise Problem(
                        f"There is no ControlNet model {word!r} for {family}.",
                        f"Write **{ESSENTIALS}**, **{ALL_CONTROLS}**, or some of: {', '.join(table)}, separated by "
                        "commas.",
                    )
                found[known[control].name] = known[control]
    return list(found.values())
