"""The web UI's process: started, ready, explained when it ends. The children misbehave on purpose."""

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.process import PACKAGE, CommandError, end_process, run, running_pid, start_detached
from launcher.core.session import Session
from launcher.webui.explain import ENDED_FROM_OUTSIDE, explain, problem_of_system
from launcher.webui.known_faults import ENDS, NOT_LOADED, NOT_PAINTED, RAM
from launcher.webui.process import Plan, WebUI, check_arguments, fixed_arguments, free_port, machine_arguments
from launcher.webui.settings_files import check_settings_file
from tests.conftest import new_folder
from tests.world.heard import Heard
from tests.world.wait import lives, wait
from tests.world.web import Web

READY = (
    "import sys, time\nprint('Running on local URL:  http://127.0.0.1:1', "
    "flush=True)\ntime.sleep(.3)\nprint('Startup time: 1s', flush=True)\ntime.sleep(60)\n"
)


@pytest.fixture
def webui(tmp_path: Path) -> WebUI:
    folder = new_folder(tmp_path)
    folder.code.mkdir(parents=True)
    return WebUI(folder)


def begin(webui: WebUI, script: str) -> Plan:
    (webui.folder.code / "launch.py").write_text(script)
    plan = Plan(Path(sys.executable), ("--api",), {"PYTHONUNBUFFERED": "1"})
    webui.start(plan)
    return plan


def test_it_is_ready_when_it_says_so_and_not_before(webui: WebUI) -> None:
    plan = begin(webui, READY)
    try:
        assert not webui.ready
        assert webui.wait_until_ready(Heard(), lambda: False)
        assert webui.ready
        assert webui.started_with(plan)
        assert not webui.started_with(Plan(plan.python, ("--other",), {}))
        assert webui.started_with(Plan(plan.python, ("--api", "--ckpt", "/x"), {})), (
            "another checkpoint is no reason to start anew"
        )
    finally:
        webui.stop()
    assert not webui.running


def test_apply_and_restart_ui_is_told_from_a_crash(webui: WebUI) -> None:
    """As A1111's modules/restart.py does it; without the variable its button only quits."""
    script = (
        "import os, pathlib\n"
        "if os.environ.get('SD_WEBUI_RESTART'):\n    pathlib.Path('tmp/restart').touch()\nos._exit(0)\n"
    )
    begin(webui, script)
    wait(lambda: not webui.running, 20, "its end")
    assert webui.ended_to_restart
    begin(webui, READY)
    try:
        assert not webui.ended_to_restart
    finally:
        webui.stop()
    assert not webui.ended_to_restart, "it was stopped, and nobody has pressed that since"


@pytest.mark.parametrize(
    ("status", "body", "at_work"),
    [
        (200, b'{"progress": 0.3, "state": {"job": "task(x)"}}', True),
        (200, b'{"progress": 0.0, "state": {"job": ""}}', False),
        (404, b'{"detail": "Not Found"}', False),
        (200, b"<html>", False),
    ],
)
def test_it_is_at_work_while_a_job_of_it_has_a_name(
    webui: WebUI, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, at_work: bool
) -> None:
    web = Web()
    web.answer = lambda path, headers: (status, {}, body)
    monkeypatch.setattr(WebUI, "port", int(web.url.rpartition(":")[2]))
    try:
        assert webui.at_work == at_work
    finally:
        web.close()
    assert web.asked[0][0] == "/sdapi/v1/progress?skip_current_image=true"
    assert not webui.at_work, "it does not answer any more"


def test_another_object_finds_the_same_process_again(webui: WebUI) -> None:
    begin(webui, READY)
    try:
        again = WebUI(webui.folder)
        assert again.running
        assert again.port == webui.port
    finally:
        webui.stop()


