"""What a file is called here: a name that says something, and one under which the web UI will list it."""

import os
import re
from pathlib import Path
from typing import Final

from launcher.core.folder import Folder, files_below, free_path
from launcher.models.kinds import KIND_ENDINGS
from launcher.models.owners import place_for

# Names that thousands of files have, and what may follow them.
SAYS_NOTHING: Final = re.compile(
    r"((?:diffusion_)?pytorch_(?:model|lora_weights)|learned_embeds?|adapter_model|model|lora|embedding|checkpoint|vae"
    r"|v?\d{1,12}(?:[._]\d+)*|last|final)((?:[-_.](?:fp16|bf16|fp32|ema|promax|final|steps[-_]\d+|v?\d+))*)",
    re.IGNORECASE,
)
# Kinds of which A1111 lists one of a name (but for the VAE: of a stem) -> where else than on Drive it finds them, below
# its data.
LISTED_ONCE: Final = {
    "LoRA": ("models/Lora", "models/LyCORIS"),
    "VAE": ("models/VAE",),
    "hypernetwork": ("models/hypernetworks",),
    "upscaler": ("models/ESRGAN",),
    "embedding": (),
}
HIDDEN_CHECKPOINT: Final = re.compile(r"(?i)\.vae(\.\w+)$")  # A1111 takes it for the VAE beside a model


def telling_name(name: str, title: str) -> str:
    """The name, or the `title` that its source gives the model where the name could be anything's."""
    own = Path(name)
    nothing = SAYS_NOTHING.fullmatch(own.stem)
    clean = re.sub(r"[^\w.() -]+", "-", title).strip(". -")
    return f"{clean}{nothing[2]}{own.suffix}" if nothing and clean else name


def listed_name(name: str, kind: str) -> str:
    """The name, changed as far as A1111 would not list a file of that kind by it."""
    return HIDDEN_CHECKPOINT.sub(r"-vae\1", name) if kind == "checkpoint" else name


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
