"""A stand-in for A1111's web UI: its flags, its log lines in its order, gradio 3.41.2 with the real queue.

It paints one colour instead of a picture (modules/painter.py). Like the real one it dies if anybody asks it for anything before its line
`Startup time:` (see docs/dev/how-it-works.md), fetches CLIP's words from the hub once, and lists checkpoints on request.
"""

import base64
import datetime
import hashlib
import io
import json
import os
import random
import sys
import textwrap
import time
import traceback
from pathlib import Path

from modules.cmd_args import parser
from modules.shared_options import templates
from modules.ui_loadsave import create_page

started = time.time()
args = parser.parse_args()
data = Path(args.data_dir)
for name in ("assets", "stable-diffusion-stability-ai", "generative-models", "k-diffusion", "BLIP"):
    folder = name if name != "assets" else "stable-diffusion-webui-assets"
    if not Path("repositories", folder, ".git").exists():
        sys.exit(f"RuntimeError: Couldn't clone {name}")
print(f"Python {sys.version}")
print("Version: v1.10.1")
print("Commit hash: 0000000000000000000000000000000000000000")
print(f"Launching Web UI with arguments: {' '.join(sys.argv[1:])}", flush=True)
if os.environ.get("MPLBACKEND", "").startswith("module://"):
    sys.exit("ValueError: Key backend: 'module://matplotlib_inline.backend_inline' is not a valid value for backend")
json.loads((data / "config.json").read_text() if (data / "config.json").exists() else "{}")

from modules import page, painter, tokenization_clip  # noqa: E402

from diskcache import Cache  # noqa: E402
from fastapi import Body, HTTPException, Request  # noqa: E402
from fastapi.middleware.gzip import GZipMiddleware  # noqa: E402
from fastapi.responses import JSONResponse  # noqa: E402
from huggingface_hub import hf_hub_download  # noqa: E402
from PIL import Image, PngImagePlugin  # noqa: E402


def report(*message: str) -> None:
    """An error that it survives, as modules/errors.py tells it."""
    lines = (f"*** {line}" for line in message)
    print(*lines, textwrap.indent(traceback.format_exc(), "    "), "---", sep="\n", flush=True)


settings = json.loads((data / "config.json").read_text()) if (data / "config.json").exists() else {}
off, none = settings.get("disabled_extensions", []), settings.get("disable_all_extensions", "none") != "none"
none = none or args.disable_all_extensions or args.disable_extra_extensions  # modules/extensions.py, `active`
for script in sorted(data.glob("extensions/*/scripts/*.py")):
    if none or script.parts[-3] in off:
        continue
    try:  # as A1111's modules/script_loading.py and scripts.py do it
        exec(compile(script.read_text(), str(script), "exec"), {"__name__": script.stem, "__file__": str(script)})
        print(f"Extension {script.parts[-3]} loaded", flush=True)
    except Exception:  # told as modules/errors.py does it
        report(f"Error loading script: {script.name}")

CLIP = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json", "config.json")
loaded = {"checkpoint": os.environ.get("STAND_IN_CHECKPOINT", "")}  # without a launch there is none to load


def checkpoints() -> list[str]:
    """What the real one lists."""
    root = data / "models" / "Stable-diffusion"
    found = [os.path.relpath(Path(w, n), root) for w, _, names in os.walk(root, followlinks=True) for n in names]
    return sorted(n for n in found if n.endswith((".safetensors", ".ckpt")) and ".vae." not in n)


