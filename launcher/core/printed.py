"""What programs print and servers say, as a person can read it."""

import re
from typing import Final

# What only a terminal understands: colours, moves of its cursor, titles, and other letters that cannot be seen.
ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[^\[\]])|[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
# A progress bar of tqdm's, of a known length or not, and one of pip's or rich's.
BAR: Final = re.compile(r"\d{1,3}%\|[^|]*\|[^\]]*\]?|\b\d{1,12}\w{0,8} ?\[\d\d:\d\d[^\]]*\]?|[━╸╺]{3,}[^\r\n]*")
LONGEST_SENTENCE: Final = 3000  # letters; what somebody else's program or server says may have a million


def showable(text: str) -> str:
    """Readable, without what turns the writing round, and no longer than can be read."""
    beginning = readable(text[: LONGEST_SENTENCE + 1])
    plain = "".join(c if c.isprintable() or c in "\n\u200d" else " " for c in beginning)
    return plain if len(text) <= LONGEST_SENTENCE else f"{plain[:LONGEST_SENTENCE]}…"


def readable(text: str) -> str:
    """Without progress bars and what stands before them, and without what only a terminal understands."""
    lines = re.split(r"[\r\n]", ESCAPES.sub("", text))
    return "\n".join(line[max((bar.end() for bar in BAR.finditer(line)), default=0) :] for line in lines)
