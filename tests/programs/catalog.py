"""`make catalog`: asks the hub for every file of the catalog, and says what is not as the table says.

The table is not changed: a person reads why a file is another one now, and writes the new row.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace

from launcher.core.problem import Problem
from launcher.models.catalog import CONTROL_MODELS, MODELS, OLD_CONTROL_MODELS, HubFile, Model
from launcher.models.sources.hugging_face import resolve_hub_file


def changes(file: HubFile) -> Iterator[str]:
    """What the hub says otherwise of a file than its row, or what the row does not say."""
    for revision in dict.fromkeys((file.revision, "main")):
        try:
            there = resolve_hub_file(replace(file, revision=revision, size=0, sha256=""), "")
        except Problem as problem:
            yield f"{revision}: {problem.what}"
            continue
        if there.size != file.size:
            yield f"{revision}: size {there.size} (the row: {file.size or 'none'})"
        if there.sha256 != file.sha256:
            yield f"{revision}: SHA-256 {there.sha256 or 'not stated'} (the row: {file.sha256 or 'none'})"


def report(models: list[Model]) -> list[str]:
    """A line for each file that is not as its row says."""
    told = [(model, source, "; ".join(changes(source))) for model in models for source in model.sources]
    return [f"{model.name}: {source.repo} {source.filename}: {what}" for model, source, what in told if what]


def main() -> None:
    controls = [table for tables in (CONTROL_MODELS, OLD_CONTROL_MODELS) for table in tables.values()]
    models = list(dict.fromkeys([*MODELS, *(model for table in controls for model in table.values())]))
    lines = report(models)
    print("\n".join([*lines, f"{len(models)} models, {len(lines)} files that are not as their rows say."]))
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
