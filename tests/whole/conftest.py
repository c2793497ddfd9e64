"""One person's Colab for the whole launches: each worker has one machine, which every test finds as new, or nearly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World
from tests.world.place import Place


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the worker's machine lies. Always the same: an environment of Python cannot be moved."""
    return tmp_path_factory.mktemp("machine")


@pytest.fixture
def place(world: World, machine: Path) -> Iterator[Place]:
    """A machine on which nothing ran yet, but whose packages are there: making them anew takes half of a launch."""
    with Place(world, machine) as made:
        yield made
    made.empty(but=("python", "program"))


@pytest.fixture
def new_place(world: World, tmp_path: Path) -> Iterator[Place]:
    """A machine that nobody has used."""
    with Place(world, tmp_path) as made:
        yield made