def test_stop_ends_its_children_and_one_that_does_not_listen(
    webui: WebUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    deaf += (
        "p = subprocess.Popen([sys.executable, '-c', 'import time; "
        f"time.sleep(99)'])\nopen({str(tmp_path / 'child')!r}, 'w').write(str(p.pid))\ntime.sleep(99)\n"
    )
    begin(webui, deaf)
    wait(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), 20, "the child")
    end_process(webui.pid_file, patience=0.5)
    child = Path("/proc", (tmp_path / "child").read_text())
    assert not child.exists() or "zombie" in (child / "status").read_text()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "ran out of memory"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate')", "graphics card ran out"),
        ("raise OSError(28, 'No space left on device')", "disk is full"),
        ("raise OSError(107, 'Transport endpoint is not connected')", "Google Drive was disconnected"),
        ("raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')", "changed numpy"),
        ("raise OSError('Cannot find empty port in range: 7868-7868')", "port"),
        ("import no_such_package", "no_such_package"),
        (
            "exec(compile('raise AttributeError', '/content/oneclick/data/asd1111/extensions/nice-one/scripts/x.py', "
            "'exec'))",
            "extension nice-one",
        ),
        ("print('something odd')\nraise SystemExit(3)", "something odd"),
        ("", "exit code 0"),
    ],
)
def test_a_start_that_fails_is_explained(webui: WebUI, script: str, says: str) -> None:
    begin(webui, script)
    with pytest.raises(Problem) as caught:
        webui.wait_until_ready(Heard(), lambda: False)
    assert says in caught.value.what
    assert "▶" in caught.value.do


# With a card's driver behind it a process that is killed counts as ended at once, and its exit code comes 0.2 s later:
# so does one whose first thread has ended before the others.
KILLED_WHILE_PAINTING = r"""
import ctypes, os, platform, signal, threading, time
print("\rTotal progress:  19%|█▉        | 57/300 [00:03<00:16, 14.51it/s]\x1b[A", flush=True)
def be_killed():
    time.sleep(0.4)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=be_killed).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)  # exit: of this thread only
"""


def test_how_it_ended_is_waited_for_where_the_system_says_it_late(webui: WebUI) -> None:
    begin(webui, KILLED_WHILE_PAINTING)
    wait(lambda: not webui.running, 10, "its end")
    assert webui.why_it_ended().what == RAM.what


def test_one_that_was_killed_and_is_not_our_child_is_explained_without_its_progress_bar(webui: WebUI) -> None:
    log = "Startup time: 5.3s.\n\rTotal progress:  19%|█▉        | 57/300 [00:03<00:16, 14.51it/s]\x1b[A"
    assert explain(log, None, "/x.log").what == ENDED_FROM_OUTSIDE


def test_a_model_that_does_not_load_is_not_waited_for_for_ever(webui: WebUI) -> None:
    failing = "loading stable diffusion model: KeyError\nKeyError: 1\n\nStable diffusion model failed to load"
    begin(webui, f"import time\nprint('Startup time: 1s', {failing!r}, sep='\\n', flush=True)\ntime.sleep(600)\n")
    try:
        assert webui.wait_for_model(threading.Event())
    finally:
        webui.stop()


