"""How far it is from ▶ to a running web UI: modules, functions and the longest chain of calls, in all our processes.

    python -m tests.programs.hops [NOTEBOOK]

A module or function counts when it ran between ▶ and A1111's line `Startup time:`. A chain is of functions of ours that
stand on one stack at a time, whatever of other people's stands between them.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import COLAB_PYTHON
from tests.world import MODEL_LINK, World
from tests.world.kernel import Kernel, cell_source
from tests.world.page import NOTEBOOK
from tests.world.place import Place, wait_ready

COUNTED = Path(__file__).resolve().parents[1] / "world" / "counted"
READY = "Startup time:"


def measure(root: Path, notebook: Path) -> tuple[int, int, int]:
    """(modules, functions, the longest chain) of one launch on a new machine below `root`."""
    notes = root / "notes"
    with World(root / "outside") as world, Place(world, root) as place:
        place.machine.mkdir(parents=True)
        base = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ONECLICK_", "CIVITAI_"))}
        paths = os.pathsep.join([str(COUNTED), place.environment["PYTHONPATH"]])
        counted = {"PYTHONPATH": paths, "ONECLICK_TEST_COUNTED": str(notes)}
        kernel = Kernel(COLAB_PYTHON, {**base, **place.environment, **counted}, place.machine)
        try:
            began = time.time()
            cell = kernel.start(cell_source("launch", notebook, checkpoint=MODEL_LINK))
            log = place.session / "webui.log"
            kernel.wait(lambda: log.exists() and READY in log.read_text(errors="replace"), 300, READY)
            ready = time.time()
            wait_ready(kernel)
            kernel.interrupt()
            kernel.wait_done(cell, 60)
            kernel.run(cell_source("stop", notebook), 120)
        finally:
            kernel.shutdown()
    seen = [one for one in map(json.loads, notes.read_text().splitlines()) if began <= one["at"] <= ready]
    functions = {(one["file"], one["function"]) for one in seen if "function" in one}
    return len({file for file, _ in functions}), len(functions), max(one["depth"] for one in seen)


def main() -> None:
    notebook = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else NOTEBOOK
    with tempfile.TemporaryDirectory(prefix="hops-", ignore_cleanup_errors=True) as root:
        modules, functions, chain = measure(Path(root), notebook)
    print(f"{notebook.name}: {modules} modules, {functions} functions, a longest chain of {chain}")


if __name__ == "__main__":
    main()
