"""`oneclick.json` in a web UI's folder on Drive: what its launches note for those after them."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import write_safely
from launcher.core.outside import read_note

NOTES: Final = "oneclick.json"
changing: Final = threading.Lock()  # launches and jobs change parts of it, each from a thread of its own


@dataclass(frozen=True)
class Remembered:
    """What is noted, of the types that stand here: whatever else the file holds is nobody's, and stays in it."""

    choices: dict[str, Any] = field(default_factory=dict)  # field -> value; never a pasted link, never a token
    used_at: float = 0.0  # time.time() of the last launch with this folder
    extensions: dict[str, str] = field(default_factory=dict)  # with which it started: name -> commit
    switched_off: tuple[str, ...] = ()  # extensions that were off then
    looked_at: tuple[str, ...] = ()  # models that were found sound
    folder: str = ""  # only in My Drive itself: the web UI's folder used last, where no look finds it
    model_folders: tuple[str, ...] = ()  # folders and files below My Drive whose models are used where they are

    @classmethod
    def read(cls, kept: Path, say: Callable[[str], object] = lambda text: None) -> "Remembered":
        """What there is, perhaps nothing; a damaged file is set aside, and said. Raises `OSError` if Drive is away."""
        found, usual = read_note(kept / NOTES, say) or {}, cls()
        return cls(**{one.name: of_type(getattr(usual, one.name), found.get(one.name)) for one in fields(cls)})

    @staticmethod
    def write(kept: Path, **changes: Any) -> None:
        """Change some of it. Raises `OSError`."""
        with changing:
            found = read_note(kept / NOTES, lambda text: None) or {}
            text = json.dumps(found | changes, ensure_ascii=False)
            write_safely(kept / NOTES, text.encode(errors="replace"))  # names may hold bytes that are no letters


def of_type(usual: Any, found: object) -> Any:
    """What was found where it is of the type of the usual value, which else takes its place."""
    if isinstance(usual, tuple):
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else usual
    kinds = (int, float) if isinstance(usual, float) else type(usual)  # other programs write 5.0 as 5
    return found if isinstance(found, kinds) and not isinstance(found, bool) else usual
