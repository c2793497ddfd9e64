"""`make bench-card`: "faster images" on a machine with a card, with and without it in turn, by the web UI's API.

Each row is one kind of image, made ROUNDS times with the extension and without it, in turn, in one process: seconds
(median and least), and the largest difference of any pixel, of 255. Needs a machine on which the launcher has made its
folder, and checkpoints in it; weights may be random, for pixels and seconds are compared with themselves.
"""

import argparse
import base64
import io
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import requests

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "launcher" / "extensions" / "builtin" / "faster_images"
PROMPT = "a lighthouse in a storm"


class WebUI:
    """AUTOMATIC1111 from the folder of a launch, alone."""

    def __init__(
        self, machine: Path, checkpoints: Path, checkpoint: str, log: Path, flags: list[str], controlnet: Path | None
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.base, self.log, data = f"http://127.0.0.1:{port}", log, log.parent / "data"
        (data / "models" / "Lora").mkdir(parents=True, exist_ok=True)
        for extension in (EXTENSION, *([controlnet] if controlnet else [])):
            shutil.copytree(extension, data / "extensions" / extension.name, dirs_exist_ok=True)
        if controlnet:
            random_controlnet(
                checkpoints / checkpoint, data / "models" / "ControlNet" / "random-controlnet.safetensors"
            )
        link = data / "models" / "Stable-diffusion"
        if not link.exists():
            link.symlink_to(checkpoints)
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        environment |= {
            "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg", "GRADIO_ANALYTICS_ENABLED": "False",
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        }  # fmt: skip
        caches = sorted(machine.glob("data/*/huggingface"))
        environment |= {"HF_HOME": str(caches[0])} if caches else {}
        command = [machine / "python/bin/python", "launch.py", "--data-dir", data, "--server-name", "127.0.0.1"]
        command += ["--port", str(port), "--api", "--no-download-sd-model", "--skip-prepare-environment"]
        command += ["--skip-install", "--disable-nan-check", "--ckpt", link / checkpoint, *flags]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=machine / "stable-diffusion-webui", env=environment, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.session = requests.Session()
        self.controlled = ("sd15",) if controlnet else ()  # the models that there is a ControlNet for
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        for _ in range(1500):
            if "Startup time:" in self.log.read_text():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise SystemExit(f"the web UI did not start:\n{self.log.read_text()[-3000:]}")

    def post(self, path: str, **body: Any) -> Any:
        answer = self.session.post(f"{self.base}/sdapi/v1/{path}", json=body, timeout=600)
        if not answer.ok:
            raise SystemExit(f"{path}: {answer.status_code} {answer.text[:2000]}\n{self.log.read_text()[-3000:]}")
        return answer.json()

    def image(self, path: str = "txt2img", **asked: Any) -> tuple[float, Any]:
        """(Seconds, pixels of the first image)."""
        body = {"prompt": PROMPT, "seed": 1, "sampler_name": "Euler", "save_images": False, **asked}
        start = time.perf_counter()
        image = self.post(path, **body)["images"][0]
        seconds = time.perf_counter() - start
        return seconds, numpy.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB")).astype(int)

    def faster(self, on: bool) -> None:
        self.post("options", faster_images=on)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Previews:
    """Somebody looks at the image while it is made: previews are asked for, and made in another thread."""

    def __init__(self, webui: WebUI) -> None:
        self.webui, self.ended, self.seen = webui, threading.Event(), 0
        self.thread = threading.Thread(target=self.look)

    def look(self) -> None:
        while not self.ended.wait(0.1):
            asked = requests.get(f"{self.webui.base}/sdapi/v1/progress", timeout=60).json()
            self.seen += bool(asked["current_image"])

    def __enter__(self) -> "Previews":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


class Load:
    """How busy the card is, in percent, while a block runs; None without nvidia-smi."""

    def __enter__(self) -> "Load":
        self.percent: float | None = None
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
        there = shutil.which(command[0])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True) if there else None
        return self

    def __exit__(self, *error: object) -> None:
        if self.process:
            self.process.terminate()
            said = [float(line) for line in self.process.communicate()[0].split() if line.isdigit()]
            self.percent = round(statistics.mean(said), 1) if said else None


