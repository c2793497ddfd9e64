"""`make run`: the notebook's first cell in a real kernel against the stand-ins; prints link, user and password, keeps
running.

python -m tests.programs.run --python KERNEL_PYTHON --home FOLDER [--checkpoint LINK] [--once]
"""

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

from launcher.core.process import running_pid
from tests.programs.real import REAL_LINK, RealWorld
from tests.world import MODEL_LINK, World
from tests.world.kernel import Kernel, cell_source

SERVICE_PATIENCE = 20.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--link", default="gradio")
    parser.add_argument("--upstreams", type=Path, help="bare repositories OWNER/NAME.git: run the real A1111")
    parser.add_argument("--once", action="store_true", help="stop as soon as it is ready")
    options = parser.parse_args()
    home = options.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    over = threading.Event()
    for which in (signal.SIGINT, signal.SIGTERM):
        signal.signal(which, lambda *_: over.set())
    began = time.monotonic()
    fields = (
        {"checkpoint": REAL_LINK, "extra_arguments": "--disable-nan-check"}
        if options.upstreams
        else {"checkpoint": MODEL_LINK}
    )
    with RealWorld(home / "outside", options.upstreams) if options.upstreams else World(home / "outside") as world:
        environment = {**os.environ, **world.environment(home), "ONECLICK_PANEL": "text"}
        kernel = Kernel(options.python, environment, home)
        told, ready, times = 0, 0.0, home / "seconds-of-the-last-run"
        try:
            cell = kernel.start(cell_source("launch", **fields, link=options.link))
            while not over.is_set() and cell not in kernel.idle:
                sys.stdout.write(kernel.text[told:])
                told = len(kernel.text)
                sys.stdout.flush()
                if not ready and "Ready after" in kernel.text:
                    ready = time.monotonic() - began
                    before = f"; the run before took {times.read_text()} s" if times.exists() else ""
                    times.write_text(f"{ready:.1f}")
                    print(
                        f"\n{ready:.1f} s in all{before}. Fetched: {world.hub.sent()} bytes from the hub, "
                        f"{len(world.git.fetches())} packs from git hosts."
                    )
                    print("Ctrl-C ends it.", flush=True)
                    if options.once:
                        break
                over.wait(0.2)
            sys.stdout.write(kernel.text[told:])
            failed = "Ready after" not in kernel.text and not over.is_set()
            print("\n".join(kernel.errors))
        finally:
            kernel.interrupt()
            kernel.run(cell_source("stop"), timeout=60)
            kernel.shutdown()
            service = home / "machine" / "session" / "service.pid"
            end = time.monotonic() + SERVICE_PATIENCE
            while running_pid(service) and time.monotonic() < end:  # it ends some seconds after the last thing it kept
                time.sleep(0.1)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
