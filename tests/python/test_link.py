"""Packages that the kernel's Python has are borrowed, and that lasts; nothing of the kernel is written to."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.problem import Problem
from launcher.core.status import DONE
from launcher.core.tools import Pin
from launcher.launch.start import start_web_ui
from launcher.launch.steps import Failed
from launcher.python.environment import (
    foreign_libraries,
    moved_packages,
    prepare_python,
    put_packages_back,
    read_finished,
    webui_environment,
)
from launcher.python.inspection import Cause, inspect_packages, mend, note_works
from launcher.python.link import broken_links, link_packages, version_will_do
from launcher.python.uv import installed_packages, site_packages, uv_environment
from tests.world.heard import Heard
from tests.world.toy_launch import launch_of
from tests.world.toy_lock import CUBLAS, CUDNN, OLD_CUDNN, ToyLock, toy_lock, toy_torch

NEWER = "9.19.0.56"
# A torch that computes wrongly as long as cuDNN is a link.
BORROWED_FAILS = (
    "if os.path.islink(os.path.dirname(__file__) + '/nvidia/cudnn/lib/libcudnn.so.9'): "
    "raise RuntimeError('CUDNN_STATUS_NOT_SUPPORTED')"
)


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyLock]:
    with toy_lock(tmp_path, monkeypatch) as made:
        yield made


def linked(toys: ToyLock) -> list[str]:
    """What the finished environment has from the kernel's Python."""
    finished = read_finished(toys.folder)
    assert finished
    return finished.linked


def in_environment(toys: ToyLock, *command: str) -> None:
    """Run an installer as an extension's install.py would."""
    env = webui_environment(toys.folder)
    subprocess.run(command, env=env, check=True, capture_output=True)


def pip(toys: ToyLock, *arguments: str) -> None:
    python = str(toys.folder.python / "bin" / "python")
    in_environment(toys, sys.executable, "-m", "pip", "--python", python, *arguments)


def uv(toys: ToyLock, *arguments: str) -> None:
    python = str(toys.folder.python / "bin" / "python")
    in_environment(toys, "uv", "pip", *arguments, "--python", python)


def test_what_the_kernel_has_is_linked_and_only_the_rest_is_fetched(toys: ToyLock) -> None:
    toys.kernel_has(CUBLAS, "12.8.4.1")
    toys.kernel_has(CUDNN, NEWER)
    heard = Heard()
    assert prepare_python(toys.folder, toys.packages, heard)
    assert toys.sent("nvidia") == 0
    assert toys.sent("torch") > 0
    library = site_packages(toys.folder) / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9"
    assert library.resolve().is_relative_to(toys.kernel)
    assert not (site_packages(toys.folder) / "nvidia" / "cudnn").is_symlink()
    assert not (site_packages(toys.folder) / "nvidia" / "cudnn" / "include" / "cudnn.h").is_symlink()
    assert installed_packages(toys.folder)[CUDNN] == NEWER
    assert any("GB to download" in line for line in heard.said)
    assert not prepare_python(toys.folder, toys.packages, Heard())


def test_nothing_equal_on_the_machine_and_all_is_fetched(toys: ToyLock) -> None:
    toys.kernel_has(CUBLAS, "12.9.0.0")
    toys.kernel_has(CUDNN, "10.0.0.1")
    prepare_python(toys.folder, toys.packages, Heard())
    assert not linked(toys)
    assert installed_packages(toys.folder)[CUDNN] == OLD_CUDNN


@pytest.mark.parametrize("harm", ["a file is missing", "a file is shorter", "built for one Python"])
def test_a_distribution_that_is_not_whole_is_not_borrowed(toys: ToyLock, harm: str) -> None:
    toys.kernel_has(CUBLAS, "12.8.4.1")
    library = toys.kernel / "nvidia" / "cublas" / "lib" / "libcublas.so.9"
    if harm == "a file is missing":
        library.unlink()
    elif harm == "a file is shorter":
        os.truncate(library, 1_100_000)
    else:
        tags = toys.kernel / "nvidia_cublas_cu12-12.8.4.1.dist-info" / "WHEEL"
        tags.write_text(tags.read_text().replace("py3-none-any", "cp313-cp313-linux_x86_64"))
    assert link_packages(toys.folder, toys.table.values()) == []
    assert not site_packages(toys.folder).exists()


def test_a_newer_version_will_do_only_for_cudnn_and_nccl_within_the_major_version() -> None:
    def pin(name: str, version: str) -> Pin:
        return Pin(name, version, "", 0)

    assert version_will_do(pin(CUDNN, OLD_CUDNN), NEWER)
    assert version_will_do(pin("nvidia-nccl-cu12", "2.27.3"), "2.28.9")
    assert not version_will_do(pin(CUDNN, OLD_CUDNN), "9.9.0.1")  # torch refuses an older one
    assert not version_will_do(pin(CUDNN, OLD_CUDNN), "10.1.0.0")
    assert not version_will_do(pin(CUDNN, OLD_CUDNN), "9.19.0rc1")
    assert not version_will_do(pin(CUBLAS, "12.8.4.1"), "12.8.5.0")


