"""The form's fields: what is wrong is said by name, with the remedy, before anything runs."""

from dataclasses import asdict

import pytest

from launcher.core.fields import AS_LAST_TIME, DEFAULTS, EVERYTHING, FIELDS, Settings, asked_in
from launcher.core.problem import Problem
from launcher.models.catalog import CHECKPOINT_NAMES
from launcher.models.pasted import one_link


def filled(**changed: object) -> Settings:
    return Settings.from_form({**DEFAULTS, **changed}, CHECKPOINT_NAMES)


def test_the_form_as_it_comes_is_right() -> None:
    form = {field.name: field.untouched for field in FIELDS if field.in_form}
    assert list(form) == ["checkpoint", "drive_folder", "keep_on_drive"]
    assert Settings.from_form(form, CHECKPOINT_NAMES) == filled()
    assert (filled().checkpoint, filled().drive_folder, filled().keep_on_drive) == (AS_LAST_TIME, "", EVERYTHING)


@pytest.mark.parametrize("empty", ["", " ", "As last time ", AS_LAST_TIME])
def test_a_field_of_the_form_that_is_as_it_came_or_empty_asks_for_nothing(empty: str) -> None:
    assert asked_in({"checkpoint": empty, "keep_on_drive": empty, "drive_folder": "", "pinggy": 1}) == {}
    assert asked_in({"drive_folder": "art", "api": False, "checkpoint": empty}) == {"drive_folder": "art", "api": False}


@pytest.mark.parametrize(
    ("written", "means"),
    [
        (" asd1111 ", "asd1111"),
        ("AI/models", "AI/models"),
        ("AI\\models\\", "AI/models"),
        ("AI/models/a (old) v1.5.safetensors", "AI/models/a (old) v1.5.safetensors"),
        ("/content/drive/MyDrive/AI/", "AI"),
        ("My Drive/sd", "sd"),
        ("G:\\My Drive\\AI", "AI"),
        ("G:\\Mi unidad\\AI", "AI"),
    ],
)
def test_a_folder_on_drive_may_be_a_path(written: str, means: str) -> None:
    assert filled(drive_folder=written).drive_folder == means


def test_capitals_and_spaces_around_a_name_do_not_matter() -> None:
    assert filled(checkpoint=" dreamshaper 8 ").checkpoint == "DreamShaper 8"


@pytest.mark.parametrize(
    "link",
    [
        "https://huggingface.co/a/b/blob/main/c.safetensors",
        "huggingface.co/a/b/blob/main/c.safetensors",
        "hf://a/b/c.safetensors",
        "civitai.com/models/3",
        "civitai: 3 @ 7",
        "air:sdxl:checkpoint:civitai:3@7",
        "hf download a/b c.safetensors",
    ],
)
def test_a_link_is_a_checkpoint_too(link: str) -> None:
    assert filled(checkpoint=link).checkpoint == link
    assert one_link(link)


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
        ("checkpoint", "models/v1.5/x.safetensors", "paste a link that starts with https://"),
        ("drive_folder", "../other", "not a plain folder name"),
        ("drive_folder", "a/../b", "not a plain folder name"),
        ("drive_folder", "https://drive.google.com/drive/folders/x", "not a plain folder name"),
        ("drive_folder", ".hidden", "not a plain folder name"),
        ("drive_folder", "a\nb", "not a plain folder name"),
        ("drive_folder", "/content/drive/Shareddrives/Team/AI", "Add shortcut"),
        ("drive_folder", "/content/drive/asd1111", "not in My Drive"),
        ("drive_folder", "/content/asd1111", "not in My Drive"),
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
    word = "field" if field in ("checkpoint", "drive_folder", "keep_on_drive") else "choice"
    assert f"The {word} **{field}**" in caught.value.what
    assert says in str(caught.value)
    assert caught.value.do.endswith(".")


def test_a_form_without_some_fields_has_their_defaults_and_ignores_what_it_does_not_know() -> None:
    assert Settings.from_form({"drive_folder": "mine", "pinggy": True}, CHECKPOINT_NAMES) == filled(drive_folder="mine")


@pytest.mark.parametrize("version", ["newest", "the one that worked last", "v1.10.1", "dev", "82a973c"])
def test_any_version_may_be_asked_for(version: str) -> None:
    assert filled(version=version).version == version


def test_every_field_of_the_table_is_a_setting() -> None:
    assert list(asdict(filled())) == [field.name for field in FIELDS]


def test_settings_are_made_again_of_the_form_that_asks_for_them() -> None:
    whole = filled(extra_arguments='--theme "a b"', api=True, drive_folder="art", checkpoint="DreamShaper 8")
    assert Settings.from_form(whole.as_form(), CHECKPOINT_NAMES) == whole
