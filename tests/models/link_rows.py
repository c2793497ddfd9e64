"""The table of links: what becomes of each, by the launcher's real code, on stand-ins for all sites; docs/links.md.

A row is (link, what must be in the outcome[, the name of its test's reason]). The person has saved a token of each
site, but for the rows that say otherwise.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from launcher.core.problem import Problem
from launcher.models.fetch import Fetcher, with_token
from launcher.models.remote import Offered, Remote
from launcher.models.sources import resolve_link
from tests.conftest import new_folder
from tests.models.fetching import HUB, STORE, hurry
from tests.world import safetensors
from tests.world.civitai import SITES, CivitaiSite
from tests.world.heard import Heard
from tests.world.hub import Hub
from tests.world.internet import internet
from tests.world.web import Answer, Web

SENTENCE: Final = "*Said:* "
TOKENS: Final = {"HF_TOKEN": "hf_mine", "CIVITAI_TOKEN": "key"}
HTML: Final = {"Content-Type": "text/html; charset=utf-8"}
PLAIN_SITES: Final = (
    *("drive.google.com", "drive.usercontent.google.com", "docs.google.com", "accounts.google.com"),
    *("github.com", "raw.githubusercontent.com", "media.githubusercontent.com", "gitlab.com", "codeberg.org"),
    *("www.dropbox.com", "pixeldrain.com", "modelscope.cn", "modelscope.ai", "example.com", "store.example.com"),
    *("download1.mediafire.com", "bit.ly", "openmodeldb.info"),
)


@dataclass(frozen=True)
class Row:
    """`says` stands in the outcome; `saved` is False for a person without tokens."""

    link: str
    says: str
    saved: bool = True


def hub_url(rest: str) -> str:
    return f"https://huggingface.co/{rest}"


DOWNLOAD: Final = "https://drive.usercontent.google.com/download?id=FILE&export=download&confirm=t"
ROWS: Final = (
    # ---- Hugging Face
    Row(hub_url("OWNER/NAME/blob/main/model.safetensors"), hub_url("OWNER/NAME/resolve/main/model.safetensors")),
    Row(hub_url("OWNER/NAME/resolve/main/model.safetensors?download=true"), "OWNER/NAME/resolve/main/model.safetensors"),
    Row("https://www.huggingface.co/OWNER/NAME/blob/main/sub/a%20model.ckpt", "resolve/main/sub/a%20model.ckpt"),
    Row("https://hf.co/OWNER/NAME/resolve/v1/model.safetensors", "OWNER/NAME/resolve/v1/model.safetensors"),
    Row("https://hf-mirror.com/OWNER/NAME/blob/main/model.safetensors", hub_url("OWNER/NAME/resolve/main/model")),
    Row(hub_url("OWNER/NAME/blob/refs%2Fpr%2F1/model.safetensors"), "OWNER/NAME/resolve/refs%2Fpr%2F1/model.safetensors"),
    Row(hub_url("OWNER/NAME/blob/refs/pr/1/model.safetensors"), "OWNER/NAME/resolve/refs%2Fpr%2F1/model.safetensors"),
    Row(hub_url("OWNER/NAME/blame/main/model.safetensors"), "OWNER/NAME/resolve/main/model.safetensors"),
    Row(hub_url("datasets/OWNER/NAME/resolve/main/model.safetensors"), "co/datasets/OWNER/NAME/resolve/main/model"),
    Row(hub_url("spaces/OWNER/NAME/blob/main/model.safetensors"), "co/spaces/OWNER/NAME/resolve/main/model"),
    Row("huggingface.co/OWNER/NAME/blob/main/model.safetensors", "OWNER/NAME/resolve/main/model.safetensors"),
    Row("hf://OWNER/NAME/model.safetensors", "OWNER/NAME/resolve/main/model.safetensors"),
    Row("hf://datasets/OWNER/NAME@v1/sub/a%20model.ckpt", "datasets/OWNER/NAME/resolve/v1/sub/a%20model"),
    Row(hub_url("OWNER/NAME"), "OWNER/NAME/resolve/main/model.safetensors"),
    Row(hub_url("OWNER/NAME?show_file_info=sub%2Fa%20model.ckpt"), "OWNER/NAME/resolve/main/sub/a%20model.ckpt"),
    Row(hub_url("OWNER/NAME#model.safetensors"), "OWNER/NAME/resolve/main/model.safetensors"),
    Row(hub_url("OWNER/NAME/tree/main"), "OWNER/NAME/resolve/main/model.safetensors"),
    Row(hub_url("OWNER/NAME/tree/new%2Fbranch/sub"), "OWNER/NAME/resolve/new%2Fbranch/sub/a%20model.ckpt"),
    Row(hub_url("OWNER/FOLDERS/tree/main/Models/one"), "OWNER/FOLDERS/resolve/main/Models/one/a.safetensors"),
    Row(hub_url("OWNER/FOLDERS/tree/main/Models/three"), "c.safetensors; Models/three/d.safetensors"),
    Row(hub_url("OWNER/FOLDERS"), "OWNER/FOLDERS has these model files"),
    Row(hub_url("OWNER/FOLDERS#d.safetensors"), "OWNER/FOLDERS/resolve/main/Models/three/d.safetensors"),
    Row(hub_url("OWNER/NAME#other.safetensors"), "OWNER/NAME has no file other.safetensors, but these model files: model.safetensors"),
    Row(hub_url("OWNER/NAME.git"), "OWNER/NAME/resolve/main/model.safetensors"),
    Row(hub_url("OWNER/NAME/resolve/main/"), "OWNER/NAME/resolve/main/model.safetensors"),
    Row(hub_url("OWNER/FOLDERS/tree/main/Models/two"), "has no folder Models/two"),
    Row(hub_url("OWNER/UPSCALER"), "OWNER/UPSCALER/resolve/main/4x.pth"),
    Row(hub_url("sd-concepts-library/cat-toy"), "cat-toy/resolve/main/learned_embeds.bin"),
    Row(hub_url("OWNER/PARTS"), "only in parts, in the diffusers layout"),
    Row(hub_url("OWNER/WORDS"), "has no model file that AUTOMATIC1111 can use"),
    Row(hub_url("OWNER/NAME/blob/main/README.md"), "is not the name of a model file"),
    Row(hub_url("OWNER/NAME/blob/main/gone.safetensors"), "gone.safetensors is not in OWNER/NAME any more"),
    Row(hub_url("OWNER/NAME/tree/none"), "has no such branch"),
    Row(hub_url("ME/MINE/blob/main/m.safetensors"), "ME/MINE/resolve/main/m.safetensors` with the token"),
    Row(hub_url("ME/MINE/blob/main/m.safetensors"), "ME/MINE is gone from Hugging Face, or private", saved=False),
    Row(hub_url("ME/MINE"), "ME/MINE/resolve/main/m.safetensors` with the token"),
    Row(hub_url("datasets/ME/MINE/blob/main/m.safetensors"), "datasets/ME/MINE/resolve/main/m.safetensors` with the token"),
    Row(hub_url("ME/MINE/resolve/main/m.safetensors?token=hf_mine"), "m.safetensors` with the token", saved=False),
    Row("https://me:hf_mine@huggingface.co/ME/MINE/resolve/main/m.safetensors", "m.safetensors` with the", saved=False),
    Row(hub_url("OWNER/THEIRS/blob/main/m.safetensors"), "private and your token may not read it"),
    Row(hub_url("OWNER/GATED/blob/main/m.safetensors"), "has not accepted the conditions of OWNER/GATED"),
    Row(hub_url("OWNER/GATED/blob/main/m.safetensors"), "only to people who have accepted its conditions", saved=False),
    Row(hub_url("OWNER/NO-RIGHT/blob/main/m.safetensors"), "does not have the right to read OWNER/NO-RIGHT"),
    Row(hub_url("OWNER/DISABLED/blob/main/m.safetensors"), "Hugging Face has disabled OWNER/DISABLED"),
    Row(hub_url("OWNER/REMOVED/blob/main/m.safetensors"), "OWNER/REMOVED was taken off Hugging Face"),
    Row(hub_url("OWNER/BLOCKED/blob/main/m.safetensors"), "OWNER/BLOCKED is blocked by Hugging Face for legal reasons"),
    Row(hub_url("collections/OWNER/some-models-123"), "a collection of Hugging Face"),
    Row(hub_url("buckets/OWNER/NAME"), "a bucket on Hugging Face"),
    Row("hf://buckets/OWNER/NAME/m.safetensors", "a bucket on Hugging Face"),
    Row(hub_url("docs/hub/index/x"), "a page on Hugging Face that is not a model"),
    Row(hub_url("OWNER"), "a page on Hugging Face that is not a model"),
    # ---- Civitai
    Row("https://civitai.com/models/123/a-name?modelVersionId=456", "civitai.com/api/download/models/456?fileId=2"),
    Row("https://civitai.com/models/123/a-name", "civitai.com/api/download/models/456?fileId=2"),
    Row("https://civitai.red/models/123", "civitai.red/api/download/models/456?fileId=2"),
    Row("https://www.civitai.green/models/123?modelVersionId=456", "civitai.green/api/download/models/456?fileId=2"),
    Row("https://civitai.com/model-versions/456", "civitai.com/api/download/models/456?fileId=2"),
    Row("https://civitai.com/api/v1/model-versions/456", "civitai.com/api/download/models/456?fileId=2"),
    Row("https://civitai.com/api/download/models/456", "civitai.com/api/download/models/456?fileId=2"),
    Row("https://civitai.com/api/download/models/456?type=VAE", "456?fileId=4` as `the.vae.pt` (VAE)"),
    Row("https://civitai.com/api/download/models/456?type=Model&format=SafeTensor&size=full&fp=fp16", "456?fileId=3"),
    Row("https://civitai.com/api/download/models/456?fileId=3", "456?fileId=3` as `half.safetensors`"),
    Row("https://civitai.com/api/download/models/501?token=key", "501?fileId=501` with the token", saved=False),
    Row("urn:air:sdxl:checkpoint:civitai:123@456", "456?fileId=2"),
    Row("urn:air:sd1:lora:civitai:123", "456?fileId=2"),
    Row("civitai:123@456", "456?fileId=2"),
    Row("air:sdxl:checkpoint:civitai:123@456+3", "456?fileId=3` as `half.safetensors`"),
    Row("sdxl:checkpoint:civitai:123@456", "456?fileId=2"),
    Row("urn:air:sd1:checkpoint:civitai:123@456:layer.safetensors", "456?fileId=2"),
    Row("https://civitai-com.translate.goog/models/123?_x_tr_sl=auto", "456?fileId=2"),
    Row("https://civitai.com/api/download/models/456?type=Model&amp;format=SafeTensor&amp;fp=fp16", "456?fileId=3"),
    Row("https://civitai.com/models/830", "832?fileId=834` as `second.safetensors`"),
    Row("https://civitai.com/models/200", "202?fileId=202` as `new.safetensors` (LoRA). *Notice:* The newest version, "
        "v3 (Flux.1 D), is for something that AUTOMATIC1111 cannot run; the newest that can be used is fetched: v2"),
    Row("https://civitai.com/models/200?modelVersionId=201", "made for Flux.1 D, which AUTOMATIC1111 cannot run"),
    Row("https://civitai.com/models/300", "301?fileId=301` as `made.safetensors` (LoRA). *Notice:* The newest version, "
        "online (SDXL 1.0), cannot be downloaded; the newest that can be used is fetched: v1 (SDXL 1.0)"),
    Row("https://civitai.com/models/310", "has no version that can be downloaded"),
    Row("https://civitai.com/models/320", "made for Flux.1 D, which AUTOMATIC1111 cannot run"),
    Row("https://civitai.com/models/400", "civitai.red/api/download/models/401?fileId=401` with the token"),
    Row("https://civitai.com/models/400", "only to people who are logged in, and there is no key", saved=False),
    Row("https://civitai.com/models/500", "civitai.com/api/download/models/501?fileId=501` with the token"),
    Row("https://civitai.com/models/500", "only to people who are logged in, and there is no key", saved=False),
    Row("https://civitai.com/models/510", "civitai.com/api/download/models/511?fileId=511` with the token"),
    Row("https://civitai.com/models/510", "This version is in early access on Civitai", saved=False),
    Row("https://civitai.com/models/600", "civitai.com/api/download/models/601?fileId=601"),
    Row("https://civitai.com/models/610", "civitai.com/api/download/models/611` as `relative.safetensors`"),
    Row("https://civitai.com/models/800", "801?fileId=801` as `bad-hands.pt` (embedding)"),
    Row("https://civitai.com/models/810", "only files of another kind (config)"),
    Row("https://civitai.com/models/820", "only files of another kind (training data)"),
    Row("https://civitai.com/models/999", "This model is no longer on Civitai"),
    Row("https://civitai.com/user/somebody", "a page on Civitai that is not a model"),
    Row("urn:air:sd1:lora:huggingface:123", "Only AIR names from Civitai are supported"),
    # ---- Google Drive
    Row("https://drive.google.com/file/d/FILE/view?usp=sharing", DOWNLOAD),
    Row("https://drive.google.com/file/u/1/d/FILE/view", DOWNLOAD),
    Row("https://drive.google.com/file/d/FILE/view?resourcekey=0-KEY", f"{DOWNLOAD}&resourcekey=0-KEY"),
    Row("https://drive.google.com/open?id=FILE", DOWNLOAD),
    Row("https://drive.google.com/uc?export=download&id=FILE", DOWNLOAD),
    Row("https://drive.usercontent.google.com/download?id=FILE&export=download", DOWNLOAD),
    Row("https://docs.google.com/uc?id=FILE", DOWNLOAD),
    Row("https://drive.google.com/file/d/LARGE/view", "id=LARGE&uuid=u-1"),
    Row("https://drive.google.com/file/d/PRIVATE/view", "The file on Google Drive is private"),
    Row("https://drive.google.com/file/d/MANY/view", "Too many people have downloaded this file from Google Drive"),
    Row("https://drive.google.com/file/d/GONE/view", "The file is no longer on Google Drive"),
    Row("https://drive.google.com/drive/u/0/folders/FOLDER?x=1", "a folder of Google Drive, not to a file"),
    Row("https://drive.google.com/drive/folders/FOLDER", "a folder of Google Drive, not to a file"),
    # ---- other sites
    Row("https://github.com/OWNER/NAME/releases/download/v1/upscaler.pth", "OWNER/NAME/releases/download/v1/upscaler.pth"),
    Row("https://github.com/OWNER/NAME/blob/main/upscaler.pth", "github.com/OWNER/NAME/raw/main/upscaler.pth"),
    Row("https://raw.githubusercontent.com/OWNER/NAME/main/d/u.pth", "github.com/OWNER/NAME/raw/main/d/u.pth"),
    Row("https://gitlab.com/OWNER/NAME/-/blob/main/upscaler.pth", "gitlab.com/OWNER/NAME/-/raw/main/upscaler.pth"),
    Row("https://codeberg.org/OWNER/NAME/src/branch/main/u.pth", "codeberg.org/OWNER/NAME/raw/branch/main/u.pth"),
    Row("https://www.dropbox.com/scl/fi/ID/model.safetensors?rlkey=KEY&dl=0", "model.safetensors?rlkey=KEY&dl=1"),
    Row("https://www.dropbox.com/scl/fi/ID/model.safetensors?rlkey=KEY", "model.safetensors?rlkey=KEY&dl=1"),
    Row("https://www.dropbox.com/scl/fo/ID/folder?rlkey=KEY", "a folder of Dropbox, not to a file"),
    Row("https://www.dropbox.com/sh/ID/KEY/model.safetensors?dl=0", "sh/ID/KEY/model.safetensors?dl=1"),
    Row("https://pixeldrain.com/u/ID", "https://pixeldrain.com/api/file/ID` as `model.safetensors`"),
    Row("https://modelscope.cn/models/OWNER/NAME/file/view/master/m.safetensors", "NAME/resolve/master/m.safetensors"),
    Row("https://www.modelscope.cn/models/OWNER/NAME/file/view/master?fileName=m.safetensors&status=2", "resolve/master/m.safe"),
    Row("https://www.modelscope.ai/models/OWNER/NAME/file/view/master/m.safetensors", "modelscope.ai/models/OWNER/NAME/resolve/"),
    Row("https://bit.ly/SHORT", "https://bit.ly/SHORT` as `behind.safetensors`"),
    Row("https://download1.mediafire.com/ID/m.safetensors", "https://download1.mediafire.com/ID/m.safetensors`"),
    Row("https://www.mediafire.com/file/ID/m.safetensors/file", "mediafire.com gives its files only to a browser"),
    Row("https://openmodeldb.info/models/4x-Some", "Copy the link of the page's download button instead"),
    Row("https://mega.nz/file/ID#KEY", "only to a browser. Open the link that you pasted in your browser"),
    Row("https://onedrive.live.com/?authkey=KEY&id=3", "Open the link that you pasted in your browser, download"),
    Row("https://example.com/403/model.safetensors?key=KEY", "Open the link that you pasted in your browser"),
    Row("https://gofile.io/d/ID", "gofile.io gives its files only to a browser"),
    Row("https://1drv.ms/u/s!ID", "1drv.ms gives its files only to a browser"),
    Row("https://we.tl/t-ID", "we.tl gives its files only to a browser"),
    Row("https://tensor.art/models/123", "Open https://tensor.art/models/123 in your browser, download"),
    Row("https://www.seaart.ai/models/detail/123", "seaart.ai gives its files only to people who are logged in there"),
    Row("https://example.com/models/model.safetensors", "`https://example.com/models/model.safetensors`"),
    Row("https://example.com/get?file=model.safetensors", "as `model.safetensors`"),
    Row("https://example.com/models/new.sft", "as `new.safetensors`"),
    Row("https://example.com/download.php?id=3", "a file without a name: the field `file_name` gives one"),
    Row("https://example.com/File.ashx?id=3", "a file without a name: the field `file_name` gives one"),
    Row("https://example.com/models/flux.gguf", "is a GGUF file, which AUTOMATIC1111 cannot load"),
    Row("https://example.com/models/model.rar", "is an archive"),
    *(Row(f"https://example.com/models/model.{ending}", "is an archive") for ending in ("zip.001", "tar.zst", "tgz")),
    *(
        Row(f"https://example.com/models/one.{ending}", f"'one.{ending}' is not the name of a model file")
        for ending in ("png", "jpeg", "mp4", "txt", "safetensors.torrent", "safetensors.index.json", "onnx", "msgpack", "pkl")
    ),
    Row("https://example.com/challenge/model.safetensors", "example.com first wants to see that a person is there"),
    Row("https://store.example.com/model.safetensors?id=7", "The link has run out"),
    Row("https://example.com/403/model.safetensors?Expires=60&Signature=S", "The link has run out"),
    Row("https://example.com/members/model.safetensors", "only to people who are logged in"),
    Row("https://example.com/401/model.safetensors", "only to people who are logged in"),
    Row("https://example.com/403/model.safetensors", "example.com denies access to model.safetensors"),
    Row("https://example.com/402/model.safetensors", "does not give model.safetensors to programs (HTTP 402)"),
    Row("https://example.com/404/model.safetensors", "model.safetensors is no longer there"),
    Row("https://example.com/451/model.safetensors", "not available in the country"),
    Row("https://example.com/500/model.safetensors", "has a problem of its own (HTTP 500)"),
    Row("https://example.com/packed/model.safetensors", "sends model.safetensors packed"),
    Row("https://example.com/circle/model.safetensors", "redirects the download in a circle"),
    Row("https://example.com/models/page.html", "leads to a web page, not to a model file"),
    # ---- as people write them
    Row("see <https://example.com/models/model.safetensors>, it is good", "`https://example.com/models/model.safetensors`"),
    Row(hub_url("OWNER/NAME/blob/main/sub/a model.ckpt"), "OWNER/NAME/resolve/main/sub/a%20model.ckpt"),
    Row("wget https://example.com/models/model.safetensors \\", "`https://example.com/models/model.safetensors`"),
    Row("[a name](https://example.com/models/model.safetensors)", "`https://example.com/models/model.safetensors`"),
    Row("[https://example.com/a.pt](https://example.com/a.pt)", "`https://example.com/a.pt`"),
    Row('<a href="https://example.com/models/model.safetensors">DreamShaper</a>', "com/models/model.safetensors`"),
    Row("**https://example.com/models/model.safetensors**", "`https://example.com/models/model.safetensors`"),
    Row("🔥https://example.com/models/model.safetensors🔥", "`https://example.com/models/model.safetensors`"),
    Row("https://example.com/models/model.safetensors，很好用", "`https://example.com/models/model.safetensors`"),
    Row("https://example.com/a.pthttps://example.com/b.pt", "There are 2 links"),
    Row("https://www.google.com/url?sa=t&url=https%3A%2F%2Fexample.com%2Fa.pt&usg=x", "`https://example.com/a.pt`"),
    Row("hf download OWNER/NAME model.safetensors --local-dir .", "OWNER/NAME/resolve/main/model.safetensors"),
    Row("huggingface-cli download OWNER/NAME", "OWNER/NAME/resolve/main/model.safetensors"),
    Row("!gdown --id 1aBcDeFgHiJkLmNoPqRsTuVwXyZ01", "download?id=1aBcDeFgHiJkLmNoPqRsTuVwXyZ01&export"),
    *(
        Row(f"{begins}bucket/model.safetensors", f"cannot download by a link that starts with {begins.partition(':')[0]}:")
        for begins in ("s3://", "gs://", "ipfs://", "git://", "magnet:?xt=")
    ),
    Row("http://example.com/model.safetensors", "The link is not encrypted"),
    Row("ftp://example.com/model.safetensors", "The link is not encrypted"),
    Row("https://[x", "The link is incomplete"),
    Row("my favourite model", "is not a link"),
)  # fmt: skip


def lora(number: int, name: str, base: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "baseModel": base, "files": [file_of(number, f"{name}.safetensors")]} | more


def file_of(number: int, name: str, type_: str = "Model", **more: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "type": type_, "primary": True} | more


# A version as Civitai lists one.
VERSION: Final = {
    "id": 456, "name": "v1", "baseModel": "SD 1.5",
    "files": [
        {"id": 1, "name": "pictures.zip", "type": "Training Data"},
        file_of(2, "full.safetensors", metadata={"format": "SafeTensor", "size": "full", "fp": "fp32"}),
        {"id": 3, "name": "half.safetensors", "type": "Model", "metadata": {"format": "SafeTensor", "size": "full", "fp": "fp16"}},
        {"id": 4, "name": "the.vae.pt", "type": "VAE"},
    ],
}  # fmt: skip


def model_of(number: int, *versions: dict[str, Any], kind: str = "LORA") -> dict[str, Any]:
    return {"id": number, "name": f"Model {number}", "type": kind, "modelVersions": list(versions)}


def civitai() -> CivitaiSite:
    flux = lora(201, "v3", "Flux.1 D")
    models = (
        model_of(123, VERSION, kind="Checkpoint"),
        model_of(200, flux, lora(202, "v2", "Illustrious", files=[file_of(202, "new.safetensors")]), lora(203, "v1", "SD 1.5")),
        model_of(300, lora(302, "online", "SDXL 1.0", files=[]), lora(301, "v1", "SDXL 1.0", files=[file_of(301, "made.safetensors")])),
        model_of(310, lora(311, "online", "SDXL 1.0", files=[])),
        model_of(320, lora(321, "v1", "Flux.1 D")),
        model_of(400, lora(401, "red", "Pony")),
        model_of(500, lora(501, "members", "SD 1.5")),
        model_of(510, lora(511, "bought", "SD 1.5")),
        model_of(600, lora(601, "moved", "SD 1.5", files=[file_of(601, "moved.safetensors", downloadUrl="https://civitai.com/api/download/models/9999")])),
        model_of(610, lora(611, "v1", "SD 1.5", files=[file_of(0, "relative.safetensors", downloadUrl="//civitai.com/api/download/models/611")])),
        model_of(800, lora(801, "v1", "SD 1.5", files=[file_of(801, "bad-hands.pt", "Negative")]), kind="TextualInversion"),
        model_of(810, lora(811, "v1", "SD 1.5", files=[file_of(811, "v.yaml", "Config")]), kind="Checkpoint"),
        model_of(830, lora(832, "v1", "SD 1.5", files=[file_of(833, "first.ckpt"), file_of(834, "second.safetensors", primary=False)])),
        model_of(820, lora(821, "v1", "SD 1.5", files=[file_of(821, "pictures.zip", "Training Data")])),
    )  # fmt: skip
    site = CivitaiSite({model["id"]: model for model in models})
    site.contents = {
        one["id"]: safetensors(900)
        for model in models
        for version in model["modelVersions"]
        for one in version["files"]
    }
    site.elsewhere = {400: ("civitai.red",)}
    site.for_keys, site.by_login, site.early = {401, 501, 511}, {501}, {511}
    return site


def fill(hub: Hub) -> None:
    """The repositories of the rows."""
    small = safetensors(900)
    files = {
        "OWNER/NAME": ("model.safetensors", "sub/a model.ckpt", "README.md"),
        "OWNER/FOLDERS": ("Models/one/a.safetensors", "Models/three/c.safetensors", "Models/three/d.safetensors"),
        "OWNER/UPSCALER": ("4x.pth", "README.md"),
        "sd-concepts-library/cat-toy": ("learned_embeds.bin", "concept_images/0.jpeg", "token_identifier.txt"),
        "OWNER/PARTS": ("model_index.json", "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"),
        "OWNER/WORDS": ("README.md", "words.gguf"),
        **{f"OWNER/{name}": ("m.safetensors",) for name in ("THEIRS", "GATED", "NO-RIGHT", "DISABLED", "REMOVED", "BLOCKED")},
        "ME/MINE": ("m.safetensors",),
    }  # fmt: skip
    for repo, names in files.items():
        for name in names:
            hub.add(repo, name, small)
    hub.tokens = {"hf_mine": {"name": "me"}}
    hub.private = {"ME/MINE": {"hf_mine"}, "OWNER/THEIRS": {"hf_theirs"}}
    hub.gated = {"OWNER/GATED": set()}
    hub.branches = {"OWNER/NAME": {"main", "v1", "refs/pr/1", "new/branch"}}
    hub.fail = {
        "OWNER/NO-RIGHT": (403, {}, b"Forbidden"),
        "OWNER/DISABLED": (403, {"X-Error-Message": "Access to this resource is disabled."}, b""),
        "OWNER/REMOVED": (410, {}, b"Gone"),
        "OWNER/BLOCKED": (451, {}, b"Unavailable for legal reasons"),
    }


def google(path: str) -> Answer:
    """Google Drive's answer for one of its files."""
    query = parse_qs(urlsplit(path).query)
    pages = {
        "LARGE": '<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
        '<input type="hidden" name="id" value="LARGE"><input type="hidden" name="uuid" value="u-1"></form>',
        "PRIVATE": "<title>Google Drive: Sign-in</title><p>You need access",
        "MANY": "<p>Too many users have viewed or downloaded this file recently.",
    }
    name = query["id"][0]
    if name == "GONE":
        return 404, HTML, b"<p>Sorry, the file you have requested does not exist."
    if name in pages and "uuid" not in query:
        return 200, HTML, pages[name].encode()
    return 200, {"Content-Disposition": 'attachment; filename="shared.safetensors"', "ETag": '"1"'}, safetensors(900)


