"""One file of each kind, added by its link, as the real A1111 lists them: under the very names that Add said.

    python -m tests.programs.real_kinds --upstreams DIR --home DIR

Their names and folders are made so that A1111 would hide them or take them for something else, were they put there as
they are called. The web UI is restarted once, for A1111 looks for upscalers only as it starts.
"""

import contextlib
import json
import re
from pathlib import Path

from tests.models.old_files import SOUND, UPSCALER, zipped
from tests.models.test_archive import zipped_files
from tests.models.test_companions import SDXL_PREDICTS_V
from tests.models.test_identify import tensors
from tests.programs.real import (
    REAL_LINK,
    RealWorld,
    kernel_of,
    places_asked,
    press_restart,
    random_weights,
    started,
    way_in,
)
from tests.programs.real_models import ENCODER, LORA, Api, put
from tests.world.kernel import cell_source

WORD = tensors({"emb_params": (2, 768)}, "F32", 4)
# OWNER/NAME/FILE at the hub -> its content, and the list of A1111's in which it must be.
FILES = {
    "own/paint/painter.vae.safetensors": (random_weights(), "checkpoints"),
    "own/noob/noob-vpred.safetensors": (SDXL_PREDICTS_V, "checkpoints"),
    "own/nice-style/pytorch_lora_weights.safetensors": (tensors(LORA), "LoRAs"),
    "own/hidden/style.safetensors": (tensors(LORA | {"more.alpha": ()}), "LoRAs"),
    "own/colours/diffusion_pytorch_model.safetensors": (tensors(ENCODER), "VAEs"),
    "own/cat-toy/learned_embeds.safetensors": (WORD, "embeddings"),
    "own/words/words.zip": (zipped_files({"bad hands.safetensors": WORD, "easy.safetensors": WORD}), "embeddings"),
    "own/large/large.bin": (zipped(UPSCALER), "upscalers"),
    "own/hyper/hyper.pt": (SOUND["hypernetwork"][0], "hypernetworks"),
}
THERE = {"asd1111/stable-diffusion-webui/models/Lora/Pony/style.safetensors": tensors(LORA)}


def lists(api: Api) -> dict[str, list[str]]:
    """What A1111 lists of each kind."""
    more = {
        "upscalers": [one["name"] for one in api.get("upscalers")],
        "hypernetworks": [one["name"] for one in api.get("hypernetworks")],
    }
    return api.lists() | more


def link_of(path: str) -> str:
    return f"https://huggingface.co/{'/blob/main/'.join(path.rsplit('/', 1))}"


def said(text: str) -> dict[str, str]:
    """How a link begins -> the file's name, as the rows of Add say it: long links are cut."""
    return dict(re.findall(r"(?m)^✓ (https:[^\s…]+)…?: ([^:]+): choose it in the web UI", text))


def check(found: dict[str, list[str]], names: dict[str, str], kept: Path) -> None:
    print("said:", names, json.dumps(found, indent=2), flush=True)
    for path, (_, which) in FILES.items():
        name = next(name for link, name in names.items() if link_of(path).startswith(link))
        listed = {name, Path(name).stem} & {*found[which]}
        print(f"{path} -> {name}: {which}: {', '.join(listed) or 'NOT LISTED'}", flush=True)
        assert listed, name
    assert {"bad hands", "easy"} <= {*found["embeddings"]}
    assert {"style", "nice-style"} <= {*found["LoRAs"]}
    assert (kept / "models/Stable-diffusion/noob-vpred.yaml").exists()


def main() -> None:
    options = places_asked(__doc__).parse_args()
    home = options.home.resolve()
    put(home / "drive", THERE)
    kept = home / "drive" / "asd1111" / "stable-diffusion-webui"
    with contextlib.closing(RealWorld(home / "outside", options.upstreams.resolve())) as world:
        for path, (content, _) in FILES.items():
            owner, name, file = path.split("/")
            world.hub.add(f"{owner}/{name}", file, content)
        with kernel_of(world, home, options.python) as kernel:
            cell = started(kernel, 1500, checkpoint=REAL_LINK)
            kernel.interrupt()
            kernel.wait_done(cell, 60)
            kernel.run(cell_source("add-model", what=" ".join(map(link_of, FILES))), 300)
            told = kernel.text.partition("Ready after")[2]
            print(told, flush=True)
            press_restart(home / "machine" / "session", 900)
            api = Api(*way_in(kernel))
            api.model_named_in_an_image("random-weights")  # embeddings are listed once a checkpoint is loaded
            check(lists(api), said(told), kept)


if __name__ == "__main__":
    main()
