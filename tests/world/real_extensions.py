"""`make real-extensions UPSTREAMS=DIR`: the most used extensions on the real AUTOMATIC1111, added by the cells.

Each is added from a bare repository DIR/OWNER/NAME.git, installed at one restart, and then used through the door: an
API of it answers, or an image is made with its script. A second launch shows that nothing is installed again. Weights
of their own cannot be had here and make some answers errors, which are quoted. Writes docs/extensions.md.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests
from PIL import Image

from tests.world.githost import git
from tests.world.kernel import Kernel, cell_source
from tests.world.real import REAL_LINK, RealWorld, press_restart, share, upstream, whole_commit

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "extensions.md"
BEGIN, END = "<!-- table: made by `make real-extensions` -->", "<!-- end of the table -->"
ARGUMENTS: Final = "--disable-nan-check"
SMALL: Final = {"prompt": "a lighthouse", "steps": 1, "width": 64, "height": 64}


class Door:
    """The web UI through the link, logged in."""

    def __init__(self, url: str, password: str) -> None:
        self.url, self.session = url, requests.Session()
        self.session.auth = ("user", password)

    def get(self, path: str) -> Any:
        """What a GET answers, as JSON or as the first words."""
        return told(self.session.get(f"{self.url}{path}", timeout=120))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The same of a POST."""
        return told(self.session.post(f"{self.url}{path}", json=body, timeout=300))

    def paint(self, script: str, arguments: list[Any], **more: Any) -> str:
        """Make an image with an always-on script; the prompt that was used, as A1111 wrote it down."""
        body = {**SMALL, "alwayson_scripts": {script: {"args": arguments}}, **more}
        answer = self.post("/sdapi/v1/txt2img", body)
        if not isinstance(answer, dict) or "images" not in answer:
            return f"error: {str(answer)[:150]}"
        return f"an image of {json.loads(answer['info'])['all_prompts'][0]!r}"

    def script(self, start: str) -> str:
        """The full title of a script whose title starts so, in small letters; "" if there is none."""
        names = self.get("/sdapi/v1/scripts")
        return next((name for name in [*names["txt2img"], *names["img2img"]] if name.startswith(start)), "")


def told(answer: requests.Response) -> Any:
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        return answer.json() if answer.ok else f"{answer.status_code}: {answer.text[:200]}"
    text = re.sub(r"<[^>]+>|\s+", " ", answer.text)
    return f"{answer.status_code}: {text[:100].strip()}"


def with_script(start: str, *arguments: Any, **more: Any) -> Callable[[Door], str]:
    def use(door: Door) -> str:
        title = door.script(start)
        return door.paint(title, list(arguments), **more) if title else "error: its script is not there"

    return use


def api(path: str, body: dict[str, Any] | None = None) -> Callable[[Door], str]:
    def use(door: Door) -> str:
        answer = door.get(path) if body is None else door.post(path, body)
        return f"{path} answers {str(answer)[:110]}"

    return use


def upscaled(door: Door) -> str:
    body = {**SMALL, "init_images": [picture()], "denoising_strength": 0.2, "script_name": "ultimate sd upscale"}
    answer = door.post("/sdapi/v1/img2img", body | {"script_args": [
        "", 64, 64, 8, 8, 8, 0.35, 8, 0, True, 0, False, 8, 0, 2, 128, 128, 2.0,
    ]})  # fmt: skip
    if not isinstance(answer, dict) or "images" not in answer:
        return f"error: {str(answer)[:150]}"
    return (
        f"an image of {Image.open(io.BytesIO(base64.b64decode(answer['images'][0]))).size} pixels from one of (64, 64)"
    )


def tab(name: str) -> Callable[[Door], str]:
    def use(door: Door) -> str:
        config = door.session.get(f"{door.url}/config", timeout=120).text
        return f"its tab {name} is in the page" if f'"{name}"' in config else "error: its tab is not in the page"

    return use


