"""The pages in docs/ that are made from the sources, so that they cannot drift: `make docs` writes them."""

import re

from launcher.models.catalog import MODELS, Model
from launcher.models.kinds import KIND_ENDINGS, KIND_FOLDERS
from launcher.webui.process import machine_arguments
from tests.docs.sentences import problems
from tests.models.link_rows import outcomes


def links_page() -> str:
    rows = [
        f"| `{row.link}` | {'' if row.saved else 'none saved'} | {outcome} |" for row, outcome in outcomes().items()
    ]
    folders = [f"| {kind} | `{folder}` | {', '.join(KIND_ENDINGS[kind])} |" for kind, folder in KIND_FOLDERS.items()]
    return "\n".join([
        "# Links that can be pasted", "", "Made by `make docs`: what the launcher's own code makes of each, on stand-ins for "
            "all sites. Words in capitals stand", "for names. The person has saved a token of Hugging Face and of Civitai, but for "
            "the rows that say otherwise.", "",
        "| link | tokens | what is fetched, or said |", "| --- | --- | --- |", *rows, "",
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
        "# When something fails", "", "All that the panel may say, and what to do. Look for a few of its words with your "
            "browser's search (Ctrl+F); words in", "capitals stand for names. If nothing here helps, the "
            "[guide](guide.md#when-something-goes-wrong) says how to ask.", "",
            "Made by `make docs` from the launcher's source.", "",
    ]  # fmt: skip
    for title, said in problems().items():
        if said:
            rows = [f"| {as_cell(what)} | {as_cell(do)} |" for what, do in said]
            lines += [f"## {title}", "", "| what happened | what to do |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def as_cell(sentence: str) -> str:
    """A sentence in a table: nothing in it is a link, a column, or a tag."""
    told = re.sub(
        r"\{(\w+)\}", lambda found: "VALUE" if found[1].isdigit() else found[1].upper(), sentence.replace("{again}", "")
    )
    return " ".join(told.replace("|", "\\|").replace("<", "&lt;").split())


# (runtime, the card's memory in GiB, RAM in GB, why these flags)
CARDS = (
    ("Tesla T4", 15, 12.7, "Colab, free of charge: SDXL fits on the card, but not a second time in RAM"),
    ("Tesla T4", 15, 51, "a batch of four SDXL images takes 14 GB: nothing needs to be moved"),
    ("NVIDIA L4", 22.5, 53, "room for all"),
    ("NVIDIA A100-SXM4-40GB", 40, 83, "room for all"),
    ("NVIDIA A100-SXM4-80GB", 80, 167, "room for all"),
    ("NVIDIA H100 80GB HBM3", 80, 125, "room for all"),
    ("NVIDIA H200", 140, 125, "room for all"),
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
        "Made by `make docs` from `launcher/webui/process.py`. What you choose as `extra_arguments` comes "
            "behind these.", "",
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

The notebook whole on an NVIDIA H200 (140 GiB, driver 580, 16 processors), `--opt-sdp-attention`, 2026-11-29. From ▶ to the login box: 32
to 37 s on a bare machine, 8 to 10 s later on. The look at the card beside the start took 7.4 to 7.6 s.

| an image of 20 steps | SD 1.5, 512 × 512 | SDXL, 1024 × 1024 |
| --- | --- | --- |
| one | 0.91 s | 2.2 to 2.5 s |
| a batch of 4 | 2.0 s | 8.1 to 9.1 s |
"""

PAGES = {
    "dev/cards.md": cards_page,
    "links.md": links_page,
    "models.md": models_page,
    "troubleshooting.md": troubleshooting_page,
}