A_WEB_UI_THAT_TAKES_ITS_PORT_LATE = """
import os, socket, sys, time
port = int(sys.argv[-1])
while not os.path.exists(f"../late-{port}"):
    time.sleep(0.01)
try:
    listening = socket.create_server(("127.0.0.1", port))
except OSError:
    raise OSError(f"Cannot find empty port in range: {port}-{port}")  # as gradio says it
print("Startup time: 1s", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def a_program_that_takes(webui: WebUI, most: int) -> Iterator[list[int]]:
    """The first `most` ports that the web UI is given are taken before it can have them; those it was given."""
    given, over = list[int](), threading.Event()

    def follow() -> None:
        with contextlib.ExitStack() as taken:
            while not over.wait(0.01):
                port = webui.port
                if port and port not in given:
                    if len(given) < most:
                        taken.enter_context(socket.create_server(("127.0.0.1", port)))
                    given.append(port)
                    (webui.folder.code.parent / f"late-{port}").touch()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield given
    finally:
        over.set()
        thread.join()


def test_a_port_that_another_program_takes_in_between_costs_a_second_start(webui: WebUI) -> None:
    with a_program_that_takes(webui, 1) as given:
        begin(webui, A_WEB_UI_THAT_TAKES_ITS_PORT_LATE)
        try:
            assert webui.wait_until_ready(Heard(), lambda: False)
            assert len(given) == 2
            assert WebUI(webui.folder).port == given[-1], "the door hears of the new one"
            socket.create_connection(("127.0.0.1", given[-1])).close()
        finally:
            webui.stop()


def test_a_machine_on_which_every_port_is_taken_is_said(webui: WebUI) -> None:
    with a_program_that_takes(webui, 99) as given:
        begin(webui, A_WEB_UI_THAT_TAKES_ITS_PORT_LATE)
        with pytest.raises(Problem, match="was taken by another program"):
            webui.wait_until_ready(Heard(), lambda: False)
        assert len(given) == 3, "a start that went on for ever would never be said"


def test_a_port_that_an_extension_wanted_is_the_extensions_fault(webui: WebUI) -> None:
    odd = "/content/oneclick/data/asd1111/extensions/odd/scripts/x.py"
    begin(webui, f"exec(compile('raise OSError(98, \"address already in use\")', '{odd}', 'exec'))")
    port = webui.port
    with pytest.raises(Problem) as caught:
        webui.wait_until_ready(Heard(), lambda: False)
    assert caught.value.by_extension
    assert webui.port == port, "another port would not have helped"


MEMMON = "Warning: caught exception 'Found no NVIDIA driver on your system. Please check', memory monitor disabled\n"
AT_EXTENSION = '  File "/content/oneclick/data/asd1111/extensions/odd/scripts/x.py", line 3, in <module>\n    go()\n'
TRACEBACK = (
    'Traceback (most recent call last):\n  File "/content/oneclick/stable-diffusion-webui/launch.py", '
    "line 48, "
    "in <module>\n"
)
SURVIVED = "*** Error loading script: nice.py\n" + "".join(
    f"    {line}\n" for line in f"{TRACEBACK}{AT_EXTENSION.replace('odd', 'nice')}ModuleNotFoundError: No module "
        "named 'x'".split("\n")
) + "\n---\n"  # fmt: skip
NO_MODEL = (
    f"loading stable diffusion model: OutOfMemoryError\n{TRACEBACK}torch.OutOfMemoryError: CUDA out of "
    "memory.\nStable diffusion model failed to load\n"
)
CRASH = 'Fatal Python error: {}\n\nCurrent thread 0x1 (most recent call first):\n  File "/x/y.py", line 1 in f\n'
USAGE = "usage: launch.py [-h]\n                 [--theme THEME]\nlaunch.py: error: "
GOOD_READ = "Loading weights [6c] from /x/good.safetensors\nModel loaded in 1.0s.\n"
DAMAGED = "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory\n"
MANY = "".join(f"line {number}\n" for number in range(20))


@pytest.mark.parametrize(
    ("log", "code", "says", "by_extension"),
    [
        (MEMMON + "bye\n", 3, "its last message was: ", True),  # without a card, every early death was the card's
        (MEMMON + TRACEBACK + AT_EXTENSION + "AttributeError: a\n", 1, "The extension odd stopped", True),
        (MEMMON + TRACEBACK + "RuntimeError: Torch is not able to use GPU; add --skip\n", 1, "no graphics card", False),
        ("Loading weights [6c] from /x/big.safetensors\nFatal Python error: Bus error\n", -7, "big.safetensors", False),
        (TRACEBACK + AT_EXTENSION + "RuntimeError: Found no NVIDIA driver on your system\n", 1, "The extension "
            "odd stopped", True),
        ("RuntimeError: CUDA out of memory.\n" + MANY + "bye\n", 3, "its last message was: ", True),  # long ago
        (NO_MODEL + TRACEBACK + AT_EXTENSION + "KeyError: 1\n", 1, "The extension odd stopped", True),
        (NO_MODEL + "bye\n", 3, "ran out of memory", False),  # nothing else was said
        (SURVIVED + TRACEBACK + "OSError: [Errno 28] No space left on device\n", 1, "disk is full", False),
        (SURVIVED + "bye\n", 3, "its last message was: ", True),
        (TRACEBACK + AT_EXTENSION + "OSError: [Errno 28] No space left on device\n", 1, "disk is full", True),
        (TRACEBACK + AT_EXTENSION + "ValueError: 1\n" + MEMMON, -9, "ran out of memory (RAM)", False),
        ("Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call "
            "first):\n" + AT_EXTENSION, -11, "The extension odd", True),
        (TRACEBACK + AT_EXTENSION + "KeyError: 1\n" + MANY + "launch.py: error: unrecognized "
            "arguments: --odd\n", 2, "(unrecognized arguments: --odd)", False),
        (TRACEBACK + "ModuleNotFoundError: No module named 'x'\n", 1, "is missing (No module named 'x')", True),
        (CRASH.format("Segmentation fault"), -11, "crashed (Segmentation fault)", True),
        (f"  what():  std::bad_alloc\n{CRASH.format('Aborted')}", -6, "ran out of memory (RAM)", False),
        (CRASH.format("Aborted") + AT_EXTENSION, -6, "The extension odd stopped", True),
        (TRACEBACK + "OSError: [Errno 98] Address already in use\n", 1, "The port the web UI wanted", False),
        (USAGE + "argument --theme: expected one argument\n", 2, "(argument --theme: expected one argument)", False),
        (GOOD_READ + TRACEBACK + "EOFError: EOF when reading a line\n", 1, "message was: EOFError: EOF when", True),
        (GOOD_READ + TRACEBACK + AT_EXTENSION + DAMAGED, 1, "The extension odd stopped", True),
        (GOOD_READ + TRACEBACK + DAMAGED, 1, "last message was: RuntimeError: PytorchStreamReader failed", True),
        (TRACEBACK + "RuntimeError: CUDA error: uncorrectable ECC error\nCompile\n", 1, "failed (uncorre", False),
        (TRACEBACK + "RuntimeError: CUDA unknown error - this may be due to an\n", 1, "no graphics card", False),
        (TRACEBACK + "sqlite3.OperationalError: database or disk is full\n", 1, "The disk is full", False),
        (TRACEBACK + "OSError: [Errno 28] inotify watch limit reached\n", 1, "inotify watch limit", True),
    ],
)  # fmt: skip
def test_how_it_ended_and_its_last_traceback_decide_before_any_single_line(
    log: str, code: int, says: str, by_extension: bool
) -> None:
    problem = explain(log, code, "/x.log")
    assert says in problem.what
    assert problem.by_extension == by_extension


def test_a_full_disk_is_said_too_where_a_program_met_it() -> None:
    error = CommandError(["git", "checkout"], 128, "error: unable to write file launch.py: No space left on device")
    found = problem_of_system(error)
    assert found and found.what == "The disk is full."
    assert problem_of_system(CommandError(["git"], 1, "fatal: bad object")) is None
    assert problem_of_system(ValueError("No space left on device")) is None


def test_every_meaning_says_what_to_do_in_whole_sentences() -> None:
    for known in (*ENDS.values(), *NOT_LOADED.values(), *NOT_PAINTED.values()):
        assert known.do.endswith((".", "{smaller}"))
        assert known.what.endswith(".")
    assert explain("", 3, "/x.log").do.endswith("/x.log.")


def test_a_pid_that_another_process_got_is_not_ours(webui: WebUI) -> None:
    begin(webui, READY)
    noted = json.loads(webui.pid_file.read_text())
    webui.stop()
    webui.pid_file.write_text(json.dumps({"pid": 1, "created": noted["created"]}))
    assert running_pid(webui.pid_file) == 0


def test_a_child_whose_parent_has_died_is_ended_too_and_a_stranger_is_not(tmp_path: Path) -> None:
    script = "import subprocess, sys, os; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
    script += (
        f"open({str(tmp_path / 'part')!r}, 'w').write(str(p.pid)); os.rename({str(tmp_path / 'part')!r}, "
        f"{str(tmp_path / 'child')!r})"
    )
    pid_file = tmp_path / "pid"
    start_detached([sys.executable, "-c", script], log=tmp_path / "log", pid_file=pid_file, env={}, cwd=tmp_path)
    noted = json.loads(pid_file.read_text())
    end = time.monotonic() + 20
    while running_pid(pid_file) or not (tmp_path / "child").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    child = psutil.Process(int((tmp_path / "child").read_text()))
    pid_file.write_text(json.dumps({"pid": noted["pid"], "created": time.time() + 100}))
    end_process(pid_file, patience=1)
    assert child.is_running(), "a group that is older than the note is not ours"
    pid_file.write_text(json.dumps(noted))
    end_process(pid_file, patience=1)
    wait(lambda: ended(child), 10, "the end of the child that was left behind")
    assert not pid_file.exists()


def ended(process: psutil.Process) -> bool:
    """True once it runs no more. Its leader is dead, so when the system forgets it is up to process 1, not to us."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{}", "7", '{"pid": 0, "created": 1}', '{"pid": -1, "created": 1}',
                '{"pid": 1, "created": 1}', '{"pid": null, "created": 1}', '{"pid": "x"}', '{"pid": 1e99, '
                    '"created": 1}']
)  # fmt: skip
def test_a_pid_file_with_anything_in_it_ends_nobody(tmp_path: Path, content: str) -> None:
    """`os.kill(0)` ends the own process group: the kernel with all it started."""
    program = "import signal, sys; from pathlib import Path; from launcher.core import process\n"
    program += "file = Path(sys.argv[1]); print(process.send_signal(file, signal.SIGTERM), process.exit_code(file))\n"
    program += "process.end_process(file); print('alive', file.exists())"
    (tmp_path / "pid").write_text(content)
    told = run([sys.executable, "-c", program, str(tmp_path / "pid")], cwd=PACKAGE)
    assert told == "False None\nalive False\n"


