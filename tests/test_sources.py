"""Civitai, Google Drive, the hub and its stores: what is fetched from each, and what each refusal means."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models.bring import bring_checkpoint, bring_link
from launcher.models.catalog import HubFile
from launcher.models.fetcher import PREVIEWS_OF_XL, Fetcher, bring_previews
from launcher.models.found import TokenNeeded
from launcher.models.probe import probe, read_range
from launcher.models.remote import Remote
from launcher.models.sources import civitai, google_drive, hugging_face
from tests.conftest import new_folder
from tests.old_files import SOUND, UPSCALER
from tests.test_model_file import tensors
from tests.world import safetensors
from tests.world.heard import Heard
from tests.world.hub import Hub

Answer = tuple[int, dict[str, str], bytes]


class Web:
    """A server whose answers are written by each test: `answer(path, headers) -> (status, headers, body)`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []  # (path with query, Authorization)
        self.answer: Callable[[str, Any], Answer] = lambda path, headers: (404, {}, b"")
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers.get("Authorization", "")))
                status, headers, body = web.answer(self.path, self.headers)
                wanted = self.headers.get("Range", "").removeprefix("bytes=").split("-")
                if status == 200 and len(wanted) == 2 and "text/html" not in headers.get("Content-Type", ""):
                    start, end = int(wanted[0]), min(int(wanted[1]), len(body) - 1)
                    headers |= {"Content-Range": f"bytes {start}-{end}/{len(body)}"}
                    status, body = 206, body[start : end + 1]
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    made = Web()
    monkeypatch.setattr("launcher.models.sources.civitai.api", lambda host, path: f"{made.url}/{host}/{path}")
    monkeypatch.setattr("launcher.models.probe.WAITS", (0.01, 0.01))
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return new_folder(tmp_path)


def fetcher(folder: Folder, token: str = "") -> tuple[Fetcher, Heard, list[str]]:
    heard, asked = Heard(), list[str]()

    def ask(name: str, reason: str) -> str:
        asked.append(name)
        return token

    return Fetcher(folder, "Google Drive", ask, heard), heard, asked


def version(web: Web, *files: dict[str, Any], base: str = "SD 1.5", kind: str = "Checkpoint") -> dict[str, Any]:
    urls = [{"downloadUrl": f"{web.url}/dl/{one['id']}", "hashes": {}, **one} for one in files]
    return {"id": 7, "modelId": 3, "baseModel": base, "model": {"type": kind}, "files": urls}


def listing(told: dict[str, Any], files: dict[str, bytes]) -> Callable[[str, Any], Answer]:
    def answer(path: str, headers: Any) -> Answer:
        if path.startswith("/dl/"):
            return 200, {"ETag": f'"{path}"'}, files[urlsplit(path).path.rpartition("/")[2]]
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
    web.answer = listing(version(web, TRAINING, VAE, MODEL, HALF), {str(n): safetensors(900) for n in (1, 2, 3)})
    wanted = civitai.detect(f"https://civitai.com/api/download/models/7{query}")
    assert wanted
    found = civitai.resolve(wanted, "")
    assert found.remote.url == f"{web.url}/dl/{id_}"
    assert found.kind == ("VAE" if id_ == 3 else "checkpoint")


def test_training_data_is_never_taken_for_the_model(web: Web) -> None:
    web.answer = listing(version(web, TRAINING), {})
    wanted = civitai.detect("https://civitai.com/models/3?modelVersionId=7")
    assert wanted
    with pytest.raises(Problem, match="no such file"):
        civitai.resolve(wanted, "")


def test_a_key_in_the_link_is_used_and_stands_in_no_message(web: Web, folder: Folder) -> None:
    web.answer = listing(version(web, MODEL), {"1": safetensors(900)})
    made, heard, asked = fetcher(folder)
    bring_link(made, "https://civitai.com/api/download/models/7?token=secret-key", "checkpoint")
    assert asked == []
    assert {auth for _, auth in web.asked} == {"Bearer secret-key"}
    assert "secret-key" not in " ".join([*heard.said, *heard.notices])
    assert all("secret" not in path for path, _ in web.asked)


