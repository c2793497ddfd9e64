"""The pages in docs/ that are made from the sources, so that they cannot drift: `python -m tests.pages` writes them."""

from unittest import mock

from launcher.core.problem import Problem
from launcher.models.catalog import MODELS, Model
from launcher.models.kinds import KIND_FOLDERS
from launcher.models.links import resolve_link
from launcher.webui.explain import EXPLANATIONS
from tests.conftest import ROOT

# Twelve kinds of link and more, as people paste them.
LINKS = (
    "https://huggingface.co/OWNER/NAME/blob/main/model.safetensors",
    "https://huggingface.co/OWNER/NAME/resolve/main/model.safetensors?download=true",
    "https://huggingface.co/OWNER/NAME",
    "https://huggingface.co/OWNER/NAME#model.safetensors",
    "https://civitai.com/models/123/a-name?modelVersionId=456",
    "https://civitai.com/models/123/a-name",
    "https://civitai.red/models/123",
    "https://civitai.com/api/download/models/456",
    "urn:air:sdxl:checkpoint:civitai:123@456",
    "https://drive.google.com/file/d/FILE/view?usp=sharing",
    "https://github.com/OWNER/NAME/releases/download/v1/upscaler.pth",
    "https://example.com/models/model.safetensors",
    "https://huggingface.co/docs/hub/index/x",
    "http://example.com/model.safetensors",
)


def what_becomes_of(link: str) -> str:
    """What the launcher asks for when that link is pasted: its real code, with the first request written down instead of sent."""
    asked: list[str] = []

    class Sent(Exception):
        pass

    def write_down(url: str) -> None:
        asked.append(url)
        raise Sent

    with (
        mock.patch("huggingface_hub.get_hf_file_metadata", lambda url, **_: write_down(url)),
        mock.patch(
            "huggingface_hub.HfApi", lambda: mock.Mock(model_info=lambda repo, **_: write_down(f"the files of {repo}"))
        ),
        mock.patch(
            "launcher.models.sources.civitai.ask_civitai", lambda host, path, token: write_down(f"{host}/api/v1/{path}")
        ),
        mock.patch("launcher.models.sources.direct.with_size", lambda remote: write_down(remote.url)),
    ):
        try:
            resolve_link(link, "")
        except Sent:
            return (
                f"`{asked[0]}`"
                if not asked[0].startswith("the files")
                else asked[0] + (", and takes the named one" if "#" in link else ", and takes the only model")
            )
        except Problem as problem:
            return f"«{problem.what}»"
    raise AssertionError(f"{link} was resolved without asking anybody")


def links_page() -> str:
    rows = [f"| `{link}` | {what_becomes_of(link)} |" for link in LINKS]
    folders = [f"| {kind} | `{folder}` |" for kind, folder in KIND_FOLDERS.items()]
    return "\n".join([
        "# Links that can be pasted", "", "Made by `python -m tests.pages` from the code itself.", "",
        "| link | what is asked for |", "| --- | --- |", *rows, "",
        "What it is decides its folder: the source's own word, else the names of the tensors in the file, else the field `kind`.", "",
        "| kind | folder |", "| --- | --- |", *folders, "",
    ])  # fmt: skip


def models_page() -> str:
    return "\n".join([
        "# Models in the list", "", "Made by `python -m tests.pages` from `launcher/catalog.py`. A later source is tried when the one before it is gone.", "",
        "| name | for | size | licence | sources |", "| --- | --- | --- | --- | --- |", *(model_row(model) for model in MODELS), "",
    ])  # fmt: skip


def model_row(model: Model) -> str:
    sources = "<br>".join(f"[{source.repo}]({source.page}) `{source.saved_name}`" for source in model.sources)
    size = f"{model.sources[0].size / 1e9:.2f} GB"
    return f"| {model.name} | {model.family} | {size} | {model.licence} | {sources} |"


def troubleshooting_page() -> str:
    rows = [f"| {known.what} | {known.do} |".replace("{name}", "NAME") for known in EXPLANATIONS]
    return "\n".join([
        "# When something fails", "", "The panel says these sentences by itself. Made by `python -m tests.pages` from `launcher/explain.py`.", "",
        "| what happened | what to do |", "| --- | --- |", *rows, "",
    ])  # fmt: skip


PAGES = {"links.md": links_page, "models.md": models_page, "troubleshooting.md": troubleshooting_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (ROOT / "docs" / name).write_text(make())