def row(webui: WebUI, name: str, rounds: int, plain: Any = None, **asked: Any) -> None:
    """One kind of image, in turn without and with; the first of each is not counted. `plain`: what it must differ from,
    or the row shows nothing of what it is named after.
    """
    seconds: dict[bool, list[float]] = {False: [], True: []}
    pixels: dict[bool, Any] = {}
    for number in range(rounds + 1):
        for on in (False, True):
            webui.faster(on)
            took, pixels[on] = webui.image(**asked)
            seconds[on] += [took] if number else []
    worst = int(abs(pixels[True] - pixels[False]).max())
    mean = float(abs(pixels[True] - pixels[False]).mean())
    median = {on: statistics.median(seconds[on]) for on in seconds}
    least = {on: min(seconds[on]) for on in seconds}
    made: dict[str, Any] = {
        "row": name, "without": round(median[False], 3), "with": round(median[True], 3),
        "least": [round(least[False], 3), round(least[True], 3)], "gain": round(least[False] / least[True], 2),
        "pixels": worst, "mean": round(mean, 4),
    }  # fmt: skip
    if plain is not None and plain.shape == pixels[False].shape:
        made["from the plain image"] = int(abs(plain - pixels[False]).max())
    print(json.dumps(made), flush=True)


def busy(webui: WebUI, name: str, **asked: Any) -> None:
    for on in (False, True):
        webui.faster(on)
        webui.image(**asked)
        with Load() as load:
            for _ in range(4):
                webui.image(**asked)
        print(json.dumps({"row": f"{name}: card busy", "faster": on, "percent": load.percent}), flush=True)


