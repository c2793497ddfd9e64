"""Python imports this by itself where it lies on PYTHONPATH: every program that a process starts is noted, with the
file whose code starts it and the names of the variables it gets. The launcher hands PYTHONPATH on to its own parts, so
theirs are noted too.
"""

import json
import os
import sys
from typing import Any

NOTES = os.environ.get("ONECLICK_TEST_NOTES", "")


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "subprocess.Popen":
        return
    _, command, _, environment = arguments
    names = sorted(os.fsdecode(name) for name in (os.environ if environment is None else environment))
    words = [os.fsdecode(word) for word in ([command] if isinstance(command, str | bytes) else command)]
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.endswith("subprocess.py"):
        frame = frame.f_back
    with open(NOTES, "a") as notes:
        notes.write(json.dumps({"by": frame.f_code.co_filename, "command": words, "names": names}) + "\n")


if NOTES:
    sys.addaudithook(note)
