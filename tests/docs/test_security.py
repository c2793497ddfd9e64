"""What security.md says holds is held by the tests that it names."""

import ast
import re

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "security.md"


def test_each_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text())
    assert len(named) > 15
    missing = []
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        if name not in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{path}::{name}")
    assert missing == []


def test_each_line_of_what_holds_names_a_test() -> None:
    section = PAGE.read_text().partition("## What holds whoever writes")[2].partition("\n## ")[0]
    lines = [
        line for line in section.splitlines() if line.startswith("| ") and not line.startswith(("| what", "| ---"))
    ]
    assert len(lines) >= 8
    assert [line for line in lines if "::test_" not in line] == []
