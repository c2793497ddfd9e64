"""The pages in docs/ that are made from the sources, so that they cannot drift: `make docs` writes them."""

import re
from contextlib import ExitStack
from typing import Any
from unittest import mock

from launcher.core.problem import Problem
from launcher.models.catalog import MODELS, Model
from launcher.models.kinds import KIND_ENDINGS, KIND_FOLDERS
from launcher.models.links import SOURCES, resolve_link
from launcher.models.remote import Remote
from launcher.webui.arguments import machine_arguments
from tests.docs.sentences import problems

# Links as people paste them, each kind once.
LINKS = (
    "https://huggingface.co/OWNER/NAME/blob/main/model.safetensors",
    "https://huggingface.co/OWNER/NAME/resolve/main/model.safetensors?download=true",
    "https://www.huggingface.co/OWNER/NAME/blob/main/sub/a%20model.ckpt",
    "https://hf.co/OWNER/NAME/resolve/v1/model.safetensors",
    "https://huggingface.co/OWNER/NAME/blob/refs%2Fpr%2F1/model.safetensors",
    "https://huggingface.co/OWNER/NAME/blob/refs/pr/1/model.safetensors",
    "https://huggingface.co/datasets/OWNER/NAME/resolve/main/model.safetensors",
    "https://huggingface.co/spaces/OWNER/NAME/blob/main/model.safetensors",
    "https://huggingface.co/OWNER/NAME",
    "https://huggingface.co/OWNER/NAME#model.safetensors",
    "https://huggingface.co/OWNER/NAME/tree/main",
    "https://civitai.com/models/123/a-name?modelVersionId=456",
    "https://civitai.com/models/123/a-name",
    "https://civitai.com/models/123",
    "https://civitai.red/models/123",
    "https://www.civitai.green/models/123?modelVersionId=456",
    "https://civitai.com/api/download/models/456",
    "https://civitai.com/api/download/models/456?type=VAE",
    "https://civitai.com/api/download/models/456?type=Model&format=SafeTensor&size=full&fp=fp16",
    "https://civitai.com/api/download/models/456?fileId=3",
    "https://civitai.com/api/download/models/456?token=KEY",
    "urn:air:sdxl:checkpoint:civitai:123@456",
    "urn:air:sd1:lora:civitai:123",
    "https://drive.google.com/file/d/FILE/view?usp=sharing",
    "https://drive.google.com/file/u/1/d/FILE/view",
    "https://drive.google.com/file/d/FILE/view?resourcekey=0-KEY",
    "https://drive.google.com/open?id=FILE",
    "https://drive.google.com/uc?export=download&id=FILE",
    "https://drive.usercontent.google.com/download?id=FILE&export=download",
    "https://github.com/OWNER/NAME/releases/download/v1/upscaler.pth",
    "https://github.com/OWNER/NAME/blob/main/upscaler.pth",
    "https://www.dropbox.com/scl/fi/ID/model.safetensors?rlkey=KEY&dl=0",
    "https://example.com/models/model.safetensors",
    "https://example.com/get?file=model.safetensors",
    "see <https://example.com/model.safetensors>, it is good",
    "huggingface.co/OWNER/NAME/blob/main/model.safetensors",
    "https://huggingface.co/docs/hub/index/x",
    "https://civitai.com/user/somebody",
    "https://drive.google.com/drive/folders/FOLDER",
    "urn:air:sd1:lora:huggingface:123",
    "http://example.com/model.safetensors",
    "https://[x",
    "/content/drive/MyDrive/model.safetensors",
    "my favourite model",
)
# A version as Civitai lists one.
VERSION = {
    "id": 456, "modelId": 123, "baseModel": "SD 1.5", "model": {"type": "Checkpoint"},
    "files": [
        {"id": 1, "name": "pictures.zip", "type": "Training Data"},
        {"id": 2, "name": "full.safetensors", "type": "Model", "primary": True, "metadata": {"format": "SafeTensor", "size": "full", "fp": "fp32"}},
        {"id": 3, "name": "half.safetensors", "type": "Model", "metadata": {"format": "SafeTensor", "size": "full", "fp": "fp16"}},
        {"id": 4, "name": "the.vae.pt", "type": "VAE"},
    ],
}  # fmt: skip


