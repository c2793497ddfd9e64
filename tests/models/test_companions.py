"""What belongs to a file: a name that says something and that the web UI lists, its configuration, its extension."""

import json
import os
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models import ensure
from launcher.models.catalog import MODELS, HubFile, Model
from launcher.models.companions import CONFIG_MOST, SDXL_V, complete_checkpoints, is_harmless
from launcher.models.ensure import ensure_linked_model, ensure_model
from launcher.models.kinds import EXTENSION_KINDS
from launcher.models.places import NO_MODELS, free_to_list, listed_name, require_owner, telling_name
from launcher.models.sources import resolve_link
from tests.models.fetching import fetcher, folder, hub, web
from tests.models.old_files import DETECTOR, SOUND, zipped
from tests.models.test_civitai import MODEL, listing, version
from tests.models.test_identify import CLIP, UNET, tensors
from tests.models.test_unpickle import a1111s_file
from tests.world import safetensors
from tests.world.hub import Hub
from tests.world.web import Answer, Web

__all__ = ["folder", "hub", "web"]

DECODER: dict[str, tuple[int, ...]] = {"first_stage_model.decoder.conv_in.weight": (1,)}
SMALL_XL: dict[str, tuple[int, ...]] = {
    UNET: (2, 4, 3, 3),
    "conditioner.embedders.1.model.ln_final.weight": (2,),
    **DECODER,
}
SD1 = tensors({UNET: (2, 4, 3, 3), CLIP: (2,), **DECODER})
SD2 = tensors({UNET: (2, 4, 3, 3), "cond_stage_model.model.ln_final.weight": (4,), **DECODER})
SDXL = tensors(SMALL_XL)
SDXL_PREDICTS_V = tensors(SMALL_XL | {"v_pred": (0,), "ztsnr": (0,)})
LORA: dict[str, tuple[int, ...]] = {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 4)}
MOTION: dict[str, tuple[int, ...]] = {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (4,)}
V2 = """\
# as Stability published it
model:
  base_learning_rate: 1.0e-4
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    parameterization: "v"
    linear_start: 0.00085
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        attention_resolutions: [ 4, 2, 1 ]
        image_size: 32 # unused
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        monitor: val/rec_loss
        ddconfig:
          ch_mult:
          - 1
          - 2
        lossconfig:
          target: torch.nn.Identity
"""


def link(name: str, repo: str = "own/model") -> str:
    return f"https://huggingface.co/{repo}/blob/main/{name}"


# ---- names


@pytest.mark.parametrize(
    ("name", "title", "becomes"),
    [
        ("diffusion_pytorch_model.safetensors", "controlnet-canny-sdxl-1.0", "controlnet-canny-sdxl-1.0.safetensors"),
        ("diffusion_pytorch_model.fp16.safetensors", "controlnet-canny", "controlnet-canny.fp16.safetensors"),
        ("diffusion_pytorch_model_promax.safetensors", "union-sdxl", "union-sdxl_promax.safetensors"),
        ("pytorch_lora_weights.safetensors", "lcm-lora-sdv1-5", "lcm-lora-sdv1-5.safetensors"),
        ("learned_embeds.bin", "cat-toy", "cat-toy.bin"),
        ("learned_embeds-steps-1000.bin", "cat-toy", "cat-toy-steps-1000.bin"),
        ("adapter_model.safetensors", "style", "style.safetensors"),
        ("model.safetensors", "Anything V5", "Anything V5.safetensors"),
        ("V1.safetensors", "A nice style", "A nice style.safetensors"),
        ("v1.5.safetensors", "Pixel/Art: best!", "Pixel-Art- best.safetensors"),
        ("001.safetensors", "Style", "Style.safetensors"),
        ("1190596.safetensors", "NoobAI", "NoobAI.safetensors"),
        ("pytorch_lora_weights_v2.safetensors", "lcm", "lcm_v2.safetensors"),
        ("model.safetensors", "", "model.safetensors"),
        ("ip-adapter.bin", "InstantID", "instant_id_sdxl.bin"),
        ("diffusion_pytorch_model.bin", "InstantID-ControlNetModel", "instant_id_sdxl-ControlNetModel.bin"),
        ("modelshoot.safetensors", "x", "modelshoot.safetensors"),
        ("v1-5-pruned-emaonly.safetensors", "x", "v1-5-pruned-emaonly.safetensors"),
        ("dreamshaper_8.safetensors", "x", "dreamshaper_8.safetensors"),
    ],
)  # fmt: skip
def test_a_name_that_says_nothing_is_replaced_by_the_models(name: str, title: str, becomes: str) -> None:
    assert telling_name(name, title) == becomes


