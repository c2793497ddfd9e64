"""What a launch waits for, and what it does not."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.models.checksums import note_checksum
from tests.conftest import COLAB_PYTHON
from tests.world import World, safetensors
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, card, wait_ready
from tests.world.wait import wait


@pytest.fixture
def place(world: World, tmp_path: Path) -> Iterator[Place]:
    with Place(world, tmp_path) as made:
        yield made


def test_the_web_ui_does_not_wait_until_the_checkpoint_is_read_from_drive_nor_for_a_drive_that_fails_at_it(
    place: Place, kernels: Callable[..., Kernel], tmp_path: Path
) -> None:
    checkpoints = place.kept / "models" / "Stable-diffusion"
    checkpoints.mkdir(parents=True)
    (checkpoints / "mine.safetensors").write_bytes(safetensors(60_000_000))
    # The web UI knows its checksum, so that it does not read it itself.
    note_checksum(Folder(place.kept, tmp_path / "before"), checkpoints / "mine.safetensors", "a" * 64)
    place.manners(holds="mine.safetensors")
    kernel, held = kernels(COLAB_PYTHON, place.environment, place.machine), Path(f"{place.google}.json.held")
    message = kernel.start(cell_source("launch"))
    kernel.wait(lambda: card(kernel)[0] and "still being loaded" in kernel.html(), 120, "the way in, without the model")
    wait(held.exists, 20, "the checkpoint to be read all the same")
    assert "Calculating sha256" not in (place.session / "webui.log").read_text()
    place.manners()
    kernel.wait(lambda: "reading the checkpoint ahead" in kernel.html(), 30, "it to be said that Drive failed")
    wait_ready(kernel)
    assert not re.search('class="trouble"', kernel.html())
    kernel.interrupt()
    kernel.wait_done(message, 60)
    kernel.run(cell_source("stop"), 120)
