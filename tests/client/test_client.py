"""A cell: what it makes of what the service answers."""

import asyncio
import time
from dataclasses import asdict, replace
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from launcher.client import client, kernel
from launcher.core.session import Session
from launcher.core.status import Button, LoginBox, Snapshot, State
from launcher.ui.actions import ACTIONS, STAY, answer_actions


def status(version: str, state: State) -> tuple[int, dict[str, Any]]:
    return 200, asdict(Snapshot("The web UI", state=state, version=version)) | {"questions": []}


def test_a_conflict_is_answered_by_the_cell_and_forgotten_with_the_service_that_told_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONECLICK_PANEL", "text")
    answers = [(409, {"differs": {"drive_folder": ["asd1111", "other"]}}), status("b.1", State.READY)]
    asked, paths = list[str](), list[str]()

    def ask(session: Session, method: str, path: str, *_: Any, **__: Any) -> tuple[int, dict[str, Any]]:
        if path.startswith("/launch"):
            asked.append(method)
            return answers[len(asked) - 1]
        while path.startswith("/status") and len(asked) < 2:
            if cell._conflict and cell.snapshot.answers:
                paths.extend(action.path for action in answer_actions(cell.snapshot))
                return 0, {}  # its service ends
            time.sleep(0.01)
        return status("b.2", State.OFF)

    monkeypatch.setattr(client, "connect", lambda session: None)
    monkeypatch.setattr(client, "ask", ask)
    cell = client.Client(Session(tmp_path), "launch", {})
    cell.nobody = False
    cell.snapshot = replace(cell.snapshot, question=7)  # of a service before
    asyncio.run(cell.show())
    assert paths == ["/answers/0"] * 2
    assert (asked, cell._conflict) == (["POST"] * 2, "")


def drawn_by(cell: client.Client, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Snapshot, str]]:
    """What it draws from now on: the status, and where the big button leads."""
    drawn = list[tuple[Snapshot, str]]()

    class Panel:
        def draw(self, status: Snapshot, link: str, *more: Any) -> None:
            drawn.append((status, link))

    monkeypatch.setattr(cell, "panel", Panel())
    return drawn


def test_the_button_leads_where_the_box_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECLICK_PANEL", "text")
    cell = client.Client(Session(tmp_path), "launch", {})
    drawn = drawn_by(cell, monkeypatch)
    for url in ("https://old.gradio.live", "https://new.trycloudflare.com"):
        monkeypatch.setattr(client, "ask", lambda *_, url=url, **__: (200, {"link": f"{url}/oneclick/enter/T"}))
        box = LoginBox(url, "user", "p", "outputs", 1.0)
        cell.snapshot = replace(cell.snapshot, state=State.READY, login_box=box)
        cell._draw()
        assert drawn[-1][1] == f"{url}/oneclick/enter/T"


def test_a_refusal_goes_with_the_state_it_was_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECLICK_PANEL", "text")
    said = status("a.2", State.RESTARTING)[1]
    answers = [(202, said), (409, said | {"what": "It is being restarted already."})]
    monkeypatch.setattr(client, "ask", lambda *_, **__: answers.pop(0) if answers else (200, {}))
    cell = client.Client(Session(tmp_path), "launch", {})
    cell._version = "a.1"
    drawn = drawn_by(cell, monkeypatch)
    for _ in range(2):
        cell.press(ACTIONS[Button.RESTART])
    assert "It is being restarted already." in drawn[-1][0].notices
    cell._take(said)
    cell._take(status("a.9", State.READY)[1])
    assert drawn[-1][0].notices == ()


def test_a_button_of_a_cell_says_so_where_the_service_ends_within_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connect(session: Session) -> None:
        raise IncompleteRead(b"")

    monkeypatch.setenv("ONECLICK_PANEL", "text")
    monkeypatch.setattr(client, "connect", connect)
    client.Client(Session(tmp_path), "launch", {}).press(STAY)
    assert "The launcher does not answer. Press ▶ again." in capsys.readouterr().out


def test_what_was_being_stopped_when_its_service_died_is_not_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONECLICK_PANEL", "text")
    asked, connected = list[str](), list[Session]()

    def ask(session: Session, method: str, path: str, *_: Any, **__: Any) -> tuple[int, dict[str, Any]]:
        if path == "/launch":
            asked.append(method)
            return status("a.1", State.READY)
        if len(connected) > 1:
            return status("b.1", State.IDLE)
        return (0, {}) if cell.snapshot.state == State.STOPPING else status("a.2", State.STOPPING)

    monkeypatch.setattr(client, "connect", connected.append)
    monkeypatch.setattr(client, "ask", ask)
    cell = client.Client(Session(tmp_path), "launch", {})
    cell.nobody = False
    asyncio.run(cell.show())
    assert (asked, cell.snapshot.state) == (["POST"], State.IDLE)


@pytest.mark.parametrize(("waiting", "more", "ends"), [(1, 0, True), (3, 0, True), (4, 0, False), (4, 1, True)])
def test_a_cell_that_is_run_again_within_its_first_second_is_told_from_run_all(
    monkeypatch: pytest.MonkeyPatch, waiting: int, more: int, ends: bool
) -> None:
    somebody_waits = kernel.watch_for_cells()
    monkeypatch.setattr(kernel, "TOGETHER", 60.0)
    for number in (1, waiting):  # they come one after the other
        monkeypatch.setattr(kernel, "cells_that_wait", lambda number=number: number)
        assert not somebody_waits()
    monkeypatch.setattr(kernel, "TOGETHER", 0.0)
    monkeypatch.setattr(kernel, "cells_that_wait", lambda: waiting + more)
    assert somebody_waits() == ends


def test_an_answer_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECLICK_PANEL", "text")
    monkeypatch.setattr(client, "ask", lambda *_, **__: (204, {}))
    cell = client.Client(Session(tmp_path), "launch", {})
    cell.snapshot = replace(cell.snapshot, question=7, answers=(("art", "art"),))
    cell.press(answer_actions(cell.snapshot)[0])
    assert answer_actions(cell.snapshot) == []


def test_a_panel_whose_service_died_shows_what_runs_now_whatever_its_form_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tab may have begun it; and what nobody runs any more is begun again."""
    monkeypatch.setenv("ONECLICK_PANEL", "text")
    asked, connected = list[str](), list[Session]()

    def ask(session: Session, method: str, path: str, *_: Any, **__: Any) -> tuple[int, dict[str, Any]]:
        asked.extend([path] if method == "POST" else [])
        if path == "/launch":
            return status(f"{len(connected)}.1", State.STARTING)
        if len(connected) == 3:
            return status("3.9", State.IDLE if "/launch" not in asked[1:] else State.OFF)
        return (0, {}) if cell.snapshot.state == State.READY else status(f"{len(connected)}.2", State.READY)

    def connect(session: Session) -> None:
        connected.append(session)
        if len(connected) == 2:
            cell.snapshot = replace(cell.snapshot, state=State.RESTARTING)

    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setattr(client, "ask", ask)
    cell = client.Client(Session(tmp_path), "launch", {})
    cell.nobody = False
    asyncio.run(cell.show())
    assert (asked, len(connected)) == (["/launch"] * 2, 3), "not of the second service"
    assert cell.snapshot.state == State.OFF


def test_a_service_that_cannot_be_started_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connect(session: Session) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("ONECLICK_PANEL", "text")
    monkeypatch.setattr(client, "connect", connect)
    with pytest.raises(client.CellFailed, match="could not be started on this machine"):
        asyncio.run(client.Client(Session(tmp_path), "launch", {}).show())
    assert "What to do: Press ▶ again." in capsys.readouterr().out