def example(path: str, *, packed: bytes = b"\x1f\x8b\x08\x00") -> Answer:
    """A site with a way of refusing under each path."""
    first = path.split("/")[2]
    answers: dict[str, Answer] = {
        "challenge": (403, HTML | {"cf-mitigated": "challenge"}, b"<title>Just a moment...</title>"),
        "members": (302, {"Location": "https://example.com/account/login?next=/members"}, b""),
        "account": (200, HTML, b"<form>"),
        "circle": (302, {"Location": "https://example.com/circle/again"}, b""),
        "packed": (200, {"Content-Encoding": "gzip"}, packed),
    }
    if first.isdigit():
        return int(first), {}, b"no"
    if path.endswith(".html"):
        return 200, HTML, b"<p>a page"
    return answers.get(first, (200, {"ETag": '"1"'}, safetensors(900)))


def site(path: str, headers: Any) -> Answer:
    host = path.split("/")[1]
    if host == "drive.usercontent.google.com":
        return google(path)
    if host == "store.example.com":
        return 403, {}, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    if host == "bit.ly":
        return 302, {"Location": "https://example.com/models/behind.safetensors"}, b""
    if host == "openmodeldb.info":
        return 200, HTML, b"<p>a page"
    if host == "pixeldrain.com":
        named = {"Content-Disposition": 'inline; filename="model.safetensors"', "ETag": '"1"'}
        return (200, named, safetensors(900)) if "/api/file/" in path else (200, HTML, b"<p>a viewer")
    if host == "www.dropbox.com" and "dl=1" not in path:
        return 200, HTML, b"<p>a viewer"
    return example(path)


