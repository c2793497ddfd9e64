"""Google Drive, the hub and its stores: what is fetched from each, and what each refusal means."""

import threading
from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models.companions import OF_SD1, OF_XL, complete_checkpoints, fetch_previews, lend_previews
from launcher.models.ensure import ensure_checkpoint, ensure_linked_model
from launcher.models.http import read_range
from launcher.models.sources import resolve_link
from tests.models.fetching import STORE, fetcher, folder, hub, web
from tests.models.old_files import SOUND
from tests.models.test_identify import UNET, tensors
from tests.world.hub import Hub
from tests.world.web import Web

__all__ = ["folder", "hub", "web"]

LINK = "https://huggingface.co/own/model/blob/main/model.safetensors"
HTML = {"Content-Type": "text/html; charset=utf-8"}


# ---- the hub and its stores


def test_the_hubs_size_and_checksum_are_known_before_the_first_byte(hub: Hub) -> None:
    found, file = resolve_link(LINK, ""), hub.root / "own/model/model.safetensors"
    assert (found.size, found.sha256) == (file.stat().st_size, hub.sha256(file))
    assert hub.sent() <= 1, "the byte that the question is for"


def test_a_busy_hub_is_asked_with_the_token_that_is_there(hub: Hub, folder: Folder) -> None:
    hub.tokens["hf_mine"], hub.busy = {"name": "me"}, True
    made, _, asked = fetcher(folder, "hf_mine")
    assert ensure_linked_model(made, LINK, "checkpoint")
    assert asked == ["HF_TOKEN"]
    made, _, asked = fetcher(folder, "")
    with pytest.raises(Problem, match="too many requests"):
        ensure_linked_model(made, LINK, "LoRA")


def test_a_busy_hub_is_asked_again_as_late_as_it_says(hub: Hub) -> None:
    hub.fail["model.safetensors"] = (429, {"Retry-After": "1"}, b"")
    threading.Timer(0.5, hub.fail.clear).start()
    assert resolve_link(LINK, "").size
    first, second = [entry["at"] for entry in hub.log]
    assert second - first >= 1.0


def test_a_store_that_refuses_is_asked_for_anew_and_then_named(hub: Hub) -> None:
    hub.redirect = True
    remote = resolve_link(LINK, "")
    hub.expired = 2
    assert len(read_range(remote, 0, 100)) == 100
    hub.expired = 1000
    with pytest.raises(Problem, match=rf"redirects the download to {STORE}, which refuses it \(HTTP 403\)"):
        read_range(remote, 0, 100)


def test_a_link_to_a_lora_in_the_field_checkpoint_is_refused(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "l.safetensors", tensors({"lora_unet_down_blocks_0_x.lora_down.weight": (4,)}))
    made, _, _ = fetcher(folder)
    with pytest.raises(Problem, match="is a LoRA, not a checkpoint") as caught:
        ensure_checkpoint(made, "https://huggingface.co/own/model/blob/main/l.safetensors", "the default")
    assert "you can add l.safetensors with **Add**" in caught.value.do


def test_useless_files_are_named_and_the_default_is_fetched(hub: Hub, folder: Folder) -> None:
    (folder.models / "Stable-diffusion" / "page.safetensors").write_bytes(b"<html>")
    made, heard, _ = fetcher(folder)
    assert ensure_checkpoint(made, LINK, LINK) == "model.safetensors"
    assert "page.safetensors is in your checkpoint folder, but cannot be used: it is a web page." in heard.notices


def test_what_shows_sdxl_images_as_they_grow_is_brought_by_the_first_that_has_it(web: Web, folder: Folder) -> None:
    content = SOUND["pruned, half precision"][0]
    made, heard, _ = fetcher(folder)
    fetch_previews(made, "SDXL")
    assert "finished images are not affected" in heard.notices[-1]
    last = web.asked[-1][0].split("/")[1]
    assert not web.asked[0][0].startswith(f"/{last}/"), "there is no other source"
    web.answer = lambda path, headers: (
        (200, {"ETag": '"1"'}, content) if path.startswith(f"/{last}/") else (404, {}, b"")
    )
    fetch_previews(made, "SD 1")
    assert not (folder.models / "VAE-approx").exists()
    fetch_previews(made, "SDXL refiner")
    assert (folder.models / "VAE-approx" / OF_XL).read_bytes() == content


def test_it_is_brought_for_an_sdxl_checkpoint_that_came_by_itself_and_for_no_other(web: Web, folder: Folder) -> None:
    content = SOUND["pruned, half precision"][0]
    web.answer = lambda path, headers: (200, {"ETag": '"1"'}, content)
    checkpoints = folder.models / "Stable-diffusion"
    xl = {UNET: (320, 4, 3, 3), "conditioner.embedders.1.model.ln_final.weight": (1280,)}
    (checkpoints / "sd1.safetensors").write_bytes(tensors({UNET: (320, 4, 3, 3), "cond_stage_model.x": (1,)}))
    (checkpoints / "damaged.safetensors").write_bytes(b"<html>")
    made, _, _ = fetcher(folder)
    complete_checkpoints(made)
    assert not (folder.models / "VAE-approx").exists()
    (checkpoints / "mine").mkdir()
    (checkpoints / "mine" / "xl.safetensors").write_bytes(tensors(xl))
    complete_checkpoints(made)
    assert (folder.models / "VAE-approx" / OF_XL).read_bytes() == content


def test_until_it_is_there_a1111s_own_file_for_sd1_stands_in(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "VAE-approx"
    lend_previews(tmp_path)
    assert not folder.exists()
    folder.mkdir(parents=True)
    (folder / OF_SD1).write_bytes(b"of the same shape")
    for _ in range(2):
        lend_previews(tmp_path)
        assert (folder / OF_XL).read_bytes() == b"of the same shape"
    (folder / OF_XL).unlink()
    (folder / OF_XL).write_bytes(b"the right one")
    lend_previews(tmp_path)
    assert (folder / OF_XL).read_bytes() == b"the right one"
