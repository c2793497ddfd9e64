"""Civitai: which file a link names, where the key goes, and what each refusal means."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models.ensure import ensure_linked_model
from launcher.models.remote import TokenNeeded
from launcher.models.sources import resolve_link
from tests.models.fetching import fetcher, folder, web
from tests.models.old_files import SOUND, UPSCALER
from tests.models.test_identify import tensors
from tests.models.test_links import TENSORS, Told, file_with
from tests.world import safetensors
from tests.world.web import Answer, Web

__all__ = ["folder", "web"]


DOWNLOADS = "/civitai.com/api/download/models/7?fileId="


def version(*files: dict[str, Any], base: str = "SD 1.5", kind: str = "Checkpoint") -> dict[str, Any]:
    listed = [{"hashes": {}, **one} for one in files]
    return {"id": 7, "modelId": 3, "baseModel": base, "model": {"type": kind}, "files": listed}


def listing(told: dict[str, Any], files: dict[str, bytes]) -> Callable[[str, Any], Answer]:
    def answer(path: str, headers: Any) -> Answer:
        if path.startswith(DOWNLOADS):
            return 200, {"ETag": f'"{path}"'}, files[path.removeprefix(DOWNLOADS)]
        if "/api/v1/" not in path:
            return 404, {"Content-Type": "application/json"}, b"{}"
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

    return answer


MODEL = {
    "id": 1,
    "name": "m.safetensors",
    "type": "Model",
    "primary": True,
    "metadata": {"format": "SafeTensor", "fp": "fp32"},
}
HALF = {"id": 2, "name": "half.safetensors", "type": "Pruned Model", "metadata": {"format": "SafeTensor", "fp": "fp16"}}
VAE = {"id": 3, "name": "v.vae.safetensors", "type": "VAE"}
TRAINING = {"id": 4, "name": "pictures.zip", "type": "Training Data"}


@pytest.mark.parametrize(
    ("query", "id_"),
    [
        ("", 1), ("?type=VAE", 3), ("?fileId=2", 2), ("?type=Model&format=SafeTensor&fp=fp16", 1),
        ("?fp=fp16", 2), ("?token=secret", 1),
    ],
)  # fmt: skip
def test_a_link_to_civitai_brings_the_file_it_names(web: Web, query: str, id_: int) -> None:
    web.answer = listing(version(TRAINING, VAE, MODEL, HALF), {str(n): safetensors(900) for n in (1, 2, 3)})
    link = f"https://civitai.com/api/download/models/7{query}"
    found = resolve_link(link, "")
    assert found.url == f"https:/{DOWNLOADS}{id_}"
    assert found.kind == ("VAE" if id_ == 3 else "checkpoint")


def test_training_data_is_never_taken_for_the_model(web: Web) -> None:
    web.answer = listing(version(TRAINING), {})
    link = "https://civitai.com/models/3?modelVersionId=7"
    with pytest.raises(Problem, match=r"only files of another kind \(training data\)"):
        resolve_link(link, "")


def test_a_key_in_the_link_is_used_and_stands_in_no_message(web: Web, folder: Folder) -> None:
    web.answer = listing(version(MODEL), {"1": safetensors(900)})
    made, heard, asked = fetcher(folder)
    ensure_linked_model(made, "https://civitai.com/api/download/models/7?token=secret-key", "checkpoint")
    assert asked == []
    assert {auth for _, auth in web.asked} == {"Bearer secret-key"}
    assert "secret-key" not in " ".join([*heard.said, *heard.notices])
    assert all("secret" not in path for path, _ in web.asked)


def test_the_key_goes_to_civitais_own_hosts_only(web: Web) -> None:
    def answer(path: str, headers: Any) -> Answer:
        if path.startswith("/civitai.red/api/v1/"):
            told = version(MODEL)
            told["files"][0]["downloadUrl"] = "https://evil.example.com/steal"
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
        return (404, {}, b"{}") if path.startswith("/civitai.com/") else (200, {}, safetensors(900))

    web.answer = answer
    found = resolve_link("https://civitai.com/models/3?modelVersionId=7", "my-key")
    assert (found.url, found.token) == ("https://civitai.red/api/download/models/7?fileId=1", "my-key")
    assert {(path.split("/")[1], auth) for path, auth in web.asked} == {
        ("civitai.com", "Bearer my-key"),
        ("civitai.red", "Bearer my-key"),
    }


@pytest.mark.parametrize(
    ("status", "said", "key", "says"),
    [
        (401, "The creator of this asset requires you to be logged in", "", None),
        (401, "The creator of this asset requires you to be logged in", "k", "does not accept your key for this model"),
        (401, '{"error": "Early Access", "deadline": "…"}', "", None),
        (401, '{"error": "Early Access", "deadline": "…"}', "k", "in early access"),
        (403, '{"error": "Early Access", "deadline": "…"}', "k", "in early access"),
        (401, "The creator of this asset has disabled downloads", "k", "switched off downloads"),
        (403, "", "k", "denies you access"),
        (451, "REGION_BLOCKED", "", "country"),
    ],
)
def test_each_refusal_of_civitai_is_what_its_text_says(
    web: Web, status: int, said: str, key: str, says: str | None
) -> None:
    def answer(path: str, headers: Any) -> Answer:
        if "/api/v1/" not in path:
            return status, {}, said.encode()
        return 200, {"Content-Type": "application/json"}, json.dumps(version(MODEL)).encode()

    web.answer = answer
    link = "https://civitai.com/models/3?modelVersionId=7"
    with pytest.raises(Problem if says else TokenNeeded, match=says):
        resolve_link(link, key)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ([], "makes no sense"), ({"files": "x"}, "no such file"), ({"files": [1, {"name": 3}]}, "no such file"),
        ({"files": [{"name": "x.txt", "type": 3, "id": [], "downloadUrl": "//[x"}]}, "not the name of a model"),
        ({"model": [], "baseModel": 7, "files": [{"name": "x.exe"}]}, "not the name of a model"),
    ],
)  # fmt: skip
def test_nonsense_in_civitais_list_is_one_sentence(web: Web, told: Any, says: str) -> None:
    web.answer = lambda path, headers: (200, {"Content-Type": "application/json"}, json.dumps(told).encode())
    link = "https://civitai.com/models/3?modelVersionId=7"
    with pytest.raises(Problem, match=says):
        resolve_link(link, "")


@pytest.mark.parametrize(
    ("name", "content", "kind", "link_kind", "says"),
    [
        ("l.safetensors", tensors({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (4,)}), "LORA", "", "made for Flux"),
        ("l.safetensors", tensors({"lora_unet_down_blocks_0_x.lora_down.weight": (4,)}), "Checkpoint", "checkpoint", "is a LoRA, "
            "not a checkpoint"),
        ("u.safetensors", tensors(UPSCALER), "Upscaler", "", r"cannot use a \.safetensors file as upscaler"),
    ],
)  # fmt: skip
def test_what_a1111_cannot_use_is_refused_before_the_download(
    web: Web, folder: Folder, name: str, content: bytes, kind: str, link_kind: str, says: str
) -> None:
    web.answer = listing(version({**MODEL, "name": name}, kind=kind), {"1": content})
    with pytest.raises(Problem, match=says):
        link = "https://civitai.com/models/3?modelVersionId=7"
        ensure_linked_model(fetcher(folder)[0], link, link_kind, required=bool(link_kind))
    assert not list((folder.kept / "models").rglob("*.part"))


def test_an_upscaler_goes_where_a1111_lists_it(web: Web, folder: Folder) -> None:
    told = version({**MODEL, "name": "u.pth"}, kind="Upscaler", base="Other")
    web.answer = listing(told, {"1": SOUND["upscaler (ESRGAN, old)"][0]})
    assert ensure_linked_model(fetcher(folder)[0], "https://civitai.com/models/3?modelVersionId=7") == "u.pth"
    assert (folder.models / "ESRGAN" / "u.pth").exists()


class Civitai:
    """Civitai with one LoRA."""

    base, needs_key = "SD 1.5", False

    def __init__(self, web: Web) -> None:
        self.asked, web.answer = web.asked, self.answer

    def answer(self, path: str, headers: Any) -> Answer:
        content = file_with(TENSORS["LoRA"])
        if self.needs_key and not headers.get("Authorization"):
            return 401, {}, b"{}"
        if "/api/v1/" not in path:
            return 200, {"Content-Disposition": 'attachment; filename="nice style.safetensors"'}, content
        file = {
            "primary": True,
            "name": "nice style.safetensors",
            "hashes": {"SHA256": hashlib.sha256(content).hexdigest().upper()},
        }
        version = {"id": 7, "modelId": 3, "baseModel": self.base, "model": {"type": "LORA"}, "files": [file]}
        told = version if "/model-versions/" in path else {"type": "LORA", "modelVersions": [version]}
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()


@pytest.fixture
def site(web: Web) -> Civitai:
    return Civitai(web)


def test_civitai_is_asked_with_a_key_only_when_it_wants_one(site: Civitai, folder: Folder) -> None:
    site.needs_key = True
    told = Told(folder, "my-key")
    ensure_linked_model(told.fetcher, "https://civitai.com/models/3?modelVersionId=7")
    assert told.asked == ["CIVITAI_TOKEN"]
    assert all("my-key" not in path for path, _ in site.asked)


def test_a_checksum_in_civitais_list_that_is_old_is_said_and_the_file_is_fetched_once(web: Web, folder: Folder) -> None:
    content = SOUND["pruned, half precision"][0]
    told = version({**MODEL, "name": "m.ckpt", "hashes": {"SHA256": "0" * 64}})
    web.answer = listing(told, {"1": content})
    made, heard, _ = fetcher(folder)
    assert ensure_linked_model(made, "https://civitai.com/models/3?modelVersionId=7", "checkpoint") == "m.ckpt"
    assert "Civitai states another checksum for m.ckpt" in heard.notices[-1]
    whole = [path for path, _ in web.asked if path.startswith(DOWNLOADS)]
    assert len(whole) <= 4, "more than the questions and one download"


def test_a_version_is_named_by_its_own_page_and_never_by_the_page_of_another_model(web: Web) -> None:
    web.answer = lambda path, headers: (403, {}, b"{}")
    with pytest.raises(Problem) as caught:
        resolve_link("https://civitai.com/api/download/models/7", "k")
    assert "https://civitai.com/model-versions/7" in caught.value.do


def test_a_base_model_a1111_cannot_run_is_refused(site: Civitai, folder: Folder) -> None:
    site.base = "Flux.1 D"
    with pytest.raises(Problem, match=r"made for Flux\.1 D, which AUTOMATIC1111 cannot run"):
        ensure_linked_model(Told(folder).fetcher, "https://civitai.com/models/3?modelVersionId=7")
    site.base = "Pony V7"
    with pytest.raises(Problem, match=r"made for Pony V7, which AUTOMATIC1111 cannot run"):
        ensure_linked_model(Told(folder).fetcher, "https://civitai.com/models/3?modelVersionId=7")
