"""`make docs`: the pages in docs/ and docs/dev/ that are made from the code, so that they cannot drift.

The drawing of the layers, models, links, cards and sentences take a second; `--all` also tries every lying server,
every crafted file of weights, and each kind of text in Add (a minute).
"""

import sys

from tests.conftest import ROOT
from tests.docs import add, layers, pages
from tests.models import kinds_table, liars, old_files

DOCS = ROOT / "docs"
DEV = DOCS / "dev"


def main() -> None:
    layers.PAGE.write_text(layers.page_with_drawing(layers.PAGE.read_text()))
    for name, make in pages.PAGES.items():
        (DOCS / name).write_text(make())
    if "--all" not in sys.argv:
        return
    old = DEV / "old-files.md"
    kept = old.read_text().partition(old_files.MADE)[0].rstrip()
    old.write_text(f"{kept}\n\n{old_files.MADE}\n\nMade by `make docs ALL=yes`. {old_files.tables()}")
    (DEV / "kinds.md").write_text(kinds_table.page())
    (DOCS / "add.md").write_text(add.add_page())
    made = liars.page()
    (DEV / "downloads.md").write_text(made)
    sys.exit("WRONG BYTES" in made)


if __name__ == "__main__":
    main()
