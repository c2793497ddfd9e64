"""How the costs grow: one picture a curve, written by `make bench` to docs/dev/pictures/growth-*.png."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launcher.drive.sync import Sync
from tests.conftest import ROOT
from tests.programs.bench_launches import full_folder

MODELS = (10, 100, 300, 1000)
IMAGES = (0, 2_000, 10_000, 20_000)
FILE_MB = (100, 500, 2_000, 5_000)
TABS = (1, 5, 10, 20)


def poll_seconds(root: Path, images: int) -> float:
    """Seconds of one look for what is new, with so many images that are kept already."""
    data, kept = root / "data", root / "kept"
    for folder in (data, kept):
        (folder / "outputs").mkdir(parents=True, exist_ok=True)
    for number in range(images):
        (data / "outputs" / f"{number:05}.png").write_bytes(b"x")
    sync = Sync(data, kept, lambda text: None)
    sync.poll(settled=0)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        sync.poll(settled=0)
        times.append(time.perf_counter() - began)
    shutil.rmtree(root)
    return statistics.median(times)


def draw(name: str, title: str, x_name: str, y_name: str, curves: dict[str, dict[int, float]]) -> str:
    """One picture; returns the line of Markdown that shows it."""
    try:
        from matplotlib import pyplot
    except ImportError:
        subprocess.run(
            [
                str(Path(sys.prefix) / "bin" / "uv"),
                "pip",
                "install",
                "--quiet",
                "--python",
                sys.executable,
                "matplotlib",
            ],
            check=True,
        )
        from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(6, 3.2), dpi=110)
    for label, points in curves.items():
        axes.plot(list(points), list(points.values()), marker="o", label=label)
    axes.set(title=title, xlabel=x_name, ylabel=y_name)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "dev" / "pictures" / f"growth-{name}.png", metadata={"Software": None})
    pyplot.close(figure)
    told = "; ".join(
        f"{label}: " + ", ".join(f"{x:,} → {y:.3g}" for x, y in points.items()) for label, points in curves.items()
    )
    return f"![{title}](pictures/growth-{name}.png)\n\n{title} ({x_name} → {y_name}): {told}.\n"


def growth(doors: Any, download_seconds: Callable[[Path, int], dict[str, float]]) -> str:
    """All curves; returns the Markdown that shows them."""
    root = Path(tempfile.mkdtemp(prefix="bench-growth-"))
    try:
        models = full_folder(root / "models", [(count, 0) for count in MODELS], rounds=2)
        images = full_folder(root / "images", [(0, count) for count in IMAGES], rounds=2)
        polls = {count: poll_seconds(root / "poll", count) * 1000 for count in IMAGES}
        files: dict[str, dict[int, float]] = {}
        for size in FILE_MB:
            for name, seconds in download_seconds(root / f"file{size}", size * 1_000_000).items():
                files.setdefault(name, {})[size] = seconds
        tabs = {count: doors.memory_with_tabs(count)[1] for count in TABS}
        latency = {count: doors.small_with_tabs(count) for count in TABS}
    finally:
        shutil.rmtree(root, ignore_errors=True)
    medians = [{sum(key): statistics.median(values) for key, values in seconds.items()} for seconds in (models, images)]
    return "\n".join(
        [
            draw(
                "models",
                "▶ to the login box, by models on Drive",
                "models",
                "seconds",
                {"launch on a new machine": medians[0]},
            ),
            draw(
                "images",
                "▶ to the login box, by images on Drive",
                "images",
                "seconds",
                {"launch on a new machine": medians[1]},
            ),
            draw(
                "sync",
                "One poll for new images, by images there are",
                "images on the machine",
                "ms every 2 s",
                {"sync": polls},
            ),
            draw("download", "A download, by its size", "MB", "seconds", files),
            draw("tabs", "The door, by tabs open", "tabs", "MB of memory", {"door": tabs}),
            draw(
                "latency",
                "A small request through the door, by tabs that load",
                "tabs",
                "ms, median",
                {"door": latency},
            ),
        ]
    )