@contextmanager
def all_sites() -> Iterator[Fetcher]:
    """The internet of the rows; yields what knows the saved tokens."""
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        hub, web, shop = Hub(Path(root, "hub")), Web(), Web()
        fill(hub)
        web.answer, shop.answer = site, civitai().answer
        ports = {HUB: hub.port, STORE: hub.cdn_port}
        ports |= dict.fromkeys(PLAIN_SITES, web.server.server_port) | dict.fromkeys(SITES, shop.server.server_port)
        hub.redirect, hub.cdn = True, f"https://{STORE}"
        try:
            with internet(Path(root, "certificates"), patch, ports):
                yield Fetcher(new_folder(Path(root)), "Google Drive", lambda name, reason: TOKENS[name], Heard())
        finally:
            for stand_in in (hub, web, shop):
                stand_in.close()


def what_becomes_of(row: Row, fetcher: Fetcher) -> str:
    """What the launcher fetches, or says, when that is pasted."""
    heard = Heard()
    asks = fetcher.ask_token if row.saved else lambda name, reason: ""
    try:
        found = with_token(
            Fetcher(fetcher.folder, fetcher.where, asks, heard), lambda token: resolve_link(row.link, token)
        )
    except Offered as offered:
        return f"{SENTENCE}{offered.what} *Offered:* {'; '.join(label for label, _ in offered.options)}"
    except Problem as problem:
        return f"{SENTENCE}{problem.what} {problem.do}"
    return described(found) + "".join(f" *Notice:* {notice}" for notice in heard.notices)


def described(found: Remote) -> str:
    name = f"as `{found.name}`" if found.name else "a file without a name: the field `file_name` gives one"
    kind = f" ({found.kind})" if found.kind else ""
    return f"`{found.url}`{' with the token' if found.token else ''} {name}{kind}."


def outcomes() -> dict[Row, str]:
    """Every row's outcome."""
    with all_sites() as fetcher:
        return {row: what_becomes_of(row, fetcher) for row in ROWS}
