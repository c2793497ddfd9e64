"""Why the web UI failed: a table from what it printed or how it ended to one sentence and one remedy."""

import re
from dataclasses import dataclass
from typing import Final

from launcher.core.problem import Problem


@dataclass(frozen=True)
class Explanation:
    """One known failure: `pattern` is searched in the traceback A1111 ended with, else in its last lines."""

    pattern: str
    what: str
    do: str
    by_extension: bool = False  # an extension may be the cause: the next start is tried without
    unless_extension: bool = False  # not if the traceback leads through an extension: that one is the cause


FAR_ENOUGH: Final = 400  # lines from the end; what is above them did not end it
LAST_LINES: Final = 15
KILLED: Final = (-9, 137)  # the system ended it
OUT_OF_MEMORY: Final = Explanation(
    r"\^C\s*\Z",
    "The runtime ran out of memory (RAM), and the system ended the web UI.",
    "Use a smaller model, or choose a runtime with High-RAM under Runtime → Change runtime type, and press ▶ again.",
)
PORT_TAKEN: Final = Explanation(
    r"Cannot find empty port|address already in use",
    "The port the web UI wanted was taken by another program.",
    "Press ▶ again to use another port.",
)
EXPLANATIONS: Final = (
    Explanation(
        r"numpy\.dtype size changed|numpy\.core\.multiarray failed to import",
        "An extension changed numpy, and the web UI's other packages cannot work with that.",
        "Choose Runtime → Disconnect and delete runtime, and press ▶ again: the right packages come back.",
        by_extension=True,
    ),
    Explanation(
        r"CUDA out of memory|OutOfMemoryError",
        "The graphics card ran out of memory.",
        "Make the image smaller, or set the batch size to 1. If that is not enough, write --medvram into "
        "**extra_arguments** and press ▶ again.",
    ),
    Explanation(
        r"HeaderTooLarge|MetadataIncompleteBuffer|InvalidHeaderDeserialization",
        "A model file is damaged: it is cut off, or a web page saved under a model's name.",
        "Delete the file named just above in the log from the models folder on Google Drive, and press ▶ again.",
    ),
    Explanation(
        r"bad file inside .*The file may be malicious|Global '.*' is forbidden",
        "A1111 refused a model file because it could contain code.",
        "Use the .safetensors file of the same model.",
    ),
    PORT_TAKEN,
    Explanation(
        r"No space left on device|Errno 28",
        "The disk is full.",
        "Free some space (empty Google Drive's trash too) and press ▶ again.",
    ),
    Explanation(
        r"Errno 10[37]|Transport endpoint is not connected",
        "Google Drive was disconnected.",
        "Press ▶ again to connect it.",
    ),
    Explanation(
        r"Errno 5\b|Input/output error",
        "Google Drive answered with an error. It does that when it is busy, or when a folder has thousands of files.",
        "Wait a minute and press ▶ again. If it happens again, move some of the folder's files into new folders.",
    ),
    Explanation(
        r"unrecognized arguments?: (?P<name>.+)",
        "The web UI does not know the argument {name}.",
        "Remove it from the field **extra_arguments** and press ▶ again.",
    ),
    Explanation(
        # A1111's own "Warning: caught exception 'Found no NVIDIA driver …', memory monitor disabled" is harmless.
        r"^(RuntimeError|AssertionError): .*(Found no NVIDIA driver|Torch is not able to use GPU|No CUDA GPUs)",
        "There is no graphics card in this runtime.",
        "Choose Runtime → Change runtime type → T4 GPU → Save, and press ▶ again.",
        unless_extension=True,
    ),
    Explanation(
        r"^(ModuleNotFoundError|ImportError): (?P<name>.+)",
        "A part of the web UI's Python is missing ({name}).",
        "Press ▶ again. If it happens again, choose Runtime → Disconnect and delete runtime, and press ▶.",
        by_extension=True,
        unless_extension=True,
    ),
    OUT_OF_MEMORY,
)


def explain(log: str, code: int | None, log_path: str) -> Problem:
    """The failure in words: by how it ended, else by its last own traceback, else by its last lines."""
    if code in KILLED:
        return Problem(OUT_OF_MEMORY.what, OUT_OF_MEMORY.do)
    text = last_part(log)
    name = extension_in(text)
    for known in EXPLANATIONS:
        found = re.search(known.pattern, text, re.MULTILINE)
        if found and not (name and known.unless_extension):
            names = {key: value.strip() for key, value in found.groupdict().items()}
            return Problem(known.what.format(**names), known.do, by_extension=known.by_extension or bool(name))
    if name:
        return Problem(
            f"The extension {name} stopped the web UI.",
            "Switch it off with the cell **Add or update an extension** and press ▶ again.",
            by_extension=True,
        )
    last = " / ".join(line.strip() for line in log.splitlines()[-3:] if line.strip()) or "it printed nothing"
    ended = f"The web UI ended (exit code {code})" if code is not None else "The web UI ended"
    return Problem(
        f"{ended}; its last message was: {last[:400]}",
        f"Press ▶ again. The whole log is the file {log_path}.",
        by_extension=True,
    )


def port_was_taken(log: str) -> bool:
    """True if it ended because another program had its port; an extension's own port is not meant."""
    text = last_part(log)
    return bool(re.search(PORT_TAKEN.pattern, text)) and not extension_in(text)


def last_part(log: str) -> str:
    """The traceback with which it ended, else what it printed last.

    A1111 indents a traceback that it survives, under a line with `***`; that of a model that does not load follows
    a line with what failed (modules/errors.py of v1.10.1). A crash in C code leaves faulthandler's stack.
    """
    lines = log.splitlines()[-FAR_ENOUGH:]
    crashes = [at for at, line in enumerate(lines) if line.startswith("Fatal Python error:")]
    if crashes:
        return "\n".join(lines[crashes[-1] :])
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
    innermost = 0 if text.startswith("Fatal Python error:") else -1  # faulthandler begins with the innermost
    return named[innermost] if named else None


def problem_of_system(error: Exception) -> Problem | None:
    """The explanation of an error of the operating system (Drive is gone, a disk is full), or None for any other."""
    whole = [known for known in EXPLANATIONS if "{" not in known.what] if isinstance(error, OSError) else []
    return next((Problem(known.what, known.do) for known in whole if re.search(known.pattern, str(error))), None)


def not_loaded(log: str) -> dict[str, str]:
    """The extensions of which A1111 could not load something, and survived it: name to the reason in words.

    A1111 tells it under a line with `***`, with an indented traceback (modules/errors.py of v1.10.1, `report`).
    """
    found: dict[str, str] = {}
    for block in re.findall(r"^\*\*\* Error[^\n]*\n(?:(?:\*\*\* |    )[^\n]*\n|\n)+", f"{log}\n", re.MULTILINE):
        errors = re.findall(r"^    (\w[^\n]*)$", block, re.MULTILINE)
        names = re.findall(r"/extensions/([^/\n]+)/", block)
        if names:
            found.setdefault(names[0], error_in_words(errors[-1] if errors else ""))
    return found


def error_in_words(line: str) -> str:
    """The last line of a traceback for a person."""
    missing = re.match(r"ModuleNotFoundError: No module named '([^'.]+)", line)
    if missing:
        return f"the Python package {missing[1]} is missing"
    if re.match(r"FileNotFoundError|OSError: \[Errno 2\]", line):
        return f"a file of it is missing ({line.partition(': ')[2][:120]})"
    return line[:160] or "A1111 does not say why"
