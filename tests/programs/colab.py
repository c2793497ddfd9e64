"""`make colab COLABTOOLS=DIR`: every scene on the real google.colab and on the stand-in, as a table.

    python -m tests.programs.colab --colabtools DIR [--group NAME] [--only WORD] [--write docs/dev/scenes.md]

The results lie in `run/scenes.json`; a part that is played again replaces its own.

DIR is a checkout of googlecolab/colabtools. Each group of scenes on the real package has mounts and processes of its
own, for `drive.mount` runs `pkill drive` and wants the file /var/colab/hostname: that takes root, or sudo.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.whole.scenes import SCENES, Scene
from tests.whole.stage import Stage
from tests.world import World

NAMESPACES: Final = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private")
# Over /var and the person's .config lies a layer that is gone afterwards.
LAYERS: Final = """
for place in /var "$HOME/.config"; do
  mkdir -p "$place" "$1/layers"; mount -t tmpfs layers "$1/layers"; mkdir "$1/layers/upper" "$1/layers/work"
  mount -t overlay overlay -o "lowerdir=$place,upperdir=$1/layers/upper,workdir=$1/layers/work" "$place" || exit 1
done
mkdir -p /var/colab && touch /var/colab/hostname && shift && exec "$@"
"""


@dataclass(frozen=True)
class Played:
    """How one scene went on one of the two packages."""

    name: str
    seconds: float
    told: str
    fault: str
    sentences: tuple[str, ...]
    load: float = 0.0  # of the machine, processes a core


def play(scenes: list[Scene], colabtools: Path | None, root: Path) -> list[Played]:
    """Play them one after the other on one machine."""
    with World(root / "made") as made:
        stage = Stage(root / "stage", made.git.root, colabtools)
    results = []
    try:
        for scene in scenes:
            stage.sentences.clear()
            seconds, fault = 0.0, ""
            try:
                seconds = scene.play(stage)
            except (AssertionError, TimeoutError, OSError, RuntimeError) as error:
                fault = f"{type(error).__name__}: {error}"[:3000]
                traceback.print_exc()
            time.sleep(1)  # what a person reads then
            told = stage.told()
            load = os.getloadavg()[0] / (os.cpu_count() or 1)
            results.append(Played(scene.name, seconds, told, fault, tuple(stage.sentences), load))
            print(f"{seconds:7.2f} s  {'FAILED ' if fault else ''}{scene.name}", flush=True)
    finally:
        stage.close()
    return results


def play_group(group: str, only: str, colabtools: Path | None) -> list[Played]:
    """One group in a process of its own; with the real package in namespaces of its own."""
    with tempfile.TemporaryDirectory(prefix="scenes-", ignore_cleanup_errors=True) as root:
        told = Path(root, "told.json")
        command = [sys.executable, "-m", "tests.programs.colab", "--group", group, "--only", only, "--told", str(told)]
        if colabtools:
            layered = ["bash", "-c", LAYERS, "layers", root]
            as_root = () if os.geteuid() == 0 else ("sudo", "--preserve-env")
            command = [*as_root, *NAMESPACES, *layered, *command, "--colabtools", str(colabtools)]
        subprocess.run(command, check=False)
        return [Played(**one) for one in json.loads(told.read_text())] if told.exists() else []  # shown as not played


def shown(played: Played, bound: float) -> str:
    """The seconds, as a cell of the table."""
    if played.fault:
        return "**failed**"
    return f"{played.seconds:.2f} s" if played.seconds <= bound else f"**{played.seconds:.2f} s** ({played.load:.0f})"


def table(real: dict[str, Played], stand_in: dict[str, Played]) -> str:
    """The page."""
    lines = [
        "# Scenes: dialogs, buttons and stops",
        "",
        f"Made by `make colab` on {datetime.date.today()}: {len(SCENES)} scenes, each on the real `google.colab` "
        "(colabtools 3c07d77, Colab's kernel and shell classes) and on the stand-in of `tests/world/colab`. "
        "Seconds are those the bound is for: from ■ to the end of the cell, from ▶ to the panel, from a button to "
        "what it does, or from what happened to what the panel says. Bold is more than the bound; beside it stands how "
        "many processes wanted each core then, for the bounds are meant for a machine with nothing else to do.",
        "",
        "| scene | bound | real | stand-in | what the panel says then |",
        "| --- | --: | --: | --: | --- |",
    ]
    for scene in SCENES:
        cells = [scene.name, f"{scene.bound:g} s"]
        for played in (real.get(scene.name), stand_in.get(scene.name)):
            cells.append(shown(played, scene.bound) if played else "not played")
        said = real.get(scene.name) or stand_in.get(scene.name)
        cells.append(said.told.replace("|", "\\|") if said else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--colabtools", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--group", default="")
    parser.add_argument("--told", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--results", type=Path, default=Path("run/scenes.json"))
    parser.add_argument("--side-by-side", type=int, default=2)
    options = parser.parse_args()
    scenes = [scene for scene in SCENES if options.only in scene.name and options.group in ("", scene.group)]
    if options.told:
        with tempfile.TemporaryDirectory(prefix="stage-", ignore_cleanup_errors=True) as root:
            played = play(scenes, options.colabtools, Path(root))
        options.told.write_text(json.dumps([asdict(one) for one in played]))
        return
    colabtools = options.colabtools.resolve() if options.colabtools else None
    groups = sorted({scene.group for scene in scenes}, key=lambda group: not group.startswith("long"))
    with ThreadPoolExecutor(options.side_by_side) as pool:
        ways = [(group, tools) for tools in dict.fromkeys((colabtools, None)) for group in groups]
        done = list(pool.map(lambda way: play_group(way[0], options.only, way[1]), ways))
    kept = json.loads(options.results.read_text()) if options.results.exists() else [{}, {}]
    for (_, tools), results in zip(ways, done, strict=True):
        kept[tools is None] |= {one.name: asdict(one) for one in results}
    options.results.parent.mkdir(exist_ok=True)
    options.results.write_text(json.dumps(kept))
    by_name = [{name: Played(**one) for name, one in named.items()} for named in kept]
    page = table(*by_name)
    if options.write:
        options.write.write_text(page)
    print(page)
    missing = [scene.name for scene in scenes for named in by_name[colabtools is None :] if scene.name not in named]
    bad = [
        one.name
        for named in by_name
        for one in named.values()
        if one.name in {scene.name for scene in scenes}
        if one.fault or one.seconds > next(scene.bound for scene in SCENES if scene.name == one.name)
    ] + missing
    sys.exit(f"{len(bad)} failed: {'; '.join(bad)}" if bad else 0)


if __name__ == "__main__":
    main()