def test_the_key_goes_to_the_pasted_host_only(web: Web) -> None:
    def answer(path: str, headers: Any) -> Answer:
        if path.startswith("/civitai.com/"):
            return 404, {}, b"{}"
        if path.startswith("/civitai.red/"):
            told = version(web, MODEL)
            told["files"][0]["downloadUrl"] = "https://evil.example.com/steal"
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
        return 200, {}, safetensors(900)

    web.answer = answer
    wanted = civitai.detect("https://civitai.com/models/3?modelVersionId=7")
    assert wanted
    seen: list[Remote] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(civitai, "asked_for_size", lambda remote: seen.append(remote) or remote)
        civitai.resolve(wanted, "my-key")
    assert [auth for path, auth in web.asked if "civitai.red" in path] == [""]
    assert seen[0].token == ""
    assert seen[0].url == "https://civitai.red/api/download/models/7?fileId=1"


@pytest.mark.parametrize(
    ("status", "said", "key", "says"),
    [
        (401, "The creator of this asset requires you to be logged in", "", None),
        (401, "The creator of this asset requires you to be logged in", "k", "does not take your key for this model"),
        (401, '{"error": "Early Access", "deadline": "…"}', "", "in early access"),
        (403, '{"error": "Early Access", "deadline": "…"}', "k", "in early access"),
        (401, "The creator of this asset has disabled downloads", "k", "switched off downloads"),
        (403, "", "k", "does not let you have"),
        (451, "REGION_BLOCKED", "", "country"),
    ],
)
def test_each_refusal_of_civitai_is_what_its_text_says(
    web: Web, status: int, said: str, key: str, says: str | None
) -> None:
    def answer(path: str, headers: Any) -> Answer:
        if path.startswith("/dl/"):
            return status, {}, said.encode()
        return 200, {"Content-Type": "application/json"}, json.dumps(version(web, MODEL)).encode()

    web.answer = answer
    wanted = civitai.detect("https://civitai.com/models/3?modelVersionId=7")
    assert wanted
    with pytest.raises(Problem if says else TokenNeeded, match=says):
        civitai.resolve(wanted, key)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ([], "does not answer"), ({"files": "x"}, "no such file"), ({"files": [1, {"name": 3}]}, "no such file"),
        ({"model": [], "baseModel": 7, "files": [{"name": "x.exe"}]}, "not the name of a model"),
    ],
)  # fmt: skip
def test_nonsense_in_civitais_list_is_one_sentence(web: Web, told: Any, says: str) -> None:
    web.answer = lambda path, headers: (200, {"Content-Type": "application/json"}, json.dumps(told).encode())
    wanted = civitai.detect("https://civitai.com/models/3?modelVersionId=7")
    assert wanted
    with pytest.raises(Problem):
        civitai.resolve(wanted, "")


@pytest.mark.parametrize(
    ("name", "content", "kind", "link_kind", "says"),
    [
        ("l.safetensors", tensors({"lora_unet_down_blocks_0_x.lora_down.weight": (4,)}), "Checkpoint", "", "is a LoRA, not a checkpoint"),
        ("l.safetensors", tensors({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (4,)}), "LORA", "", "made for Flux"),
        ("l.safetensors", tensors({"lora_unet_down_blocks_0_x.lora_down.weight": (4,)}), "LORA", "checkpoint", "is a LoRA, not a checkpoint"),
        ("u.safetensors", tensors(UPSCALER), "Upscaler", "", r"reads no \.safetensors file as upscaler"),
    ],
)  # fmt: skip
def test_what_a1111_cannot_use_is_refused_before_the_download(
    web: Web, folder: Folder, name: str, content: bytes, kind: str, link_kind: str, says: str
) -> None:
    web.answer = listing(version(web, {**MODEL, "name": name}, kind=kind), {"1": content})
    with pytest.raises(Problem, match=says):
        bring_link(fetcher(folder)[0], "https://civitai.com/models/3?modelVersionId=7", link_kind)
    assert not list((folder.kept / "models").rglob("*.part"))


