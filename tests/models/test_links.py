"""What a link means, and the four different refusals of the hub."""

import contextlib
import itertools
import json
import os
import pickle
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models.catalog import HubFile, Model
from launcher.models.ensure import READ_AHEAD, ensure_checkpoint, ensure_linked_model, ensure_model, read_ahead
from launcher.models.fetch import Fetcher, with_token
from launcher.models.kinds import KIND_FOLDERS
from launcher.models.pasted import safe_name
from launcher.models.remote import Remote, TokenNeeded
from launcher.models.sources.hugging_face import resolve_hub_file
from tests.models.fetching import fetcher, folder, hub, web
from tests.models.old_files import SOUND, torch_zip
from tests.world import safetensors
from tests.world.heard import Heard
from tests.world.hub import Hub
from tests.world.web import Web

__all__ = ["folder", "hub", "web"]


class Told:
    def __init__(self, folder: Folder, token: str = "") -> None:
        self.fetcher, self.heard, self.asked = fetcher(folder, token)
        self.notices = self.heard.notices


FILE = HubFile("own/model", "model.safetensors")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/x.safetensors", "x.safetensors"),
        (".hidden.ckpt", "hidden.ckpt"),
        ("a\\b\\c?.pt", "c_.pt"),
        ("ü (1).safetensors", "ü (1).safetensors"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["", "..", "\u3000"])
def test_no_name_at_all_can_be_given_by_hand(name: str) -> None:
    with pytest.raises(Problem, match=r"does not tell what the file is called.*\*\*file_name\*\*"):
        safe_name(name)


@pytest.mark.parametrize(
    "name", ["page.html", "run.sh", "model", "\u3000.ckpt", ".ckpt", " . .pt", "\u200d.pt", "\xa0.pt"]
)
def test_a_name_that_is_no_models_is_refused(name: str) -> None:
    with pytest.raises(Problem, match="is not the name of a model file"):
        safe_name(name)


def test_gated_without_a_token_asks_for_one(hub: Hub) -> None:
    hub.gated["own/model"] = set()
    with pytest.raises(TokenNeeded) as caught:
        resolve_hub_file(FILE, "")
    assert caught.value.name == "HF_TOKEN"


@pytest.mark.parametrize(
    ("prepare", "token", "says", "page"),
    [
        ("not accepted", "hf_mine", "has not accepted the conditions", "https://huggingface.co/own/model"),
        ("no right", "hf_mine", "does not have permission to read gated repositories", "settings/tokens"),
        ("accepted", "hf_wrong", "does not know your token", "settings/tokens"),
        ("gone", "", "is gone from Hugging Face, or private", "https://huggingface.co/own/other"),
        ("renamed", "", "is not in own/model any more", "/tree/main"),
        ("busy", "hf_mine", "too many requests", "Wait"),
        ("broken", "", "problem of its own", "Wait"),
        ("off", "", "does not answer", "Wait"),
    ],
)
def test_each_refusal_of_the_hub_has_a_sentence_and_a_page(
    hub: Hub, prepare: str, token: str, says: str, page: str
) -> None:
    file = FILE
    hub.tokens["hf_mine"] = {"name": "me", "gated_ok": prepare != "no right"}
    if prepare in ("not accepted", "no right"):
        hub.gated["own/model"] = set()
    elif prepare == "gone":
        file = HubFile("own/other", "model.safetensors")
    elif prepare == "renamed":
        file = HubFile("own/model", "old.safetensors")
    elif prepare in ("busy", "broken"):
        hub.fail["model.safetensors"] = (429 if prepare == "busy" else 500, {}, b"")
    elif prepare == "off":
        hub.close()
    with pytest.raises(Problem) as caught:
        resolve_hub_file(file, token)
    assert says in caught.value.what
    assert page in caught.value.do


TENSORS = {
    "LoRA": "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
    "checkpoint": "model.diffusion_model.input_blocks.0.0.weight",
    "VAE": "first_stage_model.encoder.conv_in.weight",
    "ControlNet": "control_model.input_hint_block.0.weight",
    "embedding": "emb_params",
}


