"""Our own extensions of A1111 lie beside its own, as they are in the package."""

from pathlib import Path

from launcher.extensions.builtin import LAUNCHER_TAB, put_builtin


def test_the_tab_is_put_beside_a1111s_own_extensions_and_replaces_the_one_of_before(tmp_path: Path) -> None:
    (tmp_path / "extensions-builtin" / "Lora").mkdir(parents=True)
    old = tmp_path / "extensions-builtin" / LAUNCHER_TAB / "scripts" / "of-an-older-launcher.py"
    old.parent.mkdir(parents=True)
    old.write_text("")
    put_builtin(tmp_path, (LAUNCHER_TAB,))
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == [
        f"extensions-builtin/{LAUNCHER_TAB}/javascript/launcher_tab.js",
        f"extensions-builtin/{LAUNCHER_TAB}/scripts/launcher_tab.py",
    ]
    assert (tmp_path / "extensions-builtin" / "Lora").is_dir()
