"""The rows of `make bench UPSTREAMS=DIR` on a new machine: the real A1111, everything on a slow Drive, nothing cached.

In a stand-in of Colab's image (tests/programs/bench_packages.py), beside the launcher as it was before it borrowed
packages, and beside its own legs, each alone; these are drawn in docs/dev/benchmarks.md.
"""

import os
import statistics
import subprocess
from pathlib import Path
from typing import Final

from launcher.python.bytecode import ARCHIVE
from tests.conftest import ROOT
from tests.programs.bench_launches import SLOW_DRIVE, Row, kernel_at, launch_seconds, legs_in_a_row, met, spread
from tests.programs.bench_packages import BEFORE, colab_image
from tests.programs.marks import rewrite
from tests.programs.real import REAL_LINK, RealWorld
from tests.world.kernel import NOTEBOOK, cell_source
from tests.world.place import Place

ROUNDS: Final = 1  # each takes minutes
LARGE: Final = 5_000_000  # bytes
PAGE: Final = ROOT / "docs" / "dev" / "benchmarks.md"
CHAIN_MARK: Final = "<!-- chain drawn by make bench -->"
# Leg -> the legs it waits for. `newest` is GitHub's word that the newest A1111 is the one the lock is for.
WAITS_FOR: Final[dict[str, tuple[str, ...]]] = {
    "link": (),
    "newest": (),
    "drive": (),
    "python": ("newest",),
    "bytecode": ("drive",),
    "source": ("drive", "newest"),
    "model": ("drive",),
    "extensions": ("source",),
    "webui": ("extensions", "python", "model"),
}
TITLES: Final = {
    "link": "door and tunnel",
    "newest": "the newest version's name",
    "drive": "Drive, folder, settings",
    "python": "packages",
    "bytecode": "bytecode unpacked",
    "source": "A1111's source",
    "model": "checkpoint found",
    "extensions": "extensions",
    "webui": "A1111 itself",
}


def new_machine_rows(root: Path, upstreams: Path) -> list[Row]:
    """▶ to the login box on machine after machine; the Drive stays."""
    python, before = colab_image(root / "image"), root / "before.ipynb"
    before.write_bytes(subprocess.check_output(["git", "show", f"{BEFORE}:{NOTEBOOK.name}"], cwd=ROOT))
    seen: dict[Path, list[float]] = {before: [], NOTEBOOK: []}
    fields = {"checkpoint": REAL_LINK, "link": "gradio", "extra_arguments": "--disable-nan-check"}
    with RealWorld(root / "outside", upstreams) as world, Place(world, root) as place:
        environment = place.environment | {"UV_CACHE_DIR": str(place.machine / "cache-of-uv")}
        with kernel_at({**environment, "ONECLICK_PANEL": "text"}, place.machine, python) as kernel:
            kernel.start(cell_source("launch", **fields))  # puts everything on Drive
            kernel.wait((place.kept / ARCHIVE).exists, 600, "the bytecode on Drive")
        place.lose_machine(aside=True)
        launch_seconds(environment, place.machine, python, before, **fields)  # puts what it wants there, too
        for _ in range(ROUNDS):
            for notebook, seconds in seen.items():
                next_machine(place)
                seconds.append(launch_seconds(environment, place.machine, python, notebook, **fields))
                place.manners()
        next_machine(place)
        with kernel_at(environment, place.machine, python) as kernel:
            legs = legs_in_a_row(place, kernel, REAL_LINK)
    legs["newest"] = legs.pop("asking for the newest version")
    longest = max(end for _, end in when(legs).values())
    rewrite(PAGE, CHAIN_MARK, drawn(legs))
    ours, then = statistics.median(seen[NOTEBOOK]), statistics.median(seen[before])
    figure = "▶ to the login box, new machine, all on a slow Drive, real A1111"
    faster = then / ours
    return [
        (figure, "the launcher before it borrowed packages", "≥ 1.8 × faster",
            f"{faster:.1f} × ({spread(seen[NOTEBOOK])} against {spread(seen[before])})",
            "yes" if faster >= 1.8 else f"no, by {100 * (1 - faster / 1.8):.0f} %"),
        (f"{figure}, again", "its longest chain of legs, each leg alone", "≤ 1.1 ×",
            f"{ours / longest:.2f} × (chain {longest:.1f} s)", met(ours / longest, 1.1)),
    ]  # fmt: skip


def next_machine(place: Place) -> None:
    """Another machine, whose Drive is slow. Of the one before only its large files go (few, and 10 GB of a disk)."""
    place.lose_machine(aside=True)
    for path in (path for lost in place.root.glob("lost-*") for path in lost.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size > LARGE:
            path.unlink()
    place.manners(**SLOW_DRIVE)
    os.sync()


def when(legs: dict[str, float]) -> dict[str, tuple[float, float]]:
    """(begins, ends) of each leg in seconds after ▶, if nothing but what it needs is waited for."""
    times: dict[str, tuple[float, float]] = {}
    for name, needs in WAITS_FOR.items():
        begins = max((times[need][1] for need in needs), default=0.0)
        times[name] = (begins, begins + legs[name])
    return times


def drawn(legs: dict[str, float]) -> str:
    """The legs as bars, with what each waits for."""
    times = when(legs)
    scale = 60 / max(end for _, end in times.values())
    lines = [
        f"{TITLES[name]:27}{' ' * round(begins * scale)}{'█' * max(1, round((ends - begins) * scale))} "
        f"{ends - begins:.1f} s" + (f", after: {', '.join(TITLES[need] for need in needs)}" if needs else "")
        for (name, needs), (begins, ends) in zip(WAITS_FOR.items(), times.values(), strict=True)
    ]
    return "\n".join(["```", *lines, "```"])