def test_a_damaged_settings_file_is_set_aside_and_said(webui: WebUI) -> None:
    path = webui.folder.data / "config.json"
    assert check_settings_file(webui.folder.data) is None
    path.write_text('{"half": ')
    told = check_settings_file(webui.folder.data)
    assert told and "kept as config.broken-" in told
    assert not path.exists()
    assert next(webui.folder.data.glob("config.broken-*.json")).read_text() == '{"half": '
    path.write_text("{}")
    assert check_settings_file(webui.folder.data) is None


def test_an_argument_the_web_ui_does_not_have_is_refused_by_name(webui: WebUI) -> None:
    modules = webui.folder.code / "modules"
    modules.mkdir()
    (modules / "cmd_args.py").write_text(
        "parser.add_argument('--theme', type=str)\nparser.add_argument('--share', action='store_true')\n"
    )
    extension = webui.folder.data / "extensions" / "x"
    extension.mkdir(parents=True)
    (extension / "preload.py").write_text("def preload(parser):\n    parser.add_argument('--from-extension')\n")
    check_arguments(webui.folder.code, webui.folder.data, ("--theme", "dark", "--from-extension=1"))
    for wrong in ("--thmee", "--shar", "-x"):
        with pytest.raises(Problem, match=rf"extra_arguments\*\* has {wrong}, which the web UI does not know"):
            check_arguments(webui.folder.code, webui.folder.data, (wrong,))


