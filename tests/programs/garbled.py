"""`make garbled`: every kind of file that comes back from Drive, garbled in every way; a table, each row run for real.

python -m tests.programs.garbled [--only WORD] [--write docs/dev/faults.md]
"""

import argparse
import datetime
import os
import sys
import tempfile
from pathlib import Path

from tests.programs.marks import rewrite
from tests.whole.faults import table
from tests.whole.garbled import DAMAGES, KINDS, first_day, one_row
from tests.world import World
from tests.world.mounted import MountedDrive

MARK = "<!-- made by make garbled -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows with this word only")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    wanted = [(kind, damage) for kind in KINDS for damage in DAMAGES if options.only in f"{kind.path} {damage}"]
    with tempfile.TemporaryDirectory() as folder, World(Path(folder) / "outside", page=False) as world:
        root = Path(folder)
        os.environ |= world.git.environment()
        with MountedDrive(root) as drive:
            first_day(world, drive, root)
            rows = []
            for number, (kind, damage) in enumerate(wanted):
                rows.append(one_row(world, drive, root, kind, damage, f"row{number}"))
                print(" · ".join(rows[-1].cells()), flush=True)
    bad = [row for row in rows if not row.good]
    cells = table(
        ["file", "garbled", "the launch", "what was said", "on Drive afterwards"], [row.cells() for row in rows]
    )
    when = f"{datetime.date.today()}, {os.cpu_count()} cores, a FUSE Drive."
    text = f"{when}\n\n{cells}\n\n{len(rows)} rows, {len(bad)} of them bad."
    if options.write:
        rewrite(options.write, MARK, text)
    print(f"{len(rows)} rows, {len(bad)} of them bad.")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