@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("diffusion_pytorch_model.safetensors", "nice"),
        ("canny/diffusion_pytorch_model.safetensors", "nice-canny"),
        ("unet/diffusion_pytorch_model.safetensors", "nice"),
    ],
)
def test_a_file_of_the_hub_has_its_repositorys_name_for_one(file: str, title: str) -> None:
    assert HubFile("own/nice", file).title == title


def test_a_file_without_a_name_of_its_own_gets_one_from_the_hub(hub: Hub, folder: Folder) -> None:
    repo, file = "xinsir/controlnet-canny-sdxl-1.0", "diffusion_pytorch_model.safetensors"
    hub.add(repo, file, tensors({"controlnet_mid_block.weight": (4,)}))
    made, _, _ = fetcher(folder)
    where = link(file, repo)
    assert ensure_linked_model(made, where) == "controlnet-canny-sdxl-1.0.safetensors"
    assert ensure_linked_model(made, where, name="mine") == "mine.safetensors"


def test_a_file_without_a_name_of_its_own_gets_one_from_civitai(web: Web) -> None:
    told = version(MODEL | {"name": "V1.safetensors"})
    told["model"]["name"] = "A nice style"
    web.answer = listing(told, {"1": safetensors(900)})
    found = resolve_link("https://civitai.com/models/3?modelVersionId=7", "")
    assert telling_name(found.name, found.title) == "A nice style.safetensors"


@pytest.mark.parametrize("name", ["x.vae.safetensors", "x.VAE.ckpt"])
def test_a_checkpoint_is_not_called_as_a_vae_beside_one(name: str) -> None:
    assert listed_name(name, "checkpoint").startswith("x-vae.")
    assert listed_name(name, "VAE") == name


def test_the_name_that_was_said_is_one_that_the_web_ui_lists(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "x.vae.safetensors", safetensors(900))
    made, _, _ = fetcher(folder)
    assert ensure_linked_model(made, link("x.vae.safetensors")) == "x-vae.safetensors"
    assert [path.name for path in folder.checkpoints()] == ["x-vae.safetensors"]


@pytest.mark.parametrize("there", ["Pony/style.safetensors", "style.pt"])
def test_what_another_file_would_hide_gets_a_name_of_its_own(hub: Hub, folder: Folder, there: str) -> None:
    hub.add("own/model", "style.safetensors", tensors(LORA))
    hidden = folder.models / "Lora" / there
    hidden.parent.mkdir(parents=True)
    hidden.write_bytes(zipped(LORA) if there.endswith(".pt") else tensors(LORA | {"alpha": (1,)}))
    made, heard, _ = fetcher(folder)
    name = ensure_linked_model(made, link("style.safetensors"))
    assert name.startswith("style-")
    assert there in heard.notices[-1]
    assert ensure_linked_model(made, link("style.safetensors")) == name, "the second time it is there"


def test_the_same_file_in_a_folder_of_ones_own_is_the_one(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "style.safetensors", tensors(LORA))
    there = folder.models / "Lora" / "Pony" / "style.safetensors"
    there.parent.mkdir(parents=True)
    there.write_bytes(tensors(LORA))
    made, _, _ = fetcher(folder)
    assert ensure_linked_model(made, link("style.safetensors")) == "style.safetensors"
    assert not (folder.models / "Lora" / "style.safetensors").exists()


