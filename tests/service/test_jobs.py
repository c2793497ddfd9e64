"""Add does what a text means, a row each; and a job is undone."""

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from launcher.launch.steps import Failed
from launcher.service.jobs import undo
from launcher.service.questions import NotAnswered
from tests.service.adding import GITHUB, Adding, adding, in_words
from tests.world import safetensors

HUB_FILE = "https://huggingface.co/own/model/blob/main/model.safetensors"
HUB_LORA = "https://huggingface.co/own/loras/blob/main/LORA/Line Art.safetensors"

OLD_FILE = "https://huggingface.co/own/model/blob/main/old.ckpt"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adding]:
    with adding(tmp_path, monkeypatch) as made:
        yield made


# ---- what a text does


def test_names_and_links_and_extensions_go_in_one_text(place: Adding) -> None:
    said = place.add(f"dreamshaper, ultrasharp\n{HUB_LORA}\n{GITHUB}/own/sd-nice")
    assert said[0].startswith("DreamShaper 8: DreamShaper_8_pruned.safetensors: it will be there at the next start")
    assert said[1].startswith("4x-UltraSharp: 4x-UltraSharp.pth")
    assert said[2].startswith(f"{HUB_LORA}: Line Art.safetensors") or "Line%20Art" in said[2]
    assert re.fullmatch(
        r"The extension sd-nice: sd-nice: version .*, added\. It takes effect at the next start\.", said[3]
    )
    assert place.files() == [
        "models/ESRGAN/4x-UltraSharp.pth", "models/Lora/Line Art.safetensors",
        "models/Stable-diffusion/DreamShaper_8_pruned.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "x"), OSError(errno.ENOSPC, "x"), ValueError("x"), NotAnswered("token", "you stopped it")],
)
def test_nothing_that_is_added_sends_people_to_a_cell(
    place: Adding, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*about: object) -> str:
        raise error

    monkeypatch.setattr("launcher.service.jobs.add_one", fails)
    remedy = place.do(what="dreamshaper")[0].remedy
    assert "try again" in remedy.lower()
    assert "▶" not in remedy


def test_a_model_repository_in_the_cell_for_extensions_is_never_cloned(place: Adding) -> None:
    for link in ("https://huggingface.co/own/model", "https://huggingface.co/own/model.git"):
        rows = place.do("change_extensions", action="add", what=link)
        assert "model.safetensors: it will be there" in in_words(rows[0])
    assert place.git.log == []
    assert not list((place.folder.kept / "extensions").iterdir())
    assert place.files() == ["models/Stable-diffusion/model.safetensors"]


def test_a_repository_of_models_on_github_is_no_extension_and_its_files_are_offered(place: Adding) -> None:
    rows = place.do("change_extensions", action="add", what=f"{GITHUB}/own/upscalers")
    assert rows[0].problem == "upscalers has models, and no extension."
    assert rows[0].options == (("4x/sharp.pth", f"{GITHUB}/own/upscalers/blob/HEAD/4x/sharp.pth"),)
    rows = place.do(what=f"{GITHUB}/own/webui")
    assert rows[0].problem == "webui is a whole web UI, not an extension."
    assert not list((place.folder.kept / "extensions").iterdir()), "nothing half-made is left"


def test_an_extension_in_the_cell_for_models_is_added_as_one(place: Adding) -> None:
    assert "sd-nice: version" in place.add(f"{GITHUB}/own/sd-nice", kind="LoRA")[0]
    assert (place.folder.kept / "extensions" / "sd-nice" / ".source").exists()


def test_the_page_may_not_add_programs_unless_the_notebook_allowed_them(place: Adding) -> None:
    said = [in_words(row) for row in place.do(page=True, what=f"controlnet canny\n{GITHUB}/own/sd-nice\n{HUB_FILE}")]
    assert "is a program that can do anything" in said[0]
    assert said[1].startswith("ControlNet canny for Stable Diffusion 1.5: control_v11p_sd15_canny_fp16")
    assert "Add it in the notebook" in said[2]
    assert said[3].startswith(f"{HUB_FILE}: model.safetensors")
    assert place.git.log == []
    place.launch = place.new_launch({"drive_folder": "asd1111", "extensions_tab": True})
    assert "sd-nice: version" in in_words(place.do(page=True, what=f"{GITHUB}/own/sd-nice")[0])


@pytest.mark.parametrize(
    ("link", "kind", "folder", "says"),
    [
        (HUB_FILE, "LoRA", "models/Stable-diffusion", "model.safetensors is a checkpoint, not a LoRA"),
        (HUB_LORA, "checkpoint", "models/Lora", "Line Art.safetensors is a LoRA, not a checkpoint"),
        (HUB_LORA, "LoRA", "models/Lora", ""),
        ("https://civitai.com/models/123", "VAE", "models/Lora", "style.safetensors is a LoRA, not a VAE"),
        (OLD_FILE, "checkpoint", "models/ESRGAN", "old.* is an upscaler, not a checkpoint"),
    ],
)  # fmt: skip
def test_a_file_is_taken_as_what_it_is_and_that_is_said(
    place: Adding, link: str, kind: str, folder: str, says: str
) -> None:
    from tests.models.old_files import SOUND

    place.hub.add("own/model", "old.ckpt", SOUND["upscaler (ESRGAN, old)"][0])
    assert "it will be there" in place.add(link, kind=kind)[0]
    (file,) = place.files()
    assert file.startswith(folder)
    assert re.search(says, " ".join(place.notices)) if says else not place.notices, place.notices


