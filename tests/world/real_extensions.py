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
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests
from PIL import Image

from tests.world.browser import chromium, log_in
from tests.world.githost import git
from tests.world.kernel import Kernel, cell_source
from tests.world.real import REAL_LINK, RealWorld, press_restart, share, upstream, whole_commit

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "extensions.md"
BEGIN, END = "<!-- table: made by `make real-extensions` -->", "<!-- end of the table -->"
ARGUMENTS: Final = "--disable-nan-check"
SMALL: Final = {"prompt": "a lighthouse", "steps": 1, "width": 64, "height": 64, "save_images": True}


class NotUsed(Exception):
    """The extension did not do what it was asked."""


class Door:
    """The web UI through the link, logged in: its APIs, and a browser."""

    def __init__(self, url: str, password: str, page: Any) -> None:
        self.url, self.page, self.session = url, page, requests.Session()
        self.session.auth = ("user", password)

    def get(self, path: str) -> Any:
        """What a GET answers, as JSON or as the first words."""
        return told(self.session.get(f"{self.url}{path}", timeout=120))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The same of a POST."""
        return told(self.session.post(f"{self.url}{path}", json=body, timeout=300))

    def image(self, path: str, body: dict[str, Any]) -> tuple[str, Image.Image]:
        """Have an image made; its infotext, and the image."""
        answer = self.post(path, body)
        if not isinstance(answer, dict) or "images" not in answer:
            raise NotUsed(str(answer)[:150])
        made = Image.open(io.BytesIO(base64.b64decode(answer["images"][0])))
        return str(json.loads(answer["info"])["infotexts"][0]), made

    def script(self, start: str) -> str:
        """The full title of a script whose title starts so, in small letters."""
        names = self.get("/sdapi/v1/scripts")
        for name in [*names["txt2img"], *names["img2img"]]:
            if name.startswith(start):
                return str(name)
        raise NotUsed("its script is not there")

    def outputs(self) -> Path:
        """The folder with the images of today, as the web UI names it."""
        prefix = Path(self.get("/sdapi/v1/cmd-flags")["data_dir"])
        return max((prefix / "outputs" / "txt2img-images").iterdir())


def told(answer: requests.Response) -> Any:
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        return answer.json() if answer.ok else f"{answer.status_code}: {answer.text[:300]}"
    text = re.sub(r"<[^>]+>|\s+", " ", answer.text)
    return f"{answer.status_code}: {text[:100].strip()}"


Use = Callable[[Door], str]  # uses an extension and says what came of it; raises `NotUsed`


def leaves_in_infotext(trace: str, start: str, *arguments: Any, **more: Any) -> Use:
    """An image made with its always-on script: A1111's infotext of the image has this of it."""

    def use(door: Door) -> str:
        body = {**SMALL, "alwayson_scripts": {door.script(start): {"args": list(arguments)}}, **more}
        infotext, _ = door.image("/sdapi/v1/txt2img", body)
        found = re.search(rf"{trace}[^,]*", infotext)
        if not found:
            raise NotUsed(f"nothing of it in {infotext[:200]!r}")
        return f"an image, whose infotext has `{found[0].strip()}`"

    return use


def api(path: str, expected: str, body: dict[str, Any] | None = None) -> Use:
    """An API of it answers, and with something that only it can know."""

    def use(door: Door) -> str:
        answer = json.dumps(door.get(path) if body is None else door.post(path, body))
        found = re.search(expected, answer)
        if not found:
            raise NotUsed(f"{path} answers {answer[:150]}")
        return f"`{path}` answers with `{found[0][:80]}`"

    return use


def without(weights: str, path: str, error: str, body: dict[str, Any] | None = None) -> Use:
    """What it needs cannot be had here: this very error is the one of that, and no other."""

    def use(door: Door) -> str:
        answer = str(door.get(path) if body is None else door.post(path, body))
        found = re.search(error, answer)
        if not found:
            raise NotUsed(f"{path} answers {answer[:150]}")
        return f"loaded; `{path}` answers `{found[0][:90]}`: {weights}"

    return use