def random_controlnet(checkpoint: Path, path: Path) -> None:
    """A ControlNet with random weights, in the shapes of the checkpoint's UNet, whose first half it copies."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    made: dict[str, Any] = {}
    with safe_open(str(checkpoint), "pt") as file:
        for name in file.keys():  # noqa: SIM118  # it is no dictionary
            part = name.removeprefix("model.diffusion_model.")
            if part != name and part.startswith(("time_embed.", "input_blocks.", "middle_block.")):
                made[part] = file.get_tensor(name)
    widths = [made["input_blocks.0.0.weight"].shape[0]]
    for block in range(1, 12):
        last = next(one for one in ("0.out_layers.3", "0.op") if f"input_blocks.{block}.{one}.weight" in made)
        widths.append(made[f"input_blocks.{block}.{last}.weight"].shape[0])
    shapes = {f"zero_convs.{number}.0": (width, width, 1, 1) for number, width in enumerate(widths)}
    shapes["middle_block_out.0"] = (widths[-1], widths[-1], 1, 1)
    hints = [3, 16, 16, 32, 32, 96, 96, 256, widths[0]]
    for number, (before, after) in enumerate(pairwise(hints)):
        shapes[f"input_hint_block.{2 * number}"] = (after, before, 3, 3)
    torch.manual_seed(1)
    for name, shape in shapes.items():
        made[f"{name}.weight"] = (torch.randn(shape) / (shape[1] * shape[2] * shape[3]) ** 0.5 / 2).half()
        made[f"{name}.bias"] = torch.zeros(shape[0]).half()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"control_model.{name}": tensor.contiguous() for name, tensor in made.items()}, str(path))


def lora(path: Path, xl: bool) -> None:
    """A LoRA with random weights for some layers of the UNet's attention, made by this machine's torch."""
    import torch
    from safetensors.torch import save_file

    width = 640 if xl else 320
    block = "input_blocks_4_1" if xl else "input_blocks_1_1"
    made = {}
    for layer in ("attn1_to_q", "attn1_to_k", "attn1_to_v"):
        stem = f"lora_unet_{block}_transformer_blocks_0_{layer}"
        made[f"{stem}.lora_down.weight"] = torch.randn(8, width) / 8
        made[f"{stem}.lora_up.weight"] = torch.randn(width, 8) / 8
        made[f"{stem}.alpha"] = torch.tensor(8.0)
    save_file(made, str(path))


def interrupted(webui: WebUI, **asked: Any) -> None:
    webui.faster(True)
    thread = threading.Thread(target=lambda: webui.image(**asked | {"steps": 400}))
    thread.start()
    time.sleep(2)
    webui.post("interrupt")
    thread.join()


def rows_of(webui: WebUI, name: str, size: int, steps: int, rounds: int, budget: float, chosen: str) -> None:
    """All kinds, the most important first; what is over the budget of seconds is left out and said."""
    end = time.monotonic() + budget
    asked = {"steps": steps, "width": size, "height": size}
    _, drawn = webui.image(**asked)
    buffer = io.BytesIO()
    PIL.Image.fromarray(drawn.astype("uint8")).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    half = PIL.Image.new("L", (size, size), 0)
    half.paste(255, (0, 0, size // 2, size))
    buffer = io.BytesIO()
    half.save(buffer, "PNG")
    mask = base64.b64encode(buffer.getvalue()).decode()
    of_picture = {"path": "img2img", "init_images": [picture], "denoising_strength": 0.7}
    control = {"enabled": True, "module": "none", "model": "random-controlnet", "image": picture}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("one image", {}),
        ("a batch of 4", {"batch_size": 4}),
        ("with a LoRA", {"prompt": f"{PROMPT} <lora:{name}:1>"}),
        ("after the LoRA", {}),
        ("half the LoRA", {"prompt": f"{PROMPT} <lora:{name}:0.5>"}),
        ("after the LoRA again", {}),
        ("img2img", of_picture),
        ("inpainting", of_picture | {"mask": mask}),
        ("hires fix", {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}),
        ("another sampler", {"sampler_name": "DPM++ 2M"}),
        ("tiling", {"tiling": True}),
        ("a long prompt", {"prompt": f"{PROMPT}, oil painting, " * 20}),
    ]
    if name in webui.controlled:
        kinds[6:6] = [
            ("with ControlNet", {"alwayson_scripts": {"controlnet": {"args": [control]}}}),
            ("after ControlNet", {}),
        ]
    for kind, more in kinds:
        if not any(one in kind for one in chosen.split(",")):
            continue
        if time.monotonic() > end:
            print(json.dumps({"row": f"{name}: {kind}", "left out": "time"}), flush=True)
            continue
        row(webui, f"{name}: {kind}", rounds, drawn, **asked | more)
    webui.post("options", live_previews_enable=True, show_progress_every_n_steps=1, show_progress_type="Full")
    with Previews(webui) as previews:
        row(webui, f"{name}: previews on", rounds, **asked)
    print(json.dumps({"row": f"{name}: previews seen", "number": previews.seen}), flush=True)
    busy(webui, name, **asked)
    interrupted(webui, **asked)
    row(webui, f"{name}: after an interrupted image", rounds, **asked)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--machine", type=Path, required=True, help="/content/oneclick")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--sd15", default="random-sd15.safetensors")
    parser.add_argument("--sdxl", default="random-sdxl.safetensors")
    parser.add_argument("--only", choices=("sd15", "sdxl"), help="one of the two")
    parser.add_argument(
        "--row", default="", help="only the kinds of images whose name has one of these in it, by commas"
    )
    parser.add_argument("--controlnet", type=Path, help="sd-webui-controlnet, whose packages the machine has")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--small", type=int, default=512)
    parser.add_argument("--large", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=200, help="for each of the two models")
    parser.add_argument("--flags", default="--opt-sdp-attention")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    checkpoints, log = options.checkpoints.absolute(), options.work.absolute() / "webui.txt"
    models = {"sd15": (options.sd15, options.small), "sdxl": (options.sdxl, options.large)}
    there = {name: model for name, model in models.items() if (checkpoints / model[0]).exists()}
    models = {name: model for name, model in there.items() if options.only in (None, name)}
    flags, first = options.flags.split(), next(iter(models.values()))[0]
    webui = WebUI(options.machine.absolute(), checkpoints, first, log, flags, options.controlnet)
    try:
        for name, (checkpoint, size) in models.items():
            lora(options.work / "data" / "models" / "Lora" / f"{name}.safetensors", name == "sdxl")
            webui.post("options", sd_model_checkpoint=checkpoint)
            webui.post("refresh-loras")
            rows_of(webui, name, size, options.steps, options.rounds, options.seconds, options.row)
        if "sdxl" in models and "sd15" in there:
            webui.post("options", sd_model_checkpoint=options.sd15)
            asked = {"steps": options.steps, "width": options.small, "height": options.small}
            row(webui, "sd15: after models were switched", options.rounds, **asked)
    finally:
        webui.close()
        print("\n".join(re.findall(r"Faster images: [^\r\n]*|[^\r\n]*Error[^\r\n]*", log.read_text())))


if __name__ == "__main__":
    main()
