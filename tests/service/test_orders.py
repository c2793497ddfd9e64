"""Requests in odd orders: twice, by both faces, in the wrong state, on a full disk."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.colab.machine import look_at_machine
from launcher.core.problem import Problem
from launcher.core.session import Session
from launcher.core.status import State
from launcher.drive import records
from launcher.launch import stop, story, watch
from launcher.launch.launch import Launch
from launcher.launch.steps import Steps
from launcher.models.remote import Interrupted
from launcher.service import jobs
from launcher.service import service as services
from launcher.service.jobs import JOBS, Job
from launcher.service.questions import GONE_AFTER, NotAnswered
from launcher.service.server import Request
from launcher.service.service import Service
from launcher.webui.process import WebUI
from tests.service.conftest import ask
from tests.world.wait import wait

GIVE_BACK = {"give_back": True}


def state(service: Service) -> str:
    return str(ask(service, "GET", "/status")[1]["state"])


def in_state(service: Service, wanted: State) -> Callable[[], bool]:
    return lambda: service.status.now.state == wanted


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whenever the machine is given back."""
    made = list[Any]()
    monkeypatch.setattr(stop, "release_machine", made.append)
    return made


@pytest.fixture
def flush(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Google has everything once this is set."""
    done = threading.Event()
    monkeypatch.setattr(stop, "flush_drive", lambda machine: done.wait(20))
    return done


# ---- stop


def test_a_stop_that_is_asked_for_twice_is_one_and_the_machine_is_given_back_once(
    service: Service, posts: list[Any], flush: threading.Event
) -> None:
    jobs = [ask(service, "POST", "/stop", GIVE_BACK, page=page)[1]["job"] for page in (False, True, False)]
    flush.set()
    wait(in_state(service, State.OFF), 20, "the end")
    wait(lambda: not service.busy, 20, "its job to end")
    assert len({*jobs}) == len(service.jobs) == 1
    assert len(posts) == 1


def test_a_stop_and_one_that_gives_the_machine_back_come_one_after_the_other(
    service: Service, posts: list[Any], flush: threading.Event
) -> None:
    jobs = [ask(service, "POST", "/stop", body, page=True)[1]["job"] for body in ({}, GIVE_BACK, GIVE_BACK, {})]
    flush.set()
    wait(lambda: all(job.status.now.over for job in service.jobs.values()), 20, "both to end")
    assert jobs[1] != jobs[0]
    assert len({*jobs[1:]}) == 1
    assert len(posts) == 1
    assert not any(job.status.now.failed for job in service.jobs.values())


def test_a_web_ui_that_paints_is_not_given_back_though_nobody_looks(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = service._new_launch({"give_back_after": 10})
    for at_work in (True, False):
        monkeypatch.setattr(WebUI, "at_work", at_work)
        launch.used_at = time.monotonic() - 600
        assert watch.is_unused(launch) != at_work


def test_a_second_stop_saves_what_the_first_could_not_into_the_folder_of_the_first(
    session: Session, posts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drive was full; the service that knew of it has ended meanwhile."""

    def full(*about: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def stop_by_a_new_service(give_back: bool, launch: dict[str, Any] | None = None) -> Job:
        one = Service(session)
        if launch:
            one.launch = one._new_launch(launch)
            one.launch.settle()
            one.launch.announce()
            one.launch.folder.prepare()
            one.launch.sync.restore()
            image = one.launch.folder.data / "outputs" / "a.png"
            image.parent.mkdir()
            image.write_bytes(b"a" * 9)
            os.utime(image, (1e9, 1e9))
        told = one.post_stop(Request({"give_back": give_back}, "", False, lambda: False))[1] or {}
        job = one.jobs[told["job"]]
        assert job.thread
        job.thread.join()
        return job

    kept = look_at_machine().drive / "art" / "stable-diffusion-webui"
    (kept / "models" / "Stable-diffusion").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(records, "copy_to_drive", full)
        assert stop_by_a_new_service(False, {"drive_folder": "art"}).status.now.failed
    assert not stop_by_a_new_service(True).status.now.failed
    assert (kept / "outputs" / "a.png").exists(), "before the machine goes"
    assert len(posts) == 1


def test_an_old_panels_undo_takes_nothing_else_away(session: Session) -> None:
    """Its service ended long ago, and the next one counts its own jobs."""
    services_, files = [], []
    for name in ("X.safetensors", "Y.safetensors"):
        one = Service(session)
        number = (one.post_add(Request({"what": "xyzzy"}, "", False, lambda: False))[1] or {})["job"]
        job = one.jobs[number]
        assert job.thread
        job.thread.join()
        file = job.launch.folder.models / "Lora" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
        job.fetchers[0].added.append(file)
        job.status.show(can_undo=job.can_undo)
        services_.append((one, number))
        files.append(file)
    (_, first), (second, _) = services_
    code, told = second.delete_job(Request({"undo": True}, str(first), False, lambda: False))
    assert (code, "started anew" in (told or {})["what"]) == (409, True)
    assert all(file.exists() for file in files)


def test_why_a_stop_failed_is_known_before_it_is_off(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel ends with what is off: it draws nothing any more. This machine is not Colab's, which takes none back."""
    known, off = list[bool](), stop.be_off

    def be_off(launch: Launch, *said: str | None) -> None:
        known.extend(bool(job.status.now.failed) for job in service.jobs.values())
        off(launch, *said)  # type: ignore[arg-type]

    monkeypatch.setattr(stop, "be_off", be_off)
    ask(service, "POST", "/stop", GIVE_BACK)
    wait(in_state(service, State.OFF), 20, "the end")
    assert known == [True]
    assert "Only Colab takes a machine back" in str(ask(service, "GET", "/status")[1]["jobs"])


def test_a_file_that_drive_refuses_is_no_reason_to_connect_it() -> None:
    sync = SimpleNamespace(unkept=1, waiting=0, summary=lambda: "1 that Google Drive does not accept (a.png)")
    launch: Any = SimpleNamespace(sync=sync, folder=SimpleNamespace(data=Path("/content/oneclick/data/asd1111")))
    with pytest.raises(Problem, match=r"a\.png") as refused:
        stop.give_back(launch)
    assert "Disconnect and delete runtime" in refused.value.do
    sync.waiting = 1
    with pytest.raises(Problem) as waits:
        stop.give_back(launch)
    assert ["connect Drive" in one.value.do for one in (refused, waits)] == [False, True]


def test_it_is_stopping_from_the_answer_on_until_the_machine_is_given_back(
    service: Service, posts: list[Any], flush: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "STOP_PATIENCE", 0.2)
    service.status.show(state=State.READY)
    assert ask(service, "POST", "/stop", GIVE_BACK, page=True)[1]["state"] == State.STOPPING
    wait(lambda: "waiting until Google" in str(ask(service, "GET", "/status")[1]["jobs"]), 20, "the flush")
    assert state(service) == State.STOPPING
    code, said = ask(service, "POST", "/launch", {"choices": {}})
    assert code == 409, "what is begun now would go with the machine"
    assert "being stopped" in said["what"]
    assert posts == []
    flush.set()
    wait(in_state(service, State.OFF), 20, "the end")
    assert len(posts) == 1


def test_a_stop_is_not_stopped(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """■ in its cell, before its thread has begun."""
    begun = threading.Event()
    original = stop.end_everything
    monkeypatch.setattr(stop, "end_everything", lambda launch: (begun.wait(10), original(launch)))
    number = ask(service, "POST", "/stop", {})[1]["job"]
    assert ask(service, "DELETE", f"/jobs/{number}")[0] == 202
    assert not service.jobs[number].steps.over.is_set()
    begun.set()
    wait(in_state(service, State.OFF), 20, "the end")


@pytest.mark.parametrize("how", ["stop", "■"])
def test_what_is_being_added_ends_with_everything_also_while_it_waits_for_an_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def asks(job: Job, what: str = "") -> None:
        job.status.add("0", what)
        with job.steps.step("0"):
            job.ask("token", name="SECRET")

    monkeypatch.setitem(JOBS, "add_model", asks)
    service.faces.comes("a", 0)
    number = ask(service, "POST", "/add", {"what": "x"}, page=True)[1]["job"]
    wait(service.faces.open_questions, 10, "the question")
    method, path = ("POST", "/stop") if how == "stop" else ("DELETE", f"/jobs/{number}")
    ask(service, method, path, {}, page=True)
    wait(lambda: service.jobs[number].status.now.over, 10, "it to end")
    wait(lambda: how != "stop" or service.status.now.state == State.OFF, 20, "the end")


def test_what_was_stopped_is_not_done(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(job: Job, what: str = "") -> None:
        job.status.add("0", what)
        with job.steps.step("0") as step:
            step.stop.wait(30)
            raise Interrupted

    monkeypatch.setitem(JOBS, "add_model", waits)
    number = ask(service, "POST", "/add", {"what": "x"}, page=True)[1]["job"]
    wait(lambda: service.jobs[number].status.now.steps[0].started, 10, "it to begin")
    ask(service, "DELETE", f"/jobs/{number}", page=True)
    wait(lambda: service.jobs[number].status.now.over, 10, "it to end")
    now = service.jobs[number].status.now
    assert (now.title, now.steps[0].note) == ("Stopped", services.JOB_STOPPED)


# ---- what runs is what is kept, also after a start that failed


def test_another_folder_after_a_failure_ends_the_web_ui_that_still_runs_and_saves_its_images_first(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = list[dict[str, Any]]()
    monkeypatch.setattr(services, "begin", lambda launch, before, **about: how.append(about))
    monkeypatch.setattr(WebUI, "running", property(lambda self: True))
    service.launch = service._new_launch({"drive_folder": "art"})
    service.launch.finish()
    service.status.show(state=State.FAILED)
    assert ask(service, "POST", "/launch", {"choices": {"drive_folder": "other"}})[0] == 202
    assert how[0]["anew"], "its sync would end while its page goes on painting"
    assert ask(service, "POST", "/launch", {"choices": {"drive_folder": "other"}})[0] == 202
    assert not how[1]["anew"]


# ---- choices that take effect at the next restart


@pytest.mark.parametrize(
    ("choice", "whole"),
    [({"link": "none"}, False), ({"version": "dev"}, True), ({"extra_arguments": "--xformers"}, False)],
)
def test_a_restart_takes_over_what_it_was_said_to(
    service: Service, monkeypatch: pytest.MonkeyPatch, choice: dict[str, str], whole: bool
) -> None:
    """Another version is brought by a whole launch only."""
    begun, over = list[tuple[Launch, dict[str, Any]]](), threading.Event()
    monkeypatch.setattr(services, "begin", lambda launch, before, **about: begun.append((launch, about)))
    launch = service.launch = service._new_launch({"drive_folder": "art"})
    launch.thread = threading.Thread(target=over.wait)  # it is watched
    launch.thread.start()
    service.status.show(state=State.READY)
    assert ask(service, "POST", "/choices", {"choices": choice})[1]["at_restart"] == list(choice)
    assert ask(service, "POST", "/restart", {}, page=True)[1]["answer"] == "done"
    over.set()
    assert launch.restart_wanted.is_set() != whole
    assert [how["anew"] for _, how in begun] == [True] * whole
    assert all(getattr(one.settings, name) == value for one, _ in begun for name, value in choice.items())


def test_a_launch_of_the_same_folder_goes_on_with_the_sync_that_runs_however_that_was_named(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = service._new_launch({})
    monkeypatch.setattr(type(before.sync), "running", property(lambda sync: sync is before.sync))
    service.launch = before
    assert service._new_launch({"drive_folder": before.folder.kept.parent.name}).sync is before.sync
    assert service._new_launch({"drive_folder": "another"}).sync is not before.sync


def test_who_asks_uses_the_machine_and_what_is_added_keeps_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "begin", lambda launch, before, **about: None)
    launch = service.launch = service._new_launch({})
    service.status.show(state=State.READY)
    launch.used_at -= 45 * 60
    assert ask(service, "POST", "/choices", {"choices": {"give_back_after": 30}})[0] == 202
    assert not watch.is_unused(launch), "it was asked for just now"
    launch.used_at -= 45 * 60
    assert watch.is_unused(launch)
    over = threading.Event()

    def add(job: Job, what: str = "") -> None:
        over.wait(20)

    monkeypatch.setitem(jobs.JOBS, "add_model", add)
    number = ask(service, "POST", "/add", {"what": "x"})[1]["job"]
    launch.used_at -= 45 * 60
    assert not watch.is_unused(launch), "a download goes on"
    monkeypatch.setattr(service.faces, "open_questions", lambda: [{"job": number}])
    launch.used_at -= 45 * 60
    assert watch.is_unused(launch), "a question keeps no machine"
    over.set()


def test_what_was_stopped_is_kept_again_once_it_is_started(service: Service) -> None:
    sync = service._new_launch({}).sync
    service._new_launch({}).folder.data.mkdir(parents=True)
    sync.start()
    sync.stop()
    sync.start()
    assert sync.running
    sync.stop()


# ---- questions


def test_a_question_of_what_has_ended_keeps_nobody_waiting(service: Service, posts: list[Any]) -> None:
    launch = service.launch = service._new_launch({})
    service.status.show(state=State.STARTING)
    service.faces.comes("a", 0)
    answers = list[Any]()

    def put() -> None:
        try:
            answers.append(launch.ask("token", name="SECRET"))
        except NotAnswered as problem:
            answers.append(problem.what)

    asking = launch.thread = threading.Thread(target=put)
    asking.start()
    (question,) = wait(service.faces.open_questions, 10, "the question")
    ask(service, "POST", "/stop", {}, page=True)
    asking.join(20)
    assert len(answers) == 1, "the launch that ends waits for it"
    assert ask(service, "POST", f"/answers/{question['number']}", {"value": {"token": "x"}})[0] == 404
    wait(in_state(service, State.OFF), 20, "the end")


def test_a_question_to_a_notebook_that_was_closed_is_put_to_the_one_that_came_since(service: Service) -> None:
    faces, answers = service.faces, list[Any]()
    faces.comes("a", 0)
    asking = threading.Thread(target=lambda: answers.append(faces.ask(0, "token", name="SECRET")))
    asking.start()
    wait(faces.open_questions, 10, "the question")
    faces.comes("b", 0)
    faces._faces["a"].seen -= GONE_AFTER
    faces.remove_gone()
    wait(lambda: [one["face"] for one in faces.open_questions()] == ["b"], 10, "it to be put to the other")
    faces.answer(faces.open_questions()[0]["number"], {"token": "x"})
    asking.join(20)
    assert answers == [{"token": "x"}]


# ---- a full disk


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_on_a_full_disk_every_request_is_answered(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.session.log = Path("/dev/full")
    service.fault = Steps(service.status, service.session.log, threading.Event()).problem
    monkeypatch.setattr(services, "write_object", full)
    code, said = ask(service, "POST", "/launch", {"choices": {}, "variables": {"LANG": "C"}})
    assert (code, bool(said["what"] and said["do"])) == (500, True)


def test_a_launch_that_cannot_even_be_noted_fails_and_says_why(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Launch, "announce", full)
    launch = service.launch = service._new_launch({})
    monkeypatch.setattr(story, "watch", lambda launch: None)
    story.begin(launch, None)
    wait(in_state(service, State.FAILED), 10, "it to be said")
    assert service.status.now.failed


def test_stop_stops_on_a_full_disk(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = list[bool]()
    monkeypatch.setattr("launcher.core.session.write_object", full)
    monkeypatch.setattr(WebUI, "stop", lambda self: ended.append(True))
    service.launch = service._new_launch({})
    ask(service, "POST", "/stop", {}, page=True)
    wait(in_state(service, State.OFF), 20, "the end")
    assert ended


def test_a_look_that_fails_is_said_and_the_next_one_follows(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = service._new_launch({})
    looks = list[int]()

    def fails(launch: Launch) -> None:
        looks.append(1)
        if len(looks) > 1:
            launch.finish()
        full()

    monkeypatch.setattr(watch, "check_painting", fails)
    monkeypatch.setattr(watch, "WATCH_EVERY", 0.01)
    monkeypatch.setattr(watch, "DRIVE_PAUSE", 0.01)
    watch.watch(launch)
    assert len(looks) == 2
    assert "Something went wrong while looking after the web UI" in str(service.status.now.notices)


# ---- clocks


def test_a_clock_that_is_set_gives_no_machine_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = service._new_launch({"give_back_after": 10})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 7200)
    assert not watch.is_unused(launch)
    launch.used_at -= 599
    assert not watch.is_unused(launch)
    launch.used_at -= 1
    assert watch.is_unused(launch)


def test_while_it_starts_nobody_is_told_a_time_at_which_the_machine_is_not_given_back(service: Service) -> None:
    service.launch = service._new_launch({"give_back_after": 10})
    for now, told in ((State.STARTING, False), (State.READY, True), (State.FAILED, True), (State.STOPPING, False)):
        service.status.show(state=now)
        assert bool(ask(service, "GET", "/status")[1]["given_back_at"]) == told
