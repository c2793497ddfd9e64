"""Which changes of the launcher does the suite notice? Twenty lines, drawn by a seed, are changed one at a time.

    python -m tests.programs.mutate [--seed N] [--count 20 | --kept] [--list]

A change is one of: a comparison turned round, a condition negated, a call left out, a number moved by one, True for
False. For each, the test files run that reach the changed module by their imports, and a few end to end, until the
first failure. The launcher in this work tree is changed meanwhile and put back after each. `--kept` takes the twenty of
mutants.py instead of drawing.
"""

import argparse
import ast
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.layers import imports
from tests.programs.mutants import KEPT

ROOT = Path(__file__).resolve().parents[2]
END_TO_END = ("tests/whole/test_launch.py::test_from_one_kernel_and_machine_to_the_next", "tests/whole/test_faults.py")
ALWAYS = ("tests/notebook/test_build.py",)
PATIENCE = 600.0  # seconds for one change
TURNED = {ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
TURNED |= {ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}


@dataclass(frozen=True)
class Change:
    """One change of one place in a file."""

    path: Path
    line: int
    what: str
    start: int  # characters
    end: int
    new: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} {self.what}"


def places(path: Path) -> Iterator[Change]:
    """Every change that could be made in a file."""
    text = path.read_text()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def at(row: int, column: int) -> int:
        """ast counts bytes of UTF-8 in a line."""
        line = text[starts[row - 1] : starts[row]].encode()
        return starts[row - 1] + len(line[:column].decode())

    for node in ast.walk(ast.parse(text)):
        new = changed(node, text)
        if new is None or not isinstance(node, ast.expr | ast.stmt):
            continue
        what, put = new
        assert node.end_lineno is not None and node.end_col_offset is not None
        start, end = at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)
        old = re.sub(r"\s+", " ", text[start:end])
        yield Change(path, node.lineno, f"{what}: {old[:70]}", start, end, put)


def changed(node: ast.AST, text: str) -> tuple[str, str] | None:
    """(what is done, the new text) for a node that can be changed."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in TURNED:
        turned = ast.Compare(node.left, [TURNED[type(node.ops[0])]()], node.comparators)
        return "turned round", f"({ast.unparse(turned)})"
    if isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Constant | ast.Compare):
        return None  # its condition is a node of its own
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return "not left out", f"({ast.unparse(node.operand)})"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return "call left out", "pass"
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return "turned round", str(not node.value)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return "moved by one", repr(node.value + 1)
    if isinstance(node, ast.BoolOp):
        other = ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        return "and for or", f"({ast.unparse(other)})"
    return None


def drawn(seed: int, count: int) -> list[Change]:
    """`count` changes, each on another line, every line of the launcher as likely as any other."""
    every: dict[tuple[Path, int], list[Change]] = {}
    for path in sorted((ROOT / "launcher").rglob("*.py")):
        for change in places(path):
            every.setdefault((path, change.line), []).append(change)
    chance = random.Random(seed)
    return [chance.choice(every[line]) for line in chance.sample(sorted(every), count)]


def kept() -> list[Change]:
    """The changes of mutants.py, where their texts stand now. Raises `ValueError` for one that stands not just once."""
    texts = {path: path.read_text() for path in sorted((ROOT / "launcher").rglob("*.py"))}
    found = []
    for old, new in KEPT:
        places = [path for path, text in texts.items() for _ in range(text.count(old))]
        if len(places) != 1:
            raise ValueError(f"{old!r} stands in {[str(path) for path in places]}: say in mutants.py what it is now")
        start = texts[places[0]].index(old)
        line = texts[places[0]].count("\n", 0, start) + 1
        found.append(Change(places[0], line, old.strip().splitlines()[-1][:70], start, start + len(old), new))
    return found


def tests_for(path: Path, near_only: bool) -> list[str]:
    """The test files that import the module, directly or by way of others, nearest first, and some that launch it
    all.
    """
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    graph, reach = imports(), {module}
    near: list[str] = []
    for _ in range(3):
        for test in sorted((ROOT / "tests").rglob("test_*.py")):
            name = str(test.relative_to(ROOT))
            if imported(test) & reach and name not in near and test.parent.name != "whole":
                near.append(name)
        reach |= {one for one, needs in graph.items() if needs & reach}
    return [*dict.fromkeys((*near, *ALWAYS, *(() if near_only else END_TO_END)))]


def imported(test: Path) -> set[str]:
    """The launcher's modules that a file imports, wherever in it, and `a.b` for `from a import b`."""
    nodes = [node for node in ast.walk(ast.parse(test.read_text())) if isinstance(node, ast.ImportFrom)]
    modules = {node.module: node.names for node in nodes if (node.module or "").startswith("launcher")}
    return {*filter(None, modules), *(f"{module}.{alias.name}" for module, names in modules.items() for alias in names)}


def noticed(change: Change, near_only: bool) -> str:
    """The first test that fails with this change, "it is not built" or "too long"; "" if none does."""
    text = change.path.read_text()
    change.path.write_text(text[: change.start] + change.new + text[change.end :])
    try:
        built = subprocess.run(
            [sys.executable, "-m", "launcher.notebook.build"], cwd=ROOT, capture_output=True, check=False
        )
        if built.returncode:
            return "the notebook cannot be built"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--durations=0", "-p", "no:cacheprovider"]
        try:
            done = subprocess.run(
                [*command, *tests_for(change.path, near_only)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return f"no end within {PATIENCE:.0f} s"
        failed = re.search(r"(?m)^(?:FAILED|ERROR) (\S+)", done.stdout)
        return failed[1] if failed else "" if done.returncode == 0 else done.stdout[-300:]
    finally:
        change.path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--kept", action="store_true", help="the changes of mutants.py")
    parser.add_argument("--first", type=int, default=1, help="begin with this one of them")
    parser.add_argument("--near", action="store_true", help="leave the tests out that launch everything")
    parser.add_argument(
        "--list", action="store_true", help="say what would be changed, and by which tests it is looked for"
    )
    options = parser.parse_args()
    slept = 0
    changes = kept() if options.kept else drawn(options.seed, options.count)
    for number, change in enumerate(changes, start=1):
        if number < options.first:
            continue
        if options.list:
            print(f"{number}. {change} -> {change.new[:60]!r}: {' '.join(tests_for(change.path, options.near))}")
            continue
        began = time.monotonic()
        by = noticed(change, options.near)
        slept += not by
        print(f"{number}. {change}: {by or 'NOBODY NOTICED'} ({time.monotonic() - began:.0f} s)", flush=True)
    if not options.list:
        subprocess.run([sys.executable, "-m", "launcher.notebook.build"], cwd=ROOT, check=True, capture_output=True)
        print(f"{slept} of {len(changes)} changes were not noticed")


if __name__ == "__main__":
    main()