def test_a_package_that_needs_torch_fetches_nothing_of_nvidia_or_triton(toys: ToyLock) -> None:
    toys.kernel_has(CUBLAS, "12.8.4.1")
    toys.kernel_has(CUDNN, NEWER)
    prepare_python(toys.folder, toys.packages, Heard())
    pip(toys, "install", "ultralytics")
    uv(toys, "uninstall", "ultralytics")
    uv(toys, "install", "ultralytics")
    assert toys.sent("ultralytics") > 0
    assert toys.sent("nvidia") == toys.sent("triton") == 0
    assert installed_packages(toys.folder)[CUDNN] == NEWER
    toys.add("controlnet-aux", "0.0.10")  # adding ControlNet runs the installation again
    prepare_python(toys.folder, toys.packages, Heard())
    assert toys.sent("nvidia") == toys.sent("triton") == 0
    assert not moved_packages(toys.folder)


def test_torchs_metadata_in_uvs_cache_stays_as_it_is(toys: ToyLock) -> None:
    prepare_python(toys.folder, toys.packages, Heard())
    cache = Path(uv_environment(toys.folder)["UV_CACHE_DIR"])
    kept = [path.read_text() for path in cache.glob("archive-v0/*/torch-2.8.0.dist-info/METADATA")]
    assert kept and all("nvidia-cudnn-cu12" in text for text in kept)
    assert "nvidia" not in next(site_packages(toys.folder).glob("torch-*.dist-info/METADATA")).read_text()


def test_installers_that_move_borrowed_packages_only_lose_the_links(toys: ToyLock) -> None:
    toys.kernel_has(CUBLAS, "12.8.4.1")
    toys.kernel_has(CUDNN, NEWER)
    before = toys.kernel_files()
    moves = (
        lambda: pip(toys, "uninstall", "-y", CUDNN, CUBLAS),
        lambda: uv(toys, "uninstall", CUDNN),
        lambda: pip(toys, "install", f"{CUDNN}=={OLD_CUDNN}"),
        lambda: uv(toys, "install", "--link-mode=copy", f"{CUDNN}=={OLD_CUDNN}"),
        lambda: uv(toys, "install", "--reinstall", "--link-mode=copy", f"{CUBLAS}==12.8.4.1"),
    )
    prepare_python(toys.folder, toys.packages, Heard())
    for launch in range(10):
        moves[launch % len(moves)]()
        moved = moved_packages(toys.folder)
        assert moved
        put_packages_back(toys.folder, list(moved), Heard())
        assert not moved_packages(toys.folder)
        assert not broken_links(toys.folder, linked(toys))
        assert installed_packages(toys.folder)[CUDNN] == NEWER
        prepare_python(toys.folder, toys.packages, Heard())
    assert toys.kernel_files() == before