def picture() -> str:
    """A picture of 64 by 64 pixels, as A1111's API takes it."""
    made = io.BytesIO()
    Image.radial_gradient("L").resize((64, 64)).convert("RGB").save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


@dataclass
class Row:
    """One extension: where it is, how it is used; what came of it."""

    repository: str
    use: Callable[[Door], str]
    added: str = ""
    installer: float = 0.0  # seconds
    notice: str = ""
    used: str = ""

    @property
    def name(self) -> str:
        return self.repository.partition("/")[2]


ROWS: Final = (
    Row("Mikubill/sd-webui-controlnet", api("/controlnet/detect", {
        "controlnet_module": "canny", "controlnet_input_images": [picture()]})),
    Row("Bing-su/adetailer", with_script("adetailer", True, False, {"ad_model": "mediapipe_face_full"})),
    Row("Gourieff/sd-webui-reactor", api("/reactor/upscalers")),
    Row("DominikDoom/a1111-sd-webui-tagcomplete", api("/tacapi/v1/refresh-temp-files", {})),
    Row("adieyal/sd-dynamic-prompts", with_script("dynamic prompts", True, prompt="a {red|red} lighthouse")),
    Row("hako-mikan/sd-webui-regional-prompter", with_script("regional prompter")),
    Row("pkuliyi2015/multidiffusion-upscaler-for-automatic1111", with_script("tiled diffusion", True)),
    Row("Coyote-A/ultimate-upscale-for-automatic1111", upscaled),
    Row("AlUlkesh/stable-diffusion-webui-images-browser", tab("Image Browser")),
    Row("zanllp/sd-webui-infinite-image-browsing", api("/infinite_image_browsing/hello")),
    Row("picobyte/stable-diffusion-webui-wd14-tagger", api("/tagger/v1/interrogators")),
    Row("AUTOMATIC1111/stable-diffusion-webui-rembg", api("/rembg", {"input_image": picture(), "model": "None"})),
    Row("continue-revolution/sd-webui-segment-anything", api("/sam/heartbeat")),
    Row("huchenlei/sd-webui-openpose-editor", api("/openpose_editor_index")),
    Row("ahgsql/StyleSelectorXL", with_script("style selector for sdxl", True, False, False, False, "Anime")),
    Row("toshiaki1729/stable-diffusion-webui-dataset-tag-editor", tab("Dataset Tag Editor")),
    Row("butaixianran/Stable-Diffusion-Webui-Civitai-Helper", tab("Civitai Helper")),
)  # fmt: skip


@dataclass
class Watch:
    """Reads the board as the door gets it, and whether the web UI answers."""

    session: Path
    installing: dict[str, float] = field(default_factory=dict)  # extension -> seconds
    silent: float = 0.0  # seconds in which the web UI did not answer
    notices: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        last = time.monotonic()
        while not self.over.wait(0.25):
            now = time.monotonic()
            passed, last = now - last, now
            with contextlib.suppress(OSError, ValueError):
                board = json.loads((self.session / "board.json").read_text())
                self.notices |= set(board["notices"])
                found = re.search(r"installing ([\w.-]+)", " ".join(step["note"] for step in board["steps"]))
                if found:
                    self.installing[found[1]] = self.installing.get(found[1], 0.0) + passed
                port = board["webui_port"]
                self.silent += 0.0 if port and answers(port) else passed


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/internal/ping", timeout=10).ok
    except requests.RequestException:
        return False


def cell(kernel: Kernel) -> str:
    source = cell_source("launch", checkpoint=REAL_LINK, link="gradio", extra_arguments=ARGUMENTS, api=True)
    before = kernel.text.count("Ready after")
    started = kernel.start(source)
    kernel.wait(lambda: kernel.text.count("Ready after") > before or started in kernel.idle, 1800, "the web UI")
    if kernel.text.count("Ready after") == before:
        raise SystemExit(f"it did not start:\n{kernel.text[-3000:]}")
    return started


