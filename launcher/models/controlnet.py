"""The table of ControlNet models, and which of them a person's choice means."""

import re
from typing import Final

from launcher.core.problem import Problem
from launcher.models.catalog import HubFile, Model

CONTROL_FAMILIES: Final = ("Stable Diffusion 1.5", "Stable Diffusion 2.1", "Stable Diffusion XL")
ESSENTIALS: Final = "essentials"
EVERYTHING: Final = "all"
# ControlNet 1.1 in half precision: control -> (file name, size in bytes, SHA-256), where the source states them.
CONTROLS_15: Final = {
    "canny": (
        "control_v11p_sd15_canny_fp16",
        722_601_100,
        "8932b66e15aae835b3490dbf989f56c253104cee08a88bf21283762f557c9f10",
    ),
    "depth": (
        "control_v11f1p_sd15_depth_fp16",
        722_601_100,
        "1c4a79aa52fb63f607cb9ff479ea5aa1923b6ceb21267bd14b69bd05d7b617be",
    ),
    "openpose": (
        "control_v11p_sd15_openpose_fp16",
        722_601_100,
        "4003c1da17b0e4ba444e02140e1c0d83bb24b79e4dcfd613c3a554d38f0f89c7",
    ),
    "lineart": (
        "control_v11p_sd15_lineart_fp16",
        722_601_100,
        "10559106d1bb8196298b7a81565ede9279295d2b2df15165b9dbe189994def56",
    ),
    "softedge": (
        "control_v11p_sd15_softedge_fp16",
        722_601_100,
        "e78fea5b4599fec2ecd7e3f14b171feb290b88200c95d569ec0ff59a19bc3478",
    ),
    "scribble": (
        "control_v11p_sd15_scribble_fp16",
        722_601_100,
        "99edfd25b54c18c0ab19fba8c5618f741aac1f8c3101e7fa62cce925ad87ae68",
    ),
    "tile": (
        "control_v11f1e_sd15_tile_fp16",
        722_601_104,
        "2f31868eedb243a77932e3c63907a6ba0a2058b6d65b5c27b89ee1b7f618ea33",
    ),
    "inpaint": (
        "control_v11p_sd15_inpaint_fp16",
        0,
        "677a4fe351edecd40cd0d7cc210a8686b59d4e55207317f12319ef746a7a5a89",
    ),
    "seg": (
        "control_v11p_sd15_seg_fp16",
        722_601_100,
        "acd4dd3df2da2f1f2b9dd00f4504cc0d98b20afb608e25f1789a95c0ccdba14a",
    ),
    "normalbae": ("control_v11p_sd15_normalbae_fp16", 0, ""),
    "mlsd": ("control_v11p_sd15_mlsd_fp16", 0, ""),
    "lineart_anime": ("control_v11p_sd15s2_lineart_anime_fp16", 0, ""),
    "shuffle": ("control_v11e_sd15_shuffle_fp16", 0, ""),
    "ip2p": ("control_v11e_sd15_ip2p_fp16", 0, ""),
}
CONTROLS_21: Final = ("canny", "depth", "hed", "openpose", "openposev2", "scribble")
# Names of files as the launchers before this one offered them; they may still be asked for by name.
OLD_FILES: Final = {
    "control_canny-fp16": ("Stable Diffusion 1.5", "webui/ControlNet-modules-safetensors", 0, ""),
    "t2iadapter_sketch-fp16": ("Stable Diffusion 1.5", "webui/ControlNet-modules-safetensors", 0, ""),
    "diffusers_xl_canny_mid": (
        "Stable Diffusion XL", "lllyasviel/sd_control_collection", 545_197_704,
        "a9440e186177ddaf4e6d4ef606a8bc8a7d77b3e895c322e19b663a61e0d46447",
    ),
    "diffusers_xl_depth_mid": ("Stable Diffusion XL", "lllyasviel/sd_control_collection", 0, ""),
    "thibaud_xl_openpose_256lora": ("Stable Diffusion XL", "lllyasviel/sd_control_collection", 0, ""),
    "sai_xl_sketch_256lora": ("Stable Diffusion XL", "lllyasviel/sd_control_collection", 0, ""),
    "sai_xl_recolor_128lora": ("Stable Diffusion XL", "lllyasviel/sd_control_collection", 0, ""),
}  # fmt: skip
# One file holds all controls of SDXL. The extension knows it by "union" and "xl" in its name (v1.1.454 and later).
UNION: Final = HubFile(
    "xinsir/controlnet-union-sdxl-1.0",
    "diffusion_pytorch_model_promax.safetensors",
    revision="801a4a3fa3d4c936f4feea95b98607bc6726f80c",
    size=2_513_342_408,
    sha256="9fae2e50cb431bfcbe05822b59ec2228df545ef27f711dea8949e9f4ed9f7cdc",
    save_as="controlnet-union-sdxl-1.0-promax.safetensors",
)


def control_model(name: str, family: str, licence: str, source: HubFile) -> Model:
    """One line of the table."""
    return Model(f"ControlNet {name}", family, licence, (source,), folder="ControlNet")


CONTROL_MODELS: Final = {
    "Stable Diffusion 1.5": {
        control: control_model(
            f"{control} (SD 1.5)", "SD 1.5", "OpenRAIL",
            HubFile("comfyanonymous/ControlNet-v1-1_fp16_safetensors", f"{file}.safetensors", size=size, sha256=sha256),
        )
        for control, (file, size, sha256) in CONTROLS_15.items()
    },
    "Stable Diffusion 2.1": {
        control: control_model(
            f"{control} (SD 2.1)", "SD 2.1", "see its page",
            HubFile("thibaud/controlnet-sd21", f"control_v11p_sd21_{control}.safetensors"),
        )
        for control in CONTROLS_21
    },
    "Stable Diffusion XL": {"union": control_model("union ProMax (SDXL)", "SDXL", "Apache 2.0", UNION)},
}  # fmt: skip
OLD_CONTROL_MODELS: Final = {
    file: (
        family,
        control_model(
            file,
            family.replace("Stable Diffusion", "SD"),
            "see its page",
            HubFile(repo, f"{file}.safetensors", size=size, sha256=sha256),
        ),
    )
    for file, (family, repo, size, sha256) in OLD_FILES.items()
}
ESSENTIAL_CONTROLS: Final = ("canny", "depth", "openpose", "union")


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
                field="for_models",
            )
        table = CONTROL_MODELS[family]
        for word in re.split(r"[,\s]+", controls.strip().lower()) or [ESSENTIALS]:
            for model in control_models_named(word, family, table):
                found[model.name] = model
    return list(found.values())


def control_models_named(word: str, family: str, table: dict[str, Model]) -> list[Model]:
    """What one word of the field `controls` means for one family."""
    old = OLD_CONTROL_MODELS.get(word.removesuffix(".safetensors"))
    if word == EVERYTHING:
        return list(table.values())
    if word == ESSENTIALS:
        return [model for control, model in table.items() if control in ESSENTIAL_CONTROLS]
    if old and old[0] == family:
        return [old[1]]
    if "union" in table and word in CONTROLS_15:
        return [table["union"]]
    if word not in table:
        raise Problem(
            f"There is no ControlNet model {word!r} for {family}.",
            f"Write **essentials**, **all**, or some of: {', '.join(CONTROLS_15 if 'union' in table else table)}, "
            "separated by commas.",
            field="controls",
        )
    return [table[word]]
