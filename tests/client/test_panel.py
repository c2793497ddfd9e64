"""The panel's widgets: what is shown where, what may be pressed, and what a press asks for."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.client.panel import WidgetPanel
from launcher.core.fields import DEFAULTS
from launcher.core.status import Button, LoginBox, Row, Snapshot, State
from launcher.ui.actions import Action

ROWS = (Row("drive", "Google Drive", "done"), Row("webui", "Web UI", "done"))
BUTTONS = (Button.RESTART, Button.STOP)
BOX = LoginBox("https://a.gradio.live", "user", "secret-word", "My Drive", 1.0)
READY = Snapshot("Ready", ROWS, login_box=BOX, state=State.READY, buttons=BUTTONS, choices=DEFAULTS)
JOB = Snapshot("Adding models", (Row("0", "dreamshaper", "running"),))


@pytest.fixture
def pressed() -> list[Action]:
    return []


@pytest.fixture(params=[True, False], ids=["by ■", "by itself"])
def ends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def panel(pressed: list[Action]) -> WidgetPanel:
    return WidgetPanel(Snapshot("Starting", state=State.STARTING), pressed.append, whole=True)


def every(box: Any, shown_only: bool = True) -> Iterator[Any]:
    """A widget and all below it, in the order in which they are seen."""
    if not (shown_only and box.layout.display == "none"):
        yield box
        for child in getattr(box, "children", ()):
            yield from every(child, shown_only)


def buttons(panel: WidgetPanel) -> dict[str, Any]:
    """Those that can be seen and pressed."""
    found = [one for one in every(panel._box) if type(one).__name__ == "Button" and not one.disabled]
    return {one.description: one for one in found}


def named(panel: WidgetPanel, description: str) -> Any:
    return next(one for one in every(panel._box, False) if getattr(one, "description", "") == description)


def text(panel: WidgetPanel) -> str:
    """What is seen: the report, which is there to be copied, is not."""
    shown = (one.value for one in every(panel._box) if type(one).__name__ == "HTML")
    return "".join(value for value in shown if not value.startswith("<pre"))


def test_when_it_is_ready_the_way_in_comes_first_and_the_steps_are_one_line(panel: WidgetPanel) -> None:
    panel.draw(replace(READY, notices=("A message.",)), "https://a/enter")
    shown = text(panel)
    order = ["Ready", "Open the web UI", "secret-word", "A message.", "Version "]
    assert [shown.index(word) for word in order] == sorted(shown.index(word) for word in order)
    assert "<b>Google Drive</b>" not in shown
    buttons(panel)["▸ 2 of 2 steps done"].click()
    assert "Google Drive" in text(panel)


def test_what_a_person_folds_or_unfolds_stays_so_while_it_is_drawn_anew(panel: WidgetPanel) -> None:
    running = replace(READY, steps=(replace(ROWS[0], state="running"), ROWS[1]))
    panel.draw(running, "l")
    assert "Google Drive" in text(panel), "open while something runs"
    buttons(panel)["▾ 1 of 2 steps done · at work: Google Drive"].click()
    panel.draw(replace(running, kept="1 file"), "l")
    assert "<b>Google Drive</b>" not in text(panel)


def test_what_is_offered_in_place_of_a_model_that_does_not_load_is_a_button(
    panel: WidgetPanel, pressed: list[Action]
) -> None:
    row = Row("model", "Checkpoint", "failed", problem="x", remedy="y", options=(("Use b", "b.safetensors"),))
    panel.draw(replace(READY, steps=(row,)), "l")
    buttons(panel)["Use b"].click()
    assert [(one.path, one.body) for one in pressed] == [("/add", {"what": "b.safetensors"})]


def test_stop_asks_once_while_files_are_not_saved(panel: WidgetPanel, pressed: list[Action]) -> None:
    panel.draw(replace(READY, unsaved=3), "l")
    buttons(panel)["Stop everything"].click()
    assert pressed == []
    assert "3 files not saved yet" in text(panel)
    buttons(panel)["Cancel"].click()
    assert "not saved yet" not in text(panel)
    assert pressed == []
    buttons(panel)["Stop everything"].click()
    panel.draw(replace(READY, unsaved=2, kept="another line"), "l")
    now = buttons(panel)["Stop now"]
    now.click()
    now.click()  # a double click
    assert [(one.path, one.body) for one in pressed] == [("/stop", {})]
    assert "Stop now" not in buttons(panel)
    panel.draw(READY, "l")
    buttons(panel)["Stop everything"].click()
    assert len(pressed) == 2, "nothing is asked where all is saved"


def test_add_takes_several_lines_empties_the_box_first_and_sends_nothing_of_nothing(
    panel: WidgetPanel, pressed: list[Action]
) -> None:
    panel.draw(READY, "l")
    box = named(panel, "Add a model, ControlNet or an extension")
    seen = list[str]()

    def press(action: Action) -> None:
        seen.append(box.value)
        pressed.append(action)

    panel._press = press
    for what in ("  ", "dreamshaper\nhttps://x.example/y?token=z"):
        box.value = what
        buttons(panel)["Add"].click()
    assert [one.body for one in pressed] == [{"what": "dreamshaper\nhttps://x.example/y?token=z"}]
    assert seen == [""]


def test_each_job_is_a_row_with_what_may_be_pressed_beside_it(panel: WidgetPanel, pressed: list[Action]) -> None:
    offered = Row("0", "x", "failed", problem="Several.", remedy="Choose.", options=(("Version 8", "x@8"),))
    done = Snapshot("Adding models", (Row("0", "add-detail", "done"),), over=True, can_undo=True)
    panel.draw(READY, "l")
    before = panel._box.children
    panel.draw(replace(READY, jobs={1: JOB, 2: replace(JOB, steps=(offered,), over=True), 3: done}), "l")
    assert panel._box.children == before, "front ends draw all anew that comes after another child: the focus is lost"
    shown = text(panel)
    assert shown.index("add-detail") < shown.index("Several.") < shown.index("dreamshaper"), "the newest first"
    for label in ("■ Stop this", "Version 8", "Undo"):
        buttons(panel)[label].click()
    assert [(one.method, one.path, one.body) for one in pressed] == [
        ("DELETE", "/jobs/1", {}),
        ("POST", "/add", {"what": "x@8"}),
        ("DELETE", "/jobs/3", {"undo": True}),
    ]
    panel.draw(replace(READY, jobs={1: replace(JOB, over=True)}), "l")
    assert not {"■ Stop this", "Version 8", "Undo"} & set(buttons(panel))


def test_choices_are_applied_by_the_button_and_only_those_that_changed(
    panel: WidgetPanel, pressed: list[Action]
) -> None:
    panel.draw(READY, "l")
    buttons(panel)["▸ Choices"].click()
    assert named(panel, "drive folder").disabled, "it belongs to what runs"
    named(panel, "give back after").value = 45
    named(panel, "api").value = True
    assert pressed == [], "nothing begins by a change of a value"
    panel.draw(replace(READY, kept="1 file"), "l")
    assert named(panel, "give back after").value == 45, "what is written and not applied stays"
    buttons(panel)["Apply"].click()
    assert [(one.path, one.body) for one in pressed] == [
        ("/choices", {"choices": {"api": True, "give_back_after": 45}})
    ]
    panel.draw(replace(READY, choices=DEFAULTS | {"give_back_after": 45, "link": "a new kind"}), "l")
    assert named(panel, "link").value == "a new kind"
    pressed.clear()
    named(panel, "api").value = False
    buttons(panel)["Apply"].click()
    assert pressed == []


def test_a_restart_takes_what_was_chosen_and_not_applied(panel: WidgetPanel, pressed: list[Action]) -> None:
    panel.draw(READY, "l")
    buttons(panel)["Restart the web UI"].click()
    named(panel, "link").value = "cloudflared"
    buttons(panel)["Restart the web UI"].click()
    buttons(panel)["Stop everything"].click()
    assert [(one.path, one.body) for one in pressed] == [
        ("/restart", {}),
        ("/restart", {"choices": {"link": "cloudflared"}}),
        ("/stop", {}),
    ]


def test_when_the_cell_has_ended_inputs_are_off_and_restart_and_stop_still_work(
    panel: WidgetPanel, pressed: list[Action], ends: bool
) -> None:
    panel.draw(replace(READY, given_back_at=1e9), "l", closed=ends)
    panel._handle = SimpleNamespace(update=lambda *_, **__: None)  # there is no notebook here
    panel.close()
    buttons(panel)["▸ Choices"].click()
    inputs = [one for one in every(panel._box) if type(one).__name__ not in ("Button", "HTML", "VBox", "HBox")]
    assert len(inputs) > 5
    assert all(one.disabled for one in inputs)
    assert not {"Add", "Apply", "The usual extensions"} & set(buttons(panel))
    for label in ("Restart the web UI", "Stop everything"):
        buttons(panel)[label].click()
    assert [one.path for one in pressed] == ["/restart", "/stop"]


def test_after_a_start_that_failed_something_else_can_be_chosen(panel: WidgetPanel, pressed: list[Action]) -> None:
    """ "Remove it from **extra_arguments**": what to do could not be done."""
    panel.draw(replace(READY, state=State.FAILED, login_box=None), "", closed=True)
    panel._handle = SimpleNamespace(update=lambda *_, **__: None)  # there is no notebook here
    panel.close()
    buttons(panel)["▸ Choices"].click()
    assert "Add" not in buttons(panel)
    named(panel, "extra arguments").value = "--medvram"
    buttons(panel)["Apply"].click()
    assert [(one.path, one.body) for one in pressed] == [("/choices", {"choices": {"extra_arguments": "--medvram"}})]


def test_buttons_that_may_not_be_pressed_now_are_grey_and_stay_where_they_are(panel: WidgetPanel) -> None:
    panel.draw(READY, "l")
    before = panel._rows["going"].box.children[0].children
    panel.draw(replace(READY, buttons=(), state=State.RESTARTING), "l")
    assert panel._rows["going"].box.children[0].children == before
    assert not {"Restart the web UI", "Stop everything"} & set(buttons(panel))


def test_a_question_of_the_cells_own_goes_once_it_is_answered(panel: WidgetPanel, pressed: list[Action]) -> None:
    panel.draw(Snapshot("What shall run?", answers=(("Keep what runs", "keep"), ("Stop it", "anew"))), "l")
    buttons(panel)["Keep what runs"].click()
    buttons(panel)["Stop it"].click()
    assert [one.body["value"]["choice"] for one in pressed] == ["keep", "anew"]
    panel.draw(READY, "l")
    assert not {"Keep what runs", "Stop it"} & set(buttons(panel))


def test_what_the_notebook_is_asked_is_answered_by_a_button(panel: WidgetPanel, pressed: list[Action]) -> None:
    panel.draw(replace(READY, question=4, answers=(("art", "art"), ("sd", "sd/stable"))), "l")
    buttons(panel)["sd"].click()
    assert [(one.path, one.body) for one in pressed] == [("/answers/4", {"value": {"choice": "sd/stable"}})]
    panel.draw(READY, "l")
    assert not {"art", "sd"} & set(buttons(panel))


def test_a_folder_that_is_not_known_yet_is_last_times(panel: WidgetPanel, pressed: list[Action]) -> None:
    panel.draw(replace(READY, choices=DEFAULTS | {"drive_folder": ""}), "l")
    assert named(panel, "drive folder").value == "as last time"
    named(panel, "Apply").click()
    assert pressed == []


def test_a_cell_that_adds_shows_its_own_rows_and_their_buttons(pressed: list[Action]) -> None:
    panel = WidgetPanel(JOB, pressed.append, whole=False)
    panel.draw(replace(JOB, over=True, can_undo=True), "", closed=True, job=7)
    assert "dreamshaper" in text(panel)
    assert list(buttons(panel)) == ["Undo"]
    buttons(panel)["Undo"].click()
    assert (pressed[0].path, pressed[0].body) == ("/jobs/7", {"undo": True})


def test_the_machine_can_be_kept_longer_only_where_it_is_given_back(panel: WidgetPanel, pressed: list[Action]) -> None:
    panel.draw(READY, "l")
    assert "Keep it 30 minutes longer" not in buttons(panel)
    panel.draw(replace(READY, given_back_at=1e9), "l")
    assert "The machine is given back at" in text(panel)
    buttons(panel)["Keep it 30 minutes longer"].click()
    assert (pressed[0].path, pressed[0].body) == ("/extend", {"minutes": 30})