def what_becomes_of(link: str) -> str:
    """What the launcher asks for when that is pasted: its real code, with the question for a file written down instead
    of sent. What asks otherwise than by `probe` is named here.
    """
    asked: list[str] = []

    class Sent(Exception):
        pass

    def write_down(what: str) -> Any:
        asked.append(what)
        raise Sent

    def hub_repository(_: Any, repo: str, **about: Any) -> Any:
        write_down(f"the files of {repo}, and takes {'the one named' if '#' in link else 'the only model'}")

    def civitai_file(remote: Remote) -> Any:
        write_down(f"`{remote.url}` ({remote.name}{', with the key of the link' if remote.token else ''})")

    listed = {"id": 123, "type": "Checkpoint", "modelVersions": [VERSION]}
    with (
        mock.patch("huggingface_hub.get_hf_file_metadata", lambda url, **_: write_down(f"`{url}`")),
        mock.patch("huggingface_hub.HfApi.repo_info", hub_repository),
        mock.patch(
            "launcher.models.sources.civitai.ask_civitai",
            lambda host, path, key: (host, VERSION if path.startswith("model-versions/") else listed),
        ),
        mock.patch("launcher.models.sources.civitai.asked_for_size", civitai_file),
        ExitStack() as probes,
    ):
        for source in (source for source in SOURCES if hasattr(source, "probe")):
            probes.enter_context(mock.patch.object(source, "probe", lambda remote: write_down(f"`{remote.url}`")))
        try:
            resolve_link(link, "")
        except Sent:
            return asked[0]
        except Problem as problem:
            return f"{SENTENCE}{problem.what} {problem.do}"
    raise AssertionError(f"{link} was resolved without asking anybody")


SENTENCE = "*Said:* "


def links_page() -> str:
    rows = [f"| `{link}` | {what_becomes_of(link)} |" for link in LINKS]
    folders = [f"| {kind} | `{folder}` | {', '.join(KIND_ENDINGS[kind])} |" for kind, folder in KIND_FOLDERS.items()]
    return "\n".join([
        "# Links that can be pasted", "", "Made by `make docs` from the code itself.", "",
        "| link | what is fetched |", "| --- | --- |", *rows, "",
        "What a file is decides its folder and its ending: the names of the tensors in it, else the source's own word, "
            "else the field",
        "`kind`. What AUTOMATIC1111 cannot use there is refused, before the download where its first bytes tell.", "",
        "| kind | folder | endings AUTOMATIC1111 lists |", "| --- | --- | --- |", *folders, "",
    ])  # fmt: skip


def models_page() -> str:
    return "\n".join([
        "# Models in the list", "", "Made by `make docs` from `launcher/models/catalog.py`. A later source "
            "is tried when the one before it is gone.", "",
        "| name | for | good at | size | licence | sources |", "| --- | --- | --- | --- | "
            "--- | --- |", *(model_row(model) for model in MODELS), "",
    ])  # fmt: skip


def model_row(model: Model) -> str:
    sources = "<br>".join(f"[{source.repo}]({source.page}) `{source.saved_name}`" for source in model.sources)
    size = f"{model.sources[0].size / 1e9:.2f} GB"
    return f"| {model.name} | {model.family} | {model.good_at} | {size} | {model.licence} | {sources} |"