def test_the_usual_extensions_come_with_one_press(place: Adding) -> None:
    said = place.add("the usual extensions")
    assert [line.partition(":")[0] for line in said] == [
        "The extension ADetailer", "The extension Tag completion", "The extension Image browser",
        "The extension Civitai browser", "4x-UltraSharp",
    ]  # fmt: skip
    assert all("added" in line for line in said[:4])
    assert place.files() == ["models/ESRGAN/4x-UltraSharp.pth"]


@pytest.mark.parametrize("text", ["AI/models", "MyDrive/AI/models/x.safetensors", "G:\\My Drive\\AI\\models"])
def test_models_on_drive_are_used_where_they_are_and_no_longer_once_it_is_undone(place: Adding, text: str) -> None:
    place.empty()
    said = place.add(text)
    listed = place.folder.data / "models" / "Stable-diffusion" / "x.safetensors"
    assert "1 checkpoint, used where" in said[0]
    assert listed.resolve() == (place.launch.machine.drive / "AI" / "models" / "x.safetensors").resolve()
    assert place.files() == [], "no second copy"
    place.add(text)
    assert place.jobs[-1].can_undo, "so one of another day can be let go of"
    assert "no longer in the web UI's lists, and stays on your Drive" in undone(place, 0)
    assert not listed.exists()
    assert (place.launch.machine.drive / "AI" / "models" / "x.safetensors").exists()


def test_a_press_on_what_is_offered_adds_just_that(place: Adding) -> None:
    place.hub.add("own/several", "with a space/third one.safetensors", safetensors(2000))
    offered = place.do(what="https://huggingface.co/own/several")[0].options
    assert len(offered) > 1
    for label, text in (*offered, *place.do(what="dreamshaper 7")[0].options):
        (row,) = place.do(what=text)
        assert (row.state, row.problem) == ("done", ""), label
    folder = "models/Stable-diffusion/"
    assert {f"{folder}first.safetensors", f"{folder}DreamShaper_8_pruned.safetensors"} < {*place.files()}


def test_one_that_fails_does_not_keep_the_others_from_coming(place: Adding) -> None:
    said = place.add(f"xyzzy, dreamshaper 7\n{HUB_FILE}")
    assert "Nothing is called **xyzzy**" in said[0]
    assert said[1].endswith("[DreamShaper 8]")
    assert "it will be there" in said[2]