def test_a_kernel_whose_packages_were_upgraded_no_longer_lends_them(toys: ToyLock) -> None:
    toys.kernel_has(CUDNN, NEWER)
    prepare_python(toys.folder, toys.packages, Heard())
    for path in toys.kernel.glob("nvidia_cudnn*/*"):
        path.unlink()
    (toys.kernel / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9").write_bytes(b"another")
    assert broken_links(toys.folder, linked(toys)) == [CUDNN]
    assert prepare_python(toys.folder, toys.packages, Heard())
    library = site_packages(toys.folder) / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9"
    assert installed_packages(toys.folder)[CUDNN] == OLD_CUDNN
    assert not library.is_symlink() and library.stat().st_size > 1_000_000
    assert (toys.kernel / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9").read_bytes() == b"another"


def test_what_a_package_notes_of_its_own_files_is_not_believed(toys: ToyLock) -> None:
    prepare_python(toys.folder, toys.packages, Heard())
    record = next(site_packages(toys.folder).glob("*.dist-info/RECORD"))
    record.write_text(f"{record.read_text()}{record.parent.name}/METADATA,,large\n")
    assert not moved_packages(toys.folder)


def test_put_back_fetches_the_locks_own_where_the_kernel_lends_no_more(toys: ToyLock) -> None:
    toys.kernel_has(CUDNN, NEWER)
    prepare_python(toys.folder, toys.packages, Heard())
    (toys.kernel / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9").unlink()
    assert moved_packages(toys.folder) == {CUDNN: None}
    put_packages_back(toys.folder, [CUDNN], Heard())
    assert installed_packages(toys.folder)[CUDNN] == OLD_CUDNN
    assert not moved_packages(toys.folder)


def test_borrowed_libraries_that_fail_on_the_card_are_replaced_by_the_locks_own(toys: ToyLock) -> None:
    toys.add("torch", "2.8.0", toy_torch(harm=BORROWED_FAILS))
    toys.kernel_has(CUDNN, NEWER)
    heard = Heard()
    prepare_python(toys.folder, toys.packages, heard)
    assert linked(toys)
    found = inspect_packages(toys.folder)
    assert found.cause == Cause.LIBRARY and "CUDNN_STATUS_NOT_SUPPORTED" in found.error
    found = mend(toys.folder, found, heard)
    assert (found.cause, found.card) == (None, "Tesla T4")
    assert not linked(toys)
    assert installed_packages(toys.folder)[CUDNN] == OLD_CUDNN
    assert "CUDNN_STATUS_NOT_SUPPORTED" in heard.notices[0]
    assert not prepare_python(toys.folder, toys.packages, Heard())


# A web UI that says it is ready, or dies, while borrowed libraries are there; it writes down that it was started.
LAUNCH = """
import os, sys, time
link = os.path.dirname(__import__("torch").__file__) + "/nvidia/cudnn/lib/libcudnn.so.9"
with open("starts", "a") as file:
    print("borrowed" if os.path.islink(link) else "own", file=file)
if {dies} and os.path.islink(link):
    sys.exit("CUDNN_STATUS_NOT_SUPPORTED")
print("Startup time: 0.1s", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("dies", [False, True])
def test_what_a_look_beside_the_start_finds_is_put_right_and_the_web_ui_started_again(
    toys: ToyLock, dies: bool
) -> None:
    toys.add("torch", "2.8.0", toy_torch(harm=BORROWED_FAILS))
    toys.kernel_has(CUDNN, NEWER)
    launch = launch_of(toys, LAUNCH.format(dies=dies))
    prepare_python(toys.folder, toys.packages, Heard())
    try:
        start_web_ui(launch, "")
        assert launch.webui.ready
        *before, last = (toys.folder.code / "starts").read_text().split()
        assert last == "own" and before in ([], ["borrowed"]), "the first may be ended before it has begun"
        assert any("CUDNN_STATUS_NOT_SUPPORTED" in text for text in launch.status.now.notices)
        assert {step.name: step.state for step in launch.status.now.steps}["python"] == DONE
    finally:
        launch.webui.stop()


def test_a_web_ui_that_dies_of_something_else_than_its_packages_is_not_started_again(toys: ToyLock) -> None:
    launch = launch_of(toys, "raise SystemExit('something else')\n")
    prepare_python(toys.folder, toys.packages, Heard())
    with pytest.raises(Problem, match="something else"):
        start_web_ui(launch, "")


def test_a_web_ui_is_not_left_running_on_packages_that_do_not_work(toys: ToyLock) -> None:
    broken = b"raise ImportError('libGL.so.1: cannot open shared object file')\n"
    toys.add("opencv-python-headless", "4.8", {"cv2.py": broken})
    launch = launch_of(toys, LAUNCH.format(dies=False))
    prepare_python(toys.folder, toys.packages, Heard())
    with pytest.raises(Failed):
        start_web_ui(launch, "")
    assert not launch.webui.running
    failed = launch.status.now.failed
    assert failed and failed.name == "python" and "libGL.so.1" in failed.problem


def test_what_works_is_inspected_once_after_each_installation_and_the_card_is_known_from_then_on(toys: ToyLock) -> None:
    toys.add("torch", "2.8.0", toy_torch())
    prepare_python(toys.folder, toys.packages, Heard())
    found = inspect_packages(toys.folder)
    assert (found.cause, found.card, found.memory) == (None, "Tesla T4", 15642329088)
    note_works(toys.folder, found)
    (site_packages(toys.folder) / "torch.py").write_text("raise ImportError('broken since')\n")
    assert inspect_packages(toys.folder) == found, "it was inspected"
    toys.add("torch", "2.8.1", {"torch.py": b"raise ImportError('broken')\n"})
    prepare_python(toys.folder, toys.packages, Heard())
    assert inspect_packages(toys.folder).error == "ImportError: broken"


def test_a_library_that_a_running_process_has_loaded_from_elsewhere_is_seen(toys: ToyLock, tmp_path: Path) -> None:
    toys.kernel_has(CUDNN, NEWER)
    prepare_python(toys.folder, toys.packages, Heard())
    own = site_packages(toys.folder) / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9"
    driver, other = tmp_path / "libcuda.so.1", tmp_path / "libcudnn.so.8"
    copied = site_packages(toys.folder) / "libcublas.so.12"
    for library in (driver, copied, other):
        library.write_bytes(b"x" * 8192)
    maps = (
        "import mmap, sys\nfiles = [open(path, 'rb') for path in sys.argv[1:]]\n"
        "kept = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in files]\n"
        "print('mapped', flush=True)\nsys.stdin.read()"
    )
    for loaded, foreign in (([own, driver, copied], []), ([own, other], [str(other)])):
        command = [sys.executable, "-c", maps, *map(str, loaded)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout and process.stdout.readline() == "mapped\n"
            assert foreign_libraries(toys.folder, process.pid) == foreign
            process.communicate("")
    assert foreign_libraries(toys.folder, 0) == []
