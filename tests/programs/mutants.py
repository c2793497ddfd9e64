"""Twenty changes, drawn once (`mutate.py` on 30161fa, seed 29), kept to compare the suite before and after it changes.

Each is (what stands in the launcher, what stands there instead): found by its text, wherever it lies by now. Where the
line that was drawn is gone, it is one beside it that does the same job.
"""

from typing import Final

KEPT: Final = (
    ("seen.kind not in (None, kind)", "seen.kind in (None, kind)"),
    ("    process.wait()", "    pass"),
    ("    if not read_finished(launch.folder):", "    if (read_finished(launch.folder)):"),
    (' and more != ("latin1",)', ' and more[1:] != ("latin1",)'),
    ("end > file.seek(0, 2)", "end <= file.seek(0, 2)"),
    ('if url and not path.startswith("/") and not {', 'if url and not path.startswith("/") or not {'),
    ('if cell.get("cell_type") == "code"]', 'if cell.get("cell_type") != "code"]'),
    ("    while not lock.is_locked:", "    while lock.is_locked:"),
    ("        start.reach(launch, Stage.SOURCE, step)", "        pass"),
    ("        self.full_said = False", "        self.full_said = True"),
    ("time.monotonic() > end or not running_pid(", "time.monotonic() <= end or not running_pid("),
    ('"Incorrect credentials."}, status=401)', '"Incorrect credentials."}, status=402)'),
    ("            file.write(piece)", "            pass"),
    ("not cache.exists():", "cache.exists():"),
    ("722601100 1c4a79aa52fb63f6", "722601101 1c4a79aa52fb63f6"),
    ("if whole and have > whole:", "if whole or have > whole:"),
    ('wanted=followed or "HEAD")', 'wanted=followed and "HEAD")'),
    ("lambda: read_ahead(path, launch.over.is_set)", "lambda: None"),
    ("    if not machine.colab:", "    if machine.colab:"),
    ("    if remote.size not in (0, ", "    if remote.size in (0, "),
)
