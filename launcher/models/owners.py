"""Whose a file is: which folder A1111 looks for it in, which extension it is for, and what is no model at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models.kinds import KIND_FOLDERS, a_kind


@dataclass(frozen=True)
class OwnerExtension:
    """The extension of A1111 that a kind of file is for, and where it reads them, below the folder on Drive."""

    name: str
    address: str
    folder: str


EXTENSION_KINDS: Final = {
    "motion module": OwnerExtension(
        "AnimateDiff",
        "https://github.com/continue-revolution/sd-webui-animatediff",
        "extensions/sd-webui-animatediff/model",
    ),
    "detector": OwnerExtension("ADetailer", "https://github.com/Bing-su/adetailer", "models/adetailer"),
    "segmentation model": OwnerExtension(
        "Segment anything", "https://github.com/continue-revolution/sd-webui-segment-anything", "models/sam"
    ),
}
# What Civitai calls a model -> its kind.
KIND_OF_TYPE: Final = {
    "checkpoint": "checkpoint", "lora": "LoRA", "locon": "LoRA", "dora": "LoRA", "textualinversion": "embedding",
    "vae": "VAE", "controlnet": "ControlNet", "upscaler": "upscaler", "hypernetwork": "hypernetwork",
    "motionmodule": "motion module", "detection": "detector",
}  # fmt: skip
# What else it has -> what that is, and what a person can do with it.
NO_MODELS: Final = {
    "workflows": (
        "a workflow of ComfyUI, a program of its own: AUTOMATIC1111 has no use for it",
        "Add the models that its page names instead.",
    ),
    "poses": (
        "a collection of poses, not a model",
        "Download it in your browser, unpack it, and put one of its pictures into ControlNet, with the control type "
        "**OpenPose** and the preprocessor **none**.",
    ),
    "wildcards": (
        "a list of words for the extension Dynamic Prompts, not a model",
        "Add https://github.com/adieyal/sd-dynamic-prompts, download the list in your browser, and put its .txt files "
        "into the folder extensions/sd-dynamic-prompts/wildcards of the web UI on your Drive.",
    ),
}


def kind_of_type(word: str) -> str:
    """The kind of what Civitai calls `word`, "" where that tells nothing. Raises `Problem` for what is no model."""
    if word.lower() in NO_MODELS:
        what, do = NO_MODELS[word.lower()]
        raise Problem(f"That is {what}.", do)
    return KIND_OF_TYPE.get(word.lower(), "")


def place_for(folder: Folder, kind: str) -> Path:
    """The folder for a kind of file. Models may be kept on the machine only; embeddings always live on Drive."""
    below = EXTENSION_KINDS[kind].folder if kind in EXTENSION_KINDS else KIND_FOLDERS[kind]
    return folder.models / below.removeprefix("models/") if below.startswith("models/") else folder.kept / below


def require_owner(folder: Folder, kind: str, name: str) -> None:
    """Raise `Problem` for a file of that kind if the extension that it is for is not installed."""
    owner = EXTENSION_KINDS.get(kind)
    if owner and not (folder.kept / "extensions" / owner.address.rpartition("/")[2]).is_dir():
        raise Problem(
            f"{name} is {a_kind(kind)} for the extension {owner.name}, which is not installed.",
            f"Add the extension first ({owner.address}), and then this file again.",
        )