def checksum(name: str) -> str:
    """As modules/hashes.py: computed once for a file, and remembered in the cache directory."""
    path = data / "models" / "Stable-diffusion" / name
    with Cache(Path(os.environ["SD_WEBUI_CACHE_DIR"]) / "hashes") as hashes:
        known = hashes.get(f"checkpoint/{name}")
        if not known or os.path.getmtime(path) > known["mtime"]:
            print(f"Calculating sha256 for {path}", flush=True)
            known = {"mtime": os.path.getmtime(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            hashes[f"checkpoint/{name}"] = known
        return known["sha256"]


listed = checkpoints()


def setting(name: str) -> str:
    """A setting as it is now; a relative folder counts from the code folder, and `~` is a name like any other."""
    told = json.loads((data / "config.json").read_text()) if (data / "config.json").exists() else {}
    return told.get(name, templates(str(data), str(data / "outputs"))[name].default)


STEP = 0.3  # seconds
painting = {"since": 0.0}


class OutOfMemoryError(RuntimeError):
    """As torch raises it."""


def load(name: str) -> None:
    """Load a checkpoint, or raise what the real one raises of such a file."""
    path = data / "models" / "Stable-diffusion" / name
    print(f"Loading weights [{checksum(name)[:10]}] from {path}", flush=True)
    for word in CLIP:
        try:
            file = hf_hub_download("openai/clip-vit-large-patch14", word, local_files_only=True)
        except OSError:
            file = hf_hub_download("openai/clip-vit-large-patch14", word)
        if word == "vocab.json":
            tokenization_clip.read(file)
    if name.endswith(".safetensors"):
        header = safetensors_header(path)
        if header.get("__metadata__", {}).get("parts") == "of two models":
            raise RuntimeError(
                "Error(s) in loading state_dict for LatentDiffusion:\n\tsize mismatch for model.diffusion_model."
                "input_blocks.1.1.proj_in.weight: copying a param with shape torch.Size([320, 320]) from checkpoint"
            )
    loaded["checkpoint"] = name
    print(f"Model loaded in {time.time() - started:.1f}s (stand-in).", flush=True)


def safetensors_header(path: Path) -> dict:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise RuntimeError("Error while deserializing header: HeaderTooLarge")
        return json.loads(file.read(size) or b"{}")


MOST_PIXELS = 2048 * 2048  # that its "card" takes


def next_number(folder: Path) -> int:
    """As modules/images.py counts: on from the highest number that a name in the folder begins with."""
    numbers = [path.name.split("-")[0] for path in folder.iterdir()]
    return max((int(number) for number in numbers if number.isdigit()), default=-1) + 1


def paint(prompt: str, steps: int = 1, pixels: int = 0) -> Image.Image:
    """One image where the settings say, with its infotext, as the real one writes it."""
    if not loaded["checkpoint"]:
        raise AttributeError("'NoneType' object has no attribute 'sd_checkpoint_info'")
    if pixels > MOST_PIXELS:
        raise OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.25 GiB. GPU 0 has a total capacity of 14.74 GiB of which 9.35 GiB "
            "is free. Including non-PyTorch memory, this process has 5.39 GiB memory in use."
        )
    painting["since"] = time.time()
    time.sleep(STEP * steps)
    painting["since"] = 0.0
    seed = random.randrange(1 << 32)
    image = painter.picture(prompt)
    folder = Path(setting("outdir_samples") or setting("outdir_txt2img_samples"), datetime.date.today().isoformat())
    folder.mkdir(parents=True, exist_ok=True)
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", f"{prompt}\nSteps: 1, Seed: {seed}, Model: {loaded['checkpoint']}")
    image.save(folder / f"{next_number(folder):05}-{seed}.png", pnginfo=info)
    print(f"\rTotal progress: 100%|██████████| {steps}/{steps} [00:00<00:00, 14.30it/s]", flush=True)
    return image


create_page(data / "ui-config.json")
app = page.serve(paint, args.server_name, args.port)
print(f"Running on local URL:  http://127.0.0.1:{args.port}", flush=True)


app.middleware_stack = None


@app.get("/internal/ping")
def ping() -> dict:
    return {}


@app.post("/internal/progress")
def progress(asked: dict = Body(...)) -> dict:  # noqa: B008
    """Live preview, as modules/progress.py: a picture in the answer if there is a newer one than was seen."""
    if not painting["since"]:
        return {"active": False}
    number, data = int((time.time() - painting["since"]) * 2), io.BytesIO()
    if number == asked["id_live_preview"]:
        return {"active": True, "id_live_preview": number}
    Image.frombytes("RGB", (128, 128), os.urandom(128 * 128 * 3)).save(data, "PNG", compress_level=1)
    preview = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return {"active": True, "id_live_preview": number, "live_preview": preview}


@app.get("/internal/sysinfo")
def sysinfo() -> dict:
    return {"command line": sys.argv}


if args.api:

    @app.get("/sdapi/v1/sd-models")
    def sd_models() -> list:
        return [{"title": name, "model_name": Path(name).stem} for name in listed]

    @app.post("/sdapi/v1/refresh-checkpoints")
    def refresh_checkpoints() -> None:
        listed[:] = checkpoints()

    @app.get("/sdapi/v1/options")
    def options() -> dict:
        return {"sd_model_checkpoint": loaded["checkpoint"]}

    @app.post("/sdapi/v1/options")
    def set_options(wanted: dict = Body(...)) -> None:  # noqa: B008
        name, before = wanted.get("sd_model_checkpoint"), loaded["checkpoint"]
        if name not in listed:
            raise HTTPException(500, f"model {name!r} not found")
        try:
            load(name)
        except Exception as error:  # modules/options.py
            if before:
                print("Failed to load checkpoint, restoring previous", f"Loading weights [0] from {before}", sep="\n")
            print(f"changing setting sd_model_checkpoint to {name}: {type(error).__name__}", flush=True)
            print(traceback.format_exc(), flush=True)

    @app.post("/sdapi/v1/txt2img")
    def txt2img(wanted: dict = Body(...)) -> dict:  # noqa: B008
        data = io.BytesIO()
        try:
            paint(wanted.get("prompt", ""), 1, wanted.get("width", 0) * wanted.get("height", 0)).save(data, "PNG")
        except Exception as error:  # modules/api/api.py
            told = {"error": type(error).__name__, "detail": "", "body": "", "errors": str(error)}
            report(f"API error: POST: http://127.0.0.1:{args.port}/sdapi/v1/txt2img {told}")
            return JSONResponse(told, 500)
        return {"images": [base64.b64encode(data.getvalue()).decode()], "parameters": wanted, "info": "{}"}

    @app.api_route("/echo", methods=["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
    async def echo(request: Request) -> dict:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return {"method": request.method, "size": size, "headers": dict(request.headers), "query": request.url.query}


app.router.routes.sort(key=lambda route: getattr(route, "path", "") in ("/{path:path}", "/"))
time.sleep(0.5)
try:
    app.add_middleware(GZipMiddleware, minimum_size=1 << 30)  # dies if a request came, as the real one's create_api does
except RuntimeError as error:
    print(f"RuntimeError: {error}", flush=True)
    os._exit(1)
app.middleware_stack = app.build_middleware_stack()
print(f"Startup time: {time.time() - started:.1f}s (stand-in).", flush=True)

chosen = listed[0] if listed else ""
if args.ckpt:  # as sd_models.list_models: it may lie anywhere; a whole path is its name then
    folder = data / "models" / "Stable-diffusion"
    chosen = os.path.relpath(args.ckpt, folder) if Path(args.ckpt).is_relative_to(folder) else args.ckpt
try:
    if not chosen:
        raise FileNotFoundError("No checkpoints found. When searching for checkpoints, looked at:")
    load(chosen)
except Exception as error:  # modules/sd_models.py
    print(f"loading stable diffusion model: {type(error).__name__}", traceback.format_exc(), sep="\n")
    print("Stable diffusion model failed to load", flush=True)
while True:
    time.sleep(3600)
