"""The service without a launch: who may ask what, bounds, faces, questions, and the owner of before."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from launcher.core.fields import DEFAULTS
from launcher.core.process import PACKAGE, running_pid
from launcher.core.session import Session, address_of, request
from launcher.core.status import State
from launcher.drive.find import Remembered
from launcher.launch.remember import settings_of
from launcher.service import server
from launcher.service.choices import asked_by, differences, noted, of_this_machine
from launcher.service.jobs import JOBS
from launcher.service.questions import NotAnswered
from launcher.service.service import MOST_AT_WORK, Service
from tests.service.conftest import ask
from tests.world.wait import wait


def raw(place: Path, content: bytes, patience: float = 20.0) -> bytes:
    """What comes back for these bytes."""
    with socket.socket(socket.AF_UNIX) as connection, address_of(place) as address:
        connection.settimeout(patience)
        connection.connect(address)
        connection.sendall(content)
        found = b""
        while more := connection.recv(65536):
            found += more
        return found


# ---- who may ask what


def test_the_sockets_are_their_owners_alone(service: Service) -> None:
    session = service.session
    assert stat.S_IMODE(session.place.stat().st_mode) == 0o700
    for place in (session.notebook_socket, session.page_socket):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_gets_nothing(service: Service) -> None:
    for folder in service.session.place.parents:  # else the way there would be what is refused
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    code = (
        "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX)\ntry: s.connect(sys.argv[1])\nexcept PermissionError: print('refused')"
    )
    for place in (service.session.notebook_socket, service.session.page_socket):
        link = Path("/tmp") / f"s{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(place)
        told = subprocess.run([sys.executable, "-c", code, str(link)], capture_output=True, text=True, check=True)
        link.unlink()
        assert told.stdout == "refused\n"


def test_the_page_may_not_ask_for_what_is_the_notebooks(service: Service) -> None:
    for method, path in (("POST", "/launch"), ("POST", "/answers/1"), ("GET", "/link"), ("DELETE", "/faces/a")):
        assert ask(service, method, path, {}, page=True)[0] == 403
    for do in ("add_controlnet", "change_extensions"):
        assert ask(service, "POST", "/add", {"do": do, "fields": {"what": "x"}}, page=True)[0] == 403
    for name in ("drive_folder", "keep_on_drive", "version", "extensions_tab", "extra_arguments"):
        assert ask(service, "POST", "/choices", {"choices": {name: "x"}}, page=True)[0] == 403


def test_the_page_cannot_choose_for_a_launch_that_only_a_job_makes(service: Service) -> None:
    asked = {"choices": {"extensions_tab": True, "drive_folder": "other"}}
    assert ask(service, "POST", "/stop", asked, page=True)[0] == 202
    wait(lambda: service.status.now.state == State.OFF, 20, "the end")
    assert service.launch is not None
    assert not service.launch.settings.extensions_tab
    assert service.launch.settings.drive_folder != "other"
    assert ask(service, "POST", "/add", {"do": "change_extensions", "fields": {"what": "x"}}, page=True)[0] == 403


def a_question(service: Service) -> threading.Thread:
    """A token is asked of the face "a", and is not given; the thread that asks."""
    service.faces.comes("a", 0)

    def put() -> None:
        with pytest.raises(NotAnswered):
            service.faces.ask(0, "token", name="SECRET")

    asking = threading.Thread(target=put)
    asking.start()
    wait(service.faces.open_questions, 5, "the question")
    return asking


def test_the_pages_status_has_no_password_and_no_question(service: Service) -> None:
    from launcher.core.status import LoginBox

    service.status.show(login_box=LoginBox("https://x", "user", "the-password", "here", 1.0))
    asking = a_question(service)
    told = json.dumps(ask(service, "GET", "/status", page=True)[1])
    assert "the-password" not in told
    assert "SECRET" not in told
    assert '"questions": [{"kind": "token"}]' in told
    assert "the-password" in json.dumps(ask(service, "GET", "/status")[1])
    service.faces.remove("a")
    asking.join()


def test_a_question_in_the_notebook_is_named_on_the_page_and_what_it_asks_is_not(service: Service) -> None:
    asking = a_question(service)
    said = "A question waits for your answer in the notebook."
    assert said in ask(service, "GET", "/status", page=True)[1]["notices"]
    assert said not in ask(service, "GET", "/status")[1]["notices"]
    service.faces.remove("a")
    asking.join()
    assert said not in ask(service, "GET", "/status", page=True)[1]["notices"]


# ---- malformed, huge, slow


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"POST /restart HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413),
        (b"POST /restart HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 413),
        (b"POST /restart HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"GET /status?job=" + b"9" * 5000 + b" HTTP/1.1\r\n\r\n", 200),
        (b"GET /status?after=x." + b"9" * 5000 + b" HTTP/1.1\r\n\r\n", 200),
        (b"POST /restart HTTP/1.1\r\nContent-Length: 5\r\n\r\n{'a'}", 400),
        (b"POST /restart HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", 400),
        (b'POST /restart HTTP/1.1\r\nContent-Length: 11\r\n\r\n{"now":true}'[:-1], 400),
        (b'POST /stop HTTP/1.1\r\nContent-Length: 15\r\n\r\n{"give_back":1}', 400),
        (b"POST /restart HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000, 400),
        (b"GET /status?nonsense=1 HTTP/1.1\r\n\r\n", 400),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"PUT /restart HTTP/1.1\r\n\r\n", 501),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"\x00\xff\r\n\r\n", 400),
    ],
)
def test_what_is_malformed_or_huge_is_refused(service: Service, content: bytes, code: int) -> None:
    for place in (service.session.notebook_socket, service.session.page_socket):
        answer = raw(place, content)
        assert str(code) in answer.split(b"\r\n")[0].decode() or f"Error code: {code}" in answer.decode()
    assert ask(service, "GET", "/status")[0] == 200


def test_a_slow_request_is_dropped_and_keeps_nobody_waiting(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_PATIENCE", 0.5)
    began = time.monotonic()
    raw(service.session.page_socket, b"POST /restart HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert time.monotonic() - began < 5
    assert ask(service, "GET", "/status", page=True)[0] == 200


def test_a_request_that_trickles_in_is_dropped_once_its_time_is_over(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    asked = list[float]()

    def monotonic() -> float:
        asked.append(clock[0])
        return clock[0]

    monkeypatch.setattr(server, "monotonic", monotonic)
    with socket.socket(socket.AF_UNIX) as connection, address_of(service.session.page_socket) as address:
        connection.settimeout(server.REQUEST_PATIENCE / 2)
        connection.connect(address)
        wait(lambda: len(asked) == 2, 5, "the first look for a byte")
        for byte in (b"G", b"E"):
            clock[0] += server.REQUEST_PATIENCE - 1  # no byte is that late
            connection.sendall(byte)
        assert connection.recv(1) == b""


def test_a_variable_that_is_not_handed_on_is_refused(service: Service) -> None:
    for variables in ({"HF_TOKEN": "hf_x"}, {"LD_PRELOAD": "/x.so"}, {"HOME": 1}):
        code, told = ask(service, "POST", "/launch", {"choices": {}, "variables": variables})
        assert code == 400
        assert "is not handed on" in told["what"]


# ---- statuses, faces


def test_a_status_is_waited_for_and_another_services_version_is_answered_at_once(service: Service) -> None:
    first = ask(service, "GET", "/status")[1]
    threading.Timer(0.3, lambda: service.status.notice("news")).start()
    began = time.monotonic()
    second = ask(service, "GET", f"/status?after={first['version']}")[1]
    assert 0.2 < time.monotonic() - began < 5
    assert second["notices"] == ["news"]
    began = time.monotonic()
    assert ask(service, "GET", "/status?after=another.99")[0] == 200
    assert time.monotonic() - began < 2


def test_a_face_that_is_gone_is_noticed_and_its_question_is_answered_by_nobody(service: Service) -> None:
    with pytest.raises(NotAnswered, match="this notebook is not open"):
        service.faces.ask(0, "mount")
    with socket.socket(socket.AF_UNIX) as connection, address_of(service.session.notebook_socket) as address:
        connection.connect(address)
        version = ask(service, "GET", "/status")[1]["version"]
        connection.sendall(f"GET /status?after={version}&face=f1 HTTP/1.1\r\n\r\n".encode())
        wait(lambda: len(service.faces), 5, "the face")
    answers: list[str] = []

    def put() -> None:
        try:
            service.faces.ask(0, "mount")
        except NotAnswered as error:
            answers.append(error.what)

    threading.Thread(target=put).start()
    wait(lambda: (service.busy, answers)[1], 10, "it to be noticed")  # `busy` looks
    assert "the notebook was closed" in answers[0]
    assert not service.busy


def test_a_restart_where_nothing_was_ever_started_is_refused(service: Service) -> None:
    code, told = ask(service, "POST", "/restart", {}, page=True)
    assert (code, told["answer"], told["state"]) == (409, "refused", State.IDLE)
    assert "Press ▶" in told["what"]


# ---- choices


def test_what_belongs_to_the_web_ui_that_runs_is_told_from_the_rest() -> None:
    runs, form = settings_of({"drive_folder": "art"}), {"drive_folder": "other", "api": True}
    assert differences(runs, settings_of(form)) == {"drive_folder": ["art", "other"]}
    assert differences(runs, settings_of({"drive_folder": "art", "give_back_after": 5})) == {}
    assert differences(settings_of({}), runs) == {"drive_folder": ["as last time", "art"]}


def test_a_form_of_all_nine_fields_asks_for_each_and_its_first_checkpoint_means_any() -> None:
    old = DEFAULTS | {"checkpoint": "Stable Diffusion 1.5", "drive_folder": "asd1111"}
    assert asked_by(old) == {name: value for name, value in old.items() if name != "checkpoint"}
    assert asked_by({"checkpoint": "Stable Diffusion 1.5"}) == {"checkpoint": "Stable Diffusion 1.5"}
    assert asked_by(old | {"checkpoint": "DreamShaper 8"})["checkpoint"] == "DreamShaper 8"


def test_other_choices_take_effect_at_once_or_at_the_next_restart_or_are_refused(service: Service) -> None:
    assert ask(service, "POST", "/choices", {"choices": {"api": True}})[0] == 409, "nothing is known yet"
    service.launch = service._new_launch({"drive_folder": "art"})
    known = service.launch.folder.code / "modules" / "cmd_args.py"
    known.parent.mkdir(parents=True)
    known.write_text('parser.add_argument("--theme")')
    for choices, page, code, later in (
        ({"give_back_after": 5}, True, 202, []),
        ({"api": True}, True, 202, []),
        ({"extra_arguments": "--theme dark"}, False, 202, ["extra_arguments"]),
        ({"extra_arguments": "--share"}, False, 400, None),
        ({"extra_arguments": "--thmee dark"}, False, 400, None),
        ({"drive_folder": "art", "keep_on_drive": "as last time"}, False, 202, []),
        ({"drive_folder": "other"}, False, 409, None),
        ({"checkpoint": "https://civitai.com/models/1?token=SECRET"}, False, 400, None),
        ({"lottery": 1}, False, 400, None),
    ):
        found, told = ask(service, "POST", "/choices", {"choices": choices}, page=page)
        assert (found, told.get("at_restart")) == (code, later), choices
    assert ask(service, "POST", "/restart", {"choices": {"extra_arguments": "--share"}})[0] == 400, "so is a restart"
    assert ask(service, "POST", "/restart", {"choices": {"link": "none"}}, page=True)[0] == 403
    settings = service.launch.settings
    assert (settings.give_back_after, settings.api, settings.extra_arguments) == (5, True, ("--theme", "dark"))
    assert json.loads(service.session.forward.read_text())["api"] is True
    assert ask(service, "GET", "/status", page=True)[1]["choices"]["extra_arguments"] == "--theme dark"


def test_a_restart_for_another_version_begins_anew_and_for_nothing_else(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = service.launch = service._new_launch({"drive_folder": "art"})
    launch.thread = threading.Thread(target=launch.over.wait)
    launch.thread.start()
    begun = list[tuple[str, bool]]()
    monkeypatch.setattr(service, "_begin", lambda choices, anew: begun.append((choices["version"], anew)))
    for choices in ({}, {"choices": {"link": "none"}}, {"choices": {"version": "dev"}}):
        launch.restart_wanted.clear()
        service.status.show(state=State.READY)
        assert ask(service, "POST", "/restart", choices)[1]["answer"] == "done"
        assert launch.restart_wanted.is_set() == (not begun)
    assert begun == [("dev", True)]
    launch.finish()


def test_choices_are_kept_in_the_folder_on_drive_and_a_button_forgets_them(service: Service) -> None:
    launch = service.launch = service._new_launch({"drive_folder": "art", "api": True})
    launch.machine.drive.mkdir(parents=True)
    launch.settle()
    launch.folder.prepare()
    kept = launch.folder.kept

    def remembered(choices: dict[str, Any]) -> None:
        wait(lambda: Remembered.read(kept).choices == choices, 10, f"{choices} on Drive")

    assert ask(service, "POST", "/choices", {"choices": {"version": "dev"}})[1]["at_restart"] == ["version"]
    remembered({"api": True, "version": "dev"})
    assert Remembered.read(kept).used_at > 0
    token = "--civitai-token abcdef"
    assert ask(service, "POST", "/choices", {"choices": {"extra_arguments": token, "link": "none"}})[0] == 202
    remembered({"api": True, "version": "dev", "link": "none"})
    assert ask(service, "POST", "/choices", {"forget": True}, page=True)[0] == 403
    told = ask(service, "POST", "/choices", {"forget": True})[1]
    assert set(told["at_restart"]) == {"version", "link", "extra_arguments"}
    remembered({})
    assert launch.settings == settings_of({"drive_folder": "art"})


def test_nothing_on_drive_is_remembered_as_long_as_the_machine_is_there(service: Service) -> None:
    launch = service._new_launch({"keep_on_drive": "nothing", "api": True})
    launch.prepare()
    launch.note_end()
    assert noted(service.session) == {}, "nothing runs"
    assert of_this_machine(service.session, {}) == {"keep_on_drive": "nothing", "api": True}
    assert of_this_machine(service.session, {"keep_on_drive": "everything"}) == {"keep_on_drive": "everything"}
    service._new_launch({"drive_folder": "art"}).note_end()
    assert of_this_machine(service.session, {}) == {}


def test_what_another_version_noted_of_its_launch_is_taken_as_far_as_it_is_known(session: Session) -> None:
    old = {"drive_folder": "art", "api": True, "extra_arguments": ["--theme"], "lottery": 1, "link": "pinggy"}
    session.launch_file.write_text(json.dumps({"settings": old}))
    assert noted(session) == {"drive_folder": "art", "api": True}


def test_a_face_is_told_what_takes_effect_when(service: Service) -> None:
    service.launch = service._new_launch({})
    ask(service, "POST", "/choices", {"choices": {"give_back_after": 5, "extra_arguments": "--theme dark"}})
    (said,) = ask(service, "GET", "/status", page=True)[1]["notices"]
    assert said.startswith("Taken over: give_back_after. Taken over at the next restart: extra_arguments.")
    ask(service, "POST", "/choices", {"choices": {"api": True}}, page=True)
    assert ask(service, "GET", "/status")[1]["notices"] == ["Taken over: api."]


def test_the_machine_stays_longer_on_request_whether_it_is_used_or_not(service: Service) -> None:
    assert ask(service, "POST", "/extend", {"minutes": 30}, page=True)[0] == 409, "nothing runs"
    launch = service.launch = service._new_launch({})
    service.status.show(state=State.READY)
    assert ask(service, "POST", "/extend", {"minutes": 30}, page=True)[0] == 409, "it is never given back"
    launch.choose({"give_back_after": 10})
    first = ask(service, "GET", "/status", page=True)[1]["given_back_at"]
    assert first == pytest.approx(time.time() + 600, abs=60)
    for minutes, code in ((30, 202), (0, 400), (-30, 400), (100_000, 400)):
        assert ask(service, "POST", "/extend", {"minutes": minutes}, page=True)[0] == code
    version = ask(service, "GET", "/status")[1]["version"]
    assert launch.given_back_at == pytest.approx(first + 1800, abs=1)
    for ago in (-(10**9), 10**400, 0):  # the last one counts, and none stops what reads it
        assert ask(service, "POST", "/used", {"ago": ago}, page=True)[0] == 204
        assert launch.used_at <= time.monotonic()
    assert ask(service, "GET", f"/status?after={version}")[1]["given_back_at"] == launch.given_back_at, (
        "use takes nothing away"
    )
    service.status.show(state=State.OFF)
    assert ask(service, "GET", "/status")[1]["given_back_at"] == 0


@pytest.mark.parametrize(("colab", "offered"), [(True, ["stop", "give back"]), (False, ["stop"])])
def test_only_what_was_lent_can_be_given_back(service: Service, colab: bool, offered: list[str]) -> None:
    launch = service.launch = service._new_launch({})
    launch.machine = replace(launch.machine, colab=colab)
    service.status.show(state=State.READY, buttons=("stop",))
    assert ask(service, "GET", "/status", page=True)[1]["buttons"] == offered


# ---- one owner


KEEPER = """
import fcntl, os, signal, sys
from pathlib import Path
from launcher.core.process import note_process
from launcher.core.session import Session
session = Session(Path(sys.argv[1]))
lock = session.lock.open("w")
fcntl.flock(lock, fcntl.LOCK_EX)
note_process(session.keeper.pid_file, os.getpid())
signal.pause()
"""


@pytest.mark.parametrize("how", ["lives", "died"])
def test_the_keeper_of_1_2_0_gives_way_to_one_service(session: Session, how: str) -> None:
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, str(session.place)], cwd=PACKAGE, start_new_session=True)
    wait(lambda: running_pid(session.keeper.pid_file), 20, "the keeper")
    if how == "died":
        keeper.kill()
        keeper.wait()
    made = subprocess.Popen(
        [sys.executable, "-m", "launcher.service", str(session.place)], cwd=PACKAGE, start_new_session=True
    )
    try:
        wait(session.notebook_socket.exists, 30, "the service")
        keeper.wait(10)
        second = subprocess.Popen([sys.executable, "-m", "launcher.service", str(session.place)], cwd=PACKAGE)
        look = partial(request, session.notebook_socket, "GET", "/status?face=a")  # else it would end by itself
        wait(lambda: look()[1]["state"] == "idle" and second.poll() is not None, 60, "the second to end")
        assert second.returncode == 0
    finally:
        made.terminate()
        made.wait(20)
    assert not session.notebook_socket.exists()


# ---- jobs


def test_a_stopped_job_is_stopped_and_only_undo_takes_something_away(service: Service) -> None:
    code, told = ask(service, "POST", "/add", {"what": "xyzzy"}, page=True)
    assert code == 202
    path, number = f"/jobs/{told['job']}", str(told["job"])
    wait(lambda: ask(service, "GET", "/status")[1]["jobs"][number]["over"], 20, "the end of the job")
    assert "Nothing is called **xyzzy**" in ask(service, "GET", "/status")[1]["jobs"][number]["steps"][0]["problem"]
    assert ask(service, "DELETE", path)[0] == 202
    assert ask(service, "DELETE", path, {"undo": True})[0] == 409, "it has added nothing"
    job = service.jobs[told["job"]]
    file = job.launch.folder.models / "Lora" / "style.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    job.fetchers[0].added.append(file)
    job.status.show(can_undo=job.can_undo)
    assert ask(service, "DELETE", path)[0] == 202
    assert file.exists(), "a stop that comes too late"
    assert ask(service, "DELETE", path, {"undo": True}, page=True)[0] == 202
    wait(lambda: not file.exists(), 20, "the file to go")
    wait(lambda: job.status.now.over, 20, "the end")
    assert (job.status.now.title, job.status.now.can_undo) == ("Taken away again", False)
    assert "taken away: style.safetensors" in job.status.now.steps[0].note


def test_a_page_may_write_anything_into_add_and_programs_are_refused_row_by_row(service: Service) -> None:
    fields = {"what": "adetailer\nxyzzy", "kind": "", "file_name": ""}
    number = ask(service, "POST", "/add", fields, page=True)[1]["job"]
    job = service.jobs[number]
    wait(lambda: job.status.now.over, 20, "the end of the job")
    assert [row.problem[:40] for row in job.status.now.steps] == [
        "adetailer is an extension, which is a pr", "Nothing is called **xyzzy**: no model in",
    ]  # fmt: skip


def test_so_much_at_once_is_refused_and_some_is_done(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def waits(job: object, what: str = "") -> None:
        over.wait(30)

    monkeypatch.setitem(JOBS, "add_model", waits)
    asked = {"do": "add_model", "fields": {"what": "x"}}
    codes = [ask(service, "POST", "/add", asked, page=True)[0] for _ in range(100)]
    over.set()
    assert codes.count(202) == MOST_AT_WORK
    assert codes.count(429) == 100 - MOST_AT_WORK
    wait(lambda: not any(job.at_work for job in service.jobs.values()), 10, "their end")
    assert ask(service, "POST", "/add", asked, page=True)[0] == 202


def test_the_web_ui_that_still_runs_is_noted_until_the_next_launch_has_ended_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed meanwhile, the service after this one keeps the images of what runs, and not by the form of the next."""
    monkeypatch.setattr("launcher.service.service.begin", lambda *about, **how: None)
    service.session.launch_file.write_text(json.dumps({"settings": {"drive_folder": "art"}, "kept": "x"}))
    assert (
        ask(service, "POST", "/launch", {"choices": {"keep_on_drive": "nothing"}, "variables": {"LANG": "C"}})[0] == 202
    )
    noted_now = json.loads(service.session.launch_file.read_text())
    assert noted_now == {"settings": {"drive_folder": "art"}, "kept": "x", "variables": {"LANG": "C"}}
