"""What comes from outside is read by `core.outside` only: whoever parses by himself stands here, with the reason."""

import ast
from pathlib import Path

from tests.conftest import ROOT

PARSERS = {"json.load", "json.loads", "gzip.decompress", "gzip.open", "zlib.decompress", "pickle.load", "pickle.loads"}
OF_ANYTHING = {"json", "extractall", "unpack_archive"}  # methods: of a response, of an archive
READERS = {"read_text", "read_bytes"}
DRIVES = ("drive", "extensions", "source", "webui")  # rooms whose files may have come from Drive

PARSE_THEMSELVES = {
    "core/outside.py": "the one reader",
    "core/session.py": "what our own service answers on its socket",
    "access/own_pages.py": "the same, for the door",
    "service/server.py": "a request on that socket, bounded before it is read",
    "models/identify.py": "what a child of ours prints; a header of weights, bounded before it is read",
    "python/inspection.py": "what a child of ours prints",
    "webui/process.py": "what A1111 on this machine answers",
}
READ_THEMSELVES = {
    "drive/restore.py": "checksums of what was bounded before",
    "extensions/extension.py": "our own mark on the machine",
    "source/checkout.py": "git's files on the machine, and A1111's own code, as git has checked it out",
    "source/kept.py": "git's list on the machine",
    "webui/process.py": "names in code that A1111 runs, and A1111's log",
    "webui/settings_files.py": "A1111's own code",
}


def called(tree: ast.AST) -> set[str]:
    """What a module calls: `json.loads`, and `.read_text` for a method of anything."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    dotted = [one for one in functions if isinstance(one, ast.Attribute)]
    return {f"{one.value.id}.{one.attr}" for one in dotted if isinstance(one.value, ast.Name)} | {
        f".{one.attr}" for one in dotted
    }


def found(root: Path, names: set[str], rooms: tuple[str, ...] = ()) -> set[str]:
    modules = {str(path.relative_to(root)): path for path in root.rglob("*.py")}
    return {
        name
        for name, path in modules.items()
        if (not rooms or name.partition("/")[0] in rooms) and names & called(ast.parse(path.read_text()))
    }


def test_nobody_parses_by_himself_what_comes_from_outside() -> None:
    assert found(ROOT / "launcher", PARSERS | {f".{name}" for name in OF_ANYTHING}) == {*PARSE_THEMSELVES}


def test_nobody_reads_by_himself_what_may_come_from_drive() -> None:
    names = {f".{name}" for name in READERS}
    assert found(ROOT / "launcher", names, DRIVES) == {*READ_THEMSELVES}


def test_a_bare_call_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "one.py").write_text("import json\nnotes = json.loads(Path('x').read_text())\n")
    (tmp_path / "two.py").write_text("told = requests.get('x').json()\n")
    (tmp_path / "three.py").write_text("import json\nPath('x').write_text(json.dumps({}))\n")
    assert found(tmp_path, PARSERS | {".json"}) == {"drive/one.py", "two.py"}
    assert found(tmp_path, {".read_text"}, ("drive",)) == {"drive/one.py"}