GIB = 2**30
SDP, LOWRAM, MEDVRAM = "--opt-sdp-attention", "--lowram", "--medvram-sdxl"


@pytest.mark.parametrize(
    ("card", "card_gib", "ram_gb", "flags"),
    [
        ("Tesla T4", 15, 12.7, (SDP, LOWRAM)),  # Colab, free of charge
        ("Tesla T4", 15, 51, (SDP,)),
        ("NVIDIA L4", 22.5, 53, (SDP,)),
        ("NVIDIA A100-SXM4-40GB", 40, 83, (SDP,)),
        ("NVIDIA A100-SXM4-80GB", 80, 167, (SDP,)),
        ("NVIDIA H100 80GB HBM3", 80, 125, (SDP,)),
        ("NVIDIA H200", 140, 125, (SDP,)),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 95, 176, (SDP,)),  # Colab's G4
        ("NVIDIA H100 80GB HBM3", 80, 12.7, (SDP, LOWRAM)),
        ("NVIDIA GeForce RTX 3060", 12, 32, (SDP, MEDVRAM)),
        ("NVIDIA GeForce RTX 4060", 8, 32, (SDP, MEDVRAM)),
        ("NVIDIA GeForce RTX 4060", 8, 16, (SDP, LOWRAM)),  # the parts that --medvram-sdxl moves have no room in RAM
        ("a card whose memory nobody knows", 0, 51, (SDP,)),
    ],
)
def test_the_flags_follow_the_card_and_the_memory(card: str, card_gib: float, ram_gb: float, flags: tuple[str]) -> None:
    assert machine_arguments(card, int(ram_gb * 1e9), int(card_gib * GIB), 2_100_000_000) == flags


def test_a_model_too_large_for_the_card_is_moved_in_parts() -> None:
    flux = 11_900_000_000  # bytes
    assert MEDVRAM in machine_arguments("Tesla T4", 51 * 10**9, 15 * GIB, flux)
    assert MEDVRAM not in machine_arguments("NVIDIA L4", 53 * 10**9, int(22.5 * GIB), flux)


