"""Links to Hugging Face: a file, its page, or a repository or folder with models."""

import os
import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from launcher.core.problem import Problem
from launcher.models.catalog import HubFile
from launcher.models.http import ask_list, entries_of, probe
from launcher.models.identify import OLD_ENDINGS
from launcher.models.pasted import safe_name
from launcher.models.refusals import HUGGING_FACE
from launcher.models.remote import Offered, Remote

HOSTS: Final = ("huggingface.co", "hf.co", "hf-mirror.com")
REPO_TYPES: Final = {"datasets": "dataset", "spaces": "space", "models": "model"}
FILE_WORDS: Final = ("blob", "resolve", "raw", "blame", "edit", "commits")
NEW_ENDINGS: Final = (".safetensors", ".sft", ".ckpt")
HUB_REPOSITORY: Final = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
MOST_BUTTONS: Final = 24
# Parts of a model in the diffusers layout, by their folder, and what a training or a language model leaves behind.
DIFFUSERS: Final = re.compile(
    r"(^|/)(unet|vae|text_encoder(_\d)?|image_encoder|safety_checker|transformer|prior)/"
    r"(diffusion_pytorch_|pytorch_)?model\b[^/]*$"
)
LEFT_BEHIND: Final = re.compile(
    r"(^|/)(training_args|optimizer|scheduler|scaler|rng_state|random_states)[^/]*$|-\d{5}-of-\d{5}\.\w+$"
)
# Pages that are no repository -> what they are, and what to do there.
OTHER_PAGES: Final = {
    "": ("a page on Hugging Face that is not a model.",
        "Open **Files and versions** of the model there and copy the link of its file."),
    "collections": ("a collection of Hugging Face, not to a model.", "Open one of its models and copy that address."),
    "buckets": ("a bucket on Hugging Face, which is no repository of models.",
        "Download the file there in your browser, and put it into the models folder on your Google Drive."),
}  # fmt: skip
NOT_OWNERS: Final = (
    *OTHER_PAGES, "api", "blog", "docs", "join", "login", "organizations", "papers", "settings", "tasks"
)  # fmt: skip


def detect(link: str) -> tuple[HubFile, str | None, str] | None:
    """A file, None, and a token that stood in the link: it is used, and shown nowhere. Or a folder, whose `filename` is
    its path, and the name of the file that is meant there, or "". Raises `Problem` for any other page of the hub.
    """
    parts = urlsplit(link)
    if (parts.hostname or "").removeprefix("www.") not in HOSTS:
        return None
    words = parts.path.strip("/").split("/")
    repo_type = REPO_TYPES.get(words[0])
    owner, name, *rest = [*(words[1:] if repo_type else words), "", ""]
    is_repository = HUB_REPOSITORY.fullmatch(f"{unquote(owner)}/{unquote(name.partition('@')[0])}")
    name, _, revision = unquote(name).partition("@")  # hf://OWNER/NAME@BRANCH/FILE
    where = [word for word in rest if word]
    verb = where.pop(0) if where and where[0] in ("tree", *FILE_WORDS) else None
    if verb:
        count = 3 if where[:1] == ["refs"] else 1  # refs/pr/1 need not be encoded
        revision, where = unquote("/".join(where[:count])), where[count:]
    path = unquote("/".join(where))
    is_file = not path or verb or path.lower().endswith((*NEW_ENDINGS, *OLD_ENDINGS))  # else as a program writes it
    if owner in NOT_OWNERS or not is_repository or not is_file:
        what, do = OTHER_PAGES.get(words[0], OTHER_PAGES[""])
        raise Problem(f"The link leads to {what}", do)
    token = re.search(r"\bhf_\w+", f"{parts.netloc.rpartition('@')[0]} {parts.query}")
    shown = unquote(parts.fragment) or parse_qs(parts.query).get("show_file_info", [""])[0]
    repo = f"{unquote(owner)}/{name.removesuffix('.git')}"
    file = HubFile(repo, path, revision or "main", repo_type=repo_type or "model")
    return file, shown if verb == "tree" or not path else None, token[0] if token else ""


def resolve(wanted: tuple[HubFile, str | None, str], token: str) -> Remote:
    """A file's page, a file, or the one file of weights in a repository or folder (or the one that is named)."""
    file, name, token = wanted[0], wanted[1], token or wanted[2]
    return resolve_hub_file(file if name is None else only_model(file, name, token), token)