def troubleshooting_page() -> str:
    lines = [
        "# When something fails", "", "What the panel may say, and what to do; words in capitals stand for what it names. "
            "Made by `make docs` from", "the launcher's source.", "",
    ]  # fmt: skip
    for title, said in problems().items():
        if said:
            rows = [f"| {as_cell(what)} | {as_cell(do)} |" for what, do in said]
            lines += [f"## {title}", "", "| what happened | what to do |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def as_cell(sentence: str) -> str:
    """A sentence in a table: nothing in it is a link, a column, or a tag."""
    told = re.sub(r"\{(\w+)\}", lambda found: "VALUE" if found[1].isdigit() else found[1].upper(), sentence)
    return " ".join(told.replace("|", "\\|").replace("<", "&lt;").split())


# (runtime, the card's memory in GiB, RAM in GB, why these flags)
CARDS = (
    ("Tesla T4", 15, 12.7, "Colab, free of charge: SDXL fits on the card, but not a second time in RAM"),
    ("Tesla T4", 15, 51, "a batch of four SDXL images takes 14 GB: nothing needs to be moved"),
    ("NVIDIA L4", 22.5, 53, "room for all"),
    ("NVIDIA A100-SXM4-40GB", 40, 83, "room for all"),
    ("NVIDIA A100-SXM4-80GB", 80, 167, "room for all"),
    ("NVIDIA H100 80GB HBM3", 80, 125, "room for all"),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 95, 176, "Colab's G4: room for all"),
    ("NVIDIA H100 80GB HBM3", 80, 12.7, "RAM is short: weights are read straight into the memory of the graphics card"),
    ("NVIDIA GeForce RTX 3060", 12, 32, "SDXL does not fit: parts of it wait in RAM"),
    ("NVIDIA GeForce RTX 4060", 8, 32, "SDXL does not fit: parts of it wait in RAM"),
    ("NVIDIA GeForce RTX 4060", 8, 16, "SDXL does not fit, and its parts have no room in RAM either"),
    ("a card whose memory nobody knows", 0, 51, "counts as enough"),
    ("", 0, 12.7, "no card: everything runs on the processor"),
)


def cards_page() -> str:
    rows = []
    for card, gib, ram, why in CARDS:
        flags = machine_arguments(card, int(ram * 1e9), int(gib * 2**30), 2_100_000_000)
        memory = f"{gib} GiB" if gib else ""
        rows.append(f"| {card or 'none'} | {memory} | {ram} GB | `{' '.join(flags)}` | {why} |")
    return "\n".join([
        "# Flags by the graphics card", "",
        "Made by `make docs` from `launcher/webui/arguments.py`. What stands in the field `extra_arguments` "
            "comes behind these.", "",
        "| card | its memory | RAM | flags | why |", "| --- | --- | --- | --- | --- |", *rows, "", MEASURED,
    ])  # fmt: skip


MEASURED = """\
## What they cost
AUTOMATIC1111 v1.10.1 alone on an NVIDIA H100 (80 GB, 125 GB of RAM), Euler, 20 steps, medians of 5, 2026-11-25. Checkpoints with random
weights in the true shapes. Memory of the card is what `/sdapi/v1/memory` says after batches of 4.

| SDXL, 1024 × 1024 | first image | one image | batch of 4 | the card's memory | RAM |
| --- | --- | --- | --- | --- | --- |
| `--opt-sdp-attention --medvram-sdxl` | 22.0 s | 5.0 s | 8.3 s | 11.9 GB | 13.8 GB |
| `--opt-sdp-attention` | 7.2 s | 3.1 s | 6.3 s | 13.7 GB | 2.3 GB |
| `--opt-sdp-attention --lowram` | 7.9 s | 3.2 s | 6.3 s | 13.9 GB | 2.3 GB |

| SD 1.5, 512 × 512 | one image | batch of 4 | the card's memory |
| --- | --- | --- | --- |
| no flag | 1.85 s | 2.46 s | 8.9 GB |
| `--opt-sdp-attention` (also with `--lowram`) | 1.02 s | 1.64 s | 3.8 GB |
"""

PAGES = {
    "cards.md": cards_page,
    "links.md": links_page,
    "models.md": models_page,
    "troubleshooting.md": troubleshooting_page,
}
