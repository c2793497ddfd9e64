"""The form's fields: what is wrong is said by name, with the remedy, before anything runs."""

import pytest

from launcher.core.problem import Problem
from launcher.core.settings import Settings
from launcher.models.catalog import CHECKPOINT_NAMES, DEFAULT_MODEL

GOOD = {
    "checkpoint": DEFAULT_MODEL,
    "keep_models_on": "Google Drive",
    "drive_folder": "asd1111",
    "update": True,
    "api": False,
    "link": "automatic",
    "extra_arguments": "",
    "give_back_after": 0,
    "extensions_tab": False,
}


def filled(**changed: object) -> Settings:
    return Settings.from_form(known_checkpoints=CHECKPOINT_NAMES, **{**GOOD, **changed})  # type: ignore[arg-type]


def test_the_form_as_it_comes_is_right() -> None:
    assert filled().checkpoint == DEFAULT_MODEL


def test_capitals_and_spaces_around_a_name_do_not_matter() -> None:
    assert filled(checkpoint=" dreamshaper 8 ").checkpoint == "DreamShaper 8"


def test_a_link_is_a_checkpoint_too() -> None:
    assert filled(checkpoint="https://huggingface.co/a/b/blob/main/c.safetensors").checkpoint.startswith("https://")


def test_arguments_are_split_as_a_shell_does() -> None:
    assert filled(extra_arguments='--theme dark --ckpt-dir "/a b"').extra_arguments == (
        "--theme",
        "dark",
        "--ckpt-dir",
        "/a b",
    )


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("checkpoint", "Stabel Diffusion 15", "Stable Diffusion 1.5"),
        ("checkpoint", "", "neither a known model nor a link"),
        ("drive_folder", "../other", "not a plain folder name"),
        ("drive_folder", "a/b", "not a plain folder name"),
        ("drive_folder", ".hidden", "not a plain folder name"),
        ("drive_folder", "", "not a plain folder name"),
        ("keep_models_on", "floppy", "Google Drive, this session only"),
        ("link", "pigeon", "automatic"),
        ("give_back_after", -1, "whole number from 0"),
        ("give_back_after", "soon", "whole number from 0"),
        ("extra_arguments", "--share", "public link itself"),
        ("extra_arguments", "--gradio-auth=a:b", "login of its own"),
        ("extra_arguments", "--listen --port 80", "--listen"),
        ("extra_arguments", '--theme "dark', "quotation mark"),
    ],
)
def test_a_wrong_field_is_named_with_its_remedy(field: str, value: object, says: str) -> None:
    with pytest.raises(Problem) as caught:
        filled(**{field: value})
    assert caught.value.field == field
    assert field in caught.value.what
    assert says in str(caught.value)
    assert caught.value.do.endswith(".")