def upscaled(door: Door) -> str:
    body = {**SMALL, "init_images": [picture()], "denoising_strength": 0.2, "script_name": "ultimate sd upscale"}
    arguments = ["", 64, 64, 8, 8, 8, 0.35, 8, 0, True, 0, False, 8, 0, 2, 128, 128, 2.0]
    infotext, made = door.image("/sdapi/v1/img2img", body | {"script_args": arguments})
    if made.size != (128, 128) or "Ultimate SD upscale" not in infotext:
        raise NotUsed(f"{made.size}, {infotext[:150]}")
    return "an image of (128, 128) pixels from one of (64, 64), whose infotext has `Ultimate SD upscale`"


def several_files(door: Door) -> str:
    """The files of a folder, as its own page asks for them."""
    answer = json.dumps(door.get(f"/infinite_image_browsing/files?folder_path={door.outputs()}"))
    names = re.findall(r'"name": "([^"]+\.png)"', answer)
    if not names:
        raise NotUsed(answer[:150])
    return f"its list of today's folder names {len(names)} images"


# ---- in the browser: what has no API


def open_tab(page: Any, name: str) -> None:
    page.locator("#tabs > .tab-nav button", has_text=name).click()


def completed(door: Door) -> str:
    box = door.page.locator("#txt2img_prompt textarea").first
    box.click()
    box.press_sequentially("1gir", delay=150)
    offered = door.page.locator(".autocompleteParent.txt2img .autocompleteResultsList li, .autocompleteResultsList li")
    offered.first.wait_for(timeout=30_000)
    first = offered.first.inner_text().split()[0]
    box.fill("")
    return f"a person types `1gir` as a prompt and is offered `{first}`"


def browsed(door: Door) -> str:
    open_tab(door.page, "Image Browser")
    door.page.locator("#image_browser_tab_txt2img_image_browser_gallery img").first.wait_for(timeout=90_000)
    count = door.page.locator("#image_browser_tab_txt2img_image_browser_gallery img").count()
    return f"its tab shows {count} of the images that were made"


def tagged(door: Door) -> str:
    open_tab(door.page, "Dataset Tag Editor")
    door.page.get_by_label("Dataset directory").first.fill(str(door.outputs()))
    door.page.locator("button:visible", has_text=re.compile(r"^\s*Load\s*$")).first.click()
    door.page.locator("#dataset_tag_editor_dataset_gallery img").first.wait_for(timeout=90_000)
    count = door.page.locator("#dataset_tag_editor_dataset_gallery img").count()
    return f"its tab loads the folder of today and shows {count} images"


def scanned(door: Door) -> str:
    open_tab(door.page, "Civitai Helper")
    said = door.page.locator("#ch_scan_model_log_md")
    before = said.inner_text()
    door.page.locator("#ch_scan_model_civitai_btn").click()
    door.page.wait_for_function(
        "before => document.querySelector('#ch_scan_model_log_md').innerText !== before", arg=before, timeout=120_000
    )
    for _ in range(600):
        if re.search(r"\w{4}", said.inner_text()) and "Scanning takes time" not in said.inner_text():
            return f"its **Scan** says: {said.inner_text().strip()[:120]}"
        door.page.wait_for_timeout(200)
    raise NotUsed(said.inner_text()[:150])


def installed_tab(door: Door, shot: Path) -> str:
    """What A1111's own tab shows of them."""
    open_tab(door.page, "Extensions")
    rows = door.page.locator("#extensions tbody tr")
    rows.first.wait_for(timeout=60_000)
    cells = [row.locator("td").all_inner_texts() for row in rows.all()]
    door.page.screenshot(path=str(shot), full_page=True)
    kept = [one for one in cells if "http" in one[1]]
    whole = [one for one in kept if one[2].strip() and re.fullmatch(r"[0-9a-f]{8}", one[3].strip())]
    return (
        f"A1111's own Extensions tab lists {len(kept)} with an address, {len(whole)} of them with branch and version."
    )


