"""What the real A1111 fetches by itself at first use: where it puts it, and what happens where it cannot be had.

    python -m tests.programs.real_fetches --upstreams DIR --home DIR [--write docs/dev/faults.md]

A1111's source says which there are: a place in it that fetches something and is not in `SITES` ends this with an error.
Then the real A1111 is started with no way out of the machine (a proxy that nobody answers), and each is asked for.
"""

import base64
import contextlib
import datetime
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from tests.programs.marks import rewrite
from tests.programs.real import A1111, REAL_LINK, RealWorld, kernel_of, places_asked, started, upstream
from tests.world import WEBUI

MARK = "<!-- made by make real-outputs: fetches -->"
PATIENCE = 60.0  # seconds until A1111's log says what it did
NO_WAY_OUT = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
FETCHING = re.compile(
    r"load_file_from_url\(|download_url_to_file\(|load_models\(|urlretrieve\(|requests\.get\(|\.from_pretrained\(|"
    r"urlopen\(|clip\.load\("
)
# Each module of A1111 that fetches something -> the row of the table it belongs to, or why it has none.
SITES = {
    "extensions-builtin/LDSR/scripts/ldsr_model.py": "upscaler LDSR",
    "extensions-builtin/ScuNET/scripts/scunet_model.py": "upscaler ScuNET GAN",
    "extensions-builtin/SwinIR/scripts/swinir_model.py": "upscaler SwinIR 4x",
    "modules/dat_model.py": "upscaler DAT x4",
    "modules/esrgan_model.py": "upscaler ESRGAN_4x",
    "modules/realesrgan_model.py": "upscaler R-ESRGAN 4x+",
    "modules/upscaler.py": "(lists files only)",
    "modules/modelloader.py": "(what the others call)",
    "modules/codeformer_model.py": "face restorer CodeFormer",
    "modules/gfpgan_model.py": "face restorer GFPGAN",
    "modules/face_restoration_utils.py": "face restorer GFPGAN",  # facexlib's two, into the folder of GFPGAN
    "modules/deepbooru.py": "Interrogate DeepBooru",
    "modules/interrogate.py": "Interrogate CLIP",
    "modules/sd_vae_taesd.py": "TAESD",
    "modules/sd_vae_approx.py": "live preview of SDXL",
    "modules/sd_models.py": "(a checkpoint, which the launcher forbids; depth models, into models/midas)",
    "modules/models/sd3/sd3_cond.py": "(text encoders of SD 3, into models/CLIP)",
    "modules/models/sd3/other_impls.py": "(words of SD 3, in the cache of the hub)",
    "modules/xlmr.py": "(words of AltDiffusion, in the cache of the hub)",
    "modules/xlmr_m18.py": "(words of AltDiffusion, in the cache of the hub)",
    "modules/textual_inversion/autocrop.py": "(finds faces for training, into models/opencv)",
    "modules/api/api.py": "(a picture that a request names)",
    "modules/launch_utils.py": "(asks for a newer version; the launcher does not)",
    "modules/ui_extensions.py": "(the list of extensions: fresh each time)",
}
# Run by the web UI's own Python in A1111's folder: a preview of an SDXL image, as a sampler makes it.
PREVIEW = """
import types
from modules import initialize
initialize.imports()
import torch
from modules import sd_models, sd_samplers_common, shared
sd_models.model_data.sd_model = types.SimpleNamespace(is_sd3=False, is_sdxl=True, latent_channels=4)
sd_models.model_data.was_loaded_at_least_once = True
shared.parallel_processing_allowed = False
shared.state.sampling_step = shared.opts.show_progress_every_n_steps
sd_samplers_common.store_latent(torch.zeros(1, 4, 8, 8))
print("PREVIEW", shared.state.current_image.size)
"""