def file_with(*tensors: str) -> bytes:
    header = {
        name: {"dtype": "U8", "shape": [4], "data_offsets": [at * 4, at * 4 + 4]} for at, name in enumerate(tensors)
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"1234" * len(tensors)


@pytest.mark.parametrize("kind", TENSORS)
def test_what_a_file_is_shows_in_its_tensors_and_decides_its_folder(hub: Hub, folder: Folder, kind: str) -> None:
    tensors = (TENSORS[kind], "cond_stage_model.transformer.x") if kind == "checkpoint" else (TENSORS[kind],)
    hub.add("own/model", "thing.safetensors", file_with(*tensors))
    name = ensure_linked_model(Told(folder).fetcher, "https://huggingface.co/own/model/blob/main/thing.safetensors")
    assert (folder.kept / KIND_FOLDERS[kind] / name).exists()


def test_a_model_a1111_cannot_run_is_refused_before_it_is_fetched(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "flux.safetensors", file_with("model.diffusion_model.double_blocks.0.img_attn.weight"))
    hub.log.clear()
    with pytest.raises(Problem, match="cannot run"):
        ensure_linked_model(Told(folder).fetcher, "https://huggingface.co/own/model/blob/main/flux.safetensors")
    assert hub.sent() < 1000


def test_a_name_of_ones_own_keeps_its_ending_and_stays_in_the_folder(hub: Hub, folder: Folder) -> None:
    link = "https://huggingface.co/own/model/blob/main/model.safetensors"
    assert ensure_linked_model(Told(folder).fetcher, link, "checkpoint", "../mine") == "mine.safetensors"


@pytest.mark.parametrize("page", ["download.php?id=3", "File.ashx?id=3", "get.aspx"])
def test_a_file_that_its_server_has_no_name_for_gets_the_one_that_a_person_writes(
    web: Web, folder: Folder, page: str
) -> None:
    web.answer = lambda path, headers: (200, {"ETag": '"1"'}, file_with(TENSORS["LoRA"]))
    link = f"https://example.com/{page}"
    with pytest.raises(Problem, match="does not tell what the file is called"):
        ensure_linked_model(Told(folder).fetcher, link, "LoRA")
    assert ensure_linked_model(Told(folder).fetcher, link, "LoRA", "mine") == "mine.safetensors"


def test_whatever_has_its_names_already_a_file_finds_one_of_its_own(web: Web, folder: Folder) -> None:
    names, link = list[str](), "https://example.com/style.safetensors"
    contents = [file_with(TENSORS["LoRA"], f"alpha{number}") for number in range(3)]
    web.answer = lambda path, headers: (200, {"ETag": '"1"'}, contents[len(names)])
    for _ in contents:
        names.append(ensure_linked_model(Told(folder).fetcher, link, "LoRA"))
    assert len(set(names)) == len(list((folder.models / "Lora").iterdir())) == 3


def test_an_old_file_that_would_run_a_program_is_never_put_in_place(hub: Hub, folder: Folder) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.system, ("echo evil",))

    hub.add("own/model", "evil.ckpt", torch_zip(pickle.dumps(Evil(), 2), {}))
    with pytest.raises(
        Problem, match=r"evil.ckpt is not a usable model file: it would run (posix|os|nt)\.system on loading"
    ):
        ensure_linked_model(Told(folder).fetcher, "https://huggingface.co/own/model/blob/main/evil.ckpt", "checkpoint")
    assert list((folder.models / "Stable-diffusion").iterdir()) == []


def test_an_old_file_of_plain_tensors_is_taken_with_a_word_about_safetensors(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "old.ckpt", SOUND["pruned, half precision"][0])
    told = Told(folder)
    ensure_linked_model(told.fetcher, "https://huggingface.co/own/model/blob/main/old.ckpt", "checkpoint")
    assert "Choose a .safetensors file" in told.notices[0]


def test_a_public_model_is_fetched_without_any_token(hub: Hub, folder: Folder) -> None:
    told = Told(folder, "hf_wrong")
    assert (
        ensure_linked_model(told.fetcher, "https://huggingface.co/own/model/blob/main/model.safetensors", "checkpoint")
        == "model.safetensors"
    )
    assert told.asked == []
    assert [entry for entry in hub.log if entry["auth"]] == []


def test_a_gated_model_is_fetched_with_the_token_that_was_asked_for(hub: Hub, folder: Folder) -> None:
    hub.tokens["hf_mine"], hub.gated["own/model"] = {"name": "me"}, {"hf_mine"}
    told = Told(folder, "hf_mine")
    ensure_linked_model(told.fetcher, "https://huggingface.co/own/model/blob/main/model.safetensors", "checkpoint")
    assert told.asked == ["HF_TOKEN"]


