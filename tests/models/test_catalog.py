"""The tables of models: every row can be fetched, and is where the web UI looks for it."""

import re
from dataclasses import replace

import pytest

from launcher.core.fields import DEFAULT_CHECKPOINT
from launcher.models.catalog import (
    CHECKPOINT_NAMES,
    CHECKPOINTS_FOLDER,
    CONTROL_MODELS,
    MODEL_TABLE,
    MODELS,
    OLD_CONTROL_MODELS,
    HubFile,
    Model,
    chosen_controls,
    controls_in,
    model_named,
    table_models,
)
from launcher.models.kinds import KIND_FOLDERS
from launcher.models.pasted import safe_name
from tests.models.fetching import hub
from tests.programs.catalog import report
from tests.world.hub import Hub

__all__ = ["hub"]

CONTROLS = [model for table in (CONTROL_MODELS, OLD_CONTROL_MODELS) for row in table.values() for model in row.values()]


def test_no_two_models_have_one_name() -> None:
    assert len({model.name for model in MODELS}) == len(MODELS) == len(re.findall(r"(?m)^\S", MODEL_TABLE))


@pytest.mark.parametrize("model", [*MODELS, *dict.fromkeys(CONTROLS)], ids=lambda model: model.name)
def test_a_row_says_what_must_be_known_to_fetch_it(model) -> None:  # type: ignore[no-untyped-def]
    assert f"models/{model.folder}" in KIND_FOLDERS.values()
    assert model.sources
    for source in model.sources:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.repo)
        assert safe_name(source.saved_name) == source.saved_name
        assert re.fullmatch(r"main|[0-9a-f]{40}", source.revision)
        assert re.fullmatch(r"[0-9a-f]{64}" if model in MODELS else r"([0-9a-f]{64})?", source.sha256)
        assert source.size > 10_000_000 if model in MODELS else source.size >= 0


def test_make_catalog_says_what_has_changed_at_the_hub(hub: Hub) -> None:
    there = hub.root / "own/model/model.safetensors"
    sound = HubFile("own/model", "model.safetensors", "main", there.stat().st_size, hub.sha256(there))
    rows = (sound, replace(sound, size=7), replace(sound, sha256=""), replace(sound, filename="gone.safetensors"))
    lines = report([Model(f"Model {number}", "SD 1.5", "MIT", (row,)) for number, row in enumerate(rows)])
    assert len(lines) == 3
    for line, says in zip(lines, (f"size {sound.size} (the row: 7)", f"SHA-256 {sound.sha256}", "gone"), strict=True):
        assert says in line


def test_who_has_to_choose_is_told_what_each_model_is_good_at() -> None:
    assert len({model.good_at for model in MODELS} - {""}) == len(MODELS)
    families = {model.family for model in MODELS if model.folder == CHECKPOINTS_FOLDER}
    assert families == {"SD 1.5", "SDXL"}
    for name in ("Illustrious", "NoobAI", "Animagine", "Pony", "Realistic Vision", "RealVisXL", "Juggernaut", "Mo-Di"):
        assert any(name in model.name for model in MODELS), name


def test_a_first_launch_brings_a_model_that_has_a_second_source() -> None:
    first = MODELS[0]
    assert first.name == DEFAULT_CHECKPOINT == CHECKPOINT_NAMES[0]
    assert first.sources[0].size < 2_200_000_000
    assert len({(source.size, source.sha256, source.saved_name) for source in first.sources}) == 1 < len(first.sources)


def test_the_vae_that_a_model_needs_is_in_the_list() -> None:
    needed = [model.beside for model in MODELS if model.beside]
    assert needed
    for name in needed:
        vae = model_named(name)
        assert vae is not None
        assert vae.folder == "VAE"
    assert not {vae for vae in needed if vae in CHECKPOINT_NAMES}


def test_a_row_that_lacks_a_word_is_refused() -> None:
    sound = "A | SD 1.5 | MIT | faces\n  own/model a.safetensors\n  main 7 " + "a" * 64
    assert [model.name for model in table_models(sound)] == ["A"]
    for broken in (sound.removesuffix("a" * 64), sound.replace(" | MIT | faces", ""), sound.replace(" 7 ", " seven ")):
        with pytest.raises(ValueError):
            list(table_models(broken))
    with pytest.raises(ValueError):
        controls_in("Stable Diffusion 1.5 | MIT | own/model\n  canny file 7")


def test_no_choice_and_a_comma_too_many_mean_what_a_person_expects() -> None:
    family = "Stable Diffusion 1.5"
    assert chosen_controls(family, " ") == chosen_controls(family, "essentials")
    assert chosen_controls(family, "canny, ,depth,") == chosen_controls(family, "canny depth")