@dataclass
class Real:
    """The real web UI that runs, asked past the door."""

    url: str
    log: Path
    data: Path
    code: Path
    told: str = ""  # what A1111 said in a process of its own

    def ask(self, path: str, **body: Any) -> requests.Response:
        return requests.post(f"{self.url}/sdapi/v1/{path}", json=body, timeout=600)

    def painted(self, answer: requests.Response) -> str:
        """What became of an image."""
        if not answer.ok:
            return failure(answer)
        image = answer.json().get("image") or answer.json()["images"][0]
        width, height = Image.open(io.BytesIO(base64.b64decode(image))).size
        return f"the image is made without it ({width} × {height})"

    def upscaled(self, name: str) -> str:
        answer = self.ask("extra-single-image", image=PICTURE, upscaler_1=name, upscaling_resize=2)
        return self.painted(answer)

    def restored(self, **visibility: float) -> str:
        return self.painted(self.ask("extra-single-image", image=PICTURE, upscaling_resize=1, **visibility))

    def interrogated(self, model: str) -> str:
        answer = self.ask("interrogate", image=PICTURE, model=model)
        return f"the prompt says `{answer.json()['caption']}`" if answer.ok else failure(answer)

    def with_option(self, name: str, value: str) -> str:
        """An image with another setting, while somebody asks for its preview."""
        before = requests.get(f"{self.url}/sdapi/v1/options", timeout=60).json()
        self.ask("options", **{name: value, "show_progress_every_n_steps": 1}).raise_for_status()
        try:
            with ThreadPoolExecutor(1) as pool:
                image = pool.submit(self.ask, "txt2img", prompt="x", steps=2, width=64, height=64)
                while not image.done():
                    requests.get(f"{self.url}/sdapi/v1/progress", timeout=60)
                    time.sleep(0.5)
            return self.painted(image.result())
        finally:
            known = {key: before[key] for key in (name, "show_progress_every_n_steps")}
            self.ask("options", **known).raise_for_status()


def failure(answer: requests.Response) -> str:
    """What A1111's answer says."""
    told = answer.json()
    return f"fails: `{told['error']}: {told['errors'] or told['detail']}`"[:160]


def picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


PICTURE = picture()


def previewed(real: Real) -> str:
    """The same preview without and with what the launcher lends; returns what a person has of it."""
    stand_in = real.code / "models" / "VAE-approx" / "vaeapprox-sdxl.pt"
    aside = stand_in.with_suffix(".aside")
    stand_in.rename(aside)
    without = run_preview(real)
    aside.rename(stand_in)
    with_it = run_preview(real)
    assert "URLError" in without, f"without the stand-in A1111 should fail: {without}"
    assert "PREVIEW (16, 16)" in with_it, with_it
    real.told = without
    without_us = "without the launcher, with `--medvram-sdxl`: `URLError`, and no image"
    return f"the image is made; its previews have wrong colours ({without_us})"


ROWS: dict[str, Callable[[Real], str]] = {
    **{
        f"upscaler {name}": lambda real, one=name: real.upscaled(one)  # type: ignore[misc]
        for name in ("R-ESRGAN 4x+", "ESRGAN_4x", "SwinIR 4x", "ScuNET GAN", "DAT x4", "LDSR")
    },
    "face restorer GFPGAN": lambda real: real.restored(gfpgan_visibility=1),
    "face restorer CodeFormer": lambda real: real.restored(codeformer_visibility=1),
    "Interrogate CLIP": lambda real: real.interrogated("clip"),
    "Interrogate DeepBooru": lambda real: real.interrogated("deepdanbooru"),
    "TAESD, live preview": lambda real: real.with_option("show_progress_type", "TAESD"),
    "TAESD, VAE decoder": lambda real: real.with_option("sd_vae_decode_method", "TAESD"),
    "live preview of SDXL": previewed,
}


def run_preview(real: Real) -> str:
    process = json.loads((real.log.parent / "webui.pid").read_text())["pid"]
    environment = dict(
        entry.split("=", 1) for entry in Path(f"/proc/{process}/environ").read_text().split("\0") if "=" in entry
    )
    python = real.log.parents[1] / "python" / "bin" / "python"
    arguments = ["--data-dir", str(real.data), "--use-cpu", "all", "--skip-torch-cuda-test", "--no-half"]
    ended = subprocess.run(
        [python, "-c", PREVIEW, *arguments], cwd=real.code, env=environment, capture_output=True, text=True, check=False
    )
    return ended.stdout + ended.stderr[-3000:]


