"""The texts of A1111 that people edit on their own computers: styles, the Save button's list, the last prompt.

A1111 reads UTF-8 with commas only. A styles file in another encoding, or with semicolons, reads as nothing, and is
overwritten by the second style that is saved.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from launcher.core.folder import write_safely
from launcher.core.outside import Damaged, parsed_text, read_bytes, set_aside
from launcher.webui.settings_files import keep_copy

TEXTS: Final = ("styles*.csv", "params.txt", "log/images/log.csv")
NOT_IN_USE: Final = (".broken-", ".before-")  # in the names of what was set aside
DELIMITERS: Final = (",", ";", "\t")


def check_texts(data: Path) -> list[str]:
    """Set aside what is no text, and write what A1111 could not read so that it can; returns what to say."""
    found = [path for pattern in TEXTS for path in sorted(data.glob(pattern))]
    said = [check_text_file(path) for path in found if not any(mark in path.name for mark in NOT_IN_USE)]
    return [sentence for sentence in said if sentence]


def check_text_file(path: Path) -> str | None:
    try:
        data = read_bytes(path)
        text = parsed_text(data, path.name)
        right = with_commas(text) if path.match("styles*.csv") else text
    except (Damaged, csv.Error):
        return f"{path.name} was damaged. It is kept as {set_aside(path).name}, and the web UI makes a new one."
    if data.removeprefix(codecs.BOM_UTF8) == right.encode():
        return None
    aside = keep_copy(path)
    write_safely(path, right)
    return f"{path.name} was not as the web UI reads it, and was converted. The old file is kept as {aside.name}."


def with_commas(text: str) -> str:
    """The styles as A1111 reads them: commas between the columns, and a name in each row.

    Raises `Damaged` where these are none, and `csv.Error`.
    """
    for separator in DELIMITERS:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        columns = reader.fieldnames or ()
        if "name" in columns and {"prompt", "text"} & {*columns}:
            rows = list(reader)
            named = [row for row in rows if row["name"] is not None]
            return text if separator == "," and named == rows else written(columns, named)
    raise Damaged("styles.csv", "it holds no styles")


def written(columns: Sequence[str], rows: Iterable[dict[str, str]]) -> str:
    made = io.StringIO(newline="")
    writer = csv.DictWriter(made, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()
