"""Twenty changes drawn once (`mutate.py` on 30161fa, seed 29), kept to compare the suite before and after it changes.

Each is (what stands in the launcher, what stands there instead): found by its text, wherever it lies by now.
"""

from typing import Final

KEPT: Final = (
    ("    if not seen.kind:", "    if (seen.kind):"),
    ("    process.wait()", "    pass"),
    ("    if not read_finished(launch.folder):", "    if (read_finished(launch.folder)):"),
    ('"_codecs.encode" and arguments[1:] != ("latin1",):', '"_codecs.encode" and arguments[2:] != ("latin1",):'),
    (
        "if not isinstance(keys, list) or {str(key) for key in keys} != set(reader.storages):",
        "if not isinstance(keys, list) and {str(key) for key in keys} != set(reader.storages):",
    ),
    ("if depth < DEEPEST:", "if depth >= DEEPEST:"),
    ('if cell.get("cell_type") == "code"]', 'if cell.get("cell_type") != "code"]'),
    (
        "            while True:\n                for start, done in self._stretches.items():",
        "            while False:\n                for start, done in self._stretches.items():",
    ),
    ("        start.reach(launch, Stage.SOURCE, step)", "        pass"),
    ("        self.full_said = False", "        self.full_said = True"),
    (
        "running_pid(session.service.pid_file) and time.monotonic() < end:",
        "running_pid(session.service.pid_file) and time.monotonic() >= end:",
    ),
    ("web.json_response(told, status=200 if right else 401)", "web.json_response(told, status=200 if right else 402)"),
    ("                    entry.write(piece)", "                    pass"),
    ("    while cache and not cache.exists():", "    while cache and cache.exists():"),
    (
        '722_601_100,\n        "1c4a79aa52fb63f607cb9ff479ea5aa1923b6ceb21267bd14b69bd05d7b617be"',
        '722_601_101,\n        "1c4a79aa52fb63f607cb9ff479ea5aa1923b6ceb21267bd14b69bd05d7b617be"',
    ),
    ("        if (starts or ends) and self.coming:", "        if (starts or ends) or self.coming:"),
    ('wanted=followed or "HEAD")', 'wanted=followed and "HEAD")'),
    ("        read_ahead(checkpoint, launch.over.is_set)", "        pass"),
    ("    if not machine.colab:", "    if machine.colab:"),
    ('safetensors_file(raw or b"", size)', 'safetensors_file(raw and b"", size)'),
)
