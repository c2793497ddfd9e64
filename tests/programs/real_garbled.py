"""What Drive garbled of A1111's own files, on the real A1111: settings, styles, the page's settings, CLIP's words.

    python -m tests.programs.real_garbled --upstreams DIR --home DIR

A first launch keeps all four on Drive. Then, for each damage, a new machine starts with all of them damaged: the web UI
must run and paint, and none of them may be damaged on Drive after the stop.
"""

import contextlib
import csv
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.programs.real import REAL_LINK, RealWorld, kernel_of, places_asked, way_in
from tests.programs.real_models import Api
from tests.whole.garbled import DAMAGES, UNREADABLE, is_json
from tests.world.kernel import cell_source

STYLES = "name,prompt,negative_prompt\r\nfog,in the fog,\r\n"
FORM = {"checkpoint": REAL_LINK, "link": "none", "extra_arguments": "--disable-nan-check", "api": True}


def is_styles(path: Path) -> bool:
    """None are as good: A1111 writes them only when one is saved. A dead shortcut of theirs stays where it is."""
    return not path.exists() or next(csv.reader(path.open(newline="")))[:2] == ["name", "prompt"]


GOOD: dict[str, Callable[[Path], bool]] = {
    "config.json": is_json,
    "ui-config.json": is_json,
    "styles.csv": is_styles,
    "vocab.json": is_json,
}


def place_of(kept: Path, name: str) -> Path:
    return next(kept.rglob(name)) if name == "vocab.json" else kept / name


def launch(world: RealWorld, home: Path, python: str) -> tuple[list[str], dict[str, object]]:
    """(What the launcher said besides its steps, what the web UI answered.)"""
    with kernel_of(world, home, python) as kernel:
        cell = kernel.start(cell_source("launch", **FORM))
        kernel.wait(lambda: "Ready after" in kernel.text or cell in kernel.idle, 900, "the web UI")
        if "Ready after" not in kernel.text:
            return [kernel.text[-600:]], {}
        api = Api(*way_in(kernel))
        answers = {
            "settings": len(api.get("options")) > 100,
            "styles": [one["name"] for one in api.get("prompt-styles")],
            "image": bool(api.post("txt2img", prompt="fog", steps=1, width=64, height=64)["images"]),
        }
        api.post("options", CLIP_stop_at_last_layers=2)  # A1111 writes its settings
        said = [line for line in kernel.text.splitlines() if line.startswith("! ") and "graphics card" not in line]
        return said, answers


def main() -> None:
    options = places_asked(__doc__).parse_args()
    home, wrong = options.home.resolve(), 0
    kept = home / "drive" / "asd1111" / "stable-diffusion-webui"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "styles.csv").write_text(STYLES)
    with contextlib.closing(RealWorld(home / "outside", options.upstreams.resolve())) as world:
        print(launch(world, home, options.python), flush=True)
        whole = {name: place_of(kept, name).read_bytes() for name in GOOD}
        for damage, garble in DAMAGES.items():
            if damage == UNREADABLE:  # this folder is no Drive
                continue
            shutil.rmtree(home / "machine" / "data")
            for name in GOOD:
                path = place_of(kept, name)
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                path.write_bytes(whole[name])
                garble(path)
            said, answers = launch(world, home, options.python)
            left = {name: good(place_of(kept, name)) for name, good in GOOD.items()}
            right = all(left.values()) and bool(answers.get("settings") and answers.get("image"))
            wrong += not right
            print(
                f"{'ok' if right else 'WRONG'}: {damage}: {answers}, afterwards on Drive {left}",
                *said,
                sep="\n  ",
                flush=True,
            )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
