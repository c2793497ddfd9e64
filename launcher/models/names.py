"""What a file is called here: a name that says something, and one under which the web UI will list it."""

import re
from pathlib import Path
from typing import Final

from launcher.core.files import numbered
from launcher.models.kinds import KIND_ENDINGS

# Names that thousands of files have, and what may follow them.
SAYS_NOTHING: Final = re.compile(
    r"((?:diffusion_)?pytorch_(?:model|lora_weights)|learned_embeds?|adapter_model|model|lora|embedding|checkpoint|vae"
    r"|v?\d{1,3}(?:[._]\d+)*|last|final)((?:[-_.](?:fp16|bf16|fp32|ema|promax|steps[-_]\d+|\d+))*)",
    re.IGNORECASE,
)
LISTED_BY_STEM: Final = ("LoRA", "embedding", "hypernetwork", "upscaler")  # whatever folder and ending they have
HIDDEN_CHECKPOINT: Final = re.compile(r"\.vae(\.\w+)$", re.IGNORECASE)  # A1111 takes it for the VAE beside a model


def telling_name(name: str, title: str) -> str:
    """The name, or the `title` that its source gives the model where the name could be anything's."""
    own = Path(name)
    nothing = SAYS_NOTHING.fullmatch(own.stem)
    clean = re.sub(r"[^\w.() -]+", "-", title).strip(". -")
    return f"{clean}{nothing[2]}{own.suffix}" if nothing and clean else name


def listed_name(name: str, kind: str) -> str:
    """The name, changed as far as A1111 would not list a file of that kind by it."""
    return HIDDEN_CHECKPOINT.sub(r"-vae\1", name) if kind == "checkpoint" else name


def same_to_the_web_ui(folder: Path, name: str, kind: str) -> Path | None:
    """Another file below `folder`, the one of a kind, that A1111 cannot tell from one called `name`: it lists one."""
    own = folder / name
    for path in sorted(folder.rglob("*")) if kind in (*LISTED_BY_STEM, "VAE") else ():
        same = path.stem == own.stem if kind in LISTED_BY_STEM else path.name == own.name
        if same and path != own and path.name.lower().endswith(KIND_ENDINGS[kind]):
            return path
    return None


def free_to_list(path: Path, kind: str) -> Path:
    """The path, or one beside it, that nobody has and that no other file hides."""
    free, number = path, 1
    while free.exists() or free.is_symlink() or same_to_the_web_ui(path.parent, free.name, kind):
        number += 1
        free = path.with_name(numbered(path.name, number))
    return free