@pytest.mark.parametrize("below", ["Lora/elsewhere", "LyCORIS"])
def test_what_lies_elsewhere_on_drive_hides_a_name_too(hub: Hub, folder: Folder, below: str) -> None:
    hub.add("own/model", "style.safetensors", tensors(LORA))
    there = folder.data / "models" / below
    there.mkdir(parents=True, exist_ok=True)
    (there / "style.safetensors").write_bytes(tensors(LORA | {"alpha": (1,)}))
    made, _, _ = fetcher(folder)
    name = ensure_linked_model(made, link("style.safetensors"))
    assert name.startswith("style-")
    assert ensure_linked_model(made, link("style.safetensors")) == name


def test_a_free_name_is_free_for_the_web_ui_too(folder: Folder) -> None:
    place = folder.models / "Lora"
    (place / "sub").mkdir(parents=True)
    (place / "sub" / "a.pt").write_bytes(b"")
    assert free_to_list(folder, place / "a.safetensors", "LoRA").name == "a (2).safetensors"
    assert free_to_list(folder, place / "a.safetensors", "checkpoint").name == "a.safetensors"


# ---- an old file, of which nobody says what it is


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("cat.bin", SOUND["embedding, diffusers"][0], "embeddings/cat.bin"),
        ("up.pth", SOUND["upscaler (ESRGAN, old)"][0], "models/ESRGAN/up.pth"),
        ("style.pt", SOUND["LoRA (.pt)"][0], "models/Lora/style.pt"),
        ("m.ckpt", SOUND["pruned, half precision"][0], "models/Stable-diffusion/m.ckpt"),
        ("v.vae.pt", SOUND["VAE (.vae.pt)"][0], "models/VAE/v.vae.pt"),
    ],
)
def test_an_old_file_tells_what_it_is_once_it_is_there(
    hub: Hub, folder: Folder, name: str, content: bytes, where: str
) -> None:
    hub.add("own/model", name, content)
    for _ in range(2):  # the second time it is there
        made, _, _ = fetcher(folder)
        assert ensure_linked_model(made, link(name)) == name
    assert (folder.kept / where).read_bytes() == content
    assert len([path for path in folder.kept.rglob(f"{name[0]}*.*") if path.is_file()]) == 1


# ---- the configuration beside a checkpoint


def test_an_sdxl_model_that_predicts_v_gets_a_configuration_that_says_so(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "noob.safetensors", SDXL_PREDICTS_V)
    made, heard, _ = fetcher(folder)
    ensure_linked_model(made, link("noob.safetensors"))
    config = folder.models / "Stable-diffusion" / "noob.yaml"
    assert "VScaling" in config.read_text()
    assert any("noob.yaml" in told and "Zero Terminal SNR" in told for told in heard.notices)


@pytest.mark.parametrize(("content", "name"), [(SDXL, "m.safetensors"), (SD1, "vpred.safetensors")])
def test_no_other_model_gets_one(hub: Hub, folder: Folder, content: bytes, name: str) -> None:
    hub.add("own/model", name, content)
    made, heard, _ = fetcher(folder)
    ensure_linked_model(made, link(name))
    assert not list((folder.models / "Stable-diffusion").glob("*.yaml"))
    assert any("predicts v" in told for told in heard.notices) == (content == SD1), "what lacks is said"


@pytest.mark.parametrize("content", [SD2, SD1, SDXL])
def test_the_configuration_beside_a_model_at_its_source_is_brought(hub: Hub, folder: Folder, content: bytes) -> None:
    hub.add("own/model", "m.safetensors", content)
    hub.add("own/model", "m.yaml", V2.encode())
    made, _, _ = fetcher(folder)
    ensure_linked_model(made, link("m.safetensors"))
    assert (folder.models / "Stable-diffusion" / "m.yaml").read_text() == V2


