"""Why the web UI failed: a table from what it printed or how it ended to one sentence and one remedy."""

import re
from dataclasses import dataclass
from typing import Final

from launcher.core.problem import Problem


@dataclass(frozen=True)
class Explanation:
    """One known failure: `pattern` is searched in the last lines of A1111's log (or "exit -9")."""

    pattern: str
    what: str
    do: str
    by_extension: bool = False  # an extension may be the cause: the next start is tried without


EXPLANATIONS: Final = (
    Explanation(
        r"numpy\.dtype size changed|numpy\.core\.multiarray failed to import",
        "An extension changed numpy, and the web UI's other packages cannot work with that.",
        "Delete the folder «python» of the launcher (Runtime → Disconnect and delete runtime does it) and press ▶ again; the right packages come back.",
        by_extension=True,
    ),
    Explanation(
        r"CUDA out of memory|OutOfMemoryError",
        "The graphics card ran out of memory.",
        "Make the image smaller or the batch 1, or add --medvram to extra_arguments, and press ▶ again.",
    ),
    Explanation(
        r"HeaderTooLarge|MetadataIncompleteBuffer|InvalidHeaderDeserialization",
        "A model file is damaged: it is cut off, or a web page saved under a model's name.",
        "Delete the file named just above in the log from the models folder on Google Drive, and press ▶ again.",
    ),
    Explanation(
        r"bad file inside .*The file may be malicious|Global '.*' is forbidden",
        "A1111 refused a model file because it could carry a program.",
        "Use the .safetensors file of the same model.",
    ),
    Explanation(
        r"Cannot find empty port|address already in use",
        "The port the web UI wanted was taken by another program.",
        "Press ▶ again; another port is chosen.",
    ),
    Explanation(
        r"No space left on device|Errno 28",
        "The disk is full.",
        "Free some space (empty the bin of Google Drive too) and press ▶ again.",
    ),
    Explanation(
        r"Errno 10[37]|Transport endpoint is not connected",
        "Google Drive was disconnected.",
        "Press ▶ again; it is connected anew.",
    ),
    Explanation(
        r"Errno 5\b|Input/output error",
        "Google Drive answered with an error: it does that when a folder has thousands of files, or when it is too busy.",
        "Wait a minute and press ▶ again; if it stays so, move files of that folder into folders of their own.",
    ),
    Explanation(
        r"Cannot add middleware after an application has started",
        "The web UI was asked for a page before it was ready and gave up.",
        "Press ▶ again.",
    ),
    Explanation(
        r"unrecognized arguments?: (?P<name>.+)",
        "The web UI does not know the argument {name}.",
        "Take it out of the field extra_arguments and press ▶ again.",
    ),
    Explanation(
        r"Found no NVIDIA driver|Torch is not able to use GPU|no NVIDIA GPU",
        "There is no graphics card in this runtime.",
        "Choose Runtime → Change runtime type → T4 GPU, and press ▶ again.",
    ),
    Explanation(
        r"extensions/(?P<name>[^/\"]+)/[^\n]*\n(?:.*\n){0,6}?\S*(Error|Exception)\b",
        "The extension {name} stopped the web UI.",
        "Take its folder out of the folder «extensions» on Google Drive, and press ▶ again.",
        by_extension=True,
    ),
    Explanation(
        r"(ModuleNotFoundError|ImportError): (?P<name>.+)",
        "A part of the web UI's Python is missing ({name}).",
        "Press ▶ again; if it stays so, choose Runtime → Disconnect and delete runtime and start anew.",
        by_extension=True,
    ),
    Explanation(
        r"\^C\s*$|exit -9\b",
        "The runtime ran out of memory (RAM), and the system ended the web UI.",
        "Use a smaller model, or choose a runtime with High-RAM under Runtime → Change runtime type, and press ▶ again.",
    ),
)


def explain(log: str, code: int | None, log_path: str) -> Problem:
    """The failure in words: the first explanation whose pattern is in the last lines, else the lines themselves."""
    tail = "\n".join(log.splitlines()[-60:])
    text = f"{tail}\nexit {code}" if code is not None else tail
    for known in EXPLANATIONS:
        found = re.search(known.pattern, text, re.MULTILINE)
        if found:
            names = {key: value.strip() for key, value in found.groupdict().items()}
            return Problem(known.what.format(**names), known.do, by_extension=known.by_extension)
    last = " / ".join(line.strip() for line in tail.splitlines()[-3:] if line.strip()) or "it printed nothing"
    ended = f"The web UI ended (exit code {code})" if code is not None else "The web UI ended"
    return Problem(
        f"{ended}; its last words: {last[:400]}",
        f"Press ▶ again. The whole log is the file {log_path}.",
        by_extension=True,
    )


def problem_of(error: Exception) -> Problem | None:
    """The explanation of an error of the operating system (Drive is gone, a disk is full), or None for any other."""
    if not isinstance(error, OSError):
        return None
    known = next((known for known in EXPLANATIONS if re.search(known.pattern, str(error))), None)
    return Problem(known.what, known.do) if known and "{" not in known.what else None