def picture() -> str:
    """A picture of 64 by 64 pixels, as A1111's API takes it."""
    made = io.BytesIO()
    Image.radial_gradient("L").resize((64, 64)).convert("RGB").save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


@dataclass
class Row:
    """One extension: where it is, how it is used; what came of it."""

    repository: str
    use: Use
    added: str = ""
    installer: float = 0.0  # seconds
    notice: str = ""
    used: str = ""
    failed: bool = False

    @property
    def name(self) -> str:
        return self.repository.partition("/")[2]


NO_WAY_OUT: Final = "URLError|ConnectionError|Max retries|resolve|Name or service|Failed to download"
BIGGER: Final = {"width": 256, "height": 256}
ROWS: Final = (
    Row("Mikubill/sd-webui-controlnet", api("/controlnet/detect", "\"info\": \"Success\", \"images\": ", {
        "controlnet_module": "canny", "controlnet_input_images": [picture()]})),
    Row("Bing-su/adetailer", leaves_in_infotext(
        "ADetailer model: ", "adetailer", True, False, {"ad_model": "mediapipe_face_full"})),
    Row("Gourieff/sd-webui-reactor", api("/reactor/upscalers", "\"R-ESRGAN 4x\\+\"")),
    Row("DominikDoom/a1111-sd-webui-tagcomplete", completed),
    Row("adieyal/sd-dynamic-prompts", leaves_in_infotext(
        "a red lighthouse", "dynamic prompts", True, prompt="a {red|red} lighthouse")),
    Row("hako-mikan/sd-webui-regional-prompter", leaves_in_infotext(
        "RP Active: True", "regional prompter", True, False, "Matrix", "Columns", "Mask", "Prompt", "1,1", "0.2", False,
        False, False, "Attention", [], "0", "0", "0.4", None, "0", "0", False,
        prompt="sky BREAK a lighthouse", **BIGGER)),
    Row("pkuliyi2015/multidiffusion-upscaler-for-automatic1111", leaves_in_infotext(
        "Tiled Diffusion: ", "tiled diffusion", True, "MultiDiffusion", False, True, 256, 256, 16, 16, 4, 1, **BIGGER)),
    Row("Coyote-A/ultimate-upscale-for-automatic1111", upscaled),
    Row("AlUlkesh/stable-diffusion-webui-images-browser", browsed),
    Row("zanllp/sd-webui-infinite-image-browsing", several_files),
    Row("picobyte/stable-diffusion-webui-wd14-tagger", api("/tagger/v1/interrogators", "wd14-vit.v1")),
    Row("AUTOMATIC1111/stable-diffusion-webui-rembg", without("its model is not to be had here", "/rembg", NO_WAY_OUT, {
        "input_image": picture(), "model": "u2netp"})),
    Row("continue-revolution/sd-webui-segment-anything", api("/sam/dilate-mask", "blended_image", {
        "input_image": picture(), "mask": picture(), "dilate_amount": 3})),
    Row("huchenlei/sd-webui-openpose-editor", without(
        "its page is downloaded from GitHub when it starts, which is not to be had here", "/openpose_editor_index",
        "404")),
    Row("ahgsql/StyleSelectorXL", leaves_in_infotext(
        "anime artwork a lighthouse", "style selector for sdxl", True, False, False, False, "Anime")),
    Row("toshiaki1729/stable-diffusion-webui-dataset-tag-editor", tagged),
    Row("butaixianran/Stable-Diffusion-Webui-Civitai-Helper", scanned),
    Row("mcmonkeyprojects/sd-dynamic-thresholding", leaves_in_infotext(
        "Dynamic thresholding enabled: True", "dynamic thresholding", True, 7.0, 100.0, "Constant", 0, "Constant", 0,
        4.0, "enable", "MEAN", "AD", 1.0)),
    Row("hnmr293/sd-webui-cutoff", leaves_in_infotext(
        "Cutoff enabled: True", "cutoff", True, "red", 0.5, True, False, "_", "Lerp", False,
        prompt="a red lighthouse")),
    Row("vladmandic/sd-extension-system-info", api("/sdapi/v1/system-info/status", "\"version\": {[^}]+}")),
)  # fmt: skip
# The copy of sd-dynamic-prompts that is to be had here is older than its mending for A1111 1.9 (adieyal/sd-dynamic-
# prompts#754: its settings have no values on a fresh installation). These are the values it would give them.
DYNAMIC_PROMPTS: Final = {
    **dict.fromkeys(
        ("ignore_whitespace", "write_raw_template", "write_prompts_to_file", "limit_jinja_prompts", "auto_purge_cache",
         "wildcard_manager_no_dedupe", "wildcard_manager_no_sort", "wildcard_manager_shuffle"),
        False,
    ),
    "parser_variant_start": "{", "parser_variant_end": "}", "parser_wildcard_wrap": "__",
    "magicprompt_default_model": "", "magicprompt_batch_size": 1,
}  # fmt: skip


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