def test_nobody_is_asked_for_a_token_that_may_be_in_vain(folder: Folder, hub: Hub) -> None:
    asked: list[tuple[str, str]] = []

    def ask(name: str, reason: str) -> str:
        asked.append((name, reason))
        return ""

    made = Fetcher(folder, "Google Drive", ask, Heard())
    with pytest.raises(Problem, match="gone from Hugging Face, or private"):
        ensure_linked_model(made, "https://huggingface.co/own/gone/blob/main/model.safetensors", "checkpoint")
    assert asked == [("HF_TOKEN", "")]


def test_a_password_kept_for_other_programs_goes_nowhere(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    hub.redirect, hub.tokens, hub.private = True, {"hf_mine": {"name": "me"}}, {"own/model": {"hf_mine"}}
    assert resolve_hub_file(FILE, "hf_mine").size
    assert [entry["auth"] for entry in hub.log] == ["Bearer hf_mine", None]
    with pytest.raises(TokenNeeded):
        resolve_hub_file(FILE, "")
    assert hub.log[-1]["auth"] is None


def test_a_source_that_takes_for_ever_is_not_waited_for(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.models.fetch.LONGEST_QUESTION", 0.2)
    over = threading.Event()

    def resolve(token: str) -> Remote:
        over.wait(60)
        raise AssertionError("it was waited for")

    with pytest.raises(Problem, match="far too slowly"):
        with_token(Told(folder).fetcher, resolve)
    over.set()


def test_a_model_of_the_list_that_lies_elsewhere_on_drive_is_used_there(hub: Hub, folder: Folder) -> None:
    content = (hub.root / "own/model/model.safetensors").read_bytes()
    elsewhere = folder.kept.parent.parent / "AI"
    elsewhere.mkdir()
    (elsewhere / "model.safetensors").write_bytes(content)
    (folder.data / "models" / "Stable-diffusion").mkdir(parents=True, exist_ok=True)
    (folder.data / "models" / "Stable-diffusion" / "AI").symlink_to(elsewhere)
    for size, asked in ((len(content), False), (len(content) + 1, True)):
        with contextlib.suppress(Problem):  # the hub's has another size than that of the second row
            ensure_model(Told(folder).fetcher, Model("A model", "SD 1.5", "MIT", (replace(FILE, size=size),)))
        assert bool(hub.log) == asked
    assert not (folder.models / "Stable-diffusion" / "model.safetensors").exists()


def test_the_next_source_is_tried_and_that_is_said(hub: Hub, folder: Folder) -> None:
    hub.add("other/model", "full.safetensors", safetensors(50_000))
    model = Model(
        "A model", "SD 1.5", "MIT", (HubFile("gone/model", "a.safetensors"), HubFile("other/model", "full.safetensors"))
    )
    told = Told(folder)
    assert ensure_model(told.fetcher, model) == "full.safetensors"
    assert "gone/model is gone" in told.notices[0]
    assert "The next source is tried" in told.notices[0]


def test_a_file_whose_checksum_changed_at_its_source_is_not_taken(hub: Hub, folder: Folder) -> None:
    model = Model("A model", "SD 1.5", "MIT", (HubFile("own/model", "model.safetensors", sha256="0" * 64),))
    with pytest.raises(Problem, match="its size or checksum is different now"):
        ensure_model(Told(folder).fetcher, model)
    assert hub.sent() <= 1, "the byte that the question is for"


def test_a_vae_is_bound_to_its_model_by_name(hub: Hub, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("own/vae", "v.safetensors", safetensors(5_000))
    vae = Model("The VAE", "SD 1.5", "MIT", (HubFile("own/vae", "v.safetensors"),), folder="VAE")
    # The catalog's own files are too large for a stand-in, and their checksums are known.
    monkeypatch.setattr("launcher.models.ensure.model_named", lambda name: vae if name == "The VAE" else None)
    model = Model("A model", "SD 1.5", "MIT", (FILE,), beside="The VAE")
    ensure_model(Told(folder).fetcher, model)
    assert (folder.models / "VAE" / "model.vae.safetensors").read_bytes() == (
        folder.models / "VAE" / "v.safetensors"
    ).read_bytes()


def test_a_non_commercial_licence_is_said_before_the_download(hub: Hub, folder: Folder) -> None:
    model = Model("A model", "SDXL", "for fun only (non-commercial)", (FILE,))
    told = Told(folder)
    ensure_model(told.fetcher, model)
    assert "licensed under for fun only" in told.notices[0]


def test_nothing_is_fetched_when_a_checkpoint_is_there_and_none_was_chosen(hub: Hub, folder: Folder) -> None:
    (folder.models / "Stable-diffusion" / "mine.safetensors").write_bytes(safetensors(100))
    assert ensure_checkpoint(Told(folder).fetcher, "The default", "The default") == "mine.safetensors"
    assert hub.log == []


def test_another_file_of_the_same_name_is_not_overwritten(hub: Hub, folder: Folder) -> None:
    hub.add("own/other", "mine.safetensors", safetensors(70_000))
    mine = folder.models / "Stable-diffusion" / "mine.safetensors"
    other = safetensors(30_000)
    mine.write_bytes(other)
    link, told = "https://huggingface.co/own/other/blob/main/mine.safetensors", Told(folder)
    name = ensure_linked_model(told.fetcher, link, "checkpoint")
    assert re.fullmatch(r"mine-[0-9a-f]{8}\.safetensors", name)
    assert mine.read_bytes() == other
    assert mine.with_name(name).read_bytes() == (hub.root / "own/other/mine.safetensors").read_bytes()
    assert "There is already another file called mine.safetensors" in told.notices[0]
    assert ensure_linked_model(told.fetcher, link, "checkpoint") == name, "the second time it is there"


def test_the_same_name_and_size_is_not_the_same_file(hub: Hub, folder: Folder) -> None:
    hub.add("own/other", "mine.safetensors", safetensors(30_000))
    mine = folder.models / "Stable-diffusion" / "mine.safetensors"
    mine.write_bytes(safetensors(30_000))
    told = Told(folder)
    name = ensure_linked_model(
        told.fetcher, "https://huggingface.co/own/other/blob/main/mine.safetensors", "checkpoint"
    )
    assert (
        mine.with_name(name).read_bytes() == (hub.root / "own/other/mine.safetensors").read_bytes() != mine.read_bytes()
    )


def test_a_web_page_saved_as_a_model_is_set_aside_and_named(hub: Hub, folder: Folder) -> None:
    broken = folder.models / "Stable-diffusion" / "model.safetensors"
    broken.write_bytes(b"<!doctype html>" + b" " * 1000)
    told = Told(folder)
    ensure_model(told.fetcher, Model("A model", "SD 1.5", "MIT", (FILE,)))
    assert "model.safetensors was already there, but is not a usable model file" in told.notices[0]
    assert broken.with_name("model.safetensors.broken").read_bytes().startswith(b"<!doctype")
    assert broken.read_bytes() == (hub.root / "own/model/model.safetensors").read_bytes()


def test_of_a_file_that_is_there_nothing_is_fetched_but_the_byte_that_the_question_is_for(
    hub: Hub, folder: Folder
) -> None:
    link = "https://huggingface.co/own/model/blob/main/model.safetensors"
    for most in (200_000, 1):
        hub.log.clear()
        assert ensure_linked_model(Told(folder).fetcher, link, "checkpoint", required=True) == "model.safetensors"
        assert hub.sent() <= most


def test_a_file_that_is_there_is_used_when_its_source_is_down(hub: Hub, folder: Folder) -> None:
    told = Told(folder)
    link = "https://huggingface.co/own/model/blob/main/model.safetensors"
    ensure_linked_model(told.fetcher, link, "checkpoint")
    hub.fail["model.safetensors"] = (500, {}, b"")
    assert ensure_linked_model(told.fetcher, link, "checkpoint") == "model.safetensors"
    assert "is used as it is" in told.notices[0]


def test_a_checkpoint_is_not_read_on_once_the_launch_is_over(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(safetensors(5 * READ_AHEAD))
    asked = itertools.count(1)
    read_ahead(tmp_path / "mine.safetensors", lambda: next(asked) > 3)
    assert next(asked) - 1 in (3 + 5, 3 + 6), "three pieces, then one look for each of the six stretches"