def test_an_upscaler_goes_where_a1111_lists_it(web: Web, folder: Folder) -> None:
    told = version(web, {**MODEL, "name": "u.pth"}, kind="Upscaler", base="Other")
    web.answer = listing(told, {"1": SOUND["upscaler (ESRGAN, old)"][0]})
    assert bring_link(fetcher(folder)[0], "https://civitai.com/models/3?modelVersionId=7") == "u.pth"
    assert (folder.models / "ESRGAN" / "u.pth").exists()


# ---- Google Drive


def on_drive(web: Web, monkeypatch: pytest.MonkeyPatch, answer: Callable[[str, Any], Answer]) -> None:
    web.answer = answer
    monkeypatch.setattr(google_drive, "DOWNLOAD", f"{web.url}/download")
    monkeypatch.setattr(google_drive, "HOSTS", ("127.0.0.1", *google_drive.HOSTS))


HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, "<p>Too many users have viewed or downloaded this file recently.", "Too many people"),
        (429, "<title>Google Drive - Quota exceeded</title>", "Too many people"),
        (403, "<p>You need access", "not shared with everybody"),
        (401, "", "not shared with everybody"),
        (200, "<h1>You need access</h1> Request access", "not shared with everybody"),
        (404, "<p>Sorry, the file you have requested does not exist.", "not on Google Drive any more"),
        (200, "<p>something else", "leads to a web page"),
    ],
)
def test_each_refusal_of_google_drive_has_its_sentence(
    web: Web, monkeypatch: pytest.MonkeyPatch, status: int, body: str, says: str
) -> None:
    on_drive(web, monkeypatch, lambda path, headers: (status, HTML, body.encode()))
    with pytest.raises(Problem, match=says):
        google_drive.resolve("https://drive.google.com/file/d/abc-1/view", "")