def sites(bare: Path) -> set[str]:
    """The modules of A1111 that fetch something, by its source."""
    found = subprocess.run(
        ["git", "-C", bare, "grep", "-lE", FETCHING.pattern, A1111, "--", "modules/*.py", "extensions-builtin/*.py"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return {line.partition(":")[2] for line in found.splitlines()}


def hosts_of(row: str, bare: Path) -> str:
    """Where A1111's source says that it fetches that from."""
    modules = [module for module, belongs in SITES.items() if row.startswith(belongs)]
    shown = [subprocess.check_output(["git", "-C", bare, "show", f"{A1111}:{module}"], text=True) for module in modules]
    return ", ".join(sorted({host for text in shown for host in re.findall(r"[\"']https://([^/]+)/", text)}))


def folders_of(real: Real, start: int) -> str:
    """The folders on Drive that keep what A1111 says, since a place in its log, that it fetches.

    Raises `AssertionError` where nobody keeps it, or where nothing was fetched.
    """
    end, folders = time.monotonic() + PATIENCE, set[str]()
    while not folders:
        text = real.told or real.log.read_text(errors="replace")[start:]
        told = re.findall(r'Downloading: "\S+" to (.+)|Downloading (?:TAESD|VAEApprox) model to: (.+)', text)
        for target in (Path((one or other).strip()) for one, other in told):
            assert target.is_relative_to(real.data / "models"), f"{target} is not on Drive"
            folders.add(f"models/{target.relative_to(real.data / 'models').parts[0]}")
        assert folders or time.monotonic() < end, f"nothing was fetched: {text[-500:]}"
        time.sleep(0.1)
    return ", ".join(f"`{folder}`" for folder in sorted(folders))


def main() -> None:
    parser = places_asked(__doc__)
    parser.add_argument("--write", type=Path, help="the page that gets the table")
    options = parser.parse_args()
    home, upstreams = options.home.resolve(), options.upstreams.resolve()
    bare = upstream(upstreams, WEBUI)
    found = sites(bare)
    assert found == set(SITES), f"A1111's source fetches in other places: {sorted(found ^ set(SITES))}"
    assert all(one.startswith("(") or any(row.startswith(one) for row in ROWS) for one in SITES.values())
    kept = home / "drive" / "asd1111" / "stable-diffusion-webui"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "config.json").write_text("{}")  # A1111's own settings, whatever a run before left
    shutil.rmtree(home / "machine" / "data", ignore_errors=True)
    machine, lines = home / "machine", list[str]()
    with (
        contextlib.closing(RealWorld(home / "outside", upstreams)) as world,
        kernel_of(world, home, options.python, **NO_WAY_OUT) as kernel,
    ):
        started(kernel, checkpoint=REAL_LINK, link="none")
        port = json.loads((machine / "session" / "webui.json").read_text())["port"]
        log = machine / "session" / "webui.log"
        real = Real(f"http://127.0.0.1:{port}", log, machine / "data" / "asd1111", machine / "stable-diffusion-webui")
        for name, work in ROWS.items():
            start = len(log.read_text(errors="replace"))
            end = work(real)
            folders = folders_of(real, start)
            lines.append(f"| {name} | {hosts_of(name, bare)} | {folders} | {end} |")
            print(lines[-1], flush=True)
    head = "| A1111 wants | from | kept on Drive in | when it cannot be had |\n| --- | --- | --- | --- |"
    others = [f"- `{site}`: {row.strip('()')}." for site, row in SITES.items() if row.startswith("(")]
    table = "\n".join([head, *lines, "", "Not asked for here, from A1111's source:", "", *others])
    print(table)
    if options.write:
        rewrite(options.write, MARK, f"{datetime.date.today()}, A1111 v1.10.1 on the CPU.\n\n{table}")
    sys.exit(0)


if __name__ == "__main__":
    main()
