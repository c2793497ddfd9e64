"""What A1111 shows an SDXL image with while it grows: brought beforehand, and another file where it cannot be had.

A1111 v1.10.1 looks for it in its models folder, which is on Drive, then beside its code, and else fetches it in the
middle of the first image (modules/sd_vae_approx.py). Where that fails, with `--medvram-sdxl` and the like every SDXL
image fails with it (`store_latent` in modules/sd_samplers_common.py).
"""

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from launcher.core.problem import Problem
from launcher.models.fetch import Fetcher, fetch_remote
from launcher.models.http import probe, until_stopped
from launcher.models.remote import Remote

PREVIEWS_FOLDER: Final = "VAE-approx"
OF_XL: Final = "vaeapprox-sdxl.pt"  # 0.2 MB
OF_SD1: Final = "model.pt"  # of the same shape; comes with A1111's source
PREVIEW_SOURCES: Final = (
    f"https://github.com/AUTOMATIC1111/stable-diffusion-webui/releases/download/v1.0.0-pre/{OF_XL}",
    f"https://huggingface.co/licyk/sd-vae/resolve/main/vae-approx/{OF_XL}",
)


def fetch_previews(fetcher: Fetcher, base: str | None) -> None:
    """Bring it for a model of that base. Where nobody has it, that is said, and nothing fails."""
    folder = fetcher.folder.models / PREVIEWS_FOLDER
    if not (base or "").startswith("SDXL"):
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