def test_without_a_card_everything_runs_on_the_processor() -> None:
    flags = machine_arguments("", 12 * 10**9, 0)
    assert flags[:2] == ("--use-cpu", "all")
    assert LOWRAM not in flags and MEDVRAM not in flags


def test_an_extension_that_looks_beside_a1111s_code_finds_the_checkpoints(tmp_path: Path) -> None:
    """Civitai Helper takes A1111's --ckpt-dir, else models/Stable-diffusion where A1111 runs (its model.py)."""
    folder = new_folder(tmp_path)
    checkpoint = folder.data / "models" / "Stable-diffusion" / "lighthouse.safetensors"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.touch()
    parser = argparse.ArgumentParser()
    parser.add_argument("--ckpt-dir")
    given = parser.parse_known_args(fixed_arguments(folder, ""))[0].ckpt_dir
    looks_in = Path(given or folder.code / "models" / "Stable-diffusion")
    assert [path.name for path in looks_in.glob("*.safetensors")] == ["lighthouse.safetensors"]


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(CommandError) as caught:
        run([sys.executable, "-c", "print('why'); raise SystemExit(7)"])
    assert caught.value.code == 7
    assert "why" in caught.value.output


def test_a_command_that_falls_silent_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(CommandError, match="ended"):
        run([sys.executable, "-c", "import time; print('x', flush=True); time.sleep(60)"], timeout=2)
    assert time.monotonic() - began < 30


def test_a_detached_process_leaves_no_secret_behind(tmp_path: Path) -> None:
    start_detached(
        [sys.executable, "-c", "pass"], log=tmp_path / "log", pid_file=tmp_path / "pid", env={}, cwd=tmp_path
    )
    assert (tmp_path / "pid").stat().st_mode & 0o077 == 0
    end_process(tmp_path / "pid")


def test_a_port_that_was_chosen_can_be_taken_and_then_another_is_chosen() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        other = free_port()
        assert other != taken.getsockname()[1]
        socket.create_server(("127.0.0.1", other)).close()


def test_a_place_that_gradio_would_not_serve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="begin with a dot"):
        Folder(tmp_path / "drive" / "a" / "b", tmp_path / ".hidden" / "machine").prepare()


WRITES = """
import sys
from pathlib import Path
from launcher.core.folder import write_safely
for _ in range(2000):
    write_safely(Path(sys.argv[1]), sys.argv[2] * 100, 0o600)
"""


def test_a_small_file_is_whole_whoever_else_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "keeper.pid"
    writers = [subprocess.Popen([sys.executable, "-c", WRITES, str(file), word], cwd=PACKAGE) for word in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(file.read_text() if file.exists() else "")
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {"", "a" * 100, "b" * 100}
    assert list(tmp_path.iterdir()) == [file], "nothing half-made is left"


A_SERVICE_AT_WORK = """
import os, sys
from pathlib import Path
from launcher.core.process import run, start_detached
from launcher.core.session import Session
from launcher.service import __main__ as main
from launcher.service.service import Service

def work(self):
    start_detached(["sleep", "600"], log=session.log, pid_file=session.tunnel.pid_file, env=os.environ, cwd=Path("/"))
    run(["sh", "-c", f"sleep 600 & echo $$ $! > {session.place}/at-work; wait"])

session = Session(Path(sys.argv[1]))
Service.take_up_what_runs = work
main.main(session)
"""


def test_what_a_killed_service_had_begun_ends_before_the_next_begins_and_what_should_last_goes_on(
    tmp_path: Path,
) -> None:
    session = Session(tmp_path / "session")
    killed = subprocess.Popen(
        [sys.executable, "-c", A_SERVICE_AT_WORK, str(session.place)], cwd=PACKAGE, start_new_session=True
    )
    commands = session.place / "at-work"
    try:
        wait(lambda: commands.exists() and len(commands.read_text().split()) == 2, 20, "it to be at work")
        killed.kill()
        killed.wait()
        pids = [int(pid) for pid in commands.read_text().split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        subprocess.run(
            [sys.executable, "-m", "launcher.service", str(session.place)], cwd=PACKAGE, check=True, timeout=60
        )
        wait(lambda: not any(lives(pid) for pid in pids), 5, "what it had begun to end")
        assert running_pid(session.tunnel.pid_file)
    finally:
        end_process(session.tunnel.pid_file)