def test_what_does_not_fit_together_is_refused_before_the_first_byte(
    place: Adding, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from launcher.models import catalog

    sized = (replace(model, sources=(replace(model.sources[0], size=3_000_000_000),)) for model in catalog.MODELS)
    monkeypatch.setattr(catalog, "MODELS", tuple(sized))
    monkeypatch.setattr("launcher.core.folder.free_bytes", lambda path: 5_000_000_000)
    said = place.add("dreamshaper\nrealistic vision\nultrasharp")
    assert "What you are adding (3 models) needs 9.0 GB, but the disk has only 5.0 GB free" in said[0]
    assert (place.hub.log, place.files()) == ([], [])


def test_links_that_do_not_fit_together_are_not_begun_together(place: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would fit alone: what the first still needs counts."""
    second = "https://huggingface.co/own/model/blob/main/second.safetensors"
    place.hub.add("own/model", "model.safetensors", safetensors(3_000_000))
    place.hub.add("own/model", "second.safetensors", safetensors(3_000_000, 1))
    place.hub.rate = 1_500_000
    monkeypatch.setattr("launcher.core.folder.free_bytes", lambda path: 4_000_000)
    said = place.add(f"{HUB_FILE}\n{second}")
    refused = [line for line in said if "with what is being downloaded beside it, needs 0.0 GB" in line]
    assert len(refused) == 1
    assert len(place.files()) == 1, "the other one came"


def test_a_name_for_several_and_a_text_without_anything_are_answered_in_one_sentence(place: Adding) -> None:
    assert (
        "several things, but the field **file_name** has only one name"
        in place.add(f"dreamshaper\n{HUB_FILE}", file_name="mine")[0]
    )
    assert "Nothing was written here yet." in place.add("")[0]


def test_a_token_in_an_address_is_in_no_row(place: Adding) -> None:
    asked: tuple[tuple[str, dict[str, Any]], ...] = (
        ("add_model", {"what": "https://me:tok3n@github.com/own/sd-nice"}),
        ("change_extensions", {"action": "add", "what": "https://me:tok3n@github.com/own/sd-nice"}),
        ("change_extensions", {"action": "remove", "what": "https://me:tok3n@github.com/own/sd-nice"}),
        ("change_extensions", {"action": "remove", "what": "ftp://me:tok3n@github.com/own/sd-nice"}),
        ("add_model", {"what": "me:tok3n@github.com/own/sd-nice"}),
        ("add_model", {"what": "github.com/own/sd-nice/raw/x.txt?token=tok3n"}),
    )
    for do, fields in asked:
        rows = place.do(do, **fields)
        assert rows
        assert "tok3n" not in str(rows)


def test_a_token_for_the_page_is_the_one_the_notebook_gave_or_is_asked_for_there(place: Adding) -> None:
    place.hub.gated["own/model"] = {"hf_mine"}
    place.hub.tokens["hf_mine"] = {"name": "me"}
    asked = list[str]()

    def answer(kind: str, **about: str) -> dict[str, str]:
        asked.append(place.jobs[-1].status.now.steps[0].note)
        if len(asked) == 1:
            raise NotAnswered("token", "this notebook is not open")
        return {"token": "hf_mine"}

    place.launch.ask = answer
    said = in_words(place.do(page=True, what=HUB_FILE)[0])
    assert said.endswith(
        "this notebook is not open. Open the notebook, and add it once more: the question is put there."
    )
    assert "it will be there" in in_words(place.do(page=True, what=HUB_FILE)[0])
    assert asked == ["the question about your token is in the notebook"] * 2
    place.empty()
    place.tokens["HF_TOKEN"] = "hf_mine"
    assert "it will be there" in in_words(place.do(page=True, what=HUB_FILE)[0])
    assert len(asked) == 2


# ---- undo


def undone(place: Adding, number: int = -1) -> str:
    """What the row of the undoing says. What other jobs use is told as the service does."""
    job = place.jobs[number]
    others = [fetcher for fetcher in place.launch.fetchers if fetcher not in job.fetchers]
    with suppress(Failed):
        undo(job, {path for fetcher in others for path in fetcher.used})
    return in_words(job.status.now.steps[0])


def test_what_a_job_added_is_taken_away_again_with_what_came_beside_it(place: Adding) -> None:
    before = place.folder.kept / "models" / "Lora" / "Line Art.txt"
    place.folder.prepare()
    before.parent.mkdir(parents=True)
    before.write_text("mine")
    os.utime(before, (time.time() - 1000,) * 2)
    place.add(f"{HUB_LORA}\n{HUB_FILE}\n{GITHUB}/own/sd-nice")
    assert place.jobs[-1].can_undo
    before.with_name("Line Art.preview.png").write_text("a picture that came since")
    said = undone(place)
    assert "taken away: " in said
    assert "Line Art.safetensors" in said
    assert "model.safetensors" in said
    assert "sd-nice is removed; its folder is kept as removed-extensions/sd-nice-" in said
    assert place.files() == ["models/Lora/Line Art.txt"]
    assert not place.jobs[-1].can_undo


def test_what_was_there_before_stays(place: Adding) -> None:
    place.add(f"{HUB_FILE}\n{GITHUB}/own/sd-nice")
    place.add(f"{HUB_FILE}\n{GITHUB}/own/sd-nice")
    assert not place.jobs[-1].can_undo
    assert place.files() == ["models/Stable-diffusion/model.safetensors"]


def test_what_another_job_uses_stays_and_is_named(place: Adding) -> None:
    place.add("sdxl")
    place.add("SDXL Lightning")
    said = undone(place, 0)
    assert "taken away: " in said
    assert "left, for others use it: sdxl.vae.safetensors" in said
    assert "models/VAE/sdxl.vae.safetensors" in place.files()
    assert "models/Stable-diffusion/sd_xl_base_1.0.safetensors" not in place.files()
    assert "models/VAE/sd_xl_base_1.0.vae.safetensors" not in place.files(), "the alias of what went"


def test_a_checkpoint_that_is_loaded_stays(place: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    place.add(HUB_FILE)
    monkeypatch.setattr(type(place.launch.webui), "ready", True)
    monkeypatch.setattr(type(place.launch.webui), "loaded_checkpoint", lambda self: "model.safetensors")
    said = undone(place)
    assert "model.safetensors is loaded in the web UI. Choose another checkpoint" in said
    assert place.files() == ["models/Stable-diffusion/model.safetensors"]
    assert place.jobs[-1].can_undo, "it can be tried again"


def test_an_embedding_goes_from_the_machine_too_and_a_checksum_is_forgotten(place: Adding) -> None:
    from launcher.models.checksums import known_checksum
    from tests.models.old_files import SOUND

    place.hub.add("own/model", "thing.pt", SOUND["embedding of 2022"][0])
    place.add(f"https://huggingface.co/own/model/blob/main/thing.pt\n{HUB_FILE}", kind="embedding")
    copy = place.folder.data / "embeddings" / "thing.pt"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"x")
    model = place.folder.models / "Stable-diffusion" / "model.safetensors"
    assert known_checksum(place.folder, model)
    content, info = model.read_bytes(), model.stat()
    assert "thing.pt" in undone(place)
    assert place.files() == []
    assert not copy.exists()
    model.write_bytes(content)
    os.utime(model, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert known_checksum(place.folder, model) is None
