"""docs/add.md: what becomes of each kind of text in Add, by the launcher's real code on stand-ins of the sites."""

import re
import tempfile
from pathlib import Path

import pytest

from tests.docs.pages import as_cell
from tests.service.adding import GITHUB, Adding, adding, in_words

FILE = "https://huggingface.co/own/model/blob/main/model.safetensors"
SPACES = "https://huggingface.co/own/loras/blob/main/LORA/Line Art.safetensors"
EXTENSION_CELL = {"name": "change_extensions", "action": "add"}
# What it is -> texts, each with the fields beside it, or where it is written.
TEXTS: dict[str, tuple[tuple[str, dict[str, str]], ...]] = {
    "A name": (
        ("DreamShaper 8", {}), ("dreamshaper", {}), ("DreamShapr", {}), ("dreamshaper, ultrasharp", {}),
        ("sdxl lightning\nadetailer", {}), ("dreamshaper 7", {}), ("vae", {}), ("owner/name", {}), ("xyzzy", {}),
        ("", {}),
    ),
    "ControlNet": (
        ("controlnet canny", {}), ("ControlNet: cany, depth for SD 1.5", {}), ("controlnet hed xl", {}),
    ),
    "A link": (
        (FILE, {}), ("https://huggingface.co/own/model", {}), (SPACES, {}),
        ("https://huggingface.co/own/several", {}), ("hf://own/model/model.safetensors", {}), ("civitai:123@456", {}),
        ("https://civitai.com/models/123", {}),
        ("urn:air:sd1:lora:civitai:123@456", {}), (f"{FILE}, https://civitai.com/models/123", {}),
        (f"wget -c \\\n {FILE} \\\n -O x", {}), (f"see <{FILE}>, it is good", {}), (FILE, {"kind": "LoRA"}),
        (f"{FILE}\ndreamshaper", {"file_name": "mine"}), ("http://example.com/x.pt", {}),
    ),
    "An extension": (
        ("adetailer", {}), (f"{GITHUB}/own/sd-nice", {}), (f"{GITHUB}/own/sd-nice/tree/master/scripts", {}),
        ("git@github.com:own/sd-nice.git", {}), (f"git clone {GITHUB}/own/sd-nice", {}), ("the usual extensions", {}),
        (f"{GITHUB}/own/upscalers", {}), (f"{GITHUB}/own/webui", {}), ("https://me:token@github.com/own/sd-nice", {}),
        ("https://huggingface.co/own/model", EXTENSION_CELL), ("adetailer, dreamshaper", {"page": "yes"}),
    ),
    "A place": (
        ("AI/models", {}), ("MyDrive/AI/models/x.safetensors", {}), ("G:\\My Drive\\AI\\models", {}),
        ("/content/drive/MyDrive/AI/models", {}), ("MyDrive/AI/modls", {}), ("C:\\Users\\me\\x.safetensors", {}),
        ("/content/x.safetensors", {}), ("Shared drives/Team/models", {}), ("y.safetensors", {}),
    ),
}  # fmt: skip
WHERE = {"change_extensions": "in the cell for extensions", "yes": "on the page, where extensions are not allowed"}


def became(place: Adding, text: str, fields: dict[str, str]) -> str:
    """The rows and notices that came of it, in one cell of a table."""
    fields = dict(fields)
    name, page = fields.pop("name", "add_model"), bool(fields.pop("page", ""))
    said = [in_words(row) for row in place.do(name, page=page, what=text, **fields)]
    lines = [re.sub(r"version \w{8} of [\d-]{10}", "version VERSION of DATE", line) for line in said]
    return "<br>".join(as_cell(line.replace("**", "")) for line in (*lines, *place.notices))


def add_page() -> str:
    lines = [
        "# What can be written in Add", "",
        "What comes of each kind of text, as the panel says it; names in brackets are buttons. Made by "
            "`make docs ALL=yes`:", "the launcher's real code against stand-ins of the sites, on a new Drive for each "
            "line, before the web UI has started.",
    ]  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        adding(Path(folder), patch) as place,
    ):
        for title, texts in TEXTS.items():
            lines += ["", f"## {title}", "", "| text | what happens |", "| --- | --- |"]
            for text, fields in texts:
                place.empty()
                where = "; ".join(
                    WHERE.get(value, f"{name}: {value}") for name, value in fields.items() if value != "add"
                )
                shown = "<br>".join(f"`{line}`" for line in text.splitlines()) or "nothing"
                lines.append(f"| {shown}{f' ({where})' if where else ''} | {became(place, text, fields)} |")
    return "\n".join([*lines, ""]).replace(str(place.launch.machine.drive), "/content/drive/MyDrive")