def test_the_page_before_a_large_file_is_passed(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    form = '<form id="download-form" action="{}/download" method="get"><input type="hidden" name="id" value="abc-1"><input type="hidden" name="uuid" value="u-1"></form>'

    def answer(path: str, headers: Any) -> Answer:
        if dict(parse_qsl(urlsplit(path).query)).get("uuid") == "u-1":
            return 200, {"Content-Disposition": "attachment; filename*=UTF-8''my%20model.safetensors"}, safetensors(900)
        return 200, HTML, form.format(web.url).encode()

    on_drive(web, monkeypatch, answer)
    found = google_drive.resolve("https://drive.google.com/file/d/abc-1/view", "").remote
    assert found.name == "my model.safetensors"
    assert found.size == len(safetensors(900))


# ---- the hub and its stores


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub(tmp_path / "hub")
    made.add("own/model", "model.safetensors", safetensors(50_000))
    monkeypatch.setattr(hugging_face, "WAITS", (0.01,))
    real = __import__("huggingface_hub").hf_hub_url
    monkeypatch.setattr("huggingface_hub.hf_hub_url", lambda *names, **more: real(*names, **more, endpoint=made.url))
    yield made
    made.close()


@pytest.mark.parametrize(
    "link",
    [
        "https://huggingface.co/own/model/blob/refs%2Fpr%2F1/model.safetensors",
        "https://huggingface.co/own/model/blob/new/branch/model.safetensors",
        "https://huggingface.co/datasets/own/model/resolve/main/model.safetensors",
        "https://huggingface.co/spaces/own/model/blob/main/model.safetensors",
        "https://www.huggingface.co/own/model/blob/main/model.safetensors?download=true",
        "https://hf.co/own/model/resolve/main/model.safetensors",
    ],
)
def test_a_file_of_the_hub_is_found_wherever_it_lies(hub: Hub, link: str) -> None:
    hub.branches["own/model"] = {"main", "refs/pr/1", "new/branch"}
    wanted = hugging_face.detect(link)
    assert wanted
    assert hugging_face.resolve(wanted, "").remote.size == (hub.root / "own/model/model.safetensors").stat().st_size


def test_a_busy_hub_is_asked_with_the_token_that_is_there(hub: Hub, folder: Folder) -> None:
    hub.tokens["hf_mine"] = {"name": "me"}
    real = hub._route

    def busy_for_strangers(request: Any, entry: dict[str, Any]) -> None:
        if entry["auth"]:
            return real(request, entry)
        return hub._reply(request, entry, 429, {"ratelimit": '"resolvers";r=0;t=201'}, b"")

    hub._route = busy_for_strangers  # type: ignore[method-assign]
    made, _, asked = fetcher(folder, "hf_mine")
    assert bring_link(made, "https://huggingface.co/own/model/blob/main/model.safetensors", "checkpoint")
    assert asked == ["HF_TOKEN"]
    made, _, asked = fetcher(folder, "")
    with pytest.raises(Problem, match="too many requests"):
        bring_link(made, "https://huggingface.co/own/model/blob/main/model.safetensors", "LoRA")


def test_a_store_that_refuses_is_asked_for_anew_and_then_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.redirect = True
    monkeypatch.setattr("launcher.models.probe.WAITS", (0.01, 0.01))
    remote = hugging_face.resolve_hub_file(HubFile("own/model", "model.safetensors"), "")
    real, refusals = hub._file, [2]

    def expired(request: Any, entry: dict[str, Any], path: Path, extra: dict[str, str] | None = None) -> None:
        if entry["cdn"] and refusals[0]:
            refusals[0] -= 1
            return hub._reply(request, entry, 403, {}, b"expired")
        return real(request, entry, path, extra)

    monkeypatch.setattr(hub, "_file", expired)
    assert len(read_range(remote, 0, 100)) == 100
    refusals[0] = 1000
    with pytest.raises(Problem, match=r"sends the download on to 127\.0\.0\.1, which refuses it \(HTTP 403\)"):
        read_range(remote, 0, 100)
    assert probe(remote).store == "127.0.0.1"


def test_a_link_to_a_lora_in_the_field_checkpoint_is_refused(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "l.safetensors", tensors({"lora_unet_down_blocks_0_x.lora_down.weight": (4,)}))
    made, _, _ = fetcher(folder)
    with pytest.raises(Problem, match="is a LoRA, not a checkpoint") as caught:
        bring_checkpoint(made, "https://huggingface.co/own/model/blob/main/l.safetensors", "the default")
    assert "Add a model" in caught.value.do


def test_useless_files_are_named_and_the_default_is_fetched(
    hub: Hub, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.models / "Stable-diffusion" / "page.safetensors").write_bytes(b"<html>")
    made, heard, _ = fetcher(folder)
    link = "https://huggingface.co/own/model/blob/main/model.safetensors"
    assert bring_checkpoint(made, link, link) == "model.safetensors"
    assert (
        "page.safetensors is in your folder of checkpoints, but it is no use there: it is a web page." in heard.notices
    )


def test_what_shows_sdxl_images_as_they_grow_is_brought(
    web: Web, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = SOUND["pruned, half precision"][0]
    web.answer = lambda path, headers: (200, {"ETag": '"1"'}, content) if "good" in path else (404, {}, b"")
    made, heard, _ = fetcher(folder)
    monkeypatch.setattr("launcher.models.fetcher.PREVIEWS_SOURCES", (f"{web.url}/gone",))
    bring_previews(made, "SDXL")
    assert "Live preview method" in heard.notices[-1]
    monkeypatch.setattr("launcher.models.fetcher.PREVIEWS_SOURCES", (f"{web.url}/gone", f"{web.url}/good"))
    bring_previews(made, "SD 1")
    assert not (folder.models / "VAE-approx").exists()
    bring_previews(made, "SDXL refiner")
    assert (folder.models / "VAE-approx" / PREVIEWS_OF_XL).read_bytes() == content
