"""Two views of the graphics card are compared: nvidia-smi's, which may be slow, fail or lie, and torch's."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.colab import machine
from launcher.colab.machine import Card, ask_for_card, look_at_machine
from launcher.core.problem import Problem
from launcher.launch.card import look_for_card
from launcher.launch.start import start_web_ui
from launcher.python.environment import driver_of_card, prepare_python, read_finished
from launcher.python.inspection import Cause, Inspection, inspect_packages, mend, note_works
from launcher.python.uv import site_packages
from tests.world.heard import Heard
from tests.world.toy_launch import launch_of, nvidia_smi
from tests.world.toy_lock import CUDNN, ToyLock, toy_lock, toy_torch

T4 = "echo 'Tesla T4, 15360'"
GIVES = Card("Tesla T4", 15360 * 2**20)
NO_DRIVER = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
# Says with what it was started, and is ready.
LAUNCH = """
import json, os, sys, time
with open("starts", "a") as file:
    print(json.dumps([sys.argv[1:], os.environ.get("CUDA_VISIBLE_DEVICES")]), file=file)
if {waits}:
    time.sleep(600)
print("Startup time: 0.1s", flush=True)
time.sleep(600)
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyLock]:
    for name in ("COLAB_GPU", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    with toy_lock(tmp_path, monkeypatch) as made:
        yield made


# ---- nvidia-smi


@pytest.mark.parametrize(
    ("script", "asked_for", "found"),
    [
        (T4, False, GIVES),
        ("echo 'Tesla T4, [N/A]'", False, Card("Tesla T4")),
        (f"if [ -e asked ]; then {T4}; else touch asked; echo busy; exit 255; fi", True, GIVES),
        ("echo 'No devices were found'; exit 6", False, Card()),
        (f"echo \"{NO_DRIVER}\"; exit 9", False, Card()),  # so Colab's machines without a card say it
        (f"echo \"{NO_DRIVER}\"; exit 9", None, Card(silent=f"nvidia-smi says: {NO_DRIVER}")),
        ("echo '[Unknown Error], [N/A]'", True, Card(silent="nvidia-smi says: [Unknown Error], [N/A]")),
        ("sleep 60", True, Card(silent="nvidia-smi said nothing for too long")),
        ("exit 0", None, Card(silent="nvidia-smi says: nothing")),
    ],
)  # fmt: skip
def test_a_card_that_does_not_answer_is_asked_again_and_is_not_no_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, asked_for: bool | None, found: Card
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "CARD_PATIENCE", 0.3)
    monkeypatch.setattr(machine, "CARD_PAUSE", 0.01)
    monkeypatch.delenv("COLAB_GPU", raising=False)
    if asked_for is not None:  # Colab's own machine
        monkeypatch.setattr(machine, "PACKAGE", Path("/content/oneclick/program/0123"))
        monkeypatch.setenv("COLAB_GPU", "1" if asked_for else "")
    nvidia_smi(tmp_path, monkeypatch, script)
    assert ask_for_card(lambda: False) == found


@pytest.mark.parametrize(("asked_for", "found"), [("1", Card(silent="its driver is missing")), ("", Card())])
def test_without_nvidia_smi_only_a_card_that_was_asked_for_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_for: str, found: Card
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("COLAB_GPU", asked_for)
    assert ask_for_card(lambda: False) == found


