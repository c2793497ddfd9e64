"""The second day: the folder of last time, and what was chosen for it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.colab.machine import Machine
from launcher.core.problem import Problem
from launcher.core.status import Status
from launcher.drive import find
from launcher.drive.find import NOTES, Remembered
from launcher.launch import story
from launcher.launch.launch import Launch
from launcher.launch.remember import may_be_kept, settings_of, sound, to_remember

CHOSEN = {"api": True, "link": "none", "version": "dev", "checkpoint": "DreamShaper 8", "give_back_after": 30}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    return Machine(colab=True, base=tmp_path, gpu="", memory=1, mountpoint=tmp_path / "drive")


@pytest.fixture
def launch_of(machine: Machine) -> Callable[..., Launch]:
    def made(ask: Any = None, before: Launch | None = None, **choices: Any) -> Launch:
        return Launch(choices, machine, Status("A test"), ask or nobody, before)

    return made


def nobody(kind: str, **about: Any) -> dict[str, Any]:
    raise Problem("Nobody is there.", "Press ▶.")


def webui_on(machine: Machine, name: str, **notes: Any) -> Path:
    """A web UI's folder on Drive, with these notes; each is newer than the one before."""
    kept = machine.drive / name
    (kept / "models" / "Stable-diffusion").mkdir(parents=True)
    if notes:
        (kept / NOTES).write_text(json.dumps(notes))
    return kept


