"""Where a file belongs, the name by which the web UI lists it there, and what is no model at all."""

import os
import re
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, files_below, free_path
from launcher.core.problem import Problem
from launcher.models.kinds import EXTENSION_KINDS, KIND_ENDINGS, KIND_FOLDERS, a_kind

# What Civitai calls a model -> its kind.
KIND_OF_TYPE: Final = {kind.lower().replace(" ", ""): kind for kind in (*KIND_FOLDERS, *EXTENSION_KINDS)} | {
    "locon": "LoRA", "dora": "LoRA", "textualinversion": "embedding", "detection": "detector",
}  # fmt: skip
# What else it has -> what that is, and what a person can do with it.
NO_MODELS: Final = {
    "workflows": ("a workflow of ComfyUI, a program of its own: AUTOMATIC1111 has no use for it",
        "Add the models that its page names instead."),
    "poses": ("a collection of poses, not a model",
        "Download it in your browser, unpack it, and put one of its pictures into ControlNet, with the control type "
        "**OpenPose** and the preprocessor **none**."),
    "wildcards": ("a list of words for the extension Dynamic Prompts, not a model",
        "Add https://github.com/adieyal/sd-dynamic-prompts, download the list in your browser, and put its .txt files "
        "into the folder extensions/sd-dynamic-prompts/wildcards of the web UI on your Drive."),
}  # fmt: skip
# Names that thousands of files have, and what may follow them.
SAYS_NOTHING: Final = re.compile(
    r"((?:diffusion_)?pytorch_(?:model|lora_weights)|learned_embeds?|adapter_model|model|lora|embedding|checkpoint|vae"
    r"|v?\d{1,12}(?:[._]\d+)*|last|final)((?:[-_.](?:fp16|bf16|fp32|ema|promax|final|steps[-_]\d+|v?\d+))*)",
    re.IGNORECASE,
)
# Kinds of which A1111 lists one of a stem (VAEs: of a name) -> where else than on Drive it finds them, below its data.
LISTED_ONCE: Final = {
    "LoRA": ("models/Lora", "models/LyCORIS"), "VAE": ("models/VAE",), "hypernetwork": ("models/hypernetworks",),
    "upscaler": ("models/ESRGAN",), "embedding": (),
}  # fmt: skip


def kind_of_type(word: str) -> str:
    """The kind of what Civitai calls `word`, "" where that tells nothing. Raises `Problem` for what is no model."""
    if no_model := NO_MODELS.get(word.lower()):
        raise Problem(f"That is {no_model[0]}.", no_model[1])
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


def telling_name(name: str, title: str) -> str:
    """The name, or the `title` that its source gives the model where the name could be anything's."""
    own = Path(name)
    found = SAYS_NOTHING.fullmatch(own.stem)
    of_instant_id = title.lower().startswith("instantid") and own.stem.lower() == "ip-adapter"
    # sd-webui-controlnet knows InstantID's two files by this word in their names (scripts/controlnet_model_guess.py).
    title = re.sub(r"(?i)^InstantID\b", "instant_id_sdxl", title)
    clean = re.sub(r"[^\w.() -]+", "-", title).strip(". -")
    more = found[2] if found else ""
    return f"{clean}{more}{own.suffix}" if clean and (found or of_instant_id) else name


def listed_name(name: str, kind: str) -> str:
    """The name, changed as far as A1111 would not list a file of that kind by it: x.vae.pt is the VAE beside x."""
    return re.sub(r"(?i)\.vae(\.\w+)$", r"-vae\1", name) if kind == "checkpoint" else name


def same_to_the_web_ui(folder: Folder, name: str, kind: str) -> Path | None:
    """Another file that A1111 cannot tell from one called `name` in the folder of that kind: it lists only one of them.

    It looks in sub-folders, and at models that lie elsewhere on Drive, too.
    """
    if kind not in LISTED_ONCE:
        return None
    own, endings = place_for(folder, kind) / name, KIND_ENDINGS[kind]
    for root in (own.parent, *(folder.data / below for below in LISTED_ONCE[kind])):
        for path in sorted(files_below(root, followlinks=True)):
            same = path.name == own.name if kind == "VAE" else path.stem == own.stem
            listed = same and path.name.lower().endswith(endings) and path.exists()
            if listed and path != own and not (own.exists() and path.samefile(own)):
                return path
    return None


def free_to_list(folder: Folder, path: Path, kind: str) -> Path:
    """The path, or one beside it, that nobody has and that no other file hides."""
    return free_path(path, lambda one: os.path.lexists(one) or same_to_the_web_ui(folder, one.name, kind))