def endpoint() -> str:
    """The hub, or the mirror of it that people set for the hub's own client, too."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"


def only_model(folder: HubFile, name: str, token: str) -> HubFile:
    """The one model file in a folder of a repository, or the one that is named. Raises `Problem`, also `Offered`."""
    revision = quote(folder.revision, safe="")
    address = f"{endpoint()}/api/{folder.repo_type}s/{folder.repo}/revision/{revision}?blobs=true"
    told = ask_list(Remote(address, folder.repo, page=folder.page, token=token, place=HUGGING_FACE))
    listed = [(one.get("rfilename"), one.get("size")) for one in entries_of(told, "siblings")]
    sizes = {path: size if isinstance(size, int) else 0 for path, size in listed if isinstance(path, str)}
    if folder.filename in sizes:
        return folder
    below = f"{folder.filename.strip('/')}/" if folder.filename else ""
    there = [path for path in sizes if path.startswith(below)]
    named = [path for path in there if name and f"/{path}".endswith(f"/{name}")]
    exact = [path for path in (f"{below}{name}", name) if path in named]
    models = exact[:1] or named or models_among(there, below)
    if len(models) == 1 and bool(name) == bool(named):
        return replace(folder, filename=models[0])
    if not models:
        what, do = "no model file that AUTOMATIC1111 can use", f"Look at {folder.page} for another link."
        if below and not there:
            what, do = f"no folder {below[:-1]}", f"Look at {folder.page}/tree/{folder.revision} for its new name."
        elif any(DIFFUSERS.search(path) for path in there):
            what = "its model only in parts, in the diffusers layout, which AUTOMATIC1111 cannot load"
            do = "Look for the same model as a single file, for example on Civitai."
        raise Problem(f"{folder.repo} has {what}.", do)
    pages = f"{folder.page}/blob/{revision}"
    labels = {path: f"{path} ({size / 1e9:.2f} GB)" if size >= 1e7 else path for path, size in sizes.items()}
    raise Offered(
        f"{folder.repo} has {f'no file {name}, but ' if name and not named else ''}these model files: "
        f"{', '.join(models[:8])}{' …' if models[8:] else ''}.",
        f"Choose one. Its link is the page's with # and its name, for example {folder.page}#{models[0]}.",
        tuple((labels[path], f"{pages}/{quote(path)}") for path in models[:MOST_BUTTONS]),
    )


def models_among(paths: list[str], below: str) -> list[str]:
    """What can be a model: those at the folder's top if there are any of today's kind, else all; one of each stem."""
    files = [path for path in paths if path.lower().endswith((*NEW_ENDINGS, *OLD_ENDINGS, ".zip"))]
    files = [path for path in files if not DIFFUSERS.search(path) and not LEFT_BEHIND.search(path)]
    at_top = [path for path in files if "/" not in path[len(below) :] and path.lower().endswith(NEW_ENDINGS)]
    found = sorted(at_top or files, key=lambda path: (path.count("/"), not path.endswith(".safetensors"), len(path)))
    stems: dict[str, str] = {}
    for path in found:
        stems.setdefault(str(PurePosixPath(path).with_suffix("")), path)
    return list(stems.values())


def resolve_hub_file(file: HubFile, token: str) -> Remote:
    """Ask the hub for size and SHA-256 before the first byte. Raises `TokenNeeded` where one may help, or `Problem`."""
    kept_in = "" if file.repo_type == "model" else f"{file.repo_type}s/"
    address = f"{endpoint()}/{kept_in}{file.repo}/resolve/{quote(file.revision, safe='')}/{quote(file.filename)}"
    name = safe_name(file.saved_name)
    found = probe(Remote(address, file.filename, page=file.page, token=token, place=HUGGING_FACE, title=file.title))
    etag = re.fullmatch(r'"?([0-9a-f]{64})"?', found.validator)  # of a large file it is its SHA-256
    sha256, size = found.sha256 or (etag[1] if etag else ""), found.size or file.size
    if (file.sha256 and sha256 and file.sha256 != sha256) or (file.size and file.size != size):
        raise Problem(
            f"{file.saved_name} at {file.repo} has changed: its size or checksum is different now.",
            "Another source is tried; if there is none, choose another model.",
        )
    return replace(found, name=name, size=size, sha256=sha256 or file.sha256)