def door_of(kernel: Kernel) -> Door:
    found = re.findall(r"^(?:Link|Password): (.+)$", kernel.text, re.MULTILINE)
    return Door(found[-2], found[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstreams", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--python", default=str(ROOT / ".venv-colab" / "bin" / "python"))
    options = parser.parse_args()
    home = options.home.resolve()
    kept, session = home / "drive" / "asd1111" / "stable-diffusion-webui", home / "machine" / "session"
    kept.mkdir(parents=True, exist_ok=True)
    weights = kept / "models" / "insightface" / "inswapper_128.onnx"  # else ReActor's installer ends early
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"a stand-in")
    rows = [row for row in ROWS if (options.upstreams / f"{row.repository}.git").is_dir()]
    with contextlib.closing(RealWorld(home / "outside", options.upstreams.resolve())) as world:
        for row in rows:
            original = upstream(options.upstreams, row.repository)
            share(
                original,
                world.git.root / f"{row.repository}.git",
                whole_commit(original, git("rev-parse", "HEAD", at=original)),
            )
        summary = both_launches(options.python, world, home, rows, session)
    PAGE.write_text(page_with(PAGE.read_text(), table(rows, summary)))


def both_launches(python: str, world: RealWorld, home: Path, rows: list[Row], session: Path) -> list[str]:
    """Add, restart, use; then everything again on the same machine. Returns what is to be said below the table."""
    environment = {**os.environ, **world.environment(home), "ONECLICK_PANEL": "text"}
    kernel, watch = Kernel(python, environment, home), Watch(session)
    try:
        first = cell(kernel)
        kernel.interrupt()
        kernel.wait_done(first, 60)
        for row in rows:
            said = len(kernel.text)
            kernel.run(cell_source("add-extension", what=f"https://github.com/{row.repository}"), 300)
            lines = kernel.text[said:]
            row.added = "yes" if "added" in lines else "no: " + lines.strip()[:200]
            print(row.name, row.added, flush=True)
        threading.Thread(target=watch.run, daemon=True).start()
        began = time.monotonic()
        press_restart(session, 1800)
        restart = time.monotonic() - began
        watch.over.set()
        door = door_of(kernel)
        for row in rows:
            row.installer = watch.installing.get(row.name, 0.0)
            row.notice = next((text for text in watch.notices if row.name in text and "added" not in text), "")
            row.used = row.use(door)
            print(f"{row.name}: installer {row.installer:.0f} s; {row.notice} {row.used}", flush=True)
        listed = {one["name"]: one["version"] for one in door.get("/sdapi/v1/extensions")}
        versions = sum(bool(listed.get(row.name)) for row in rows)
        kernel.run(cell_source("stop"), 120)
        again = Watch(session)
        threading.Thread(target=again.run, daemon=True).start()
        began = time.monotonic()
        cell(kernel)
        next_start = time.monotonic() - began
        again.over.set()
        return [
            f"`/sdapi/v1/extensions` through the door lists {len(listed)} extensions; {versions} of {len(rows)} with a "
            "version.",
            f"The restart with all of them took {restart:.0f} s; the web UI did not answer for {watch.silent:.0f} s "
            f"of it. The next start took {next_start:.0f} s and ran {len(again.installing)} installers.",
        ]
    finally:
        watch.over.set()
        kernel.interrupt()
        kernel.run(cell_source("stop"), timeout=120)
        kernel.shutdown()


def table(rows: list[Row], summary: list[str]) -> str:
    lines = [
        "| extension | added | installer | used through the door | what the panel said |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        installer = f"{row.installer:.0f} s" if row.installer else "has none"
        cells = (
            f"[{row.name}](https://github.com/{row.repository})",
            row.added,
            installer,
            row.used,
            row.notice or "-",
        )
        lines.append("| " + " | ".join(re.sub(r"\s+", " ", text).replace("|", "\\|") for text in cells) + " |")
    return "\n".join([*lines, "", *summary])


def page_with(page: str, made: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    main()