def busy(drive: Path, listed: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """A listing that fails for My Drive itself, as that of thousands of files does."""

    def fails(path: Any) -> list[str]:
        if path == drive:
            raise OSError(5, "Input/output error")
        return listed(path)

    return fails


def settled(launch: Launch) -> Launch:
    launch.settle()
    return launch


def test_on_the_second_day_the_folder_and_the_choices_are_those_of_the_first(launch_of: Callable[..., Launch]) -> None:
    first = settled(launch_of(drive_folder="art", **CHOSEN))
    first.folder.prepare()
    first.save_choices()
    second = settled(launch_of())
    assert second.folder.kept == first.folder.kept
    assert second.settings == first.settings
    assert "checkpoint" not in second.asked, "what the web UI showed last is not changed"
    third = settled(launch_of(api=False, link="gradio"))
    assert (third.settings.api, third.settings.link, third.settings.version) == (False, "gradio", "dev")
    third.save_choices()
    assert Remembered.read(first.folder.kept).choices == {n: v for n, v in CHOSEN.items() if n != "api"} | {
        "link": "gradio"
    }


def test_of_several_folders_the_one_used_last_is_taken(machine: Machine, launch_of: Callable[..., Launch]) -> None:
    webui_on(machine, "a/stable-diffusion-webui", used_at=20.0, choices={"api": True})
    webui_on(machine, "b/stable-diffusion-webui", used_at=30.0, choices={"link": "none"})
    webui_on(machine, "c/stable-diffusion-webui")
    launch = settled(launch_of())
    assert (launch.settings.drive_folder, launch.settings.link, launch.settings.api) == ("b", "none", False)


@pytest.mark.parametrize(("name", "listed"), [("AI/web", True), ("AI/StableDiffusion", True), ("art", False)])
def test_a_folder_that_no_look_finds_is_remembered_until_another_is_used(
    machine: Machine, launch_of: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch, name: str, listed: bool
) -> None:
    if not listed:  # thousands of files in My Drive itself
        monkeypatch.setattr(find, "BUSY", 0.0)
        monkeypatch.setattr(os, "listdir", busy(machine.drive, os.listdir))
    webui_on(machine, "AI/StableDiffusion")
    deep = settled(launch_of(drive_folder=name, api=True))
    deep.folder.prepare()
    deep.save_choices()
    second = settled(launch_of())
    assert (second.folder.kept, second.settings.api) == (deep.folder.kept, True)
    monkeypatch.undo()
    other = settled(launch_of(drive_folder="other"))
    other.folder.prepare()
    other.save_choices()
    assert settled(launch_of()).settings.drive_folder == "other"
    assert [path.name for path in machine.drive.iterdir() if path.is_file()] == [NOTES]


@pytest.mark.parametrize("folder", ["../x", "", 5, "nothing/there", "/etc"])
def test_a_note_in_my_drive_of_a_folder_that_cannot_be_is_left_out(
    machine: Machine, launch_of: Callable[..., Launch], folder: Any
) -> None:
    webui_on(machine, "../x/stable-diffusion-webui", used_at=9.0)
    (machine.drive / NOTES).write_text(json.dumps({"folder": folder}))
    assert settled(launch_of()).settings.drive_folder == "asd1111"


def test_a_folder_of_another_launcher_is_found_and_without_one_it_is_the_usual(
    machine: Machine, launch_of: Callable[..., Launch]
) -> None:
    assert settled(launch_of()).settings.drive_folder == "asd1111"
    kept = webui_on(machine, "StableDiffusion")
    launch = settled(launch_of())
    assert (launch.folder.kept, launch.settings.drive_folder) == (kept, "StableDiffusion")


def test_of_several_folders_of_others_the_person_chooses_and_where_nobody_is_the_newest_is_taken(
    machine: Machine, launch_of: Callable[..., Launch]
) -> None:
    for number, name in enumerate(("old", "new", "older"), start=1):
        kept = webui_on(machine, f"{name}/stable-diffusion-webui")
        os.utime(kept, (when := [50.0, 90.0, 10.0][number - 1], when))
    asked: list[dict[str, Any]] = []

    def person(kind: str, **about: Any) -> dict[str, Any]:
        asked.append(about)
        return {"choice": "older"}

    assert settled(launch_of(person)).settings.drive_folder == "older"
    assert [choice for _, choice in asked[0]["options"]] == ["new", "old", "older"]
    launch = settled(launch_of())
    assert launch.settings.drive_folder == "new"
    assert "There are several web UIs on your Drive: new, old, older. new" in launch.status.now.notices[0]
    assert settled(launch_of(lambda kind, **about: {"choice": "../.."})).settings.drive_folder == "new"


def test_a_folder_that_is_named_needs_no_look_at_the_others(machine: Machine, launch_of: Callable[..., Launch]) -> None:
    webui_on(machine, "a/stable-diffusion-webui", used_at=20.0, choices={"api": True})
    webui_on(machine, "AI/web/models-here")
    launch = settled(launch_of(drive_folder="/content/drive/MyDrive/art", keep_on_drive="images and settings"))
    assert launch.folder.kept == machine.drive / "art" / "stable-diffusion-webui"
    assert (launch.settings.drive_folder, launch.settings.api) == ("art", False)
    assert launch.folder.models == machine.disk / "models"
    assert launch.news_in({"drive_folder": "/content/drive/MyDrive/art", "api": True}) == {"api": True}
    assert launch.news_in({"drive_folder": "other"}) == {"drive_folder": "other"}
    (machine.drive / "AI" / "a.safetensors").write_bytes(b"x")
    named = settled(launch_of(drive_folder="AI"))
    again = settled(launch_of(before=named, **named.choices))
    assert again.news_in({"drive_folder": "AI"}) == {}


def test_what_a_launch_before_keeps_on_drive_is_kept_on_where_the_folder_is_the_same(
    machine: Machine, launch_of: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = webui_on(machine, "StableDiffusion", used_at=1.0)
    before = settled(launch_of())
    monkeypatch.setattr(type(before.sync), "running", True)
    for choices in ({}, {"drive_folder": "StableDiffusion"}):
        after = launch_of(before=before, **choices)
        after.settle()
        assert after.sync is before.sync
    other = launch_of(before=before, drive_folder="other")
    other.settle()
    assert other.sync is not before.sync
    assert other.folder.kept != kept


@pytest.mark.parametrize(
    "noted",
    [
        [1], "x", {"api": "yes", "link": "pigeon", "version": 5, "give_back_after": -1, "lottery": True},
        {"extra_arguments": "--share", "extensions_tab": 1, "keep_on_drive": "floppy", "checkpoint": "nobody knows it"},
        {"keep_on_drive": "nothing", "drive_folder": "../x"},
    ],
)  # fmt: skip
def test_choices_on_drive_that_cannot_be_are_left_out(
    machine: Machine, launch_of: Callable[..., Launch], noted: Any
) -> None:
    webui_on(machine, "art/stable-diffusion-webui", used_at=1.0, choices=noted)
    assert settled(launch_of()).settings == settings_of({"drive_folder": "art"})


def test_a_choice_of_another_day_that_cannot_be_any_more_ends_no_launch_and_one_of_today_does(
    machine: Machine, launch_of: Callable[..., Launch]
) -> None:
    webui_on(machine, "art/stable-diffusion-webui", used_at=1.0, choices={"link": "cloudflared"})

    def opened(launch: Launch) -> str:
        if launch.public_link.wanted == "cloudflared":
            raise Problem("It gives no link.", "Choose another one.")
        return launch.settings.link

    launch = settled(launch_of())
    assert story._as_last_time(launch, "link", lambda: opened(launch)) == "automatic"
    assert launch.status.now.notices == ("It gives no link. So **link** is not as you chose it last time.",)
    assert launch.choices["link"] == "automatic", "a restart goes by what works"
    launch.save_choices()
    assert Remembered.read(launch.folder.kept).choices == {"link": "cloudflared"}, "tomorrow it may"
    today = settled(launch_of(link="cloudflared"))
    with pytest.raises(Problem):
        story._as_last_time(today, "link", lambda: opened(today))


def test_a_damaged_note_stops_no_launch(machine: Machine, launch_of: Callable[..., Launch]) -> None:
    kept = webui_on(machine, "art/stable-diffusion-webui")
    (kept / NOTES).write_bytes(b"\0" * 300)
    launch = settled(launch_of())
    launch.save_choices()
    assert launch.settings.drive_folder == "art"
    assert Remembered.read(kept).used_at > 0


def test_what_a_newer_launcher_noted_stays(machine: Machine, launch_of: Callable[..., Launch]) -> None:
    kept = webui_on(machine, "art", choices={"theme": "dark", "api": True})
    launch = settled(launch_of(link="none"))
    launch.save_choices()
    assert Remembered.read(kept).choices == {"theme": "dark", "api": True, "link": "none"}
    launch.session.prepare()
    launch.choose({"link": "automatic", "api": False})
    launch.save_choices()
    assert Remembered.read(kept).choices == {"theme": "dark"}
    Remembered.write(kept, model_folders=["AI/models"])
    launch.choose({}, forget=True)
    launch.save_choices()
    assert (Remembered.read(kept).choices, Remembered.read(kept).model_folders) == ({}, ())


def test_a_drive_that_lists_nothing_once_hides_no_folder_and_one_that_never_does_is_said(
    machine: Machine, launch_of: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "BUSY", 0.01)
    kept, failures = webui_on(machine, "art", used_at=1.0), [OSError(5, "busy")]
    listed = os.listdir

    def busy(path: Any) -> list[str]:
        if path == machine.drive and failures:
            raise failures.pop()
        return listed(path)

    monkeypatch.setattr(os, "listdir", busy)
    assert settled(launch_of()).folder.kept == kept
    failures.extend([OSError(5, "busy")] * 20)
    launch = settled(launch_of())
    assert "Google Drive did not list My Drive" in " ".join(launch.status.now.notices)


@pytest.mark.parametrize(
    ("choices", "kept"),
    [
        ({"checkpoint": "https://civitai.com/models/1?token=abc"}, {}),
        ({"checkpoint": "urn:air:sd1:checkpoint:civitai:1@2"}, {}),
        ({"checkpoint": "dreamshaper 8", "keep_on_drive": "nothing"}, {"checkpoint": "DreamShaper 8"}),
        ({"drive_folder": "art"}, {}),
        ({"extra_arguments": "--theme dark"}, {"extra_arguments": "--theme dark"}),
        ({"extra_arguments": "--cors-allow-origins=https://a.b/?key=abc"}, {}),
        ({"extra_arguments": "--ngrok-authtoken abc"}, {}),
        ({"extra_arguments": "--hub hf_abcdefghijkl"}, {}),
        ({"api": False, "version": "newest", "link": "none"}, {"link": "none"}),
    ],
)  # fmt: skip
def test_what_is_remembered_holds_no_link_no_token_and_nothing_usual(choices: Any, kept: dict[str, Any]) -> None:
    assert to_remember(settings_of(choices)) == kept
    assert sound(kept) == kept


def test_a_commit_is_a_version_that_is_remembered() -> None:
    assert may_be_kept("version", "82a973c04367123ae98bd9abdf80d9eda9b910e2")