def use_all(kernel: Kernel, rows: list[Row], shot: Path) -> list[str]:
    """Log in as a person does and use each; what A1111 itself says of them."""
    url, password = re.findall(r"^(?:Link|Password): (.+)$", kernel.text, re.MULTILINE)[-2:]
    with chromium(viewport={"width": 1400, "height": 1000}) as browser:
        page = browser.new_page()
        log_in(page, url, password)
        page.locator("#txt2img_prompt textarea").first.wait_for(timeout=240_000)
        door = Door(url, password, page)
        for row in rows:
            try:
                row.used = row.use(door)
            except Exception as error:  # whatever goes wrong stands in the table, and fails the command
                row.used, row.failed = f"**not used**: {type(error).__name__}: {str(error)[:200]}", True
            print(f"{row.name}: installer {row.installer:.0f} s; {row.notice} {row.used}", flush=True)
        listed = {one["name"]: one["version"] for one in door.get("/sdapi/v1/extensions")}
        versions = sum(bool(listed.get(row.name)) for row in rows)
        return [
            f"`/sdapi/v1/extensions` through the door lists {len(listed)} extensions; {versions} of {len(rows)} with a "
            "version.",
            installed_tab(door, shot),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstreams", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names: try these, and write nothing")
    parser.add_argument("--python", default=str(ROOT / ".venv-colab" / "bin" / "python"))
    options = parser.parse_args()
    home = options.home.resolve()
    kept, session = home / "drive" / "asd1111" / "stable-diffusion-webui", home / "machine" / "session"
    kept.mkdir(parents=True, exist_ok=True)
    weights = kept / "models" / "insightface" / "inswapper_128.onnx"  # else ReActor's installer ends early
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"a stand-in")
    settings = {f"dp_{name}": value for name, value in DYNAMIC_PROMPTS.items()}
    if not (kept / "config.json").exists():
        (kept / "config.json").write_text(json.dumps(settings))
    rows = [row for row in ROWS if (options.upstreams / f"{row.repository}.git").is_dir()]
    rows = [row for row in rows if not options.only or row.name in options.only]
    with contextlib.closing(RealWorld(home / "outside", options.upstreams.resolve())) as world:
        for row in rows:
            original = upstream(options.upstreams, row.repository)
            share(
                original,
                world.git.root / f"{row.repository}.git",
                whole_commit(original, git("rev-parse", "HEAD", at=original)),
            )
        summary = both_launches(options.python, world, home, rows, session)
    if not options.only:
        PAGE.write_text(page_with(PAGE.read_text(), table(rows, summary)))
    failed = [row.name for row in rows if row.failed or row.added != "yes"]
    sys.exit(f"not used: {', '.join(failed)}" if failed else 0)


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
        for row in rows:
            row.installer = watch.installing.get(row.name, 0.0)
            row.notice = next((text for text in watch.notices if row.name in text and "added" not in text), "")
        said_by_webui = use_all(kernel, rows, home / "extensions-tab.png")
        kernel.run(cell_source("stop"), 120)
        again = Watch(session)
        threading.Thread(target=again.run, daemon=True).start()
        began = time.monotonic()
        cell(kernel)
        next_start = time.monotonic() - began
        again.over.set()
        return [
            *said_by_webui,
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
