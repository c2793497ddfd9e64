"""What people read when something went wrong: what happened, and what to do; without what programs print for terminals.

What only a person can do to a machine as a whole is done by Colab's menu, elsewhere where the machine was started. The
first cell decides which it is, once, by the folder into which it unpacks this package (`notebook/unpack.py`).
"""

import re
from pathlib import Path
from typing import Final

# What only a terminal understands: colours, moves of its cursor, titles, and other letters that cannot be seen.
ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[^\[\]])|[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
# A progress bar of tqdm's, of a known length or not, and one of pip's or rich's.
BAR: Final = re.compile(r"\d{1,3}%\|[^|]*\|[^\]]*\]?|\b\d{1,12}\w{0,8} ?\[\d\d:\d\d[^\]]*\]?|[━╸╺]{3,}[^\r\n]*")
LONGEST_SENTENCE: Final = 3000  # letters; what somebody else's program or server says may have a million

COLABS_FOLDER: Final = "oneclick"  # below /content
OTHERS_FOLDER: Final = "machine"  # below ~/oneclick, or ONECLICK_HOME

if Path(__file__).resolve().parents[2].parent.parent.name == OTHERS_FOLDER:  # a checkout may lie directly below /
    NEW_MACHINE = "end this machine where you started it, start it anew"
    NEW_SESSION = "restart the notebook's kernel"
    WITH_A_CARD = "choose a machine with a graphics card by NVIDIA"
    LARGER_CARD = "choose a machine with a larger graphics card"
    MORE_RAM = "choose a machine with more memory (RAM)"
else:
    NEW_MACHINE = "choose Runtime → Disconnect and delete runtime"
    NEW_SESSION = "choose Runtime → Restart session"
    WITH_A_CARD = "choose Runtime → Change runtime type → T4 GPU → Save"
    LARGER_CARD = "choose a runtime with a larger graphics card under Runtime → Change runtime type"
    MORE_RAM = (
        "choose High-RAM (with a subscription) or, where there is none yet, a graphics card under Runtime → Change "
        "runtime type"
    )


def showable(text: str) -> str:
    """Readable, without what turns the writing round, and no longer than can be read."""
    beginning = readable(text[: LONGEST_SENTENCE + 1])
    plain = "".join(c if c.isprintable() or c in "\n\u200d" else " " for c in beginning)
    return plain if len(text) <= LONGEST_SENTENCE else f"{plain[:LONGEST_SENTENCE]}…"


def readable(text: str) -> str:
    """Without progress bars and what stands before them, and without what only a terminal understands."""
    lines = re.split(r"[\r\n]", ESCAPES.sub("", text))
    return "\n".join(line[max((bar.end() for bar in BAR.finditer(line)), default=0) :] for line in lines)


class Problem(Exception):
    """The only exception that people see: what happened, and what to do about it.

    Both are whole sentences for somebody who has never opened a terminal. An extension of A1111 may be the cause
    (`by_extension`).
    """

    def __init__(self, what: str, do: str, *, by_extension: bool = False) -> None:
        self.what, self.do = showable(what), showable(do)
        super().__init__(f"{self.what} {self.do}")
        self.by_extension = by_extension


def unexpected(error: BaseException, log: str) -> Problem:
    """A fault nobody foresaw, said plainly."""
    return Problem(
        f"Unexpected error: {type(error).__name__}: {str(error)[:300]}",
        f"Press ▶ again. If this keeps happening, please report it with the file {log}.",
    )