def test_nobody_waits_for_nvidia_smi_but_the_start_whose_flags_depend_on_it(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(toys.root, monkeypatch, f"touch {toys.root}/asked; {T4}")
    launch = launch_of(toys, "")
    look_at_machine()
    assert not (toys.root / "asked").exists()
    look_for_card(launch)
    assert (launch.machine.gpu, launch.machine.card_memory) == ("Tesla T4", 15360 * 2**20)
    assert "Tesla T4" in dict(launch.status.now.facts)["Machine"]
    assert launch.status.now.notices == ()


@pytest.mark.parametrize("value", ["", "-1", "none", " "])
def test_a_card_that_a_variable_hides_is_said_and_done_without(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    nvidia_smi(toys.root, monkeypatch, T4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    launch = launch_of(toys, "")
    look_for_card(launch)
    assert launch.machine.gpu == ""
    assert "CUDA_VISIBLE_DEVICES hides the graphics card" in launch.status.now.notices[0]


# ---- torch


def starts(toys: ToyLock) -> list[tuple[list[str], str | None]]:
    return [json.loads(line) for line in (toys.folder.code / "starts").read_text().splitlines()]


def started(toys: ToyLock, *, torch: dict[str, bytes], waits: str = "False") -> list[str]:
    """Start it with that torch: what is said."""
    toys.add("torch", "2.8.0", torch)
    launch = launch_of(toys, LAUNCH.format(waits=waits))
    prepare_python(toys.folder, toys.packages, Heard())
    try:
        look_for_card(launch)
        start_web_ui(launch, "")
        assert launch.webui.ready
    finally:
        launch.webui.stop()
    return list(launch.status.now.notices)


@pytest.mark.parametrize(
    ("torch", "says"),
    [
        (toy_torch(card=False), "the web UI finds no driver for it"),
        (toy_torch(card=False, why="The NVIDIA driver on your system is too old (found version 11040)"),
            "its driver is too old for the web UI"),
        (toy_torch(card=False, why="Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized"),
            "it is still being made ready"),
        (toy_torch(card=False, why="Error 803: system has unsupported display driver / cuda driver combination"),
            "its driver does not fit"),
        (toy_torch(card=False, why="something new"), "PyTorch says: something new"),
        (toy_torch(harm="raise RuntimeError('CUDA error: no kernel image is available for execution on the device')"),
            "it is too old for this version of the web UI"),
    ],
)  # fmt: skip
def test_a_card_that_torch_cannot_use_is_done_without_and_torchs_reason_said(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch, torch: dict[str, bytes], says: str
) -> None:
    nvidia_smi(toys.root, monkeypatch, T4)
    # It is acted on as soon as it is known: this web UI is never ready with the card's flags.
    said = started(toys, torch=torch, waits="'--use-cpu' not in sys.argv")
    told = next(text for text in said if text.startswith("The graphics card Tesla T4 cannot be used: "))
    assert says in told and "Everything runs on the processor" in told
    *before, (last, hidden) = starts(toys)
    assert all("--use-cpu" not in arguments and value is None for arguments, value in before)
    assert "--use-cpu" in last and hidden == "-1"
    finished = read_finished(toys.folder)
    assert finished and not finished.works, "another card, or another driver, is seen at the next start"


def test_a_card_that_only_torch_sees_is_used(toys: ToyLock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(toys.root, monkeypatch, f'echo "{NO_DRIVER}"; exit 9')
    monkeypatch.setattr(machine, "CARD_PAUSE", 0.01)
    assert started(toys, torch=toy_torch()) == []
    *before, (last, hidden) = starts(toys)
    assert all("--use-cpu" in arguments for arguments, _ in before)  # one that was ended at once has said nothing
    assert "--use-cpu" not in last and hidden is None


def test_where_both_agree_it_is_started_once(toys: ToyLock, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(toys.root, monkeypatch, T4)
    assert started(toys, torch=toy_torch()) == []
    assert len(starts(toys)) == 1
    finished = read_finished(toys.folder)
    assert finished and (finished.works, finished.card) == (True, "Tesla T4")


def test_a_card_that_came_after_all_worked_without_one_is_looked_at(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.add("torch", "2.8.0", toy_torch(card=False))
    prepare_python(toys.folder, toys.packages, Heard())
    note_works(toys.folder, inspect_packages(toys.folder))
    assert inspect_packages(toys.folder) == Inspection(), "it was inspected"
    assert inspect_packages(toys.folder, has_card=True).no_card is not None


# ---- the cause decides


def test_a_torch_that_is_damaged_itself_is_fetched_again_and_no_library_is(toys: ToyLock) -> None:
    toys.add("torch", "2.8.0", toy_torch())
    toys.kernel_has(CUDNN, "9.19.0.56")
    prepare_python(toys.folder, toys.packages, Heard())
    nvidia, heard = toys.sent("nvidia"), Heard()
    torch = site_packages(toys.folder) / "torch.py"
    torch.write_text("raise RuntimeError('unexpected end of file')\n")  # in place: uv's cache has it, too
    found = inspect_packages(toys.folder)
    assert (found.cause, found.name) == (Cause.PACKAGE, "torch")
    found = mend(toys.folder, found, heard)
    assert (found.cause, found.card) == (None, "Tesla T4")
    assert toys.sent("nvidia") == nvidia
    assert "The package torch does not work" in heard.notices[0]
    finished = read_finished(toys.folder)
    assert finished and list(finished.linked) == [CUDNN]


def test_a_library_of_nvidias_that_was_fetched_and_is_damaged_is_fetched_again(toys: ToyLock) -> None:
    broken = "raise ImportError('libcudnn.so.9: file too short')"
    library = "os.path.dirname(__file__) + '/nvidia/cudnn/lib/libcudnn.so.9'"
    torch = toy_torch()["torch.py"] + f"if os.path.getsize({library}) < 100: {broken}\n".encode()
    toys.add("torch", "2.8.0", {"torch.py": torch})
    prepare_python(toys.folder, toys.packages, Heard())
    (site_packages(toys.folder) / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9").write_bytes(b"short")
    found = inspect_packages(toys.folder)
    assert (found.cause, found.name) == (Cause.LIBRARY, CUDNN)
    assert mend(toys.folder, found, Heard()).cause is None


@pytest.mark.parametrize(
    "harm",
    [
        "import signal; os.kill(os.getpid(), signal.SIGKILL)",
        "raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 MiB')",
    ],
)
def test_an_inspection_that_had_no_room_beside_the_web_ui_says_nothing_of_the_packages(
    toys: ToyLock, harm: str
) -> None:
    toys.add("torch", "2.8.0", toy_torch(harm=harm))
    prepare_python(toys.folder, toys.packages, Heard())
    assert inspect_packages(toys.folder).cause is None


def test_what_nothing_mends_is_a_problem_of_the_machine(toys: ToyLock) -> None:
    toys.add("torch", "2.8.0", toy_torch(harm="raise ArithmeticError('a product came out wrong')"))
    prepare_python(toys.folder, toys.packages, Heard())
    with pytest.raises(Problem, match="does not work on this machine: ArithmeticError: a product came out wrong"):
        mend(toys.folder, inspect_packages(toys.folder), Heard())


# ---- the driver's folder


def test_of_a_folder_with_the_driver_and_a_cudnn_only_the_driver_passes(
    toys: ToyLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drivers, ldconfig = toys.root / "drivers", toys.root / "system" / "ldconfig"
    for folder in (drivers, ldconfig.parent):
        folder.mkdir()
    names = ("libcuda.so.1", "libnvidia-ptxjitcompiler.so.1", "libcudnn.so.9", "libcudart.so.12", "libcublas.so.12")
    for name in names:
        (drivers / name).write_text("x")
    ldconfig.write_text("#!/bin/sh\necho\n")
    ldconfig.chmod(0o700)
    monkeypatch.setenv("PATH", str(ldconfig.parent), prepend=":")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere:{drivers}")
    place = Path(driver_of_card(toys.folder)["LD_LIBRARY_PATH"])
    assert {path.name for path in place.iterdir()} == set(names[:2])
    assert (place / "libcuda.so.1").resolve() == drivers / "libcuda.so.1"
    ldconfig.write_text("#!/bin/sh\necho '  libcuda.so.1 (libc6,x86-64) => /lib/libcuda.so.1'\n")
    assert driver_of_card(toys.folder) == {}
