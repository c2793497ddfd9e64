"""`make faults`: everything is cut at every moment, and everything outside dies; two tables, each row run for real.

python -m tests.programs.faults [--only WORD] [--write docs/dev/faults.md]
"""

import argparse
import datetime
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tests.whole.faults import DRILLS, MOMENTS, STRIKES, Row, in_a_folder, table

BY_OTHERS = "<!-- the rest is not made by make faults -->"  # in the page: what follows is left as it is


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows with this word only")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--side-by-side", type=int, default=2)
    options = parser.parse_args()
    wanted = [
        (n, s)
        for n, m in enumerate(MOMENTS)
        for s in STRIKES
        if (s != "child killed" or m.has_child) and options.only in f"{m.step} {m.name} {s}"
    ]
    drilled = [n for n, drill in enumerate(DRILLS) if options.only in f"drill {drill.dead}"]
    with ProcessPoolExecutor(options.side_by_side) as pool:
        rows = [pool.submit(in_a_folder, "row", number, strike) for number, strike in wanted]
        drills = [pool.submit(in_a_folder, "drill", number) for number in drilled]
        results: list[Any] = []
        told: list[Any] = []
        for future in rows:
            results.append(future.result())
            print(" · ".join(results[-1].cells()), flush=True)
        for future in drills:
            told.append(future.result())
            print(" · ".join(told[-1]), flush=True)
    bad = [row for row in results if isinstance(row, Row) and not row.good]
    first = table(
        [
            "step",
            "moment",
            "struck by",
            "end",
            "▶ pressed",
            "bytes of a finished download fetched again",
            "bytes of an unfinished one that came twice",
            "damaged files",
            "processes left",
        ],
        [row.cells() for row in results],
    )
    second = table(["dead", "what the person sees", "web UI", ""], told)
    when = f"{datetime.date.today()}, {os.cpu_count()} cores"
    text = (
        f"# Faults\n\nMade by `make faults` ({when}): each row was run for real, with stand-ins for what is outside "
        "and a real FUSE Drive.\n\n"
        f"## Cut at any moment\n\n{first}\n\n{len(results)} rows, {len(bad)} of them bad.\n\n## Dead "
        f"upstreams\n\n{second}\n"
    )
    print(f"\n{text}")
    if options.write:
        by_others = options.write.read_text().partition(BY_OTHERS)[2] if options.write.exists() else ""
        options.write.write_text(f"{text}\n{BY_OTHERS}{by_others}" if by_others else text)
    sys.exit(1 if bad or any(row[-1] == "WRONG" for row in told) else 0)


if __name__ == "__main__":
    main()
