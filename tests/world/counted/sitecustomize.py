"""Python imports this by itself where it lies on PYTHONPATH: every function of the launcher that runs is noted, and
once more where it lies deeper in a chain of the launcher's own calls than before.
"""

import json
import os
import sys
import time
from types import CodeType
from typing import Any

NOTES = os.environ.get("ONECLICK_TEST_COUNTED", "")
OURS = f"{os.sep}launcher{os.sep}"
IN_A_FUNCTION = 0x1  # CO_OPTIMIZED: modules and classes have it not
OFTEN = 300  # calls of one function that are looked at

deepest: dict[CodeType, int] = {}
calls: dict[CodeType, int] = {}


def is_ours(code: CodeType) -> bool:
    name = code.co_filename
    return OURS in name and "site-packages" not in name and bool(code.co_flags & IN_A_FUNCTION)


def note(code: CodeType, offset: int) -> Any:
    if OURS not in code.co_filename:
        return sys.monitoring.DISABLE
    depth, frame = 0, sys._getframe(1)
    while frame is not None:
        depth += is_ours(frame.f_code)
        frame = frame.f_back  # type: ignore[assignment]
    calls[code] = calls.get(code, 0) + 1
    if depth > deepest.get(code, -1):
        deepest[code] = depth
        told = {"at": time.time(), "file": code.co_filename.rpartition(OURS)[2], "depth": depth}
        if is_ours(code) and not code.co_name.startswith("<"):
            told["function"] = f"{code.co_qualname}:{code.co_firstlineno}"
        with open(NOTES, "a") as notes:
            notes.write(json.dumps(told) + "\n")
    return sys.monitoring.DISABLE if calls[code] > OFTEN else None


if NOTES:
    sys.monitoring.use_tool_id(4, "hops")
    sys.monitoring.register_callback(4, sys.monitoring.events.PY_START, note)
    sys.monitoring.set_events(4, sys.monitoring.events.PY_START)
