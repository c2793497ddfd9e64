"""The rows of `make bench` on the way from ▶ to the first line of our code: the panel, after all bytes of the package
on the disk were compared. On both stacks; with `BEFORE_NOTEBOOK` (a path) against another notebook, in the same run.
"""

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench_launches import BASE, Row, met
from tests.conftest import COLAB_PYTHON, CURRENT_PYTHON
from tests.world.kernel import Kernel, cell_source
from tests.world.page import NOTEBOOK

BEFORE = [Path(path) for path in [os.environ.get("BEFORE_NOTEBOOK")] if path]
ROUNDS = 3
FIRST, SECOND = 0.3, 0.2  # seconds
STACKS = {"Colab's pins": COLAB_PYTHON, "the current stack": CURRENT_PYTHON}
# In the kernel: when the first thing was displayed since the last look, and the processor time until then.
LOOK = """
import time as _time
_publisher = get_ipython().display_pub
_publish, _first = type(_publisher).publish, []
def _look(*arguments, **more):
    _first.append((_time.time(), _time.process_time()))
    return _publish(_publisher, *arguments, **more)
_publisher.publish = _look
"""
Times = dict[str, list[tuple[float, float]]]  # which ▶ -> (seconds, seconds of the processor)


@contextmanager
def watched_kernel(python: Path, home: Path) -> Iterator[Kernel]:
    home.mkdir(parents=True, exist_ok=True)
    kernel = Kernel(python, {**BASE, "ONECLICK_HOME": str(home)}, home)
    try:
        kernel.run(LOOK)
        yield kernel
    finally:
        kernel.shutdown()


def press(kernel: Kernel, source: str) -> tuple[float, float]:
    """(seconds from ▶ to the panel, the kernel's processor time in them)."""
    kernel.run("_first.clear(); print('SO FAR', _time.process_time())")
    used = float(kernel.wait_for_text(r"^SO FAR (\S+)$", 10)[1])
    began, kernel.text = time.time(), ""
    kernel.run(source)
    kernel.run("print('FIRST', *_first[0])")
    told = kernel.wait_for_text(r"^FIRST (\S+) (\S+)$", 10)
    kernel.text = ""
    return float(told[1]) - began, float(told[2]) - used


def times(python: Path, home: Path, notebook: Path) -> Times:
    """The first ▶ on a new machine and the next one, then the same in a new kernel of that machine.

    The form asks for a checkpoint that nobody knows: it ends there, and nothing but the way to the panel is measured.
    """
    source, seen = cell_source("launch", notebook, checkpoint="nope"), Times()
    for kind in ("new machine", "new kernel"):
        with watched_kernel(python, home) as kernel:
            seen[kind] = [press(kernel, source)]
            seen.setdefault("again", []).append(press(kernel, source))
    return seen


def press_rows(root: Path) -> list[Row]:
    """The notebook of today and the one before it, in turns."""
    rows = []
    for stack, python in STACKS.items():
        seen: dict[Path, Times] = {NOTEBOOK: {}} | {path: {} for path in BEFORE}
        for number in range(ROUNDS):
            for notebook, so_far in seen.items():
                for kind, measured in times(python, root / f"{stack}{number}{notebook.stem}", notebook).items():
                    so_far.setdefault(kind, []).extend(measured)
        for kind, target in (("new machine", FIRST), ("new kernel", FIRST), ("again", SECOND)):
            now, then = seen[NOTEBOOK][kind], "; ".join(told(seen[path][kind]) for path in BEFORE)
            middle = statistics.median(seconds for seconds, _ in now)
            figure = f"▶ to the first line of our code, {kind}, {stack}"
            rows.append(
                (
                    figure,
                    f"the notebook of before: {then or 'not measured'}",
                    f"≤ {target} s",
                    told(now),
                    met(middle / target, 1),
                )
            )
    return rows


def told(measured: list[tuple[float, float]]) -> str:
    """The median, the quickest, and the processor time."""
    seconds, used = [one for one, _ in measured], [one for _, one in measured]
    return (
        f"{statistics.median(seconds):.2f} s (quickest {min(seconds):.2f}; "
        f"processor {statistics.median(used):.2f}, quickest {min(used):.2f})"
    )
