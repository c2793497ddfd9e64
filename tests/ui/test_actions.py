"""What may be pressed, as both faces draw it."""

import json
from dataclasses import asdict, replace

import pytest

from launcher.core.problem import Problem
from launcher.core.status import Button, Row, Snapshot, State, Status
from launcher.ui.actions import ending, going_on, of_job

READY = Snapshot("Ready", state=State.READY, buttons=(Button.RESTART, Button.STOP, Button.GIVE_BACK))


def test_what_ends_it_stands_apart_from_what_goes_on() -> None:
    assert [(one.label, one.path) for one in going_on(READY)] == [("Restart the web UI", "/restart")]
    assert [(one.path, one.body) for one in ending(READY)] == [("/stop", {}), ("/stop", {"give_back": True})]
    assert ending(Snapshot("Starting")) == going_on(Snapshot("Starting")) == []


@pytest.mark.parametrize(("unsaved", "says"), [(1, "1 file not saved yet"), (3, "3 files not saved yet")])
def test_only_what_ends_it_asks_first_and_only_while_files_are_not_saved(unsaved: int, says: str) -> None:
    assert not any(one.confirm for one in (*ending(READY), *going_on(READY)))
    asked = replace(READY, unsaved=unsaved)
    assert all(one.confirm.startswith(says) for one in ending(asked))
    assert not any(one.confirm for one in going_on(asked))


def test_giving_the_machine_back_asks_first_where_nothing_is_kept_on_drive() -> None:
    nothing = replace(READY, choices={"keep_on_drive": "nothing"})
    assert [bool(one.confirm) for one in ending(nothing)] == [False, True]


def test_a_job_is_stopped_while_it_runs_and_undone_once_it_has_added_something() -> None:
    running = Snapshot("Adding models")
    assert [(one.method, one.path, one.body) for one in of_job(3, running)] == [("DELETE", "/jobs/3", {})]
    assert of_job(3, replace(running, over=True)) == []
    undo = replace(running, over=True, can_undo=True, buttons=(Button.RESTART,))
    assert [(one.label, one.body) for one in of_job(3, undo)] == [
        ("Undo", {"undo": True}),
        ("Restart the web UI", {}),
    ]
    assert of_job(4, Snapshot("Stopping", state=State.STOPPING)) == [], "a stop that is underway goes on"


class Several(Problem):
    options = (("Version 8 (2.1 GB)", "civitai:4384@128713"), ("Version 7", "civitai:4384@109123"))


def test_what_a_page_offers_is_a_button_for_each_and_comes_through_the_socket() -> None:
    status = Status("Adding models")
    status.add("0", "dreamshaper")
    status.step("0").fail(Several("It has several versions.", "Choose one."))
    status.show(over=True)
    first, second = of_job(1, status.now)
    assert (first.label, first.path, first.body) == ("Version 8 (2.1 GB)", "/add", {"what": "civitai:4384@128713"})
    assert second.label == "Version 7"
    whole = asdict(Snapshot("Ready", choices={"api": True}, version="a.1")) | {"jobs": {"1": asdict(status.now)}}
    found = Snapshot.from_json(json.loads(json.dumps(whole)))
    assert found.jobs == {1: status.now}
    assert (found.choices, found.version) == ({"api": True}, "a.1")


def test_a_row_that_is_at_work_again_offers_nothing_any_more() -> None:
    offered = Row("0", "x", "failed", options=Several.options)
    job = Snapshot("Adding models", (offered,), over=True)
    assert len(of_job(1, job)) == 2
    assert of_job(1, replace(job, steps=(replace(offered, state="running"),))) == []
