"""The scenes of tests/colab on the stand-in; `make colab` plays them on the real google.colab, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.colab.scenes import SCENES, Scene
from tests.colab.stage import Stage

# The bounds are for a machine that does nothing else; what they guard against took 8 to 620 s.
SLACK = 4.0
SHORT = [scene for scene in SCENES if not scene.long]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory, repositories: Path) -> Iterator[dict[str, Stage]]:
    """A machine for each group of scenes, made when the first of them is played."""
    made = Stages(tmp_path_factory, repositories)
    yield made
    for stage in made.values():
        stage.close()


class Stages(dict[str, Stage]):
    def __init__(self, factory: pytest.TempPathFactory, repositories: Path) -> None:
        super().__init__()
        self._factory, self._repositories = factory, repositories

    def __missing__(self, group: str) -> Stage:
        self[group] = Stage(self._factory.mktemp("stage"), self._repositories)
        return self[group]


@pytest.mark.parametrize(
    "scene", [pytest.param(one, id=one.name, marks=pytest.mark.xdist_group(f"scenes-{one.group}")) for one in SHORT]
)
def test_scene(scene: Scene, stages: dict[str, Stage]) -> None:
    seconds = scene.play(stages[scene.group])
    assert seconds <= scene.bound * SLACK, f"{seconds:.1f} s instead of {scene.bound} s"
