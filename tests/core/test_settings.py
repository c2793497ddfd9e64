"""The form's fields: what is wrong is said by name, with the remedy, before anything runs."""

from dataclasses import asdict

import pytest

from launcher.core.fields import DEFAULTS, FIELDS, Settings
from launcher.core.problem import Problem
from launcher.models.catalog import CHECKPOINT_NAMES, MODELS


def filled(**changed: object) -> Settings:
    return Settings.from_form({**DEFAULTS, **changed}, CHECKPOINT_NAMES)


def test_the_form_as_it_comes_is_right() -> None:
    assert filled().checkpoint == MODELS[0].name == DEFAULTS["checkpoint"]


def test_capitals_and_spaces_around_a_name_do_not_matter() -> None:
    assert filled(checkpoint=" dreamshaper 8 ").checkpoint == "DreamShaper 8"


def test_a_link_is_a_checkpoint_too() -> None:
    assert filled(checkpoint="https://huggingface.co/a/b/blob/main/c.safetensors").checkpoint.startswith("https://")


def test_arguments_are_split_as_a_shell_does() -> None:
    assert filled(extra_arguments='--theme dark --vae-path "/a b"').extra_arguments == (
        "--theme",
        "dark",
        "--vae-path",
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
        ("keep_on_drive", "floppy", "everything, images and settings, nothing"),
        ("version", "v1; rm -rf", "cannot be a version"),
        ("version", "../x", "cannot be a version"),
        ("link", "pigeon", "automatic"),
        ("give_back_after", -1, "whole number from 0"),
        ("give_back_after", "soon", "whole number from 0"),
        ("extra_arguments", "--share", "public link itself"),
        ("extra_arguments", "--gradio-auth=a:b", "login of its own"),
        ("extra_arguments", "--listen --port 80", "--listen"),
        ("extra_arguments", '--theme "dark', "quotation mark"),
        ("extra_arguments", "--ui-settings-file /x/config.json", "--ui-settings-file"),
        ("extra_arguments", "--ui-config-file=/x", "keeps the web UI's settings on your Drive"),
        ("extra_arguments", "--styles-file /x/*.csv", "--styles-file"),
        ("extra_arguments", "--ckpt-dir /x", "keeps your models itself"),
        ("extra_arguments", "--models-dir /x", "--models-dir"),
        ("extra_arguments", "--skip-load-model-at-start", "no image can be made"),
    ],
)
def test_a_wrong_field_is_named_with_its_remedy(field: str, value: object, says: str) -> None:
    with pytest.raises(Problem) as caught:
        filled(**{field: value})
    assert f"The field **{field}**" in caught.value.what
    assert says in str(caught.value)
    assert caught.value.do.endswith(".")


def test_a_form_without_some_fields_has_their_defaults_and_ignores_what_it_does_not_know() -> None:
    assert Settings.from_form({"drive_folder": "mine", "pinggy": True}, CHECKPOINT_NAMES) == filled(drive_folder="mine")


@pytest.mark.parametrize("version", ["newest", "the one that worked last", "v1.10.1", "dev", "82a973c"])
def test_any_version_may_be_asked_for(version: str) -> None:
    assert filled(version=version).version == version


def test_what_a_launch_noted_is_read_back_and_another_versions_note_is_not() -> None:
    noted = asdict(filled(extra_arguments="--theme dark"))
    assert Settings.noted(noted) == filled(extra_arguments="--theme dark")
    assert Settings.noted(noted | {"lottery": True}) is None
    assert Settings.noted({}) is None


def test_every_field_of_the_table_is_a_setting() -> None:
    assert list(asdict(filled())) == [field.name for field in FIELDS]
