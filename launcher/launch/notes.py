"""What launches note on Drive for those after them: the version that worked, the extensions it had, the models looked at."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import write_safely
from launcher.core.session import read_object

NOTES: Final = "oneclick.json"


@dataclass(frozen=True)
class Notes:
    """The file `oneclick.json` in the folder on Drive."""

    kept: Path

    @property
    def _all(self) -> dict[str, Any]:
        return read_object(self.kept / NOTES)

    @property
    def last_good(self) -> str:
        """The commit of A1111 that started last, or ""."""
        return str(self._all.get("last_good", ""))

    @property
    def good_extensions(self) -> dict[str, str]:
        """The extensions that it started with: name -> commit."""
        found = self._all.get("extensions", {})
        return found if isinstance(found, dict) else {}

    @property
    def looked_at(self) -> set[str]:
        """The model files that were looked at and are sound."""
        found = self._all.get("looked_at", [])
        return set(found) if isinstance(found, list) else set()

    def note(self, **what: object) -> None:
        """Write down something new; the rest stays."""
        write_safely(self.kept / NOTES, json.dumps(self._all | what))