def test_a_checkpoint_without_a_vae_gets_one(hub: Hub, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = list[str]()

    def vae(made: Any, model: Any) -> str:  # it lies elsewhere on Drive, and is used there
        brought.append(model.name)
        there = folder.data / "models" / "VAE" / "mine" / model.sources[0].saved_name
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(b"")
        os.truncate(there, model.sources[0].size)
        return str(there.name)

    monkeypatch.setattr(ensure, "ensure_model", vae)
    hub.add("own/model", "with.safetensors", SD1)
    hub.add("own/model", "bare.safetensors", tensors({UNET: (2, 4, 3, 3), CLIP: (2,)}))
    made, heard, _ = fetcher(folder)
    ensure_linked_model(made, link("with.safetensors"))
    assert not brought
    ensure_linked_model(made, link("bare.safetensors"))
    assert brought == ["VAE ft-MSE"]
    assert (folder.models / "VAE" / "bare.vae.safetensors").exists()
    assert any("has no VAE" in told for told in heard.notices)
    ensure_linked_model(made, link("bare.safetensors"))
    assert len(brought) == 1, "it has one"


def test_a_configuration_is_asked_for_once(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "m.safetensors", SDXL)
    hub.fail["m.yaml"] = (503, {"Retry-After": "30"}, b"busy")
    made, _, _ = fetcher(folder)
    ensure_linked_model(made, link("m.safetensors"))
    assert len([entry for entry in hub.log if entry["path"].endswith("m.yaml")]) == 1


def test_civitais_file_of_type_config_is_brought_too(web: Web, folder: Folder) -> None:
    told = version(MODEL, {"id": 5, "name": "m.yaml", "type": "Config"}, base="SD 2.1")
    web.answer = listing(told, {"1": SD2, "5": V2.encode()})
    made, _, _ = fetcher(folder)
    ensure_linked_model(made, "https://civitai.com/models/3?modelVersionId=7")
    assert (folder.models / "Stable-diffusion" / "m.yaml").read_text() == V2


def test_a_configuration_that_is_there_stays(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "m.safetensors", SDXL_PREDICTS_V)
    hub.add("own/model", "m.yaml", V2.encode())
    mine = folder.models / "Stable-diffusion" / "m.yaml"
    mine.write_text("mine")
    made, _, _ = fetcher(folder)
    ensure_linked_model(made, link("m.safetensors"))
    assert mine.read_text() == "mine"


def test_what_is_written_is_a1111s_own_configuration_but_for_the_scaling() -> None:
    """Of SDXL inpainting, which A1111 has itself; that of SDXL, which it fetches, has four channels and checkpoints."""
    own = yaml.safe_load(a1111s_file("configs/sd_xl_inpaint.yaml"))
    params, made = own["model"]["params"], yaml.safe_load(SDXL_V)
    params["network_config"]["params"] |= {"in_channels": 4, "use_checkpoint": True}
    scaling = params["denoiser_config"]["params"]["scaling_config"]
    assert scaling["target"].endswith(".EpsScaling")
    scaling["target"] = scaling["target"].replace("EpsScaling", "VScaling")
    assert made == own


HARMFUL = {
    "a program": V2.replace("ldm.models.autoencoder.AutoencoderKL", "os.system"),
    "a program on the next line": V2.replace("target: torch.nn.Identity", "target:\n            os.system"),
    "a program in quotation marks": V2.replace("torch.nn.Identity", '"os.system"'),
    "an escaped key": V2.replace("target: torch.nn.Identity", '"t\\x61rget": os.system'),
    "a map in a line": V2.replace("monitor: val/rec_loss", "monitor: {target: os.system}"),
    "a tag": V2.replace("val/rec_loss", "!!python/object/apply:os.system [id]"),
    "an anchor": V2.replace("monitor: val/rec_loss", "monitor: &a val").replace("params:", "<<: *a", 1),
    "a variable": V2.replace("val/rec_loss", "${oc.env:HOME}"),
    "a file that is loaded": V2.replace("monitor: val/rec_loss", "ckpt_path: evil.ckpt"),
    "a path": V2.replace("val/rec_loss", "../../evil"),
    "a block of text": V2.replace("monitor: val/rec_loss", "monitor: |"),
    "a page": "model:\n<html>",
    "another class of the same module": V2.replace("ddpm.LatentDiffusion", "ddpm.importlib"),
}


@pytest.mark.parametrize("what", HARMFUL)
def test_a_configuration_that_names_programs_is_not_brought_and_that_is_said(
    hub: Hub, folder: Folder, what: str
) -> None:
    assert is_harmless(V2)
    hub.add("own/model", "m.safetensors", SD2)
    hub.add("own/model", "m.yaml", HARMFUL[what].encode())
    made, heard, _ = fetcher(folder)
    ensure_linked_model(made, link("m.safetensors"))
    assert not list((folder.models / "Stable-diffusion").glob("*.yaml"))
    assert any("was not brought" in told for told in heard.notices)


@pytest.mark.parametrize("content", [V2.encode() + b"#" * CONFIG_MOST, b"\n" * (CONFIG_MOST - 1)])
def test_a_configuration_without_end_or_beginning_is_not_brought(hub: Hub, folder: Folder, content: bytes) -> None:
    hub.add("own/model", "m.safetensors", SD2)
    hub.add("own/model", "m.yaml", content)
    made, _, _ = fetcher(folder)
    ensure_linked_model(made, link("m.safetensors"))
    assert not list((folder.models / "Stable-diffusion").glob("*.yaml"))


def test_a_model_that_came_by_itself_gets_its_configuration_too(web: Web, folder: Folder) -> None:
    place = folder.models / "Stable-diffusion" / "mine"
    place.mkdir()
    (place / "noob.safetensors").write_bytes(SDXL_PREDICTS_V)
    (place / "damaged.safetensors").write_bytes(b"<html>")
    made, _, _ = fetcher(folder)
    complete_checkpoints(made)
    assert sorted(path.name for path in place.glob("*.yaml")) == ["noob.yaml"]


def test_a_model_of_the_list_gets_its_configuration_too(hub: Hub, folder: Folder) -> None:
    hub.add("own/model", "noob.safetensors", SDXL_PREDICTS_V)
    made, heard, _ = fetcher(folder)
    ensure_model(made, Model("NoobAI", "SDXL", "its own", (HubFile("own/model", "noob.safetensors"),)))
    config = folder.models / "Stable-diffusion" / "noob.yaml"
    assert config in made.added
    assert any("Zero Terminal SNR" in told for told in heard.notices)
    assert any(model.name.startswith("NoobAI") and "v-pred" in model.name for model in MODELS)


# ---- what is an extension's, and what is no model


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("motion module", "mm_sd_v15.safetensors", tensors(MOTION)),
        ("motion module", "mm_sd_v15.ckpt", zipped(MOTION)),
        ("detector", "face_yolov8n.pt", DETECTOR),
    ],
)
def test_a_file_of_an_extension_goes_there_if_that_is_installed(
    hub: Hub, folder: Folder, kind: str, name: str, content: bytes
) -> None:
    owner = EXTENSION_KINDS[kind]
    hub.add("own/model", name, content)
    made, _, _ = fetcher(folder)
    with pytest.raises(Problem, match=rf"is a {kind} for the extension {owner.name}") as caught:
        ensure_linked_model(made, link(name))
    assert owner.address in caught.value.do
    assert not list(folder.kept.rglob("*.p*t*"))
    (folder.kept / "extensions" / owner.address.rpartition("/")[2]).mkdir()
    require_owner(folder, kind, name)
    made, heard, _ = fetcher(folder)
    assert ensure_linked_model(made, link(name)) == name
    assert (folder.kept / owner.folder / name).read_bytes() == content
    assert "Restart the web UI" in heard.notices[-1]


@pytest.mark.parametrize("kind", ["Workflows", "Poses", "Wildcards"])
def test_what_is_no_model_is_named_with_what_to_do_with_it(web: Web, kind: str) -> None:
    file = {"id": 1, "name": "many.zip", "type": "Archive", "primary": True}
    web.answer = listing(version(file, kind=kind), {"1": b""})
    with pytest.raises(Problem) as caught:
        resolve_link("https://civitai.com/models/3?modelVersionId=7", "")
    assert caught.value.do == NO_MODELS[kind.lower()][1]
    assert "field" not in caught.value.do


def test_civitais_detectors_and_motion_modules_have_their_kind(web: Web) -> None:
    def answer(path: str, headers: dict[str, str]) -> Answer:
        if "/api/v1/" in path:
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
        return 200, {}, b"x" * 900

    web.answer = answer
    for type_, kind in (("MotionModule", "motion module"), ("Detection", "detector"), ("Upscaler", "upscaler")):
        told = version(MODEL | {"name": "x.pt"}, kind=type_)
        assert resolve_link("https://civitai.com/models/3?modelVersionId=7", "").kind == kind
