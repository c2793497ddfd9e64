"""Our own extensions of A1111 lie beside its own, as they are in the package."""

from pathlib import Path

from launcher.extensions.builtin import put_builtin


def test_ours_are_put_beside_a1111s_own_extensions_and_replace_those_of_before(tmp_path: Path) -> None:
    (tmp_path / "extensions-builtin" / "Lora").mkdir(parents=True)
    old = tmp_path / "extensions-builtin" / "oneclick_launcher" / "scripts" / "of-an-older-launcher.py"
    old.parent.mkdir(parents=True)
    old.write_text("")
    put_builtin(tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == [
        "extensions-builtin/faster_images/scripts/faster_images.py",
        "extensions-builtin/oneclick_launcher/javascript/launcher_tab.js",
        "extensions-builtin/oneclick_launcher/scripts/launcher_tab.py",
    ]
    assert (tmp_path / "extensions-builtin" / "Lora").is_dir()
