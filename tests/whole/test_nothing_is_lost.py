"""500 images, everything that goes wrong at once, and a count by a process that has no part in it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import COLAB_PYTHON, ROOT
from tests.whole.faults import plain
from tests.world import MODEL_LINK, World
from tests.world.images import HOSTILE
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, wait_ready

COUNT, SECONDS = 500, 40.0
OUTSIDE = [sys.executable, "-m", "tests.world.images"]


def break_an_extension(place: Place) -> None:
    """A git repository that git refuses, as A1111's own tab may leave one behind."""
    repository = place.data / "extensions" / "broken" / ".git"
    (repository / "refs").mkdir(parents=True)
    (repository / "objects").mkdir()
    (repository / "HEAD").write_text("ref: refs/heads/master\n")
    (repository / "index").write_bytes(b"\0" * 40)


def test_500_images_reach_drive_through_drops_kills_a_full_drive_hostile_names_and_a_broken_extension(
    world: World, kernels: Callable[..., Kernel], tmp_path: Path
) -> None:
    ledger, told = tmp_path / "ledger", dict[str, None]()
    assert len(HOSTILE) == 20

    with Place(world, tmp_path) as place:

        def new_window() -> tuple[Kernel, str]:
            kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
            cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
            wait_ready(kernel)
            return kernel, cell

        def there() -> int:
            return len(list(place.kept.rglob("*.png")))

        def until(kernel: Kernel, sentence: str) -> None:
            pattern = rf"[^.·✓]*(?:{sentence})[^·✓]{{0,90}}"
            found = kernel.wait(lambda: re.search(pattern, plain(kernel.html())), 60, sentence)
            assert "Something went wrong" not in plain(kernel.html()), "Drive's troubles have their own sentences"
            told[found[0].strip()] = None

        kernel, _ = new_window()
        break_an_extension(place)
        painting = subprocess.Popen([*OUTSIDE, "paint", place.data, ledger, str(COUNT), str(SECONDS)], cwd=ROOT)
        try:
            until(kernel, "Changes in the extension broken are not kept")
            for _ in range(2):
                place.drop_drive()
                until(kernel, "was disconnected; new files wait|asks for your permission again")
                before = there()
                until(kernel, "connected again")
                kernel.wait(lambda n=before: there() > n, 60, "images to follow")
            kernel.kill()
            before = there()
            kernel, cell = kernels(COLAB_PYTHON, place.environment, place.machine), ""
            kernel.wait(lambda: there() > before + 20, 60, "images to be kept though the kernel is dead")
            os.kill(place.pid("service"), signal.SIGKILL)
            cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
            wait_ready(kernel)
            before = there()
            kernel.wait(lambda: there() > before, 60, "the next service to go on")
            place.manners(free=100_000)
            until(kernel, "Google Drive is full")
            place.manners()
            assert painting.wait(600) == 0
            until(kernel, f"{COUNT} images kept")
            kernel.interrupt()
            kernel.wait_done(cell, 60)
            kernel.run(cell_source("stop"), 120)
            until(kernel, "the web UI and its link are off")
        finally:
            painting.kill()
        folders = [place.kept / name for name in ("outputs", "log")]
        counted = subprocess.run(
            [*OUTSIDE, "count", ledger, *folders], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        print("\n".join([counted.strip(), *told]))
        assert counted == f"{COUNT} of {COUNT} with equal SHA-256, 0 other files\n"
        assert [p for p in place.kept.rglob("*") if p.name.endswith(".part") or p.parent.name == ".oneclick"] == []
        place.wait_until_nothing_runs()
