"""One name, one thing: no two modules of the launcher define the same public name."""

import ast
from pathlib import Path

from tests.conftest import ROOT

# Names that several modules have on purpose.
INTERFACES = {
    "detect": "each place models come from knows its links by it",
    "resolve": "each place models come from finds its files by it",
    "main": "each module that is a program begins with it",
    "SERVICE": "each module of a tunnel is known by it",
    "REASONS": "what a tunnel's program says, in words",
    "command": "how a tunnel's program is started",
    "HOSTS": "each place models come from has its own",
    "T": "a type variable stands for nothing",
}


def defined(path: Path) -> set[str]:
    """The public names that a module defines itself."""
    found = set[str]()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name for target in targets for name in ast.walk(target)]
            found |= {name.id for name in names if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    return {name for name in found if not name.startswith("_")}


def pairs(root: Path) -> dict[str, list[str]]:
    """Names that two or more modules below `root` define -> these modules."""
    modules = dict[str, list[str]]()
    for path in sorted(root.rglob("*.py")):
        for name in defined(path):
            modules.setdefault(name, []).append(str(path.relative_to(root)))
    return {name: there for name, there in sorted(modules.items()) if len(there) > 1}


def test_no_two_modules_define_the_same_public_name() -> None:
    found = pairs(ROOT / "launcher")
    assert {name: there for name, there in found.items() if name not in INTERFACES} == {}


def test_a_name_in_two_modules_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("LIMIT: int = 1\nclass Door:\n    size = 1\nhere = there = 2\n")
    (tmp_path / "two.py").write_text("LIMIT = 2\nsize = 1\n_there = 2\nasync def here(): pass\ndef Door(): pass\n")
    both = ["a/one.py", "two.py"]
    assert pairs(tmp_path) == {"Door": both, "LIMIT": both, "here": both}
