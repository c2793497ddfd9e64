"""The scenes of tests/whole/scenes.py on the stand-in; `make colab` plays them on the real google.colab, too."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.scenes import SCENES, Scene
from tests.whole.stage import Stage
from tests.world.wait import CORES

# The bounds are for a machine that does nothing else; what they guard against took 8 to 620 s. Where more wants to run
# than there are cores, each gets so much less.
SLACK = 4.0
SHORT = [scene for scene in SCENES if not scene.long and not scene.begins]


@pytest.fixture(scope="module")
def stage(machine: Path, repositories: Path) -> Iterator[Stage]:
    """The worker's machine, for all scenes of it; each scene makes it as new, but for its packages."""
    made = Stage(machine, repositories)
    yield made
    made.close()
    made.place.empty(but=("python", "program"))


@pytest.mark.parametrize(
    "scene", [pytest.param(one, id=one.name, marks=pytest.mark.xdist_group(f"scenes-{one.group}")) for one in SHORT]
)
def test_scene(scene: Scene, stage: Stage) -> None:
    seconds = scene.play(stage)
    busy = max(1.0, os.getloadavg()[0] / CORES)
    assert seconds <= scene.bound * SLACK * busy, f"{seconds:.1f} s instead of {scene.bound} s"
