"""One use of each extension, as a person or a program does it, through the door.

A use returns what it saw, in words, or raises. That a tab is there, or that A1111 made an image, proves nothing: looked
for is what only the extension can have done. Where it needs weights of its own, which cannot be had here, looked for is
the error that names those weights, and no other.
"""

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
from PIL import Image, ImageChops, ImageDraw

SMALL: Final = {"prompt": "a lighthouse", "steps": 1, "width": 64, "height": 64, "save_images": True}
QUOTED: Final = 160  # characters of an error


class NotUsed(Exception):
    """The extension did not do what it was asked."""


def expect(holds: object, otherwise: str) -> None:
    """Raise `NotUsed` where what was looked for is not there."""
    if not holds:
        raise NotUsed(otherwise)


@dataclass
class Made:
    """What A1111 made: the first image, the prompt it used, and the image's infotext."""

    image: Image.Image
    prompt: str
    infotext: str


class Door:
    """The web UI through the link, logged in: its API, its page in Chromium; beside it, its log."""

    def __init__(self, url: str, password: str, page: Any, machine: Path) -> None:
        self.url, self.page, self.session = url, page, requests.Session()
        self.session.auth = ("user", password)
        self.data = machine / "data" / "asd1111"
        self.log = machine / "session" / "webui.log"
        # A photograph of a person, which comes with scikit-image, one of A1111's own packages.
        self.portrait = next(machine.glob("**/site-packages/skimage/data/astronaut.png"))

    def get(self, path: str, **parameters: Any) -> Any:
        """What a GET answers. Raises `NotUsed` where that is an error."""
        return content(path, self.session.get(f"{self.url}{path}", params=parameters, timeout=120))

    def post(self, path: str, body: dict[str, Any] | None = None, **parameters: Any) -> Any:
        """The same of a POST."""
        return content(path, self.session.post(f"{self.url}{path}", json=body, params=parameters, timeout=600))

    def paint(self, way: str = "txt2img", **body: Any) -> Made:
        """Have an image made by A1111's API."""
        answer = self.post(f"/sdapi/v1/{way}", SMALL | body)
        told = json.loads(answer["info"])
        return Made(opened(answer["images"][0]), told["all_prompts"][0], told["infotexts"][0])

    def paint_with(self, script: str, *arguments: Any, **body: Any) -> Made:
        """The same with an always-on script, by the start of its title; the page's values for the other arguments."""
        titles = self.get("/sdapi/v1/scripts")["txt2img"]
        title = next((title for title in titles if title.startswith(script)), "")
        expect(title, f"A1111 knows no script {script!r}")
        return self.paint(alwayson_scripts={title: {"args": arguments}}, **body)

    def press(self, what: str, event: str = "click", **values: Any) -> list[Any]:
        """Do what the page does at a click on the component with that elem_id or those words; returns what comes of it.

        Its inputs are as the page shows them at first, but for `values`, by elem_id.
        """
        config = self.get("/config")
        shown = {component["id"]: component["props"] for component in config["components"]}
        meant = {one for one, props in shown.items() if what in (props.get("elem_id"), props.get("value"))}
        for number, reaction in enumerate(config["dependencies"]):
            if reaction["trigger"] == event and reaction["backend_fn"] and meant & set(reaction["targets"]):
                inputs = [shown[one] for one in reaction["inputs"]]
                data = [values.get(str(props.get("elem_id")), props.get("value")) for props in inputs]
                body = {"fn_index": number, "data": data, "session_hash": "proof"}
                return list(self.post("/run/predict", body)["data"])
        raise NotUsed(f"the page has no button {what!r}")

    def open_tab(self, name: str) -> None:
        """Click on one of the page's big tabs."""
        self.page.locator("#tabs > .tab-nav button", has_text=name).click()


def content(path: str, answer: requests.Response) -> Any:
    """The answer's JSON, or its text."""
    expect(answer.ok, f"{path} answers {answer.status_code}: {answer.text}")
    return answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else answer.text


def opened(text: str) -> Image.Image:
    """An image as A1111's API writes it."""
    return Image.open(io.BytesIO(base64.b64decode(text.partition("base64,")[2] or text)))


def sent(image: Image.Image) -> str:
    """An image as A1111's API takes it."""
    made = io.BytesIO()
    image.convert("RGB").save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


