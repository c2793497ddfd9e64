"""Why the web UI failed, from what it printed or how it ended: one sentence and one remedy."""

import re
from pathlib import PurePath
from typing import Final

from launcher.core.problem import Problem, readable
from launcher.core.process import CommandError
from launcher.webui.known_faults import ENDS, PORT_TAKEN, RAM, KnownFault

FAR_ENOUGH: Final = 400  # lines from the end; what is above them did not end it
LAST_LINES: Final = 15
# Its exit code, where the system itself ended it -> what it could not say any more.
BY_CODE: Final[dict[int | None, str]] = {
    **dict.fromkeys((-9, 137), "MemoryError"),
    **dict.fromkeys((-7, 135), "Fatal Python error: Bus error"),
}
ENDED_FROM_OUTSIDE: Final = (
    "The web UI was ended from outside and could say nothing: most likely the runtime ran out of memory (RAM)."
)
# What A1111, its older versions and Forge have beside their extensions.
WEB_UIS: Final = "modules|scripts|ldm|modules_forge|ldm_patched|backend"
READ: Final = re.compile(
    r"(?:Loading (?:VAE )?weights .*?(?: from |: )|Calculating sha256 for )(/.*?)(?:: .*)?$", re.MULTILINE
)
ERROR_LINE: Final = re.compile(
    r"^\w[\w.]*(?:Error|Exception|Interrupt|Warning)?: .*|^\w[\w.]*(?:Error|Exception)$", re.MULTILINE
)


def explain(log: str, code: int | None, log_path: str) -> Problem:
    """The failure in words: by how it ended, else by its last own traceback, else by its last lines."""
    log = readable(log)
    read = READ.findall(log)
    file = PurePath(read[-1]).name if read else "named last in its log"
    text = BY_CODE.get(code) or last_part(log)
    name = extension_in(text)
    for pattern, known in ENDS.items():
        found = re.search(pattern, text, re.MULTILINE)
        if found and not (name and known.unless_extension):
            return in_words(known, found, {"file": file}, by_extension=known.by_extension or bool(name))
    if name:
        return Problem(
            f"The extension {name} stopped the web UI.",
            "Switch it off with the cell **Add or update an extension** and press ▶ again.",
            by_extension=True,
        )
    if code is None and not ERROR_LINE.search(text):
        return Problem(ENDED_FROM_OUTSIDE, RAM.do)
    last = last_error(text) or " / ".join(line.strip() for line in log.splitlines()[-3:] if line.strip())
    number = f" (exit code {code})" if code is not None else ""
    return Problem(
        f"The web UI ended{number}; its last message was: {last[:400] or 'nothing'}",
        f"Press ▶ again. The whole log is the file {log_path}.",
        by_extension=True,
    )


def last_error(text: str) -> str | None:
    """The error's line below the last traceback in a text."""
    _, begun, below = text.rpartition("Traceback (most recent call last)")
    found = ERROR_LINE.search(below) if begun else None
    return found[0] if found else None


def in_words(known: KnownFault, found: re.Match[str], names: dict[str, str], *, by_extension: bool = False) -> Problem:
    names = names | {key: value.strip() for key, value in found.groupdict().items() if value}
    return Problem(known.what.format(**names), known.do.format(**names), by_extension=by_extension)


def port_was_taken(log: str) -> bool:
    """True if it ended because another program had its port; an extension's own port is not meant."""
    text = last_part(log)
    return bool(re.search(PORT_TAKEN, text)) and not extension_in(text)


def last_part(log: str) -> str:
    """The traceback with which it ended, else what it printed last.

    A1111 indents a traceback that it survives, under a line with `***`; that of a model that does not load follows
    a line with what failed (modules/errors.py of v1.10.1). A crash in C code leaves faulthandler's stack.
    """
    lines = log.splitlines()[-FAR_ENOUGH:]
    crashes = [at for at, line in enumerate(lines) if line.startswith("Fatal Python error:")]
    if crashes:
        return "\n".join(lines[max(0, crashes[-1] - 2) :])  # with what C++ says before it
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if starts:
        start = starts[-1]
        end = next((at for at in range(start + 1, len(lines)) if lines[at][:1].strip()), len(lines) - 1)
        survived = start > 0 and re.fullmatch(r"[\w .]+: \w*(Error|Exception)", lines[start - 1])
        if not survived and len(lines) - end <= LAST_LINES:  # else much was printed after it
            return "\n".join(lines[start:])
    said = [line for line in log.splitlines() if line.strip() and not line.startswith(("***", "    ", "---"))]
    return "\n".join(said[-LAST_LINES:])


def extension_in(text: str) -> str | None:
    """The extension whose file is innermost in a traceback."""
    named = re.findall(r'File "[^"\n]*/extensions/([^/"\n]+)/[^"\n]*"', text)
    innermost = 0 if "Fatal Python error:" in text else -1  # faulthandler begins with the innermost
    return named[innermost] if named else None


def problem_of_system(error: Exception) -> Problem | None:
    """The explanation of an error of the operating system (Drive is gone, a disk is full), also of one that a command
    met, git for example; None for any other.
    """
    if not isinstance(error, OSError | CommandError):
        return None
    fits = (known for pattern, known in ENDS.items() if re.search(pattern, str(error)))
    return next((Problem(known.what, known.do) for known in fits if "{" not in known.what + known.do), None)


def not_loaded(log: str) -> dict[str, str]:
    """The extensions of which A1111 could not load something, and survived it: name to the reason in words.

    A1111 tells it under a line with `***`, with an indented traceback (modules/errors.py of v1.10.1, `report`).
    """
    found: dict[str, str] = {}
    for block in re.findall(r"^\*\*\* Error[^\n]*\n(?:(?:\*\*\* |    )[^\n]*\n|\n)+", f"{log}\n", re.MULTILINE):
        below = block.rpartition("Traceback (most recent call last)")[2]
        errors = re.findall(r"^    (\w[^\n]*[^:\s])$", below, re.MULTILINE)  # a message may have more lines
        names = re.findall(r"/extensions/([^/\n]+)/", block)
        if names:
            found.setdefault(names[0], error_in_words(errors[0] if errors else ""))
    return found


def error_in_words(line: str) -> str:
    """The last line of a traceback for a person."""
    if re.search(rf"(?:No module named|cannot import name .* from) '(?:{WEB_UIS})[.']", line):
        return f"it is made for another version of the web UI, or for another web UI ({line[:160]})"
    if missing := re.match(r"ModuleNotFoundError: No module named '([^']+)'", line):
        part = f"a part of a Python package is missing ({missing[1]})"
        return part if "." in missing[1] else f"the Python package {missing[1]} is missing"
    if re.match(r"FileNotFoundError|OSError: \[Errno 2\]", line):
        return f"a file of it is missing ({line.partition(': ')[2][:120]})"
    return line[:160] or "A1111 does not say why"
