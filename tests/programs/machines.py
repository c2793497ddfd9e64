"""`make machines`: every odd machine, as a whole launch where that is the question; the page docs/dev/machines.md.

python -m tests.programs.machines [--only WORD] [--missing] [--launch PROGRAM …] [--write docs/dev/machines.md]
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.whole.machines import ROWS, ends_well, in_a_folder, page, rows_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows with this word only")
    parser.add_argument("--missing", action="store_true", help="rows that the page lacks, or has with a wrong end")
    parser.add_argument("--launch", nargs="*", default=[odd.program for odd in ROWS], help="whole launches for these")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--side-by-side", type=int, default=2)
    options = parser.parse_args()
    there = rows_of(options.write) if options.missing and options.write else {}
    numbers = [
        number
        for number, odd in enumerate(ROWS)
        if options.only in f"{odd.program}: {odd.what}" and not (odd.what in there and ends_well(odd, there[odd.what]))
    ]
    wholes = [ROWS[number].whole and ROWS[number].program in options.launch for number in numbers]
    rows, wrong = [], 0
    with ProcessPoolExecutor(options.side_by_side) as pool:
        made = zip(numbers, wholes, pool.map(in_a_folder, numbers, wholes), strict=True)
        for number, whole, (told, right) in made:
            how = "a whole launch" if whole else "the program"
            rows.append([ROWS[number].what, ROWS[number].program, how, told])
            wrong += not right
            print("  " if right else "✗ ", " · ".join(rows[-1]), flush=True)
    print(f"{len(rows)} rows, {wrong} of them wrong")
    if options.write:
        all_rows = rows_of(options.write) | {row[0]: row for row in rows}
        options.write.write_text(page([all_rows[odd.what] for odd in ROWS if odd.what in all_rows]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
