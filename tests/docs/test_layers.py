"""A package imports only from layers below its own, and no file is too long."""

from tests.docs import layers
from tests.docs.layers import ROOT
from tests.programs import mutate

LONGEST = 300  # lines


def test_no_package_imports_from_its_own_layer_or_one_above() -> None:
    assert layers.climbs() == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert layers.circles() == []


def test_every_package_is_in_a_layer() -> None:
    packages = {path.stem if path.is_file() else path.name for path in (ROOT / "launcher").iterdir()}
    assert packages - {"__init__", "__pycache__"} == set(layers.LAYER_OF)


def test_no_file_is_longer_than_a_few_screens() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "launcher").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > LONGEST
    }
    assert long == {}


def test_a_climb_and_a_circle_would_be_seen(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    graph = {"launcher.core.a": {"launcher.models.b"}, "launcher.models.b": {"launcher.core.a"}}
    monkeypatch.setattr(layers, "imports", lambda: graph)
    assert layers.climbs() == ["launcher.core.a imports launcher.models.b"]
    assert layers.circles() == ["launcher.core.a -> launcher.models.b -> launcher.core.a"]


def test_the_module_tree_in_the_docs_is_of_today() -> None:
    page = layers.PAGE.read_text()
    assert layers.BEGIN in page
    assert layers.page_with_drawing(page) == page, "run `make docs`"


def test_the_kept_mutants_find_their_places() -> None:
    assert len(mutate.kept()) == 20, "say in tests/programs/mutants.py what their lines are now"