def square(size: int = 64) -> Image.Image:
    """A white square on black, a quarter of the image."""
    image = Image.new("RGB", (size, size))
    ImageDraw.Draw(image).rectangle((size // 4, size // 4, size * 3 // 4 - 1, size * 3 // 4 - 1), fill="white")
    return image


def white(image: Image.Image) -> int:
    """How many pixels are white."""
    return image.convert("L").histogram()[255]


def ends_at_its_weights(use: Callable[[], Any], sign: str) -> str:
    """The use fails where the extension needs weights of its own, and its error names them: they match `sign`.

    Raises `NotUsed` if it fails otherwise, or does not fail.
    """
    try:
        answer = use()
    except NotUsed as error:
        if not (found := re.search(rf"[^\n]{{0,90}}(?:{sign})[^\n\\]{{0,30}}", str(error))):
            raise
        return f"it ends at weights of its own, which cannot be had here: `… {found[0].strip()} …`"
    raise NotUsed(f"it was to end at its missing weights, and answers {str(answer)[:QUOTED]}")


def traced(trace: str, script: str, *arguments: Any, **body: Any) -> Callable[[Door], str]:
    """An image is made with its script, and A1111's infotext of the image has this of the script's work."""

    def use(door: Door) -> str:
        infotext = door.paint_with(script, *arguments, **body).infotext
        found = re.search(rf"{trace}[^,\n]*", infotext)
        expect(found, f"nothing of it in the infotext: {infotext[:QUOTED]}")
        return f"an image with its script, whose infotext has `{found[0].strip() if found else ''}`"

    return use


def controlnet(door: Door) -> str:
    body = {"controlnet_module": "canny", "controlnet_input_images": [sent(square(512))]}
    edges = white(opened(door.post("/controlnet/detect", body)["images"][0]))
    expect(0 < edges < 512 * 512 // 4, f"its canny found {edges} white pixels")
    return f"its canny finds the edges of a square, {edges} pixels"


def adetailer(door: Door) -> str:
    """It finds the face in a photograph, and paints that part of it, and only that, anew."""
    photograph = Image.open(door.portrait).convert("RGB").resize((256, 256))
    settings = {"ad_model": "mediapipe_face_full", "ad_use_steps": True, "ad_steps": 1, "ad_denoising_strength": 0.9,
                "ad_use_inpaint_width_height": True, "ad_inpaint_width": 64, "ad_inpaint_height": 64}  # fmt: skip
    made = door.paint_with(
        "adetailer", True, True, settings, way="img2img", init_images=[sent(photograph)], width=256, height=256
    )
    expect("ADetailer model: mediapipe_face_full" in made.infotext, f"nothing of it in {made.infotext[:QUOTED]}")
    differs = ImageChops.difference(made.image.convert("RGB"), photograph).convert("L").point([0] * 32 + [255] * 224)
    box = differs.getbbox()
    expect(box and box[2] - box[0] < 200, f"what it painted anew is {box}")
    return f"it finds the face in a photograph of (256, 256) pixels, and paints only {box} of it anew"


def reactor(door: Door) -> str:
    names = door.get("/reactor/upscalers")["upscalers"]
    expect("Lanczos" in names, f"/reactor/upscalers answers {names}")
    body = {"source_images": [sent(Image.open(door.portrait))], "name": "somebody", "compute_method": 0}
    ends = ends_at_its_weights(lambda: door.post("/reactor/facemodels", body), r"buffalo_l")
    return f"/reactor/upscalers answers with {len(names)} names; at a model of a face {ends}"


def tagcomplete(door: Door) -> str:
    door.page.wait_for_function("() => typeof allTags === 'object' && allTags.length > 0", timeout=120_000)  # its tags
    box = door.page.locator("#txt2img_prompt textarea").first
    box.click()
    box.press_sequentially("1gir", delay=200)
    offered = door.page.locator(".autocompleteParent.txt2img.p .autocompleteResultsList li")
    offered.first.wait_for(timeout=60_000)
    first = offered.first.inner_text().split()[0]
    box.fill("")
    expect(first == "1girl", f"it offers {first}")
    return f"a person types `1gir` as a prompt and is offered `{first}`"


def dynamic_prompts(door: Door) -> str:
    prompt = door.paint_with("dynamic prompts", True, prompt="a {red|red} lighthouse").prompt
    expect(prompt == "a red lighthouse", f"it left the prompt {prompt!r}")
    return "it makes `a red lighthouse` of `a {red|red} lighthouse` (its settings were in config.json beforehand)"


def upscaled(door: Door) -> str:
    arguments = ["", 64, 64, 8, 8, 8, 0.35, 8, 0, True, 0, False, 8, 0, 2, 128, 128, 2.0]
    made = door.paint("img2img", init_images=[sent(square())], denoising_strength=0.2,
                      script_name="ultimate sd upscale", script_args=arguments)  # fmt: skip
    expect(made.image.size == (128, 128), f"it answers an image of {made.image.size}")
    expect("Ultimate SD upscale" in made.infotext, f"nothing of it in {made.infotext[:QUOTED]}")
    return "an image of (128, 128) pixels from one of (64, 64), whose infotext has `Ultimate SD upscale`"


def saved(door: Door) -> Path:
    """The newest image that was made, where A1111 saves those of txt2img."""
    made = sorted((door.data / "outputs" / "txt2img-images").rglob("*.png"), key=lambda path: path.stat().st_mtime)
    expect(made, "no image was made before")
    return made[-1]


def images_browser(door: Door) -> str:
    image = saved(door)
    door.open_tab("Image Browser")
    door.page.locator("#image_browser_tab_txt2img_control_image_browser_refresh_index").click()
    gallery = "#image_browser_tab_txt2img_image_browser_gallery img"
    door.page.locator(gallery).first.wait_for(timeout=60_000)
    sources = door.page.locator(gallery).evaluate_all("all => all.map(one => decodeURIComponent(one.src))")
    expect(any(image.stem in source for source in sources), f"it does not show {image.name}, but {sources[:2]}")
    return f"its tab shows {len(sources)} images that were made, the newest among them"


def infinite_browsing(door: Door) -> str:
    image = saved(door)
    door.get("/infinite_image_browsing/global_setting")  # as its page does when it opens: it looks for folders anew
    files = door.get("/infinite_image_browsing/files", folder_path=str(image.parent))["files"]
    sizes = {file["name"]: file["bytes"] for file in files}
    expect(sizes.get(image.name) == image.stat().st_size, f"it lists {sizes}")
    return f"it lists the {len(sizes)} images that were made, the newest with its {sizes[image.name]} bytes"


def tagger(door: Door) -> str:
    names = door.get("/tagger/v1/interrogators")["models"]
    expect(names, "it lists no models")
    body = {"image": sent(square()), "model": names[0], "threshold": 0.3}
    ends = ends_at_its_weights(lambda: door.post("/tagger/v1/interrogate", body), r"SmilingWolf/[\w.-]+")
    return f"/tagger/v1/interrogators answers with {len(names)} names; asked for tags {ends}"


def rembg(door: Door) -> str:
    body = {"input_image": sent(square()), "model": "u2netp"}
    return ends_at_its_weights(lambda: door.post("/rembg", body), r"u2netp\.onnx")


def segment_anything(door: Door) -> str:
    mask = square()
    body = {"input_image": sent(Image.new("RGB", mask.size, "red")), "mask": sent(mask), "dilate_amount": 8}
    before, after = white(mask), white(opened(door.post("/sam/dilate-mask", body)["mask"]))
    expect(before < after < 64 * 64, f"its mask of {before} pixels became one of {after}")
    return f"it widens a mask of {before} pixels to {after}"


def openpose_editor(door: Door) -> str:
    """Its page is not in its repository: it fetches it when it starts, from its releases."""
    said = door.log.read_text(errors="replace")
    found = re.search(r"[^\n]{0,80}/repos/huchenlei/sd-webui-openpose-editor/releases/latest[^\n]{0,60}", said)
    expect(found, "the log has nothing of the page it fetches at its start")
    return f"it ends at its page, a download from GitHub at its start: `{found[0].strip() if found else ''}`"


def style_selector(door: Door) -> str:
    prompt = door.paint_with("style selector for sdxl", True, False, False, False, "Anime").prompt
    expect(prompt.startswith("anime artwork a lighthouse"), f"it left the prompt {prompt!r}")
    return f"it makes `{prompt[:60]} …` of `a lighthouse`"


def dataset_tags(door: Door) -> str:
    folder = door.data / "dataset"
    folder.mkdir(exist_ok=True)
    square().save(folder / "one.png")
    (folder / "one.txt").write_text("lighthouse, storm")
    door.open_tab("Dataset Tag Editor")
    door.page.locator("label:visible", has_text="Dataset directory").locator("textarea").fill(str(folder))
    door.page.locator("button:visible", has_text=re.compile(r"^\s*Load\s*$")).first.click()
    door.page.locator("#dataset_tag_editor_dataset_gallery img").first.wait_for(timeout=60_000)
    tags = door.page.locator("label:visible", has_text=re.compile("storm"))
    tags.first.wait_for(timeout=60_000)
    return "its tab loads a folder, and shows its image and the tag `storm` of it"


def civitai_helper(door: Door) -> str:
    names = door.press("ch_empty_info_only_ckb", "change")[0]["choices"]
    told = [str(name[0] if isinstance(name, list) else name) for name in names]
    expect(any("random-weights" in name for name in told), f"it lists the checkpoints {told}")
    return f"its list of models names the checkpoint `{told[0]}`"


def civitai_browser(door: Door) -> str:
    """Without Civitai it has nothing to show; what its search is set to is kept where A1111 keeps such values."""
    door.press("save_set_btn")
    sorted_by = json.loads((door.data / "ui-config.json").read_text()).get("civitai_interface/Sort by:/value")
    expect(sorted_by == "Most Downloaded", f"it keeps {sorted_by!r} as the order of its search")
    begin = door.log.stat().st_size
    shown = str(door.press("refreshBtn"))
    with door.log.open("rb") as log:
        log.seek(begin)
        found = re.search(r"host='civitai\.com'[^\n]{0,60}", log.read().decode(errors="replace"))
    expect(found and "CivitAI-API failed to respond" in shown, f"it shows {shown[:QUOTED]}")
    asked = found[0] if found else ""
    return f"it keeps the order of its search, `{sorted_by}`, and ends at Civitai, which cannot be had here: `{asked}`"


def animatediff(door: Door) -> str:
    """A1111 goes on without a script that fails: the error stands in its log alone."""
    begin = door.log.stat().st_size
    door.paint_with("animatediff", {"enable": True, "model": "mm_sd15_v3.safetensors", "video_length": 2})
    with door.log.open("rb") as log:
        log.seek(begin)
        said = log.read().decode(errors="replace")

    def failed() -> None:
        errors = re.findall(r"^\s*(\w+Error: .+)$", said, re.MULTILINE)
        expect("AnimateDiff process start" not in said or not errors, f"AnimateDiff began, then: {errors[:1]}")

    return ends_at_its_weights(failed, r"RuntimeError: Please download models manually")


def block_weights(door: Door) -> str:
    outputs = door.press("Set All 1")
    expect(",".join(["1"] * 17) in outputs, f"its weights are {outputs}")
    return "its button **Set All 1** sets the weights of 17 blocks"


def padded(door: Door) -> str:
    """Its padding needs no weights: an image grows by the half at its sides."""
    image = f"data:image/png;base64,{sent(square())}"
    door.press("ia_input_image", "upload", ia_input_image=image)
    answer = door.press("padding_btn", ia_input_image=image, pad_scale_width=1.5)
    found = next((one for one in answer if str(one).startswith("data:image")), "")
    expect(found, f"it answers {str(answer)[:QUOTED]}")
    size = opened(found).size
    expect(size == (96, 64), f"it answers an image of {size}")
    return f"its **Run Padding** makes an image of {size} pixels from one of (64, 64)"


BIGGER: Final = {"width": 256, "height": 256}
USES: Final[dict[str, Callable[[Door], str]]] = {
    "Mikubill/sd-webui-controlnet": controlnet,
    "Bing-su/adetailer": adetailer,
    "Gourieff/sd-webui-reactor": reactor,
    "DominikDoom/a1111-sd-webui-tagcomplete": tagcomplete,
    "adieyal/sd-dynamic-prompts": dynamic_prompts,
    "hako-mikan/sd-webui-regional-prompter": traced(
        "RP Active: True", "regional prompter", True, prompt="sky BREAK a lighthouse", **BIGGER
    ),
    "pkuliyi2015/multidiffusion-upscaler-for-automatic1111": traced(
        "Tiled Diffusion: ", "tiled diffusion", True, "MultiDiffusion", False, True, 256, 256, 16, 16, 4, 1, **BIGGER
    ),
    "Coyote-A/ultimate-upscale-for-automatic1111": upscaled,
    "AlUlkesh/stable-diffusion-webui-images-browser": images_browser,
    "zanllp/sd-webui-infinite-image-browsing": infinite_browsing,
    "picobyte/stable-diffusion-webui-wd14-tagger": tagger,
    "AUTOMATIC1111/stable-diffusion-webui-rembg": rembg,
    "continue-revolution/sd-webui-segment-anything": segment_anything,
    "huchenlei/sd-webui-openpose-editor": openpose_editor,
    "ahgsql/StyleSelectorXL": style_selector,
    "toshiaki1729/stable-diffusion-webui-dataset-tag-editor": dataset_tags,
    "butaixianran/Stable-Diffusion-Webui-Civitai-Helper": civitai_helper,
    "BlafKing/sd-civitai-browser-plus": civitai_browser,
    "continue-revolution/sd-webui-animatediff": animatediff,
    "hako-mikan/sd-webui-lora-block-weight": block_weights,
    "mcmonkeyprojects/sd-dynamic-thresholding": traced(
        "Dynamic thresholding enabled: True", "dynamic thresholding", True, steps=2
    ),
    "hnmr293/sd-webui-cutoff": traced("Cutoff enabled: True", "cutoff", True, "red", prompt="a red lighthouse"),
    "Uminosachi/sd-webui-inpaint-anything": padded,
}
